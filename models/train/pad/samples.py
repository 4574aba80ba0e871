"""Step 2: shards of simulated samples with the teacher's opinion of each.

    samples.py REFERENCE_MODELS OUT [COUNT]     needs OUT/faces.npz; resumes at the first missing shard

Every scene of a split is drawn by its own generator, so shards do not depend on each other or on the machine.
OUT/train-NNN.npz and OUT/held-NNN.npz hold: `crop` (n, len(SCALES), views, 80, 80, 3) RGB bytes, the student's view
(two jittered ones, or (held) an exact one); `teacher` (n, 2): the softmax of class "live" of both teacher nets on the
same picture; `species` 0 live, 1 print, 2 screen, 3 cut-out; `width` of the face in pixels; `face`: row of faces.npz.
"""

import functools
import math
import multiprocessing
import os
import sys

import cv2
import numpy as np
import onnxruntime

import attacks
import camera
from faces import ROOT, filled, read, reference

SHARD, SIZE = 400, 80
SPECIES = ("live", "print", "screen", "cutout")
SHARE = (0.44, 0.21, 0.22, 0.13)
SCALES = (2.2, 1.7, 2.8)  # Sides of the student's square in longer sides of the mesh's box; train.py takes one.
JITTER = 0.15  # Of size and of position, in parts of the box: detectors disagree by about that much.
TEACHERS = (("minifasnet_v2_27.onnx", 2.7), ("minifasnet_v1se_40.onnx", 4.0))
SOURCES = ((0.70, "lfw"), (0.20, "p"), (0.10, "ward-"))  # How often a sample starts from which pictures.
COUNTS = {"held": (1, 2400), "train": (0, 12000)}
TAKES = {"train": 2, "held": 1}  # Pictures of one scene: a second costs a third of a first.
EMPTY = {"train": ("cam-1", "cam-2", "cam-3"), "held": ("cam-4", "cam-5"), "fixture": ("cam-4", "cam-5")}


