"""Step 1: aligned crops, mesh points and shape-free textures of every training picture, once.

    prepare.py PICTURES OUT     PICTURES holds images/PERSON/FILE.jpg and, optionally, east_asian_names.txt

Writes OUT/base.npz: `crop` (n, 144, 144, 3) RGB, `texture` (the same face warped to the mean shape), `mesh` (n, 468, 2)
in crop pixels, `person`, `cohort` (bool) and `held_back` (bool: every fifth person, never trained on), and the
operator `spread` that turns 468 displacements into a field over the crop.
"""

import glob
import hashlib
import multiprocessing
import os
import sys

import numpy as np
import torch
from PIL import Image
from scipy.interpolate import RBFInterpolator

HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, MODELS + "/convert")
import reference  # noqa: E402

from morphs import CROP, FIELD, MARGIN, grid, warp  # noqa: E402

# Five mesh groups and where they go in the 128 x 128 chip: Intel's points of face-reidentification-retail-0095.
VERTICES = [[33, 133], [263, 362], [4], [61], [291]]
CHIP = 128 * np.array([[0.31556875, 0.46157411], [0.68262292, 0.46157411], [0.50262500, 0.64050536],
                       [0.34947188, 0.82469196], [0.65343646, 0.82469196]])


def held_back(person):
    """One person in five, by name: the same ones on every machine and in every step."""
    return hashlib.sha256(person.encode()).digest()[0] % 5 == 0


def crop(path):
    """The picture's central face as (crop, mesh in crop pixels), or None where there is no face."""
    picture = np.asarray(Image.open(path).convert("RGB"))
    middle = np.array(picture.shape[1::-1]) / 2
    face = min(front().faces(picture), key=lambda face: np.hypot(*(face["center"] - middle)), default=None)
    if face is None:
        return None
    points = np.array([face["mesh"][group, :2].mean(0) for group in VERTICES])
    matrix = reference.similarity(points, CHIP + MARGIN)
    chip = reference.warp(picture, reference.invert(matrix), CROP)
    return chip.round().clip(0, 255).astype(np.uint8), reference.apply(matrix, face["mesh"][:, :2]).astype(np.float32)


def front():
    if not hasattr(front, "made"):
        front.made = reference.FrontEnd(MODELS)
    return front.made


def spread_operator(mean):
    """(FIELD * FIELD, 468): thin-plate interpolation of a displacement per vertex to the cells of a coarse field."""
    at = (np.arange(FIELD) + 0.5) * CROP / FIELD
    cells = np.stack(np.meshgrid(at, at), -1).reshape(-1, 2)
    operator = RBFInterpolator(mean, np.eye(468), kernel="thin_plate_spline", smoothing=50.0)(cells)
    return operator.astype(np.float32)


def main(pictures, out):
    paths = sorted(glob.glob(pictures + "/images/*/*.jpg"))
    with multiprocessing.Pool() as pool:
        found = pool.map(crop, paths, chunksize=32)
    people = [path.split("/")[-2] for path, face in zip(paths, found) if face]
    found = [face for face in found if face]
    crops, mesh = np.stack([face[0] for face in found]), np.stack([face[1] for face in found])
    names = pictures + "/east_asian_names.txt"
    cohort = set(open(names, encoding="utf-8").read().split("\n")) if os.path.exists(names) else set()
    mean = mesh.mean(0).astype(np.float64)
    spread = torch.from_numpy(spread_operator(mean))
    textures = np.empty_like(crops)
    for start in range(0, len(crops), 256):
        part = slice(start, start + 256)
        shift = torch.from_numpy((mesh[part] - mean).astype(np.float32))
        picture = torch.from_numpy(crops[part]).permute(0, 3, 1, 2).float()
        warped = warp(picture, grid(shift, spread))
        textures[part] = warped.permute(0, 2, 3, 1).round().clamp(0, 255).to(torch.uint8).numpy()
    os.makedirs(out, exist_ok=True)
    np.savez(out + "/base.npz", crop=crops, texture=textures, mesh=mesh, mean=mean.astype(np.float32),
             spread=spread.numpy(), person=np.array(people), cohort=np.array([p in cohort for p in people]),
             held_back=np.array([held_back(p) for p in people]))
    print(f"{len(crops)} faces of {len(set(people))} people in {len(paths)} pictures, "
          f"{sum(map(held_back, set(people)))} people held back")


if __name__ == "__main__":
    main(*sys.argv[1:])
