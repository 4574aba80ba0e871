"""Fits the statistical face model: conditional means and joint shape-and-texture modes of many people.

Every feature a picture has by accident (turn, light, mouth) is regressed out, so that a sample is a neutral person.
The fitted model holds no picture, but it is large and can be made again, so it is not part of the project."""

import argparse

import cv2
import numpy as np

from landmarks import pictures
from mesh import EYE_L, EYE_R, OVAL, W, H, frame_points, raster, spread, triangles
from nets import angles

# First names that are nearly always a woman's, enough for a mean; unknown names count as half.
WOMEN = set("""Aishwarya Alexandra Alicia Alison Alyssa Amanda Amber Amelia Amy Ana Anastasia Andrea Angela Angelina Anita Ann
Anna Anne Annette Annie Ashanti Ashley Audrey Barbara Begum Bernice Betty Beyonce Bridgette Britney Brooke Calista Cameron Carla
Carly Carmen Carol Caroline Carolyn Catherine Cate Celine Charlotte Charlize Chelsea Cherie Christina Christine Cindy Claire Claudia
Condoleezza Courtney Cruz Daniela Debra Delta Demi Diana Diane Dolores Donna Doris Drew Edie Elena Elisabeth Elizabeth Ellen Emily Emma
Erin Eva Evelyn Faye Felicity Fernanda Gina Giselle Gisele Gloria Grace Gray Gwyneth Halle Heather Helen Hilary Hillary Holly Ingrid
Isabella Ivana Jacqueline Jade Jamie Jane Janet Janica Jean Jeanne Jelena Jennifer Jessica Joan Joanna Jodie Julia Julianna Julianne Julie
Justine Kalpana Karen Kate Katharine Katherine Kathleen Kathryn Katie Kelly Kim Kimberly Kirsten Kristen Laura Lauren Leslie Lena Lily
Linda Lindsay Lindsey Lisa Liza Lleyton Lori Lucy Lynn Magdalena Maria Mariah Marion Martha Martina Mary Maureen Megan Meg Megawati
Melanie Melissa Meryl Michelle Mia Miranda Monica Monique Naomi Nancy Nadia Natalie Natasha Nia Nicole Nina Olivia Oprah Pamela Patricia
Paula Penelope Petra Priscilla Queen Rachel Rebecca Reese Renee Rita Rosa Rosario Roseanne Ruth Salma Sandra Sally Sarah Serena Sharon Sheila
Shania Sherry Sigourney Sofia Sophia Sophie Stella Stephanie Steffi Susan Svetlana Sylvia Tammy Tara Teri Teresa Thalia Tina Tonya Trisha
Uma Ursula Valerie Vanessa Venus Veronica Vicki Victoria Virginia Vivian Wanda Wendy Whitney Winona Yoko Yuka Zhang_Ziyi Shu_Qi Gong_Li
Michelle_Yeoh Lucy_Liu""".split())

FEATURES = "one woman age east yaw pitch open smile left top luma".split()


def aligned(points, mean):
    """Rigid 3-D alignment with scale."""
    p, m = points - points.mean(0), mean - mean.mean(0)
    u, s, vt = np.linalg.svd(p.T @ m)
    d = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    return p @ (u @ d @ vt) * ((s * np.diag(d)).sum() / (p ** 2).sum())


def mean_shape(shapes):
    mean = shapes[0] - shapes[0].mean(0)
    for _ in range(5):
        mean = np.mean([aligned(s, mean) for s in shapes], axis=0)
        mean = (mean + mirrored(mean)) / 2
        mean /= np.ptp(mean[OVAL, 0])
    return mean


def mirror_map(mean):
    flipped = mean * [-1, 1, 1]
    return np.array([np.linalg.norm(mean - q, axis=1).argmin() for q in flipped])


_MIRROR = {}


def mirrored(mean):
    """The left-right mirrored shape; the partner of each point is found once."""
    if "map" not in _MIRROR:
        _MIRROR["map"] = mirror_map(mean)
    return (mean * [-1, 1, 1])[_MIRROR["map"]]


