"""Everything round the face: skull, ears, neck, hair and the striped hospital gown, painted by rule."""

import cv2
import numpy as np

from face import CANVAS, paint_face, pull
from mesh import OVAL

CW, CH = CANVAS
YY, XX = np.mgrid[:CH, :CW].astype(np.float32)


def smooth(x, lo, hi):
    t = np.clip((x - lo) / (hi - lo), 0, 1)
    return t * t * (3 - 2 * t)


def blur(a, s):
    """Gaussian blur; wide ones on a smaller picture."""
    if s < 6:
        return cv2.GaussianBlur(a, (0, 0), s)
    k = 4 if s < 40 else 8
    small = cv2.resize(a, (a.shape[1] // k, a.shape[0] // k), interpolation=cv2.INTER_AREA)
    return cv2.resize(cv2.GaussianBlur(small, (0, 0), s / k), (a.shape[1], a.shape[0]), interpolation=cv2.INTER_LINEAR)


def over(base, colour, alpha):
    return base + (colour - base) * alpha[..., None]


def fill(points, soft=1.2):
    m = np.zeros((CH, CW), np.uint8)
    cv2.fillPoly(m, [np.round(np.asarray(points) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(m.astype(np.float32) / 255, (0, 0), soft)


def spline(points, n=40):
    """A closed smooth curve through the points."""
    p = np.asarray(points, float)
    t = np.arange(n) / n
    out = []
    for i in range(len(p)):
        a, b, c, d = p[i - 1], p[i], p[(i + 1) % len(p)], p[(i + 2) % len(p)]
        u = t[:, None]
        out.append(.5 * (2 * b + (c - a) * u + (2 * a - 5 * b + 4 * c - d) * u ** 2 + (3 * b - a - 3 * c + d) * u ** 3))
    return np.concatenate(out)


def strands(flow, rng, steps=26, step=1.6, fine=.8):
    """Noise smeared along a flow field: looks like hair that lies along it. Zero mean, unit deviation. Half size."""
    h, w = CH // 2, CW // 2
    f = np.ascontiguousarray(flow[::2, ::2])
    n = rng.standard_normal((h, w), dtype=np.float32)
    n = cv2.GaussianBlur(n, (0, 0), fine) if fine > .6 else n
    acc = n / n.std()
    n = acc.copy()
    gx, gy = np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32))
    for sign in (1, -1):
        x, y = gx.copy(), gy.copy()
        for _ in range(steps // 2):
            d = cv2.remap(f, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            x, y = x + sign * step / 2 * d[..., 0], y + sign * step / 2 * d[..., 1]
            acc += cv2.remap(n, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    acc -= blur(acc, 15)
    return cv2.resize(acc / acc.std(), (CW, CH), interpolation=cv2.INTER_CUBIC)


_LIC = {}


class Head:
    """Where the parts of the head are, from the posed mesh."""

    def __init__(self, p, hair):
        oval = p[OVAL, :2]
        self.top, self.chin = p[10, :2], p[152, :2]
        self.left, self.right = p[234, :2], p[454, :2]
        self.fw = np.ptp(oval[:, 0])
        self.fh = self.chin[1] - self.top[1]
        self.cx = (self.left[0] + self.right[0]) / 2
        # The skull's centre lies above the eyes; its crown a quarter of the face above the hairline.
        self.cy = self.top[1] + .34 * self.fh
        self.rx, self.ry = .520 * self.fw, .34 * self.fh + .215 * self.fh
        self.oval = oval
        self.hair = hair
        self.r = np.hypot((XX - self.cx) / self.rx, (YY - self.cy) / self.ry)
        self.ang = np.degrees(np.arctan2(XX - self.cx, -(YY - self.cy)))     # 0 is up, + to the image's right


def paint_ears(img, alpha, skin, head):
    for side, at in ((-1, head.left), (1, head.right)):
        c = np.array([at[0] + side * .022 * head.fw, at[1] + .035 * head.fh])
        hh, ww = .135 * head.fh, .062 * head.fw
        u = (XX - c[0]) * side
        v = YY - c[1]
        lean = u + .14 * v
        d = np.hypot(lean / (ww * (1 - .28 * smooth(v / hh, -.1, 1.1))), v / hh)
        m = smooth(d, 1.06, .92)
        shade = .92 - .30 * np.exp(-((lean / ww - .12) ** 2 / .10 + (v / hh + .02) ** 2 / .16))
        shade += .13 * np.exp(-((d - .84) / .10) ** 2) * smooth(lean / ww, -.5, .2)
        shade *= 1 - .35 * smooth(lean / ww, -.2, -1.)
        colour = skin * shade[..., None] * np.array([1.02, .95, .93], np.float32)
        img = over(img, colour, m)
        alpha = np.maximum(alpha, m)
    return img, alpha


def paint_neck(img, alpha, skin, head):
    jaw = head.chin[1]
    half = .36 * head.fw
    y0, y1 = jaw - .30 * head.fh, jaw + .75 * head.fh
    pts = [(head.cx - half * 1.08, y0), (head.cx + half * 1.08, y0), (head.cx + half, jaw + .12 * head.fh),
           (head.cx + half * 1.25, jaw + .34 * head.fh), (head.cx + half * 2.2, y1), (head.cx - half * 2.2, y1),
           (head.cx - half * 1.25, jaw + .34 * head.fh), (head.cx - half, jaw + .12 * head.fh)]
    m = fill(pts, 2.)
    base = skin.copy()
    x0, x1 = int(head.cx - .3 * head.fw), int(head.cx + .3 * head.fw)
    row = skin[int(jaw - .30 * head.fh):int(jaw - .1 * head.fh), x0:x1].mean((0, 1)) * 1.12
    base[:] = row
    u = (XX - head.cx) / half
    shade = .98 - .26 * np.clip(np.abs(u) - .1, 0, 1.2) ** 2 * smooth(YY, jaw + .5 * head.fh, jaw)
    under = fill(head.oval + [0, .07 * head.fh], 9.)
    shade = shade * (1 - .36 * under)
    # Two faint sinews and the hollow between the collar bones.
    for k in (-.42, .42):
        shade -= .035 * np.exp(-((u - k * (1 - .5 * smooth(YY, jaw, y1))) / .10) ** 2) * smooth(YY, jaw + .1 * head.fh, jaw + .25 * head.fh)
    shade -= .09 * np.exp(-(u / .35) ** 2 - ((YY - jaw - .42 * head.fh) / (.05 * head.fh)) ** 2)
    img = over(img, base * shade[..., None], m)
    return img, np.maximum(alpha, m)


def paint_gown(img, alpha, head, gown, rng):
    jaw, cx, fw, fh = head.chin[1], head.cx, head.fw, head.fh
    s = 1.28 * fw
    collar = jaw + .12 * fh
    outline = spline([(cx - .42 * fw, collar - .04 * fh), (cx - .80 * fw, collar + .13 * fh), (cx - s, collar + .33 * fh),
                      (cx - 1.42 * fw, collar + .9 * fh), (cx - 1.5 * fw, CH + 200), (cx + 1.5 * fw, CH + 200),
                      (cx + 1.42 * fw, collar + .9 * fh), (cx + s, collar + .33 * fh), (cx + .80 * fw, collar + .13 * fh),
                      (cx + .42 * fw, collar - .04 * fh)])
    m = fill(outline, 1.5)
    vee = fill([(cx - .43 * fw, collar - .25 * fh), (cx + .43 * fw, collar - .25 * fh), (cx + .40 * fw, collar + .02 * fh),
                (cx + .03 * fw, collar + .50 * fh), (cx - .40 * fw, collar + .02 * fh)], 1.5)
    m = m * (1 - vee)
    fold = cv2.resize(blur(rng.standard_normal((CH // 2, CW), dtype=np.float32), 30), (CW, CH))
    fold /= fold.std()
    ridge = np.exp(-(fold / .22) ** 2)
    ridge = blur(ridge, 4)
    side = (XX - cx) / fw
    wave = 3.5 * fold + .10 * (YY - collar) * side
    stripe = .5 + .5 * np.sin((XX + wave) / (.072 * fw) * np.pi)
    stripe = smooth(stripe, .55, .8)
    a, b = np.array(gown[0], np.float32), np.array(gown[1], np.float32)
    cloth = a[None, None] * (1 - stripe)[..., None] + b[None, None] * stripe[..., None]
    gx = np.gradient(blur(fold, 5), axis=1) * 26
    shade = .97 + .9 * gx * .13 - .05 * ridge - .24 * np.clip(np.abs(side) - .75, 0, 1) ** 1.3
    shade *= 1 - .30 * fill(head.oval + [0, .30 * fh], 30.)
    # A collar band along the opening, with its own edge.
    band = blur(vee, 11)
    edge = smooth(band, .05, .18) * (1 - smooth(band, .62, .75))
    cloth = cloth * (1 - .75 * edge)[..., None] + a * (.75 * edge)[..., None]
    shade *= 1 - .22 * np.exp(-((band - .07) / .035) ** 2)
    shade *= np.where(vee > .5, .8, 1)
    img = over(img, cloth * np.clip(shade, .3, 1.15)[..., None], m)
    return img, np.maximum(alpha, m)


STYLES = {
    # thick: hair above the skull; side: how far round the head (degrees); recess: bald front; fall: ends below the chin;
    # flare: width of falling hair; bangs: how far the fringe hangs over the forehead.
    "short": dict(thick=.105, side=97, recess=.0, fall=None, bangs=.03),
    "crop": dict(thick=.055, side=99, recess=.02, fall=None, bangs=.0),
    "receding": dict(thick=.045, side=99, recess=.16, fall=None, bangs=.0),
    "bald": dict(thick=.02, side=99, recess=.36, fall=None, bangs=.0),
    "side": dict(thick=.125, side=98, recess=.0, fall=None, bangs=.06),
    "tied": dict(temple=0., thick=.06, side=101, recess=.0, fall=None, bangs=.0),
    "bob": dict(temple=0., thick=.12, side=150, recess=.0, fall=.02, flare=.17, bangs=.02),
    "fringe": dict(temple=0., thick=.12, side=150, recess=.0, fall=-.02, flare=.16, bangs=.15),
    "long": dict(temple=0., thick=.11, side=150, recess=.0, fall=.72, flare=.22, bangs=.01),
    "wavy": dict(temple=0., thick=.15, side=150, recess=.0, fall=.12, flare=.24, bangs=.03),
}


def hair_masks(head, style, rng):
    """(front, back): the hair over the skull and face, and the hair that falls behind the neck."""
    s = STYLES[style]
    a = np.abs(head.ang)
    wob = blur(rng.standard_normal((CH, CW), dtype=np.float32), 14)
    wob /= wob.std()
    outer = smooth(head.r, 1 + s["thick"] * (1 - .35 * smooth(a, 40, 110)) + .03, 1 + s["thick"] * (1 - .35 * smooth(a, 40, 110)) - .02)
    # The hairline: the mesh's own outline at the top, temples a little up, then down before the ears.
    oval = spline(head.oval, 12)
    inside = cv2.distanceTransform((fill(oval, .5) > .5).astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((fill(oval, .5) <= .5).astype(np.uint8), cv2.DIST_L2, 5)
    depth = (inside - outside) / head.fh
    line = -.022 + s["bangs"] * smooth(a, 75, 30) - s["recess"] * smooth(a, 80, 45)
    line = line - s.get('temple', .022) * np.exp(-((a - 42) / 14) ** 2) + .045 * smooth(a, 52, 80) + .010 * wob
    front = outer * smooth(depth, line + .028, line - .028)
    front *= smooth(a, s["side"] + 6, s["side"] - 6)
    if s["fall"] is None:
        return np.clip(front, 0, 1), np.zeros_like(front)
    u = np.abs(XX - head.cx) / head.fw
    end = head.chin[1] + s["fall"] * head.fh
    down = smooth(YY, head.cy - .20 * head.fh, head.cy - .05 * head.fh)
    t = smooth(YY, head.cy, end)
    width = .52 * (1 + s["thick"] * .75) + (s["flare"] - .09) * .55 * np.sin(np.clip(t, 0, 1) * 2.2) + .008 * wob
    ends = smooth(YY + 9 * wob + .12 * head.fh * np.abs(u - .5), end + 14, end - 14)
    curtain = smooth(u, width + .02, width - .02) * ends * np.where(YY < head.cy + .04 * head.fh, outer, 1) * (YY > head.cy - .2 * head.fh)
    inner = .425 - .04 * smooth(YY, head.cy, head.chin[1]) + .010 * wob
    sides = curtain * smooth(u, inner - .02, inner + .01) * down
    front = np.maximum(front, sides)
    return np.clip(front, 0, 1), np.clip(curtain, 0, 1)


def hair_flow(head, style):
    s = STYLES[style]
    dx, dy = (XX - head.cx) / head.rx, (YY - head.cy) / head.ry
    r = np.maximum(np.hypot(dx, dy), .05)
    radial = np.stack([dx / r, dy / r], 2)
    if s["fall"] is None and style != "side":
        parting = 0.25 * np.sin(head.ang / 14)[..., None] * np.stack([-radial[..., 1], radial[..., 0]], 2)
        f = radial + parting
    else:
        part = -.12 if style in ("side", "bob", "fringe") else 0.
        side = np.where(XX > head.cx + part * head.fw, 1., -1.)
        tangent = np.stack([-radial[..., 1] * side, radial[..., 0] * side], 2)
        mix = smooth(np.abs(head.ang), 5, 60)[..., None]
        f = (1 - mix) * (.55 * radial + .8 * tangent) + mix * (tangent + .25 * radial)
        low = smooth(YY, head.cy, head.cy + .35 * head.fh)[..., None]
        sway = .18 * np.sin(YY / (.16 * head.fh) + 1.2 * side) * (3 if style == "wavy" else 1)
        f = (1 - low) * f + low * np.stack([sway + .0 * YY, np.ones_like(YY)], 2)
    return (f / np.maximum(np.linalg.norm(f, axis=2, keepdims=True), 1e-3)).astype(np.float32)


def hair_colour(head, person, mask, flow, rng, dark=1.):
    key = person["seed"], person["style"], dark
    if key not in _LIC:
        _LIC[key] = strands(flow, rng, fine=.5), strands(flow, rng, steps=20, step=2.4, fine=1.5)
    lic, coarse = _LIC[key]
    base = np.array(person["hair"], np.float32)
    grey = person.get("grey", 0.)
    base = base + (np.array([150, 148, 145], np.float32) - base) * .62 * grey
    white = smooth(lic * .75 + coarse * .25, .9 - 2.2 * grey, 3.0 - 2.2 * grey) * .6 if grey else np.zeros_like(lic)
    colour = base[None, None] + (np.array([188, 186, 182], np.float32) - base)[None, None] * (white * min(1, .55 + grey * .5))[..., None]
    edge = blur(mask, 16)
    shine = np.exp(-((head.r - .93) / .085) ** 2) * smooth(np.abs(head.ang), 105, 20)
    tone = .80 + .20 * lic + .14 * coarse + .75 * shine * (.6 + .35 * lic)
    tone *= .55 + .5 * smooth(edge, .25, .95)
    return np.clip(colour * np.clip(tone, .3, 2.4)[..., None] * dark, 0, 255), lic


def paint(model, person, shot):
    """The whole upper person on the canvas: RGB 0..255, alpha, mesh points."""
    face, mask, p = paint_face(model, person, shot)
    rng = np.random.default_rng(person["seed"])
    head = Head(p, person["style"])
    core = cv2.erode(mask, np.ones((5, 5), np.uint8), iterations=3)
    dist = cv2.distanceTransform((mask > 0).astype(np.uint8), cv2.DIST_L2, 5)
    # Cheeks and jaw colour the rest of the skin; the rim of the mesh may hold hair or backdrop of the averages.
    skin = pull(face, core)
    skin = skin * (1 - .22 * smooth(head.r, .8, 1.1))[..., None]
    light = shot.get("light", (0, -.3, -1))
    slope = 1 + shot.get("hard", .35) * .5 * light[0] * np.clip((XX - head.cx) / head.fw, -1.5, 1.5)
    img = np.zeros((CH, CW, 3), np.float32)
    alpha = np.zeros((CH, CW), np.float32)
    front, back = hair_masks(head, person["style"], rng)
    flow = hair_flow(head, person["style"])
    if back.max() > 0:
        colour, _ = hair_colour(head, person, back, flow, rng, .62)
        img, alpha = over(img, colour * slope[..., None], back), back
    img, alpha = paint_neck(img, alpha, skin, head)
    if back.max() > 0:
        img *= (1 - .30 * blur(back, 8) * smooth(np.abs(XX - head.cx) / head.fw, .2, .5))[..., None]
    img, alpha = paint_gown(img, alpha, head, person["gown"], np.random.default_rng(person["seed"] + 7))
    img, alpha = paint_ears(img, alpha, skin, head)
    skull = smooth(head.r, 1.02, .98) * (YY < head.cy + .25 * head.fh)
    skull = np.maximum(skull * smooth(YY, head.cy + .3 * head.fh, head.cy), 0)
    img, alpha = over(img, skin, skull), np.maximum(alpha, skull)
    feather = smooth(dist, 1, 17)
    rim = mask * smooth(dist, 0, 3)
    img = over(img, skin, rim)
    img = over(img, face, feather)
    alpha = np.maximum(alpha, rim)
    colour, lic = hair_colour(head, person, front, flow, rng)
    # Hair's edge is broken up into strands, and it throws a soft shadow on the skin.
    img *= (1 - .38 * np.clip(blur(np.roll(front, 7, 0), 8) - .0, 0, 1) * smooth(alpha, .2, .9))[..., None]
    ragged = smooth(front + .16 * lic * (front > .02) * (front < .98), .35, .65)
    img = over(img, colour * slope[..., None], ragged)
    alpha = np.maximum(alpha, ragged)
    return np.clip(img, 0, 255), np.clip(alpha, 0, 1), p
