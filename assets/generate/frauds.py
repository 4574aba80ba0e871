"""What is laid on a pillow instead of a patient: a printed photo, a tablet that plays a video, a paper mask on somebody else."""

import cv2
import numpy as np

from body import CH, CW, blur, fill, over, paint, smooth
from breath import FRAMES, shut
from mesh import OVAL
from ward import axes, place

PAPER = (190, 254)                  # pixels; with a face of natural size this is about a sheet of A4
TABLET, BEZEL = (190, 250), 11
FACE = 120                          # width of the face oval on paper and screen
WHITE = np.array((236, 234, 228), np.float32)
SNAP = dict(yaw=2, pitch=1, smile=.1, light=(.1, -.3, -1), hard=.22)


def snapshot(model, person, shot, size, sway=0.):
    """A picture of the person as somebody would take it: head and shoulders before a pale wall."""
    rgb, a, _ = paint(model, person, shot)
    img, alpha = place(rgb, a, FACE, (size[0] / 2 + sway, size[1] * .46), shot.get("roll", 0), size)
    wall = np.linspace(206, 178, size[1], dtype=np.float32)[:, None, None] * np.array((.97, 1., 1.02), np.float32)
    return over(np.broadcast_to(wall, img.shape), img, alpha)


def printed(rgb):
    """What an office printer makes of it: paler black, less colour, the dots of the screen."""
    y, x = np.mgrid[:rgb.shape[0], :rgb.shape[1]].astype(np.float32)
    g = rgb / 255
    grey = g.mean(2, keepdims=True)
    g = .10 + .80 * np.clip(grey + .84 * (g - grey), 0, 1)
    dots = np.cos(2 * np.pi * (x + y * .93) / 3.5) * np.cos(2 * np.pi * (x * .93 - y) / 3.5)
    return np.clip(g + (.13 * grey * (1 - grey)) * dots[..., None], 0, .93) * 255 * (WHITE / WHITE.max())


def spread_out(picture, turn, at, bow=0., narrow=0.):
    """Lays a flat picture on the tile: turned, its ends bowed by `bow` pixels, its top narrower by the share `narrow`."""
    h, w = picture.shape[:2]
    u, v = axes(turn, at)
    mx = u * (1 - narrow * v / h) + w / 2 - .5
    my = v + bow * (2 * u / w) ** 2 + h / 2 - .5
    rgba = np.dstack([picture, np.ones((h, w), np.float32)]).astype(np.float32)
    out = cv2.remap(rgba, mx.astype(np.float32), my.astype(np.float32), cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT)
    return np.clip(out[..., :3] / np.maximum(out[..., 3:], .05), 0, 255), np.clip(out[..., 3], 0, 1)


def photo(model, person, turn, at, light):
    """The printed photo: paper with a white border, slightly bent, matt."""
    w, h = PAPER
    sheet = np.broadcast_to(WHITE, (h, w, 3)).copy()
    sheet[9:-9, 9:-9] = printed(snapshot(model, person, SNAP, (w - 18, h - 18)))
    rgb, a = spread_out(sheet, turn, at, bow=6)
    across = 2 * axes(turn, at)[0] / w
    return rgb * (1 + .10 * across * light[0] - .07 * across ** 2)[..., None], a


def screen(picture):
    """What a tablet shows of it: more contrast, blue, the grid of its pixels against that of the camera."""
    h, w = picture.shape[:2]
    y, x = np.mgrid[:h, :w].astype(np.float32)
    g = 255 * np.clip(picture / 255, 0, 1) ** 1.12 * np.array((.93, 1.00, 1.13), np.float32)
    fringe = .022 * np.sin(2 * np.pi * (x / 15 + .9 * np.sin(y / 61))) + .025 * np.cos(np.pi * x * .93) * np.cos(np.pi * y * .93)
    return np.clip(g * (1 + fringe)[..., None] + 5, 0, 255)


def tablet(picture, turn, at):
    """The tablet with what it shows: black rim, rounded corners, the window's reflection in the glass."""
    w, h = TABLET
    y, x = np.mgrid[:h, :w].astype(np.float32)
    case = np.broadcast_to(np.array((17, 18, 20), np.float32), (h, w, 3)).copy()
    case[BEZEL:-BEZEL, BEZEL:-BEZEL] = screen(picture)
    streak = smooth(x + .55 * y, 108, 116) * smooth(x + .55 * y, 176, 166) + .6 * smooth(x + .55 * y, 190, 196) * smooth(x + .55 * y, 216, 208)
    case += (11 * streak * (1 - .5 * y / h))[..., None]
    d = np.hypot(np.maximum(np.abs(x - w / 2 + .5) - w / 2 + 13, 0), np.maximum(np.abs(y - h / 2 + .5) - h / 2 + 13, 0))
    case += (70 * np.exp(-((d - 11.3) / .9) ** 2))[..., None]
    rgb, a = spread_out(case, turn, at, narrow=.045)
    round_, b = spread_out(np.repeat(smooth(d, 13.4, 12.6)[..., None] * 255, 3, 2), turn, at, narrow=.045)
    return rgb, a * round_[..., 0] / 255 * (b > .01)


def video(model, person):
    """The frames that the tablet plays, in a loop: the head sways and turns, the eyes close."""
    size, pictures = (TABLET[0] - 2 * BEZEL, TABLET[1] - 2 * BEZEL), {}
    for i in range(FRAMES):
        s = round(float(np.sin(2 * np.pi * i / FRAMES)), 3)
        key = s, i in shut(12)
        if key not in pictures:
            shot = dict(SNAP, yaw=1 + 3.5 * s, roll=1.4 * s, smile=.25, blink=float(key[1]))
            pictures[key] = snapshot(model, person, shot, size, 3. * s)
        yield pictures[key]


def mask(model, wearer, worn, shot):
    """Somebody with another's face cut out of paper: a layer on the canvas. The paper covers the wearer's own face."""
    rgb, a, _ = paint(model, wearer, shot)
    face, b, p = paint(model, worn, dict(SNAP, yaw=0))
    face = over(np.full_like(face, 205), face, b)
    oval = p[OVAL, :2][::2]
    grown = lambda k: oval.mean(0) + (oval - oval.mean(0)) * k
    paper, ink = fill(grown(1.12), .8), fill(grown(1.08), .8)
    rgb = rgb * (1 - .5 * blur(np.roll(paper, (7, 5), (0, 1)), 7) * (1 - paper))[..., None]
    rgb = over(rgb, np.broadcast_to(WHITE, (CH, CW, 3)), paper)
    return over(rgb, printed(face), ink), np.maximum(a, paper)
