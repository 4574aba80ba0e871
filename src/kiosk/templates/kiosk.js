// The moving picture, the spoken prompts and the change of pages. Without this script the pages work by themselves.
"use strict";

let socket = null;
let spoken = null;
let voice = null;
let wanted = false;

const screen = () => document.getElementById("screen");

async function swap(query) {
  if (wanted) return;
  wanted = true;
  try {
    const answer = await fetch("/screen" + (query || ""), { cache: "no-store" });
    if (answer.ok) screen().outerHTML = await answer.text();
  } finally {
    wanted = false;
  }
  settle();
}

function settle() {
  const typed = document.getElementById("typed");
  if (typed) typed.focus();
  const keys = document.getElementById("keys");
  if (keys) {
    for (const key of "1234567890XM") addKey(keys, key, () => { typed.value += key; });
    addKey(keys, "⌫", () => { typed.value = typed.value.slice(0, -1); }, "删除 delete");
    keys.hidden = false;
  }
}

function addKey(keys, text, press, label) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  if (label) button.setAttribute("aria-label", label);
  button.addEventListener("click", press);
  keys.append(button);
}

function say(name) {
  if (!name || name === spoken) return;
  spoken = name;
  if (voice) voice.pause();
  voice = new Audio("/voice/" + name);
  voice.play().catch(() => {});
}

function told(said) {
  const current = screen();
  if (Number(current.dataset.screen) !== said.screen) {
    spoken = null;
    swap("");
  }
  const seconds = document.getElementById("seconds");
  if (seconds && said.seconds !== null) seconds.textContent = said.seconds;
  const steps = document.getElementById("steps");
  if (steps) steps.textContent = said.done + " / " + said.of;
  const prompt = document.getElementById("prompt");
  if (prompt && said.chinese && prompt.dataset.said !== said.chinese) {
    prompt.dataset.said = said.chinese;
    const english = document.createElement("span");
    english.lang = "en";
    english.textContent = said.english;
    prompt.replaceChildren(said.chinese + " ", english);
  }
  if (prompt) prompt.classList.toggle("good", said.good);
  place = said.place;
  good = said.good;
  say(said.voice);
}

let place = null;
let good = false;

async function drawn(bytes) {
  const canvas = document.getElementById("picture");
  if (!canvas) return;
  const picture = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }));
  if (canvas.width !== picture.width || canvas.height !== picture.height) {
    canvas.width = picture.width;
    canvas.height = picture.height;
  }
  const ink = canvas.getContext("2d");
  ink.drawImage(picture, 0, 0);
  picture.close();
  if (!place) return;
  ink.lineWidth = 4;
  ink.strokeStyle = good ? "#37d67a" : "#ffd166";
  ink.setLineDash(good ? [] : [12, 8]);
  const [x, y, width, height] = place;
  ink.strokeRect(x * canvas.width, y * canvas.height, width * canvas.width, height * canvas.height);
}

function look() {
  socket = new WebSocket("ws://" + location.host + "/eyes");
  socket.binaryType = "arraybuffer";
  const next = () => { if (socket.readyState === 1) socket.send("next"); };
  socket.addEventListener("open", next);
  socket.addEventListener("message", async (event) => {
    if (typeof event.data === "string") {
      told(JSON.parse(event.data.slice(1)));
      if (event.data[0] === "-") next();
      return;
    }
    await drawn(event.data);
    next();
  });
  socket.addEventListener("close", () => setTimeout(look, 1000));
}

document.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const fields = new URLSearchParams(new FormData(form, event.submitter));
  const answer = await fetch(form.action, { method: "POST", body: fields });
  await swap(new URL(answer.url).search);
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("a.button");
  if (!link) return;
  event.preventDefault();
  swap(new URL(link.href).search);
});

settle();
look();
