//! The overview: today in numbers, then hospital by hospital, one hospital ward by ward, or, where there are few beds, the
//! beds themselves. Beyond that a page of a ward shows them: a province would be one page of megabytes.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Query, State};
use axum::http::HeaderMap;
use axum::response::Html;
use serde::Deserialize;

use crate::base::clock::Wall;
use crate::domain::presence::Tally;
use crate::domain::role::Role;
use crate::platform::dashboard::frame::Frame;
use crate::platform::dashboard::page::{self, Beds, Case, Tile};
use crate::platform::dashboard::pages::lang_of;
use crate::platform::dashboard::words::{self, Lang, Term};
use crate::platform::dashboard::{Dashboard, Trouble};
use crate::platform::db::{self, Connection};
use crate::platform::keys::uri;
use crate::platform::sessions::Visitor;
use crate::platform::view::{BedRow, DeviceRow, ExceptionRow, RoundView};
use crate::platform::wards::{self, Cases, Ward};
use crate::platform::{queue, view};

/// As many beds are shown one by one on the first page.
const FEW_BEDS: i64 = 40;
/// Exceptions beside them, the newest.
const MOST_CASES: usize = 15;
/// Hospitals, or wards of one, on a page.
const MOST_SUMS: usize = 60;

#[derive(Template)]
#[template(path = "page.html", config = "src/platform/dashboard/askama.toml")]
struct Page {
    l: Lang,
    f: Frame,
    board: Board,
    /// Where the live part is fetched from.
    live: String,
}

/// The part that lives: fetched again on every change.
#[derive(Template)]
#[template(path = "rows.html", config = "src/platform/dashboard/askama.toml")]
struct Rows {
    l: Lang,
    board: Board,
}

struct Board {
    drawn: String,
    tiles: Vec<Tile>,
    beds: Option<Beds>,
    /// The hospital whose wards are listed.
    institution: Option<String>,
    sums: Vec<Sum>,
    next: Option<String>,
    cases: Vec<Case>,
    all_cases: &'static str,
}

/// A hospital or a ward in one line.
struct Sum {
    anchor: String,
    name: String,
    page: String,
    wards: usize,
    beds: i64,
    today: Tally,
    coverage: Option<String>,
    waiting: u64,
    cases: Cases,
    device: Term,
    contact: String,
}

#[derive(Clone, Default, Deserialize)]
pub struct Wish {
    #[serde(default)]
    institution: String,
    /// The number of the page, from 0 on.
    #[serde(default)]
    page: usize,
}

/// `GET /`.
pub async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    Query(wish): Query<Wish>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Result<Html<String>, Trouble> {
    let l = lang_of(&headers);
    let live = format!("/rows?institution={}&page={}", uri(&wish.institution), wish.page);
    let board = board(&dashboard, &visitor, wish, l).await?;
    let f = Frame::new(l, &visitor, "/", "/");
    Ok(Html(Page { l, f, board, live }.render()?))
}

