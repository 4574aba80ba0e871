"""New identities: landmark-warped mixtures of two to four people, made in batches.

A mixture has a shape (468 points) and a texture in the mean shape's frame. Every region of the face (eyes, nose,
mouth, cheeks, forehead, jaw) weighs its parents a little differently, the background comes from one of them, and the
result may be exaggerated away from the mean face. With weights that do not add up to one and may be negative the same
formula draws synthetic people around the mean (an active appearance model without its basis).
"""

import torch
import torch.nn.functional as F

CROP, MARGIN, FIELD = 144, 8, 36  # Crop side; rim around the 128 x 128 chip; cells of the displacement field.
PARENTS = 4
# Centres of the regions as mesh vertices; the first row of masks is the background.
REGIONS = [[159], [386], [1], [13], [50], [280], [9], [152]]
REGION_SIGMA = 16.0  # crop pixels
BACKGROUND_SIGMA = 10.0


def grid(shift, spread):
    """(n, CROP, CROP, 2): displacement in pixels of every crop pixel from one per vertex (n, 468, 2)."""
    field = torch.einsum("cv,nvd->ncd", spread, shift).reshape(-1, FIELD, FIELD, 2).permute(0, 3, 1, 2)
    return F.interpolate(field, size=(CROP, CROP), mode="bilinear", align_corners=False).permute(0, 2, 3, 1)


def warp(picture, displacement):
    """Takes from `picture` (n, c, CROP, CROP) at every pixel plus its displacement (n, CROP, CROP, 2)."""
    at = torch.arange(CROP) + 0.5
    y, x = torch.meshgrid(at, at, indexing="ij")
    place = (torch.stack([x, y], -1) + displacement) / CROP * 2 - 1
    return F.grid_sample(picture, place, mode="bilinear", padding_mode="border", align_corners=False)


def inverted(displacement):
    """The field that leads back: u(p) = -d(p + u(p)), by three rounds of substitution."""
    back = -displacement
    for _ in range(3):
        back = -warp(displacement.permute(0, 3, 1, 2), back).permute(0, 2, 3, 1)
    return back


class Morphs:
    """Draws faces from the people of base.npz that are not held back."""

    def __init__(self, base):
        keep = ~base["held_back"]
        self.crop, self.texture = (torch.from_numpy(base[name][keep]) for name in ("crop", "texture"))
        self.mean, self.spread = torch.from_numpy(base["mean"]), torch.from_numpy(base["spread"])
        self.shape = torch.from_numpy(base["mesh"][keep]) - self.mean
        self.cohort = torch.from_numpy(base["cohort"][keep]).nonzero()[:, 0]
        self.mean_texture = self.texture[::4].float().mean(0).permute(2, 0, 1)
        self.masks = self.region_masks()

    def region_masks(self):
        """(1 + regions, CROP, CROP), adding up to one: how much each region governs a pixel."""
        at = torch.arange(CROP) + 0.5
        y, x = torch.meshgrid(at, at, indexing="ij")
        place = torch.stack([x, y], -1)
        near = [((place - self.mean[region].mean(0)) ** 2).sum(-1) for region in REGIONS]
        inner = torch.softmax(-torch.stack(near) / (2 * REGION_SIGMA**2), 0)
        distance = torch.cdist(place.reshape(-1, 2), self.mean).min(1).values.reshape(CROP, CROP)
        outside = 1 - torch.exp(-((distance - 4).clamp(min=0) ** 2) / (2 * BACKGROUND_SIGMA**2))
        return torch.cat([outside[None], inner * (1 - outside)])

    def draw(self, count, random):
        """(count, 3, CROP, CROP) float RGB 0..255. A quarter are real crops, a fifth synthetic, the rest mixtures."""
        kind = torch.rand(count, generator=random)
        among = self.cohort if len(self.cohort) else torch.arange(len(self.crop))
        any_one = torch.randint(len(self.crop), (count, PARENTS), generator=random)
        cohort_one = among[torch.randint(len(among), (count, PARENTS), generator=random)]
        of_cohort = torch.rand(count, 1, generator=random) < 0.35
        parents = torch.where(of_cohort, cohort_one, any_one)
        faces = self.mixtures(parents, kind < 0.45, random)
        real = kind < 0.25
        faces[real] = self.crop[parents[real, 0]].permute(0, 3, 1, 2).float()
        return faces

    def weights(self, count, synthetic, random):
        """(count, PARENTS, 1 + regions): each region's share of each parent."""
        some = torch.randint(2, 5, (count, 1), generator=random)
        present = (torch.arange(PARENTS)[None] < some).float()
        share = -torch.log(torch.rand(count, PARENTS, generator=random).clamp(min=1e-6)) * present
        share = share / share.sum(1, keepdim=True)
        wobble = torch.exp(torch.randn(count, PARENTS, len(self.masks), generator=random) * 0.8)
        mixed = share[:, :, None] * wobble
        mixed = mixed / mixed.sum(1, keepdim=True)
        drawn = torch.randn(count, PARENTS, 1, generator=random) * 0.4
        drawn = drawn + torch.randn(count, PARENTS, len(self.masks), generator=random) * 0.15
        mixed = torch.where(synthetic[:, None, None], drawn, mixed)
        mixed[:, :, 0] = 0  # The background belongs to the first parent alone.
        mixed[:, 0, 0] = 1
        return mixed

    def mixtures(self, parents, synthetic, random):
        count = len(parents)
        weight = self.weights(count, synthetic, random)
        exaggerate = torch.where(synthetic, 1.0, 0.85 + 0.5 * torch.rand(count, generator=random))
        texture = torch.zeros(count, 3, CROP, CROP)
        for k in range(PARENTS):
            face = self.texture[parents[:, k]].permute(0, 3, 1, 2).float() - self.mean_texture
            texture += face * torch.einsum("nr,rhw->nhw", weight[:, k], self.masks)[:, None]
        inner = 1 - self.masks[0]
        texture = self.mean_texture + texture * (1 + (exaggerate[:, None, None, None] - 1) * inner)
        shape = torch.einsum("nk,nkvd->nvd", weight[:, :, 1:].mean(2), self.shape[parents])
        displacement = grid(shape * exaggerate[:, None, None], self.spread)
        return warp(texture, inverted(displacement)).clamp(0, 255)
