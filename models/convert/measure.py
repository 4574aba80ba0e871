"""Measures the front end and the embedder on pictures in LFW's layout, with the code of reference.py.

    measure.py PICTURES [CACHE]     PICTURES holds images/PERSON/FILE.jpg, pairs.txt and, optionally,
                                    east_asian_names.txt; CACHE keeps the meshes between runs (.npz)

Needs numpy, onnxruntime and Pillow. The face nearest to a picture's centre is the one that counts.
"""

import glob
import math
import os
import sys

import numpy as np
from PIL import Image

import reference

MODELS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RATES = (1e-2, 1e-3, 1e-4)
ROLL_PICTURES, ROLL_STEP = 60, 15


def main(pictures, cache=None):
    front = reference.FrontEnd(MODELS)
    keys = sorted(path[len(pictures) + 8 :] for path in glob.glob(pictures + "/images/*/*.jpg"))
    meshes = load_meshes(front, pictures, keys, cache)
    print(f"faces found in {len(meshes)} of {len(keys)} pictures")
    found = [key for key in keys if key in meshes]
    vectors = np.array([front.embed(read(pictures, key), meshes[key].astype(float)) for key in found])
    verification(pictures, dict(zip(found, vectors)))
    people = np.array([key.split("/")[0] for key in found])
    thresholds = impostors("all", vectors, people, None)
    names = pictures + "/east_asian_names.txt"
    if os.path.exists(names):
        with open(names) as file:
            cohort = np.isin(people, file.read().split("\n"))
        impostors("East Asian", vectors[cohort], people[cohort], thresholds)
        impostors("all others", vectors[~cohort], people[~cohort], thresholds)
    rolling(front, pictures, [found[i] for i in np.random.default_rng(5).choice(len(found), ROLL_PICTURES, replace=False)])


def read(pictures, key):
    return np.asarray(Image.open(f"{pictures}/images/{key}").convert("RGB"))


def central(faces, picture):
    middle = np.array(picture.shape[1::-1]) / 2
    return min(faces, key=lambda face: np.hypot(*(face["center"] - middle)), default=None)


def load_meshes(front, pictures, keys, cache):
    if cache and os.path.exists(cache):
        with np.load(cache) as stored:
            return dict(stored)
    meshes = {}
    for key in keys:
        face = central(front.faces(read(pictures, key)), read(pictures, key))
        if face is not None:
            meshes[key] = face["mesh"].astype(np.float32)
    if cache:
        np.savez(cache, **meshes)
    return meshes


def verification(pictures, vectors):
    """Accuracy of the pairs; each fold's threshold is the best one of the other folds."""
    with open(pictures + "/pairs.txt") as file:
        (folds, size), *rows = (line.split() for line in file.read().strip().split("\n"))
    distances, same = [], []
    for row in rows:
        first, second = (row[0], row[1]), (row[-2] if len(row) == 4 else row[0], row[-1])
        keys = [f"{name}/{name}_{int(number):04d}.jpg" for name, number in (first, second)]
        there = all(key in vectors for key in keys)
        distances.append(np.linalg.norm(vectors[keys[0]] - vectors[keys[1]]) if there else np.inf)
        same.append(len(row) == 3)
    distances, same = np.array(distances), np.array(same)
    fold = np.arange(len(rows)) // (2 * int(size))
    steps = np.arange(0.4, 0.8, 0.002)
    right = (distances[:, None] <= steps) == same[:, None]
    each = [right[fold == f][:, right[fold != f].mean(0).argmax()].mean() for f in range(int(folds))]
    low, high = wilson(np.mean(each) * len(rows), len(rows))
    missed = int(np.isinf(distances).sum())
    print(f"{len(rows)} pairs, {folds} folds: {np.mean(each):.4f} ({low:.4f}-{high:.4f}); {missed} pairs lack a face (taken as different)")


