//! Each institution's presence score over a quarter, with the formula beside it and its weeks as a line; the same as CSV.
//! The page is made to be printed: it is the quarterly report.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;

use crate::base::clock::Wall;
use crate::domain::presence::Tally;
use crate::platform::dashboard::frame::Frame;
use crate::platform::dashboard::pages::lang_of;
use crate::platform::dashboard::words::Lang;
use crate::platform::dashboard::{Dashboard, Trouble};
use crate::platform::quarter::{self, Quarter};
use crate::platform::score::InstitutionTally;
use crate::platform::sessions::Visitor;
use crate::platform::table::{Cell, Table};

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

const HEAD: &[&str] = &[
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

/// `GET /score.csv`, in the order of the page; with a mark that tells spreadsheets it is UTF-8.
pub async fn table(
    State(dashboard): State<Arc<Dashboard>>,
    Query(wish): Query<Wish>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Trouble> {
    let now = dashboard.clock.now().wall;
    let (chosen, found) = read(&dashboard, &wish, &visitor, now).await?;
    let row = |row: &InstitutionTally| {
        let Tally { due, missed, verified, excused, unclear, against } = row.tally;
        let rounded = |share: Option<f64>, digits: f64| {
            Cell::from(share.map(|share| (share * digits).round() / digits))
        };
        let mut cells = vec![Cell::Text(row.institution.clone()), Cell::Text(chosen.clone())];
        cells.push(rounded(row.tally.score(), 10.0));
        cells.extend([row.tally.coverage(), row.tally.presence()].map(|share| rounded(share, 10_000.0)));
        cells.extend(
            [due, verified, excused, unclear, against, missed].map(|count| Cell::Number(count as f64)),
        );
        cells
    };
    let table = Table { name: "presence", head: HEAD, rows: found.iter().map(row).collect() };
    let bytes = table.csv()?;
    let name = format!("attachment; filename=\"presence-{chosen}.csv\"");
    let head =
        [(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((head, bytes).into_response())
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
    let found =
        dashboard.read(move |connection| quarter::institutions(connection, who.scope(), days)).await?;
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
    fn a_line_leaves_out_weeks_without_a_score() {
        let full = Tally { due: 1, verified: 1, ..Tally::default() };
        let none = Tally { due: 1, missed: 1, ..Tally::default() };
        assert_eq!(line(&[full, Tally::default(), none]), "0.0,0.0 150.0,30.0");
    }
}
