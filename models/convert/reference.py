"""The front end in Python, as README.md describes it: the numbers the Rust one is compared with.

Points are continuous: pixel (column i, row j) covers [i, i+1) x [j, j+1), its centre is (i + 0.5, j + 0.5).
Needs numpy and onnxruntime only. Written to be read, not to be fast.
"""

import math
import os
import tomllib

import numpy as np
import onnxruntime

ORIENTATIONS = (0.0, math.pi)  # BlazeFace sees the picture upright and upside down; the mesh settles the rest.
OVERLAP = 0.3  # Intersection over union from which two boxes are the same face.
FIRST_CROP = 1.5  # Side of the first mesh crop, in longer sides of the detector's box.
SECOND_CROP = 1.5  # Side of the second mesh crop, in longer sides of the first mesh's own box.
RIGHT_EYE, LEFT_EYE, FOREHEAD, CHIN = 33, 263, 10, 152  # mesh vertices; right and left are the person's own
LEVEL_PITCH = math.radians(5.6)  # What forehead and chin show on a level face: the median of 6,920 LFW faces.


def warp(picture, matrix, size, border=0.0):
    """Bilinear. `matrix` (2x3) takes points of the output to points of `picture`; outside it is `border`."""
    step = math.hypot(matrix[0, 0], matrix[1, 0])
    while step > 2.0:  # Halve first: bilinear alone skips pixels when it shrinks by more than two.
        h, w = picture.shape[0] // 2 * 2, picture.shape[1] // 2 * 2
        picture = picture[:h, :w].reshape(h // 2, 2, w // 2, 2, 3).mean((1, 3))
        matrix, step = matrix / 2.0, step / 2.0
    at = np.arange(size) + 0.5
    x = matrix[0, 0] * at[None, :] + matrix[0, 1] * at[:, None] + matrix[0, 2] - 0.5
    y = matrix[1, 0] * at[None, :] + matrix[1, 1] * at[:, None] + matrix[1, 2] - 0.5
    padded = np.pad(picture.astype(np.float32), ((1, 1), (1, 1), (0, 0)), constant_values=border)
    x = np.clip(x + 1.0, 0.0, padded.shape[1] - 1.001)
    y = np.clip(y + 1.0, 0.0, padded.shape[0] - 1.001)
    i, j = x.astype(int), y.astype(int)
    fx, fy = (x - i)[..., None].astype(np.float32), (y - j)[..., None].astype(np.float32)
    flat, row = padded.reshape(-1, 3), padded.shape[1]
    corner = j * row + i
    top = flat[corner] * (1 - fx) + flat[corner + 1] * fx
    bottom = flat[corner + row] * (1 - fx) + flat[corner + row + 1] * fx
    return top * (1 - fy) + bottom * fy


def square(center, side, angle, size):
    """The matrix from a size x size crop to the square of that centre, side and clockwise angle (radians)."""
    a, b = side / size * math.cos(angle), side / size * math.sin(angle)
    half = size / 2
    return np.array([[a, -b, center[0] - a * half + b * half], [b, a, center[1] - b * half - a * half]])


def apply(matrix, points):
    return points @ matrix[:, :2].T + matrix[:, 2]


def similarity(source, target):
    """Least-squares scale, rotation and shift (no mirroring) that takes `source` to `target`, as a 2x3 matrix."""
    s, t = source.mean(0), target.mean(0)
    p, q = source - s, target - t
    weight = (p * p).sum()
    a = (p * q).sum() / weight
    b = (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum() / weight
    matrix = np.array([[a, -b, 0.0], [b, a, 0.0]])
    matrix[:, 2] = t - matrix[:, :2] @ s
    return matrix


def invert(matrix):
    inverse = np.linalg.inv(matrix[:, :2])
    return np.hstack([inverse, -(inverse @ matrix[:, 2])[:, None]])


def sigmoid(value):
    return 1.0 / (1.0 + np.exp(-np.clip(np.float64(value), -100.0, 100.0)))


def anchors():
    """896 centres in the unit square: 16x16 cells with two each, then 8x8 cells with six each, row by row."""
    return np.array(
        [((x + 0.5) / n, (y + 0.5) / n) for n, repeat in ((16, 2), (8, 6)) for y in range(n) for x in range(n) for _ in range(repeat)]
    )


def overlap(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


class Net:
    def __init__(self, models, table):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.table, source = table, table["input"]
        self.size, self.mean, self.scale = source["shape"][2], np.float32(source["mean"]), np.float32(source["scale"])
        path = os.path.join(models, table["file"])
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(self, picture):
        value = ((picture - self.mean) * self.scale).transpose(2, 0, 1)[None].astype(np.float32)
        return self.session.run(self.table["outputs"], {self.table["input"]["name"]: value})


class FrontEnd:
    def __init__(self, models):
        with open(os.path.join(models, "manifest.toml"), "rb") as file:
            self.manifest = tomllib.load(file)
        self.detector, self.mesh, self.embedder = (Net(models, self.manifest[n]) for n in ("detector", "mesh", "embedder"))
        self.anchors = anchors()

    def detect(self, picture, orientation):
        """Faces as (score, corners of the unrotated box, box size, centre, six keypoints), in picture coordinates."""
        height, width = picture.shape[:2]
        size = self.detector.size
        matrix = square((width / 2, height / 2), max(width, height), orientation, size)
        boxes, scores = self.detector.run(warp(picture, matrix, size))
        scores = sigmoid(scores.ravel())
        keep = [i for i in np.argsort(-scores, kind="stable") if scores[i] >= self.manifest["detector"]["min_score"]]
        raw = boxes[0].reshape(896, 8, 2) / size
        raw[:, [0, 2, 3, 4, 5, 6, 7]] += self.anchors[:, None, :]
        raw *= size  # to pixels of the detector's input
        corners = np.hstack([raw[:, 0] - raw[:, 1] / 2, raw[:, 0] + raw[:, 1] / 2])
        faces = []
        while keep:
            group = [i for i in keep if i == keep[0] or overlap(corners[keep[0]], corners[i]) > OVERLAP]
            keep = [i for i in keep if i not in group]
            weight = scores[group] / scores[group].sum()
            mean = np.tensordot(weight, raw[group], 1)  # weighted, as MediaPipe does; the score is the best one's
            faces.append(self.proposal(scores[group[0]], mean, matrix))
        return faces

    @staticmethod
    def proposal(score, points, matrix):
        scale = math.hypot(matrix[0, 0], matrix[1, 0])
        center, side = apply(matrix, points[:1])[0], float(points[1].max()) * scale
        box = (*(center - side / 2), *(center + side / 2))
        return {"score": float(score), "center": center, "side": side, "box": box, "keypoints": apply(matrix, points[2:])}

    def landmarks(self, picture, center, side, angle):
        """468 points (x, y in the picture, z in the same unit) and the probability that this is a face."""
        size = self.mesh.size
        matrix = square(center, side, angle, size)
        points, flag = self.mesh.run(warp(picture, matrix, size))
        points = points.reshape(468, 3).astype(np.float64)
        return np.hstack([apply(matrix, points[:, :2]), points[:, 2:] * side / size]), float(sigmoid(flag.item()))

    def faces(self, picture):
        """Every face once: the best of both orientations by score x flag, meshed again on its own upright crop."""
        proposals = [face for orientation in ORIENTATIONS for face in self.detect(picture, orientation)]
        for face in proposals:
            (rx, ry), (lx, ly) = face["keypoints"][:2]
            face["mesh"], face["flag"] = self.landmarks(picture, face["center"], face["side"] * FIRST_CROP, math.atan2(ly - ry, lx - rx))
        proposals.sort(key=lambda face: -face["score"] * face["flag"])
        faces = []
        for face in proposals:
            if all(overlap(face["box"], other["box"]) <= OVERLAP for other in faces):
                faces.append(face)
        for face in faces:
            self.refine(picture, face)
        return [face for face in faces if face["flag"] >= self.manifest["mesh"]["min_flag"]]

    def refine(self, picture, face):
        center, side, angle = mesh_square(face["mesh"])
        face["mesh"], face["flag"] = self.landmarks(picture, center, side * SECOND_CROP, angle)

    def alignment(self, mesh):
        rows = self.manifest["embedder"]["alignment"]
        source = np.array([mesh[row["vertices"], :2].mean(0) for row in rows])
        return similarity(source, np.array([row["to"] for row in rows]))

    def embed(self, picture, mesh):
        chip = warp(picture, invert(self.alignment(mesh)), self.embedder.size)
        return self.embedder.run(chip)[0][0]


def roll(mesh):
    (rx, ry), (lx, ly) = mesh[RIGHT_EYE, :2], mesh[LEFT_EYE, :2]
    return math.atan2(ly - ry, lx - rx)


def mesh_square(mesh):
    """Centre, longer side and roll of the mesh's box, measured along the face's own axes."""
    angle = roll(mesh)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    points = mesh[:, :2] @ turn.T
    low, high = points.min(0), points.max(0)
    return (low + high) / 2 @ turn, float((high - low).max()), angle


def pose(mesh):
    """Yaw, pitch and roll in radians. Positive: towards the picture's right, chin down, clockwise."""
    angle = roll(mesh)
    turn = np.array([[math.cos(angle), math.sin(angle), 0], [-math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
    across, down = turn @ (mesh[LEFT_EYE] - mesh[RIGHT_EYE]), turn @ (mesh[CHIN] - mesh[FOREHEAD])
    return math.atan2(across[2], across[0]), math.atan2(down[2], down[1]) - LEVEL_PITCH, angle
