// How long a visit takes from the face page to the result where passive liveness suffices, how many pictures a second the
// preview shows, and what of one core the agent takes meanwhile:
//   tests/browser/install && DEVICE_BIN=$PWD/target/release node tests/browser/kiosk-figures.mjs [VISITS]
// One JSON object. The camera is a recording of a made-up person; a challenge needs somebody who moves (tests/kiosk.rs).
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { program, world } from "./device-world.mjs";
import { ARGS, chromium } from "./hands.mjs";

const visits = Number(process.argv[2] ?? 7);
const TICKS = 100;

const browser = await chromium.launchPersistentContext(mkdtempSync(join(tmpdir(), "chromium-")), {
  executablePath: program,
  args: ARGS,
});
const place = await world();
const used = () => {
  const fields = readFileSync(`/proc/${place.agent}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
};
const page = await browser.newPage();
let pictures = 0;
page.on("websocket", (socket) => socket.on("framereceived", ({ payload }) => { if (typeof payload !== "string") pictures += 1; }));
const at = (name) => page.waitForSelector(`#screen[data-page=${name}]`);
const took = [], rates = [], shares = [];
for (let visit = 0; visit < visits; visit += 1) {
  await page.goto(place.kiosk);
  await at("start");
  await page.click("button[value=admission]");
  await at("notice");
  await page.click("button[value=agree]");
  await at("claim");
  await page.fill("#typed", "M12");
  const [before, cpu] = [pictures, used()];
  await page.click("button[value=claim]");
  await at("face");
  const began = performance.now();
  await at("result");
  const seconds = (performance.now() - began) / 1000;
  took.push(seconds);
  rates.push((pictures - before) / seconds);
  shares.push((used() - cpu) / seconds);
  await page.click("button[value=cancel]");
}
const median = (list) => Number([...list].sort((a, b) => a - b)[Math.floor(list.length / 2)].toFixed(2));
console.log(JSON.stringify({ visits, seconds: median(took), longest: Number(Math.max(...took).toFixed(2)),
  pictures_per_second: median(rates), cores_while_verifying: median(shares) }));
await browser.close();
place.end();
