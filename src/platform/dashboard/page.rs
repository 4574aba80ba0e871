//! What the page shows, prepared from the tables so that the templates only place it.

use askama::Template;

use crate::base::clock::Wall;
use crate::domain::liveness::Cue;
use crate::domain::verify::Proof;
use crate::platform::dashboard::frame::Frame;
use crate::platform::dashboard::words::{self, Lang, Term};
use crate::platform::keys::uri;
use crate::platform::view::{BedRow, DeviceRow, ExceptionRow, RoundView};

/// Evidence that took longer than this from the device's clock to ours is marked as late.
const LATE_S: i64 = 120;
/// Exceptions that are over and still listed.
const MOST_ENDED: usize = 10;

/// Everything read for one page.
pub struct Facts {
    pub now: Wall,
    pub beds: Vec<BedRow>,
    pub exceptions: Vec<ExceptionRow>,
    pub devices: Vec<DeviceRow>,
    pub rounds: Vec<RoundView>,
}

/// The whole page.
#[derive(Template)]
#[template(path = "page.html", config = "src/platform/dashboard/askama.toml")]
pub struct Page {
    pub l: Lang,
    pub f: Frame,
    pub board: Board,
}

/// The part that lives: fetched again on every change.
#[derive(Template)]
#[template(path = "rows.html", config = "src/platform/dashboard/askama.toml")]
pub struct Rows {
    pub l: Lang,
    pub board: Board,
}

/// The content of a page.
pub struct Board {
    pub drawn: String,
    pub tiles: Vec<Tile>,
    pub has_synthetic: bool,
    pub wards: Vec<Ward>,
    pub lines: Vec<Line>,
    pub cases: Vec<Case>,
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
    pub state: Term,
}

impl Board {
    pub fn new(l: Lang, facts: &Facts) -> Board {
        let open = facts.exceptions.iter().filter(|case| case.state != "ended");
        let over = facts.exceptions.iter().filter(|case| case.state == "ended").take(MOST_ENDED);
        Board {
            drawn: words::moment(facts.now.0),
            tiles: tiles(l, facts),
            has_synthetic: facts.beds.iter().any(|bed| bed.synthetic),
            wards: wards(l, facts),
            lines: facts.beds.iter().map(|bed| line(l, bed)).collect(),
            cases: open.chain(over).map(|row| case(l, row)).collect(),
            boxes: facts.devices.iter().map(|row| device(l, facts.now, row)).collect(),
        }
    }
}

fn tiles(l: Lang, facts: &Facts) -> Vec<Tile> {
    let count = |name: &str| facts.beds.iter().filter(|bed| bed.verdict.as_deref() == Some(name)).count();
    let due: i64 = facts.rounds.iter().map(|round| round.open + round.settled + round.not_done).sum();
    let settled: i64 = facts.rounds.iter().map(|round| round.settled).sum();
    let waiting: i64 = facts.rounds.iter().map(|round| round.open).sum();
    let open = facts.exceptions.iter().filter(|case| case.state != "ended").count();
    let confirmed = facts.exceptions.iter().filter(|case| case.state == "confirmed").count();
    let admitted = facts.devices.iter().filter(|device| device.revoked.is_none());
    let silent =
        facts.exceptions.iter().filter(|case| case.state != "ended" && case.kind == "silence").count();
    let latest = facts.devices.iter().filter_map(|device| device.last_contact).max();
    let latest = latest.map_or_else(
        || l.t("尚无联络", "no contact yet").to_owned(),
        |at| format!("{} {}", l.t("最近联络", "last contact"), words::moment(at)),
    );
    let label = |zh, en| Term { zh, en, mark: "" };
    let tile = |label, value: String, note: String, mark| Tile { label, value, note, mark };
    let (verified, missed) = (count("Verified"), count("NotDone"));
    vec![
        tile(
            label("本轮应查", "Due this round"),
            format!("{settled}/{due}"),
            format!(
                "{} {waiting} · {} {}",
                l.t("待查", "waiting"),
                l.t("在册", "on the roster"),
                facts.beds.len()
            ),
            "plain",
        ),
        tile(
            label("已核实", "Verified"),
            verified.to_string(),
            format!("{} {}", l.t("床位共", "of beds"), facts.beds.len()),
            "verified",
        ),
        tile(
            label("待处理异常", "Open exceptions"),
            open.to_string(),
            format!("{} {confirmed}", l.t("其中已复现", "confirmed")),
            if open > 0 { "absent" } else { "plain" },
        ),
        tile(
            label("未执行", "Not done"),
            missed.to_string(),
            l.t("到期无证据", "due without proof").to_owned(),
            if missed > 0 { "notdone" } else { "plain" },
        ),
        tile(
            label("设备", "Devices"),
            format!("{}/{}", admitted.clone().count().saturating_sub(silent), admitted.count()),
            latest,
            if silent > 0 { "notdone" } else { "plain" },
        ),
    ]
}

fn wards(l: Lang, facts: &Facts) -> Vec<Ward> {
    let mut wards = Vec::new();
    for beds in facts.beds.chunk_by(|one, other| one.device == other.device) {
        let first = &beds[0];
        let round = facts.rounds.iter().find(|round| round.device == first.device);
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

fn case(l: Lang, row: &ExceptionRow) -> Case {
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
        state,
    }
}
