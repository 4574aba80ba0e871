// Keeps the picture of the camera moving, and says that something is being done.
"use strict";
const picture = document.getElementById("live");
if (picture) {
  const source = picture.src;
  const next = () => setTimeout(() => {
    if (document.hidden) { next(); return; }
    picture.src = `${source}?at=${Date.now()}`;
  }, 300);
  picture.addEventListener("load", next);
  picture.addEventListener("error", () => setTimeout(next, 2000));
  next();
}
const choice = document.getElementById("camera");
if (choice) choice.addEventListener("change", () => choice.form.requestSubmit());
for (const form of document.querySelectorAll("form[data-wait]")) {
  form.addEventListener("submit", () => { document.getElementById("said").textContent = form.dataset.wait; });
}
