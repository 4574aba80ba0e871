"""Writes a ward that was already looked at into a platform's tables, or years of many wards, or makes a session old.

What devices deliver is tested elsewhere (tests/platform); here only the pages are looked at.
"""

import json
import sqlite3
import sys
import time

HOUR = 3_600_000
SAYS = {"verified": "Verified", "absent": "Absent", "mismatch": "Mismatch", "face_hidden": "FaceHidden"}
FOUND = ["verified", "absent", "mismatch", "verified", "face_hidden", "verified", None, "verified"]
WARDS = [("terminal-3a", "3A", "示范医院"), ("terminal-7b", "7B", "另一医院")]


def fill(db, now):
    for device, ward, institution in WARDS:
        far = now + 900 * HOUR
        db.execute(
            "INSERT INTO device (device, ward, institution, statement_key, cert_sha256, cert_until_ms, round_every_ms,"
            " added_ms, logged, last_contact_ms, expected_ms, epoch) VALUES (?, ?, ?, x'00', '', ?, ?, ?, 0, ?, ?, 'e')",
            (device, ward, institution, far, 4 * HOUR, now - 200 * HOUR, now, far),
        )
        db.execute("INSERT INTO head VALUES (?, 'e', 40, '')", (device,))
        for at, verdict in enumerate(FOUND):
            fill_bed(db, now, device, f"0{at + 1}", f"S{at + 1}", verdict)
        raised = [
            ("S2.02.hanging_bed.3", "hanging_bed", "device", "02", "S2", "张**", "Absent", now - 40 * HOUR, now - HOUR),
            ("S3.03.impersonation.3", "impersonation", "device", "03", "S3", "<b>张</b>", "Mismatch", now - 9 * HOUR, now - HOUR),
            ("silence.1", "silence", "platform", None, None, None, None, now - 3 * HOUR, now - 2 * HOUR),
        ]
        db.executemany(
            "INSERT INTO exception (device, id, kind, state, origin, bed, stay, masked_name, verdict, rounds, first_ms,"
            f" last_ms) VALUES ('{device}', ?, ?, 'confirmed', ?, ?, ?, ?, ?, 3, ?, ?)",
            raised,
        )
    leads(db, now, 120)


RULES = [("hanging-bed", 3, "挂床住院", "a bed that hangs"), ("doctor-day", 2, "一名医师单日收治过多", "too many admissions a day"),
         ("readmission", 1, "15 日内再入院", "readmission within 15 days")]


def leads(db, now, count):
    """Leads of three rules, the first about a patient who is on a roster, some answered, and whom they have to do with."""
    for rule, severity, zh, en in RULES:
        db.execute(
            "INSERT INTO screening_rule VALUES (?, 1, ?, ?, ?, '住院期间多轮核查不在床，仍按床日结算。', 'Absent over rounds and still"
            " paid by the day.', '第三十八条', '[]', NULL, 0)",
            (rule, severity, zh, en),
        )
    db.execute("INSERT INTO screening_run VALUES ('r1', ?, ?, NULL, ?, ?, '[]')", (now - 90_000, now, count, count))
    db.executemany(
        "INSERT INTO lead VALUES (?, ?, 1, ?, ?, ?, ?, NULL, ?, ?, 20700, 20712, ?, 2, 7, '{}', ?, ?, ?, ?, ?, ?, 'r1', ?, 0,"
        " NULL, ?)",
        (
            (f"lead{at:06}", RULES[at % 3][0], RULES[at % 3][1], 100 - at % 101, f"H{at % 40}", f"P{at % 5000}", f"D{at % 300}",
             "S2" if at == 0 else f"M{at}", 1_234_567 + at, f"就诊 M{at} 付费 12 天，其中 7 天核查不在床",
             f"stay M{at}: paid for 12 days, absent on 7", '{"paid_days": 12, "absent_days": 7}',
             json.dumps([{"setl_id": f"X{at}", "begndate": "2026-09-04", "enddate": "2026-09-16", "medfee_sumamt": "12345.67"},
                         {"setl_id": f"Y{at}", "begndate": "2026-09-06", "enddate": "2026-09-07", "medfee_sumamt": "45.00"}]),
             now, now, "confirmed" if at % 9 == 4 else "refuted" if at % 9 == 7 else "found", now if at % 9 in (4, 7) else None)
            for at in range(count)
        ),
    )
    pairs = [("institution", f"H{at % 40}", "doctor", f"D{at % 300}") for at in range(min(count, 600))]
    pairs += [("institution", f"H{at % 40}", "patient", f"P{at % 5000}") for at in range(min(count, 9000))]
    pairs += [("patient", f"P{at}", "fund", "310") for at in range(min(count, 5000))]
    pairs += [("patient", f"P{at}", "nursing_home", f"N{at % 7}") for at in range(0, min(count, 5000), 3)]
    db.executemany(
        "INSERT OR IGNORE INTO association VALUES (?, ?, ?, ?, ?, ?, 'r1')",
        ((*pair, at % 17 + 1, (at * 7919) % 9_000_000 + 10_000) for at, pair in enumerate(pairs)),
    )
    db.executemany("INSERT INTO association_name VALUES ('institution', ?, ?)", [("H0", WARDS[0][2]), ("H1", WARDS[1][2])])


