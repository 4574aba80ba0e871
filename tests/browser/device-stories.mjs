// Stories of the device's own pages, in a real browser against the built programs:
//   tests/browser/install && node tests/browser/device-stories.mjs [FOLDER FOR SCREENSHOTS]
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { SECOND, STAFF, program, until, world } from "./device-world.mjs";
import { ARGS, barriers, chromium } from "./hands.mjs";

const shots = process.argv[2];
if (shots) mkdirSync(shots, { recursive: true });
const SIZES = [[1280, 800], [800, 1280], [390, 844]];

const browser = await chromium.launchPersistentContext(mkdtempSync(join(tmpdir(), "chromium-")), {
  executablePath: program,
  args: ARGS,
});
const place = await world();
let failed = 0;

async function story(name, tell) {
  const page = await browser.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  // A form that is refused with words comes back as 422.
  page.on("console", (message) => {
    if (message.type() === "error" && !message.text().includes("status of 422")) errors.push(message.text());
  });
  page.setDefaultTimeout(60_000);
  try {
    await tell(page);
    assert.deepEqual(errors, [], "the page complains");
    console.log(`ok   ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name}\n${error.stack}`);
    if (shots) await page.screenshot({ path: join(shots, `failed-${failed}.png`) });
  }
  await page.close();
}

/// The page at every size; nothing may stick out sideways.
async function look(page, name) {
  for (const [width, height] of SIZES) {
    await page.setViewportSize({ width, height });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(wide <= 0, `${name} at ${width}: ${wide} pixels too wide`);
    const high = await page.evaluate(() => document.documentElement.scrollHeight - document.documentElement.clientHeight);
    // Only the notice is read by scrolling, with the answers always in sight.
    if (name.startsWith("kiosk") && name !== "kiosk-notice" && width === 1280) assert.ok(high <= 0, `${name}: ${high} pixels too high`);
    if (shots) await page.screenshot({ path: join(shots, `${name}-${width}x${height}.png`), fullPage: false });
  }
  await page.setViewportSize({ width: 1280, height: 800 });
}

const at = (page, name) => page.waitForSelector(`#screen[data-page=${name}]`);
const press = (page, what) => page.click(`button[value=${what}]`);

async function comes(page, purpose, number = "M12") {
  await page.goto(place.kiosk);
  await at(page, "start");
  await press(page, purpose);
  await at(page, "notice");
  await press(page, "agree");
  await at(page, "claim");
  await page.fill("#typed", number);
  await press(page, "claim");
}

await story("a patient is verified, and every page fits every screen", async (page) => {
  await page.goto(place.kiosk);
  await at(page, "start");
  await look(page, "kiosk-start");
  await press(page, "admission");
  await at(page, "notice");
  await look(page, "kiosk-notice");
  await press(page, "agree");
  await at(page, "claim");
  await look(page, "kiosk-claim");
  await page.fill("#typed", "nobody");
  await press(page, "claim");
  await page.waitForSelector(".complaint");
  await look(page, "kiosk-claim-unknown");
  await page.fill("#typed", "");
  await page.click(".keys button:has-text('M')");
  await page.click(".keys button:has-text('1')");
  await page.click(".keys button:has-text('2')");
  await press(page, "claim");
  await at(page, "face");
  await until(() => page.evaluate(() => {
    const canvas = document.getElementById("picture");
    return canvas && canvas.getContext("2d").getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data[3] > 0;
  }));
  if (shots) await page.screenshot({ path: join(shots, "kiosk-face-1280x800.png") });
  await at(page, "result");
  assert.match(await page.textContent("h1"), /核验通过/);
  await look(page, "kiosk-result-good");
  await press(page, "cancel");
  await until(async () => (await place.verifications())[0]?.outcome === "verified");
});

