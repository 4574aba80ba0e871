"""Step 4: folds the trained student into models/bedcheck_pad_80.onnx and fills in the manifest.

    export.py OUT [NAME]

The exported logit is the sum of the three answers (net.py) in the shares of TRUST. Also draws OUT/NAME.csv as loss.png
beside this file.
"""

import csv
import hashlib
import os
import re
import sys

import matplotlib
import numpy as np
import onnxruntime
import torch

from faces import HERE, ROOT
from net import MEAN, SCALE, Net
from writer import Writer

sys.path.insert(0, ROOT + "/models/convert")
from common import Graph, synthetic  # noqa: E402

FILE, SIZE = "bedcheck_pad_80.onnx", 80
# MiniFASNetV2's opinion of the same crop, the pair's, the simulation's.
TRUST = (0.5, 0.25, 0.25)


def load(path):
    kept = torch.load(path, map_location="cpu")
    net = Net()
    net.load_state_dict(kept["state"][1])
    return net.eval()


def write(net, path):
    graph = Graph("bedcheck_pad", [1, 3, SIZE, SIZE])
    writer = Writer(graph)
    at = writer.leaky(writer.normed(net.second, writer.leaky(writer.normed(net.first, "image"))))
    for block in net.blocks:
        at = writer.block(block, at)
    writer.head(net.head, at, "live", torch.tensor([TRUST]))
    graph.write(path, "Apache-2.0, models/train/pad of the bedcheck repository")


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def logit(net, picture, mean=MEAN, scale=SCALE):
    """Of an 80x80x3 RGB picture, 0..255."""
    value = ((picture.astype(np.float32) - np.float32(mean)) * np.float32(scale)).transpose(2, 0, 1)[None]
    return net.run(["live"], {"image": np.ascontiguousarray(value)})[0].item()


def manifest(path, net):
    """Digest and golden number into the table [pad], which is otherwise written by hand."""
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    name = ROOT + "/models/manifest.toml"
    with open(name) as file:
        head, found, table = file.read().partition("[pad]")
    golden = synthetic(SIZE)
    right = logit(net, golden)
    print(f"golden {right:.6g}; channels swapped {logit(net, golden[..., ::-1]):.4g}, 0..1 instead of -1..1 "
          f"{logit(net, golden, 0, 1 / 255):.4g}, 0..255 {logit(net, golden, 0, 1):.4g}, mean left out {logit(net, golden, 0):.4g}")
    if found:
        table = re.sub(r'(?m)^sha256 = ".*"', f'sha256 = "{digest}"', table, count=1)
        table = re.sub(r"(?m)^(golden = .*values = )\[.*\]", rf"\g<1>[{right:.6g}]", table, count=1)
        with open(name, "w") as file:
            file.write(head + found + table)
    print(f"{digest}  {FILE}, {os.path.getsize(path)} bytes")


def draw(log, picture):
    matplotlib.use("Agg")
    from matplotlib import pyplot
    with open(log) as file:
        rows = np.array([[float(value) for value in row] for row in csv.reader(file)]).T
    _, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.2), dpi=80)
    for k, answer in enumerate(("MiniFASNetV2, same crop", "pair", "truth")):
        left.plot(rows[0], rows[2 + k], label=answer + ", trained on")
        left.plot(rows[0], rows[5 + k], label=answer + ", held back")
        right.plot(rows[0], rows[8 + k], label=answer + ", held back")
    for axes, title in ((left, "cross-entropy"), (right, "AUC")):
        axes.set(xlabel="epoch", title=title)
        axes.legend(fontsize=7)
    pyplot.tight_layout()
    pyplot.savefig(picture, metadata={"Software": None})


def main(out, name="pad"):
    path = f"{ROOT}/models/{FILE}"
    net = load(f"{out}/{name}.pt")
    with torch.no_grad():
        write(net, path)
    ours, random = session(path), np.random.default_rng(1)
    for picture in random.integers(0, 256, (8, SIZE, SIZE, 3)):
        value = torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)[None]
        with torch.no_grad():
            theirs = (net((value - MEAN) * SCALE) @ torch.tensor(TRUST)).item()
        assert abs(logit(ours, picture) - theirs) < 0.02, "the file and the trained net do not agree"
    manifest(path, ours)
    draw(f"{out}/{name}.csv", HERE + "/loss.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
