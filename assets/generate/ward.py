"""Ward scenes: beds as shaded height maps, the made-up people in them, and the camera's own noise."""

from functools import lru_cache

import cv2
import numpy as np

from body import blur, over, paint, smooth, strands
from face import CANVAS, CENTRE, SCALE

TW, TH = 640, 720                   # one bed's half of the frame
Y, X = np.mgrid[:TH, :TW].astype(np.float32)
BED_W = 452


@lru_cache(400)
def noise(shape, sigma, seed, stretch=1., angle=0.):
    """Smooth noise of unit deviation, drawn out along a direction."""
    rng = np.random.default_rng(seed)
    h, w = shape
    k = 1 if sigma <= 3 else 2 if sigma < 8 else 4 if sigma < 40 else 16
    n = rng.standard_normal((int(1.5 * h / k), int(1.5 * w / k)), dtype=np.float32)
    n = cv2.GaussianBlur(n, (0, 0), sigmaX=sigma / k * stretch, sigmaY=sigma / k)
    m = cv2.getRotationMatrix2D((n.shape[1] / 2, n.shape[0] / 2), angle, k)
    m[:, 2] += [w / 2 - n.shape[1] / 2, h / 2 - n.shape[0] / 2]
    n = cv2.warpAffine(n, m, (w, h), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return n / n.std()


@lru_cache(200)
def folds(shape, seed, size=14, angles=(20, -35, 75)):
    """Creases of cloth: ridges of drawn-out noise, each direction in its own patches."""
    out = np.zeros(shape, np.float32)
    for i, a in enumerate(angles):
        n = noise(shape, size, seed + 10 * i, 3.5, a)
        patch = smooth(noise(shape, 60, seed + 10 * i + 1), -.3, 1.2)
        out += patch * (np.exp(-(n / .55) ** 2) - .5)
    return cv2.GaussianBlur(out, (0, 0), 1.5)


def rounded(x0, y0, x1, y1, r, soft=1.):
    """Soft mask of a rounded rectangle and the distance inside it."""
    dx = np.maximum(np.maximum(x0 + r - X, X - (x1 - r)), 0)
    dy = np.maximum(np.maximum(y0 + r - Y, Y - (y1 - r)), 0)
    inner = np.minimum(np.minimum(X - x0, x1 - X), np.minimum(Y - y0, y1 - Y))
    d = np.where((dx > 0) & (dy > 0), r - np.hypot(dx, dy), inner)
    return smooth(d, -soft, soft), d


def shaded(height, light, strength=.055):
    """Lambert light with a little sky occlusion on a height map; 1 on a flat place."""
    height = np.asarray(height, np.float32)
    gx, gy = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=.125), cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=.125)
    s = 1 - (gx * light[0] + gy * light[1]) * strength * 9 / np.sqrt(1 + .05 * (gx ** 2 + gy ** 2))
    hollow = np.clip(blur(height, 10) - height, 0, 40)
    return np.clip(s - .011 * hollow, .35, 1.30)


def axes(turn, at):
    """Across and along somebody who lies turned clockwise with the face at `at`: pixels from there, v towards the feet."""
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    return (X - at[0]) * c + (Y - at[1]) * s, -(X - at[0]) * s + (Y - at[1]) * c


def body_bump(turn, at):
    """The height of somebody lying under the blanket: trunk, arms and legs along a turned axis."""
    u, v = axes(turn, at)
    trunk = np.exp(-np.abs(u / 102) ** 3.6) * smooth(v, 70, 190) * (1 - .25 * smooth(v, 300, 430))
    arms = sum(np.exp(-((u - k * 122) / 26) ** 2) * smooth(v, 110, 190) * smooth(v, 470, 380) for k in (-1, 1))
    legs = sum(np.exp(-((u - k * 46) / 36) ** 2) * smooth(v, 330, 450) for k in (-1, 1))
    head = np.exp(-((u / 74) ** 2 + ((v - 8) / 92) ** 2) ** 1.6)
    return 46 * head * (1 - smooth(v, 30, 125)) + 74 * trunk + 40 * arms * (1 - .6 * trunk) + 26 * legs


