// What people do with the platform's pages, as a browser does it. Each story is named by what must hold.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

import { ARGS, act, barriers, chromium, context, signedIn as signIn } from "./hands.mjs";
import { proofStories } from "./proof-stories.mjs";
import { World } from "./world.mjs";

const short = process.argv.includes("--short");
const world = new World(resolve(process.argv[2]));
const signedIn = (...words) => signIn(world, ...words);
const PAGES = ["/", "/wards/terminal-3a", "/verification", "/patrol", "/screening", "/screening/contradictions",
  "/screening/leads/lead000000", "/screening/association?kind=institution&id=H0", "/exceptions", "/orders", "/score",
  "/devices", "/screen", "/api"];
const CASE = "/exceptions/terminal-3a/S2.02.hanging_bed.3";

const stories = {
  "a wrong passphrase is refused in words, and the right one leads to the page that was asked for": async (browser) => {
    const page = await (await context(browser)).newPage();
    await page.goto(`${world.url}/exceptions`);
    await page.getByLabel("姓名").fill("监管甲");
    await page.getByLabel("口令").fill("guessed");
    await page.getByRole("button", { name: "登录" }).click();
    assert.match(await page.getByRole("alert").innerText(), /姓名或口令不对/);
    await page.getByLabel("口令").fill(world.people["监管甲"]);
    await page.getByRole("button", { name: "登录" }).click();
    await page.waitForURL(`${world.url}/exceptions`);
  },
  "five wrong passphrases lock a name": async (browser) => {
    const page = await (await context(browser)).newPage();
    await page.goto(`${world.url}/sign-in`);
    for (const said of ["a", "b", "c", "d", "e", world.people["管理己"]]) {
      await page.getByLabel("姓名").fill("管理己");
      await page.getByLabel("口令").fill(said);
      await page.getByRole("button", { name: "登录" }).click();
      assert.match(await page.getByRole("alert").innerText(), /暂停使用/);
    }
  },
  "of two reviewers at once the second sees what the first decided": async (browser) => {
    const [one, two] = [await signedIn(browser, "监管甲"), await signedIn(browser, "复核乙")];
    for (const page of [one, two]) await page.goto(world.url + CASE);
    await act(one, "核定");
    await act(two, "认定不成立", "technical");
    assert.match(await two.getByRole("alert").innerText(), /他人已先处理/);
    assert.match(await two.locator(".timeline").innerText(), /监管甲 · 核定/);
  },
  "a case goes from the supervisor to the hospital and back to its end": async (browser) => {
    const [bureau, hospital] = [await signedIn(browser, "监管甲"), await signedIn(browser, "医保丙")];
    await bureau.goto(world.url + CASE);
    await act(bureau, "通知医院");
    await hospital.goto(world.url + CASE);
    await act(hospital, "答复", "emergency", "<script>alert(1)</script>");
    await bureau.reload();
    assert.match(await bureau.locator(".timeline").innerText(), /<script>alert\(1\)<\/script>/);
    await act(bureau, "认定成立", "no_ground");
    await act(bureau, "结案");
    assert.match(await bureau.locator(".claimed").innerText(), /已结案/);
  },
  "a hospital sees no other hospital's case": async (browser) => {
    const page = await signedIn(browser, "医保丁");
    assert.equal((await page.goto(world.url + CASE)).status(), 404);
    await page.goto(`${world.url}/exceptions`);
    assert.doesNotMatch(await page.locator("main").innerText(), /示范医院/);
  },
  "an auditor reads the trail and has nothing to press": async (browser) => {
    const page = await signedIn(browser, "审计戊");
    await page.goto(`${world.url}/audit`);
    assert.match(await page.locator("main").innerText(), /监管甲/);
    await page.goto(world.url + CASE);
    assert.equal(await page.locator("form.act").count(), 0);
  },
  "a lead is handed out, walked from, checked on the spot and answered": async (browser) => {
    const page = await signedIn(browser, "监管甲");
    await page.goto(`${world.url}/screening`);
    await page.locator("tbody th a", { hasText: "挂床住院" }).last().click();
    await page.goto(`${world.url}/screening/leads/lead000000`);
    await act(page, "统筹");
    const assign = page.locator("form.act", { has: page.getByRole("button", { name: "分派", exact: true }) });
    await assign.locator("select").selectOption("复核乙");
    await assign.getByRole("button").click();
    await page.waitForLoadState();
    assert.match(await page.locator(".numbers").innerText(), /复核乙/);
    await page.getByRole("link", { name: "H0" }).click();
    await page.locator("svg.net a").last().click();
    assert.match(await page.locator("h1").innerText(), /参保人/);
    await page.locator("svg.net a", { hasText: "示范医院" }).click();
    assert.match(await page.locator("h1").innerText(), /示范医院/);
    await page.goto(`${world.url}/screening/leads/lead000000`);
    await act(page, "下达现场抽查");
    await page.waitForURL(/\/orders\//);
    await page.goto(`${world.url}/screening/leads/lead000000`);
    await act(page, "反馈：属实", "records");
    assert.match(await page.locator(".claimed").innerText(), /属实/);
    const other = await signedIn(browser, "医保丙");
    await other.goto(`${world.url}/screening`);
    assert.match(await other.locator("h1").innerText(), /登记之间的矛盾/);
  },
  "without script every page reads and a case can be worked": async (browser) => {
    const page = await (await context(browser, { javaScriptEnabled: false })).newPage();
    await page.goto(world.link("监管甲"));
    await page.getByRole("button").click();
    for (const path of PAGES) assert.equal((await page.goto(world.url + path)).status(), 200, path);
    await page.goto(`${world.url}/exceptions/terminal-3a/S3.03.impersonation.3`);
    await act(page, "核定");
    assert.match(await page.locator(".claimed").innerText(), /已核定/);
  },
  "the language is switched and stays": async (browser) => {
    const page = await signedIn(browser, "监管甲");
    await page.getByRole("link", { name: "English" }).click();
    await page.goto(`${world.url}/exceptions`);
    assert.equal(await page.locator("html").getAttribute("lang"), "en");
    assert.match(await page.locator("h1").innerText(), /Exceptions/);
  },
  "a session that was idle for half an hour asks who it is": async (browser) => {
    const page = await signedIn(browser, "医保丁");
    world.tables("idle", "医保丁");
    await page.goto(`${world.url}/devices`);
    assert.match(page.url(), /\/sign-in\?next=/);
  },
  "a case is decided with the keyboard alone": async (browser) => {
    const page = await signedIn(browser, "复核乙");
    await page.goto(`${world.url}/exceptions/terminal-7b/S2.02.hanging_bed.3`);
    const reached = async (name) => {
      for (let tries = 0; tries < 60; tries++) {
        await page.keyboard.press("Tab");
        if ((await page.evaluate(() => document.activeElement.innerText)) === name) return;
      }
      assert.fail(`${name} was never reached`);
    };
    await reached("核定");
    await page.keyboard.press("Enter");
    await page.waitForLoadState();
    assert.match(await page.locator(".claimed").innerText(), /已核定/);
  },
  "no page has a serious barrier and none is wider than a telephone": async (browser) => {
    const page = await signedIn(browser, "监管甲");
    const found = [];
    for (const path of [...PAGES, CASE]) {
      await page.goto(world.url + path);
      found.push(...(await barriers(page)));
      await page.setViewportSize({ width: 390, height: 844 });
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (over > 0) found.push(`${path} is ${over} pixels wider than a telephone`);
      await page.setViewportSize({ width: 1280, height: 800 });
    }
    const door = await (await context(browser)).newPage();
    await door.goto(`${world.url}/sign-in`);
    found.push(...(await barriers(door)));
    assert.deepEqual(found, []);
  },
  ...proofStories(world),
};

async function pictures(browser) {
  const into = resolve("target/browser/pages");
  mkdirSync(into, { recursive: true });
  const page = await signedIn(browser, "监管甲");
  await page.goto(`${world.url}/orders`);
  const order = await page.locator("tbody th a").first().getAttribute("href");
  const auditor = await signedIn(browser, "审计戊");
  for (const [width, height] of [[1920, 1080], [1280, 800], [390, 844]]) {
    for (const path of [...PAGES, CASE, order, "/audit", "/sign-in"]) {
      const by = path === "/audit" ? auditor : page;
      await by.setViewportSize({ width, height });
      await by.goto(world.url + path);
      const name = path === order ? "order" : path.replaceAll(/[^a-z]+/g, "-").replace(/^-/, "") || "overview";
      await by.screenshot({ path: join(into, `${name}-${width}.png`) });
    }
  }
  console.log(`pictures of every page: ${into}`);
}

const profile = mkdtempSync(join(tmpdir(), "bedcheck-chromium-"));
let failed = 0;
let ran = 0;
try {
  await world.start();
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ARGS,
    env: { ...process.env, HOME: profile },
  });
  const only = process.argv.find((word) => word.startsWith("--only="))?.slice(7) ?? "";
  for (const [name, story] of Object.entries(stories).filter(([name]) => name.includes(only))) {
    ran++;
    try {
      await story(browser);
      console.log(`ok      ${name}`);
    } catch (error) {
      failed++;
      console.log(`FAILED  ${name}\n${error.stack}`);
    }
    for (const open of browser.contexts()) await open.close();
  }
  if (!short) await pictures(browser);
  await browser.close();
} finally {
  world.end();
}
console.log(failed ? `${failed} stories failed` : `${ran} stories hold`);
process.exitCode = failed ? 1 : 0;
