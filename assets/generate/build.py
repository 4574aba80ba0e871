"""Writes everything under assets/ from the fitted model and the chosen seeds: people, ward, kiosk, bad inputs, roster."""

import argparse
import csv
import json
import os
import struct
import zlib

import cv2
import numpy as np

from body import blur, over, paint, smooth
from cast import ENROLLED, PATIENTS, PEOPLE
from choose import weights
from clips import write_ward
from face import Model
from scenes import CAMERAS
from ward import camera, jpeg, noise, place

SHOTS = {
    "enrol-1": dict(light=(.1, -.3, -1), hard=.22),
    "enrol-2": dict(yaw=7, light=(.45, -.3, -1), hard=.30, left=-.2, smile=.2),
    "enrol-3": dict(yaw=-7, pitch=4, light=(-.3, -.5, -1), hard=.30, left=.2, top=.2, gaze=(.02, .02)),
    "probe-1": dict(yaw=5, pitch=-3, smile=.9, open=.1, light=(-.6, -.3, -1), hard=.42, left=.4, gain=.93, warm=.035),
    "probe-2": dict(yaw=-8, pitch=2, smile=.3, blink=.2, light=(.35, -.7, -1), hard=.40, left=-.3, gain=1.04, warm=-.03),
}
NAMES = ["罗明远", "苏晓禾", "谭国梁", "薛桂芳", "陆子昂", "秦雅琴", "彭志坚", "白若溪", "邹玉兰", "康启文", "蒋文君", "沈佩兰", "范守义"]
BIRTH = ["19740312", "19920825", "19491107", "19530219", "19960630", "19710904", "19581216", "20010520", "19460703", "19880111",
         "19901204", "19761022", "19690415"]


def load_cast(model, path):
    chosen = json.load(open(path))
    return {p["name"]: dict(p, w=weights(model, chosen[p["name"]])) for p in PEOPLE if p["name"] in chosen}


def backdrop(w, h, seed, tint=(178, 184, 188)):
    y, x = np.mgrid[:h, :w].astype(np.float32)
    g = 1.05 - .22 * (y / h) - .12 * np.hypot((x - w / 2) / w, (y - h / 2.5) / h) ** 2
    return np.array(tint, np.float32)[None, None] * (g + .012 * noise((h, w), 60, seed))[..., None]


def portrait(model, person, shot, seed, size=(480, 600), width=200, at=(240, 268), back=None):
    rgb, a, _ = paint(model, person, shot)
    img, alpha = place(rgb, a, width, at, shot.get("roll", 0), size)
    base = backdrop(*size, seed) if back is None else back.copy()
    cast_ = blur(np.pad(alpha, ((14, 0), (10, 0)))[:size[1], :size[0]], 22)
    base = base * (1 - .22 * cast_)[..., None]
    rng = np.random.default_rng(seed)
    return camera(over(base, img, alpha), rng, shot.get("gain", 1.), shot.get("warm", 0.), 1.3, .5)


def write_people(model, cast, out, only=None):
    for name in ENROLLED:
        if only and name not in only:
            continue
        os.makedirs(f"{out}/{name}", exist_ok=True)
        for k, (shot, s) in enumerate(SHOTS.items()):
            img = portrait(model, cast[name], s, 100 * int(name[1:]) + k)
            open(f"{out}/{name}/{shot}.jpg", "wb").write(jpeg(img, 90))
        print(name, flush=True)


def hall(seed):
    """The admission hall behind the kiosk, out of focus."""
    h, w = 720, 1280
    y, x = np.mgrid[:h, :w].astype(np.float32)
    wall = np.array([206, 211, 208], np.float32)[None, None] * (1.02 - .1 * x / w)[..., None]
    wall = over(wall, np.array([168, 190, 186], np.float32)[None, None] * np.ones_like(wall), smooth(y, 470, 476))
    for x0, x1, col in ((60, 250, (236, 240, 242)), (980, 1230, (150, 176, 190))):
        wall = over(wall, np.array(col, np.float32)[None, None] * np.ones_like(wall),
                    smooth(x, x0, x0 + 3) * smooth(x, x1, x1 - 3) * smooth(y, 90, 93) * smooth(y, 640, 637))
    for lx in (200, 640, 1080):
        wall += 60 * np.exp(-((x - lx) / 150) ** 2 - ((y - 10) / 26) ** 2)[..., None]
    wall = over(wall, np.array([90, 120, 170], np.float32)[None, None] * np.ones_like(wall),
                smooth(np.abs(x - 640), 190, 187) * smooth(np.abs(y - 80), 30, 27))
    return blur(wall, 9)


