//! The big screen 大屏: today in numbers that are read from across a room, hospitals by presence, two weeks as a plot, live.
//! It shows nobody: what hangs on a wall is seen by whoever passes.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::Html;

use crate::base::clock::Wall;
use crate::domain::presence::Tally;
use crate::platform::dashboard::pages::lang_of;
use crate::platform::dashboard::words::{Lang, Term, moment};
use crate::platform::dashboard::{Dashboard, Trouble};
use crate::platform::db::{self, Connection};
use crate::platform::score::{self, DayNumber};
use crate::platform::sessions::Visitor;
use crate::platform::wards::{self, Cases};

/// Days of the plot and of the hospitals' scores.
const DAYS: usize = 14;
/// As many fit at a size that is read from four metres.
const MOST_HOSPITALS: usize = 8;
/// Of the plot, in its own units.
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 420.0;

#[derive(Template)]
#[template(path = "screen.html", config = "src/platform/dashboard/askama.toml")]
struct Page {
    l: Lang,
    board: Board,
}

#[derive(Template)]
#[template(path = "screen_rows.html", config = "src/platform/dashboard/askama.toml")]
struct Rows {
    l: Lang,
    board: Board,
}

struct Board {
    drawn: String,
    numbers: Vec<Number>,
    hospitals: Vec<Hospital>,
    hidden: usize,
    plot: Plot,
}

/// A number with what it is and what belongs to it.
struct Number {
    label: Term,
    value: String,
    note: String,
    mark: &'static str,
}

/// A hospital and its score of the last days, as a bar of 100.
struct Hospital {
    name: String,
    score: String,
    bar: u8,
    coverage: String,
    presence: String,
}

/// Two lines over the days.
struct Plot {
    coverage: Line,
    presence: Line,
    /// Dates under the plot with their place.
    dates: Vec<(String, String)>,
}

struct Line {
    points: String,
    marks: Vec<(String, String)>,
    latest: String,
}

/// `GET /screen`.
pub async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Result<Html<String>, Trouble> {
    let l = lang_of(&headers);
    Ok(Html(Page { l, board: board(&dashboard, visitor, l).await? }.render()?))
}

/// `GET /screen/rows`: the live part alone.
pub async fn rows(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Result<Html<String>, Trouble> {
    let l = lang_of(&headers);
    Ok(Html(Rows { l, board: board(&dashboard, visitor, l).await? }.render()?))
}

async fn board(dashboard: &Dashboard, visitor: Visitor, l: Lang) -> Result<Board, Trouble> {
    let now = dashboard.clock.now().wall;
    dashboard.read(move |connection| read(connection, visitor.scope(), l, now)).await
}

fn read(connection: &Connection, scope: Option<&str>, l: Lang, now: Wall) -> db::Result<Board> {
    let wards = wards::list(connection, scope, now)?;
    let today = wards.iter().fold(Tally::default(), |sum, ward| sum.and(&ward.today));
    let cases = wards.iter().fold(Cases::default(), |sum, ward| sum.and(ward.cases));
    let silent = wards.iter().filter(|ward| ward.is_silent).count();
    let overdue = wards::overdue(connection, scope, now)?;
    let last = DayNumber::of(now);
    let first = DayNumber(last.0 + 1 - DAYS as i64);
    let mut hospitals = score::institutions(connection, scope, (first, last))?;
    // The worst first: that is who must be looked at.
    let score = |tally: &Tally| tally.score().unwrap_or(f64::MAX);
    hospitals.sort_by(|one, other| score(&one.tally).total_cmp(&score(&other.tally)));
    let days = wards::days(connection, scope, DAYS, now)?;
    Ok(Board {
        drawn: moment(now.0),
        numbers: numbers(l, &today, cases, overdue, (wards.len() - silent, wards.len())),
        hidden: hospitals.len().saturating_sub(MOST_HOSPITALS),
        hospitals: hospitals
            .iter()
            .take(MOST_HOSPITALS)
            .map(|row| hospital(&row.institution, &row.tally))
            .collect(),
        plot: plot(&days, first),
    })
}

fn numbers(l: Lang, today: &Tally, cases: Cases, overdue: i64, devices: (usize, usize)) -> Vec<Number> {
    let number = |(zh, en), value: String, note: String, mark| {
        let label = Term { zh, en, mark: "" };
        Number { label, value, note, mark }
    };
    let loud = |is_loud: bool, mark| if is_loud { mark } else { "calm" };
    let (present, all) = devices;
    vec![
        number(
            ("今日覆盖率", "Covered today"),
            percent(today.coverage()),
            format!("{} {}/{}", l.t("已有结果", "answered"), today.proved(), today.due),
            "calm",
        ),
        number(
            ("今日不符", "Against today"),
            today.against.to_string(),
            format!("{} {}", l.t("已核实", "verified"), today.verified),
            loud(today.against > 0, "against"),
        ),
        number(
            ("今日未执行", "Not done today"),
            today.missed.to_string(),
            l.t("到期无证据", "due without proof").to_owned(),
            loud(today.missed > 0, "missed"),
        ),
        number(
            ("未结案件", "Open cases"),
            cases.open.to_string(),
            format!("{} {overdue}", l.t("其中逾期", "overdue")),
            loud(overdue > 0, "against"),
        ),
        number(
            ("设备在线", "Devices present"),
            format!("{present}/{all}"),
            format!("{} {}", l.t("失联", "silent"), all - present),
            loud(present < all, "missed"),
        ),
    ]
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |share| format!("{:.0}%", 100.0 * share))
}

