"""The student: plain inverted residuals on the 80-pixel crop, as many channels as MiniFASNetV2 has where the two meet.

Three answers share everything but the last row: what MiniFASNetV2 says of this very crop, what the teacher pair says of
its own two crops, and what the simulation knows to be true. The exported logit is a mixture, which is again one row
(export.py).
"""

import sys
from os.path import abspath, dirname

from torch import nn

sys.path.insert(0, dirname(dirname(abspath(__file__))) + "/blockwise")
from parts import Block, Head, convolution, leaky  # noqa: E402

# Source, hidden and target channels, stride, and the teacher's block that ends where this one does.
BLOCKS = (
    (32, 104, 64, 2, 0),
    *((64, 16, 64, 1, block) for block in range(1, 5)),
    (64, 232, 128, 2, 5),
    (128, 232, 128, 1, 6),
    (128, 56, 128, 1, 7),
    (128, 32, 128, 1, 8),
    (128, 80, 128, 1, 9),
    (128, 32, 128, 1, 10),
    (128, 32, 128, 1, 11),
    (128, 312, 128, 2, 12),
    (128, 32, 128, 1, 13),
    (128, 32, 128, 1, 14),
)
STEM, HIDDEN, CELLS, ANSWERS = 32, 512, 5, 3
MEAN, SCALE = 127.5, 1 / 128.0


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = convolution(3, STEM, stride=2)
        self.second = convolution(STEM, STEM, groups=STEM)
        self.blocks = nn.ModuleList(Block(*shape[:4], gated=False) for shape in BLOCKS)
        self.head = Head(BLOCKS[-1][2], HIDDEN, CELLS, ANSWERS)

    def forward(self, picture):
        """(n, 3, 80, 80) RGB in -1..1 to (n, 3) logits of "live"."""
        return self.head(self.last_map(picture))

    def first_map(self, picture):
        return self.blocks[0](leaky(self.second(leaky(self.first(picture)))))

    def last_map(self, picture):
        x = self.first_map(picture)
        for block in self.blocks[1:]:
            x = block(x)
        return x


def normalised(crops):
    """(n, 80, 80, 3) bytes to the net's input."""
    return (crops.permute(0, 3, 1, 2).float() - MEAN) * SCALE
