//! Each institution's presence score over a quarter, with the formula beside it and its weeks as a line; the same as CSV.
//! The page is made to be printed: it is the quarterly report.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Response};
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use serde::Deserialize;

use crate::base::clock::Wall;
use crate::domain::presence::Tally;
use crate::platform::dashboard::frame::Frame;
use crate::platform::dashboard::pages::lang_of;
use crate::platform::dashboard::words::Lang;
use crate::platform::dashboard::{Dashboard, Trouble};
use crate::platform::score::{self, DayNumber, InstitutionTally};
use crate::platform::sessions::Visitor;

/// Quarters that can be chosen, the present one among them.
const QUARTERS: usize = 5;
/// Of the line of weeks, in pixels.
const WIDTH: f64 = 150.0;
const HEIGHT: f64 = 30.0;

#[derive(Template)]
#[template(path = "score.html", config = "src/platform/dashboard/askama.toml")]
struct Page {
    l: Lang,
    f: Frame,
    chosen: String,
    quarters: Vec<String>,
    rows: Vec<Row>,
}

struct Row {
    institution: String,
    tally: Tally,
    score: String,
    coverage: String,
    presence: String,
    /// Points of the line of scores by week; weeks without one are left out.
    line: String,
}

#[derive(Deserialize)]
pub struct Wish {
    #[serde(default)]
    quarter: String,
}

/// Three months.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Quarter {
    year: i16,
    /// 1..=4.
    number: i8,
}

impl Quarter {
    fn of(at: Wall) -> Option<Quarter> {
        let zone = TimeZone::fixed(Offset::constant(8));
        let date = jiff::Timestamp::from_millisecond(at.0).ok()?.to_zoned(zone).date();
        Some(Quarter { year: date.year(), number: (date.month() - 1) / 3 + 1 })
    }

    /// `2026Q4`.
    fn named(name: &str) -> Option<Quarter> {
        let (year, number) = name.split_once('Q')?;
        let (year, number) = (year.parse().ok()?, number.parse().ok()?);
        ((2000..=2999).contains(&year) && (1..=4).contains(&number)).then_some(Quarter { year, number })
    }

    fn name(self) -> String {
        format!("{}Q{}", self.year, self.number)
    }

    fn before(self) -> Quarter {
        match self.number {
            1 => Quarter { year: self.year - 1, number: 4 },
            number => Quarter { year: self.year, number: number - 1 },
        }
    }

    fn after(self) -> Quarter {
        match self.number {
            4 => Quarter { year: self.year + 1, number: 1 },
            number => Quarter { year: self.year, number: number + 1 },
        }
    }

    fn first_day(self) -> Option<DayNumber> {
        let epoch = Date::new(1970, 1, 1).ok()?;
        let first = Date::new(self.year, (self.number - 1) * 3 + 1, 1).ok()?;
        Some(DayNumber(i64::from((first - epoch).get_days())))
    }

    /// Its days up to today.
    fn days(self, now: Wall) -> Option<(DayNumber, DayNumber)> {
        let last = self.after().first_day()?.0 - 1;
        Some((self.first_day()?, DayNumber(last.min(DayNumber::of(now).0))))
    }
}

/// `GET /score`.
pub async fn page(
    State(dashboard): State<Arc<Dashboard>>,
    Query(wish): Query<Wish>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let (l, now) = (lang_of(&headers), dashboard.clock.now().wall);
    let (chosen, found) = read(&dashboard, &wish, &visitor, now).await?;
    let recent = std::iter::successors(Quarter::of(now), |quarter| Some(quarter.before()));
    let quarters = recent.take(QUARTERS).map(Quarter::name).collect();
    let f = Frame::new(l, &visitor, "/score", "/score");
    let rows = found.iter().map(shown).collect();
    Ok(Html(Page { l, f, chosen, quarters, rows }.render()?).into_response())
}

