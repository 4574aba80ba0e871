"""What the five cameras see: who lies where, and how the frames of one camera differ."""

import os

import cv2
import numpy as np

from body import blur, over, paint, smooth
from ward import bed, camera, curtain, face_down, floor, jpeg, lay, noise, place, turned

LIGHT = (-.45, -.55)                # where the window is, in the frame
LOOKS = [dict(blanket=(150, 182, 196)), dict(blanket=(158, 190, 168)), dict(blanket=(176, 172, 200)),
         dict(blanket=(196, 176, 164)), dict(blanket=(142, 172, 206))]
FACE = 122                          # width of the face oval in pixels

# (kind, person, quarter turns clockwise, further turn in degrees)
CAMERAS = {
    "cam-1": (("face", "p01", 0, 4), ("face", "p02", 1, -3)),
    "cam-2": (("face", "p03", 2, 33), ("empty", None, 0, 0)),
    "cam-3": (("face", "p11", 0, -30), ("hidden", "p06", 0, 6)),
    "cam-4": (("face", "p08", 1, 5), ("face", "p07", 3, -4)),
    "cam-5": (("dark", "p09", 0, -6), ("face", "p10", 2, -5)),
}
FRAMES = 6
HIDDEN_COVER = -206                 # the blanket of somebody lying face down is drawn up over most of the head


def canonical_light(quarter):
    a = np.radians(-90 * quarter)
    return (LIGHT[0] * np.cos(a) - LIGHT[1] * np.sin(a), LIGHT[0] * np.sin(a) + LIGHT[1] * np.cos(a))


def shot_of(light, drift, turn, rng, asleep):
    """The person's pose and light in one frame; the light comes from where it comes from in the scene."""
    a = np.radians(-turn)
    lx, ly = light[0] * np.cos(a) - light[1] * np.sin(a), light[0] * np.sin(a) + light[1] * np.cos(a)
    n = rng.normal(size=6)
    return dict(yaw=drift["yaw"] + 1.5 * n[0], pitch=drift["pitch"] + 1.2 * n[1], smile=drift["smile"] + .15 * n[2],
                blink=1. if asleep else max(0, .06 * n[3]), light=(.55 * lx, .55 * ly, -1.), hard=.34,
                left=.25 * -lx, gaze=(.02 * n[4], .015 * n[5]))


def tile(model, cast, spec, number, frame, look):
    """One bed of one frame: RGB and alpha, already turned."""
    kind, who, quarter, extra = spec
    light = canonical_light(quarter)
    rng = np.random.default_rng(1000 * number + frame)
    if kind == "empty":
        return turned(*bed(50 + number, light, look=look, rumple=.8), quarter)
    own = np.random.default_rng(77 * number)
    person = cast[who]
    drift = dict(yaw=own.normal() * 3, pitch=own.normal() * 2, smile=own.uniform(-.1, .4))
    turn = extra + 1.2 * rng.normal()
    at = np.array([320 - 1.1 * extra, 205]) + rng.normal(size=2) * 1.6
    asleep = frame in ((2,) if number % 3 else (1, 4))
    shot = shot_of(light, drift, turn, rng, asleep)
    if kind == "hidden":
        rgb, a, _ = paint(model, person, dict(shot, yaw=0))
        layer = place(*face_down(person, rgb, a, person["seed"]), FACE, at, turn)
    else:
        layer = lay(model, person, shot, FACE, at, turn)
    breath = .05 * np.sin(frame * 2.1 + number)
    cover = 205 + 172 + (0 if kind != "hidden" else HIDDEN_COVER)
    img, alpha = bed(500 + 50 * number, light, layer, cover, extra, (float(at[0]), float(at[1])), breath, look)
    return turned(img, alpha, quarter)


