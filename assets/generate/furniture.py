"""What stands beside the beds: the bedside table and the linen cupboard, seen from above."""

import numpy as np

from body import blur, over, smooth
from ward import noise


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


def cupboard(strip):
    """A linen cupboard along the wall, two folded blankets on it and a chair before it, where no bed stands."""
    y, x = np.mgrid[:strip.shape[0], :strip.shape[1]].astype(np.float32)

    def block(cx, cy, w, h, colour, lift, r=6, stretch=0.):
        d = np.maximum(np.abs(x - cx) - w + r, np.abs(y - cy) - h + r)
        corner = np.hypot(np.maximum(np.abs(x - cx) - w + r, 0), np.maximum(np.abs(y - cy) - h + r, 0))
        d = np.where(corner > 0, corner, np.minimum(d, 0)) - r
        under = smooth(np.roll(d, (lift // 2, lift), (0, 1)), lift, -lift)
        strip[:] *= (1 - .42 * blur(under, max(lift * .6, 2)))[..., None]
        tone = 1 + (.05 * noise(strip.shape[:2], 2, int(cx + cy), stretch, 90) if stretch else .02 * noise(strip.shape[:2], 9, int(cx + cy)))
        tone = tone * (1 + .07 * smooth(d, -7, 0) * np.where((x - cx) / w + (y - cy) / h < 0, 1, -1))
        strip[:] = over(strip, np.array(colour, np.float32)[None, None] * tone[..., None], smooth(d, .8, -.8))

    block(535, 330, 74, 262, (206, 186, 152), 16, 5, 12.)
    strip *= (1 - .35 * np.exp(-((y - 330) / 1.2) ** 2) * smooth(np.abs(x - 535), 74, 73))[..., None]
    for cy, colour in ((190, (150, 182, 196)), (452, (196, 176, 164))):
        block(536, cy, 54, 80, colour, 7, 12)
        for k in (-28, 0, 28):
            strip *= (1 - .16 * np.exp(-((x - 536 - k) / 1.6) ** 2) * smooth(np.abs(y - cy), 80, 74))[..., None]
    block(318, 352, 58, 54, (128, 150, 158), 9, 14)
    block(262, 352, 10, 58, (108, 128, 136), 6, 8)