def wilson(right, n, z=1.96):
    p = right / n
    middle, half = (p + z * z / 2 / n), z * math.sqrt(p * (1 - p) / n + z * z / 4 / n / n)
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def impostors(title, vectors, people, thresholds):
    """Every pair of pictures. Without thresholds finds them; with them says what they let through."""
    squares = (vectors * vectors).sum(1)
    index = np.unique(people, return_inverse=True)[1]
    impostor, genuine, origin = [], [], []
    for i in range(len(vectors) - 1):
        distance = np.sqrt(np.maximum(squares[i] + squares[i + 1 :] - 2 * vectors[i + 1 :] @ vectors[i], 0)).astype(np.float32)
        same = index[i + 1 :] == index[i]
        impostor.append(distance[~same])
        genuine.append(distance[same])
        origin.append(np.stack([np.full((~same).sum(), index[i], np.int32), index[i + 1 :][~same].astype(np.int32)]))
    impostor, genuine, origin = np.concatenate(impostor), np.concatenate(genuine), np.concatenate(origin, 1)
    print(f"{title}: {len(vectors)} pictures, {index.max() + 1} people, {len(impostor)} impostor pairs, {len(genuine)} genuine pairs")
    if thresholds is None:
        thresholds = [float(np.quantile(impostor, rate, method="lower")) for rate in RATES]
    own = [float(np.quantile(impostor, rate, method="lower")) for rate in RATES]
    for rate, threshold, other in zip(RATES, thresholds, own):
        low, high = bootstrap(impostor <= threshold, origin, index.max() + 1)
        print(f"  threshold {threshold:.4f} (nominal {rate:g}): FMR {(impostor <= threshold).mean():.5f} ({low:.5f}-{high:.5f}),"
              f" FNMR {(genuine > threshold).mean():.4f}; at this group's own {rate:g} ({other:.4f}) FNMR {(genuine > other).mean():.4f}")
    return thresholds


def bootstrap(accepted, origin, count, rounds=200):
    """95 % interval over people, not pairs: pairs that share a person are not independent."""
    flat = origin[0].astype(np.int64) * count + origin[1]
    totals = np.bincount(flat, minlength=count * count).reshape(count, count).astype(np.float32)
    hits = np.bincount(flat[accepted], minlength=count * count).reshape(count, count).astype(np.float32)
    random, rates = np.random.default_rng(1), []
    for _ in range(rounds):
        weight = np.bincount(random.integers(0, count, count), minlength=count).astype(np.float32)
        rates.append(weight @ hits @ weight / (weight @ totals @ weight))
    return np.quantile(rates, 0.025), np.quantile(rates, 0.975)


def rolling(front, pictures, keys):
    """Turns each picture about its face on a grey ground and compares with the unturned one."""
    cosines, distances, missed, tilts = [], [], 0, []
    for key in keys:
        picture = read(pictures, key)
        center = central(front.faces(picture), picture)["center"]
        upright, own = None, 0.0
        for degrees in range(0, 360, ROLL_STEP):
            turned = reference.warp(picture, reference.square(center, 340, math.radians(-degrees), 340), 340, border=128.0)
            face = central(front.faces(turned), turned)
            if face is None or np.hypot(*(face["center"] - 170)) > 40 or (degrees and upright is None):
                missed += 1
                continue
            vector = front.embed(turned, face["mesh"])
            if degrees == 0:
                upright, own = vector, reference.roll(face["mesh"])
                continue
            cosines.append(vector @ upright / np.linalg.norm(vector) / np.linalg.norm(upright))
            distances.append(np.linalg.norm(vector - upright))
            tilts.append(abs((math.degrees(reference.roll(face["mesh"]) - own) - degrees + 180) % 360 - 180))
    cosines, distances = np.array(cosines), np.array(distances)
    n = len(cosines) + missed
    print(f"roll: {len(keys)} pictures, {n} turned ones, {missed} not found, cosine > 0.8: {(cosines > 0.8).sum() / n:.4f},"
          f" distance <= 0.3: {(distances <= 0.3).sum() / n:.4f}, distance median {np.median(distances):.3f},"
          f" 95 % {np.quantile(distances, 0.95):.3f}, 99 % {np.quantile(distances, 0.99):.3f}, largest {distances.max():.3f}; roll error 99 % {np.quantile(tilts, 0.99):.1f} degrees")


if __name__ == "__main__":
    main(*sys.argv[1:])
