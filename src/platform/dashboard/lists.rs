//! The pages that list: coverage of the patrol, single checks, contradictions, devices, the audit trail.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Query, State};
use axum::http::HeaderMap;
use axum::response::Html;
use serde::Deserialize;

use crate::platform::checks::Wanted;
use crate::platform::coverage::{self, Cell, Row};
use crate::platform::dashboard::frame::Frame;
use crate::platform::dashboard::page::{Device, device};
use crate::platform::dashboard::pages::lang_of;
use crate::platform::dashboard::words::{self, Lang, Term, moment};
use crate::platform::dashboard::{Dashboard, Trouble, case_words};
use crate::platform::keys::uri;
use crate::platform::queue::{self, Filter};
use crate::platform::sessions::Visitor;
use crate::platform::{checks, trail, view};

type Answer = Result<Html<String>, Trouble>;

#[derive(Template)]
#[template(path = "patrol.html", config = "src/platform/dashboard/askama.toml")]
struct Patrol {
    l: Lang,
    f: Frame,
    institutions: Vec<String>,
    chosen: String,
    days: Vec<String>,
    rows: Vec<(String, String, Vec<Shown>)>,
}

/// A cell as words, sign and colour: none of them stands alone.
struct Shown {
    mark: &'static str,
    text: String,
    said: String,
}

#[derive(Deserialize)]
pub struct Chosen {
    #[serde(default)]
    institution: String,
}