def bolster_bump(turn, at):
    """The height of a rolled blanket that is to pass for somebody."""
    u, v = axes(turn, at)
    sag = 1 + .07 * np.cos(v / 47)
    return 66 * sag * np.exp(-np.abs(u / 88) ** 3) * smooth(v, 95, 150) * smooth(v, 470, 350)


def bed(seed, light, person=None, cover=None, turn=0., at=(320, 205), look=None, rumple=0., bump=None, dent=26):
    """One upright bed: RGB and alpha of the tile. `person` is an RGBA layer already on the tile; `cover` where the blanket starts;
    `bump` what lies under the blanket, else a body; `dent` how deep the pillow gives way."""
    look = look or {}
    x0, x1, top = 320 - BED_W / 2, 320 + BED_W / 2, 46
    img = np.zeros((TH, TW, 3), np.float32)
    alpha = np.zeros((TH, TW), np.float32)
    occupied = person is not None
    # Mattress under a white sheet.
    m, d = rounded(x0, top, x1, TH + 60, 26)
    sheet_h = 26 * smooth(d, 0, 20) + 4.0 * folds((TH, TW), seed + 1, 12) * smooth(d, 0, 30)
    if occupied:
        sheet_h = sheet_h + 5 * folds((TH, TW), seed + 2, 9, (60, -60, 10)) * np.exp(-((Y - at[1] - 90) / 120) ** 2)
    sheet = np.array(look.get("sheet", (212, 216, 219)), np.float32)
    img = over(img, sheet[None, None] * (shaded(sheet_h, light) * .93)[..., None], m)
    alpha = np.maximum(alpha, m)
    # Pillow.
    px, py = at[0] * .55 + 320 * .45, 178
    e = (np.abs((X - px) / 172) ** 3.2 + np.abs((Y - py) / 112) ** 3.2) ** (1 / 3.2)
    puff = np.clip(1 - e ** 2.4, 0, 1) ** .55
    pillow_h = 46 * puff + 2.6 * folds((TH, TW), seed + 3, 10, (10, -50, 50)) * smooth(e, 1., .8)
    if occupied:
        hollow = np.exp(-(((X - at[0]) / 82) ** 2 + ((Y - at[1]) / 88) ** 2))
        around = np.arctan2(Y - at[1], X - at[0])
        pillow_h = pillow_h - dent * hollow + 2.2 * dent / 26 * np.sin(around * 11 + seed) * hollow * (1 - hollow) * 4
    pm = smooth(e, 1.01, .985)
    img *= (1 - .34 * blur(np.roll(pm, (8, 5), (0, 1)), 9) * m)[..., None]
    pillow = np.array(look.get("pillow", (222, 225, 228)), np.float32)
    img = over(img, pillow[None, None] * (shaded(pillow_h, light) * .97)[..., None], pm)
    # The person lies between sheet and blanket.
    if occupied:
        rgb, a = person
        cast = blur(np.roll(a, (int(7 - 6 * light[1]), int(-6 * light[0])), (0, 1)), 9)
        img *= (1 - .42 * cast * (1 - a))[..., None]
        img = over(img, rgb, a)
    # The blanket with its turned-down edge.
    edge = (cover if cover is not None else 330) + 6 * np.sin(X / 57 + seed) + (X - 320) * np.tan(np.radians(turn)) * .5
    if occupied:
        edge = edge - 22 * np.exp(-((X - at[0]) / 150) ** 4)
    bx0, bx1 = x0 - 14, x1 + 14
    side = smooth(X + 5 * np.sin(Y / 43 + seed), bx0, bx0 + 3) * smooth(X + 5 * np.sin(Y / 51 + 2 + seed), bx1, bx1 - 3)
    bm = side * smooth(Y, edge, edge + 3)
    drop = np.minimum(X - bx0, bx1 - X)
    h = 30 * smooth(drop, -2, 34) + 9 * smooth(Y - edge, 0, 14)
    if bump is None:
        bump = body_bump(turn, at) if occupied else 0.
    if occupied:
        tension = smooth(blur(bump, 12), 4, 26)
        h = h + bump + (4.5 + 5.0 * tension) * folds((TH, TW), seed + 4, 11, (turn + 80, turn + 55, turn - 60, 12))
    else:
        h = h + 1.8 * folds((TH, TW), seed + 5, 18, (4, 85, -6))
        h = h + rumple * 5 * folds((TH, TW), seed + 6, 13) * smooth(noise((TH, TW), 70, seed + 8), -.2, 1.)
    h = h.astype(np.float32)
    colour = np.array(look.get("blanket", (150, 182, 196)), np.float32)
    weave = 1 + .018 * np.sin(X * 1.9) * np.sin(Y * 1.9)
    gx = cv2.Sobel(blur(h, 2), cv2.CV_32F, 1, 0, scale=.125)
    stripe = smooth(np.sin((X + 2.2 * gx) / 36 * np.pi), .86, .94) * look.get("stripe", .16)
    cloth = colour[None, None] * (weave * (1 - stripe))[..., None]
    fold = smooth(Y, edge + 52 + 4 * np.sin(X / 40), edge + 49 + 4 * np.sin(X / 40))
    cloth = over(cloth, np.broadcast_to(np.array([214, 218, 221], np.float32), cloth.shape), fold)
    h = h + 5 * fold
    img *= (1 - .40 * blur(np.roll(bm, -6, 0), 7) * np.maximum(m, alpha) * (1 - bm))[..., None]
    img = over(img, cloth * shaded(h, light)[..., None], bm)
    alpha = np.maximum(alpha, bm)
    # Headboard and rails.
    hb, hd = rounded(x0 - 16, 12, x1 + 16, 44, 12)
    board = np.array(look.get("board", (196, 170, 132)), np.float32)
    grainy = 1 + .05 * noise((TH, TW), 2, seed + 9, 14, 0)
    img = over(img, board[None, None] * (shaded(10 * smooth(hd, 0, 12), light) * grainy)[..., None], hb)
    alpha = np.maximum(alpha, hb)
    for xr in (x0 - 19, x1 + 19):
        rail, rd = rounded(xr - 6, 215, xr + 6, 560, 6)
        tube = .72 + .38 * np.exp(-((X - xr + 2.5 * light[0]) / 3.0) ** 2)
        img *= (1 - .3 * blur(np.roll(rail, (4, 4), (0, 1)), 5) * (1 - rail))[..., None]
        img = over(img, np.array([203, 207, 210], np.float32)[None, None] * tube[..., None], rail)
        alpha = np.maximum(alpha, rail)
    return img, alpha


