"""Films the ward: what each camera's sensor makes of the room, FRAMES pictures that follow each other in a loop."""

import os

import numpy as np

from breath import FRAMES
from scenes import CAMERAS, Room
from ward import camera, jpeg

NOISE, QUALITY = 1.0, 64            # chosen so that a frame takes about 60 KB
STREAM = "cam-5"                    # the one camera that comes as one stream, not as a folder


def night(img, rng):
    """The left half without light: what remains is the sensor's own noise."""
    lit = (1 / (1 + np.exp(-(np.arange(1280) - 641) / 3.5)))[None, :, None].astype(np.float32)
    grain = 3.6 * rng.standard_normal(img.shape[:2] + (1,), dtype=np.float32)
    return img * (.015 + .985 * lit) + (1 - lit) * (2.5 + grain)


def exposed(room, name, i):
    """One picture; every one has its own noise, and the light flickers a little, whole periods to the loop."""
    rng = np.random.default_rng(9000 + 100 * room.cam + (99 if i is None else i))
    img = room.frame(i)
    if i is None:
        return camera(img, rng, .97, .005, NOISE)
    if CAMERAS[name][0][0] == "dark":
        img = night(img, rng)
    t = 2 * np.pi * i / FRAMES + room.cam
    return camera(img, rng, .97 + .006 * np.sin(3 * t) + .002 * rng.normal(), .005 + .002 * np.sin(t), NOISE)


def write_ward(model, cast, out, only=None):
    for name in CAMERAS:
        if only and name not in only:
            continue
        folder = out if name == STREAM else f"{out}/{name}"
        os.makedirs(folder, exist_ok=True)
        os.makedirs(f"{out}/empty", exist_ok=True)
        room = Room(model, cast, name)
        open(f"{out}/empty/{name}.jpg", "wb").write(jpeg(exposed(room, name, None), QUALITY, True))
        frames = [jpeg(exposed(room, name, i), QUALITY, True) for i in range(FRAMES)]
        if name == STREAM:
            open(f"{out}/{name}.mjpeg", "wb").write(b"".join(frames))
        for i, data in enumerate(frames if name != STREAM else ()):
            open(f"{out}/{name}/{i:03}.jpg", "wb").write(data)
        print(name, sum(map(len, frames)) // len(frames), "bytes a frame", flush=True)
