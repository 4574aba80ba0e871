"""Turns pictures by every 15 degrees and compares what the front end and the embedder make of them, with reference.py.

    measure.py PICTURES [COUNT]     PICTURES holds images/PERSON/FILE.jpg; COUNT of them (60) are turned

Needs numpy, onnxruntime and Pillow. The face nearest to a picture's centre is the one that counts. Error rates on pairs
are `bedcheck eval faces`.
"""

import glob
import math
import os
import sys

import numpy as np
from PIL import Image

import reference

MODELS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
STEP, SIDE = 15, 340
ALIKE = 0.8


def central(faces, middle):
    return min(faces, key=lambda face: np.hypot(*(face["center"] - middle)), default=None)


def turned(front, picture):
    """(cosine to the unturned face, error of the roll in degrees) for every angle; None where no face was found."""
    center = central(front.faces(picture), np.array(picture.shape[1::-1]) / 2)["center"]
    upright, own = None, 0.0
    for degrees in range(0, 360, STEP):
        matrix = reference.square(center, SIDE, math.radians(-degrees), SIDE)
        view = reference.warp(picture, matrix, SIDE, border=128.0)
        face = central(front.faces(view), SIDE / 2)
        if face is None or np.hypot(*(face["center"] - SIDE / 2)) > 40 or (degrees and upright is None):
            yield None
            continue
        vector = front.embed(view, face["mesh"])
        vector, roll = vector / np.linalg.norm(vector), reference.roll(face["mesh"])
        if degrees == 0:
            upright, own = vector, roll
            continue
        yield float(vector @ upright), abs((math.degrees(roll - own) - degrees + 180) % 360 - 180)


def main(pictures, count=60):
    front = reference.FrontEnd(MODELS)
    paths = sorted(glob.glob(pictures + "/images/*/*.jpg"))
    drawn = np.random.default_rng(5).choice(len(paths), int(count), replace=False)
    found = [one for i in drawn for one in turned(front, np.asarray(Image.open(paths[i]).convert("RGB")))]
    cosine, error = np.array([one for one in found if one]).T
    print(f"{count} pictures, {len(found)} turned ones, {sum(one is None for one in found)} not found; cosine > {ALIKE}: "
          f"{(cosine > ALIKE).sum() / len(found):.4f}, median {np.median(cosine):.3f}, 1 % under {np.quantile(cosine, 0.01):.3f}, "
          f"smallest {cosine.min():.3f}; roll within {np.quantile(error, 0.99):.1f} degrees in 99 %")


if __name__ == "__main__":
    main(*sys.argv[1:])
