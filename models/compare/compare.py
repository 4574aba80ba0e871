"""Our pipeline, face_recognition (dlib) and the bare nets, side by side on the same pictures in one run.

    compare.py BEDCHECK PICTURES [--pairs N]     PICTURES in LFW's layout (pairs.txt, optionally east_asian_names.txt)

Prints accuracy on the pairs, false matches among the cohort at each one's customary threshold (dlib: distance 0.6, ours:
the pack's FMR 1e-3), and pictures per second on one core as ratios. Speeds of one run only mean something beside each
other.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import tomllib

import numpy as np
import onnxruntime

MODELS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DLIB_THRESHOLD = 0.6


def chosen(pictures, count):
    """A small set beside the large one: some pairs of each kind, every picture of the cohort, links instead of copies."""
    lines = [line.split() for line in open(pictures + "/pairs.txt", encoding="utf-8").read().split("\n")[1:] if line]
    random.Random(3).shuffle(lines)
    genuine, impostor = ([line for line in lines if len(line) == k][: count // 2] for k in (3, 4))
    count = min(len(genuine), len(impostor))
    pairs = genuine[:count] + impostor[:count]
    people = {name for line in pairs for name in ((line[0], line[1]), (line[0], line[2]) if len(line) == 3 else (line[2], line[3]))}
    files = {f"{name}/{name}_{int(number):04d}.jpg" for name, number in people}
    cohort = pictures + "/east_asian_names.txt"
    names = open(cohort, encoding="utf-8").read().split() if os.path.exists(cohort) else []
    for name in names:
        folder = f"{pictures}/images/{name}"
        files |= {f"{name}/{file}" for file in (os.listdir(folder) if os.path.isdir(folder) else [])}
    return pairs, count, sorted(files), set(names)


def lay_out(pictures, folder, pairs, count, files):
    for file in files:
        os.makedirs(f"{folder}/images/{os.path.dirname(file)}", exist_ok=True)
        os.symlink(f"{pictures}/images/{file}", f"{folder}/images/{file}")
    with open(folder + "/pairs.txt", "w", encoding="utf-8") as out:
        out.write(f"1\t{count}\n" + "\n".join("\t".join(line) for line in pairs) + "\n")


def ours(program, folder, pictures):
    command = [program, "eval", "faces", folder, "--threads", "1", "--json"]
    if os.path.exists(pictures + "/east_asian_names.txt"):
        command += ["--cohort", pictures + "/east_asian_names.txt"]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    cohort = answer.get("cohort", {})
    return {"accuracy": answer["accuracy"], "per_second": answer["pictures_per_second"],
            "cohort_fmr": cohort.get("fmr_at_pack_1e3"), "threshold": "FMR 1e-3 of the pack"}


def dlib(folder, files, pairs, names):
    import face_recognition

    vectors, start = {}, time.perf_counter()
    for file in files:
        found = face_recognition.face_encodings(face_recognition.load_image_file(f"{folder}/images/{file}"), model="large")
        if found:
            vectors[file] = found[0]
    seconds = time.perf_counter() - start
    key = lambda name, number: f"{name}/{name}_{int(number):04d}.jpg"
    right = 0
    for line in pairs:
        a, b = (key(line[0], line[1]), key(line[0], line[2]) if len(line) == 3 else key(line[2], line[3]))
        if a in vectors and b in vectors:
            right += (np.linalg.norm(vectors[a] - vectors[b]) <= DLIB_THRESHOLD) == (len(line) == 3)
    cohort = [file for file in vectors if file.split("/")[0] in names]
    distances = [np.linalg.norm(vectors[a] - vectors[b]) for i, a in enumerate(cohort) for b in cohort[i + 1 :]
                 if a.split("/")[0] != b.split("/")[0]]
    return {"accuracy": right / len(pairs), "per_second": len(files) / seconds,
            "cohort_fmr": float(np.mean(np.array(distances) <= DLIB_THRESHOLD)) if distances else None,
            "threshold": f"distance {DLIB_THRESHOLD}"}


def bare(runs=100):
    """Pictures per second of our nets alone: two detections, two meshes, one embedding."""
    with open(MODELS + "/manifest.toml", "rb") as file:
        manifest = tomllib.load(file)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    work = []
    for name, times in (("detector", 2), ("mesh", 2), ("embedder", 1)):
        table = manifest[name]
        session = onnxruntime.InferenceSession(f"{MODELS}/{table['file']}", options, providers=["CPUExecutionProvider"])
        value = {table["input"]["name"]: np.random.default_rng(1).random(table["input"]["shape"], np.float32)}
        work += [(session, value)] * times
    start = time.perf_counter()
    for _ in range(runs):
        for session, value in work:
            session.run(None, value)
    return {"accuracy": None, "per_second": runs / (time.perf_counter() - start), "cohort_fmr": None, "threshold": ""}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bedcheck")
    parser.add_argument("pictures")
    parser.add_argument("--pairs", type=int, default=600)
    a = parser.parse_args()
    pictures = os.path.abspath(a.pictures)
    pairs, count, files, names = chosen(pictures, a.pairs)
    with tempfile.TemporaryDirectory() as folder:
        lay_out(pictures, folder, pairs, count, files)
        print(f"{len(files)} pictures, {len(pairs)} pairs, {len(names)} people in the cohort", file=sys.stderr)
        rows = {"bedcheck": ours(a.bedcheck, folder, pictures), "face_recognition": dlib(folder, files, pairs, names),
                "bare nets": bare()}
    base = rows["bedcheck"]["per_second"]
    print(f"{'':18}{'accuracy':>10}{'cohort FMR':>12}{'pictures/s':>12}{'ratio':>8}  threshold")
    for name, row in rows.items():
        share = lambda value: "" if value is None else f"{100 * value:.2f} %"
        print(f"{name:18}{share(row['accuracy']):>10}{share(row['cohort_fmr']):>12}{row['per_second']:>12.1f}"
              f"{row['per_second'] / base:>8.2f}  {row['threshold']}")


if __name__ == "__main__":
    main()
