// Draws bed zones on a camera's picture. Everything is in the picture's own pixels; the svg scales.
"use strict";
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const LEAST = 64;
const HEADS = ["up", "right", "down", "left"];
const HEAD_WORDS = { up: "上 up", right: "右 right", down: "下 down", left: "左 left" };
const token = document.querySelector("meta[name=token]").content;
let state = { version: "", cameras: [], zones: [], missing: [] };
let camera = "", size = null, chosen = null, changed = false, shot = 0, busy = false;

function make(name, attributes, parent) {
  const it = document.createElementNS(SVG, name);
  for (const key in attributes) it.setAttribute(key, attributes[key]);
  if (parent) parent.append(it);
  return it;
}
const here = () => state.zones.filter((zone) => zone.camera === camera);
const clamp = (value, low, high) => Math.min(Math.max(Math.round(value), low), high);

function say(text, bad) {
  $("said").textContent = text;
  $("said").className = bad ? "bad" : "";
}
function complain(list) {
  $("complaints").replaceChildren(...list.map((text) => {
    const it = document.createElement("li");
    it.textContent = text;
    return it;
  }));
}
function touch() {
  changed = true;
  $("save").disabled = false;
  say("有未保存的改动 · not saved yet", false);
}

/* Keeps a zone inside the picture and large enough for a face. */
function fit(zone) {
  if (!size) return;
  zone.width = clamp(zone.width, LEAST, size.width);
  zone.height = clamp(zone.height, LEAST, size.height);
  zone.x = clamp(zone.x, 0, size.width - zone.width);
  zone.y = clamp(zone.y, 0, size.height - zone.height);
}

function draw() {
  const zones = here();
  $("nothing").hidden = size !== null;
  if (size) {
    $("stage").setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
    for (const id of ["picture", "mask"]) {
      $(id).setAttribute("width", size.width);
      $(id).setAttribute("height", size.height);
    }
    const hole = (zone) => make("rect", { x: zone.x, y: zone.y, width: zone.width, height: zone.height, fill: "#000" });
    const all = make("rect", { x: 0, y: 0, width: size.width, height: size.height, fill: "#fff" });
    $("holes").replaceChildren(all, ...zones.map(hole));
  }
  const focused = document.activeElement && document.activeElement.dataset.bed;
  $("zones").replaceChildren(...zones.map(shape));
  // Whoever held the keyboard's focus has it again; after a press that is the zone that was pressed.
  if (focused && document.activeElement === document.body) refocus(chosen ? chosen.bed : focused);
  list(zones);
  $("unseen").textContent = unseen().length
    ? `名册中还没画的床 · beds of the roster without a zone: ${unseen().join(", ")}` : "";
  $("missing").replaceChildren(...unseen().map((bed) => {
    const it = document.createElement("option");
    it.value = bed;
    return it;
  }));
}
const unseen = () => state.missing.filter((bed) => !state.zones.some((zone) => zone.bed === bed));

function refocus(bed) {
  const again = [...$("zones").children].find((it) => it.dataset.bed === bed);
  if (again) again.focus();
}

function shape(zone) {
  const unit = size ? size.width / 100 : 10;
  const group = make("g", {
    class: zone === chosen ? "zone chosen" : "zone", tabindex: 0, role: "group",
    "aria-label": `床 bed ${zone.bed}: x ${zone.x}, y ${zone.y}, ${zone.width} × ${zone.height}, 床头 head ${HEAD_WORDS[zone.head]}`,
  });
  group.dataset.bed = zone.bed;
  const body = make("rect", { class: "body", x: zone.x, y: zone.y, width: zone.width, height: zone.height }, group);
  make("path", { d: arrow(zone, unit) }, group);
  const label = make("text", { x: zone.x + unit, y: zone.y + 3.2 * unit, "font-size": 2.6 * unit }, group);
  label.textContent = zone.bed;
  body.addEventListener("pointerdown", (event) => drag(event, zone, ""));
  for (const side of ["nw", "n", "ne", "e", "se", "s", "sw", "w"]) {
    const cx = zone.x + (side.includes("w") ? 0 : side.includes("e") ? zone.width : zone.width / 2);
    const cy = zone.y + (side.includes("n") ? 0 : side.includes("s") ? zone.height : zone.height / 2);
    const dot = make("circle", { class: side, cx, cy, r: unit }, group);
    dot.addEventListener("pointerdown", (event) => drag(event, zone, side));
  }
  group.addEventListener("focus", () => choose(zone));
  group.addEventListener("keydown", (event) => key(event, zone));
  return group;
}

