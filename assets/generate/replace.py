"""Finds new faces for a few people of the cast, apart from all the others as they are rendered now."""

import argparse
import json
import os

import cv2
import numpy as np

from body import over, paint
from build import load_cast
from cast import PEOPLE
from choose import SHOTS, operating_point, quick, weights
from face import Model
from nets import Nets


def full(model, nets, person, shot):
    """Embeddings of the whole painted person, as near to the delivered pictures as is cheap."""
    rgb, a, p = paint(model, person, shot)
    img = over(np.full_like(rgb, 170), rgb, a)
    return nets.embed(np.ascontiguousarray(img.astype(np.uint8)), p)


def main():
    a = argparse.ArgumentParser(description=__doc__)
    for name in ("models", "marks", "model"):
        a.add_argument("--" + name, required=True)
    a.add_argument("--tries", type=int, default=60)
    a.add_argument("names", nargs="+")
    a = a.parse_args()
    cv2.setNumThreads(1)
    here = os.path.dirname(os.path.abspath(__file__))
    nets, model, c = Nets(a.models), Model(a.model), dict(np.load(a.marks))
    dt, ot = operating_point(c, np.random.default_rng(5))
    used = np.load(a.model)["rows"]
    chosen = json.load(open(f"{here}/chosen.json"))
    cast = load_cast(model, f"{here}/chosen.json")
    others = [e for n in cast if n not in a.names for e in (full(model, nets, cast[n], s) for s in SHOTS[:2])]

    def apart(d, o, others):
        """The smaller of the two nets' margins, in comparable units, to the fitted pictures and to the other people."""
        near_d = min(np.linalg.norm(c["dlib"][used] - d, axis=1).min(), min(np.linalg.norm(e[0] - d) for e in others) - .03)
        near_o = max((c["omz"][used] @ o).max(), max(e[1] @ o for e in others) + .03)
        return min((near_d - dt) / .1, (ot - near_o) / .15)

    for name in a.names:
        base = next(p for p in PEOPLE if p["name"] == name)
        cost = lambda recipe: apart(*quick(model, nets, dict(base, w=weights(model, recipe)), SHOTS[0]), others)
        number = int(name[1:])
        start = sorted(((cost([r]), [r]) for r in range(10000 * number + 500, 10000 * number + 500 + a.tries)), reverse=True)[:6]
        for k, (best, recipe) in enumerate(start):
            for step in range(5):
                new = recipe + [recipe[0] * 7 + 1000 * len(recipe) + step + 500]
                v = cost(new)
                if v > best:
                    best, recipe = v, new
            start[k] = best, recipe
        scored = []
        for best, recipe in sorted(start, reverse=True)[:4]:
            person = dict(base, w=weights(model, recipe))
            shots = [full(model, nets, person, s) for s in SHOTS]
            scored.append((min(apart(d, o, others) for d, o in shots), recipe, shots))
        v, chosen[name], shots = max(scored, key=lambda x: x[0])
        print(name, round(v, 2), chosen[name], flush=True)
        others += shots
        json.dump(chosen, open(f"{here}/chosen.json", "w"), indent=1)


if __name__ == "__main__":
    main()
