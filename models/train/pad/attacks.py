"""Makes prints, screens and cut-out masks out of a picture, and the scenes they are held into.

A scene is (picture, mesh): RGB float32 0..255 (height, width, 3) and the face's points (468, 2) in its pixels. All
happens at a working size at which the face is FACE pixels wide; the camera (camera.py) then makes it as small as it
likes. Nothing here was fitted to real attacks: strengths are ranges chosen by eye, wide on purpose.
"""

import math

import cv2
import numpy as np

FACE = 140.0
EYES = [[33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7],
        [263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249]]


def box(mesh):
    """Left, top, width, height of the points' upright box."""
    low, high = mesh.min(0), mesh.max(0)
    return (*low, *(high - low))


def transform(matrix, points):
    lifted = np.hstack([points, np.ones((len(points), 1))]) @ matrix.T
    return lifted[:, :2] / lifted[:, 2:]


def resize(picture, size, by=cv2.INTER_LINEAR):
    return cv2.resize(picture, (int(size[0]), int(size[1])), interpolation=by)


def grid(shape, coarse):
    """x and y of the pixels of `shape`, only every `coarse`-th of them: float32 arrays."""
    height, width = (-(-side // coarse) for side in shape[:2])
    x = np.arange(width, dtype=np.float32)[None] * np.float32(coarse)
    return x, np.arange(height, dtype=np.float32)[:, None] * np.float32(coarse)


def fine(values, shape):
    out = cv2.resize(values, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return out if out.ndim == 3 else out[..., None]


def waves(shape, random, periods, channels=1):
    """A bent sinusoid (height, width, channels) in -1..1 whose period in pixels is drawn from `periods`."""
    turn, period = random.uniform(0, math.pi), math.exp(random.uniform(math.log(periods[0]), math.log(periods[1])))
    x, y = grid(shape, 8 if period > 100 else 2 if period > 14 else 1)
    bend = (random.normal(0, 0.15, 3) / max(shape[:2])).astype(np.float32)
    along = x * math.cos(turn) + y * math.sin(turn) + bend[0] * x * x + bend[1] * y * y + bend[2] * x * y
    phase = (random.uniform(0, 2 * math.pi) + random.uniform(0, 2.2) * np.arange(channels)).astype(np.float32)
    return fine(np.sin((along * (2 * math.pi / period))[..., None] + phase), shape)


def blob(shape, random, spread):
    """A soft spot (height, width, 1) in 0..1; `spread` is its range of radii in parts of the width."""
    x, y = grid(shape, 4)
    radius = [float(r) * shape[1] for r in random.uniform(*spread, 2)]
    turn, center = random.uniform(0, math.pi), [float(c) for c in random.uniform(0.1, 0.9, 2) * shape[1::-1]]
    dx, dy = x - center[0], y - center[1]
    u, v = dx * math.cos(turn) + dy * math.sin(turn), dy * math.cos(turn) - dx * math.sin(turn)
    return fine(np.exp(-((u / radius[0]) ** 2 + (v / radius[1]) ** 2) ** random.uniform(0.7, 2.5)), shape)


def around_white(random, center, spread):
    """Three values near `center`, float32."""
    return (center + random.normal(0, spread, 3)).astype(np.float32)


def shaded(scene, cover, random, strength):
    """The scene under the shadow of what `cover` (height, width) will cover; computed at a third of the size."""
    small = cv2.resize(cover, None, fx=1 / 3, fy=1 / 3, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(np.roll(small, random.integers(-4, 5, 2), (0, 1)), (0, 0), random.uniform(0.6, 5))
    return scene * (1 - random.uniform(0.1, strength) * fine(small, cover.shape))


def halftone(picture, random):
    """Ink dots: each channel against its own turned screen of thresholds, softened by the ink's spread."""
    x, y = grid(picture.shape, 1)
    period, soft = random.uniform(2.0, 6.0), random.uniform(0.08, 0.3)
    out = np.empty_like(picture)
    for channel, degrees in enumerate(random.permutation([15.0, 75.0, 45.0])):
        a, turns = math.radians(degrees + random.uniform(-5, 5)), 2 * math.pi / period
        u, v = x * (turns * math.cos(a)) + y * (turns * math.sin(a)), y * (turns * math.cos(a)) - x * (turns * math.sin(a))
        threshold = 0.5 + 0.24 * (cv2.polarToCart(np.ones_like(u), u)[0] + cv2.polarToCart(np.ones_like(v), v)[0])
        covered = np.clip((picture[..., channel] / 255 - threshold) * (0.25 / soft) + 0.5, 0, 1)
        out[..., channel] = covered * 255
    return picture + (out - picture) * random.uniform(0.1, 0.7)


def gamma(picture, power):
    return 255 * cv2.pow(np.clip(picture, 0, 255) * np.float32(1 / 255), power)


def inked(picture, random):
    """What a printer makes of it: paler black, paper's white, lost saturation, dots or grain, streaks."""
    grey = picture.mean(2, keepdims=True)
    out = grey + (picture - grey) * (0.0 if random.random() < 0.06 else random.uniform(0.55, 1.1))
    out = gamma(out, random.uniform(0.75, 1.3))
    if random.random() < 0.55:
        out = halftone(out, random)
    if random.random() < 0.5:
        out = out + random.standard_normal(out.shape[:2] + (1,), np.float32) * random.uniform(3, 14)
    if random.random() < 0.25:
        rows = cv2.GaussianBlur(random.normal(0, 1, (out.shape[0], 1)).astype(np.float32), (1, 5), 0, sigmaY=1.2)
        out = out + rows[..., None] * random.uniform(3, 12)
    black, paper = around_white(random, random.uniform(8, 65), 5), around_white(random, random.uniform(205, 255), 6)
    return black + np.clip(out, 0, 255) * ((paper - black) / 255)


def lit(picture, random):
    """A bent sheet in uneven light: shading across it and, on glossy paper, a soft reflection."""
    if random.random() < 0.7:
        picture = picture * (1 + random.uniform(0.03, 0.22) * waves(picture.shape, random, (180, 1000)))
    if random.random() < 0.3:
        picture = picture + blob(picture.shape, random, (0.05, 0.5)) * random.uniform(20, 150)
    return picture


def glowing(picture, random, behind):
    """What a screen makes of it: gamma, lifted black, blue cast, pixel grid, moire, bands, reflections."""
    shape = picture.shape
    if random.random() < 0.5:  # What is replayed was compressed before.
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(20, 80))]
        coded = cv2.imencode(".jpg", np.clip(picture, 0, 255).astype(np.uint8), quality)[1]
        picture = cv2.imdecode(coded, cv2.IMREAD_COLOR).astype(np.float32)
    out = gamma(picture, random.uniform(0.65, 1.4))
    if random.random() < 0.65:
        period, turned = int(random.integers(2, 7)), random.random() < 0.4
        at = np.arange(shape[0 if turned else 1], dtype=np.float32)
        stripes = 1 + np.cos((at[:, None] / period + np.arange(3) / 3) * 2 * np.pi) * random.uniform(0.1, 0.7)
        out = out * (stripes[:, None] if turned else stripes[None]).astype(np.float32)
        if random.random() < 0.5:
            rows = np.arange(shape[0], dtype=np.float32)
            out = out * (1 + random.uniform(0.05, 0.35) * np.cos(rows / period * 2 * np.pi))[:, None, None].astype(np.float32)
    for _ in range(int(random.integers(0, 4))):
        out = out * (1 + random.uniform(0.01, 0.12) * waves(shape, random, (5, 80), 3))
    if random.random() < 0.3:
        rows = np.arange(shape[0], dtype=np.float32) / shape[0] * random.uniform(1, 7) * 2 * np.pi
        out = out * (1 + random.uniform(0.04, 0.25) * np.sin(rows + random.uniform(0, 6)))[:, None, None].astype(np.float32)
    tint = np.float32([random.uniform(0.78, 1.04), random.uniform(0.88, 1.04), random.uniform(0.95, 1.2)])
    out = out * (tint * np.float32(random.uniform(0.7, 1.35))) + random.uniform(0, 30)
    if random.random() < 0.4:
        reflected = fine(cv2.GaussianBlur(resize(behind[:, ::-1], (shape[1] // 2, shape[0] // 2)), (0, 0), random.uniform(0.6, 4)), shape)
        out = out + reflected * random.uniform(0.04, 0.25)
    if random.random() < 0.4:
        out = out + blob(shape, random, (0.03, 0.35)) * random.uniform(30, 200)
    return out


def framed(picture, color, widths, random, rounded):
    """Adds a border of these widths (left, top, right, bottom); gives picture and alpha (height, width) 0..1."""
    left, top, right, bottom = widths
    out = cv2.copyMakeBorder(picture, top, bottom, left, right, cv2.BORDER_CONSTANT, value=color)
    alpha = np.ones(out.shape[:2], np.float32)
    if rounded:
        radius = int(random.uniform(3, 18))
        alpha = cv2.rectangle(np.zeros_like(alpha), (radius, radius), (alpha.shape[1] - radius - 1, alpha.shape[0] - radius - 1), 1.0, -1)
        alpha = cv2.dilate(alpha, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)))
    return out, alpha


def held(sheet, alpha, mesh, behind, random):
    """The sheet in perspective before `behind`, the face in the middle; with a shadow and sometimes fingers."""
    height, width = behind.shape[:2]
    left, top, wide, high = box(mesh)
    middle = np.array([left + wide / 2, top + high / 2])
    corners = np.array([[0, 0], [sheet.shape[1], 0], [sheet.shape[1], sheet.shape[0]], [0, sheet.shape[0]]], np.float64)
    a = np.radians(np.clip(random.normal(0, 5), -14, 14))
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    lean = 1 + random.normal(0, 0.035, (4, 2))
    goal = ((corners - middle) * lean) @ turn.T + np.array([width, height]) * (0.5 + random.uniform(-0.05, 0.05, 2))
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), goal.astype(np.float32))
    over = cv2.warpPerspective(sheet, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    cover = cv2.warpPerspective(alpha, matrix, (width, height))
    if random.random() < 0.7:
        behind = shaded(behind, cover, random, 0.6)
    out = behind + (over - behind) * cover[..., None]
    if random.random() < 0.2:
        for corner in goal[random.permutation(4)[: int(random.integers(1, 3))]]:
            toward = corner + (goal.mean(0) - corner) * random.uniform(0.05, 0.25)
            skin = np.array([205, 150, 125]) * random.uniform(0.4, 1.15)
            axes = (int(random.uniform(18, 42)), int(random.uniform(8, 16)))
            cv2.ellipse(out, tuple(int(v) for v in toward), axes, random.uniform(0, 180), 0, 360, skin.tolist(), -1, cv2.LINE_AA)
    return out, transform(matrix, mesh)


def around(picture, mesh, random):
    """Sometimes only a part of the picture around the face, so that a sheet's edges come near it."""
    if random.random() < 0.4:
        return picture, mesh
    left, top, wide, high = box(mesh)
    margin = random.uniform(0.12, 0.8, 4) * max(wide, high)
    x0, y0 = max(0, int(left - margin[0])), max(0, int(top - margin[1]))
    x1, y1 = int(left + wide + margin[2]), int(top + high + margin[3])
    return picture[y0:y1, x0:x1], mesh - (x0, y0)


def printed(picture, mesh, behind, random):
    picture, mesh = around(picture, mesh, random)
    if random.random() < 0.6:
        widths = [int(v) for v in random.uniform(0.0, 0.35, 4) * FACE] if random.random() < 0.5 else [int(random.uniform(3, 30))] * 4
        picture, _ = framed(picture, (255, 255, 255), widths, random, False)
        mesh = mesh + (widths[0], widths[1])
    sheet = lit(inked(picture, random), random)
    return held(sheet, np.ones(sheet.shape[:2], np.float32), mesh, behind, random)


def shown(picture, mesh, behind, random):
    picture, mesh = around(picture, mesh, random)
    out, alpha = glowing(picture, random, behind), np.ones(picture.shape[:2], np.float32)
    if random.random() < 0.75:
        widths = [int(v) for v in random.uniform(0.02, 0.35) * FACE * random.uniform(0.7, 1.3, 4)]
        tone = random.uniform(180, 245) if random.random() < 0.15 else random.uniform(2, 55)
        out, alpha = framed(out, (tone, tone, tone), widths, random, random.random() < 0.6)
        mesh = mesh + (widths[0], widths[1])
    return held(out, alpha, mesh, behind, random)


def cut_out(picture, mesh, behind, other, random):
    """A printed face cut along its outline, on somebody's head (`other`: picture, mesh, or None) or before the room."""
    if other:
        scene, below = other
        (l0, t0, w0, h0), (l1, t1, w1, h1) = box(below), box(mesh)
        size = h0 / h1 * random.uniform(0.95, 1.2)
        shift = np.array([l0 + w0 / 2, t0 + h0 / 2]) - np.array([l1 + w1 / 2, t1 + h1 / 2]) * size
    else:
        scene, below, size = behind, None, 1.0
        left, top, wide, high = box(mesh)
        shift = np.array([scene.shape[1] / 2 - left - wide / 2, scene.shape[0] / 2 - top - high / 2])
    turn = np.radians(random.normal(0, 4))
    matrix = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    middle = mesh.mean(0)
    matrix[:2, 2] = middle - matrix[:2, :2] @ middle
    matrix = np.array([[size, 0, shift[0]], [0, size, shift[1]], [0, 0, 1]]) @ matrix
    matrix[2, :2] = random.normal(0, 1e-4, 2)
    height, width = scene.shape[:2]
    sheet = lit(inked(picture, random) if random.random() < 0.85 else picture, random)
    if random.random() < 0.25:
        hull = cv2.ellipse2Poly(tuple(int(v) for v in middle), (int(np.ptp(mesh[:, 0]) * 0.6), int(np.ptp(mesh[:, 1]) * 0.66)), 0, 0, 360, 6)
    else:
        hull = cv2.convexHull(mesh.astype(np.float32))[:, 0]
        grow = random.uniform(0.98, 1.3)
        hull = middle + (hull - middle) * (grow, grow * random.uniform(1.0, 1.15)) - (0, random.uniform(0, 0.1) * np.ptp(mesh[:, 1]))
    cover = cv2.fillPoly(np.zeros(sheet.shape[:2], np.uint8), [np.round(hull).astype(np.int32)], 255, cv2.LINE_AA)
    rim = int(random.uniform(0, 6))
    if rim and random.random() < 0.6:
        inner = cv2.erode(cover, np.ones((rim, rim), np.uint8))
        sheet = np.where(inner[..., None] > 127, sheet, np.float32(random.uniform(205, 255)))
    if below is not None and random.random() < 0.35:
        for eye in EYES:
            hole = mesh[eye].mean(0) + (mesh[eye] - mesh[eye].mean(0)) * (1.15, random.uniform(1.2, 2.0))
            cv2.fillPoly(cover, [np.round(hole).astype(np.int32)], 0, cv2.LINE_AA)
    over = cv2.warpPerspective(sheet, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    cover = cv2.warpPerspective(cover.astype(np.float32) / 255, matrix, (width, height))[..., None]
    if random.random() < 0.7:
        scene = shaded(scene, cover[..., 0], random, 0.5)
    return scene + (over - scene) * cover, transform(matrix, mesh)
