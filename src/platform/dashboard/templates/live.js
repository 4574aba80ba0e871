"use strict";
// Fetches the live part of a page again when the platform says that something changed, and each 15 s for the ages. The tag
// of this script says where from (data-from) and into which element (data-into, else the whole content).
const { from, into } = document.currentScript.dataset;
const board = document.getElementById(into || "board");
const lamp = document.getElementById("live");
let busy = false;
let again = false;
let events = null;

function tell(state) {
  if (lamp && lamp.className !== state) {
    lamp.className = state;
    lamp.textContent = lamp.dataset[state];
  }
}

async function refresh() {
  if (busy) { again = true; return; }
  busy = true;
  try {
    const answer = await fetch(from, { cache: "no-store" });
    if (answer.ok) show(await answer.text());
    // The session is over: the page itself leads to signing in.
    else if (answer.status === 401) location.reload();
  } catch { tell("off"); }
  // At most twice a second: a whole ward reports within seconds.
  setTimeout(() => { busy = false; if (again) { again = false; refresh(); } }, 500);
}

function show(html) {
  const focused = board.contains(document.activeElement) ? document.activeElement.id : "";
  const list = board.querySelector(".cases");
  const scrolled = list ? list.scrollTop : 0;
  board.replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
  const fresh = board.querySelector(".cases");
  if (fresh) fresh.scrollTop = scrolled;
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

// A browser keeps few connections to one place: pages that nobody sees hold none.
function listen() {
  events?.close();
  events = null;
  if (document.hidden) return;
  events = new EventSource("/events");
  events.addEventListener("change", refresh);
  events.onopen = () => tell("on");
  events.onerror = () => tell("off");
}

document.addEventListener("visibilitychange", listen);
setInterval(() => { if (!document.hidden) refresh(); }, 15000);
listen();
