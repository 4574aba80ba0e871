"""Step 2: shards of new faces with the teacher's embedding of each.

    label.py OUT TEACHER FIRST LAST     writes OUT/shard-NNN.npz for FIRST <= NNN < LAST, each from its own seed

A shard holds `face` (8192, 128, 128, 3) uint8 RGB chips and `embedding` (8192, 256) fp16 of unit length. Shards that
exist are left alone, so a broken run goes on where it stopped; several runs may share the work by ranges.
"""

import os
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../blockwise"))
from morphs import MARGIN, Morphs  # noqa: E402
from teacher import Teacher  # noqa: E402

SHARD, BATCH, SEED = 8192, 64, 20261122


def middle(faces):
    """The 128 x 128 chips out of the crops with their rim, as bytes (n, 3, 128, 128)."""
    side = slice(MARGIN, MARGIN + 128)
    return faces[:, :, side, side].round().clamp(0, 255).to(torch.uint8)


def shard(morphs, teacher, number):
    random = torch.Generator().manual_seed(SEED + number)
    faces, vectors = [], []
    for _ in range(SHARD // BATCH):
        chips = middle(morphs.draw(BATCH, random))
        vectors.append(F.normalize(teacher(chips.float().contiguous())[1]).numpy().astype(np.float16))
        faces.append(chips.permute(0, 2, 3, 1).numpy())
    return np.concatenate(faces), np.concatenate(vectors)


def main(out, path, first, last):
    torch.set_num_threads(1)
    with np.load(out + "/base.npz") as base:
        morphs = Morphs(base)
    teacher = Teacher(path, 1, lambda graph: ())
    for number in range(int(first), int(last)):
        file = f"{out}/shard-{number:03d}.npz"
        if os.path.exists(file):
            continue
        start = time.time()
        face, embedding = shard(morphs, teacher, number)
        np.savez(file + ".part.npz", face=face, embedding=embedding)
        os.replace(file + ".part.npz", file)
        print(f"shard {number}: {SHARD / (time.time() - start):.0f} faces/s", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
