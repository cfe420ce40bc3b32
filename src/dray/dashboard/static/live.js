// Live updates: the server says when something may have changed, and the page fetches itself and is put in the place of the old one.
import { base, morph, page, problemIn, say } from "./page.js";
import { hear } from "./times.js";

const PAUSED = "dray-paused";
const GAP = 1200; // milliseconds between two fetches at least; more where a page takes long
const button = document.getElementById("live"), word = button.querySelector(".word");
const WORDS = { live: "Live", paused: "Paused", lost: "Lost", off: "Still" };

let source = null, state = "", etag = "", busy = false, wanted = false, last = 0, took = 0, timer = 0, tries = 0, unheard = 0;

const isLive = () => page().dataset.live === "1";
const isPaused = () => sessionStorage.getItem(PAUSED) === "1";

function show(next) {
  if (next === state) return;
  const before = state;
  state = next;
  button.dataset.state = next;
  button.setAttribute("aria-pressed", String(next === "live"));
  word.textContent = WORDS[next];
  if (next === "lost") say("The connection is lost; trying again.", "bad");
  if (next === "live" && before === "lost") say("The connection is back.");
}

export function pause() {
  if (!isLive()) return void say("This page does not change by itself.");
  if (isPaused()) sessionStorage.removeItem(PAUSED);
  else sessionStorage.setItem(PAUSED, "1");
  say(isPaused() ? "Live updates are paused." : "Live updates go on.");
  begin();
}
button.addEventListener("click", pause);

function end() {
  source?.close();
  source = null;
  clearTimeout(timer);
  clearTimeout(unheard);
}

function begin() {
  end();
  if (!isLive()) return show("off");
  if (isPaused()) return show("paused");
  if (document.hidden) return;
  source = new EventSource(`${base}/live`);
  source.addEventListener("hello", () => {
    clearTimeout(unheard);
    const lost = state === "lost";
    tries = 0;
    show("live");
    if (lost || last) refresh(); // what happened while nobody listened
  });
  source.addEventListener("change", () => refresh());
  source.addEventListener("error", () => {
    show("lost");
    if (source?.readyState === EventSource.CLOSED) again();
  });
  // A proxy that keeps everything back until the end: then the page is fetched now and then.
  unheard = setTimeout(() => { if (state !== "live") { refresh(true); again(); } }, 10000);
}

function again() {
  end();
  timer = setTimeout(begin, Math.min(15000, 1000 * 2 ** tries++));
}

// Not while somebody marks text or answers a question: it would be taken from under the hand.
const held = () => (!getSelection().isCollapsed && page().contains(getSelection().anchorNode)) || document.querySelector("dialog[open]");

export function refresh(now = false) {
  wanted = true;
  if (busy) return;
  clearTimeout(timer);
  const wait = now ? 0 : Math.max(GAP, took * 8) - (performance.now() - last);
  timer = setTimeout(look, Math.max(0, wait), now);
}

async function look(now) {
  if (busy || (document.hidden && !now)) return;
  if (held() && !now) return void (timer = setTimeout(look, 700));
  busy = true;
  wanted = false;
  const began = performance.now(), here = location.href;
  try {
    const answer = await fetch(here, { headers: { "Dray-Live": "1", ...(etag && { "If-None-Match": etag }) }, cache: "no-store" });
    hear(answer.headers.get("date"));
    if (answer.redirected || answer.status === 401) return void location.reload(); // signed out meanwhile
    if (answer.status === 304) return;
    const text = await answer.text();
    if (answer.ok || answer.status === 404) {
      etag = answer.headers.get("etag") || "";
      await morph(text);
      if (!isLive()) begin();
    } else if (answer.status >= 500) {
      show("lost");
      say(problemIn(text), "bad");
    }
    if (answer.ok && state === "lost" && source?.readyState === EventSource.OPEN) show("live");
  } catch {
    if (isLive() && !isPaused()) show("lost");
  } finally {
    busy = false;
    last = performance.now();
    took = last - began;
    if (wanted) refresh();
  }
}

document.addEventListener("visibilitychange", () => (document.hidden ? end() : begin()));
addEventListener("pagehide", end);
addEventListener("pageshow", (event) => event.persisted && begin());
last = 0;
begin();
