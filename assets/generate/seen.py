"""What the product's own front end (models/convert/reference.py) finds in every bed of every frame, and whose face it is."""

import argparse
import os
import sys

import cv2
import numpy as np

from cast import ENROLLED
from motion import ZONES, camera_frames
from nets import Nets
from scenes import CAMERAS, SEEN

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NEAR, ALIKE = .477, .45             # dlib distance at one false match in ten thousand; OMZ cosine, well above 0.337


def largest(front, picture):
    return max(front.faces(picture), key=lambda f: f["side"], default=None)


def both(front, nets, picture, face):
    """The product's embedding and the OMZ net's, of one found face."""
    other = nets.embed(picture, face["mesh"].astype(np.float32) - [.5, .5, 0])[1] if nets else None
    return front.embed(picture, face["mesh"]), other


def enrolled(front, nets, assets):
    out = {}
    for who in ENROLLED:
        for shot in (1, 2, 3):
            picture = np.ascontiguousarray(cv2.imread(f"{assets}/people/{who}/enrol-{shot}.jpg")[:, :, ::-1])
            out.setdefault(who, []).append(both(front, nets, picture, largest(front, picture)))
    return out


def bed(front, nets, known, frames, side, who):
    """One bed's figures over its frames: found, the farthest enrolment shot of the shown person, the nearest other person."""
    x0, y0, x1, y1 = ZONES[side]
    rows = []
    for picture in frames:
        crop = np.ascontiguousarray(picture[y0:y1, x0:x1])
        face = largest(front, crop)
        if face is None:
            continue
        d, o = both(front, nets, crop, face)
        mine = [float(np.linalg.norm(d - e[0])) for e in known[who]] if who in known else [9.]
        others = min(float(np.linalg.norm(d - e[0])) for q in known if q != who for e in known[q])
        cosine = min(float(o @ e[1]) for e in known[who]) if nets and who in known else 0.
        rows.append((max(mine), others, cosine, float(np.ptp(face["mesh"][:, :2], axis=0)[0])))
    return np.array(rows)


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--models", help="folder of the reference nets, for the OMZ cosine")
    a.add_argument("--assets", default=os.path.join(ROOT, "assets"))
    a.add_argument("cameras", nargs="*", default=list(CAMERAS))
    a = a.parse_args()
    sys.path.insert(0, os.path.join(ROOT, "models/convert"))
    from reference import FrontEnd
    front, nets = FrontEnd(os.path.join(ROOT, "models")), Nets(a.models) if a.models else None
    known = enrolled(front, nets, a.assets)
    print("| bed | shows | found | distance to its own enrolment | frames < 0.477 | nearest other | OMZ cosine | box |\n" + "|---" * 8 + "|")
    for name in a.cameras:
        frames = camera_frames(a.assets, name)
        for side, (kind, who, *_) in enumerate(CAMERAS[name]):
            r = bed(front, nets, known, frames, side, who)
            line = f"| {2 * int(name[-1]) - 1 + side:02} | {who or '-'} ({kind}) | {len(r)} of {len(frames)} |"
            if len(r) and kind in SEEN:
                near = ((r[:, 0] < NEAR) & ((r[:, 2] > ALIKE) | (nets is None))).sum()
                line += f" {r[:, 0].min():.3f} .. {r[:, 0].max():.3f} | {near} | {r[:, 1].min():.3f} | {r[:, 2].min():.2f} | {r[:, 3].min():.0f} |"
            print(line, flush=True)


if __name__ == "__main__":
    main()
