"""The student: a small residual net of plain 3 x 3 convolutions, fast on small processors and cheap to train."""

import torch
import torch.nn.functional as F
from torch import nn

SLOPE = 0.1  # LeakyReLU: ONNX Runtime's PReLU is three times slower.
WIDTHS = (24, 40, 80, 160)
BLOCKS = (0, 1, 2, 1)  # residual blocks after each halving
HEAD, DIMENSIONS, SIDE = 256, 256, 8  # SIDE: cells of `place`, as many as a 128 x 128 chip has in the last map
FINAL = 64  # pixels across the chip of the finished net
MEAN, SCALE = 127.5, 1 / 128  # as in manifest.toml


def convolution(source, target, kernel=3, stride=1):
    return nn.Sequential(nn.Conv2d(source, target, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(target))


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first, self.second = convolution(width, width), convolution(width, width)

    def forward(self, x):
        return F.leaky_relu(x + self.second(F.leaky_relu(self.first(x), SLOPE)), SLOPE)


class Student(nn.Module):
    """(n, 3, s, s) RGB 0..255, s a multiple of 16, to (n, 256); only the direction of the result means anything."""

    def __init__(self):
        super().__init__()
        self.stages = nn.ModuleList()
        source = 3
        for width, blocks in zip(WIDTHS, BLOCKS):
            halving = convolution(source, width, stride=2)
            self.stages.append(nn.ModuleList([halving, *(Block(width) for _ in range(blocks))]))
            source = width
        self.expand = convolution(source, HEAD, kernel=1)
        # Where in the face each feature counts; stretched to the map's size, so that small chips train it too.
        self.place = nn.Parameter(torch.full((HEAD, SIDE, SIDE), 1.0 / SIDE**2))
        self.norm = nn.BatchNorm1d(HEAD)
        self.embed = nn.Linear(HEAD, DIMENSIONS)

    def forward(self, x):
        x = (x - MEAN) * SCALE
        for halving, *blocks in self.stages:
            x = F.leaky_relu(halving(x), SLOPE)
            for block in blocks:
                x = block(x)
        x = F.leaky_relu(self.expand(x), SLOPE)
        return self.embed(self.norm((x * self.place_at(x.shape[-1])).sum((2, 3))))

    def place_at(self, side):
        if side == SIDE:
            return self.place
        place = F.interpolate(self.place[None], size=(side, side), mode="bilinear", align_corners=False)[0]
        return place * (SIDE / side) ** 2
