// How a page stays live, and what it says when it is not live any more.

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