/// `GET /rows`: the live part alone.
pub async fn rows(
    State(dashboard): State<Arc<Dashboard>>,
    Query(wish): Query<Wish>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Result<Html<String>, Trouble> {
    let l = lang_of(&headers);
    let board = board(&dashboard, &visitor, wish, l).await?;
    Ok(Html(Rows { l, board }.render()?))
}

/// Everything read for one page.
struct Facts {
    wards: Vec<Ward>,
    overdue: i64,
    exceptions: Vec<ExceptionRow>,
    beds: Option<(Vec<BedRow>, Vec<RoundView>, Vec<DeviceRow>)>,
}

fn read(connection: &Connection, visitor: &Visitor, now: Wall) -> db::Result<Facts> {
    let scope = visitor.scope();
    // Who looks after accounts and devices sees no patient.
    let sees_people = visitor.role != Role::Administrator;
    let wards = wards::list(connection, scope, now)?;
    let is_small = wards.iter().map(|ward| ward.beds).sum::<i64>() <= FEW_BEDS;
    let beds = if is_small && sees_people {
        let beds = view::beds(connection, scope, now)?;
        Some((beds, view::rounds(connection, scope, None)?, view::devices(connection, scope)?))
    } else {
        None
    };
    let exceptions =
        if sees_people { queue::seen(connection, scope, None, MOST_CASES, now)? } else { Vec::new() };
    Ok(Facts { wards, overdue: wards::overdue(connection, scope, now)?, exceptions, beds })
}

async fn board(dashboard: &Dashboard, visitor: &Visitor, wish: Wish, l: Lang) -> Result<Board, Trouble> {
    let (now, who) = (dashboard.clock.now().wall, visitor.clone());
    let facts = dashboard.read(move |connection| read(connection, &who, now)).await?;
    let beds = facts.beds.as_ref().map(|(beds, rounds, devices)| Beds::new(l, now, beds, rounds, devices));
    let is_one = facts.wards.windows(2).all(|two| two[0].institution == two[1].institution);
    let institution = match facts.wards.first() {
        Some(ward) if is_one => Some(ward.institution.clone()),
        Some(_) | None => Some(wish.institution).filter(|name| !name.is_empty()),
    };
    let mut sums: Vec<Sum> = match &institution {
        _ if beds.is_some() => Vec::new(),
        None => facts
            .wards
            .chunk_by(|one, other| one.institution == other.institution)
            .map(|wards| hospital(l, now, wards))
            .collect(),
        Some(name) => {
            facts.wards.iter().filter(|row| row.institution == *name).map(|row| ward(l, now, row)).collect()
        }
    };
    let begin = wish.page.saturating_mul(MOST_SUMS).min(sums.len());
    let has_more = sums.len() - begin > MOST_SUMS;
    sums = sums.drain(begin..).take(MOST_SUMS).collect();
    let of = institution.as_deref().map_or_else(String::new, |name| format!("institution={}&", uri(name)));
    let next = has_more.then(|| format!("/?{of}page={}", wish.page + 1));
    Ok(Board {
        drawn: words::moment(now.0),
        tiles: tiles(l, now, &facts),
        beds,
        institution,
        sums,
        next,
        cases: facts.exceptions.iter().map(|row| page::case(l, row)).collect(),
        all_cases: "/exceptions?state=open",
    })
}

fn hospital(l: Lang, now: Wall, wards: &[Ward]) -> Sum {
    let first = &wards[0];
    let silent = wards.iter().filter(|ward| ward.is_silent).count();
    let device = match silent {
        0 => Term { zh: "正常", en: "Present", mark: "ok" },
        _ => Term { zh: "有设备失联", en: "Some silent", mark: "bad" },
    };
    Sum {
        anchor: format!("at-{}", first.device),
        name: first.institution.clone(),
        page: format!("/?institution={}", uri(&first.institution)),
        wards: wards.len(),
        beds: wards.iter().map(|ward| ward.beds).sum(),
        device,
        ..sum(l, now, wards)
    }
}

fn ward(l: Lang, now: Wall, ward: &Ward) -> Sum {
    let device = if ward.is_silent {
        Term { zh: "失联", en: "Silent", mark: "bad" }
    } else if ward.last_contact.is_none() {
        Term { zh: "未联络", en: "Never seen", mark: "none" }
    } else if now.0 > ward.next_round_by {
        Term { zh: "逾期", en: "Overdue", mark: "bad" }
    } else {
        Term { zh: "正常", en: "Present", mark: "ok" }
    };
    let (name, page) = (ward.ward.clone(), format!("/wards/{}", uri(&ward.device)));
    let anchor = format!("at-{}", ward.device);
    Sum { anchor, name, page, wards: 1, beds: ward.beds, device, ..sum(l, now, std::slice::from_ref(ward)) }
}

/// What is added up; the rest is for the caller to fill in.
fn sum(l: Lang, now: Wall, wards: &[Ward]) -> Sum {
    let today = wards.iter().fold(Tally::default(), |sum, ward| sum.and(&ward.today));
    let contact = wards.iter().filter_map(|ward| ward.last_contact).max();
    Sum {
        anchor: String::new(),
        name: String::new(),
        page: String::new(),
        wards: 0,
        beds: 0,
        coverage: today.coverage().map(|share| format!("{:.0} %", 100.0 * share)),
        waiting: today.due.saturating_sub(today.ended()),
        today,
        cases: wards.iter().fold(Cases::default(), |sum, ward| sum.and(ward.cases)),
        device: Term { zh: "", en: "", mark: "none" },
        contact: contact.map_or_else(
            || "–".to_owned(),
            |at| format!("{} {}", words::age(l, words::since(now, at)), l.t("前", "ago")),
        ),
    }
}

fn tiles(l: Lang, now: Wall, facts: &Facts) -> Vec<Tile> {
    let all = sum(l, now, &facts.wards);
    let (today, cases) = (all.today, all.cases);
    let beds: i64 = facts.wards.iter().map(|ward| ward.beds).sum();
    let silent = facts.wards.iter().filter(|ward| ward.is_silent).count();
    let tile = |(zh, en), value: String, note: String, mark| {
        let label = Term { zh, en, mark: "" };
        Tile { label, value, note, mark }
    };
    let pair = |(zh, en): (&str, &str), count: u64| format!("{} {count}", l.t(zh, en));
    let loud = |count: u64, mark| if count > 0 { mark } else { "plain" };
    vec![
        tile(
            ("今日应查", "Due today"),
            format!("{}/{}", today.proved(), today.due),
            format!("{} · {} {beds}", pair(("待查", "waiting"), all.waiting), l.t("在册床位", "beds")),
            "plain",
        ),
        tile(
            ("今日已核实", "Verified today"),
            today.verified.to_string(),
            format!(
                "{} · {}",
                pair(("有据离床", "excused"), today.excused),
                pair(("未能判定", "unclear"), today.unclear)
            ),
            "verified",
        ),
        tile(
            ("今日不符", "Against today"),
            today.against.to_string(),
            l.t("不在床、他人、假体、错床", "absent, another, no life, wrong bed").to_owned(),
            loud(today.against, "absent"),
        ),
        tile(
            ("今日未执行", "Not done today"),
            today.missed.to_string(),
            l.t("到期无证据", "due without proof").to_owned(),
            loud(today.missed, "notdone"),
        ),
        tile(
            ("未结案件", "Open cases"),
            cases.open.to_string(),
            format!(
                "{} {} · {} {}",
                l.t("现场仍在", "still seen"),
                cases.seen,
                l.t("逾期", "overdue"),
                facts.overdue
            ),
            loud(u64::try_from(cases.open).unwrap_or(0), "absent"),
        ),
        tile(
            ("设备", "Devices"),
            format!("{}/{}", facts.wards.len() - silent, facts.wards.len()),
            format!("{} {}", l.t("最近联络", "last contact"), all.contact),
            loud(silent as u64, "notdone"),
        ),
    ]
}
