"""Step 3: trains the student. Resumes from OUT/NAME.pt; the same seed gives the same course on the same machine.

    train.py REFERENCE_MODELS OUT [--scale 1.7] [--blocks 4] [--whole 6] [--name pad] [--threads 1]

First every block alone (epochs): it sees what MiniFASNetV2's blocks before it give and must give what its block gives, on
the student's own crops. Behaviour on simulated attacks does not carry over to real ones, but the teacher's own features do.
Then the whole student (epochs): the three answers (net.py) and the teacher's last map. Writes OUT/NAME.pt after every
epoch (weights, their running mean, optimisers, epoch) and OUT/NAME.csv: epoch, unexplained part of the maps, losses
against the three answers, the same losses on the held-back set, and there the AUC of each answer against what it stands for.
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

from net import BLOCKS, Net, normalised
from samples import SCALES
from parts import each_alone, follow, optimisers, unexplained
from teacher import Teacher, plain_blocks

BATCH, SEED = 64, 7
RATES, AGAIN = (0.02, 3e-3), 0.25  # of the kernels and of all the rest; share of them with which the whole begins
AVERAGED = 0.99  # The running mean of the weights is what is kept and exported.
SURE = 0.02  # No teacher is believed beyond this or one minus this.
WEIGHTS = (1.0, 0.5, 0.5)  # of the losses of the three answers
LAST_MAP = 0.5  # weight of the teacher's last map


def load(out, name, scale, most=None):
    """Dictionary of arrays over all shards; crop (n, views, 80, 80, 3) at that scale."""
    which, parts = SCALES.index(scale), []
    for path in sorted(glob.glob(f"{out}/{name}-[0-9][0-9][0-9].npz"))[:most]:
        with np.load(path) as shard:
            parts.append({key: shard[key][:, which] if key == "crop" else shard[key] for key in shard.files})
    data = {key: torch.from_numpy(np.concatenate([part[key] for part in parts])) for key in parts[0]}
    data["pair"] = data["teacher"].mean(1).float()
    data["truth"] = (data["species"] == 0).float()
    return data


def auc(score, positive):
    rank = np.empty(len(score))
    rank[np.argsort(score, kind="stable")] = np.arange(1, len(score) + 1)
    n = positive.sum()
    return (rank[positive].sum() - n * (n + 1) / 2) / max(1, n * (len(score) - n))


def varied(crops, random):
    """Mirrored, shifted by up to four pixels, a little other light: (n, 80, 80, 3) bytes to (n, 3, 80, 80), 0..255."""
    batch = crops.permute(0, 3, 1, 2).float()
    if torch.rand((), generator=random) < 0.5:
        batch = batch.flip(3)
    dx, dy = torch.randint(-4, 5, (2,), generator=random).tolist()
    batch = F.pad(batch, (4, 4, 4, 4), mode="reflect")[:, :, 4 + dy:84 + dy, 4 + dx:84 + dx]
    gain = torch.exp(torch.randn(len(batch), 3, 1, 1, generator=random) * 0.04 + torch.randn(len(batch), 1, 1, 1, generator=random) * 0.1)
    return (batch * gain.to(batch.device)).clamp(0, 255).contiguous()


def losses(logits, *wanted):
    return [F.binary_cross_entropy_with_logits(logits[:, k], value.clamp(SURE, 1 - SURE)) for k, value in enumerate(wanted)]


@torch.no_grad()
def answers(net, crops, device="cpu"):
    net.eval()
    return torch.cat([net(normalised(crops[at:at + 256].to(device))).cpu() for at in range(0, len(crops), 256)])


class Course:
    def __init__(self, options):
        torch.manual_seed(SEED)
        self.options, self.path = options, f"{options.out}/{options.name}"
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.teacher = Teacher(options.models + "/minifasnet_v2_27.onnx", options.threads, plain_blocks)
        self.train, self.held = (load(options.out, name, options.scale, most) for name, most in (("train", options.shards), ("held", None)))
        self.held["here"] = torch.cat([self.opinion(part.permute(0, 3, 1, 2).float())[1] for part in self.held["crop"][:, 0].split(64)])
        self.net = Net().to(self.device, memory_format=torch.channels_last)
        self.mean = copy.deepcopy(self.net)
        self.steps = len(self.train["crop"]) // BATCH
        self.optimisers = optimisers(self.net, *RATES)
        self.epoch = 0
        if os.path.exists(self.path + ".pt"):
            kept = torch.load(self.path + ".pt", map_location=self.device)
            self.epoch = kept["epoch"]
            for part, state in zip((self.net, self.mean, *self.optimisers), kept["state"]):
                part.load_state_dict(state)

    def opinion(self, pictures):
        """(maps, P(live)) of MiniFASNetV2 on (n, 3, 80, 80) RGB 0..255; it ends in its own softmax."""
        maps, answer = self.teacher(pictures)
        return maps, answer[:, 1]

    def go(self):
        while self.epoch < self.options.blocks + self.options.whole:
            start = time.time()
            row = [self.epoch + 1, *self.one_epoch(), *self.exam(), time.time() - start]
            self.epoch += 1
            state = [part.state_dict() for part in (self.net, self.mean, *self.optimisers)]
            torch.save({"epoch": self.epoch, "scale": self.options.scale, "state": state}, self.path + ".part")
            os.replace(self.path + ".part", self.path + ".pt")
            with open(self.path + ".csv", "a", newline="") as file:
                csv.writer(file).writerow([f"{value:.5g}" for value in row])
            print("epoch %d: unexplained %.3f, loss %.4f %.4f %.4f, held back %.4f %.4f %.4f, AUC here %.4f pair %.4f truth %.4f, %.0f s"
                  % tuple(row), flush=True)

    def one_epoch(self):
        random = torch.Generator().manual_seed(SEED * 1000 + self.epoch)
        order, total = torch.randperm(len(self.train["crop"]), generator=random), torch.zeros(4)
        alone = self.epoch < self.options.blocks
        self.net.train()
        for step in range(self.steps):
            rows = order[step * BATCH:(step + 1) * BATCH]
            views = torch.randint(self.train["crop"].shape[1], (BATCH,), generator=random)
            pictures = varied(self.train["crop"][rows, views].to(self.device), random)
            maps, here = self.opinion(pictures)
            given = normalised(pictures.permute(0, 2, 3, 1)).contiguous(memory_format=torch.channels_last)
            left, last = self.each_block(given, maps) if alone else self.whole(given, maps)
            three = losses(self.net.head(last), here, *(self.train[key][rows].to(self.device) for key in ("pair", "truth")))
            self.net.zero_grad()
            (left * (1.0 if alone else LAST_MAP) + sum(w * loss for w, loss in zip(WEIGHTS, three))).backward()
            self.step(step, alone)
            total += torch.stack([left / (len(BLOCKS) if alone else 1), *three]).detach().cpu()
        return (total / self.steps).tolist()

    def each_block(self, given, maps):
        """(sum of what the blocks leave unexplained by themselves, the map that the head sees)."""
        left = unexplained(self.net.first_map(given), maps[0])
        left = left + sum(each_alone(self.net.blocks[1:], [shape[-1] for shape in BLOCKS[1:]], maps))
        return left, maps[-1]

    def whole(self, given, maps):
        last = self.net.last_map(given)
        return unexplained(last, maps[-1]), last

    def step(self, step, alone):
        """In each half rates rise over the first twentieth and then fall to nothing; the running mean follows."""
        first, epochs = (0, self.options.blocks) if alone else (self.options.blocks, self.options.whole)
        done = (self.epoch - first) * self.steps + step
        part = (done + 1) / (self.steps * epochs)
        share = min(part / 0.05, (1 - part) / 0.95 + 0.01) * (1.0 if alone else AGAIN)
        for optimiser, rate in zip(self.optimisers, RATES):
            optimiser.param_groups[0]["lr"] = rate * share
            optimiser.step()
        follow(self.mean, self.net, min(AVERAGED, 1 - 1 / ((self.epoch * self.steps + step) / 5 + 1)))

    def exam(self):
        logits = answers(self.mean, self.held["crop"][:, 0], self.device)
        wanted = [self.held[key] for key in ("here", "pair", "truth")]
        return (*(loss.item() for loss in losses(logits, *wanted)),
                *(auc(logits[:, k].numpy(), value.numpy() >= 0.5) for k, value in enumerate(wanted)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("models")
    parser.add_argument("out")
    parser.add_argument("--scale", type=float, default=1.7)
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--whole", type=int, default=6)
    parser.add_argument("--name", default="pad")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--shards", type=int, help="use only that many training shards")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    Course(options).go()


if __name__ == "__main__":
    main()