def choose(c, east, rng):
    """Indices of near-frontal pictures with nearly closed mouth and open eyes, at most two a person."""
    ang = np.array([angles(p) for p in c["points"]])
    p = c["points"]
    width = np.linalg.norm(p[:, 61] - p[:, 291], axis=1)
    opened = np.linalg.norm(p[:, 13] - p[:, 14], axis=1) / width
    ear = np.linalg.norm(p[:, 159] - p[:, 145], axis=1) / np.linalg.norm(p[:, 33] - p[:, 133], axis=1)
    size = np.ptp(p[:, OVAL, 0], axis=1)
    central = np.abs(p[:, 1, 0] - 125) < 30
    good = (c["flag"] > .98) & (c["score"] > .8) & (size > 75) & central & (ear > .14)
    used, out = {}, []
    for i in rng.permutation(len(good)):
        who = c["person"][i]
        e = who in east
        lim = (20, 14, .25) if e else (11, 10, .10)
        ok = abs(ang[i, 1]) < lim[0] and abs(ang[i, 2] - 3) < lim[1] and opened[i] < lim[2]
        if good[i] and ok and used.get(who, 0) < (3 if e else 2):
            used[who] = used.get(who, 0) + 1
            out.append(i)
    return sorted(out), ang, opened


def main(faces, east_file, cache, out):
    rng = np.random.default_rng(1)
    c = dict(np.load(cache))
    east = set(open(east_file).read().split())
    rows, ang, opened = choose(c, east, rng)
    print(len(rows), "pictures of", len(set(c["person"][rows])), "people,",
          sum(p in east for p in c["person"][rows]), "east")
    mean = mean_shape(c["points"][rows][::4])
    shapes = np.array([aligned(p, mean) for p in c["points"][rows]], np.float32)
    frame = frame_points(mean)
    tris = triangles(frame)
    mask = spread(frame, np.ones((468, 1), np.float32), tris, (W, H))[1]
    ys, xs, corners, bary = raster(frame, tris, (W, H))
    wanted = {(c["person"][i], c["name"][i]): i for i in rows}
    tex = np.empty((len(rows), mask.sum(), 3), np.float32)
    hair = np.zeros(len(rows))
    place = {i: k for k, i in enumerate(rows)}
    for person, name, rgb in pictures(faces):
        i = wanted.get((person, name))
        if i is None:
            continue
        xy = c["points"][i][:, :2].astype(np.float32)
        m = np.zeros((H, W, 2), np.float32)
        m[ys, xs] = np.einsum("nk,nkd->nd", bary, xy[corners])
        tex[place[i]] = cv2.remap(np.ascontiguousarray(rgb), m[..., 0], m[..., 1], cv2.INTER_CUBIC)[mask]
        up = xy[10] - .22 * (xy[152] - xy[10])
        x, y = np.clip(up.astype(int), 6, 243)
        hair[place[i]] = np.median(rgb[y - 5:y + 6, x - 6:x + 7].mean(2))
    tex, colour = normalise(tex)
    yy, xx = np.nonzero(mask)
    luma = tex.mean(2)
    left = luma[:, xx < W / 2].mean(1) - luma[:, xx >= W / 2].mean(1)
    top = luma[:, yy < H / 2].mean(1) - luma[:, yy >= H / 2].mean(1)
    fine = fine_energy(tex, mask)
    z = lambda v: (v - v.mean()) / v.std()
    names = c["person"][rows]
    woman = np.array([1. if n.split("_")[0] in WOMEN or n in WOMEN else 0. for n in names])
    isat = np.array([n in east for n in names], float)
    age = z(z(np.clip(hair, 30, 200)) * .7 + z(fine))
    width = np.linalg.norm(shapes[:, 61] - shapes[:, 291], axis=1)
    corner = (shapes[:, [61, 291], 1].mean(1) - shapes[:, 13, 1])
    smile = z(z(width) - z(corner))
    f = np.stack([np.ones(len(rows)), woman, age, isat, ang[rows, 1] / 10, (ang[rows, 2] - 3) / 10,
                  opened[rows] * 10, smile, left / 20, top / 20, colour[:, :3].mean(1) / 40], 1)
    keep = np.ones(len(rows), bool)
    for _ in range(2):                      # drop hidden, bespectacled and badly meshed faces
        coef, res, modes = solve(f[keep], shapes[keep], tex[keep], 40)
        err = misfit(f, shapes, tex, coef, modes, mask, frame)
        keep &= err < np.quantile(err[keep], .92)
    coef, res, modes = solve(f[keep], shapes[keep], tex[keep], 220)
    n = keep.sum()
    print("kept", n, "of", len(set(names[keep])), "people,", int(isat[keep].sum()), "east")
    grain = np.sqrt(np.mean((res[1] - np.einsum("nk,kpc->npc", modes[0], modes[2])).mean(2) ** 2, 0))
    np.savez(out, rows=np.array(rows)[keep], mean=mean, coef_s=coef[0], coef_t=coef[1].astype(np.float16), mode_s=modes[1],
             mode_t=modes[2].astype(np.float16), weights=modes[0].astype(np.float32), east=isat[keep], woman=woman[keep], grain=grain,
             features=f[keep].astype(np.float32), n=n, people=len(set(names[keep])))


