"""Finds mesh points and embeddings of every training picture once; the cache is not part of the project."""

import argparse
import os
import tarfile

import cv2
import numpy as np

from nets import Nets


def pictures(faces):
    """(person, name, RGB picture) of a folder or a tar that holds images/PERSON/FILE.jpg, in sorted order."""
    if os.path.isdir(faces):
        root = next(r for r, d, _ in os.walk(faces) if "images" in d) + "/images"
        for person in sorted(os.listdir(root)):
            for f in sorted(os.listdir(f"{root}/{person}")):
                yield person, f, cv2.imread(f"{root}/{person}/{f}")[:, :, ::-1]
        return
    with tarfile.open(faces) as tar:
        for m in sorted((m for m in tar if m.name.endswith(".jpg")), key=lambda m: m.name):
            data = np.frombuffer(tar.extractfile(m).read(), np.uint8)
            yield m.name.split("/")[-2], m.name.split("/")[-1], cv2.imdecode(data, 1)[:, :, ::-1]


def main(faces, models, cache):
    nets = Nets(models)
    rows = {k: [] for k in "person name score flag points dlib omz".split()}
    for person, name, rgb in pictures(faces):
        score, flag, p = nets.face(np.ascontiguousarray(rgb))
        d, o = nets.embed(rgb, p)
        for k, v in zip(rows, (person, name, score, flag, p.astype(np.float32), d, o)):
            rows[k].append(v)
    np.savez(cache, **{k: np.array(v) for k, v in rows.items()})


if __name__ == "__main__":
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--faces", required=True, help="folder or tar that holds images/PERSON/FILE.jpg")
    a.add_argument("--models", required=True)
    a.add_argument("--out", required=True)
    a = a.parse_args()
    main(a.faces, a.models, a.out)
