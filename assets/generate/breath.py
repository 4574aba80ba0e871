"""How a bed moves in a clip: the blanket breathes, the head drifts, and after FRAMES frames everything is where it was."""

import cv2
import numpy as np

from body import smooth
from ward import X, Y, axes, body_bump, shaded

FRAMES = 16                         # four seconds at four frames a second
FAST = (2, 5, 8, 13)                # beds of two breaths a loop (30 a minute); the others take one (15 a minute)
CHEST = 215                         # from the face to the chest, along the body
RISE = 5.                           # by how much the chest comes up, in the units of the height maps


def wave(number, frame):
    """Where in its breath a bed is, -1 .. 1: in is a little quicker than out. Every bed has its own phase."""
    a = 2 * np.pi * ((2 if number in FAST else 1) * frame / FRAMES + .618 * number)
    return (np.sin(a) + .22 * np.sin(2 * a + .6)) / 1.18


def swing(number):
    """From breathed in to breathed out, at the chest, in pixels."""
    return 3.2 + .25 * (number % 4)


def shut(number):
    """The frames in which the eyes are closed."""
    return (5,) if number % 3 else (3, 12)


class Motion:
    """The displacement of every point of one upright bed. A mask moves with its head but no part of it against another."""

    def __init__(self, number, turn, at, light, has_features=True):
        u, v = axes(turn, at)
        self.number, self.light, self.at = number, light, at
        self.down = np.array([-np.sin(np.radians(turn)), np.cos(np.radians(turn))])
        self.across = np.array([self.down[1], -self.down[0]])
        near = np.where(v < CHEST, 80, 115)
        self.chest = np.exp(-np.abs(u / 130) ** 2.5 - ((v - CHEST) / near) ** 2) * smooth(v, 60, 130)
        self.spread = .35 * np.clip(u / 110, -1.3, 1.3)
        self.head = smooth(np.hypot(u, v), 150, 105)
        self.height = body_bump(turn, at)
        # The nose stands out of the face and moves more when the head turns; the jaw gives way a little with each breath.
        self.nose = .5 * has_features * np.exp(-(u / 26) ** 2 - ((v - 8) / 34) ** 2)
        self.jaw = .5 * has_features * np.exp(-(u / 36) ** 2 - ((v - 52) / 22) ** 2)

    def field(self, frame):
        """(dx, dy): by how much the picture at each place has moved."""
        n, breath = self.number, wave(self.number, frame)
        t = 2 * np.pi * frame / FRAMES + n
        up = .5 * swing(n) * breath * self.chest
        along = -up + .2 * breath * self.head + self.jaw * breath
        across = up * self.spread + self.nose * np.sin(t + .8)
        sway = .40 * np.sin(t) + .12 * np.sin(2 * t), .28 * np.sin(t + 1.9)
        roll = np.radians(.12) * np.sin(t + .4)
        dx = along * self.down[0] + across * self.across[0] + (sway[0] - roll * (Y - self.at[1])) * self.head
        dy = along * self.down[1] + across * self.across[1] + (sway[1] + roll * (X - self.at[0])) * self.head
        return dx.astype(np.float32), dy.astype(np.float32)

    def move(self, img, alpha, frame):
        """The still bed as it is in one frame, with the light on the risen blanket."""
        dx, dy = self.field(frame)
        flat = np.dstack([img * alpha[..., None], alpha]).astype(np.float32)
        out = cv2.remap(flat, X - dx, Y - dy, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        a = np.clip(out[..., 3], 0, 1)
        risen = shaded(self.height + RISE * wave(self.number, frame) * self.chest, self.light) / shaded(self.height, self.light)
        shade = 1 + (risen - 1) * smooth(self.chest, .02, .25)
        return out[..., :3] / np.maximum(out[..., 3:], 1e-3) * shade[..., None], a