def write_kiosk(model, cast, out):
    os.makedirs(out, exist_ok=True)
    for name, file, s in (("p12", "k1", dict(yaw=3, pitch=2, smile=.2, light=(.2, -.5, -1), hard=.3, gain=1.0, warm=.01)),
                          ("p13", "k2", dict(yaw=-4, pitch=1, light=(.2, -.5, -1), hard=.3, gain=.98, warm=.01))):
        img = portrait(model, cast[name], s, 31, (1280, 720), 260, (640 if name == "p12" else 655, 330), hall(3))
        open(f"{out}/{file}.jpg", "wb").write(jpeg(img, 88))


def wide_png(path, width=20000, height=8):
    """A valid grey PNG that is far too wide."""
    raw = b"".join(b"\0" + bytes(width) for _ in range(height))
    chunk = lambda t, d: struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    open(path, "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b""))


def write_bad(model, cast, out, people):
    os.makedirs(out, exist_ok=True)
    open(f"{out}/empty.jpg", "wb").close()
    good = open(f"{people}/p01/enrol-1.jpg", "rb").read()
    open(f"{out}/truncated.jpg", "wb").write(good[:len(good) * 2 // 5])
    open(f"{out}/not-an-image.jpg", "w").write("This is a text file with the name of a picture.\n")
    wide_png(f"{out}/wide.png")
    img = portrait(model, cast["p01"], dict(SHOTS["enrol-1"], gain=.03), 71)
    open(f"{out}/dark.jpg", "wb").write(jpeg(img, 85))
    base = hall(5)[:, 200:1100]
    for name, x in (("p01", 270), ("p02", 640)):
        rgb, a, _ = paint(model, cast[name], SHOTS["enrol-1"])
        layer, alpha = place(rgb, a, 190, (x, 330), 0, (900, 720))
        base = over(base, layer, alpha)
    open(f"{out}/two-faces.jpg", "wb").write(jpeg(camera(base, np.random.default_rng(8), noise_=1.3), 85))
    open(f"{out}/no-face.jpg", "wb").write(jpeg(camera(hall(6), np.random.default_rng(9)), 80))


def certno(birth, serial):
    """An 18-character id of nowhere: area 999999 does not exist, the check digit is right (GB 11643)."""
    body = f"999999{birth}{serial:03}"
    total = sum(int(c) * w for c, w in zip(body, (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)))
    return body + "10X98765432"[total % 11]


def write_roster(path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerow("mdtrt_id,ipt_no,psn_no,psn_name,certno,adm_bed,begntime,enrol".split(","))
        for i, who in enumerate(PATIENTS):
            woman = next(p for p in PEOPLE if p["name"] == who)["woman"] > .5
            day, hour = 3 + (i * 5) % 16, 8 + (i * 3) % 9
            out.writerow([f"9999002611{i + 1:06}", f"ZY2611{i + 101:04}", f"99999900{i + 1:08}", NAMES[i],
                          certno(BIRTH[i], 11 + 20 * i + woman), f"{i + 1:02}",
                          f"2026-11-{day:02}T{hour:02}:{(i * 17) % 60:02}:00+08:00", f"../people/{who}"])


def contact_sheet(assets, path):
    rows = []
    for half in (ENROLLED[:7], ENROLLED[7:]):
        for shot in ("enrol-1", "probe-1"):
            rows.append(np.hstack([cv2.resize(cv2.imread(f"{assets}/people/{n}/{shot}.jpg"), (180, 225), interpolation=cv2.INTER_AREA)
                                   for n in half]))
    sheet = np.vstack(rows)
    for q in range(85, 40, -5):
        data = cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, q])[1].tobytes()
        if len(data) < 190_000:
            break
    open(path, "wb").write(data)


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--model", required=True, help="the fitted model (fit.py)")
    a.add_argument("--assets", default=os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    a.add_argument("--only", nargs="*", help="people, ward, kiosk, bad, roster, sheet, or names such as p03 and cam-2")
    a = a.parse_args()
    cv2.setNumThreads(1)
    want = lambda part: not a.only or part in a.only
    here = os.path.dirname(os.path.abspath(__file__))
    if want("roster"):
        write_roster(f"{a.assets}/roster/ward-3a.csv")
    model = Model(a.model)
    cast = load_cast(model, f"{here}/chosen.json")
    some = [o for o in a.only or () if o in ENROLLED]
    cams = [o for o in a.only or () if o in CAMERAS]
    if want("people") or some:
        write_people(model, cast, f"{a.assets}/people", some)
    if want("kiosk"):
        write_kiosk(model, cast, f"{a.assets}/kiosk")
    if want("bad"):
        write_bad(model, cast, f"{a.assets}/bad", f"{a.assets}/people")
    if want("sheet"):
        contact_sheet(a.assets, f"{a.assets}/people.jpg")
    if want("ward") or cams:
        write_ward(model, cast, f"{a.assets}/ward", cams)


if __name__ == "__main__":
    main()
