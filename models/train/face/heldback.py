"""Error rates on the people of base.npz who are held back from training (ISO/IEC 19795-1 terms)."""

import numpy as np
import torch
import torch.nn.functional as F

from morphs import MARGIN
from net import FINAL


class HeldBack:
    """All pairs of the held-back people, and of those in the cohort at the global and at their own threshold."""

    def __init__(self, out, teacher=None):
        with np.load(out + "/base.npz") as base:
            keep, side = base["held_back"], slice(MARGIN, MARGIN + 128)
            self.chips = torch.from_numpy(base["crop"][keep][:, side, side].copy())
            person, self.cohort = base["person"][keep], base["cohort"][keep]
        self.same = person[:, None] == person[None]
        self.once = np.triu(np.ones_like(self.same), 1)
        if teacher is not None:
            parts = self.at(128).permute(0, 3, 1, 2).contiguous().split(64)
            self.wanted = torch.cat([F.normalize(teacher(part)[1]) for part in parts])

    def at(self, side):
        """The chips at another size, (n, side, side, 3) float."""
        x = self.chips.permute(0, 3, 1, 2).float()
        if side != 128:
            x = F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False, antialias=True)
        return x.permute(0, 2, 3, 1)

    @torch.no_grad()
    def measure(self, net, device):
        """The student's rates and, as `likeness`, its mean cosine to the teacher."""
        parts = self.at(FINAL).permute(0, 3, 1, 2).split(64)
        vectors = torch.cat([F.normalize(net(part.to(device))).cpu() for part in parts])
        likeness = (vectors * self.wanted).sum(1).mean().item()
        return {"likeness": likeness, **rates(vectors.numpy(), self.same, self.once, self.cohort)}


def rates(vectors, same, once, cohort):
    similarity = vectors @ vectors.T
    genuine, impostor = similarity[same & once], similarity[~same & once]
    threshold = np.quantile(impostor, 1 - 1e-3)
    figures = {"fnmr_1e3": (genuine < threshold).mean(), "fnmr_1e4": (genuine < np.quantile(impostor, 1 - 1e-4)).mean()}
    figures["accuracy"] = max(((genuine >= t).mean() + (impostor < t).mean()) / 2 for t in np.arange(0, 0.8, 0.01))
    if cohort.any():
        both = cohort[:, None] & cohort[None] & once
        genuine, impostor = similarity[same & both], similarity[~same & both]
        figures["cohort_fmr"] = (impostor >= threshold).mean()
        figures["cohort_fnmr_1e3"] = (genuine < np.quantile(impostor, 1 - 1e-3)).mean()
    return figures
