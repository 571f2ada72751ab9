// How a page stays live, and what it says when it is not live any more. `texts` is that of app.js.

const SILENT_MS = 9_000; // the server sends something every 4 s (core/change_feed.py): the stream is dead
const GRACE_MS = 5_000; // a page that is live again so soon says nothing
const AGAIN_MS = 5_000; // until a part that did not come is asked for again; longer than any delay of hx-trigger
const PASSING = [408, 425, 429]; // refusals that end by themselves, as those of a server in trouble do
const SIGNED_OUT = 401;

// What refused this page for good (an HTTP status); 0: nothing. Then nothing is asked again until the page is left and
// seen again: its reader may have signed in on another page.
let refusedFor = 0;

function refuse(status) {
  if (status < 400 || status >= 500 || PASSING.includes(status)) return;
  refusedFor = status;
  stream?.pause();
  // a form that was begun stays: it is kept through the sign-in once it is sent
  if (status === SIGNED_OUT && !isEdited(document.getElementById("main"))) location.assign(wayOn().href);
  else show();
}

// The stream of the page, for htmx. A browser holds six connections to a host, and a stream is one: only a page that is
// seen keeps its stream, or a seventh tab would wait for ever. Each new stream begins with what changed since the page
// last heard of everything.
class Stream extends EventTarget {
  constructor(url) {
    super();
    this.url = new URL(url, location.href);
    this.names = new Set();
    this.openedAt = heardAt;
    this.addEventListener("heard", () => { heardAt = Date.now(); this.isRefused = false; show(); });
    this.turn = () => { refusedFor = 0; document.hidden ? this.pause() : this.open(); };
    this.restore = (event) => { if (event.persisted) this.turn(); }; // a page that the browser kept whole
    document.addEventListener("visibilitychange", this.turn);
    window.addEventListener("pageshow", this.restore);
    this.turn();
  }

  open() {
    this.pause();
    this.openedAt = Date.now();
    this.source = new EventSource(this.url);
    this.source.onerror = ({ target }) => {
      this.isRefused = target.readyState === EventSource.CLOSED;
      if (this.isRefused && target === this.source) this.askWhy();
    };
    this.names.forEach((name) => this.pass(name));
  }

  pass(name) {
    this.source.addEventListener(name, ({ data, lastEventId }) => {
      this.saidAt = Date.now();
      if (lastEventId) this.url.searchParams.set("since", lastEventId);
      this.dispatchEvent(new MessageEvent(name, { data, lastEventId }));
    });
  }

  // a browser keeps to itself with which status a stream was refused
  async askWhy() {
    try {
      refuse((await fetch(this.url, { method: "HEAD", headers: { Accept: "text/event-stream" } })).status);
    } catch {} // no network: the stream is tried again
  }

  addEventListener(name, listener) {
    super.addEventListener(name, listener);
    if (this.names.has(name)) return;
    this.names.add(name);
    if (this.source) this.pass(name);
  }

  pause() {
    this.source?.close();
    this.source = null;
  }

  close() {
    this.pause();
    document.removeEventListener("visibilitychange", this.turn);
    window.removeEventListener("pageshow", this.restore);
  }
}

let stream = null; // of this page
let heardAt = Date.now(); // when the page had last heard of everything
let isCutOff = false; // the browser has no network

htmx.createEventSource = (url) => {
  stream = new Stream(url);
  return stream;
};

// The parts that changed and have not come anew yet, by id: the topic that said so, and until when what they show was true.
const behind = new Map();

document.addEventListener("htmx:sseMessage", ({ target, detail }) => {
  const changedAt = stream.saidAt;
  behind.set(target.id, { trueAt: heardAt, ...behind.get(target.id), topic: detail.type, changedAt, askedAt: changedAt });
});
document.addEventListener("htmx:beforeRequest", ({ detail }) => { detail.xhr.sentAt = Date.now(); });
document.addEventListener("htmx:afterRequest", ({ detail }) => {
  const { id } = detail.requestConfig.elt;
  const part = behind.get(id);
  if (part || detail.xhr.status === SIGNED_OUT) refuse(detail.xhr.status);
  if (!part || !detail.successful) return;
  part.trueAt = detail.xhr.sentAt;
  if (part.changedAt <= part.trueAt) behind.delete(id);
  show();
});

function askAgain(part, id) {
  if (Date.now() - part.askedAt < AGAIN_MS) return;
  part.askedAt = Date.now();
  const element = document.getElementById(id);
  if (element) htmx.trigger(element, `sse:${part.topic}`);
  else behind.delete(id);
}

// A computer that slept, a network that swallows what is sent, a server that hangs: none of them ends a stream.
setInterval(() => {
  if (!stream || document.hidden || refusedFor) return;
  if (Date.now() - Math.max(heardAt, stream.openedAt) > SILENT_MS) stream.open();
  behind.forEach(askAgain);
  show();
}, 1000);

// a browser without a network knows it at once
window.addEventListener("offline", () => {
  isCutOff = true;
  show();
});
window.addEventListener("online", () => {
  isCutOff = false;
  if (stream && !document.hidden && !refusedFor) stream.open();
  show();
});

// The one line of a page that says what a reader of the screen cannot see happen: the page is not live any more, or
// what changed (elements with data-say). It is seen only where it says that the page is not live.
const statusLine = document.getElementById("status");

function warns() {
  return statusLine.textContent && !statusLine.classList.contains("only-read");
}

function say(text, seen, link = null) {
  statusLine.classList.toggle("only-read", !seen);
  if (statusLine.dataset.said === text) return;
  statusLine.dataset.said = text;
  statusLine.replaceChildren(text, ...(link ? [" ", link] : []));
}

// What to do about a page that was refused for good: signing in leads back to it.
function wayOn() {
  const isSignedOut = refusedFor === SIGNED_OUT;
  const here = location.pathname + location.search;
  const link = document.createElement("a");
  link.href = isSignedOut ? `${texts.signIn}?next=${encodeURIComponent(here)}` : here;
  link.textContent = isSignedOut ? texts.textSignIn : texts.textReload;
  return link;
}

function clock(time) {
  const date = new Date(time);
  const day = date.toDateString() === new Date().toDateString() ? {} : { day: "numeric", month: "short" };
  return date.toLocaleString(document.documentElement.lang, {
    ...day, hour: "2-digit", minute: "2-digit", hourCycle: "h23",
  });
}

function show() {
  const now = Date.now();
  const trueAt = Math.min(heardAt, ...[...behind.values()].map((part) => part.trueAt));
  if (refusedFor) {
    const text = refusedFor === SIGNED_OUT ? texts.textSignedOut : texts.textGone;
    say(text.replace("{}", clock(trueAt)), true, wayOn());
    return;
  }
  const isLate = stream && now - trueAt > SILENT_MS + GRACE_MS && (warns() || now - stream.openedAt > GRACE_MS);
  const text = isCutOff ? texts.textOffline : stream?.isRefused ? texts.textRefused : texts.textSilent;
  if (isCutOff || isLate) say(text.replace("{}", clock(trueAt)), true);
  else if (warns()) say("", false);
}

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