def lay(model, person, shot, width, at, turn):
    """Paints a person and puts the layer on the tile: face oval `width` pixels at `at`, turned clockwise."""
    rgb, a, p = paint(model, person, shot)
    return place(rgb, a, width, at, turn)


def place(rgb, a, width, at, turn, size=(TW, TH)):
    k = width / SCALE
    m = cv2.getRotationMatrix2D(tuple(CENTRE.tolist()), -turn, k)
    m[:, 2] += np.array(at) - CENTRE
    pre = np.dstack([rgb * a[..., None], a]).astype(np.float32)
    small = cv2.GaussianBlur(pre, (0, 0), .42 / k) if k < .95 else pre
    t = cv2.warpAffine(small, m, size, flags=cv2.INTER_LINEAR)
    return t[..., :3] / np.maximum(t[..., 3:], 1e-3), np.clip(t[..., 3], 0, 1)


def face_down(person, gown_rgb, gown_a, seed):
    """Replaces the head of a painted person by the back of a head: hair round a whorl."""
    w, h = CANVAS
    yy, xx = np.mgrid[:h, :w].astype(np.float32)
    c = CENTRE + [0, -22]
    dx, dy = (xx - c[0]) / 118, (yy - c[1]) / 152
    r = np.maximum(np.hypot(dx, dy), .02)
    flow = np.stack([(dx / r) - .55 * dy / r, (dy / r) + .55 * dx / r], 2)
    flow /= np.maximum(np.linalg.norm(flow, axis=2, keepdims=True), .01)
    rng = np.random.default_rng(seed)
    lic, coarse = strands(flow.astype(np.float32), rng, fine=.5), strands(flow.astype(np.float32), rng, 20, 2.4, 1.5)
    m = smooth(r + .012 * lic, 1.02, .98)
    tone = (.85 + .22 * lic + .16 * coarse + .5 * np.exp(-((r - .55) / .16) ** 2)) * (1.05 - .55 * smooth(r, .5, 1.))
    hair = np.array(person["hair"], np.float32)[None, None] * np.clip(tone, .25, 2.3)[..., None]
    lower = smooth(yy, c[1] + 90, c[1] + 120)
    shirt = np.array(person["gown"][0], np.float32) * .93
    stripe = smooth(np.sin(xx / 15.8 * np.pi), .1, .6)[..., None]
    shirt = shirt * (1 - stripe) + np.array(person["gown"][1], np.float32) * .93 * stripe
    back = over(gown_rgb, shirt * (1 - .25 * np.exp(-r * r))[..., None], ((r < 2.1) * lower * (gown_a > .5)).astype(np.float32))
    a = gown_a * lower
    a = np.maximum(a, m)
    return over(back * (1 - .4 * blur(m, 10))[..., None], hair, m), a