/* A triangle at the side where heads point. */
function arrow(zone, unit) {
  const x = zone.x + zone.width / 2, y = zone.y + zone.height / 2, a = 2 * unit;
  if (zone.head === "up") return `M${x} ${zone.y + a / 2}l${a} ${a}h${-2 * a}Z`;
  if (zone.head === "down") return `M${x} ${zone.y + zone.height - a / 2}l${a} ${-a}h${-2 * a}Z`;
  if (zone.head === "left") return `M${zone.x + a / 2} ${y}l${a} ${a}v${-2 * a}Z`;
  return `M${zone.x + zone.width - a / 2} ${y}l${-a} ${a}v${-2 * a}Z`;
}

function choose(zone) {
  if (chosen === zone) return;
  chosen = zone;
  draw();
}

function point(event) {
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform($("stage").getScreenCTM().inverse());
  return { x: at.x, y: at.y };
}

/* Moves (side ""), or pulls at a side, until the pointer is released. */
function drag(event, zone, side) {
  if (event.button !== 0 || !size) return;
  event.preventDefault();
  event.stopPropagation();
  const from = point(event), was = { ...zone };
  chosen = zone;
  draw();
  const move = (event) => {
    const to = point(event), dx = to.x - from.x, dy = to.y - from.y;
    if (side === "") { zone.x = was.x + dx; zone.y = was.y + dy; fit(zone); }
    else pull(zone, was, side, dx, dy);
    touch();
    draw();
  };
  until(move);
}
function until(move, end) {
  const stop = () => {
    removeEventListener("pointermove", move);
    removeEventListener("pointerup", stop);
    removeEventListener("pointercancel", stop);
    if (end) end();
  };
  addEventListener("pointermove", move);
  addEventListener("pointerup", stop);
  addEventListener("pointercancel", stop);
}
function pull(zone, was, side, dx, dy) {
  let left = was.x, top = was.y, right = was.x + was.width, bottom = was.y + was.height;
  if (side.includes("w")) left = clamp(left + dx, 0, right - LEAST);
  if (side.includes("e")) right = clamp(right + dx, left + LEAST, size.width);
  if (side.includes("n")) top = clamp(top + dy, 0, bottom - LEAST);
  if (side.includes("s")) bottom = clamp(bottom + dy, top + LEAST, size.height);
  Object.assign(zone, { x: left, y: top, width: right - left, height: bottom - top });
}

/* Dragging on free ground draws the next bed of the roster, or the one whose number was typed. */
$("mask").addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !size) return;
  event.preventDefault();
  const from = point(event);
  let zone = null;
  until((event) => {
    const to = point(event);
    const width = Math.abs(to.x - from.x), height = Math.abs(to.y - from.y);
    if (!zone && (width < LEAST || height < LEAST)) return;
    if (!zone) zone = add();
    if (!zone) return;
    Object.assign(zone, { x: Math.min(from.x, to.x), y: Math.min(from.y, to.y), width, height });
    fit(zone);
    draw();
  });
});

function add() {
  const bed = $("name").value.trim() || unseen()[0] || next();
  if (state.zones.some((zone) => zone.bed === bed)) {
    say(`床 ${bed} 已经有区域 · bed ${bed} has a zone already`, true);
    return null;
  }
  const side = Math.round(size.height / 2);
  const zone = { bed, camera, x: Math.round((size.width - side) / 2), y: Math.round(size.height / 4), width: side, height: side, head: "up" };
  fit(zone);
  state.zones.push(zone);
  $("name").value = "";
  chosen = zone;
  touch();
  return zone;
}
function next() {
  let number = 1;
  const name = () => String(number).padStart(2, "0");
  while (state.zones.some((zone) => zone.bed === name())) number += 1;
  return name();
}
function remove(zone) {
  state.zones = state.zones.filter((other) => other !== zone);
  if (chosen === zone) chosen = null;
  touch();
  draw();
}

function key(event, zone) {
  const step = event.shiftKey ? 10 : 1;
  const by = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
  if (by && event.altKey) { zone.width += by[0]; zone.height += by[1]; }
  else if (by) { zone.x += by[0]; zone.y += by[1]; }
  else if (event.key === "h" || event.key === "H") zone.head = HEADS[(HEADS.indexOf(zone.head) + 1) % 4];
  else if (event.key === "Delete" || event.key === "Backspace") { event.preventDefault(); remove(zone); return; }
  else return;
  event.preventDefault();
  fit(zone);
  touch();
  draw();
  refocus(zone.bed);
}

