//! Beds, cases and devices as pages show them, prepared from the tables so that the templates only place it.

use crate::base::clock::Wall;
use crate::domain::liveness::Cue;
use crate::domain::verify::Proof;
use crate::platform::dashboard::words::{self, Lang, Term};
use crate::platform::keys::uri;
use crate::platform::ledger::BEATS_MISSED;
use crate::platform::view::{BedRow, DeviceRow, ExceptionRow, RoundView};

/// Evidence that took longer than this from the device's clock to ours is marked as late.
const LATE_S: i64 = 120;
/// Exceptions named in the row of one bed.
const MOST_OF_BED: usize = 3;

/// Beds one by one, with their floor and the boxes that look at them.
pub struct Beds {
    pub has_synthetic: bool,
    pub wards: Vec<Ward>,
    pub lines: Vec<Line>,
    pub boxes: Vec<Device>,
}

pub struct Tile {
    pub label: Term,
    pub value: String,
    pub note: String,
    pub mark: &'static str,
}

/// The floor of one device's ward.
pub struct Ward {
    pub name: String,
    /// The page of this ward alone.
    pub page: String,
    pub note: String,
    pub beds: Vec<FloorBed>,
}

pub struct FloorBed {
    pub anchor: String,
    pub bed: String,
    pub name: String,
    pub term: Term,
    pub is_due: bool,
    pub cases: usize,
}

/// One row of the table.
pub struct Line {
    pub anchor: String,
    pub institution: String,
    pub ward: String,
    pub bed: String,
    pub name: String,
    pub term: Term,
    pub detail: String,
    pub is_due: bool,
    pub bar: Option<Bar>,
    pub fmr: Option<String>,
    pub age: Option<String>,
    pub done: Option<String>,
    pub late: Option<String>,
    pub rounds: String,
    pub synthetic: bool,
    pub evidence: Option<String>,
    pub cases: Vec<(Term, Term, String)>,
    /// Exceptions of this bed beyond those.
    pub more_cases: usize,
    pub chain: Term,
    pub seq: i64,
    pub epoch: String,
}

/// The similarity with its threshold, in pixels of a bar of 100.
pub struct Bar {
    pub similarity: String,
    pub threshold: String,
    pub fill: u8,
    pub mark: u8,
}

pub struct Case {
    pub anchor: String,
    /// Where it is worked on.
    pub page: String,
    pub kind: Term,
    pub state: Term,
    pub place: String,
    pub claim: String,
    pub next: Term,
    pub rounds: String,
    pub age: String,
    pub by_platform: bool,
    pub is_over: bool,
}

pub struct Device {
    pub name: String,
    pub place: String,
    pub contact: String,
    pub next: String,
    pub chain: Term,
    pub seq: i64,
    pub accepted: i64,
    pub duplicates: i64,
    pub faces: String,
    pub unsent: String,
    /// What is to be said of eased work.
    pub eased: Option<String>,
    pub state: Term,
}

impl Beds {
    /// Of the wards whose beds, rounds and devices these are.
    pub fn new(l: Lang, now: Wall, beds: &[BedRow], rounds: &[RoundView], devices: &[DeviceRow]) -> Beds {
        Beds {
            has_synthetic: beds.iter().any(|bed| bed.synthetic),
            wards: wards(l, beds, rounds),
            lines: beds.iter().map(|bed| line(l, bed)).collect(),
            boxes: devices.iter().map(|row| device(l, now, row)).collect(),
        }
    }
}

fn wards(l: Lang, beds: &[BedRow], rounds: &[RoundView]) -> Vec<Ward> {
    let mut wards = Vec::new();
    for beds in beds.chunk_by(|one, other| one.device == other.device) {
        let first = &beds[0];
        let round = rounds.iter().find(|round| round.device == first.device);
        let note = round.map_or_else(
            || l.t("尚未开始巡查", "no round yet").to_owned(),
            |round| {
                let began = words::moment(round.began);
                match l {
                    Lang::Zh => format!("第{}轮 · 开始于 {began}", round.round),
                    Lang::En => format!("round {} · began {began}", round.round),
                }
            },
        );
        let floor = |bed: &BedRow| FloorBed {
            anchor: anchor(bed),
            bed: words::bed(l, &bed.bed),
            name: bed.masked_name.clone(),
            term: words::verdict(bed.verdict.as_deref()),
            is_due: bed.is_due,
            cases: bed.exceptions.len(),
        };
        wards.push(Ward {
            name: format!("{} · {}", first.institution, first.ward),
            page: format!("/wards/{}", uri(&first.device)),
            note,
            beds: beds.iter().map(floor).collect(),
        });
    }
    wards
}

fn anchor(bed: &BedRow) -> String {
    format!("bed-{}-{}", bed.device, bed.bed)
}

