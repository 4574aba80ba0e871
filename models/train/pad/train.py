"""Step 3: trains the student. Resumes from OUT/NAME.pt; the same seed gives the same course on the same machine.

    train.py OUT [--scale 2.2] [--epochs 8] [--name pad] [--threads 1]

Writes OUT/NAME.pt after every epoch (weights, their running mean, optimiser, epoch) and OUT/NAME.csv: epoch, loss against the
teacher, loss against the truth, the same on the held-back set, its AUC against the teacher's decision and against the truth.
"""

import argparse
import copy
import csv
import glob
import os
import time

import numpy as np
import torch
import torch.nn.functional as F

from net import Net, normalised
from samples import SCALES

BATCH, SEED = 64, 7
RATES, DECAY = (0.02, 3e-3), 0.1  # of the convolutions and of all the rest; decay of the former
AVERAGED = 0.99  # The running mean of the weights is what is kept and exported.
SURE = 0.02  # The teacher is never believed beyond this or one minus this.
TRUTH = 0.5  # Weight of the truth's loss.


def load(out, name, scale, most=None):
    """Dictionary of arrays over all shards; crop (n, views, 80, 80, 3) at that scale."""
    which, parts = SCALES.index(scale), []
    for path in sorted(glob.glob(f"{out}/{name}-[0-9][0-9][0-9].npz"))[:most]:
        with np.load(path) as shard:
            parts.append({key: shard[key][:, which] if key == "crop" else shard[key] for key in shard.files})
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def auc(score, positive):
    rank = np.empty(len(score))
    rank[np.argsort(score, kind="stable")] = np.arange(1, len(score) + 1)
    n = positive.sum()
    return (rank[positive].sum() - n * (n + 1) / 2) / max(1, n * (len(score) - n))


def varied(batch, random):
    """Mirrored, shifted by up to four pixels, a little other light: none of it changes the teacher's mind much."""
    if torch.rand((), generator=random) < 0.5:
        batch = batch.flip(3)
    dx, dy = torch.randint(-4, 5, (2,), generator=random).tolist()
    batch = F.pad(batch, (4, 4, 4, 4), mode="reflect")[:, :, 4 + dy:84 + dy, 4 + dx:84 + dx]
    gain = torch.exp(torch.randn(len(batch), 3, 1, 1, generator=random) * 0.04 + torch.randn(len(batch), 1, 1, 1, generator=random) * 0.1)
    return ((batch + 1) * gain.to(batch.device) - 1).clamp(-1.0, 1.0)


class Muon(torch.optim.Optimizer):
    """Momentum whose step is made orthogonal by Newton-Schulz (Jordan 2024): small nets learn in half the steps."""

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                kept = self.state[p].setdefault("kept", torch.zeros_like(p))
                kept.lerp_(p.grad, 0.05)
                x = p.grad.lerp(kept, 0.95).flatten(1)
                x = x / (x.norm() + 1e-7)
                for _ in range(5):
                    square = x @ x.T
                    x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
                p.mul_(1 - group["lr"] * DECAY)
                p.add_(x.view(p.shape), alpha=-group["lr"])


def losses(logits, teacher, truth):
    return F.binary_cross_entropy_with_logits(logits[:, 0], teacher), F.binary_cross_entropy_with_logits(logits[:, 1], truth)


@torch.no_grad()
def answers(net, crops, device="cpu"):
    net.eval()
    return torch.cat([net(normalised(crops[at:at + 256].to(device))).cpu() for at in range(0, len(crops), 256)])


class Course:
    def __init__(self, options):
        torch.manual_seed(SEED)
        self.options, self.path = options, f"{options.out}/{options.name}"
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.train, self.held = (load(options.out, name, options.scale, most) for name, most in (("train", options.shards), ("held", None)))
        for data in (self.train, self.held):
            data["crop"] = torch.from_numpy(data["crop"])
            data["label"] = torch.from_numpy(data["teacher"].mean(1)).float().clamp(SURE, 1 - SURE)
            data["truth"] = torch.from_numpy(data["species"] == 0).float()
        self.net = Net().to(self.device, memory_format=torch.channels_last)
        self.mean = copy.deepcopy(self.net)
        self.steps = len(self.train["crop"]) // BATCH
        self.optimisers = (Muon([c.weight for c in self.net.convolutions], {"lr": RATES[0]}),
                           torch.optim.AdamW([*self.net.norms.parameters(), *self.net.head.parameters()], RATES[1]))
        self.epoch = 0
        if os.path.exists(self.path + ".pt"):
            kept = torch.load(self.path + ".pt", map_location=self.device)
            self.epoch = kept["epoch"]
            for part, state in zip((self.net, self.mean, *self.optimisers), kept["state"]):
                part.load_state_dict(state)

    def go(self):
        while self.epoch < self.options.epochs:
            start = time.time()
            row = [self.epoch + 1, *self.one_epoch(), *self.exam(), time.time() - start]
            self.epoch += 1
            state = [part.state_dict() for part in (self.net, self.mean, *self.optimisers)]
            torch.save({"epoch": self.epoch, "scale": self.options.scale, "state": state}, self.path + ".part")
            os.replace(self.path + ".part", self.path + ".pt")
            with open(self.path + ".csv", "a", newline="") as file:
                csv.writer(file).writerow([f"{value:.5g}" for value in row])
            print("epoch %d: loss %.4f %.4f, held back %.4f %.4f, AUC teacher %.4f truth %.4f, %.0f s" % tuple(row), flush=True)

    def one_epoch(self):
        random = torch.Generator().manual_seed(SEED * 1000 + self.epoch)
        order, total = torch.randperm(len(self.train["crop"]), generator=random), torch.zeros(2)
        self.net.train()
        for step in range(self.steps):
            rows = order[step * BATCH:(step + 1) * BATCH]
            views = torch.randint(self.train["crop"].shape[1], (BATCH,), generator=random)
            crops = self.train["crop"][rows, views].to(self.device)
            batch = varied(normalised(crops).contiguous(memory_format=torch.channels_last), random)
            both = losses(self.net(batch), self.train["label"][rows].to(self.device), self.train["truth"][rows].to(self.device))
            self.net.zero_grad()
            (both[0] + TRUTH * both[1]).backward()
            self.step(self.epoch * self.steps + step)
            total += torch.stack(both).detach().cpu()
        return (total / self.steps).tolist()

    def step(self, done):
        """Rates rise over the first twentieth of the course and then fall to nothing; the running mean follows."""
        part = (done + 1) / (self.steps * self.options.epochs)
        for optimiser, rate in zip(self.optimisers, RATES):
            optimiser.param_groups[0]["lr"] = rate * min(part / 0.05, (1 - part) / 0.95 + 0.01)
            optimiser.step()
        keep = min(AVERAGED, 1 - 1 / (done / 5 + 1))
        for mean, value in zip(self.mean.state_dict().values(), self.net.state_dict().values()):
            mean.lerp_(value, 1 - keep) if mean.dtype.is_floating_point else mean.copy_(value)

    def exam(self):
        logits = answers(self.mean, self.held["crop"][:, 0], self.device)
        both = losses(logits, self.held["label"], self.held["truth"])
        decision = self.held["teacher"].mean(1) >= 0.5
        return (*torch.stack(both).tolist(), auc(logits[:, 0].numpy(), decision), auc(logits[:, 1].numpy(), self.held["species"] == 0))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--scale", type=float, default=2.2)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--name", default="pad")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--shards", type=int, help="use only that many training shards")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    Course(options).go()


if __name__ == "__main__":
    main()
