// Keeps the list fresh and the countdown going. Without this script the page loads itself anew every five seconds.
"use strict";

let left = 0;
let shown = "";

// The countdown aside: only what really changed is drawn anew, so that nobody's finger or focus loses its place.
const bare = (text) => text.replace(/<strong id="left"[^]*?<\/strong>/, "");

function settle() {
  const clock = document.getElementById("left");
  left = clock ? Number(clock.dataset.ms) : 0;
}

async function refresh() {
  // Whoever is choosing a reason is not to have it taken away.
  const chooses = document.querySelector("details[open]");
  const offline = document.getElementById("offline");
  try {
    const answer = await fetch("/round/list", { cache: "no-store" });
    if (answer.status === 403) { location.href = "/login"; return; }
    const text = await answer.text();
    if (answer.ok && !chooses && bare(text) !== shown) {
      document.getElementById("round").outerHTML = text;
      shown = bare(text);
      settle();
    }
  } catch {
    if (offline) offline.hidden = false;
  }
}

setInterval(() => {
  const aim = document.getElementById("aim");
  if (aim && aim.complete) aim.src = "/round/aim.jpg?" + Date.now();
}, 500);
setInterval(refresh, 2000);
setInterval(() => {
  left = Math.max(0, left - 1000);
  const clock = document.getElementById("left");
  const seconds = Math.floor(left / 1000);
  if (clock) clock.textContent = Math.floor(seconds / 60) + ":" + String(seconds % 60).padStart(2, "0");
}, 1000);
settle();
