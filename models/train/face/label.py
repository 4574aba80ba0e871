"""Step 2: shards of new faces with the teacher's embedding of each.

    label.py OUT TEACHER FIRST LAST     writes OUT/shard-NNN.npz for FIRST <= NNN < LAST, each from its own seed

A shard holds `face` (8192, 128, 128, 3) uint8 RGB chips and `embedding` (8192, 256) fp16 of unit length. Shards that
exist are left alone, so a broken run goes on where it stopped; several runs may share the work by ranges.
"""

import os
import sys
import time

import numpy as np
import onnxruntime
import torch

from morphs import MARGIN, Morphs

SHARD, BATCH, SEED = 8192, 64, 20261122


def teacher(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def embed(chips):
        """(n, 128, 128, 3) uint8 RGB to (n, 256) of unit length. The teacher takes BGR, 0..255, one face at a time."""
        bgr = chips[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32)
        vectors = np.concatenate([session.run(None, {name: bgr[i : i + 1]})[0].reshape(1, -1) for i in range(len(bgr))])
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    return embed


def middle(faces):
    """The 128 x 128 chips out of the crops with their rim, as bytes (n, 128, 128, 3)."""
    side = slice(MARGIN, MARGIN + 128)
    return faces[:, :, side, side].round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()


def shard(morphs, embed, number):
    random = torch.Generator().manual_seed(SEED + number)
    faces, vectors = [], []
    for _ in range(SHARD // BATCH):
        chips = middle(morphs.draw(BATCH, random))
        faces.append(chips)
        vectors.append(embed(chips).astype(np.float16))
    return np.concatenate(faces), np.concatenate(vectors)


def main(out, path, first, last):
    torch.set_num_threads(1)
    with np.load(out + "/base.npz") as base:
        morphs = Morphs(base)
    embed = teacher(path)
    for number in range(int(first), int(last)):
        file = f"{out}/shard-{number:03d}.npz"
        if os.path.exists(file):
            continue
        start = time.time()
        face, embedding = shard(morphs, embed, number)
        np.savez(file + ".part.npz", face=face, embedding=embedding)
        os.replace(file + ".part.npz", file)
        print(f"shard {number}: {SHARD / (time.time() - start):.0f} faces/s", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
