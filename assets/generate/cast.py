"""Who the fifteen people are meant to be; `choose.py` finds a face for each."""

# woman 0..1, age in deviations of the training people, hair style, grey share, hair and skin colour.
BLUE, GREEN, PINK = ((226, 232, 239), (112, 146, 190)), ((228, 236, 230), (118, 170, 146)), ((240, 230, 232), (196, 136, 150))
BLACK, BROWN, SOFT = (26, 23, 22), (44, 31, 25), (34, 28, 27)
TONES = [(206, 168, 145), (198, 158, 134), (213, 178, 156), (190, 148, 122), (202, 163, 140)]


def person(name, woman, age, style, grey, hair, tone, gown, iris=(50, 33, 24)):
    # A little beyond the means, because the random part blurs what the means say.
    return dict(name=name, woman=1.5 if woman else -.35, age=age, style=style, grey=grey, hair=hair, tone=TONES[tone], gown=gown, iris=iris,
                east=1.1, seed=4000 + int(name[1:]))


PEOPLE = [
    person("p01", 0., .3, "short", .0, BLACK, 1, BLUE),
    person("p02", 1., -.6, "bob", .0, BLACK, 2, BLUE),
    person("p03", 0., 1.9, "receding", .75, SOFT, 3, BLUE),
    person("p04", 1., 1.6, "wavy", .55, SOFT, 0, GREEN),
    person("p05", 0., -.7, "side", .0, BLACK, 4, BLUE),
    person("p06", 1., .2, "tied", .1, BROWN, 2, GREEN),
    person("p07", 0., 1.1, "crop", .35, BLACK, 3, GREEN),
    person("p08", 1., -.9, "long", .0, BROWN, 0, BLUE),
    person("p09", 1., 1.9, "bob", .7, SOFT, 4, BLUE),
    person("p10", 0., -.2, "crop", .0, BLACK, 1, GREEN),
    person("p11", 0., .8, "side", .25, SOFT, 0, GREEN),
    person("p12", 1., -.2, "fringe", .0, BLACK, 2, ((234, 228, 214), (172, 150, 120))),
    person("p13", 0., .0, "short", .0, BROWN, 3, ((92, 104, 120), (84, 95, 111))),
    person("p14", 1., .6, "tied", .05, BLACK, 0, BLUE),
    person("p15", 0., .7, "receding", .10, BLACK, 1, GREEN),
]
ENROLLED = [p["name"] for p in PEOPLE if p["name"] != "p13"]      # p13 is a stranger
PATIENTS = [f"p{n:02}" for n in range(1, 11)] + ["p12", "p14", "p15"]      # in the order of the beds
