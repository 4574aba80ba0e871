"""What the seven cameras see: who lies where, and the room round the beds."""

import numpy as np
import cv2

from body import over, paint
from breath import Motion, shut
from frauds import mask, photo, tablet, video
from furniture import cupboard, table
from ward import bed, bolster_bump, curtain, face_down, floor, lay, place, turned

LIGHT = (-.45, -.55)                # where the window is, in the frame
LOOKS = [dict(blanket=(150, 182, 196)), dict(blanket=(158, 190, 168)), dict(blanket=(176, 172, 200)),
         dict(blanket=(196, 176, 164)), dict(blanket=(142, 172, 206))]
FACE = 122                          # width of the face oval in pixels

# (kind, person whose face it is, quarter turns clockwise, further turn in degrees)
CAMERAS = {
    "cam-1": (("face", "p01", 0, 4), ("face", "p02", 1, -3)),
    "cam-2": (("face", "p03", 2, 33), ("empty", None, 0, 0)),
    "cam-3": (("face", "p11", 0, -30), ("hidden", "p06", 0, 6)),
    "cam-4": (("face", "p08", 1, 5), ("face", "p07", 3, -4)),
    "cam-5": (("dark", "p09", 0, -6), ("face", "p10", 2, -5)),
    "cam-6": (("photo", "p12", 0, -5), ("tablet", "p14", 0, 6)),
    "cam-7": (("mask", "p15", 0, 7), ("cupboard", None, 0, 0)),
}
WEARER = "p13"                      # who lies under the mask
LIVING = ("face", "hidden", "dark", "mask")
SEEN = ("face", "photo", "tablet", "mask")
HIDDEN_COVER = -206                 # the blanket of somebody lying face down is drawn up over most of the head
THINGS_COVER = 6                    # and over the lower edge of a picture that lies in somebody's place


def canonical_light(quarter):
    a = np.radians(-90 * quarter)
    return (LIGHT[0] * np.cos(a) - LIGHT[1] * np.sin(a), LIGHT[0] * np.sin(a) + LIGHT[1] * np.cos(a))


def shot_of(light, drift, turn, rng, asleep):
    """The person's pose and light; the light comes from where it comes from in the scene."""
    a = np.radians(-turn)
    lx, ly = light[0] * np.cos(a) - light[1] * np.sin(a), light[0] * np.sin(a) + light[1] * np.cos(a)
    n = rng.normal(size=6)
    return dict(yaw=drift["yaw"] + 1.5 * n[0], pitch=drift["pitch"] + 1.2 * n[1], smile=drift["smile"] + .15 * n[2],
                blink=1. if asleep else max(0, .06 * n[3]), light=(.55 * lx, .55 * ly, -1.), hard=.34,
                left=.25 * -lx, gaze=(.02 * n[4], .015 * n[5]))


class Bed:
    """One bed of a clip. What costs time is painted once, with open and with closed eyes; each frame moves it."""

    def __init__(self, model, cast, spec, number, look):
        self.kind, self.who, self.quarter, self.extra = spec
        self.number, self.look, self.light = number, look, canonical_light(self.quarter)
        self.at, self.played = np.array([320 - 1.1 * self.extra, 205.]), ()
        if self.kind == "empty":
            self.still = [bed(50 + number, self.light, look=look, rumple=.8)]
        elif self.kind in LIVING:
            self.still = [self.lying(model, cast, asleep) for asleep in ((False, True) if self.kind == "face" else (False,))]
            self.motion = Motion(number, self.extra, self.at, self.light, self.kind != "mask")
        elif self.kind == "photo":
            self.still = [self.covered(photo(model, cast[self.who], self.extra, self.at, self.light), THINGS_COVER, -7)]
        elif self.kind == "tablet":
            self.played = [tablet(picture, self.extra, self.at) for picture in video(model, cast[self.who])]
            self.still = [self.covered(self.played[0], 26, -7)]

    def covered(self, layer, cover, dent):
        """A thing on the pillow and a bolster under the blanket."""
        at = (float(self.at[0]), float(self.at[1]))
        return bed(500 + 50 * self.number, self.light, layer, 205 + 150 + cover, self.extra, at, self.look,
                   bump=bolster_bump(self.extra, at), dent=dent)

    def lying(self, model, cast, asleep):
        """The bed with somebody in it, breathed half out."""
        own, rng = np.random.default_rng(77 * self.number), np.random.default_rng(1000 * self.number)
        drift = dict(yaw=own.normal() * 3, pitch=own.normal() * 2, smile=own.uniform(-.1, .4))
        turn = self.extra + 1.2 * rng.normal()
        at = np.array([320 - 1.1 * self.extra, 205]) + rng.normal(size=2) * 1.6
        shot = shot_of(self.light, drift, turn, rng, asleep)
        person, cover = cast[self.who], 205 + 172
        if self.kind == "hidden":
            rgb, a, _ = paint(model, person, dict(shot, yaw=0))
            layer, cover = place(*face_down(person, rgb, a, person["seed"]), FACE, at, turn), cover + HIDDEN_COVER
        elif self.kind == "mask":
            wearer = dict(cast[WEARER], gown=cast["p03"]["gown"])
            layer = place(*mask(model, wearer, person, dict(shot, yaw=0, pitch=0)), FACE, at, turn)
        else:
            layer = lay(model, person, shot, FACE, at, turn)
        self.at = at
        return bed(500 + 50 * self.number, self.light, layer, cover, self.extra, (float(at[0]), float(at[1])), self.look)

    def frame(self, i):
        """RGB and alpha in one frame, turned as the bed stands."""
        img, alpha = self.still[-1 if i in shut(self.number) else 0]
        if self.kind in LIVING:
            img, alpha = self.motion.move(img, alpha, i)
        if self.played:
            img = over(img, *self.played[i])
        return turned(img, alpha, self.quarter)


