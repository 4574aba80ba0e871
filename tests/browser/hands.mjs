// What people do over and over in the stories: sign in, take a step of a case, look for barriers.

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

const require = createRequire(resolve("target/browser/package.json"));
export const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

/// How Chromium is started: as root in a container, and without calling home.
export const ARGS = ["--no-sandbox", "--headless", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync"];

export async function context(browser, options = {}) {
  return browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
}

export async function signedIn(world, browser, name, options) {
  const page = await (await context(browser, options)).newPage();
  await page.goto(`${world.url}/sign-in`);
  await page.getByLabel("姓名").fill(name);
  await page.getByLabel("口令").fill(world.people[name]);
  await page.getByRole("button", { name: "登录" }).click();
  // Not until everything is loaded: the live page keeps one answer open for good.
  await page.waitForURL(`${world.url}/`, { waitUntil: "domcontentloaded" });
  return page;
}

export async function act(page, label, reason, text) {
  const form = page.locator("form.act", { has: page.getByRole("button", { name: label, exact: true }) });
  if (reason) await form.locator("select").selectOption(reason);
  if (text) await form.locator("input[name=text]").fill(text);
  await form.getByRole("button").click();
  await page.waitForLoadState();
}

export async function barriers(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run());
  return found.violations
    .filter((one) => ["serious", "critical"].includes(one.impact))
    .map((one) => `${page.url()}: ${one.id}: ${one.nodes.map((node) => node.html).slice(0, 3).join(" | ")}`);
}
