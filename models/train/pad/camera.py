"""The camera every sample goes through, live or not: blur, pixels, exposure, white balance, noise, sharpening, JPEG.

The same draws for every species, so that neither size nor sharpness nor compression tells them apart.
"""

import math

import cv2
import numpy as np

from attacks import box, gamma

NARROWEST, WIDEST = 30.0, 200.0  # The face's width in the picture, pixels.
SHRINK = (cv2.INTER_AREA, cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)


def blurred(picture, random):
    kind = random.random()
    if kind < 0.3:
        return cv2.GaussianBlur(picture, (0, 0), random.uniform(0.4, 2.1))
    if kind < 0.45:
        length, turn = random.uniform(2, 8), random.uniform(0, np.pi)
        kernel = np.zeros((9, 9), np.float32)
        step = np.array([np.cos(turn), np.sin(turn)]) * length / 2
        ends = [tuple(int(round(v)) for v in 4 + sign * step) for sign in (-1, 1)]
        kernel = cv2.line(kernel, *ends, 1.0, 1, cv2.LINE_AA)
        return cv2.filter2D(picture, -1, kernel / kernel.sum())
    return picture


def develop(picture, random):
    """Exposure, white balance, gamma, vignette."""
    gain = math.exp(random.normal(0, 0.18)) * np.exp(random.normal(0, 0.06, 3))
    out = np.clip(picture * gain.astype(np.float32), 0, 255)
    if random.random() < 0.5:
        out = gamma(out, math.exp(random.normal(0, 0.15)))
    return out


def noisy(picture, random):
    if random.random() < 0.8:
        strength, coarse = random.exponential(3.5), random.random() < 0.4
        grain = random.standard_normal(picture.shape, np.float32)
        if coarse:
            grain = cv2.GaussianBlur(grain, (0, 0), random.uniform(0.5, 0.9)) * 1.6
        picture = picture + grain * strength * np.sqrt(0.3 + picture / 255)
    if random.random() < 0.35:
        picture = picture + (picture - cv2.GaussianBlur(picture, (0, 0), random.uniform(0.6, 1.5))) * random.uniform(0.2, 1.2)
    return picture


def jpeg(picture, random):
    quality = int(random.integers(45, 97))
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality]
    if random.random() < 0.4:
        flags += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    coded = cv2.imencode(".jpg", cv2.cvtColor(np.clip(picture, 0, 255).round().astype(np.uint8), cv2.COLOR_RGB2BGR), flags)[1]
    return cv2.cvtColor(cv2.imdecode(coded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def take(picture, mesh, width, random):
    """The scene as bytes with the face `width` pixels wide, and its mesh there."""
    scale = width / box(mesh)[2]
    size = np.maximum(np.round(np.array(picture.shape[1::-1]) * scale), 8).astype(int)
    out = blurred(picture, random)
    mesh = mesh * (size / np.array(picture.shape[1::-1]))
    by = SHRINK[int(random.integers(len(SHRINK)))] if scale < 1 else cv2.INTER_CUBIC
    out = cv2.resize(np.ascontiguousarray(out), tuple(int(v) for v in size), interpolation=by)
    out = noisy(develop(out, random), random)
    for _ in range(1 if random.random() < 0.75 else 2):
        out = jpeg(out, random)
    return out, mesh