/* The same as numbers, for hands that cannot drag. */
function list(zones) {
  const focus = document.activeElement && document.activeElement.id;
  $("beds").replaceChildren(...zones.map((zone, at) => {
    const it = document.createElement("li");
    it.className = zone === chosen ? "chosen" : "";
    const head = row(it, "row head"), numbers = row(it, "row");
    field(head, `bed-${at}`, "床号 bed", zone.bed, "text", (value) => { zone.bed = value.trim(); });
    field(head, `head-${at}`, "床头 head", zone.head, HEADS, (value) => { zone.head = value; });
    const button = document.createElement("button");
    button.textContent = "删除 ×";
    button.setAttribute("aria-label", `删除 delete ${zone.bed}`);
    button.addEventListener("click", () => remove(zone));
    head.append(button);
    for (const [key, word] of [["x", "左 x"], ["y", "上 y"], ["width", "宽 w"], ["height", "高 h"]]) {
      field(numbers, `${key}-${at}`, word, zone[key], "number", (value) => { zone[key] = Number(value) || 0; fit(zone); });
    }
    return it;
  }));
  if (focus && $(focus)) $(focus).focus();
}
function row(parent, name) {
  const it = document.createElement("div");
  it.className = name;
  parent.append(it);
  return it;
}
function field(parent, id, word, value, kind, take) {
  const label = document.createElement("label");
  label.textContent = word;
  const input = document.createElement(Array.isArray(kind) ? "select" : "input");
  if (Array.isArray(kind)) {
    for (const choice of kind) input.append(new Option(HEAD_WORDS[choice], choice));
  } else {
    input.type = kind;
    if (kind === "text") input.maxLength = 64;
  }
  input.id = id;
  input.value = value;
  input.addEventListener("change", () => { take(input.value); touch(); draw(); });
  label.append(input);
  parent.append(label);
}

function tabs() {
  $("cameras").replaceChildren(...state.cameras.map((name) => {
    const button = document.createElement("button");
    button.textContent = name;
    button.setAttribute("role", "tab");
    button.setAttribute("aria-selected", name === camera);
    button.addEventListener("click", () => { camera = name; size = null; chosen = null; tabs(); refresh(true); draw(); });
    return button;
  }));
}

/* One picture in flight; the next is asked for when it is there. */
function refresh(now) {
  if (!camera || busy || (!now && ($("hold").checked || document.hidden))) return;
  busy = true;
  const asked = camera, picture = new Image();
  picture.onload = () => {
    busy = false;
    if (asked !== camera) return refresh(true);
    const first = size === null;
    size = { width: picture.naturalWidth, height: picture.naturalHeight };
    $("picture").setAttribute("href", picture.src);
    if (first) draw();
  };
  picture.onerror = () => { busy = false; };
  shot += 1;
  picture.src = `/camera/${encodeURIComponent(asked)}?${shot}`;
}

async function load() {
  const answer = await fetch("/zones");
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    say("配置有误，请先改正 · the configuration has mistakes: correct it first", true);
    complain(told.complaints || []);
    return;
  }
  state = told;
  changed = false;
  $("save").disabled = true;
  if (!state.cameras.includes(camera)) camera = state.cameras[0] || "";
  chosen = null;
  tabs();
  draw();
  refresh(true);
}

$("save").addEventListener("click", async () => {
  $("save").disabled = true;
  complain([]);
  const answer = await fetch("/zones", {
    method: "POST",
    headers: { "content-type": "application/json", "x-bedcheck-token": token },
    body: JSON.stringify({ version: state.version, zones: state.zones }),
  }).catch(() => null);
  const told = answer ? await answer.json().catch(() => ({})) : {};
  if (answer && answer.ok) {
    state.version = told.version;
    changed = false;
    say("已保存，运行中的终端会自动采用 · saved; a running agent takes it by itself", false);
    return;
  }
  $("save").disabled = false;
  complain(told.complaints || []);
  if (answer && answer.status === 409) say("文件已被他人修改，请刷新页面 · the file was changed meanwhile: reload the page", true);
  else if (answer && answer.status === 403) say("会话已过期，请重新运行 bedcheck zones · the visit is over: run bedcheck zones again", true);
  else say("未保存 · not saved", true);
});
$("add").addEventListener("click", () => { if (size) { add(); draw(); } });
addEventListener("beforeunload", (event) => { if (changed) event.preventDefault(); });
setInterval(() => refresh(false), 1500);
load();
