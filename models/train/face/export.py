"""Step 4: the trained student as ONNX, with batch normalisation folded away and fp16 weights, and its table's numbers.

    export.py OUT FILE.onnx     from OUT/state.pt; prints what the [embedder] table of manifest.toml needs

Checks the file against the student on the golden picture, and measures thresholds on the held-back people with the very
file that was written.
"""

import hashlib
import os
import sys

import numpy as np
import onnxruntime
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE + "/../../convert", HERE + "/../blockwise"]
from common import Graph, synthetic  # noqa: E402

from heldback import HeldBack, rates  # noqa: E402
from net import FINAL, MEAN, SCALE, Student  # noqa: E402
from writer import Writer  # noqa: E402


def export(student, path):
    graph = Graph("bedcheck_face", [1, 3, FINAL, FINAL])
    writer, stem = Writer(graph), student.stem
    at = writer.leaky(writer.normed(stem.second, writer.leaky(writer.normed(stem.first, "image"))))
    at = writer.gate(stem.gate, writer.normed(stem.project, at))
    for block in student.blocks:
        at = writer.block(block, at)
    writer.head(student.head, at, "embedding")
    graph.write(path, "Distilled from Intel Open Model Zoo face-reidentification-retail-0095 (Apache-2.0); "
                      "see models/train/face. Apache-2.0.")


def runner(path):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def embed(chip):
        """(FINAL, FINAL, 3) RGB 0..255 to (256,)."""
        value = ((chip.astype(np.float32) - MEAN) * np.float32(SCALE)).transpose(2, 0, 1)[None]
        return session.run(["embedding"], {"image": value})[0][0]

    return embed


def main(out, path):
    student = Student().eval()
    student.load_state_dict(torch.load(out + "/state.pt", map_location="cpu")["average"])
    with torch.no_grad():
        export(student, path)
        golden = student(torch.from_numpy(synthetic(FINAL).copy()).permute(2, 0, 1)[None].float())[0].numpy()
    embed = runner(path)
    found = embed(synthetic(FINAL))
    print(f"cosine to the student on the golden picture {cosine(found, golden):.7f}")
    for name, change in (("swapped colours", synthetic(FINAL)[..., ::-1]), ("/255", synthetic(FINAL) / 255.0)):
        print(f"largest golden difference with {name}: {np.abs(embed(change) - found)[:16].max():.3f}")
    with open(path, "rb") as file:
        print(f'sha256 = "{hashlib.sha256(file.read()).hexdigest()}"')
    print("golden =", [float(f"{value:.6g}") for value in found[:16]])
    report(HeldBack(out), embed)


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def report(held_back, embed):
    vectors = np.stack([embed(chip) for chip in held_back.at(FINAL).numpy()])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity = vectors @ vectors.T
    impostor = similarity[~held_back.same & (held_back.once > 0)]
    genuine = similarity[held_back.same & (held_back.once > 0)]
    for fmr in (1e-2, 1e-3, 1e-4):
        threshold = np.quantile(impostor, 1 - fmr)
        print(f'{{ fmr = "{fmr:.0e}", threshold = {threshold:.3f} }}, FNMR {(genuine < threshold).mean():.4f}')
    print(f"differs (0.5 % of {len(genuine)} genuine pairs lie lower): {np.quantile(genuine, 0.005):.3f}")
    print(f"impostors = {{ mean = {impostor.mean():.4f}, deviation = {impostor.std():.4f} }}, n = {len(impostor)}")
    print(rates(vectors, held_back.same, held_back.once, held_back.cohort))


if __name__ == "__main__":
    main(*sys.argv[1:])
