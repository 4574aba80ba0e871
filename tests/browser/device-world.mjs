// A platform and an agent with a kiosk and a cart, as built, for the browser stories of the device's own pages.
// The camera is a recording of a made-up person: what it proves is marked synthetic.
import { execFileSync, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const bin = process.env.DEVICE_BIN ?? join(root, "target/debug");

export const STAFF = { name: "王护士", pin: "402817" };
export const SECOND = { name: "刘医生", pin: "735190" };

export async function world({ person = "k1.jpg" } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "bedcheck-device-"));
  const run = (name, args, input) =>
    execFileSync(join(bin, name), args, { cwd: folder, input, encoding: "utf8", stdio: ["pipe", "pipe", "pipe"] });
  run("bedcheck-platform", ["init", "--dir", "platform"]);
  const platform = spawn(
    join(bin, "bedcheck-platform"),
    ["serve", "--dir", "platform", "--devices", "127.0.0.1:0", "--dashboard", "127.0.0.1:0"],
    { cwd: folder, stdio: "ignore" },
  );
  run("bedcheck-platform", ["person", "add", "审计戊", "--role", "auditor", "--dir", "platform"]);
  const token = run("bedcheck-platform", ["person", "token", "审计戊", "--dir", "platform"]).trim();
  const addresses = await until(() => JSON.parse(readFileSync(join(folder, "platform/addresses.json"), "utf8")));
  run("bedcheck", ["device", "request", "--state", "state", "--device", "terminal-3a", "--ward", "3A", "--out", "request.json"]);
  run("bedcheck-platform", ["device", "add", "--dir", "platform", "--request", "request.json", "--institution", "示范医院",
    "--url", addresses.devices, "--round-every", "4h", "--out", "bundle.json"]);
  run("bedcheck", ["device", "accept", "--state", "state", "bundle.json"]);
  mkdirSync(join(folder, "film"));
  cpSync(join(root, "assets/kiosk", person), join(folder, "film/1.jpg"));
  const people = [["M01", "01", "P01", "罗明远", "p01"], ["M02", "02", "P02", "苏晓禾", "p02"], ["M12", "12", "P12", "高文清", "p12"]];
  const rows = people.map(([stay, bed, number, name, shots]) => {
    mkdirSync(join(folder, shots));
    for (const shot of [1, 2, 3]) cpSync(join(root, `assets/people/${shots}/enrol-${shot}.jpg`), join(folder, shots, `${shot}.jpg`));
    return [stay, bed, number, name, shots].join(",");
  });
  writeFileSync(join(folder, "roster.csv"), ["mdtrt_id,adm_bed,psn_no,psn_name,enrol", ...rows].join("\n") + "\n");
  const bed = (id, x) => `[[bed]]\nid = "${id}"\ncamera = "cart"\nzone = { x = ${x}, y = 30, width = 600, height = 660 }\n`;
  writeFileSync(join(folder, "config.toml"), `mode = "pilot"\nstate = "state"\n[ward]\nid = "3A"\nroster = "roster.csv"
[legal]\nbasis = "决定 1 号"\ndecided = "2026-11-01"\nby = "医务处"\n[page]\nlisten = "127.0.0.1:0"\n[kiosk]\nlisten = "127.0.0.1:0"
[[camera]]\nid = "kiosk-1"\nmode = "kiosk"\nrecorded = "film"\nfps = 10\npassive = { live_at = 0.2, attack_below = 0.02 }
[[camera]]\nid = "cart"\nmode = "round"\nrecorded = "${join(root, "assets/ward/cam-1")}"\n${bed("01", 20)}${bed("02", 660)}`);
  run("bedcheck", ["enrol", "--config", "config.toml"]);
  for (const { name, pin } of [STAFF, SECOND]) run("bedcheck", ["staff", "add", "--config", "config.toml", name], `${pin}\n`);
  const agent = spawn(join(bin, "bedcheck"), ["run", "--config", "config.toml"], { cwd: folder, env: { ...process.env, NO_COLOR: "1" } });
  let said = "";
  for (const stream of [agent.stdout, agent.stderr]) stream.on("data", (text) => { said += text; });
  const address = (sentence) => until(() => {
    const line = said.split("\n").find((line) => line.includes(sentence));
    return line && "http://" + line.split("address=")[1].split(/\s/)[0];
  });
  const kiosk = await address("The kiosk's screen is served here");
  const page = await address("The local page is served here");
  await until(() => said.includes("The draws are committed to"));
  return {
    folder, kiosk, page, dashboard: addresses.dashboard,
    said: () => said,
    agent: agent.pid,
    /// A link to the owner's pages, good once.
    link: () => run("bedcheck", ["zones", "--config", "config.toml"]).split("\n").find((line) => line.startsWith("http://")).trim(),
    order: () => run("bedcheck-platform", ["order", "--dir", "platform", "--device", "terminal-3a", "--within", "15m"]),
    verifications: async () => {
      const headers = { authorization: `Bearer ${token}` };
      return (await (await fetch(addresses.dashboard + "/api/v1/verifications", { headers })).json()).verifications;
    },
    end: () => {
      agent.kill();
      platform.kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/// Waits until something holds, at most two minutes.
export async function until(holds) {
  for (let step = 0; step < 1200; step += 1) {
    try {
      const found = await holds();
      if (found) return found;
    } catch (error) {
      if (step === 1199) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("it did not happen: " + holds);
}

export const program = existsSync("/usr/bin/chromium") ? "/usr/bin/chromium" : undefined;
