// What pages do beyond HTML. Every form works without it. Its sentences stand in data-text-… of the page, which is in
// the reader's language; {} stands for what is filled in.
const texts = document.body.dataset;

document.addEventListener("input", (event) => {
  // whoever changes a parameter's value means to send it
  const form = event.target.closest("form[data-ticks]");
  const row = event.target.closest("fieldset.parameter");
  if (form && row && event.target.name.startsWith("p-")) {
    row.querySelector("input[name^='set-']").checked = true;
    form.dispatchEvent(new Event("ticked"));
  }
});

// Whether somebody changed a field since it came.
function isChanged(field) {
  if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
  if (field.options) return field.selectedIndex !== Math.max(0, [...field.options].findIndex((one) => one.defaultSelected));
  return field.value !== field.defaultValue;
}

function isEdited(part) {
  return [...part.querySelectorAll("input, select, textarea")].some(isChanged);
}

function take(field, fresh) {
  if (field.options) {
    [...field.options].forEach((one) => { one.defaultSelected = one.value === fresh.value; });
    field.value = fresh.value;
  } else if (field.type === "checkbox" || field.type === "radio") {
    field.defaultChecked = field.checked = fresh.defaultChecked;
  } else field.defaultValue = field.value = fresh.defaultValue;
}

// A form that shows what a vehicle has follows it: a field that nobody has changed takes the new value, and the form's
// own "change" has all else shown anew. One that was sent and refused (data-given) shows what somebody wants.
function follow(form, fresh) {
  const has = (part) => [...part.querySelectorAll("[data-has]")].map((one) => one.textContent).join().replace(/\s+/g, " ");
  if (has(form) === has(fresh)) return;
  const key = ({ name, type, value }) => (type === "checkbox" || type === "radio" ? `${name}=${value}` : name);
  const others = new Map([...fresh.elements].map((field) => [key(field), field]));
  [...form.elements].forEach((field) => {
    const other = field.type !== "hidden" && others.get(key(field));
    const isOwn = form.hasAttribute("data-given") || field === document.activeElement || isChanged(field);
    if (other && !isOwn) take(field, other);
  });
  htmx.trigger(form, "change");
}

document.addEventListener("htmx:beforeSwap", ({ target, detail }) => {
  const form = document.getElementById(target.dataset.followedBy);
  if (!form || detail.isError) return;
  const page = new DOMParser().parseFromString(detail.serverResponse, "text/html");
  follow(form, page.getElementById(form.id));
});

// A row of tabs that is wider than a phone begins with the one that is open in sight.
document.querySelectorAll(".tabs [aria-current], .chips [aria-current=page]").forEach((one) => {
  one.scrollIntoView({ block: "nearest", inline: "center" });
});

// An address that names a place within what is closed opens it; not every browser does so by itself.
function reveal() {
  const place = document.querySelector(":target");
  const closed = place?.closest("details:not([open])");
  if (!closed) return;
  closed.open = true;
  place.scrollIntoView();
}

reveal();
window.addEventListener("hashchange", reveal);

// A form that was refused begins with the first field that is wrong.
document.querySelector(".field:has(.field-error) :is(input, select, textarea)")?.focus();

// How long ago a time is, counted on: a page stays open. By the server's clock, which made the page.
const ahead = Date.now() - Number(texts.now);

function ago(seconds) {
  if (seconds < 0) return texts.textSoon;
  const units = [[60, 1], [3600, 60], [86400, 3600], [Infinity, 86400]];
  const unit = units.findIndex(([limit]) => seconds < limit);
  return texts.textAgo.split("|")[unit].replace("{}", Math.floor(seconds / units[unit][1]));
}

function tick() {
  document.querySelectorAll("time[data-ago]").forEach((time) => {
    const text = ago((Date.now() - ahead - Date.parse(time.dateTime)) / 1000);
    if (time.textContent !== text) time.textContent = text;
  });
}

tick();
setInterval(tick, 1000);
document.addEventListener("htmx:afterSettle", tick);

// The quick choices of a clip lie so many seconds before now, in the vehicle's zone, as long as their page stays open.
function inZone(seconds, zone) {
  // Swedish writes dates as forms do: "2026-11-27 13:37:20"
  return new Date(seconds * 1000).toLocaleString("sv", { timeZone: zone }).replace(" ", "T");
}

