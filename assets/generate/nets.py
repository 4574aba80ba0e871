"""The reference nets that measure the made-up people: BlazeFace, FaceMesh, dlib ResNet and OMZ 0095."""

import os

import cv2
import numpy as np
import onnxruntime as ort

cv2.setNumThreads(1)

# dlib's five points (outer and inner eye corners, base of the nose) in its unit square, padding 0.25.
DLIB_POINTS = np.array([[0.8595674595992, 0.2134981538014], [0.6460604764104, 0.2289674387677],
                        [0.1205750620789, 0.2137274526848], [0.3340850613712, 0.2290642403242],
                        [0.4901123135679, 0.6277975316475]])
DLIB_MESH = [263, 362, 33, 133, 2]
# Intel's published reference points of face-reidentification-retail-0095.
OMZ_POINTS = np.array([[0.31556875, 0.46157411], [0.68262292, 0.46157411], [0.50262500, 0.64050536],
                       [0.34947188, 0.82469196], [0.65343646, 0.82469196]])


def _anchors():
    grid = lambda n, k: [((x + .5) / n, (y + .5) / n) for y in range(n) for x in range(n) for _ in range(k)]
    return np.array(grid(16, 2) + grid(8, 6), np.float32)


def similarity(src, dst):
    """The 2x3 similarity transform that takes src nearest to dst (Umeyama)."""
    ms, md = src.mean(0), dst.mean(0)
    a, b = src - ms, dst - md
    u, s, vt = np.linalg.svd(b.T @ a)
    d = np.diag([1, np.sign(np.linalg.det(u @ vt))])
    r = u @ d @ vt
    k = (s * np.diag(d)).sum() / (a ** 2).sum()
    return np.hstack([k * r, (md - k * r @ ms)[:, None]])