await story("whoever cannot use the camera is signed for by two of the staff", async (page) => {
  await page.goto(place.kiosk);
  await at(page, "start");
  await press(page, "settlement");
  await at(page, "notice");
  await press(page, "decline");
  await at(page, "claim");
  await page.fill("#typed", "M12");
  await press(page, "claim");
  await at(page, "staff");
  await look(page, "kiosk-staff");
  const sign = async ({ name, pin }) => {
    await page.check("input[value=id_card]");
    await page.fill("input[name=name]", name);
    await page.fill("input[name=pin]", pin);
    await page.click("button:has-text('签名确认')");
  };
  await sign({ ...STAFF, pin: "999998" });
  await page.waitForSelector(".complaint");
  await sign(STAFF);
  await page.waitForSelector("text=1 / 2");
  await sign(SECOND);
  await at(page, "result");
  assert.match(await page.textContent("h1"), /人工核验完成/);
  await press(page, "cancel");
});

await story("a proxy says who they are and what is bought", async (page) => {
  await comes(page, "pickup");
  await at(page, "who");
  await look(page, "kiosk-who");
  await page.click("a.button");
  await page.waitForSelector("input[name=relation]");
  await look(page, "kiosk-proxy");
  await page.fill("#typed", "999999199001011234");
  await page.fill("input[name=name]", "李四");
  await page.check("input[value=child]");
  await press(page, "proxy");
  await at(page, "purchase");
  await look(page, "kiosk-purchase");
  await page.fill("input[name=amount]", "128.50");
  await page.fill("textarea", "86900001 86900002");
  await press(page, "buys");
  await at(page, "staff");
  await page.waitForSelector("text=0 / 1");
  await press(page, "cancel");
  await until(async () => (await place.verifications())[0]?.proxy_name === "李*");
});

await story("somebody else is not recognised, is not accused, and may try again", async (page) => {
  await comes(page, "admission", "M01");
  await at(page, "again");
  await look(page, "kiosk-again");
  await press(page, "retry");
  await at(page, "result");
  assert.doesNotMatch(await page.textContent("body"), /不符|攻击/);
  await look(page, "kiosk-result-staff");
  await press(page, "cancel");
  await until(async () => (await place.verifications())[0]?.outcome === "mismatch");
});

await story("without a script the same pages take the same forms, and show still pictures", async () => {
  const plain = await chromium.launch({ executablePath: program, args: ARGS });
  const page = await (await plain.newContext({ javaScriptEnabled: false })).newPage();
  try {
    await page.goto(place.kiosk);
    for (const what of ["admission", "agree"]) await press(page, what);
    await at(page, "claim");
    await page.fill("#typed", "nobody");
    await press(page, "claim");
    await page.waitForSelector(".complaint");
    await page.fill("#typed", "M12");
    await press(page, "claim");
    await at(page, "face");
    const still = await page.waitForResponse((answer) => answer.url().endsWith("/still.jpg"));
    assert.ok(still.status() === 200 && (await still.body()).length > 3000);
    if (shots) await page.screenshot({ path: join(shots, "kiosk-face-without-script.png") });
    // The page loads itself anew until there is a result.
    await at(page, "result");
    await press(page, "cancel");
    await at(page, "start");
  } finally {
    await plain.close();
  }
});

await story("a nurse walks an ordered round", async (page) => {
  await page.goto(place.page + "/round");
  await page.waitForSelector("input[name=pin]");
  await look(page, "round-login");
  await page.fill("input[name=name]", STAFF.name);
  await page.fill("input[name=pin]", STAFF.pin);
  await page.click("button:has-text('登录')");
  await page.waitForSelector("#round");
  await look(page, "round-none");
  place.order();
  await page.waitForSelector("text=抽查", { timeout: 120_000 });
  await look(page, "round-list");
  await page.click("button:has-text('我在床边')");
  await page.waitForSelector(".state");
  await until(() => page.evaluate(() => document.getElementById("aim")?.naturalWidth > 100));
  await look(page, "round-here");
  await page.click("summary");
  await look(page, "round-reasons");
  await page.click("button[value=washing]");
  await page.waitForSelector(".what:has-text('洗漱如厕')");
  await look(page, "round-later");
  assert.equal((await page.request.get(place.page + "/")).status(), 403, "zones are not for nurses");
});

