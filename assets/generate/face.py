"""One made-up face: samples the statistical model and paints eyes, skin grain, light and a blink into it."""

import cv2
import numpy as np

from fit import FEATURES
from mesh import EYE_L, EYE_R, OVAL, W, H, blink, frame_points, spread, triangles

CANVAS = (704, 880)                 # width, height of the painted person
CENTRE = np.array([352., 367.])     # of the face oval
SCALE = 220.                        # pixels for the mean face oval's width


EVEN = .15                          # chosen by eye: less looks blotchy, more looks like a mask


class Model:
    def __init__(self, path):
        z = np.load(path)
        self.mean, self.grain, self.weights, self.east = z["mean"], z["grain"], z["weights"], z["east"] > .5
        self.coef_s, self.coef_t = z["coef_s"], z["coef_t"].astype(np.float32)
        self.mode_s, self.mode_t = z["mode_s"], z["mode_t"].astype(np.float32)
        self.n, self.people = int(z["n"]), int(z["people"])
        self.frame = frame_points(self.mean)
        self.tris = triangles(self.frame)
        flipped = self.mean * [-1, 1, 1]
        self.partner = np.array([np.linalg.norm(self.mean - q, axis=1).argmin() for q in flipped])
        self.mask = spread(self.frame, np.ones((468, 1), np.float32), self.tris, (W, H))[1]

    def draw(self, rng, east, modes=150, spread_=1.0):
        """A random identity: weights of the modes, drawn around the East Asian ones as far as `east` says."""
        w = rng.normal(size=modes)
        w *= np.minimum(1, 2.2 / np.maximum(np.abs(w), 1e-6))
        # The widest modes are light, beard and spectacles as much as identity: hold them in a little.
        hold = np.linspace(.8, 1, 12)
        w[:12] *= hold
        within = self.weights[self.east][:, :modes]
        return (spread_ * w * ((1 - east) + east * np.clip(within.std(0), .6, 1.2))).astype(np.float32)

    def features(self, **kw):
        f = dict(one=1., woman=.0, age=0., east=1., yaw=0., pitch=0., open=.1, smile=.0, left=0., top=0., luma=0.)
        f.update(kw)
        return np.array([f[k] for k in FEATURES], np.float32)

    def shape_texture(self, w, f):
        k = len(w)
        s = np.tensordot(f, self.coef_s, 1) + np.tensordot(w, self.mode_s[:k], 1)
        t = np.tensordot(f, self.coef_t, 1) + np.tensordot(w, self.mode_t[:k], 1)
        img = np.zeros((H, W, 3), np.float32)
        img[self.mask] = t
        # Half-lit and one-sided samples become more even: a part of the mirrored person is mixed in.
        other = np.where(self.mask[:, ::-1, None], img[:, ::-1], img)
        img = np.where(self.mask[..., None], (1 - EVEN) * img + EVEN * other, 0)
        return (1 - EVEN) * s + EVEN * (s * [-1, 1, 1])[self.partner], img


def pull(img, mask, sigmas=(4, 10, 25, 60, 160)):
    """Continues the masked picture outward, smoothly."""
    out, need = img * mask[..., None], 1 - mask
    for s in sigmas:
        k = 4 if s > 8 else 1
        small = lambda a: cv2.resize(a, None, fx=1 / k, fy=1 / k, interpolation=cv2.INTER_AREA)
        num = cv2.GaussianBlur(small(img * mask[..., None]), (0, 0), s / k)
        den = cv2.GaussianBlur(small(mask), (0, 0), s / k)
        a = np.clip(den * 6, 0, 1)
        fill = num / np.maximum(den, 1e-4)[..., None]
        fill, a = cv2.resize(fill, img.shape[1::-1]), cv2.resize(a, img.shape[1::-1])
        if s == sigmas[-1]:
            a = np.ones_like(a)
        out += fill * (a * need)[..., None]
        need = need * (1 - a)
    return out