/// `GET /score.csv`, in the order of the page; with a mark that tells spreadsheets it is UTF-8.
pub async fn table(
    State(dashboard): State<Arc<Dashboard>>,
    Query(wish): Query<Wish>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Trouble> {
    let now = dashboard.clock.now().wall;
    let (chosen, found) = read(&dashboard, &wish, &visitor, now).await?;
    let mut text = csv::Writer::from_writer(vec![0xef, 0xbb, 0xbf]);
    let head = [
        "institution",
        "quarter",
        "score",
        "coverage",
        "presence",
        "due",
        "verified",
        "excused",
        "unclear",
        "against",
        "missed",
    ];
    text.write_record(head)?;
    for row in &found {
        let Tally { due, missed, verified, excused, unclear, against } = row.tally;
        let share = |share: Option<f64>| share.map_or_else(String::new, |share| format!("{share:.4}"));
        let mut record = vec![guarded(&row.institution), chosen.clone()];
        record.push(row.tally.score().map_or_else(String::new, |score| format!("{score:.1}")));
        record.extend([share(row.tally.coverage()), share(row.tally.presence())]);
        record.extend([due, verified, excused, unclear, against, missed].map(|count| count.to_string()));
        text.write_record(record)?;
    }
    let bytes = text.into_inner().map_err(|error| Trouble::Table(error.into_error().into()))?;
    let name = format!("attachment; filename=\"presence-{chosen}.csv\"");
    let head =
        [(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((head, bytes).into_response())
}

/// A spreadsheet would run what begins like a formula.
fn guarded(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

async fn read(
    dashboard: &Dashboard,
    wish: &Wish,
    visitor: &Visitor,
    now: Wall,
) -> Result<(String, Vec<InstitutionTally>), Trouble> {
    let quarter = Quarter::named(&wish.quarter).or(Quarter::of(now)).ok_or(Trouble::Gone)?;
    let days = quarter.days(now).ok_or(Trouble::Gone)?;
    let who = visitor.clone();
    let mut found =
        dashboard.read(move |connection| score::institutions(connection, who.scope(), days)).await?;
    // The worst first: that is who must be looked at.
    found.sort_by(|one, other| {
        let score = |row: &InstitutionTally| row.tally.score().unwrap_or(f64::MAX);
        score(one).total_cmp(&score(other))
    });
    Ok((quarter.name(), found))
}

fn shown(row: &InstitutionTally) -> Row {
    let percent =
        |share: Option<f64>| share.map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", 100.0 * share));
    Row {
        institution: row.institution.clone(),
        tally: row.tally,
        score: row.tally.score().map_or_else(|| "–".to_owned(), |score| format!("{score:.1}")),
        coverage: percent(row.tally.coverage()),
        presence: percent(row.tally.presence()),
        line: line(&row.weeks),
    }
}

fn line(weeks: &[Tally]) -> String {
    let step = WIDTH / (weeks.len().max(2) - 1) as f64;
    let points = weeks.iter().enumerate().filter_map(|(at, week)| {
        let score = week.score()?;
        Some(format!("{:.1},{:.1}", at as f64 * step, HEIGHT - score / 100.0 * HEIGHT))
    });
    points.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_has_its_days_in_china_and_ends_today_at_the_latest() {
        let quarter = Quarter::named("2026Q4").unwrap();
        // 2026-10-01 00:00 in China is 2026-09-30 16:00 in Greenwich.
        let first = quarter.first_day().unwrap();
        assert_eq!(Quarter::of(first.begin()), Some(quarter));
        assert_eq!(Quarter::of(Wall(first.begin().0 - 1)), Some(quarter.before()));
        let now = Wall(first.begin().0 + 3 * 86_400_000 + 5);
        assert_eq!(quarter.days(now), Some((first, DayNumber(first.0 + 3))));
        let whole = quarter.before().days(now).unwrap();
        assert_eq!(whole.1.0 - whole.0.0 + 1, 92);
        assert_eq!(Quarter::named("2026Q1").unwrap().before().name(), "2025Q4");
        for nonsense in ["", "2026", "2026Q5", "26Q1", "2026Q", "99999999999Q1"] {
            assert_eq!(Quarter::named(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_line_leaves_out_weeks_without_a_score() {
        let full = Tally { due: 1, verified: 1, ..Tally::default() };
        let none = Tally { due: 1, missed: 1, ..Tally::default() };
        assert_eq!(line(&[full, Tally::default(), none]), "0.0,0.0 150.0,30.0");
    }

    #[test]
    fn a_spreadsheet_runs_no_name() {
        assert_eq!(guarded("=HYPERLINK(1)"), "'=HYPERLINK(1)");
        assert_eq!(guarded("示范医院"), "示范医院");
    }
}
