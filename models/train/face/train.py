"""Step 3: distils the teacher into the student.

    train.py OUT TEACHER [--blocks N] [--whole N] [--stop N]     goes on from OUT/state.pt

First every block alone (N steps): it sees what the teacher's blocks before it give and must give what the teacher's
block gives, so that a face teaches thousands of places at once and little is learned by heart (blockwise distillation,
Li et al. 2020). Then the whole student (N steps): it sees a shard's faces moved, recoloured, blurred and partly covered,
and must give the teacher's embedding of the clean face: cosine, the similarities of the batch's faces to each other, and
three of the teacher's maps. Muon for the kernels, AdamW for the rest. Every 250 steps the held-back people are measured;
OUT/log.csv keeps the figures (plot.py draws them).
"""

import argparse
import csv
import glob
import os
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../blockwise"))
from augment import augmented  # noqa: E402
from heldback import HeldBack  # noqa: E402
from net import BLOCKS, Student  # noqa: E402
from parts import each_alone, follow, optimisers, unexplained  # noqa: E402
from teacher import Teacher, gated_blocks  # noqa: E402

SEED, EVERY = 7, 250
FACES = {32: 6, 16: 12, 8: 24}  # of a step for a block whose input is this wide: each costs about the same
BATCH = 32  # faces of a step of the whole student
PEAK_MUON, PEAK_ADAM, WARMUP, AGAIN = 0.02, 3e-3, 100, 0.3  # AGAIN: share of the peak with which the whole starts
RELATIONS, MAPS = 10.0, 0.3  # weights of the batch's mutual similarities and of the maps in MEETINGS
MEETINGS = (5, 11, 14)  # blocks of the teacher, the last of each size: what they give is asked of the whole student too
AVERAGE = 0.998  # of the weights that are measured and exported


def loss_of(given, wanted):
    """(cosine distance, mean squared error of the batch's similarities)."""
    given, wanted = F.normalize(given), F.normalize(wanted)
    relations = (given @ given.T - wanted @ wanted.T).square().sum() / (len(given) * (len(given) - 1))
    return 1 - (given * wanted).sum(1).mean(), relations


class Shards:
    """Faces from the shards that exist, in an order drawn anew each time round; one shard is in memory at a time."""

    def __init__(self, out, random):
        self.out, self.random, self.left, self.order = out, random, [], []

    def next(self, count):
        if len(self.left) < count:
            self.load()
        rows, self.left = torch.from_numpy(self.left[:count]), self.left[count:]
        return self.face[rows], self.embedding[rows]

    def load(self):
        if not self.order:
            files = sorted(glob.glob(self.out + "/shard-???.npz"))
            self.order = [files[i] for i in self.random.permutation(len(files))]
        with np.load(self.order.pop()) as shard:
            self.face, self.embedding = torch.from_numpy(shard["face"]), torch.from_numpy(shard["embedding"]).float()
        self.left = self.random.permutation(len(self.face))


def pace(done):
    """Learning rate's share at this part of a stage: flat, then down to zero over the second half."""
    return min(1.0, 2.0 * (1.0 - done))


def chips(picture):
    """What the student gets of (n, 3, 128, 128): half the size."""
    return F.avg_pool2d(picture, 2).contiguous(memory_format=torch.channels_last)