class Room:
    """One camera's view before the sensor."""

    def __init__(self, model, cast, name):
        self.cam, self.specs = int(name[-1]), CAMERAS[name]
        self.base = curtain(self.cam, floor(self.cam))
        self.looks = [LOOKS[(self.cam + side) % len(LOOKS)] for side in (0, 1)]
        self.beds = [None if spec[0] == "cupboard" else Bed(model, cast, spec, 2 * self.cam - 1 + side, self.looks[side])
                     for side, spec in enumerate(self.specs)]

    def frame(self, i):
        """Frame i of the clip; None is the room with both beds made, as filmed at installation."""
        base = self.base.copy()
        for side, spec in enumerate(self.specs):
            strip = base[:, 640 * side:640 * side + 640]
            if spec[0] == "cupboard":
                cupboard(strip)
                continue
            q, number = spec[2], 2 * self.cam - 1 + side
            made = lambda: turned(*bed(50 + number, canonical_light(q), look=self.looks[side]), q)
            self.put(strip, side, q, *(made() if i is None else self.beds[side].frame(i)))
        return base

    def put(self, strip, side, q, img, a):
        """Stands a bed in its half of the room; its head stays out of the curtain."""
        h, w = a.shape
        x = {0: 0, 2: 0, 1: 640 - 24 - w, 3: 24}[q]
        y = {0: 24, 2: 720 - 24 - h, 1: (720 - h) // 2, 3: (720 - h) // 2}[q]
        half_i, half_a = np.zeros((720, 640, 3), np.float32), np.zeros((720, 640), np.float32)
        xs, ys, xe, ye = max(x, 0), max(y, 0), min(x + w, 640), min(y + h, 720)
        half_i[ys:ye, xs:xe] = img[ys - y:ye - y, xs - x:xe - x]
        half_a[ys:ye, xs:xe] = a[ys - y:ye - y, xs - x:xe - x]
        shifted = np.pad(half_a, ((10, 0), (8, 0)))[:720, :640]
        shade = cv2.GaussianBlur(shifted, (0, 0), 14)
        keep = 1 - np.exp(-((np.arange(640) - (640 if side == 0 else 0)) / 9.) ** 8)[None]
        strip *= (1 - .38 * shade * (1 - half_a) * keep)[..., None]
        table(strip, q, self.cam + side)
        strip[:] = strip + (half_i - strip) * (half_a * keep)[..., None]


def on_frame(side, quarter, x, y):
    """Where a point of the upright bed's tile lies in the picture."""
    for _ in range(quarter % 4):
        x, y = 720 - y if _ % 2 == 0 else 640 - y, x
    w, h = (640, 720) if quarter % 2 == 0 else (720, 640)
    left = {0: 0, 2: 0, 1: 640 - 24 - w, 3: 24}[quarter]
    top = {0: 24, 2: 720 - 24 - h, 1: (720 - h) // 2, 3: (720 - h) // 2}[quarter]
    return 640 * side + left + x, top + y