function count() {
  document.querySelectorAll("a[data-before]").forEach((link) => {
    const { before, step } = link.dataset;
    const begin = Math.floor(((Date.now() - ahead) / 1000 - before) / step) * step;
    const times = [...link.querySelectorAll("time")];
    times.forEach((time) => {
      const text = inZone(begin, time.dataset.zone).slice(11).replace(/:00$/, "");
      if (time.textContent !== text) time.textContent = text;
    });
    const url = new URL(link.href);
    url.searchParams.set("from", inZone(begin, times[0].dataset.zone));
    // the length that stands in the form stays, where the choice names none of its own
    const kept = document.getElementById(link.dataset.keeps);
    if (kept?.checkValidity()) url.searchParams.set("duration", kept.value);
    link.href = url;
  });
}

count();
setInterval(count, 1000);
document.addEventListener("input", count);

const BUSY_MS = 30_000; // an answer that has not come by then may have been stopped by hand

document.addEventListener("submit", (event) => {
  // nothing is done twice anyway, but the browser would show the answer to the second click, which comes later and may
  // say that there is nothing left to do
  const button = event.submitter;
  if (!button) return;
  if (button.hasAttribute("aria-busy") && event.target.method === "post") {
    event.preventDefault();
    return;
  }
  setTimeout(() => button.setAttribute("aria-busy", "true"), 0);
  setTimeout(() => button.removeAttribute("aria-busy"), BUSY_MS);
});

window.addEventListener("pageshow", () => {
  document.querySelectorAll("[aria-busy]").forEach((button) => button.removeAttribute("aria-busy"));
});

// A form that leads back to its page leaves the keyboard at the button that sent it.
document.addEventListener("submit", ({ submitter }) => {
  if (submitter?.id && submitter.matches(":focus-visible")) sessionStorage.pressed = submitter.id;
});
document.getElementById(sessionStorage.pressed)?.focus({ preventScroll: true });
delete sessionStorage.pressed;

// What was opened by hand stays open when its part comes anew, and a link keeps the focus (htmx gives it back to what has
// an id): at once, for a key that is pressed meanwhile would do nothing.
document.addEventListener("htmx:beforeSwap", (event) => {
  const focused = event.detail.target.querySelector("a[href]:not([id]):focus");
  const address = focused && focused.getAttribute("href");
  const opened = [...event.detail.target.querySelectorAll("details[open][id]")].map((one) => one.id);
  document.addEventListener("htmx:afterSwap", () => {
    opened.map((id) => document.getElementById(id)).forEach((one) => one && (one.open = true));
    if (address) document.querySelector(`main a[href="${CSS.escape(address)}"]`)?.focus({ preventScroll: true });
  }, { once: true });
});

// Single keys, as the list under "?" names them; there they are switched off, too.
const keys = document.getElementById("keys-on");
if (keys) {
  keys.checked = localStorage.keys !== "off";
  keys.addEventListener("change", () => { localStorage.keys = keys.checked ? "on" : "off"; });
}

function search() {
  const field = document.getElementById("search");
  const ofPage = document.querySelector(".search-page input");
  if (field.offsetParent) field.focus();
  else if (ofPage) ofPage.focus();
  else document.querySelector(".to-search").click();
}

// Among cards of events j and k move the focus, and other keys concern the card that has it.
function press(key) {
  const cards = [...document.querySelectorAll(".event > a[id]")];
  const at = cards.indexOf(document.activeElement);
  const next = { j: at + 1, k: at - 1 }[key];
  const place = cards.length ? cards[at]?.parentElement : document.getElementById("main");
  if (cards.length && next !== undefined) cards[next]?.focus();
  else place?.querySelector(`[data-key="${CSS.escape(key)}"]`)?.click();
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea, [contenteditable]");
  if (!keys?.checked || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    event.preventDefault();
    search();
  } else if (event.key === "?") document.getElementById("keys").togglePopover();
  else press(event.key);
});

// Whoever has chosen no time zone is offered the browser's own, which is kept once the form is sent. A list of which
// some stand before all others has it in front of them.
document.querySelectorAll("select[data-browser-zone]").forEach((select) => {
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  if (![...select.options].some((option) => option.value === timeZone)) return;
  const { value, dataset } = select;
  if (dataset.textMine) {
    const group = document.createElement("optgroup");
    group.label = dataset.textMine;
    group.append(new Option(timeZone));
    select.prepend(group);
  }
  select.value = value || timeZone;
  if (!value) select.parentElement.querySelector("[data-proposed]").hidden = false;
});

// A text that is shown once is copied by its button; without JavaScript it is selected by hand.
document.querySelectorAll("[data-copy]").forEach((button) => { button.hidden = false; });
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const field = button.parentElement.querySelector("[data-copied]");
  field.select();
  // the clipboard is there over HTTPS and on loopback only
  if (navigator.clipboard) navigator.clipboard.writeText(field.value);
  else document.execCommand("copy");
  button.textContent = button.dataset.textCopied;
});
