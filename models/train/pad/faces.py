"""Step 1: finds the face of every source picture, once.

    faces.py PICTURES OUT     PICTURES holds images/PERSON/FILE.jpg, about 250x250 with one face in the middle

Writes OUT/faces.npz: `path` and `person` (n strings), `mesh` (n, 468, 2) in pixels of that picture, `angle` (n,) radians
by which the picture must be turned back, `split` (n): 0 trained on, 1 held back, 2 for tests/pad alone. Beside the
pictures there are the made-up people of assets/, of whom p09 to p12 are never trained on.
"""

import glob
import hashlib
import multiprocessing
import os
import sys

import cv2
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path.insert(0, ROOT + "/models/convert")
import reference  # noqa: E402

MOST = 5200  # Pictures looked at; people with many pictures come last.
MOST_WEDGE = 0.10  # LFW's straightening leaves black wedges; the teacher takes them for a photograph's edge.
FIXTURE_PEOPLE = ("p09", "p10", "p11", "p12")
# Who lies in which half of which camera's picture (assets/README.md); only people who may be trained on.
WARD = {("cam-1", 0): "p01", ("cam-1", 1): "p02", ("cam-2", 0): "p03", ("cam-3", 1): "p06", ("cam-4", 0): "p08",
        ("cam-4", 1): "p07"}


def held_back(person):
    """One person in five, by name: the same ones on every machine and in every step."""
    return hashlib.sha256(person.encode()).digest()[0] % 5 == 0


def read(path):
    """RGB bytes, (height, width, 3)."""
    return cv2.cvtColor(cv2.imread(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def wedges(picture):
    """Mask of the pure black areas that reach a corner, with the rim that JPEG smeared."""
    dark = (picture.max(2) < 8).astype(np.uint8)
    _, label = cv2.connectedComponents(dark)
    corners = {label[y, x] for y in (1, -2) for x in (1, -2) if dark[y, x]}
    mask = np.isin(label, list(corners)).astype(np.uint8)
    return cv2.dilate(mask, np.ones((7, 7), np.uint8)) if corners else mask


def filled(picture):
    """The picture with its wedges painted over from their surroundings, coarse to fine."""
    gap = wedges(picture)[..., None].astype(bool)
    if not gap.any():
        return picture
    levels, color, known = [], picture * ~gap.astype(bool) * np.float32(1), 1.0 - gap.astype(np.float32)
    while min(color.shape[:2]) > 2:
        levels.append((color, known))
        color, known = cv2.pyrDown(color), cv2.pyrDown(known)[..., None]
    out = color / np.maximum(known, 1e-3)
    for color, known in reversed(levels):
        out = cv2.resize(out, color.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        out = np.where(known > 0.05, color / np.maximum(known, 0.05), out)
    return np.where(gap, np.clip(out, 0, 255), picture).astype(np.uint8)


def find(job):
    """(path, person, mesh, angle, split) of each face wanted of a picture."""
    cv2.setNumThreads(1)
    path, person, split = job
    picture = read(path)
    if split < 0 and wedges(picture).mean() > MOST_WEDGE:
        return []
    if person == "ward":
        return in_beds(path, picture)
    faces = front().faces(filled(picture) if split < 0 else picture)
    middle = np.array(picture.shape[1::-1]) / 2
    face = min(faces, key=lambda face: np.hypot(*(face["center"] - middle)), default=None)
    if face is None:
        return []
    split = int(held_back(person)) if split < 0 else split
    return [(path, person, face["mesh"][:, :2], 0.0, split)]


def in_beds(path, picture):
    found = []
    for (camera, bed), who in WARD.items():
        if camera == path.split("/")[-2]:
            zone = np.ascontiguousarray(picture[30:690, 20 + 640 * bed:620 + 640 * bed])
            for face in front().faces(zone)[:1]:
                mesh = face["mesh"][:, :2] + (20 + 640 * bed, 30)
                found.append((path, "ward-" + who, mesh, reference.roll(face["mesh"]), 0))
    return found


def front():
    if not hasattr(front, "made"):
        front.made = reference.FrontEnd(ROOT + "/models")
    return front.made


def jobs(pictures):
    of = {}
    for path in sorted(glob.glob(pictures + "/images/*/*.jpg")):
        of.setdefault(path.split("/")[-2], []).append(path)
    rounds = [[(paths[turn], person, -1) for person, paths in sorted(of.items()) if turn < len(paths)] for turn in range(4)]
    yield from [job for turn in rounds for job in turn][:MOST]
    for path in sorted(glob.glob(ROOT + "/assets/people/*/*.jpg")):
        person = path.split("/")[-2]
        yield path, person, 2 if person in FIXTURE_PEOPLE else 0
    for path in sorted(glob.glob(ROOT + "/assets/ward/cam-[1-4]/*.jpg")):
        yield path, "ward", 0


def main(pictures, out):
    if os.path.exists(out + "/faces.npz"):
        return
    with multiprocessing.Pool(int(os.environ.get("WORKERS", "2"))) as pool:
        found = [face for faces in pool.imap(find, jobs(pictures), chunksize=16) for face in faces]
    path, person, mesh, angle, split = zip(*found)
    os.makedirs(out, exist_ok=True)
    np.savez(out + "/faces.npz", path=np.array(path), person=np.array(person), mesh=np.array(mesh, np.float32),
             angle=np.array(angle, np.float32), split=np.array(split))
    for number, name in enumerate(("trained on", "held back", "for tests/pad")):
        mine = [who for who, s in zip(person, split) if s == number]
        print(f"{len(mine)} faces of {len(set(mine))} people {name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