class Training:
    def __init__(self, out, teacher, blocks, whole, threads):
        torch.manual_seed(SEED)
        self.out, self.blocks, self.whole, self.step = out, blocks, whole, 0
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.teacher = Teacher(teacher, threads, gated_blocks)
        self.net = Student().to(self.device, memory_format=torch.channels_last)
        self.average = Student().to(self.device, memory_format=torch.channels_last)
        self.average.load_state_dict(self.net.state_dict())
        self.muon, self.adam = optimisers(self.net, PEAK_MUON, PEAK_ADAM)
        self.held_back = HeldBack(out, self.teacher)
        if os.path.exists(out + "/state.pt"):
            self.resume()
        self.shards = Shards(out, np.random.default_rng(SEED + self.step))
        self.random = torch.Generator().manual_seed(SEED + self.step)

    def resume(self):
        state = torch.load(self.out + "/state.pt", map_location=self.device)
        self.step = state["step"]
        for name in ("net", "average", "muon", "adam"):
            getattr(self, name).load_state_dict(state[name])

    def save(self):
        names = ("net", "average", "muon", "adam")
        torch.save({"step": self.step, **{n: getattr(self, n).state_dict() for n in names}}, self.out + "/state.part")
        os.replace(self.out + "/state.part", self.out + "/state.pt")

    def each_block(self):
        """Losses of the blocks by themselves: (sum to descend, figures)."""
        face, _ = self.shards.next(FACES[8])
        picture = augmented(face.to(self.device), 128, self.random)
        maps, embedding = self.teacher(picture)
        first = maps[0][: FACES[32]]
        losses = [unexplained(self.net.first_map(chips(picture[: len(first)])), first)]
        losses += each_alone(self.net.blocks, [shape[-1] for shape in BLOCKS], maps, FACES.get)
        cosine, relations = loss_of(self.net.head(maps[-1]), embedding)
        total = sum(losses) + cosine + RELATIONS * relations
        return total, [loss.item() for loss in (cosine, relations, *losses)]

    def all_together(self):
        face, clean = self.shards.next(BATCH)
        picture = augmented(face.to(self.device), 128, self.random)
        wanted = self.teacher(picture)[0]
        found = self.net.maps(chips(picture))
        cosine, relations = loss_of(self.net.head(found[-1]), clean.to(self.device))
        ends = {end: at for at, (*_, end) in enumerate(BLOCKS, 1)}
        left = [unexplained(found[ends[meeting]], wanted[meeting]) for meeting in MEETINGS]
        loss = cosine + RELATIONS * relations + MAPS * sum(left)
        return loss, [value.item() for value in (cosine, relations, *left)]

    def one(self):
        alone = self.step < self.blocks
        first, length = (0, self.blocks) if alone else (self.blocks, self.whole)
        share = pace((self.step - first) / length) * min(1.0, (self.step - first + 1) / WARMUP) * (1.0 if alone else AGAIN)
        for optimiser, peak in ((self.muon, PEAK_MUON), (self.adam, PEAK_ADAM)):
            for group in optimiser.param_groups:
                group["lr"] = peak * share
        loss, figures = self.each_block() if alone else self.all_together()
        loss.backward()
        for optimiser in (self.muon, self.adam):
            optimiser.step()
            optimiser.zero_grad()
        self.step += 1
        follow(self.average, self.net, min(AVERAGE, self.step / (self.step + 9)))
        return figures

    def run(self, stop):
        seen, start, steps = [], time.time(), self.blocks + self.whole
        while self.step < min(stop, steps):
            seen.append(self.one())
            if self.step % 25 == 0:
                figures = " ".join(f"{value:.3f}" for value in np.mean(seen[-25:], 0))
                print(f"{self.step:6d}/{steps} {(time.time() - start) / 25:5.2f} s a step  {figures}", flush=True)
                start = time.time()
            if self.step % EVERY == 0 or self.step in (self.blocks, steps):
                self.note(np.mean(seen, 0))
                seen, start = [], time.time()

    def note(self, seen):
        figures = self.held_back.measure(self.average.eval(), self.device)
        row = {"step": self.step, "blocks": int(self.step <= self.blocks), "cosine": 1 - seen[0], "relations": seen[1],
               "unexplained": np.mean(seen[2:]), **figures}
        path = self.out + "/log.csv"
        new = not os.path.exists(path)
        with open(path, "a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if new:
                writer.writeheader()
            writer.writerow({name: f"{value:.6g}" for name, value in row.items()})
        print("       " + "  ".join(f"{name} {value:.4f}" for name, value in figures.items()), flush=True)
        self.save()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("teacher")
    parser.add_argument("--blocks", type=int, default=1600)
    parser.add_argument("--whole", type=int, default=3000)
    parser.add_argument("--stop", type=int, default=10**9)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    Training(a.out, a.teacher, a.blocks, a.whole, a.threads).run(a.stop)