def normalise(tex):
    """Equal exposure for all; a part of the colour cast is taken out as well. Returns textures and what was taken."""
    mean, std = tex.mean(1), tex.mean(2).std(1)
    target = mean.mean(0)
    grey = mean.mean(1, keepdims=True)
    cast = mean / grey / (target / target.mean())
    gain = (target.mean() / grey) ** .75
    t = tex * (gain / cast ** .6)[:, None]
    m = t.mean((1, 2), keepdims=True)
    k = np.clip(np.median(std) / t.mean(2).std(1), .6, 1.6) ** .7
    return (t - m) * k[:, None, None] + m, np.hstack([mean - target, std[:, None]])


def fine_energy(tex, mask):
    """Log energy of fine detail, which grows with age."""
    out = []
    img = np.zeros((H, W), np.float32)
    for t in tex:
        img[mask] = t.mean(1)
        d = cv2.GaussianBlur(img, (0, 0), 2) - cv2.GaussianBlur(img, (0, 0), 5)
        out.append(np.log(d[mask].std()))
    return np.array(out)


def solve(f, shapes, tex, k):
    """Conditional means by ridge regression, then joint modes of what remains. Weights come out with unit variance."""
    n = len(f)
    a = np.linalg.solve(f.T @ f + np.diag([0] + [3.] * (f.shape[1] - 1)), f.T)
    coef_s = np.tensordot(a, shapes, 1).astype(np.float32)
    coef_t = np.tensordot(a.astype(np.float32), tex, 1)
    rs = (shapes - np.tensordot(f, coef_s, 1)).reshape(n, -1)
    rt = (tex - np.tensordot(f.astype(np.float32), coef_t, 1)).reshape(n, -1)
    gs, gt = rs @ rs.T, rt @ rt.T
    val, vec = np.linalg.eigh(.5 * gs / np.trace(gs) + gt / np.trace(gt))
    vec = vec[:, ::-1][:, :k] * np.sqrt(n)
    modes = vec, (vec.T @ rs / n).reshape(k, 468, 3), (vec.T.astype(np.float32) @ rt / n).reshape(k, -1, 3)
    return (coef_s, coef_t), (rs, rt.reshape(n, -1, 3)), modes


def misfit(f, shapes, tex, coef, modes, mask, frame):
    """How badly few modes explain the region of the eyes and the whole face: spectacles, hands, microphones."""
    rt = (tex - np.tensordot(f.astype(np.float32), coef[1], 1)).reshape(len(f), -1)
    basis = modes[2].reshape(len(modes[2]), -1)
    q, _ = np.linalg.qr(basis.T)
    rt -= (rt @ q) @ q.T
    e = np.abs(rt.reshape(len(f), -1, 3)).mean(2)
    yy, xx = np.nonzero(mask)
    lo, hi = frame[EYE_L + EYE_R].min(0) - [18, 12], frame[EYE_L + EYE_R].max(0) + [18, 28]
    eyes = (yy > lo[1]) & (yy < hi[1]) & (xx > lo[0]) & (xx < hi[0])
    return e[:, eyes].mean(1) + .5 * e.mean(1)


if __name__ == "__main__":
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--faces", required=True, help="folder or tar that holds images/PERSON/FILE.jpg")
    a.add_argument("--east", required=True, help="text file of the names that were judged East Asian")
    a.add_argument("--marks", required=True)
    a.add_argument("--out", required=True)
    a = a.parse_args()
    main(a.faces, a.east, a.marks, a.out)