def fill_bed(db, now, device, bed, stay, verdict):
    db.execute("INSERT INTO roster VALUES (?, ?, ?, '张**', 3)", (device, bed, stay))
    for number in range(1, 13):
        when = now - (12 - number) * 12 * HOUR - HOUR
        state = "settled" if verdict else "not_done"
        db.execute(
            "INSERT INTO due VALUES (?, 'e', ?, ?, ?, '张**', ?, ?, ?, ?)",
            (device, number, bed, stay, when, when + 60_000, when, state),
        )
        if not verdict:
            continue
        said = json.dumps(result(number, bed, stay, when, verdict))
        db.execute(
            "INSERT INTO done VALUES (?, 'e', ?, ?, ?, ?, ?, ?, ?, ?, 0)",
            (device, number, bed, stay, f"{device}.{number}.{bed}", SAYS[verdict], said, when + 9000, when + 9500),
        )


def result(number, bed, stay, when, verdict):
    return dict(
        round=number, bed=bed, stay=stay, masked_name="张**", due=when, done=when + 9000, verdict=verdict,
        similarity=0.42, threshold=0.5, fmr="1e-3", looks=3, synthetic=True,
    )


def answer(db, now, order):
    """What a device's round found in the beds of a spot check."""
    for check, device, beds in db.execute("SELECT id, device, beds FROM spot_check WHERE spot_order = ?", (order,)).fetchall():
        db.execute("UPDATE spot_check SET answered_ms = ?, epoch = 'e', round = 99 WHERE id = ?", (now, check))
        for bed in beds.split("\n"):
            stay = f"S{int(bed)}"
            db.execute("INSERT INTO due VALUES (?, 'e', 99, ?, ?, '张**', ?, ?, ?, 'settled')", (device, bed, stay, now, now, now))
            db.execute(
                "INSERT INTO done VALUES (?, 'e', 99, ?, ?, ?, 'Mismatch', ?, ?, ?, 0)",
                (device, bed, stay, f"{check}.{bed}", json.dumps(result(99, bed, stay, now, "mismatch")), now, now),
            )


def many(db, now, exceptions, checks):
    """`checks` that were due and done in wards of 40 beds, every four hours back from now, and `exceptions` over them."""
    wards = 40
    devices = [f"terminal-{at}" for at in range(wards)]
    far = now + 900 * HOUR
    for at, device in enumerate(devices):
        db.execute(
            "INSERT INTO device (device, ward, institution, statement_key, cert_sha256, cert_until_ms, round_every_ms,"
            " added_ms, logged, last_contact_ms, expected_ms, epoch) VALUES (?, ?, ?, x'00', '', ?, ?, ?, 0, ?, ?, 'e')",
            (device, f"{at}", f"医院{at // 4}", far, 4 * HOUR, now, now, far),
        )
        beds = [(device, f"{bed:02}", f"S{bed}") for bed in range(40)]
        db.executemany("INSERT INTO roster VALUES (?, ?, ?, '张**', 3)", beds)
    rounds = checks // wards // 40

    def rows():
        for number in range(rounds):
            when = now - (rounds - number) * 4 * HOUR
            for device in devices:
                for bed in range(40):
                    yield (device, number, f"{bed:02}", f"S{bed}", when, when, when)

    db.executemany("INSERT INTO due VALUES (?, 'e', ?, ?, ?, '张**', ?, ?, ?, 'settled')", rows())
    db.execute(
        "INSERT INTO done SELECT device, epoch, round, bed, stay, device || round || bed, 'Verified',"
        " json_object('round', round, 'bed', bed, 'stay', stay, 'masked_name', '张**', 'due', due_ms, 'done', due_ms,"
        " 'verdict', 'verified', 'similarity', 0.6, 'threshold', 0.5, 'fmr', '1e-3', 'looks', 3, 'synthetic', json('true')),"
        " due_ms, due_ms, 0 FROM due"
    )
    db.executemany(
        "INSERT INTO verification VALUES (?, ?, ?, 'pharmacy', ?, '张**', 'verified', NULL, NULL, NULL, NULL, NULL, 1200,"
        " NULL, 1, ?, ?)",
        (
            (devices[at % wards], f"v{at}", f"t{at}", f"S{at % 40}", now - at * 60_000, now - at * 60_000)
            for at in range(exceptions)
        ),
    )
    # As many as Gansu found.
    leads(db, now, 35_698)
    kinds = ["hanging_bed", "impersonation", "not_verified", "wrong_bed", "presentation_attack"]
    states = ["raised", "notified", "closed", "answered"]
    db.executemany(
        "INSERT INTO exception (device, id, kind, state, origin, bed, stay, masked_name, rounds, first_ms, last_ms,"
        " handling) VALUES (?, ?, ?, ?, 'device', ?, ?, '张**', 3, ?, ?, ?)",
        (
            (devices[at % wards], f"x{at}", kinds[at % 5], "confirmed" if at % 20 == 0 else "ended", f"{at % 40:02}",
             f"S{at % 40}", now - at * 20_000 - HOUR, now - at * 20_000, states[at % 4])
            for at in range(exceptions)
        ),
    )


def main():
    path, what, *more = sys.argv[1:]
    with sqlite3.connect(path, timeout=10) as db:
        if what == "fill":
            fill(db, int(time.time() * 1000))
        elif what == "many":
            many(db, int(time.time() * 1000), *map(int, more))
        elif what == "idle":
            db.execute("UPDATE session SET seen_ms = seen_ms - 1900000 WHERE person = ?", more)
        elif what == "answer":
            answer(db, int(time.time() * 1000), *more)
        elif what == "past":
            for table, column in [("spot_order", "id"), ("spot_check", "spot_order")]:
                db.execute(f"UPDATE {table} SET until_ms = 1 WHERE {column} = ?", more)
        elif what == "online":
            db.execute("UPDATE exception SET state = 'ended' WHERE kind = 'silence' AND device = ?", more)
        elif what == "offline":
            db.execute("UPDATE device SET last_contact_ms = 1, expected_ms = 1 WHERE device = ?", more)
        else:
            sys.exit(f"no such verb: {what}")


main()
