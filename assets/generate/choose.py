"""Finds a face for each person of the cast by rejection: unlike every training person and unlike each other, for both nets."""

import argparse
import json
import os

import cv2
import numpy as np

from body import over
from cast import PEOPLE
from face import Model, paint_face
from nets import Nets

SHOTS = [dict(), dict(yaw=8, smile=.8, left=.5, light=(.5, -.2, -1)), dict(yaw=-8, pitch=5, left=-.6, light=(-.5, -.4, -1), blink=1.)]
MODES, EAST, SPREAD = 150, .6, 1.2


def quick(model, nets, person, shot):
    """Embeddings of the bare face on its own skin colour: hair and gown hardly matter to the nets' crops."""
    img, mask, p = paint_face(model, person, shot, .55)
    core = cv2.erode(mask, np.ones((3, 3), np.uint8))
    img = over(np.full_like(img, 120) * .5 + .5 * img[mask > 0].mean(0), img, cv2.GaussianBlur(core, (0, 0), 2))
    return nets.embed(np.ascontiguousarray(np.clip(img, 0, 255).astype(np.uint8)), p)


def operating_point(c, rng, rate=1e-3):
    """dlib distance and OMZ cosine at which one in a thousand pairs of different training people match."""
    people, first = np.unique(c["person"], return_index=True)
    a, b = rng.permutation(first)[:1500], rng.permutation(first)[:1500]
    d = np.linalg.norm(c["dlib"][a][:, None] - c["dlib"][b][None], axis=2)
    o = c["omz"][a] @ c["omz"][b].T
    other = a[:, None] != b[None]
    return float(np.quantile(d[other], rate)), float(np.quantile(o[other], 1 - rate))


def weights(model, recipe):
    """A person's weights from what `chosen.json` holds: a seed, then small turns towards other draws."""
    draw = lambda seed: model.draw(np.random.default_rng(seed), EAST, MODES, SPREAD)
    w = draw(recipe[0])
    for seed in recipe[1:]:
        w = np.cos(.4) * w + np.sin(.4) * draw(seed)
    return w.astype(np.float32)


def main(models, marks, fitted, out, tries):
    nets, model, c = Nets(models), Model(fitted), dict(np.load(marks))
    dt, ot = operating_point(c, np.random.default_rng(5))
    print(f"operating point FMR 1e-3: dlib {dt:.3f} omz {ot:.3f}", flush=True)
    used = np.load(fitted)["rows"]
    td, to = c["dlib"][used], c["omz"][used]
    pool = []
    for i, base in enumerate(PEOPLE):

        def margin(recipe, shot):
            d, o = quick(model, nets, dict(base, w=weights(model, recipe)), shot)
            return min((np.linalg.norm(td - d, axis=1).min() - dt) / .1, (ot - (to @ o).max()) / .15), d, o

        def weigh(recipe):
            m, d, o = margin(recipe, SHOTS[0])
            return m, recipe, d, o, plain(weights(model, recipe))

        start = sorted((weigh([10000 * (i + 1) + k]) for k in range(tries)), key=lambda x: -x[0])[:4]
        mine = []
        for best in start:
            for step in range(7):
                new = weigh(best[1] + [best[1][0] * 7 + 1000 * len(best[1]) + step])
                if new[0] > best[0]:
                    best = new
                    mine.append(best)
            mine.append(best)
        mine = list({str(m[1]): m for m in mine}.values())
        mine = sorted(mine, key=lambda x: -x[0])[:10]
        # The margin of the worst of three shots counts.
        mine = [(min([m[0]] + [margin(m[1], s)[0] for s in SHOTS[1:]]),) + m[1:] for m in mine]
        good = [m for m in mine if m[0] > .1] or sorted(mine, key=lambda x: -x[0])[:2]
        print(base["name"], len(good), "best", round(max(m[0] for m in mine), 2), flush=True)
        pool.append([(m[1], m[2], m[3], m[0], 0, m[4]) for m in good])
    picked = spread_out(pool, dt, ot)
    json.dump({p["name"]: r for p, r in zip(PEOPLE, picked)}, open(out, "w"), indent=1)


def plain(w):
    """How ordinary the weights are: the odd samples are the ones that look odd."""
    return float(np.sum(w[:40] ** 2) / 40)


def spread_out(pool, dt, ot):
    """One of each person's candidates so that the closest pair of people is as far apart as possible, by passes of exchange."""
    cost = lambda a, b: max((dt - np.linalg.norm(a[1] - b[1])) / .15, (a[2] @ b[2] - ot) / .25)
    pick = [min(range(len(m)), key=lambda j: m[j][5]) for m in pool]
    total = lambda i, j: sum(np.exp(9 * cost(pool[i][j], pool[q][pick[q]])) for q in range(len(pool)) if q != i) + .15 * pool[i][j][5]
    for _ in range(6):
        for i in range(len(pool)):
            pick[i] = min(range(len(pool[i])), key=lambda j: total(i, j))
    ds, os_ = [], []
    for i in range(len(pool)):
        for q in range(i):
            a, b = pool[i][pick[i]], pool[q][pick[q]]
            ds.append(np.linalg.norm(a[1] - b[1]))
            os_.append(a[2] @ b[2])
    print(f"people apart: dlib >= {min(ds):.3f}, omz <= {max(os_):.3f}")
    return [pool[i][pick[i]][0] for i in range(len(pool))]


if __name__ == "__main__":
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--models", required=True)
    a.add_argument("--marks", required=True)
    a.add_argument("--model", required=True)
    a.add_argument("--out", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "chosen.json"))
    a.add_argument("--tries", type=int, default=20)
    a = a.parse_args()
    main(a.models, a.marks, a.model, a.out, a.tries)
