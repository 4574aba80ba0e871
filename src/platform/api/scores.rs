//! The presence score of institutions over a quarter.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Query, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::base::clock::Wall;
use crate::domain::presence::Tally;
use crate::platform::api::lists::Answer;
use crate::platform::api::problem::{self, Problem};
use crate::platform::dashboard::{Dashboard, Trouble};
use crate::platform::quarter::{self, Quarter};
use crate::platform::score::InstitutionTally;
use crate::platform::sessions::Visitor;

/// Which quarter.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Wish {
    /// 季度，默认本季度 / the quarter, the present one unless said
    #[param(example = "2026Q3")]
    quarter: Option<String>,
}

/// The scores of a quarter.
#[derive(Serialize, ToSchema)]
pub struct Scores {
    now: i64,
    quarter: String,
    /// 低分在前 / the lowest first
    institutions: Vec<Score>,
}

/// One institution. The formula is on the page `/score`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Score {
    pub institution: String,
    /// 0 至 100；无应查则为空 / 0 to 100; null where nothing was due
    pub score: Option<f64>,
    pub coverage: Option<f64>,
    pub presence: Option<f64>,
    pub due: u64,
    pub verified: u64,
    pub excused: u64,
    pub unclear: u64,
    pub against: u64,
    pub missed: u64,
    /// 每周得分 / the score of each week
    pub weeks: Vec<Option<f64>>,
}

impl Score {
    fn of(row: InstitutionTally) -> Score {
        let Tally { due, missed, verified, excused, unclear, against } = row.tally;
        Score {
            institution: row.institution,
            score: row.tally.score(),
            coverage: row.tally.coverage(),
            presence: row.tally.presence(),
            due,
            verified,
            excused,
            unclear,
            against,
            missed,
            weeks: row.weeks.iter().map(Tally::score).collect(),
        }
    }
}

/// The scores of the quarter that is wished, and its name.
///
/// # Errors
/// A quarter that is none.
pub async fn read(
    dashboard: &Dashboard,
    wish: &Wish,
    who: Visitor,
    now: Wall,
) -> Result<(String, Vec<Score>), Problem> {
    let quarter = match wish.quarter.as_deref() {
        None | Some("") => Quarter::of(now).ok_or(Trouble::Gone)?,
        Some(name) => Quarter::named(name).ok_or_else(|| {
            Problem::because(problem::BAD_REQUEST, "季度须写作 2026Q4 / write the quarter as 2026Q4")
        })?,
    };
    let days = quarter.days(now).ok_or(Trouble::Gone)?;
    let found =
        dashboard.read(move |connection| quarter::institutions(connection, who.scope(), days)).await?;
    Ok((quarter.name(), found.into_iter().map(Score::of).collect()))
}

/// `GET /api/v1/score`
#[utoipa::path(get, path = "/api/v1/score", tag = "lists", params(Wish),
    summary = "在床评分 / Presence score",
    description = "每机构一季度的覆盖、在床与得分，低分在前。 / Coverage, presence and score of each institution over a \
                   quarter, the lowest first.",
    responses((status = 200, body = Scores)))]
pub async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    Query(wish): Query<Wish>,
    Extension(who): Extension<Visitor>,
) -> Answer<Scores> {
    let now = dashboard.clock.now().wall;
    let (quarter, institutions) = read(&dashboard, &wish, who, now).await?;
    Ok(Json(Scores { now: now.0, quarter, institutions }))
}
