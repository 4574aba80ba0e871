"""The student: gated inverted residuals on 64-pixel chips, as many channels as the teacher has where the two meet."""

from torch import nn

from parts import Block, Gate, Head, convolution, leaky

# Source, hidden and target channels, stride, and the teacher's block that ends where this one does (0 is the stem).
BLOCKS = (
    (64, 160, 64, 1, 2),
    (64, 160, 64, 1, 4),
    (64, 256, 128, 2, 5),
    *((128, 256, 128, 1, block) for block in range(6, 12)),
    (128, 512, 128, 2, 12),
    (128, 256, 128, 1, 13),
    (128, 256, 128, 1, 14),
)
STEM, HIDDEN, DIMENSIONS, CELLS = 32, 512, 256, 8
FINAL = 64  # pixels across the chip
MEAN, SCALE = 127.5, 1 / 128  # as in manifest.toml


class Stem(nn.Module):
    """(n, 3, 64, 64) to (n, 64, 32, 32)."""

    def __init__(self, width):
        super().__init__()
        self.first, self.second = convolution(3, STEM), convolution(STEM, width, stride=2)
        self.project, self.gate = convolution(width, width, kernel=1), Gate(width)

    def forward(self, x):
        return self.gate(self.project(leaky(self.second(leaky(self.first(x))))))


class Student(nn.Module):
    """(n, 3, 64, 64) RGB 0..255 to (n, 256); only the direction of the result means anything."""

    def __init__(self):
        super().__init__()
        self.stem = Stem(BLOCKS[0][0])
        self.blocks = nn.ModuleList(Block(*shape[:4], gated=True) for shape in BLOCKS)
        self.head = Head(BLOCKS[-1][2], HIDDEN, CELLS, DIMENSIONS)

    def forward(self, x):
        return self.head(self.maps(x)[-1])

    def first_map(self, x):
        return self.stem((x - MEAN) * SCALE)

    def maps(self, x):
        """What the stem and every block give."""
        found = [self.first_map(x)]
        for block in self.blocks:
            found.append(block(found[-1]))
        return found