def turned(img, alpha, quarter):
    """Quarter turns clockwise; the tile's middle stays put."""
    q = quarter % 4
    return (np.ascontiguousarray(np.rot90(img, -q)), np.ascontiguousarray(np.rot90(alpha, -q)))


def floor(seed, tint=(176, 181, 178)):
    h, w = 720, 1280
    y, x = np.mgrid[:h, :w].astype(np.float32)
    base = np.array(tint, np.float32)[None, None] * (1 + .012 * noise((h, w), 1.2, seed) + .03 * noise((h, w), 120, seed + 1))[..., None]
    for line in (np.abs((x + 30) % 210 - 105), np.abs((y + 60) % 210 - 105)):
        base *= (1 - .10 * np.exp(-(line / 1.3) ** 2))[..., None]
    return base


def curtain(seed, base):
    """The drawn curtain between the beds, seen from above: pleats in a narrow strip."""
    h, w = 720, 1280
    y, x = np.mgrid[:h, :w].astype(np.float32)
    wob = 5 * np.sin(y / 23 + seed) + 2.5 * np.sin(y / 9.5)
    d = np.abs(x - 640 - wob)
    m = smooth(d, 12, 9)
    base = base * (1 - .33 * blur(smooth(np.abs(x - 646 - wob), 18, 6), 8))[..., None]
    tone = .82 + .2 * np.cos(y / 23 + seed + .6) - .03 * d / 10
    base = over(base, np.array([122, 160, 172], np.float32)[None, None] * tone[..., None], m)
    rail = smooth(np.abs(x - 640), 3.2, 2.2)
    return over(base, np.array([205, 208, 210], np.float32)[None, None] * np.ones_like(x)[..., None], rail)


def camera(img, rng, gain=1., warm=0., noise_=1.9, soft=.55):
    """What the sensor makes of it: vignette, white balance, blur, shot noise with colour, 8 bits."""
    h, w = img.shape[:2]
    y, x = np.mgrid[:h, :w].astype(np.float32)
    v = 1 - .16 * (((x - w / 2) / w) ** 2 + ((y - h / 2) / h) ** 2) * 2
    out = img * v[..., None] * gain * np.array([1 + warm, 1, 1 - warm], np.float32)
    out = cv2.GaussianBlur(out, (0, 0), soft)
    luma = cv2.GaussianBlur(rng.standard_normal((h, w, 1), dtype=np.float32), (0, 0), .5)[..., None]
    chroma = cv2.GaussianBlur(rng.standard_normal((h, w, 3), dtype=np.float32), (0, 0), 1.2)
    amp = noise_ * np.sqrt(np.clip(out, 2, 255) / 120)
    return np.clip(out + amp * (1.5 * luma + 1.5 * chroma), 0, 255)


def jpeg(img, quality, tight=False):
    """`tight` writes the picture's own code tables: a tenth smaller, a little slower."""
    how = [cv2.IMWRITE_JPEG_QUALITY, quality] + ([cv2.IMWRITE_JPEG_OPTIMIZE, 1] if tight else [])
    return cv2.imencode(".jpg", np.clip(img, 0, 255).astype(np.uint8)[..., ::-1], how)[1].tobytes()
