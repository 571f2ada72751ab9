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

// A row of tabs that is wider than a phone begins with the one that is open in sight.
document.querySelectorAll(".tabs [aria-current], .chips [aria-current=page]").forEach((one) => {
  one.scrollIntoView({ block: "nearest", inline: "center" });
});

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
    link.href = url;
  });
}

count();
setInterval(count, 1000);

document.addEventListener("submit", (event) => {
  // a second click sends nothing twice anyway; this shows that the first one counted
  const button = event.submitter;
  if (button) setTimeout(() => button.setAttribute("aria-busy", "true"), 0);
});

window.addEventListener("pageshow", () => {
  document.querySelectorAll("[aria-busy]").forEach((button) => button.removeAttribute("aria-busy"));
});

// A browser holds six connections to a host, and a stream is one: only a page that is seen keeps its stream, or a
// seventh tab would wait for ever. A page that is seen again is told what happened since it last heard of us.
class Stream extends EventTarget {
  constructor(url) {
    super();
    this.url = new URL(url, location.href);
    this.readyState = EventSource.CONNECTING;
    this.names = new Set(["heard"]);
    this.turn = () => (document.hidden ? this.pause() : this.open());
    document.addEventListener("visibilitychange", this.turn);
    this.turn();
  }

  open() {
    if (this.source) return;
    this.source = new EventSource(this.url);
    this.names.forEach((name) => this.hear(name));
    this.source.onopen = (event) => this.tell("onopen", event);
    this.source.onerror = (event) => this.tell("onerror", event);
  }

  tell(handler, event) {
    this.readyState = this.source.readyState;
    if (this.readyState === EventSource.CLOSED) this.close();
    if (this[handler]) this[handler](event);
  }

  hear(name) {
    this.source.addEventListener(name, (event) => {
      this.url.searchParams.set("since", event.lastEventId);
      this.dispatchEvent(new MessageEvent(name, { data: event.data, lastEventId: event.lastEventId }));
    });
  }

  addEventListener(name, listener) {
    super.addEventListener(name, listener);
    if (this.names.has(name)) return;
    this.names.add(name);
    if (this.source) this.hear(name);
  }

  pause() {
    if (this.source) this.source.close();
    this.source = null;
  }

  close() {
    this.pause();
    this.readyState = EventSource.CLOSED;
    document.removeEventListener("visibilitychange", this.turn);
  }
}

htmx.createEventSource = (url) => new Stream(url);

// The one line of a page that says what a reader of the screen cannot see happen: the page is not live any more, or
// what changed (elements with data-say). It is seen only where it says that the page is not live.
let silence; // a line that was lost for a moment is no news
let isCutOff = false; // the browser has no network

function say(text, seen) {
  const line = document.getElementById("status");
  line.classList.toggle("only-read", !seen);
  if (line.textContent !== text) line.textContent = text;
}

function warns() {
  const line = document.getElementById("status");
  return line.textContent && !line.classList.contains("only-read");
}

function clock(date) {
  return date.toLocaleTimeString(document.documentElement.lang, {
    hour: "2-digit", minute: "2-digit", hourCycle: "h23",
  });
}

document.addEventListener("htmx:sseOpen", () => {
  clearTimeout(silence);
  silence = null;
  if (warns() && !isCutOff) say("", false); // one that was just opening is open for a moment
});
document.addEventListener("htmx:sseError", (event) => {
  // a stream that the server refuses (the session has ended) is not tried again by the browser
  if (event.detail.source && event.detail.source.readyState === EventSource.CLOSED) {
    say(texts.textOld, true);
  } else if (!silence) {
    const since = clock(new Date());
    silence = setTimeout(() => say(texts.textOffline.replace("{}", since), true), 5000);
  }
});
// a browser without a network knows it at once; the stream notices much later, or, where it survives, never
window.addEventListener("offline", () => {
  isCutOff = true;
  say(texts.textOffline.replace("{}", clock(new Date())), true);
});
window.addEventListener("online", () => {
  if (isCutOff && !silence) say("", false);
  isCutOff = false;
});

// what the last form did stands on the page that follows; a line that is filled after loading is read aloud
const done = document.querySelector("[data-done]");
if (done) setTimeout(() => warns() || say(done.textContent.trim(), false), 500);

let said = new Set([...document.querySelectorAll("[data-say]")].map((one) => one.textContent.trim()));
document.addEventListener("htmx:afterSettle", () => {
  const now = [...document.querySelectorAll("[data-say]")].map((one) => one.textContent.trim());
  const fresh = now.filter((text) => !said.has(text));
  said = new Set(now);
  if (fresh.length && !warns()) say(fresh.join(" "), false);
});

// What was opened by hand stays open when its part comes anew, and a link keeps the focus (htmx gives it back to what has
// an id).
document.addEventListener("htmx:beforeSwap", (event) => {
  const focused = event.detail.target.querySelector("a[href]:not([id]):focus");
  const address = focused && focused.getAttribute("href");
  const opened = [...event.detail.target.querySelectorAll("details[open][id]")].map((one) => one.id);
  document.addEventListener("htmx:afterSettle", () => {
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
  if (field.offsetParent) field.focus();
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