class Nets:
    def __init__(self, models):
        opt = ort.SessionOptions()
        opt.intra_op_num_threads = opt.inter_op_num_threads = 1
        load = lambda n: ort.InferenceSession(os.path.join(models, n), opt, providers=["CPUExecutionProvider"])
        self.blaze = load("blazeface_short_128.w16.onnx")
        self.facemesh = load("facemesh_192.w16.onnx")
        self.dlib = load("dlib_resnet_150.w16.onnx")
        self.omz = load("omz_reid0095_128.w16.onnx")
        self.anchors = _anchors()

    @staticmethod
    def _run(net, x):
        return net.run(None, {net.get_inputs()[0].name: x})

    def detect(self, rgb):
        """The best face: (score, box, six points), in pixels."""
        h, w = rgb.shape[:2]
        side = max(h, w)
        m = np.array([[128 / side, 0, 64 - w / 2 * 128 / side], [0, 128 / side, 64 - h / 2 * 128 / side]])
        small = cv2.warpAffine(rgb, m, (128, 128), flags=cv2.INTER_AREA) if side < 256 else cv2.copyMakeBorder(
            cv2.resize(rgb, (round(w * 128 / side), round(h * 128 / side)), interpolation=cv2.INTER_AREA),
            (128 - round(h * 128 / side)) // 2, 128 - round(h * 128 / side) - (128 - round(h * 128 / side)) // 2,
            (128 - round(w * 128 / side)) // 2, 128 - round(w * 128 / side) - (128 - round(w * 128 / side)) // 2,
            cv2.BORDER_CONSTANT)
        x = (small.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]
        reg, cls = self._run(self.blaze, x)
        score = 1 / (1 + np.exp(-np.clip(cls[0, :, 0], -80, 80)))
        i = int(score.argmax())
        # Weighted mean over overlapping proposals, as MediaPipe does.
        near = (score > max(0.5, 0.5 * score[i])) | (np.arange(896) == i)
        d = reg[0].reshape(896, 8, 2) / 128
        pts = d + self.anchors[:, None]
        pts[:, 1] = d[:, 1]
        near &= np.linalg.norm(pts[:, 0] - pts[i, 0], axis=1) < 0.5 * d[i, 1, 0]
        p = np.average(pts[near], axis=0, weights=score[near])
        k = side / 128 * 128
        off = np.array([w / 2 - side / 2, h / 2 - side / 2])
        c, size, kp = p[0] * k + off, p[1] * k, p[2:] * k + off
        return float(score[i]), (c, size), kp

    def mesh(self, rgb, centre, side, angle):
        """468 points (x, y, z in pixels) and the face flag from a rotated square."""
        c, s = np.cos(angle), np.sin(angle)
        k = 192 / side
        r = k * np.array([[c, s], [-s, c]])
        m = np.hstack([r, (np.array([96, 96]) - r @ centre)[:, None]])
        crop = cv2.warpAffine(rgb, m, (192, 192), flags=cv2.INTER_LINEAR)
        pts, flag = self._run(self.facemesh, (crop.astype(np.float32) / 255).transpose(2, 0, 1)[None])
        p = pts.reshape(468, 3)
        xy = (p[:, :2] - m[:, 2]) @ np.linalg.inv(r).T
        return np.hstack([xy, p[:, 2:] / k]), float(1 / (1 + np.exp(-flag.ravel()[0])))

    def face(self, rgb, passes=2):
        """(score, points) of one upright detection refined by the mesh itself."""
        score, (c, size), kp = self.detect(rgb)
        v = kp[1] - kp[0]
        p, flag = self.mesh(rgb, c, 1.5 * size.max(), np.arctan2(v[1], v[0]))
        for _ in range(passes - 1):
            v = p[263, :2] - p[33, :2]
            a = np.arctan2(v[1], v[0])
            r = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
            q = p[:, :2] @ r.T
            lo, hi = q.min(0), q.max(0)
            p, flag = self.mesh(rgb, (lo + hi) / 2 @ r, 1.5 * (hi - lo).max(), a)
        return score, flag, p

    def any_roll(self, rgb):
        """The face at any roll: proposals at 0 and 180 degrees, best score x flag."""
        h, w = rgb.shape[:2]
        best = None
        for turn in (0, 1):
            img = np.ascontiguousarray(rgb[::-1, ::-1]) if turn else rgb
            score, flag, p = self.face(img)
            if turn:
                p = p * [-1, -1, 1] + [w - 1, h - 1, 0]
            if best is None or score * flag > best[0]:
                best = (score * flag, score, flag, p)
        return best

    def embed(self, rgb, p):
        """(dlib, omz): 128 numbers for Euclidean distance, 256 of unit length for cosine."""
        p = p[:, :2]
        m = similarity(p[DLIB_MESH], (DLIB_POINTS + .25) / 1.5 * 150)
        chip = cv2.warpAffine(rgb, m, (150, 150), flags=cv2.INTER_LINEAR).astype(np.float32)
        d = self._run(self.dlib, np.ascontiguousarray(chip.transpose(2, 0, 1)[None]))[0].ravel()
        five = np.array([p[[33, 133]].mean(0), p[[263, 362]].mean(0), p[4], p[61], p[291]])
        m = similarity(five, OMZ_POINTS * 128)
        chip = cv2.warpAffine(rgb, m, (128, 128), flags=cv2.INTER_LINEAR)[:, :, ::-1].astype(np.float32)
        o = self._run(self.omz, np.ascontiguousarray(chip.transpose(2, 0, 1)[None]))[0].ravel()
        return d, o / np.linalg.norm(o)


def angles(p):
    """(roll, yaw, pitch) in degrees, roughly, from the mesh."""
    x = p[263] - p[33]
    y = p[152] - p[10]
    roll = np.degrees(np.arctan2(x[1], x[0]))
    yaw = np.degrees(np.arctan2(x[2], np.hypot(x[0], x[1])))
    pitch = np.degrees(np.arctan2(y[2], np.hypot(y[0], y[1])))
    return roll, yaw, pitch
