// Stories of evidence, of spot checks and of what changes while somebody looks.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { act, signedIn } from "./hands.mjs";

const REAL = "/exceptions/terminal-real/S4.04.impersonation.7";

export const proofStories = (world) => ({
  "two people open the evidence of a real report, and the case is closed with it": async (browser) => {
    world.deliver();
    const page = await signedIn(world, browser, "监管甲");
    await page.goto(world.url + REAL);
    await page.getByRole("link", { name: /启封/ }).first().click();
    const sheet = page.url();
    const fill = async (labels, name, reason) => {
      await page.getByLabel(labels[0]).fill(name);
      await page.getByLabel(labels[1], { exact: true }).fill(world.people[name]);
      if (reason) await page.getByLabel(/理由/).fill(reason);
      await page.getByRole("button").click();
      await page.waitForLoadState();
    };
    await fill(["申请人姓名", "口令"], "监管甲", "核对投诉");
    assert.match(await page.locator("main").innerText(), /监管甲 申请查看/);
    // Nobody is two people.
    await fill(["批准人姓名", "批准人口令"], "监管甲");
    assert.match(await page.getByRole("alert").innerText(), /须由另一人批准/);
    await fill(["批准人姓名", "批准人口令"], "复核乙");
    const width = await page.locator("figure img").evaluate((image) => image.decode().then(() => image.naturalWidth));
    assert.equal(width, 160);
    await page.goto(sheet);
    assert.equal(await page.locator("figure img").count(), 0, "shown once");
    await page.goto(world.url + REAL);
    assert.match(await page.locator(".timeline").innerText(), /复核乙 批准启封/);
    await act(page, "核定");
    await act(page, "通知医院");
    await act(page, "认定成立", "no_ground");
    await act(page, "结案");
    assert.match(await page.locator(".claimed").innerText(), /已结案/);
  },
  "an auditor takes a case along; far from here it holds, and with one byte flipped it does not": async (browser) => {
    const page = await signedIn(world, browser, "审计戊");
    await page.goto(world.url + REAL);
    const waited = page.waitForEvent("download");
    await page.getByRole("link", { name: /下载案卷/ }).click();
    const file = join(world.folder, "case.bedcheck");
    await (await waited).saveAs(file);
    const verify = (path) => spawnSync(world.verifier, [path], { encoding: "utf8" });
    const held = verify(file);
    assert.equal(held.status, 0, held.stdout + held.stderr);
    assert.match(held.stdout, /第四十条/);
    const bytes = readFileSync(file);
    bytes[Math.floor(bytes.length / 2)] ^= 1;
    writeFileSync(`${file}.flipped`, bytes);
    const flipped = verify(`${file}.flipped`);
    assert.notEqual(flipped.status, 0, flipped.stdout);
  },
  "a spot check is ordered from a case, and what was found comes back to its page": async (browser) => {
    const page = await signedIn(world, browser, "监管甲");
    await page.goto(`${world.url}/exceptions/terminal-3a/S3.03.impersonation.3`);
    await page.getByRole("link", { name: "下达抽查" }).first().click();
    const form = page.locator("form", { has: page.getByRole("button", { name: "抽查这些床" }) });
    assert.equal(await form.getByLabel(/床位/).inputValue(), "03");
    await form.getByRole("button").click();
    await page.waitForURL(/\/orders\/[0-9a-f]{16}$/, { waitUntil: "domcontentloaded" });
    assert.match(await page.locator("main").innerText(), /等待执行/);
    world.tables("answer", page.url().split("/").pop());
    await page.reload({ waitUntil: "domcontentloaded" });
    assert.match(await page.locator("main").innerText(), /已执行[\s\S]*03床[\s\S]*人证不符/);
  },
  "a random sample shows what binds it before it is drawn, and its seed only afterwards": async (browser) => {
    const page = await signedIn(world, browser, "监管甲");
    await page.goto(`${world.url}/orders`);
    const bound = await page.locator("code.hash").innerText();
    const form = page.locator("form", { has: page.getByRole("button", { name: "抽签并抽查" }) });
    await form.getByLabel("机构").selectOption("示范医院");
    await form.getByLabel("床数").fill("3");
    await form.getByRole("button").click();
    await page.waitForURL(/\/orders\/[0-9a-f]{16}$/, { waitUntil: "domcontentloaded" });
    const waiting = await page.locator("main").innerText();
    assert.ok(waiting.includes(bound) && waiting.includes("种子在期限过后公布"), waiting);
    world.tables("past", page.url().split("/").pop());
    await page.reload({ waitUntil: "domcontentloaded" });
    assert.match(await page.locator("main").innerText(), /已重算：种子符合承诺/);
  },
  "a device that falls silent is shown while somebody looks, and the queue does not move under the hand": async (browser) => {
    world.tables("online", "terminal-7b");
    const [board, queue] = [await signedIn(world, browser, "监管甲"), await signedIn(world, browser, "复核乙")];
    await queue.goto(`${world.url}/exceptions`, { waitUntil: "domcontentloaded" });
    const first = queue.locator("tbody tr").first();
    const before = [await first.boundingBox(), await first.innerText()];
    const present = board.locator(".tile", { hasText: "最近联络" }).locator(".value");
    await board.goto(world.url, { waitUntil: "domcontentloaded" });
    const [there, all] = (await present.innerText()).split("/").map(Number);
    world.tables("offline", "terminal-7b");
    await present.getByText(`${there - 1}/${all}`).waitFor({ timeout: 20_000 });
    const news = queue.getByRole("link", { name: /条新增或更新的异常/ });
    await news.waitFor({ timeout: 20_000 });
    assert.deepEqual([await first.boundingBox(), await first.innerText()], before);
    await news.click();
    await queue.locator("tbody tr").first().getByText("设备失联").waitFor();
  },
});
