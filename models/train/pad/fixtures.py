"""Makes tests/pad: pictures of people who do not exist, live and attacked, none of whom the net was trained on.

    fixtures.py OUT         needs OUT/faces.npz

Drawn by seed, blind to any net's score, except that the front end must find the face. Everything comes from
assets/people/p09 to p12, and behind them stand empty beds and plain walls.
"""

import csv
import os
import sys

import cv2
import numpy as np

import camera
from faces import ROOT, reference
from samples import SPECIES, Sources, scene

EACH, SIDE, SEED = 8, 320, 20261122
NARROW, WIDE = 80, 140  # Widths of the faces, pixels.


def square(picture, mesh):
    """SIDE x SIDE with the face in the middle, as far as the picture goes."""
    center = np.round((mesh.min(0) + mesh.max(0)) / 2).astype(int)
    low = np.clip(center - SIDE // 2, 0, np.maximum(np.array(picture.shape[1::-1]) - SIDE, 0))
    return picture[low[1]:low[1] + SIDE, low[0]:low[0] + SIDE]


def main(out):
    sources, front = Sources(out, 2, "fixture"), reference.FrontEnd(ROOT + "/models")
    folder, rows = ROOT + "/tests/pad", []
    os.makedirs(folder, exist_ok=True)
    for kind, species in enumerate(SPECIES):
        made = tried = 0
        while made < EACH:
            random = np.random.default_rng([SEED, kind, tried])
            tried += 1
            row = sources.rows[(tried * 7 + kind * 3) % len(sources.rows)]
            picture, mesh = scene(sources, species, int(row), random)
            picture, mesh = camera.take(picture, mesh, random.uniform(NARROW, WIDE), random)
            picture = np.ascontiguousarray(square(picture, mesh))
            if len(front.faces(picture)) != 1:
                continue
            made += 1
            file = f"{species}-{made}.jpg"
            cv2.imwrite(f"{folder}/{file}", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])
            rows.append((file, "live" if species == "live" else "attack", species))
        print(f"{species}: {EACH} of {tried} drawn; in the others the front end found no face, or two")
    with open(folder + "/labels.csv", "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("file", "label", "species"), *rows])


if __name__ == "__main__":
    main(*sys.argv[1:])