def compose(model, cast, name, frame):
    """One frame of one camera before the sensor; frame None is the room with both beds made."""
    cam = int(name[-1])
    base = curtain(cam, floor(cam))
    for side, spec in enumerate(CAMERAS[name]):
        number = 2 * cam - 1 + side
        look = LOOKS[(cam + side) % len(LOOKS)]
        if frame is None:
            q = spec[2]
            img, a = turned(*bed(50 + number, canonical_light(q), look=look), q)
        else:
            q = spec[2]
            img, a = tile(model, cast, spec, number, frame, look)
        h, w = a.shape
        x = {0: 0, 2: 0, 1: 640 - 24 - w, 3: 24}[q]
        y = {0: 24, 2: 720 - 24 - h, 1: (720 - h) // 2, 3: (720 - h) // 2}[q]
        # The right bed's head must stay out of the curtain, the left one's as well.
        half_i, half_a = np.zeros((720, 640, 3), np.float32), np.zeros((720, 640), np.float32)
        xs, ys, xe, ye = max(x, 0), max(y, 0), min(x + w, 640), min(y + h, 720)
        half_i[ys:ye, xs:xe] = img[ys - y:ye - y, xs - x:xe - x]
        half_a[ys:ye, xs:xe] = a[ys - y:ye - y, xs - x:xe - x]
        strip = base[:, 640 * side:640 * side + 640]
        shifted = np.pad(half_a, ((10, 0), (8, 0)))[:720, :640]
        shade = cv2.GaussianBlur(shifted, (0, 0), 14)
        keep = 1 - np.exp(-((np.arange(640) - (640 if side == 0 else 0)) / 9.) ** 8)[None]
        strip *= (1 - .38 * shade * (1 - half_a) * keep)[..., None]
        table(strip, q, cam + side)
        strip[:] = strip + (half_i - strip) * (half_a * keep)[..., None]
    return base


def table(strip, quarter, seed):
    """The bedside table by the head of the bed, with a cup, a flask and a box of tissues."""
    y, x = np.mgrid[:strip.shape[0], :strip.shape[1]].astype(np.float32)
    cx, cy = {0: (35, 105), 2: (35, 615), 1: (520, 48), 3: (120, 48)}[quarter]
    box = lambda ax, ay, w, h: smooth(np.maximum(np.abs(x - ax) - w, np.abs(y - ay) - h), .8, -.8)
    flat = lambda colour: np.broadcast_to(np.array(colour, np.float32), strip.shape)
    strip *= (1 - .4 * blur(box(cx + 5, cy + 6, 31, 43), 7))[..., None]
    grain = (1 + .04 * noise(strip.shape[:2], 2, seed, 10, 90))[..., None]
    strip[:] = over(strip, flat((214, 194, 160)) * grain, box(cx, cy, 31, 43))
    strip[:] = over(strip, flat((232, 214, 184)) * grain, box(cx - 1, cy - 1, 28, 40))
    strip *= (1 - .35 * blur(box(cx - 7, cy + 22, 15, 11), 4))[..., None]
    strip[:] = over(strip, flat((150, 190, 214)), box(cx - 9, cy + 20, 14, 10))
    strip[:] = over(strip, flat((244, 245, 246)), box(cx - 9, cy + 20, 8, 3))
    for ox, oy, r, colour in ((9, -18, 12, (226, 230, 232)), (-12, -12, 8, (196, 84, 74))):
        d = np.hypot(x - cx - ox, y - cy - oy)
        strip *= (1 - .4 * np.exp(-(np.hypot(x - cx - ox - 4, y - cy - oy - 5) / r) ** 4))[..., None]
        tone = 1 - .25 * smooth(d / r, .5, 1) + .2 * np.exp(-(np.hypot(x - cx - ox + .3 * r, y - cy - oy + .4 * r) / (.3 * r)) ** 2)
        strip[:] = over(strip, flat(colour) * np.minimum(tone, 1.1)[..., None], smooth(d, r + .8, r - .8))
        strip[:] = over(strip, flat((120, 88, 56) if r == 8 else (170, 178, 182)), smooth(d, .6 * r + .8, .6 * r - .8))


def frame_of(model, cast, name, frame):
    cam = int(name[-1])
    rng = np.random.default_rng(9000 + 100 * cam + (99 if frame is None else frame))
    img = compose(model, cast, name, frame)
    if frame is not None and CAMERAS[name][0][0] == "dark":
        x = np.arange(1280)
        lit = (1 / (1 + np.exp(-(x - 641) / 3.5)))[None, :, None].astype(np.float32)
        img *= .015 + .985 * lit
        # Hardly any light: what remains is the sensor's own noise.
        img += (1 - lit) * (2.5 + 4. * rng.standard_normal(img.shape[:2] + (1,), dtype=np.float32)
                            + 2.2 * cv2.GaussianBlur(rng.standard_normal(img.shape, dtype=np.float32), (0, 0), 1.) * 3)
    gain = .97 if frame is None else .97 + .035 * np.sin(frame * 1.3 + cam) + .01 * rng.normal()
    warm = .005 if frame is None else .012 * np.sin(frame + cam)
    return camera(img, rng, gain, warm)


def write_ward(model, cast, out, only=None):
    for name in CAMERAS:
        if only and name not in only:
            continue
        os.makedirs(f"{out}/{name}" if name != "cam-5" else out, exist_ok=True)
        os.makedirs(f"{out}/empty", exist_ok=True)
        open(f"{out}/empty/{name}.jpg", "wb").write(jpeg(frame_of(model, cast, name, None), 85))
        frames = [jpeg(frame_of(model, cast, name, i), 85) for i in range(FRAMES)]
        if name == "cam-5":
            open(f"{out}/cam-5.mjpeg", "wb").write(b"".join(frames))
        for i, data in enumerate(frames if name != "cam-5" else ()):
            open(f"{out}/{name}/{i:03}.jpg", "wb").write(data)
