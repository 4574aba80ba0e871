"""The figures of the model card.

    measure.py REFERENCE_MODELS OUT [SPOOFS]    SPOOFS holds real pictures and labels.csv (file,label,species)

Held-back people and attacks made of them, OUT/held-*.npz. The threshold is chosen on every other person of them (BPCER
BPCER_AIM) and judged on the rest. The teacher pair is judged on the same pictures: at 0.5, and at the threshold with
its own BPCER_AIM. AUC is against the truth unless it says otherwise; intervals are 95 %: Wilson, AUC by resampling 500 times.
"""

import csv
import glob
import math
import os
import sys
import time

import numpy as np
import onnxruntime
from PIL import Image

from export import FILE, logit, session
from faces import ROOT, reference
from samples import SPECIES, Teacher, view

BPCER_AIM = 0.05
BINS = (30, 48, 64, 100, 210)


def wilson(k, n):
    p, z = k / max(n, 1), 1.96
    middle, half = p + z * z / 2 / n, z * math.sqrt(p * (1 - p) / n + z * z / 4 / n / n)
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def rate(wrong):
    low, high = wilson(wrong.sum(), len(wrong))
    return f"{100 * wrong.mean():.1f} % ({100 * low:.1f}-{100 * high:.1f}), n={len(wrong)}"


def auc(score, positive):
    order = np.argsort(np.argsort(score, kind="stable"), kind="stable") + 1.0
    n = positive.sum()
    return (order[positive].sum() - n * (n + 1) / 2) / (n * (len(score) - n))


def auc_text(score, positive):
    random = np.random.default_rng(1)
    again = [auc(score[rows], positive[rows]) for rows in random.integers(0, len(score), (500, len(score)))]
    low, high = np.percentile(again, [2.5, 97.5])
    return f"{auc(score, positive):.4f} ({low:.4f}-{high:.4f}), n={len(score)}"


def judge(title, score, threshold, species):
    print(f"\n{title}, threshold {threshold:.3f}")
    print(f"  AUC {auc_text(score, species == 0)}")
    print(f"  BPCER {rate(score[species == 0] < threshold)}")
    for kind in range(1, 4):
        print(f"  APCER {SPECIES[kind]} {rate(score[species == kind] >= threshold)}, "
              f"AUC {auc(score[(species == 0) | (species == kind)], species[(species == 0) | (species == kind)] == 0):.4f}")


def by_size(score, threshold, species, width):
    for low, high in zip(BINS, BINS[1:]):
        mine = (width >= low) & (width < high)
        kinds = ", ".join(f"{SPECIES[k]} {100 * (score[mine & (species == k)] >= threshold).mean():.0f}" for k in (1, 2, 3))
        print(f"  face {low}-{high} px: BPCER {rate(score[mine & (species == 0)] < threshold)}; "
              f"AUC {auc(score[mine], species[mine] == 0):.3f}; APCER {rate(score[mine & (species > 0)] >= threshold)} ({kinds} %)")


def score_of(net, crops):
    return 1 / (1 + np.exp(-np.array([logit(net, crop) for crop in crops])))


def held_back(net, out, scale_index):
    parts = [dict(np.load(path)) for path in sorted(glob.glob(out + "/held-[0-9][0-9][0-9].npz"))]
    held = {key: np.concatenate([part[key][:, scale_index, 0] if key == "crop" else part[key] for part in parts]) for key in parts[0]}
    score, pair, species = score_of(net, held["crop"]), held["teacher"].mean(1), held["species"]
    person = np.load(out + "/faces.npz")["person"]
    chosen = np.unique(person[held["face"]], return_inverse=True)[1] % 2 == 0
    rest = ~chosen
    ours, its = (float(np.quantile(s[chosen & (species == 0)], BPCER_AIM)) for s in (score, pair))
    print(f"{len(score)} samples of {len(set(held['face']))} faces; thresholds from {chosen.sum()}, judged on {rest.sum()}")
    sure = (pair < 0.1) | (pair > 0.9)
    print(f"AUC against the teacher's decision at 0.5: {auc_text(score, pair >= 0.5)}; "
          f"where the pair is sure (below 0.1, above 0.9): {auc_text(score[sure], pair[sure] >= 0.5)}; "
          f"same decision at that BPCER: {100 * ((score >= ours) == (pair >= its)).mean():.1f} %")
    judge("student", score[rest], ours, species[rest])
    judge("teacher pair", pair[rest], 0.5, species[rest])
    judge("teacher pair", pair[rest], its, species[rest])
    print("\nstudent by size (all held-back samples)")
    by_size(score, ours, species, held["width"])
    print("teacher pair by size")
    by_size(pair, its, species, held["width"])
    return ours, its


def pictures(folder):
    """(label, species, RGB picture) as the folder's labels.csv names them."""
    with open(folder + "/labels.csv", newline="") as file:
        for row in csv.DictReader(file):
            yield row, np.asarray(Image.open(f"{folder}/{row['file']}").convert("RGB"))


def upright(picture, mesh):
    """Turned by quarters, nothing invented: the teacher knows no angles."""
    for _ in range(round(reference.roll(mesh) / (math.pi / 2)) % 4):
        picture, mesh = np.rot90(picture), np.stack([mesh[:, 1], picture.shape[1] - mesh[:, 0]], 1)
    return np.ascontiguousarray(picture), mesh


def real(title, net, teacher, folder, scale, ours, its):
    front, rows = reference.FrontEnd(ROOT + "/models"), []
    print(f"\n{title}")
    for row, picture in pictures(folder):
        faces = front.faces(picture)
        if not faces:
            print(f"  {row['file']}: no face")
            continue
        mesh = max(faces, key=lambda face: face["side"])["mesh"][:, :2]
        score = score_of(net, [view(picture, mesh, scale)])[0]
        pair = teacher.score([upright(picture, mesh)]).mean()
        rows.append((row["label"] == "live", score, pair))
        if title.startswith("real"):
            print(f"  {row['file']} {row['label']} {row['species']}: student {score:.3f}, pair {pair:.3f}")
    live, score, pair = (np.array(column) for column in zip(*rows))
    for name, values, threshold in (("student", score, ours), ("pair", pair, its), ("pair at 0.5", pair, 0.5)):
        print(f"  {name}: BPCER {rate(values[live] < threshold)}; APCER {rate(values[~live] >= threshold)}; AUC {auc(values, live):.3f}")


def speed(net):
    picture = np.zeros((80, 80, 3), np.uint8)
    took = []
    for _ in range(400):
        start = time.perf_counter()
        logit(net, picture)
        took.append(time.perf_counter() - start)
    print(f"\n{1000 * np.median(took):.2f} ms (median of 400, one thread, onnxruntime {onnxruntime.__version__}); "
          f"{os.path.getsize(ROOT + '/models/' + FILE)} bytes")


def main(models, out, spoofs=None):
    from samples import SCALES
    from torch import load
    scale = load(out + "/pad.pt", map_location="cpu")["scale"]
    net = session(f"{ROOT}/models/{FILE}")
    ours, its = held_back(net, out, SCALES.index(scale))
    teacher = Teacher(models)
    real("tests/pad", net, teacher, ROOT + "/tests/pad", scale, ours, its)
    if spoofs:
        real("real pictures", net, teacher, spoofs, scale, ours, its)
    speed(net)


if __name__ == "__main__":
    main(*sys.argv[1:])