fn line(l: Lang, bed: &BedRow) -> Line {
    let detail = match (&bed.reason, &bed.found) {
        (Some(reason), _) => words::reason(reason).main(&l).to_owned(),
        (None, Some(found)) => format!("{} {found}", l.t("床上为住院号", "in the bed: stay")),
        (None, None) if bed.templates == 0 => l.t("未登记人脸", "not enrolled").to_owned(),
        (None, None) => bed.life.as_ref().map_or_else(String::new, |proof| life(l, proof)),
    };
    let late = bed
        .done
        .zip(bed.received)
        .map(|(done, received)| (received - done) / 1000)
        .filter(|late| *late > LATE_S)
        .map(|late| format!("{} {}", l.t("补报，晚", "late by"), words::age(l, late)));
    let cases = bed
        .exceptions
        .iter()
        .take(MOST_OF_BED)
        .map(|case| (words::kind(&case.kind), words::state(&case.state), words::rounds(l, case.rounds)))
        .collect();
    Line {
        anchor: anchor(bed),
        institution: bed.institution.clone(),
        ward: bed.ward.clone(),
        bed: words::bed(l, &bed.bed),
        name: bed.masked_name.clone(),
        term: words::verdict(bed.verdict.as_deref()),
        detail,
        is_due: bed.is_due,
        bar: bed.similarity.zip(bed.threshold).map(|(similarity, threshold)| bar(similarity, threshold)),
        fmr: bed.fmr.as_deref().and_then(words::fmr),
        age: bed.age_s.map(|age| words::age(l, age)),
        done: bed.done.map(words::moment),
        late,
        rounds: words::rounds(l, bed.rounds_seen),
        synthetic: bed.synthetic,
        evidence: bed.evidence.clone(),
        cases,
        more_cases: bed.exceptions.len().saturating_sub(MOST_OF_BED),
        chain: words::chain(bed.chain.state),
        seq: bed.chain.seq,
        epoch: bed.chain.epoch.as_deref().unwrap_or("").chars().take(8).collect(),
    }
}

/// The cue about life, with the breathing rate where there is one.
fn life(l: Lang, proof: &Proof) -> String {
    let cue = words::cue(proof.cue).main(&l);
    match (&proof.life.body, proof.cue) {
        (Some(body), Cue::Breathing) => {
            format!("{cue} {:.0}{}", body.per_minute, l.t("次/分", "/min"))
        }
        _ => cue.to_owned(),
    }
}

fn bar(similarity: f32, threshold: f32) -> Bar {
    let share = |value: f32| (value.clamp(0.0, 1.0) * 100.0) as u8;
    Bar {
        similarity: format!("{similarity:.2}"),
        threshold: format!("{threshold:.2}"),
        fill: share(similarity),
        mark: share(threshold),
    }
}

pub fn case(l: Lang, row: &ExceptionRow) -> Case {
    let who = row.masked_name.as_deref().map_or_else(String::new, |name| format!(" · {name}"));
    Case {
        anchor: format!("case-{}-{}", row.device, row.id),
        page: format!("/exceptions/{}/{}", uri(&row.device), uri(&row.id)),
        kind: words::kind(&row.kind),
        state: words::state(&row.state),
        place: format!("{} · {}{who}", row.institution, row.ward),
        claim: words::claim(l, row),
        next: words::next_step(&row.kind),
        rounds: words::rounds(l, row.rounds),
        age: words::age(l, row.age_s),
        by_platform: row.origin == "platform",
        is_over: row.state == "ended",
    }
}

pub fn device(l: Lang, now: Wall, row: &DeviceRow) -> Device {
    let number = |value: Option<i64>| value.map_or_else(|| "–".to_owned(), |value| value.to_string());
    let state = match (&row.revoked, row.last_contact) {
        (Some(_), _) => Term { zh: "已停用", en: "Revoked", mark: "bad" },
        (None, None) => Term { zh: "未联络", en: "Never seen", mark: "none" },
        (None, Some(at)) if now.since(Wall(at)) > BEATS_MISSED => {
            Term { zh: "失联", en: "Silent", mark: "bad" }
        }
        (None, Some(_)) if now.0 > row.next_round_by => Term { zh: "逾期", en: "Overdue", mark: "bad" },
        (None, Some(_)) => Term { zh: "正常", en: "Present", mark: "ok" },
    };
    Device {
        name: row.device.clone(),
        place: format!("{} · {}", row.institution, row.ward),
        contact: row.last_contact.map_or_else(
            || "–".to_owned(),
            |at| format!("{} {}", words::age(l, words::since(now, at)), l.t("前", "ago")),
        ),
        next: words::moment(row.next_round_by),
        chain: words::chain(row.head.state),
        seq: row.head.seq,
        accepted: row.accepted,
        duplicates: row.duplicates,
        faces: number(row.stored_faces),
        unsent: number(row.unsent),
        eased: row.eased.map(|eased| words::eased(l, eased)),
        state,
    }
}
