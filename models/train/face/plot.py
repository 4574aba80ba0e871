"""Draws the log of a training: plot.py LOG.csv LOSS.png."""

import csv
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402


def main(log, path):
    with open(log, encoding="utf-8") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    steps = [row["step"] for row in rows]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
    left.semilogy(steps, [1 - row["cosine"] for row in rows], color="#005caf", label="1 - cosine to the teacher")
    left.semilogy(steps, [row["unexplained"] for row in rows], color="#cb4042", label="unexplained part of the maps")
    right.semilogy(steps, [1 - row["likeness"] for row in rows], color="#005caf", label="1 - cosine to the teacher")
    for name, colour in (("fnmr_1e3", "#227d51"), ("fnmr_1e4", "#96632e"), ("cohort_fmr", "#8b81c3")):
        right.semilogy(steps, [max(row[name], 1e-3) for row in rows], color=colour, label=name)
    alone = max((row["step"] for row in rows if row["blocks"]), default=0)
    for axes, title in ((left, "training, augmented faces"), (right, "held-back people")):
        axes.set(title=title, xlabel="steps (dotted: from here the whole student)")
        axes.axvline(alone, color="#888", linestyle=":")
        axes.legend()
        axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=90, metadata={"Software": None})


if __name__ == "__main__":
    main(*sys.argv[1:])