class Sources:
    """Faces of one split, at the working size, and pictures to stand behind them."""

    def __init__(self, out, number, name):
        table = np.load(out + "/faces.npz")
        self.rows = np.nonzero(table["split"] == number)[0]
        self.path, self.mesh, self.angle = table["path"], table["mesh"].astype(np.float64), table["angle"]
        kind = np.array([next((k for k in ("ward-", "p") if w.startswith(k) and (k != "p" or w[1:].isdigit())), "lfw")
                         for w in table["person"]])
        self.groups = [(share, self.rows[kind[self.rows] == name]) for share, name in SOURCES]
        self.groups = [(share, rows) for share, rows in self.groups if len(rows)]
        self.empty = EMPTY[name]

    def draw(self, random):
        shares = np.array([share for share, _ in self.groups])
        rows = self.groups[random.choice(len(shares), p=shares / shares.sum())][1]
        return int(rows[random.integers(len(rows))])

    def scene(self, row):
        """(picture, mesh), upright, the face attacks.FACE pixels wide; what lies beyond the file is not invented."""
        picture, mesh = picture_of(self.path[row]), self.mesh[row]
        if self.angle[row]:
            center, side, angle = reference.mesh_square(np.hstack([mesh, mesh[:, :1] * 0]))
            matrix = reference.square(center, side * 3.6, angle, int(side * 3.6))
            picture = cv2.warpAffine(picture, matrix, (int(side * 3.6),) * 2, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                                     borderMode=cv2.BORDER_REFLECT_101)
            mesh = reference.apply(reference.invert(matrix), mesh)
        scale = attacks.FACE / attacks.box(mesh)[2]
        size = np.round(np.array(picture.shape[1::-1]) * scale)
        out = attacks.resize(picture, size, cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
        return np.clip(out, 0, 255).astype(np.float32), mesh * scale

    def backdrop(self, random, side):
        """A square of something: a bed, a part of another picture, blurred or not, or a plain wall."""
        kind = random.random()
        if kind < 0.15:
            corners = random.uniform(20, 240, (2, 2, 1)) + random.normal(0, 12, (2, 2, 3))
            out = cv2.resize(corners.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)
            return out + cv2.resize(random.standard_normal((side // 4, side // 4, 3), np.float32) * 6, (side, side))
        path = self.path[self.draw(random)]
        if kind < 0.4:
            path = f"{ROOT}/assets/ward/empty/{self.empty[int(random.integers(len(self.empty)))]}.jpg"
        picture = picture_of(path)
        height, width = picture.shape[:2]
        part = int(min(height, width) * random.uniform(0.3, 0.9))
        x, y = int(random.integers(width - part + 1)), int(random.integers(height - part + 1))
        out = cv2.resize(picture[y:y + part, x:x + part], (side, side), interpolation=cv2.INTER_LINEAR).astype(np.float32)
        if random.random() < 0.6:
            out = cv2.GaussianBlur(cv2.resize(out, None, fx=0.5, fy=0.5), (0, 0), random.uniform(0.6, 8))
            out = cv2.resize(out, (side, side))
        return out


@functools.lru_cache(2600)
def picture_of(path):
    picture = read(path)
    return filled(picture) if picture.shape[:2] == (250, 250) else picture


def scene(sources, species, row, random):
    """One scene of that species with face `row` in it."""
    picture, mesh = sources.scene(row)
    if species == "live":
        a = math.radians(float(np.clip(random.normal(0, 5), -14, 14)))
        center = mesh.mean(0)
        matrix = np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0]])
        matrix[:, 2] = center - matrix[:, :2] @ center
        border = cv2.BORDER_REFLECT_101
        return cv2.warpAffine(picture, matrix, picture.shape[1::-1], borderMode=border), reference.apply(matrix, mesh)
    side = int(attacks.box(mesh)[3] * (random.uniform(2.2, 3.4) if random.random() < 0.6 else 2.2))
    behind = sources.backdrop(random, side)
    if species == "print":
        return attacks.printed(picture, mesh, behind, random)
    if species == "screen":
        return attacks.shown(picture, mesh, behind, random)
    other = sources.scene(sources.draw(random)) if random.random() < 0.65 else None
    return attacks.cut_out(picture, mesh, behind, other, random)


def sample(sources, random, species=None):
    """(species, face's row, picture as bytes, mesh there), endlessly of one scene by ever other cameras."""
    species = species or SPECIES[int(random.choice(4, p=SHARE))]
    row = sources.draw(random)
    picture, mesh = scene(sources, species, row, random)
    small = sources.path[row].count("/images/")  # 96 pixels wide in the file: larger would only be blurred
    while True:
        width = math.exp(random.uniform(math.log(camera.NARROWEST), math.log(140 if small else camera.WIDEST)))
        yield (species, row, *camera.take(picture, mesh, width, random))


def view(picture, mesh, scale, random=None):
    """The student's crop, 80x80x3 bytes; with `random`, as a clumsier detector would have cut it."""
    center, side, angle = reference.mesh_square(np.hstack([mesh, np.zeros((len(mesh), 1))]))
    if random is not None:
        center = center + random.uniform(-JITTER, JITTER, 2) * side
        side, angle = side * math.exp(random.uniform(-JITTER, JITTER)), angle + math.radians(random.normal(0, 2.5))
        if random.random() < 0.6:  # Beyond the picture: black, as in the program, or more of the same.
            margin = int(side / 2)
            picture = cv2.copyMakeBorder(picture, margin, margin, margin, margin, cv2.BORDER_REFLECT_101)
            center = center + margin
    matrix = reference.square(center, side * scale, angle, SIZE)
    # From here on the same as reference.warp within a grey level, but twenty times as fast.
    while math.hypot(matrix[0, 0], matrix[1, 0]) > 2:
        size = [n // 2 for n in picture.shape[1::-1]]
        picture = cv2.resize(picture[: size[1] * 2, : size[0] * 2], size, interpolation=cv2.INTER_AREA)
        matrix = matrix / 2
    matrix[:, 2] += matrix[:, :2].sum(1) / 2 - 0.5
    return cv2.warpAffine(picture, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def teacher_crop(picture, mesh, scale):
    """The original's CropImage: the box grown about its centre, shifted into the picture, resized to 80x80, BGR."""
    height, width = picture.shape[:2]
    x, y, w, h = attacks.box(mesh)
    scale = min((height - 1) / h, (width - 1) / w, scale)
    center, half = np.array([x + w / 2, y + h / 2]), np.array([w, h]) * scale / 2
    low, high = center - half, center + half
    shift = np.maximum(-low, 0) - np.maximum(high - (width - 1, height - 1), 0)
    (left, top), (right, bottom) = np.maximum(low + shift, 0).astype(int), (high + shift).astype(int)
    return cv2.resize(picture[top:bottom + 1, left:right + 1], (SIZE, SIZE))[..., ::-1].transpose(2, 0, 1)


class Teacher:
    def __init__(self, models):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.nets = [(onnxruntime.InferenceSession(f"{models}/{name}", options), scale) for name, scale in TEACHERS]

    def score(self, pictures):
        """(n, 2) P(live) of both nets for n (picture, mesh); the nets end in their own softmax."""
        return np.stack([net.run(None, {"input": np.stack([teacher_crop(p, m, scale) for p, m in pictures]).astype(np.float32)})[0][:, 1]
                         for net, scale in self.nets], 1)


def shard(job):
    name, number, models, out = job
    path = f"{out}/{name}-{number:03d}.npz"
    if os.path.exists(path):
        return
    cv2.setNumThreads(1)
    sources, teacher = Sources(out, COUNTS[name][0], name), Teacher(models)
    rows = {"crop": [], "teacher": [], "species": [], "width": [], "face": []}
    pending = []
    for index in range(number * SHARD, (number + 1) * SHARD):
        if index % TAKES[name] == 0:
            random = np.random.default_rng([20261122, COUNTS[name][0], index])
            takes = sample(sources, random)
        species, row, picture, mesh = next(takes)
        views = (random, random) if name == "train" else (None,)
        rows["crop"].append([[view(picture, mesh, scale, jitter) for jitter in views] for scale in SCALES])
        rows["species"].append(SPECIES.index(species))
        rows["width"].append(attacks.box(mesh)[2])
        rows["face"].append(row)
        pending.append((picture, mesh))
        if len(pending) == 20:
            rows["teacher"].extend(teacher.score(pending))
            pending = []
    np.savez(path + ".part.npz", **{key: np.array(value) for key, value in rows.items()})
    os.replace(path + ".part.npz", path)


def main(models, out, count=None):
    jobs = []
    for name, (_, wanted) in COUNTS.items():
        wanted = min(wanted, int(count)) if count else wanted
        jobs += [(name, number, models, out) for number in range(wanted // SHARD)]
    with multiprocessing.Pool(int(os.environ.get("WORKERS", "2"))) as pool:
        for done, _ in enumerate(pool.imap(shard, jobs), 1):
            print(f"\r{done} of {len(jobs)} shards", end="", flush=True)
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
