"""Measures how the beds of the ward's clips move: change from frame to frame, and how far the blanket shifts with the breath."""

import argparse
import os

import cv2
import numpy as np

from breath import CHEST, FRAMES
from scenes import CAMERAS, LIVING, on_frame

ZONES = ((20, 30, 620, 690), (660, 30, 1260, 690))
BOX, STRIPS = (192, 160), 6         # across and along the body, in pixels; a shift is pooled over strips of the width
BAND = (1, 2)                       # cycles a loop: 15 and 30 breaths a minute
TOP = 14                            # harmonics of a profile that count: waves of 11 pixels and longer


def mjpeg(data):
    """The pictures of a stream, RGB."""
    parts = data.split(b"\xff\xd8\xff")[1:]
    return [np.ascontiguousarray(cv2.imdecode(np.frombuffer(b"\xff\xd8\xff" + p, np.uint8), 1)[:, :, ::-1]) for p in parts]


def camera_frames(assets, name):
    stream = f"{assets}/ward/{name}.mjpeg"
    if os.path.exists(stream):
        return mjpeg(open(stream, "rb").read())
    return [np.ascontiguousarray(cv2.imread(f"{assets}/ward/{name}/{i:03}.jpg")[:, :, ::-1]) for i in range(FRAMES)]


def blanket(luma, side, spec):
    """The blanket over the chest as (frames, along the body, across it)."""
    _, _, quarter, turn = spec
    a = np.radians(turn)
    x, y = on_frame(side, quarter, 320 - 1.1 * turn - CHEST * np.sin(a), 205 + CHEST * np.cos(a))
    w, h = BOX if quarter % 2 == 0 else BOX[::-1]
    x0, y0 = (int(np.clip(v - n / 2, 0, m - n)) for v, n, m in ((x, w, 1280), (y, h, 720)))
    part = luma[:, y0:y0 + h, x0:x0 + w]
    return part if quarter % 2 == 0 else part.transpose(0, 2, 1)


def shifts(part):
    """By how many pixels each frame's rows lie from where they are on average: the slope of the phase of the profiles' spectra."""
    n, h, w = part.shape
    rows = part.reshape(n, h, STRIPS, w // STRIPS).mean(3)
    rows = (rows - rows.mean(1, keepdims=True)) * np.hanning(h)[:, None]
    spectrum = np.fft.rfft(rows, axis=1)[:, 1:TOP + 1]
    cross = spectrum * np.conj(spectrum.mean(0))
    k = 2 * np.pi * np.arange(1, TOP + 1)[:, None] / h
    weight = np.abs(cross)
    return -(weight * k * np.angle(cross)).sum((1, 2)) / (weight * k ** 2).sum((1, 2))


def measure(luma, side, spec):
    """(mean absolute change from frame to frame, swing, band, rest): the last three in pixels of the blanket's shift."""
    x0, y0, x1, y1 = ZONES[side]
    zone = luma[:, y0:y1, x0:x1]
    change = float(np.mean([np.abs(zone[i] - zone[i - 1]).mean() for i in range(len(zone))]))
    s = shifts(blanket(luma, side, spec))
    power = np.abs(np.fft.rfft(s - s.mean())) ** 2 * 2 / len(s) ** 2
    band = power[list(BAND)].sum()
    return change, float(np.ptp(s)), float(np.sqrt(band)), float(np.sqrt(max(power[1:].sum() - band, 0)))


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--assets", default=os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    a = a.parse_args()
    print("| bed | what | change | swing | band | rest |\n|---|---|---|---|---|---|")
    for name, specs in CAMERAS.items():
        luma = np.stack([f @ np.array((.299, .587, .114), np.float32) for f in camera_frames(a.assets, name)])
        for side, spec in enumerate(specs):
            change, swing, band, rest = measure(luma, side, spec)
            number = f"{2 * int(name[-1]) - 1 + side:02}" if spec[0] != "cupboard" else "-"
            print(f"| {number} | {spec[0]}{', lives' if spec[0] in LIVING else ''} | {change:.2f} | {swing:.2f} | {band:.3f} | {rest:.3f} |", flush=True)


if __name__ == "__main__":
    main()