/// As hospital IT: by the link that works once.
async function owner(page) {
  await page.goto(place.link());
  await page.waitForSelector("#beds li");
}

await story("hospital IT looks at zones, cameras and beds", async (page) => {
  await owner(page);
  assert.deepEqual(await barriers(page), []);
  await page.click("a[href='/ward']");
  await page.waitForSelector("text=摄像头");
  await look(page, "ward");
  assert.deepEqual(await barriers(page), []);
  await page.goto(place.page + "/");
  await page.waitForSelector("#beds li");
  await page.setViewportSize({ width: 1280, height: 800 });
  if (shots) await page.screenshot({ path: join(shots, "zones-1280x800.png") });
});

await story("a person is enrolled at the page, and one face under two identities is told", async (page) => {
  await owner(page);
  await page.goto(place.page + "/ward");
  await page.click("a[href='/enrol?bed=12']");
  await page.waitForSelector("h1:has-text('登记人脸')");
  const take = async (count) => {
    await page.click("button[value=take]");
    await page.waitForSelector(`.shots li:nth-child(${count})`);
  };
  const seen = () => page.waitForFunction(() => document.getElementById("live").naturalWidth > 100);
  // Before the cart lies somebody else.
  await page.selectOption("#camera", "cart");
  await page.waitForURL(/camera=cart/);
  await take(1);
  await page.selectOption("#camera", "kiosk-1");
  await page.waitForURL(/camera=kiosk-1/);
  for (const count of [2, 3]) await take(count);
  await page.click("button[value=finish]");
  await page.waitForSelector("[role=alert]:has-text('不是同一个人')");
  await seen();
  await look(page, "enrol-two-people");
  assert.deepEqual(await barriers(page), []);
  await page.click("button[value='0']");
  await page.waitForFunction(() => document.querySelectorAll(".shots li").length === 2);
  await take(3);
  await seen();
  assert.ok(await page.evaluate(() => [...document.querySelectorAll(".shots img")].every((image) => image.naturalWidth === 180)));
  await look(page, "enrol-good");
  await page.click("button[value=finish]");
  await page.waitForSelector(".good:has-text('已登记 12 床')");
  // Their face again, as somebody else.
  await page.goto(place.page + "/enrol?bed=01");
  for (const count of [1, 2, 3]) await take(count);
  await page.click("button[value=finish]");
  await page.waitForSelector(".good:has-text('与 12 床疑似同一人')");
  await page.goto(place.page + "/enrol?bed=99");
  await page.waitForSelector("[role=alert]:has-text('没有患者')");
  assert.equal((await page.request.get(place.page + "/enrol/shot/0")).status(), 404, "pictures are forgotten");
});

await story("a camera is calibrated from what is filmed before it", async (page) => {
  await owner(page);
  await page.goto(place.page + "/calibrate?camera=kiosk-1");
  for (const [at, species] of ["live", "print"].entries()) {
    await page.selectOption("select[name=species]", species);
    await page.click("button[value=film]");
    await page.waitForSelector(`tbody tr:nth-child(${at + 1}) td.number:has-text('0.')`);
  }
  await page.waitForSelector("text=样本太少");
  await page.waitForFunction(() => document.getElementById("live").naturalWidth > 100);
  await look(page, "calibrate");
  assert.deepEqual(await barriers(page), []);
  await page.click("button[value=settle]");
  await page.waitForSelector(".good:has-text('已写入')");
  await page.click("button[value=discard]");
  await page.waitForSelector("text=已录 0 次");
});

await browser.close();
place.end();
console.log(failed === 0 ? "every story ended well" : `${failed} stories failed`);
process.exit(failed === 0 ? 0 : 1);
