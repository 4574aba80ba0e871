"""What both students are made of, and how a block's answer is judged (blockwise distillation, Li et al. 2020)."""

import torch
import torch.nn.functional as F
from torch import nn

SLOPE = 0.1  # LeakyReLU: ONNX Runtime's PReLU is three times slower.


def convolution(source, target, kernel=3, stride=1, groups=1):
    kernel = nn.Conv2d(source, target, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(kernel, nn.BatchNorm2d(target))


def leaky(x):
    return F.leaky_relu(x, SLOPE, inplace=True)


class Gate(nn.Module):
    """Squeeze and excitation (Hu et al. 2018)."""

    def __init__(self, width):
        super().__init__()
        self.less, self.more = nn.Conv2d(width, width // 8, 1), nn.Conv2d(width // 8, width, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.more(leaky(self.less(x.mean((2, 3), keepdim=True)))))


class Block(nn.Module):
    """Inverted residual (Sandler et al. 2018): (n, source, h, w) to (n, target, h / stride, w / stride)."""

    def __init__(self, source, hidden, target, stride, gated):
        super().__init__()
        self.expand = convolution(source, hidden, kernel=1)
        self.depth = convolution(hidden, hidden, stride=stride, groups=hidden)
        self.project = convolution(hidden, target, kernel=1)
        self.gate = Gate(target) if gated else nn.Identity()
        self.around = stride == 1

    def forward(self, x):
        branch = self.gate(self.project(leaky(self.depth(leaky(self.expand(x))))))
        return x + branch if self.around else branch


class Head(nn.Module):
    """(n, width, cells, cells) to (n, answers): every feature counts by its place in the picture."""

    def __init__(self, width, hidden, cells, answers):
        super().__init__()
        self.expand = convolution(width, hidden, kernel=1)
        self.place = nn.Conv2d(hidden, hidden, cells, groups=hidden, bias=False)
        self.norm, self.embed = nn.BatchNorm1d(hidden), nn.Linear(hidden, answers)

    def forward(self, x):
        return self.embed(self.norm(self.place(leaky(self.expand(x))).flatten(1)))


def unexplained(given, wanted):
    """Part of the variance of the teacher's map (n, c, h, w) that the student's leaves unexplained, over channels."""
    variance = wanted.var((0, 2, 3))
    error = (given - wanted).square().mean((0, 2, 3))
    return (error / (variance + 0.1 * variance.mean())).mean()


def each_alone(blocks, ends_with, maps, most=lambda side: None):
    """`unexplained` of every block that sees the teacher's map before it. `ends_with[i]` is the teacher's block that ends
    where block i does; `maps[0]` is what the first one sees; `most` says how many faces suffice for a map so wide."""
    losses, seen = [], 0
    for block, end in zip(blocks, ends_with):
        given = maps[seen][: most(maps[seen].shape[-1])]
        wanted = maps[end][: len(given)]
        around = given if block.around else 0.0
        losses.append(unexplained(block(given) - around, wanted - around))
        seen = end
    return losses


@torch.no_grad()
def follow(average, net, keep):
    """Moves the running mean of the weights, which is what is measured and exported."""
    for mine, theirs in zip(average.state_dict().values(), net.state_dict().values()):
        if mine.dtype.is_floating_point:
            mine.lerp_(theirs, 1 - keep)
        else:
            mine.copy_(theirs)


def optimisers(net, muon, adam):
    """Muon for kernels that mix channels, AdamW for all the rest."""
    from muon import Muon
    kernels = [p for name, p in net.named_parameters() if p.ndim == 4 and min(p.shape[:2]) > 1]
    rest = [p for p in net.parameters() if all(p is not kernel for kernel in kernels)]
    return Muon(kernels, muon), torch.optim.AdamW(rest, adam, weight_decay=1e-4)
