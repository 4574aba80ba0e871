"""The student: seven 3x3 convolutions, about 15 million multiplications, one logit.

Two answers share everything but the last row: what the teacher would say, and what the simulation knows to be true. The
exported logit is a mixture of both, which is again one row (export.py).
"""

from torch import nn

SLOPE = 0.1
# (channels out, stride, residual)
LAYERS = ((16, 2, False), (32, 2, False), (32, 1, True), (64, 2, False), (64, 1, True), (96, 2, False), (96, 1, True))
MEAN, SCALE = 127.5, 1 / 128.0


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        width, self.convolutions, self.norms = 3, nn.ModuleList(), nn.ModuleList()
        for channels, stride, _ in LAYERS:
            self.convolutions.append(nn.Conv2d(width, channels, 3, stride, 1, bias=False))
            self.norms.append(nn.BatchNorm2d(channels))
            width = channels
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(width, 2)

    def forward(self, picture):
        """(n, 3, 80, 80) RGB in -1..1 to (n, 2) logits of "live": the teacher's and the truth's."""
        x = picture
        for convolution, norm, (_, _, residual) in zip(self.convolutions, self.norms, LAYERS):
            y = nn.functional.leaky_relu(norm(convolution(x)), SLOPE)
            x = x + y if residual else y
        return self.head(self.drop(x.mean((2, 3))))


def normalised(crops):
    """(n, 80, 80, 3) bytes to the net's input."""
    return (crops.permute(0, 3, 1, 2).float() - MEAN) * SCALE
