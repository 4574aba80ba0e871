"""What happens to a face between the person and the net: alignment errors, light, distance, dirt, a mask."""

import math

import torch
import torch.nn.functional as F


def augmented(face, side, random):
    """(n, 128, 128, 3) uint8 to (n, 3, side, side) float 0..255, each face changed in its own way."""
    n, device = len(face), face.device

    def uniform(low, high, *shape):
        return (low + (high - low) * torch.rand(n, *shape, generator=random)).to(device)

    def some(part):
        return (torch.rand(n, generator=random) < part).to(device)

    x = face.permute(0, 3, 1, 2).float()
    x = moved(x, side, uniform, some)
    x = recoloured(x, uniform, some)
    x = distant(x, some, random)
    x = covered(x, uniform, some)
    noise = torch.randn(x.shape, generator=random).to(device)
    return (x + noise * uniform(0, 5, 1, 1, 1) * some(0.5)[:, None, None, None]).clamp(0, 255)


def moved(x, side, uniform, some):
    """Mirrored, turned (4 degrees), scaled (5 %), shifted (2.5 pixels): what five points from the mesh get wrong."""
    n = len(x)
    angle, scale = uniform(-1, 1) * uniform(0, math.radians(4)), 1 + uniform(-0.05, 0.05)
    mirror = torch.where(some(0.5), -1.0, 1.0)
    shift = uniform(-1, 1, 2) * 2.5 / 64
    cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
    matrix = torch.stack([torch.stack([cos * mirror, -sin, shift[:, 0]], 1),
                          torch.stack([sin * mirror, cos, shift[:, 1]], 1)], 1)
    if side < 96:  # Halving first, as the chip of a far face would be.
        x = F.avg_pool2d(x, 2)
    place = F.affine_grid(matrix, (n, 3, side, side), align_corners=False)
    return F.grid_sample(x, place, mode="bilinear", padding_mode="zeros", align_corners=False)


def recoloured(x, uniform, some):
    gain = 1 + uniform(-0.12, 0.12, 3, 1, 1)
    grey = x.mean(1, keepdim=True)
    x = torch.where(some(0.05)[:, None, None, None], grey.expand_as(x), x) * gain
    contrast, light = uniform(0.7, 1.25, 1, 1, 1), uniform(-25, 25, 1, 1, 1)
    x = ((x - 110) * contrast + 110 + light).clamp(1, 255)
    return 255 * (x / 255) ** torch.exp(uniform(-0.3, 0.3, 1, 1, 1))


def distant(x, some, random):
    """A fifth of the batch made smaller (down to 40 pixels) and larger again: far or blurred."""
    side = x.shape[-1]
    less = int(40 + (side - 40) * torch.rand(1, generator=random).item())
    small = F.interpolate(x, size=(less, less), mode="bilinear", align_corners=False, antialias=True)
    back = F.interpolate(small, size=(side, side), mode="bilinear", align_corners=False)
    return torch.where(some(0.2)[:, None, None, None], back, x)


def covered(x, uniform, some):
    """One in twenty has a flat patch: a mask over mouth and nose, a hand, the edge of a blanket."""
    n, side = len(x), x.shape[-1]
    at = (torch.arange(side, device=x.device) + 0.5) / side
    left, top = uniform(-0.2, 0.8), uniform(0.0, 0.85)
    wide, high = uniform(0.15, 0.9), uniform(0.1, 0.35)
    across = (at[None] > left[:, None]) & (at[None] < (left + wide)[:, None])
    down = (at[None] > top[:, None]) & (at[None] < (top + high)[:, None])
    patch = (across[:, None, :] & down[:, :, None] & some(0.05)[:, None, None])[:, None]
    return torch.where(patch, uniform(0, 255, 3, 1, 1).expand(n, 3, side, side), x)