/// `GET /patrol`: the coverage matrix of one institution.
pub async fn patrol(
    State(dashboard): State<Arc<Dashboard>>,
    Query(Chosen { institution }): Query<Chosen>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Answer {
    let (l, now) = (lang_of(&headers), dashboard.clock.now().wall);
    let who = visitor.clone();
    let (institutions, chosen, rows) = dashboard
        .read(move |connection| {
            let institutions = queue::institutions(connection, who.scope())?;
            // Only out of those that may be seen.
            let chosen = institutions.iter().find(|name| **name == institution).or(institutions.first());
            let chosen = chosen.cloned().unwrap_or_default();
            let rows = coverage::matrix(connection, &chosen, now)?;
            Ok((institutions, chosen, rows))
        })
        .await?;
    let days = coverage::days(now).into_iter().map(|at| moment(at).chars().take(5).collect()).collect();
    let f = Frame::new(l, &visitor, "/patrol", "/patrol");
    let rows = rows.iter().map(|row| shown_row(l, row)).collect();
    Ok(Html(Patrol { l, f, institutions, chosen, days, rows }.render()?))
}

fn shown_row(l: Lang, row: &Row) -> (String, String, Vec<Shown>) {
    let cells = row.cells.iter().map(|cell| shown(l, cell.as_ref())).collect();
    (row.ward.clone(), words::bed(l, &row.bed), cells)
}

fn shown(l: Lang, cell: Option<&Cell>) -> Shown {
    let Some(cell) = cell else {
        return Shown {
            mark: "nothing",
            text: "·".to_owned(),
            said: l.t("无应查", "nothing due").to_owned(),
        };
    };
    let Cell { due, open, not_done, against, good } = *cell;
    let said = |zh: &str, en: &str, count: i64| format!("{} {count}/{due}", l.t(zh, en));
    if against > 0 {
        Shown {
            mark: "mismatch", text: format!("✗ {against}/{due}"), said: said("不符", "against", against)
        }
    } else if not_done > 0 {
        Shown {
            mark: "notdone",
            text: format!("◷ {not_done}/{due}"),
            said: said("未执行", "not done", not_done),
        }
    } else if good == due {
        Shown { mark: "verified", text: format!("✓ {due}"), said: said("已核实", "verified", good) }
    } else if open > 0 {
        Shown { mark: "nothing", text: format!("… {open}/{due}"), said: said("待查", "waiting", open) }
    } else {
        Shown { mark: "unclear", text: format!("? {good}/{due}"), said: said("已核实", "verified", good) }
    }
}

#[derive(Template)]
#[template(path = "checks.html", config = "src/platform/dashboard/askama.toml")]
struct Checks {
    l: Lang,
    f: Frame,
    wish: Which,
    institutions: Vec<String>,
    rows: Vec<CheckLine>,
    next: Option<String>,
}

struct CheckLine {
    due: String,
    place: String,
    page: String,
    bed: String,
    name: String,
    verdict: Term,
    done: String,
    received: String,
}

#[derive(Clone, Default, Deserialize)]
pub struct Which {
    #[serde(default)]
    institution: String,
    #[serde(default)]
    device: String,
    #[serde(default)]
    after: String,
}

/// `GET /verification`: check by check.
pub async fn checks(
    State(dashboard): State<Arc<Dashboard>>,
    Query(wish): Query<Which>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Answer {
    let (l, who, which) = (lang_of(&headers), visitor.clone(), wish.clone());
    let (page, institutions) = dashboard
        .read(move |connection| {
            let named = |text: &'_ str| -> Option<String> {
                Some(text.trim().to_owned()).filter(|text| !text.is_empty())
            };
            let (institution, device) = (named(&which.institution), named(&which.device));
            let wanted = Wanted {
                institution: institution.as_deref(),
                device: device.as_deref(),
                after: &which.after,
            };
            let page = checks::page(connection, &wanted, who.scope())?;
            Ok((page, queue::institutions(connection, who.scope())?))
        })
        .await?;
    let next = page.next.map(|after| {
        let (institution, device) = (uri(wish.institution.trim()), uri(wish.device.trim()));
        format!("/verification?institution={institution}&device={device}&after={after}")
    });
    let rows = page.rows.into_iter().map(|row| check_line(l, row)).collect();
    let f = Frame::new(l, &visitor, "/verification", "/verification");
    Ok(Html(Checks { l, f, wish, institutions, rows, next }.render()?))
}

fn check_line(l: Lang, row: checks::Check) -> CheckLine {
    let at = |ms: Option<i64>| ms.map_or_else(|| "–".to_owned(), moment);
    CheckLine {
        due: moment(row.due),
        place: format!("{} · {}", row.institution, row.ward),
        page: format!("/wards/{}", uri(&row.device)),
        bed: words::bed(l, &row.bed),
        name: row.masked_name,
        verdict: words::verdict(row.verdict.as_deref()),
        done: at(row.done),
        received: at(row.received),
    }
}

#[derive(Template)]
#[template(path = "contradictions.html", config = "src/platform/dashboard/askama.toml")]
struct Contradictions {
    l: Lang,
    f: Frame,
    kinds: Vec<Lead>,
}

/// A kind of contradiction with its newest cases.
struct Lead {
    kind: Term,
    all: String,
    rows: Vec<(String, String, String)>,
}

/// Contradictions between registers: leads that need no look at a bed.
const LEADS: [&str; 6] = [
    "insurer_mismatch",
    "two_beds",
    "two_in_bed",
    "taken_back",
    "retroactive_departure",
    "retroactive_leave",
];
const MOST_LEADS: usize = 10;

/// `GET /screening/contradictions`.
pub async fn contradictions(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Answer {
    let (l, now, who) = (lang_of(&headers), dashboard.clock.now().wall, visitor.clone());
    let kinds = dashboard
        .read(move |connection| {
            let mut kinds = Vec::new();
            for kind in LEADS {
                let filter = Filter { kind: kind.to_owned(), ..Filter::default() };
                let page = queue::page(connection, &filter, who.scope(), now)?;
                let rows = page.rows.iter().take(MOST_LEADS).map(|queued| {
                    let row = &queued.row;
                    let path = format!("/exceptions/{}/{}", uri(&row.device), uri(&row.id));
                    (path, words::claim(l, row), format!("{} · {}", row.institution, row.ward))
                });
                let all = format!("/exceptions?kind={kind}");
                kinds.push(Lead { kind: words::kind(kind), all, rows: rows.collect() });
            }
            Ok(kinds)
        })
        .await?;
    let f = Frame::new(l, &visitor, "/screening", "/screening/contradictions");
    Ok(Html(Contradictions { l, f, kinds }.render()?))
}

#[derive(Template)]
#[template(path = "devices.html", config = "src/platform/dashboard/askama.toml")]
struct Devices {
    l: Lang,
    f: Frame,
    boxes: Vec<Device>,
}

/// `GET /devices`.
pub async fn devices(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Answer {
    let (l, now, who) = (lang_of(&headers), dashboard.clock.now().wall, visitor.clone());
    let rows = dashboard.read(move |connection| view::devices(connection, who.scope())).await?;
    let boxes = rows.iter().map(|row| device(l, now, row)).collect();
    let f = Frame::new(l, &visitor, "/devices", "/devices");
    Ok(Html(Devices { l, f, boxes }.render()?))
}

#[derive(Template)]
#[template(path = "audit.html", config = "src/platform/dashboard/askama.toml")]
struct Audit {
    l: Lang,
    f: Frame,
    person: String,
    /// Each with its time, role and act in words.
    entries: Vec<(String, Term, Term, trail::Entry)>,
    next: Option<String>,
}

#[derive(Deserialize)]
pub struct Sought {
    before: Option<i64>,
    #[serde(default)]
    person: String,
}

const MOST_ENTRIES: i64 = 100;

/// `GET /audit`: who looked at what and who did what.
pub async fn audit(
    State(dashboard): State<Arc<Dashboard>>,
    Query(Sought { before, person }): Query<Sought>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Answer {
    let l = lang_of(&headers);
    let sought = Some(person.trim().to_owned()).filter(|name| !name.is_empty());
    let entries = dashboard
        .read(move |connection| trail::list(connection, before, sought.as_deref(), MOST_ENTRIES))
        .await?;
    let is_full = i64::try_from(entries.len()).is_ok_and(|count| count == MOST_ENTRIES);
    let last = entries.last().filter(|_| is_full);
    let next = last.map(|last| format!("/audit?before={}&person={}", last.number, uri(person.trim())));
    let f = Frame::new(l, &visitor, "/audit", "/audit");
    let worded = |entry: trail::Entry| {
        (moment(entry.at), case_words::role(&entry.role), case_words::act(&entry.act), entry)
    };
    let entries = entries.into_iter().map(worded).collect();
    Ok(Html(Audit { l, f, person, entries, next }.render()?))
}
