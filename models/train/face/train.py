"""Step 3: distils the teacher into the student.

    train.py OUT [--steps N] [--stop N]     goes on from OUT/state.pt, or else from start.npz, where there is one

The student sees a shard's faces moved, recoloured, blurred and partly covered, and must give the teacher's embedding
of the clean face: cosine, plus the similarities of the batch's faces to each other. STAGES may go on
to larger chips (96, 128): most is learned where a step costs little. Muon for the convolutions, AdamW for the rest.
Every 200 steps the held-back people are measured; OUT/log.csv keeps the figures (plot.py draws them).
"""

import argparse
import csv
import glob
import math
import os
import time

import numpy as np
import torch
import torch.nn.functional as F

from augment import augmented
from heldback import HeldBack
from net import Student

BATCH, SEED, EVERY = 256, 7, 200
STAGES = ((1.0, 64),)  # up to this part of all steps: chip side
PEAK_MUON, PEAK_ADAM, DECAY_FROM, WARMUP = 0.02, 3e-3, 0.75, 200
RELATIONS = 10.0  # weight of the batch's mutual similarities
START = os.path.join(os.path.dirname(os.path.abspath(__file__)), "start.npz")  # where the last training ended, fp16
AVERAGE = 0.998  # of the weights that are measured and exported


class Muon(torch.optim.Optimizer):
    """Momentum whose step is made orthogonal (Jordan 2024, Newton-Schulz of fifth order) for matrices and kernels."""

    def __init__(self, parameters, lr, momentum=0.95):
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                kept = state.setdefault("kept", torch.zeros_like(p))
                kept.lerp_(p.grad, 1 - group["momentum"])
                step = orthogonal(p.grad.lerp(kept, group["momentum"]).flatten(1)).view_as(p)
                p.mul_(1 - group["lr"] * 0.01)
                p.add_(step, alpha=-group["lr"] * max(1.0, p.shape[0] / p[0].numel()) ** 0.5)


def orthogonal(matrix):
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.T if tall else x


def loss_of(given, wanted):
    """(cosine distance, mean squared error of the batch's similarities)."""
    given, wanted = F.normalize(given), F.normalize(wanted)
    relations = (given @ given.T - wanted @ wanted.T).square().sum() / (len(given) * (len(given) - 1))
    return 1 - (given * wanted).sum(1).mean(), relations


class Shards:
    """Batches from the shards that exist, in an order drawn anew each time round; one shard is in memory at a time."""

    def __init__(self, out, random):
        self.out, self.random, self.left, self.order = out, random, [], []

    def next(self):
        if not self.left:
            self.load()
        rows = self.left.pop()
        return self.face[rows], self.embedding[rows]

    def load(self):
        if not self.order:
            files = sorted(glob.glob(self.out + "/shard-???.npz"))
            self.order = [files[i] for i in self.random.permutation(len(files))]
        with np.load(self.order.pop()) as shard:
            self.face, self.embedding = torch.from_numpy(shard["face"]), torch.from_numpy(shard["embedding"]).float()
        rows = self.random.permutation(len(self.face))
        self.left = [torch.from_numpy(rows[i : i + BATCH]) for i in range(0, len(rows) - BATCH + 1, BATCH)]


def pace(done):
    """Learning rate's share of its peak at this part of all steps: flat, then down to zero."""
    return min(1.0, (1.0 - done) / (1.0 - DECAY_FROM))


def device():
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Training:
    def __init__(self, out, steps):
        torch.manual_seed(SEED)
        self.out, self.steps, self.step, self.device = out, steps, 0, device()
        self.net = Student().to(self.device, memory_format=torch.channels_last)
        self.average = Student().to(self.device, memory_format=torch.channels_last)
        self.average.load_state_dict(self.net.state_dict())
        kernels = [p for n, p in self.net.named_parameters() if p.ndim >= 2 and n != "place" and "embed" not in n]
        rest = [p for p in self.net.parameters() if all(p is not kernel for kernel in kernels)]
        self.muon, self.adam = Muon(kernels, PEAK_MUON), torch.optim.AdamW(rest, PEAK_ADAM, weight_decay=1e-4)
        self.held_back = HeldBack(out)
        if os.path.exists(out + "/state.pt"):
            self.resume()
        elif os.path.exists(START):
            self.begin_from(START)
        self.shards = Shards(out, np.random.default_rng(SEED + self.step))
        self.random = torch.Generator().manual_seed(SEED + self.step)

    def resume(self):
        state = torch.load(self.out + "/state.pt", map_location=self.device)
        self.step = state["step"]
        for name in ("net", "average", "muon", "adam"):
            getattr(self, name).load_state_dict(state[name])

    def begin_from(self, path):
        with np.load(path) as kept:
            state = {name: torch.from_numpy(kept[name]) for name in kept}
        for net in (self.net, self.average):
            net.load_state_dict(state)

    def save(self):
        names = ("net", "average", "muon", "adam")
        torch.save({"step": self.step, **{n: getattr(self, n).state_dict() for n in names}}, self.out + "/state.part")
        os.replace(self.out + "/state.part", self.out + "/state.pt")

    def one(self):
        done = self.step / self.steps
        side = next(side for end, side in STAGES if done < end)
        for optimiser, peak in ((self.muon, PEAK_MUON), (self.adam, PEAK_ADAM)):
            for group in optimiser.param_groups:
                group["lr"] = peak * pace(done) * min(1.0, (self.step + 1) / WARMUP)
        face, wanted = self.shards.next()
        picture = augmented(face.to(self.device), side, self.random)
        picture = picture.contiguous(memory_format=torch.channels_last)
        cosine, relations = loss_of(self.net(picture), wanted.to(self.device))
        (cosine + RELATIONS * relations).backward()
        for optimiser in (self.muon, self.adam):
            optimiser.step()
            optimiser.zero_grad()
        self.follow()
        self.step += 1
        return side, cosine.item(), relations.item()

    @torch.no_grad()
    def follow(self):
        keep = min(AVERAGE, (self.step + 1) / (self.step + 10))
        for mine, theirs in zip(self.average.state_dict().values(), self.net.state_dict().values()):
            if mine.dtype.is_floating_point:
                mine.lerp_(theirs, 1 - keep)
            else:
                mine.copy_(theirs)

    def run(self, stop):
        seen, start = [], time.time()
        while self.step < min(stop, self.steps):
            seen.append(self.one())
            if self.step % 50 == 0:
                rate = BATCH * 50 / (time.time() - start)
                side, cosine, relations = np.mean(seen[-50:], 0)
                print(f"{self.step:6d}/{self.steps} {side:3.0f} px cosine {1 - cosine:.4f} relations {relations:.5f} "
                      f"{rate:5.0f} faces/s", flush=True)
                start = time.time()
            if self.step % EVERY == 0 or self.step == self.steps:
                self.note(*np.mean(seen, 0))
                seen, start = [], time.time()

    def note(self, side, cosine, relations):
        figures = self.held_back.measure(self.average.eval(), int(round(side / 32) * 32), self.device)
        row = {"step": self.step, "side": side, "cosine": 1 - cosine, "relations": relations, **figures}
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
    parser.add_argument("--steps", type=int, default=16000)
    parser.add_argument("--stop", type=int, default=10**9)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    Training(a.out, a.steps).run(a.stop)