def soft_polygon(points, size, blur):
    big = np.zeros((size[1] * 4, size[0] * 4), np.uint8)
    cv2.fillPoly(big, [np.round(np.asarray(points) * 4).astype(np.int32)], 255, cv2.LINE_AA)
    return cv2.GaussianBlur(cv2.resize(big, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255, (0, 0), blur)


def paint_eyes(tex, frame, iris, gaze):
    """Averages have no irises: paints them, the white, the lid's shadow and the lashes."""
    yy, xx = np.mgrid[:H, :W].astype(np.float32)
    for eye in (EYE_L, EYE_R):
        p = frame[eye]
        wide = np.ptp(p[:, 0])
        c = np.array([(p[0, 0] + p[8, 0]) / 2, p[:, 1].mean() - .03 * wide]) + np.array(gaze) * wide
        r = .205 * wide
        opening = soft_polygon(p, (W, H), .8)
        d = np.hypot(xx - c[0], yy - c[1])
        white = tex[opening > .5]
        sclera = np.clip(white.mean() * 1.22, 120, 205) * np.array([1.0, .955, .93], np.float32)
        fall = 1 - .42 * np.clip((np.abs(xx - c[0]) / (.5 * wide)), 0, 1) ** 2
        upper = p[1:8]
        lid = np.interp(xx[0], upper[np.argsort(upper[:, 0]), 0], np.sort(upper[:, 0]) * 0 + upper[np.argsort(upper[:, 0]), 1])
        below = yy - lid[None]
        fall = fall * (1 - .45 * np.exp(-np.clip(below, 0, None) / (.07 * wide)))
        eyeball = sclera[None, None] * fall[..., None]
        disk = np.clip((r - d) / 1.6 + .5, 0, 1)
        rim = np.clip((d - .72 * r) / (.3 * r), 0, 1)
        col = np.array(iris, np.float32)[None, None] * (1.15 - .7 * rim)[..., None] * (1 + .35 * ((yy - c[1]) / r))[..., None]
        col = col * (1 - np.clip((.42 * r - d) / 1.5 + .5, 0, 1) * .85)[..., None]
        eyeball = eyeball * (1 - disk)[..., None] + np.clip(col, 6, 255) * fall[..., None] ** .5 * disk[..., None]
        glint = np.exp(-((xx - c[0] + .32 * r) ** 2 + (yy - c[1] + .38 * r) ** 2) / (2 * (.17 * r) ** 2))
        eyeball = eyeball + 190 * (glint * disk)[..., None]
        a = (opening * .90)[..., None]
        tex = tex * (1 - a) + eyeball * a
        line = np.zeros((H * 4, W * 4), np.uint8)
        cv2.polylines(line, [np.round(p[:9] * 4).astype(np.int32)], False, 255, 5, cv2.LINE_AA)
        lash = cv2.GaussianBlur(cv2.resize(line, (W, H), interpolation=cv2.INTER_AREA).astype(np.float32) / 255, (0, 0), .7)
        tex = tex * (1 - .62 * np.clip(lash * 1.3, 0, 1))[..., None]
    return tex


def even_colour(tex, mask, tone, amount=.6):
    """Takes out most of the wide patches of yellow and red that mixed lamps leave in samples; lips and brows stay."""
    solid = mask.astype(np.float32)
    ratio = np.clip(tex / np.maximum(tex.mean(2, keepdims=True), 8), .2, 2.2) * solid[..., None]
    wide = cv2.GaussianBlur(ratio, (0, 0), 17) / np.maximum(cv2.GaussianBlur(solid, (0, 0), 17), .05)[..., None]
    drift = wide - tone / tone.mean()
    tex = tex * np.clip(1 - amount * drift / np.maximum(wide, .3), .6, 1.5)
    # Skin is never bluer than its tone, nor green.
    limit = tone / tone.mean() * np.array([1.6, 1.03, 1.04], np.float32)
    return np.minimum(tex, tex.mean(2, keepdims=True) * limit)


def grain(model, seed, age):
    """Band-limited skin detail with the strength the real residual has at each place."""
    rng = np.random.default_rng(seed)
    n = cv2.GaussianBlur(rng.normal(size=(H, W)).astype(np.float32), (0, 0), .8)
    n -= cv2.GaussianBlur(n, (0, 0), 2.5)
    g = np.zeros((H, W), np.float32)
    g[model.mask] = model.grain
    g = np.minimum(cv2.GaussianBlur(g, (0, 0), 6), 9)
    return n / n.std() * g * (.30 + .10 * max(age, 0))


def normals(p, tris):
    a, b, c = p[tris[:, 0]], p[tris[:, 1]], p[tris[:, 2]]
    n = np.cross(b - a, c - a)
    n *= np.where(n[:, 2:] > 0, -1, 1)
    out = np.zeros_like(p)
    for k in range(3):
        np.add.at(out, tris[:, k], n)
    return out / np.linalg.norm(out, axis=1, keepdims=True)


def rotation(yaw, pitch):
    y, x = np.radians([yaw, pitch])
    ry = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    rx = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    return rx @ ry


def paint_face(model, person, shot, scale=1.):
    """The face on the canvas: picture, mask and the posed mesh in pixels."""
    size = (round(CANVAS[0] * scale), round(CANVAS[1] * scale))
    f = model.features(woman=person["woman"], age=person["age"], east=person["east"],
                       smile=person.get("smile", .7) + shot.get("smile", 0), open=.1 + shot.get("open", 0),
                       left=shot.get("left", 0), top=shot.get("top", 0))
    s, tex = model.shape_texture(person["w"], f)
    # Skin colour is held near one tone of East Asian skin, with its own deviation.
    skin = tex[model.mask].mean(0)
    tone = np.array(person["tone"], np.float32)
    tex = tex * (.35 + .65 * tone / skin)
    tex = even_colour(tex, model.mask, tone)
    soft = cv2.GaussianBlur(tex, (0, 0), 1.6)
    tex = tex + .75 * (tex - soft)
    tex = paint_eyes(tex, model.frame, person["iris"], shot.get("gaze", (0, 0)))
    tex = tex + grain(model, person["seed"], person["age"])[..., None]
    inner = cv2.erode(model.mask.astype(np.uint8), np.ones((3, 3))).astype(np.float32)
    tex = pull(tex, inner)
    if shot.get("blink", 0):
        s = blink(s, shot["blink"])
    p = (s - s[OVAL].mean(0)) @ rotation(shot.get("yaw", 0), shot.get("pitch", 0)).T * SCALE * scale
    p[:, :2] += CENTRE * scale
    m, mask = spread(p[:, :2], model.frame.astype(np.float32), model.tris, size, p[:, 2])
    # A median takes out the slivers that fold over at the lids.
    inside = cv2.erode(mask.astype(np.uint8), np.ones((7, 7))) > 0
    for k in (0, 1):
        plane = np.ascontiguousarray(m[..., k])
        m[..., k] = np.where(inside, cv2.medianBlur(plane, 5), plane)
    img = cv2.remap(tex, m[..., 0], m[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    light = np.array(shot.get("light", (0, -.3, -1.)), float)
    light /= np.linalg.norm(light)
    lam = np.clip(normals(p, model.tris) @ light, 0, None)
    lam /= max(-light[2], .3)
    k = shot.get("hard", .35)
    shade, _ = spread(p[:, :2], (1 - k + k * lam)[:, None].astype(np.float32), model.tris, size, p[:, 2])
    solid = mask.astype(np.float32)
    shade = cv2.GaussianBlur(shade[..., 0], (0, 0), 5) / np.maximum(cv2.GaussianBlur(solid, (0, 0), 5), .02)
    img = img * np.clip(shade, .35, 1.35)[..., None]
    return np.clip(img, 0, 255), mask.astype(np.float32), p
