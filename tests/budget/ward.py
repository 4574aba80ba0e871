"""The demo's ward under an agent and a platform of their own, for the commands beside this file."""
import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What lies in each bed, as src/agent/cmd/demo/ward.rs tells; nobody announces the leave of bed 14 here.
EXPECTED = {"01": "Verified", "02": "Verified", "03": "Verified", "04": "Absent", "05": "Mismatch", "06": "FaceHidden",
            "07": "WrongBed", "08": "WrongBed", "09": "Inconclusive", "10": "Verified", "11": "NotLive", "12": "NotLive",
            "13": "NotLive", "14": "Absent"}


def fail(what):
    sys.exit(f"budget: FAILED, {what}")


def configuration(state, round_seconds, cameras):
    text = f"""mode = "demo"
state = "{state}"
[ward]
id = "3A"
roster = "{ROOT}/assets/roster/ward-3a.csv"
[match]
fmr = "1e-4"
[health]
listen = "127.0.0.1:0"
[patrol]
every = "{round_seconds}s"
jitter = 0.02
check_within = "{round_seconds - 10}s"
looks = 3
look_spacing = "6500ms"
look_timeout = "20s"
beds_at_once = 14
heartbeat = "10s"
[liveness]
watch = "6s"
blink_within = "12s"
[legal]
basis = "no real people"
decided = "2026-11-29"
by = "tests/budget"
"""
    for camera in range(1, cameras + 1):
        path = ROOT / f"assets/ward/cam-{camera}"
        path = path if path.is_dir() else path.with_suffix(".mjpeg")
        text += f'[[camera]]\nid = "cam-{camera}"\nrecorded = "{path}"\nfps = 4\nempty = "{ROOT}/assets/ward/empty/cam-{camera}.jpg"\n'
    for bed in watched(cameras):
        camera, x = (int(bed) + 1) // 2, 20 if int(bed) % 2 else 660
        text += f'[[bed]]\nid = "{bed}"\ncamera = "cam-{camera}"\nzone = {{ x = {x}, y = 30, width = 600, height = 660 }}\n'
    return text


def watched(cameras):
    """Beds that so many of the demo's cameras see."""
    return [bed for bed in EXPECTED if int(bed) <= 2 * cameras]


def call(*words, **more):
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, **more)
    if done.returncode:
        fail(f"{' '.join(map(str, words[:3]))} ended with {done.returncode}: {(done.stdout + done.stderr)[-1500:]}")
    return done.stdout


class Ward:
    """Enrolled and joined to its platform; `run` starts the agent."""

    def __init__(self, programs, round_seconds, cameras=8):
        self.work = Path(tempfile.mkdtemp(prefix="bedcheck-budget-", dir="/dev/shm"))
        self.agent, platform = programs / "bedcheck", programs / "bedcheck-platform"
        self.home, self.log, state = self.work / "platform", self.work / "agent.log", self.work / "agent"
        self.config, self.running = self.work / "config.toml", []
        call(platform, "init", "--dir", self.home, "--host", "localhost")
        self.start(platform, "serve", "--dir", self.home, *(word for port in ("devices", "enrol", "dashboard") for word in (f"--{port}", "127.0.0.1:0")))
        wait_until(lambda: (self.home / "addresses.json").exists(), "the platform does not start")
        addresses = json.loads((self.home / "addresses.json").read_text())
        url = lambda name: f"https://localhost:{addresses[name].rsplit(':', 1)[1]}"
        token = call(platform, "device", "token", "--dir", self.home, "--device", "t", "--ward", "3A", "--institution", "示范医院", "--round-every",
                     f"{round_seconds}s", "--plain", "--url", url("devices"), "--enrol-url", url("enrol"))
        self.config.write_text(configuration(state, round_seconds, cameras))
        call(self.agent, "device", "enrol", "--state", state, "--token-file", "-", "--serial", "budget", input=token)
        call(self.agent, "enrol", "--config", self.config)

    def start(self, *words, **more):
        log = open(self.log if words[0] == self.agent else self.work / "platform.log", "w")
        self.running.append(subprocess.Popen(list(map(str, words)), stdout=log, stderr=log, **more))
        return self.running[-1]

    def run(self, **more):
        """The agent, and the address of its metrics."""
        agent = self.start(self.agent, "run", "--config", self.config, **more)
        found = lambda: agent.poll() is not None or re.search(r'Metrics are served here\..*?(127\.0\.0\.1:\d+)', self.log.read_text())
        wait_until(found, "the agent does not start")
        if agent.poll() is not None:
            fail(f"the agent ended: {self.log.read_text()[-2000:]}")
        return agent, found().group(1)

    def done(self):
        """Checks that the platform has, as (round, bed)."""
        database = sqlite3.connect(f"file:{self.home}/platform.db?mode=ro", uri=True)
        return database.execute("SELECT round, bed FROM done").fetchall()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.running):
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        shutil.rmtree(self.work)


def wait_until(holds, otherwise, seconds=120):
    for _ in range(seconds * 20):
        if holds():
            return
        time.sleep(0.05)
    fail(otherwise)


def get(address, path):
    return urllib.request.urlopen(f"http://{address}{path}", timeout=30).read().decode()


def metric(address, name):
    return float(re.search(rf"^bedcheck_{name} (\S+)$", get(address, "/metrics"), re.MULTILINE).group(1))