fn hospital(name: &str, tally: &Tally) -> Hospital {
    Hospital {
        name: name.to_owned(),
        score: tally.score().map_or_else(|| "–".to_owned(), |score| format!("{score:.0}")),
        bar: tally.score().map_or(0, |score| score.clamp(0.0, 100.0) as u8),
        coverage: percent(tally.coverage()),
        presence: percent(tally.presence()),
    }
}

fn plot(days: &[Tally], first: DayNumber) -> Plot {
    let place = |at: usize| at as f64 * WIDTH / (days.len().max(2) - 1) as f64;
    let line = |share: fn(&Tally) -> Option<f64>| {
        let known = days.iter().enumerate().filter_map(|(at, day)| Some((place(at), share(day)?)));
        let marks: Vec<(String, String)> =
            known.map(|(x, share)| (format!("{x:.0}"), format!("{:.0}", HEIGHT * (1.0 - share)))).collect();
        let points = marks.iter().map(|(x, y)| format!("{x},{y}")).collect::<Vec<_>>().join(" ");
        Line { points, marks, latest: percent(days.iter().rev().find_map(share)) }
    };
    let date = |at: usize| {
        let begin = DayNumber(first.0 + at as i64).begin();
        (format!("{:.0}", place(at)), moment(begin.0).chars().take(5).collect())
    };
    Plot {
        coverage: line(Tally::coverage),
        presence: line(Tally::presence),
        // Every third one leaves room between them.
        dates: (0..days.len()).rev().step_by(3).map(date).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_runs_from_the_first_day_to_the_last_and_leaves_out_days_without_checks() {
        let good = Tally { due: 4, verified: 4, ..Tally::default() };
        let half = Tally { due: 4, verified: 1, against: 1, missed: 2, ..Tally::default() };
        let plot = plot(&[good, Tally::default(), half], DayNumber(20_700));
        assert_eq!(plot.coverage.points, "0,0 860,210");
        assert_eq!(plot.presence.points, "0,0 860,210");
        assert_eq!((plot.coverage.latest.as_str(), plot.coverage.marks.len()), ("50%", 2));
        assert_eq!(plot.dates.len(), 1);
        assert_eq!(self::plot(&[], DayNumber(0)).coverage.points, "");
    }
}
