"""Piecewise-affine warps over the 468 mesh points, and the frame in which textures are compared."""

import cv2
import numpy as np
from scipy.spatial import Delaunay

W, H = 288, 344                     # texture frame
FACE_W = 236                        # width of the mean face oval in it
OVAL = [10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
        152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109]
EYE_L = [33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7]      # on the image's left
EYE_R = [263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249]
# Upper lid point, lower lid point under it: a blink moves the first onto the second.
LIDS = [(246, 7), (161, 163), (160, 144), (159, 145), (158, 153), (157, 154), (173, 155),
        (466, 249), (388, 390), (387, 373), (386, 374), (385, 380), (384, 381), (398, 382)]
# The rings of skin above the lids that follow them, with how much.
FOLLOW = [([247, 30, 29, 27, 28, 56, 190], .45), ([467, 260, 259, 257, 258, 286, 414], .45)]


def frame_points(mean):
    """The mean shape laid into the texture frame (x, y)."""
    xy = mean[:, :2]
    k = FACE_W / np.ptp(xy[OVAL, 0])
    lo, hi = xy.min(0), xy.max(0)
    return (xy - (lo + hi) / 2) * k + [W / 2, H / 2]


def triangles(points):
    return Delaunay(points).simplices.astype(np.int32)


def raster(points, tris, size, depth=None):
    """Triangle number and barycentric weights of every pixel; -1 outside. Nearer triangles (small z) win."""
    w, h = size
    ids = np.full((h, w), -1, np.int32)
    order = range(len(tris)) if depth is None else np.argsort(-depth[tris].mean(1))
    fixed = np.round(points * 16).astype(np.int32)
    for i in order:
        cv2.fillConvexPoly(ids, fixed[tris[i]], int(i), cv2.LINE_8, 4)
    ys, xs = np.nonzero(ids >= 0)
    t = tris[ids[ys, xs]]
    a, b, c = points[t[:, 0]], points[t[:, 1]], points[t[:, 2]]
    v0, v1, v2 = b - a, c - a, np.stack([xs, ys], 1) - a
    den = v0[:, 0] * v1[:, 1] - v1[:, 0] * v0[:, 1]
    den = np.where(np.abs(den) < 1e-3, 1e-3, den)
    u = (v2[:, 0] * v1[:, 1] - v1[:, 0] * v2[:, 1]) / den
    v = (v0[:, 0] * v2[:, 1] - v2[:, 0] * v0[:, 1]) / den
    u, v = np.clip(u, 0, 1), np.clip(v, 0, 1)
    over = np.maximum(u + v, 1)
    u, v = u / over, v / over
    return ys, xs, t, np.stack([1 - u - v, u, v], 1).astype(np.float32)


def spread(points_to, field, tris, size, depth=None):
    """Interpolates a per-point field over the picture of the mesh: (h, w, k) and the mask."""
    ys, xs, t, bary = raster(points_to, tris, size, depth)
    out = np.zeros((size[1], size[0], field.shape[1]), np.float32)
    out[ys, xs] = np.einsum("nk,nkd->nd", bary, field[t])
    mask = np.zeros((size[1], size[0]), bool)
    mask[ys, xs] = True
    return out, mask


def blink(points, amount):
    """Closes the eyes: the upper lids come down, the skin above follows."""
    p = points.copy()
    for up, low in LIDS:
        p[up] += amount * .97 * (points[low] - points[up])
    for ring, k in FOLLOW:
        drop = np.mean([points[l] - points[u] for u, l in LIDS if (u < 250) == (ring[0] < 250)], axis=0)
        p[ring] += amount * k * drop
    # The lower lid rises a little to meet it.
    for up, low in LIDS:
        shift = .12 * amount * (points[up] - points[low])
        p[up] += shift
        p[low] += shift
    return p
