"""Measures what was made: genuine and impostor distances, likeness to training people, and what the nets see in every bed."""

import argparse
import os

import cv2
import numpy as np

from cast import ENROLLED
from choose import operating_point
from motion import ZONES, camera_frames
from nets import Nets
from scenes import CAMERAS, SEEN

SURE = .5                           # both the detector's score and the mesh's face flag
EVERY = 4                           # of the frames of a clip, which hardly differ, these count as pairs


def load(path):
    return np.ascontiguousarray(cv2.imread(path)[:, :, ::-1])


def look(nets, rgb):
    _, score, flag, p = nets.any_roll(rgb)
    return score, flag, p, nets.embed(rgb, p)


def people(nets, assets):
    out = {}
    for p in ENROLLED:
        for shot in ("enrol-1", "enrol-2", "enrol-3", "probe-1", "probe-2"):
            score, flag, pts, e = look(nets, load(f"{assets}/people/{p}/{shot}.jpg"))
            if score < SURE or flag < SURE:
                print("NOT SEEN", p, shot, round(score, 2), round(flag, 2))
            out.setdefault(p, []).append((shot, e))
    return out


def spans(title, same, other, nearer_is_small):
    s, o = np.array(same), np.array(other)
    gap = o.min() - s.max() if nearer_is_small else s.min() - o.max()
    print(f"{title}: genuine {s.min():.3f}..{s.max():.3f} (n={len(s)}), impostor {o.min():.3f}..{o.max():.3f} (n={len(o)}), gap {gap:+.3f}")


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--models", required=True)
    a.add_argument("--marks", help="landmarks.py's cache, for the likeness check")
    a.add_argument("--model", help="the fitted model, which knows its training pictures")
    a.add_argument("--assets", default=os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    a.add_argument("--no-ward", action="store_true")
    a = a.parse_args()
    nets = Nets(a.models)
    faces = people(nets, a.assets)
    extra = {"p12": "k1", "p13": "k2"}
    for who, k in extra.items():
        path = f"{a.assets}/kiosk/{k}.jpg"
        if os.path.exists(path):
            score, flag, pts, e = look(nets, load(path))
            print(f"kiosk {k}: score {score:.2f} flag {flag:.2f}, width {np.ptp(pts[:, 0]):.0f}")
            faces.setdefault(who, []).append((k, e))
    ward = [] if a.no_ward else beds(nets, a.assets, faces)
    for who, shot, e in ward:
        faces[who].append((shot, e))
    for i, title in enumerate(("dlib distance", "omz cosine")):
        f = (lambda x, y: float(np.linalg.norm(x - y))) if i == 0 else (lambda x, y: float(x @ y))
        same, other = [], []
        for p in faces:
            for j, (sa, ea) in enumerate(faces[p]):
                for sb, eb in faces[p][:j]:
                    v = f(ea[i], eb[i])
                    same.append(v)
                    if (v > .42 if i == 0 else v < .5):
                        print("  weak genuine", p, sa, sb, round(v, 3))
                for q in faces:
                    if q < p:
                        for sb, eb in faces[q]:
                            v = f(ea[i], eb[i])
                            other.append(v)
        worst = sorted(((f(x[1][i], y[1][i]), p, x[0], q, y[0]) for p in faces for q in faces if q < p for x in faces[p] for y in faces[q]),
                       reverse=i == 1)[:4]
        spans(title, same, other, i == 0)
        print("  closest pairs:", [(round(w[0], 3),) + w[1:] for w in worst])
    if a.marks:
        likeness(faces, dict(np.load(a.marks)), np.load(a.model)["rows"])


def likeness(faces, c, used):
    """Every shot of every person against the pictures the model was fitted on, and against all others as well."""
    dt, ot = operating_point(c, np.random.default_rng(5))
    print(f"FMR 1e-3 on the development people: dlib {dt:.3f}, omz {ot:.3f}; fitted on {len(used)} pictures of {len(set(c['person'][used]))} people")
    for p in sorted(faces):
        d = np.array([np.linalg.norm(c["dlib"] - e[0], axis=1) for _, e in faces[p]])
        o = np.array([c["omz"] @ e[1] for _, e in faces[p]])
        both = ((d < dt) & (o > ot)).any(0)
        td, to = d[:, used].mean(0).min(), o[:, used].mean(0).max()
        print(f"  {p}: mean of {len(d)} shots to the nearest fitted picture: dlib {td:.3f} omz {to:.3f}{'' if td > dt and to < ot else ' TOO NEAR'}; "
              f"worst shot: dlib {d[:, used].min():.3f} omz {o[:, used].max():.3f}; matched by both nets: {both[used].sum()} fitted, {both.sum()} of all")


def beds(nets, assets, faces):
    out, bad = [], 0
    for name, specs in CAMERAS.items():
        empty = load(f"{assets}/ward/empty/{name}.jpg").astype(np.float32)
        for n, rgb in enumerate(camera_frames(assets, name)):
            for side, (kind, who, quarter, turn) in enumerate(specs):
                x0, y0, x1, y1 = ZONES[side]
                crop = np.ascontiguousarray(rgb[y0:y1, x0:x1])
                score, flag, p, e = look(nets, crop)
                seen = score >= SURE and flag >= SURE
                diff = cv2.GaussianBlur(crop.astype(np.float32).mean(2), (0, 0), 3) - cv2.GaussianBlur(empty[y0:y1, x0:x1].mean(2), (0, 0), 3)
                changed = float((np.abs(diff - np.median(diff)) > 14).mean())
                line = f"{name} f{n} {'LR'[side]} {kind:6} score {score:.2f} flag {flag:.2f} luma {crop.mean():5.1f} changed {changed:.2f}"
                ok = seen == (kind in SEEN)
                if kind in SEEN:
                    v = p[263] - p[33]
                    line += f" roll {np.degrees(np.arctan2(v[1], v[0])):6.1f} width {min(np.hypot(*(p[454] - p[234])[:2]), 999):.0f}"
                if seen and kind in SEEN:
                    d = {q: np.mean([np.linalg.norm(e[0] - x[1][0]) for x in faces[q][:3]]) for q in faces if q != "p13"}
                    best = sorted(d, key=d.get)
                    o = {q: np.mean([e[1] @ x[1][1] for x in faces[q][:3]]) for q in faces if q != "p13"}
                    line += f" -> {best[0]} {d[best[0]]:.3f} then {best[1]} {d[best[1]]:.3f}; omz {max(o, key=o.get)} {o[who]:.2f}"
                    ok &= best[0] == who and max(o, key=o.get) == who
                    if kind == "face" and n % EVERY == 0:
                        out.append((who, f"{name}/{n}", e))
                bad += not ok
                print(line, "" if ok else "  <-- WRONG")
    print("ward:", "all as it should be" if not bad else f"{bad} WRONG")
    return out


if __name__ == "__main__":
    main()
