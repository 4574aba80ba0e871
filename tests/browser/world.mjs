// A platform of its own in a temporary folder, with people and a ward that was already looked at. What devices deliver is
// tested elsewhere (tests/platform); here it is written into the tables.

import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export class World {
  constructor(program) {
    this.program = program;
    this.verifier = join(dirname(program), "bedcheck-verify");
    this.folder = mkdtempSync(join(tmpdir(), "bedcheck-browser-"));
    this.dir = join(this.folder, "platform");
    this.people = {};
  }

  call(...words) {
    return execFileSync(this.program, [...words, "--dir", this.dir], { encoding: "utf8" }).trim();
  }

  add(name, role, institution) {
    const hospital = institution ? ["--institution", institution] : [];
    this.people[name] = this.call("person", "add", name, "--role", role, ...hospital).split("\n")[0].split(": ")[1];
  }

  link(name) {
    return this.call("person", "link", name);
  }

  async start() {
    this.call("init");
    this.add("监管甲", "supervisor");
    this.add("复核乙", "reviewer");
    this.add("医保丙", "officer", "示范医院");
    this.add("医保丁", "officer", "另一医院");
    this.add("审计戊", "auditor");
    this.add("管理己", "administrator");
    this.tables("fill");
    // Little grace: who falls silent is found out in seconds.
    const ports = ["--devices", "127.0.0.1:0", "--dashboard", "127.0.0.1:0", "--grace", "1s"];
    this.child = spawn(this.program, ["serve", ...ports, "--dir", this.dir], { stdio: "ignore" });
    const file = join(this.dir, "addresses.json");
    for (let tries = 0; !existsSync(file); tries++) {
      if (tries > 400) throw new Error("the platform did not start");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    this.url = JSON.parse(readFileSync(file, "utf8")).dashboard;
  }

  // A real device is admitted and delivers what it found, sealed picture and all.
  deliver() {
    const test = "browser::a_ward_tells_its_story_to_the_platform_a_browser_looks_at";
    execFileSync("cargo", ["test", "--quiet", "--locked", "--test", "platform", "--", "--ignored", "--exact", test], {
      env: { ...process.env, BEDCHECK_BROWSER_PLATFORM: this.dir },
      stdio: ["ignore", "ignore", "inherit"],
    });
  }

  tables(...words) {
    execFileSync("python3", ["tests/browser/tables.py", join(this.dir, "platform.db"), ...words]);
  }

  end() {
    this.child?.kill("SIGTERM");
    rmSync(this.folder, { recursive: true, force: true });
  }
}
