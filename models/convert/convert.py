"""Makes detector and mesh from the downloaded package, checks them and writes digests and golden numbers of every net.

    convert.py PACKAGES MODELS      PACKAGES holds the wheel, MODELS manifest.toml

Everything else in manifest.toml is written by hand. A parity below 0.9999 fails.
"""

import glob
import hashlib
import os
import re
import sys
import tempfile
import tomllib
import zipfile

import numpy as np
import onnxruntime
from ai_edge_litert.interpreter import Interpreter

import tflite_to_onnx
from common import synthetic

MEDIAPIPE = "PyPI mediapipe==0.10.14, mediapipe/modules/"
DETECTOR_TFLITE = "face_detection/face_detection_short_range.tflite"
MESH_TFLITE = "face_landmark/face_landmark.tflite"
REFERENCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../shared/models")
SMALLEST_COSINE = 0.9999


def main(packages, models):
    with tempfile.TemporaryDirectory() as work:
        unpack(packages, work)
        convert(work, models)
        check(work, models)
    write_digests(models)


def unpack(packages, work):
    (wheel,) = glob.glob(packages + "/mediapipe-0.10.14-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for member in (DETECTOR_TFLITE, MESH_TFLITE):
            with open(os.path.join(work, os.path.basename(member)), "wb") as file:
                file.write(archive.read("mediapipe/modules/" + member))


def convert(work, models):
    tflite_to_onnx.convert(
        f"{work}/{os.path.basename(DETECTOR_TFLITE)}",
        f"{models}/blazeface_short_128.onnx",
        "blazeface_short",
        {"regressors": ("boxes", [1, 896, 16]), "classificators": ("scores", [1, 896, 1])},
        f"Apache-2.0, from {MEDIAPIPE}{DETECTOR_TFLITE}",
    )
    tflite_to_onnx.convert(
        f"{work}/{os.path.basename(MESH_TFLITE)}",
        f"{models}/facemesh_192.onnx",
        "facemesh",
        {"conv2d_21": ("landmarks", [1, 1404]), "conv2d_31": ("flag", [1, 1])},
        f"Apache-2.0, from {MEDIAPIPE}{MESH_TFLITE}",
    )


def check(work, models):
    """Compares with the original programs (LiteRT) and, where this machine has them, with other conversions."""
    for net, tflite in (("detector", DETECTOR_TFLITE), ("mesh", MESH_TFLITE)):
        original = Interpreter(f"{work}/{os.path.basename(tflite)}", num_threads=1)
        original.allocate_tensors()
        ours = Net(models, net)
        compare(f"{net} and LiteRT", [(run_litert(original, value), ours.run(value)) for value in ours.probes()])

    for net in ("detector", "mesh"):
        ours = Net(models, net)
        path = os.path.join(REFERENCES, ours.table["file"].replace(".onnx", ".w16.onnx"))
        if not os.path.exists(path):
            print(f"{net}: ../shared/models is not present; the optional second check is left out")
            continue
        reference = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        pairs = [(reference.run(None, {"input": value.astype(np.float32)}), ours.run(value)) for value in ours.probes()]
        compare(f"{net} and ../shared/models", pairs)


class Net:
    def __init__(self, models, net):
        with open(f"{models}/manifest.toml", "rb") as file:
            self.table = tomllib.load(file)[net]
        source = self.table["input"]
        self.name, self.size = source["name"], source["shape"][2]
        self.mean = np.array(source["mean"], np.float32).reshape(1, 3, 1, 1)
        self.scale = np.float32(source["scale"])
        self.session = onnxruntime.InferenceSession(f"{models}/{self.table['file']}", providers=["CPUExecutionProvider"])

    def prepare(self, picture):
        return (picture.transpose(2, 0, 1)[None].astype(np.float32) - self.mean) * self.scale

    def probes(self):
        """The golden picture, noise, and smooth random blobs. No person's picture is needed to compare arithmetic."""
        random = np.random.default_rng(1)
        yield self.prepare(synthetic(self.size))
        for _ in range(8):
            yield self.prepare(random.integers(0, 256, (self.size, self.size, 3)))
        for _ in range(8):
            coarse = random.integers(0, 256, (5, 5, 3)).astype(np.float32)
            at = np.linspace(0, 3.999, self.size)
            low, part = at.astype(int), (at % 1)[:, None]
            rows = coarse[low] * (1 - part[..., None]) + coarse[low + 1] * part[..., None]
            yield self.prepare(np.round(rows[:, low] * (1 - part) + rows[:, low + 1] * part))

    def run(self, value):
        return self.session.run(self.table["outputs"], {self.name: value})


def run_litert(interpreter, value):
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], value.transpose(0, 2, 3, 1).copy())
    interpreter.invoke()
    return [interpreter.get_tensor(output["index"]) for output in interpreter.get_output_details()]


def compare(title, pairs):
    worst, difference = 1.0, 0.0
    for theirs, ours in pairs:
        assert len(theirs) == len(ours)
        for a, b in zip(theirs, ours):
            a, b = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
            if a.size > 1:
                worst = min(worst, a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
            difference = max(difference, np.abs(a - b).max() / np.abs(a).max())
    print(f"{title}: {len(pairs)} inputs, smallest cosine {worst:.8f}, largest relative difference {difference:.1e}")
    if worst < SMALLEST_COSINE:
        sys.exit(f"convert: {title} do not agree")


def write_digests(models):
    picks = {
        "detector": lambda boxes, scores: scores.ravel()[np.arange(16) * 56],
        "mesh": lambda landmarks, flag: landmarks.ravel()[:16],
        "embedder": lambda embedding: embedding.ravel()[:16],
        "pad": lambda live: live.ravel(),
    }
    path = f"{models}/manifest.toml"
    with open(path) as file:
        text = file.read()
    for net, pick in picks.items():
        ours = Net(models, net)
        with open(f"{models}/{ours.table['file']}", "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        values = ", ".join(f"{value:.6g}" for value in pick(*ours.run(ours.prepare(synthetic(ours.size)))))
        start = text.index(f"[{net}]")
        head, table = text[:start], text[start:]
        table = re.sub(r'(?m)^sha256 = ".*"', f'sha256 = "{digest}"', table, count=1)
        table = re.sub(r"(?m)^(golden = .*values = )\[.*\]", rf"\g<1>[{values}]", table, count=1)
        text = head + table
        print(f"{digest}  {ours.table['file']}")
    with open(path, "w") as file:
        file.write(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
