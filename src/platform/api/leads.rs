//! Leads of the screening (智慧筛查) for programs: listed, read, worked under the rules of the page, and walked from.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::base::clock::Wall;
use crate::domain::draw::Seed;
use crate::domain::lead::Step;
use crate::platform::api::lists::{self, Answer};
use crate::platform::api::once;
use crate::platform::api::problem::{self, Problem};
use crate::platform::association::{self, Kind, Neighbour, Node};
use crate::platform::dashboard::Dashboard;
use crate::platform::db::{self, Connection, Transaction};
use crate::platform::lead_checks::{self, Done, NotOrdered};
use crate::platform::leads::{self, Decision, Filter, Lead, LeadRow, NotTaken};
use crate::platform::sessions::Visitor;
use crate::platform::spot_checks::{self, Chance};

/// A page of leads.
#[derive(Serialize, ToSchema)]
pub struct Leads {
    now: i64,
    leads: Vec<LeadRow>,
    next: Option<String>,
}

/// `GET /api/v1/leads`
#[utoipa::path(get, path = "/api/v1/leads", tag = "leads", params(Filter, lists::Wanted),
    summary = "线索 / Leads",
    description = "智慧筛查的线索，优先级高者在前；日期为自 1970 年的天数（北京时间），金额单位分。 / Leads of the screening, \
                   the most urgent first; days count from 1970 in China, amounts are in fen.",
    responses((status = 200, body = Leads)))]
pub async fn list(
    State(dashboard): State<Arc<Dashboard>>,
    Query(filter): Query<Filter>,
    Query(wanted): Query<lists::Wanted>,
) -> Answer<Leads> {
    let now = dashboard.clock.now().wall;
    let (after, most) = (wanted.after(leads::LIST)?, wanted.most()?);
    let page = dashboard.read(move |connection| leads::list(connection, &filter, (after, most))).await?;
    Ok(Json(Leads { now: now.0, leads: page.rows, next: page.next }))
}

/// `GET /api/v1/leads/{id}`
#[utoipa::path(get, path = "/api/v1/leads/{id}", tag = "leads",
    params(("id" = String, Path, description = "线索编号 / lead", example = "1ead0001")),
    summary = "一条线索 / A lead",
    description = "依据的数据行、触发的字段、办理记录。 / The rows that prove it, the fields that fired, what was done.",
    responses((status = 200, body = Lead),
        (status = 404, body = problem::Sent, content_type = "application/problem+json", description = "没有 / none")))]
pub async fn show(State(dashboard): State<Arc<Dashboard>>, Path(id): Path<String>) -> Answer<Lead> {
    let found = dashboard.read(move |connection| leads::find(connection, &id)).await?;
    found.map(Json).ok_or(Problem::new(problem::NOT_FOUND))
}

/// A step to take with a lead.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "step": "coordinate", "version": 0 }))]
pub struct LeadSaid {
    /// coordinate, assign, inform, act, spot_check, confirm, refute, reopen
    step: String,
    /// 所依据的版本 / the version it was decided on
    version: i64,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    text: String,
    /// assign：承办人 / whose it is now
    #[serde(default)]
    assignee: Option<String>,
}

/// Where the lead is after a step.
#[derive(Serialize, ToSchema)]
pub struct LeadDone {
    state: &'static str,
    version: i64,
    /// spot_check：下达的抽查 / the spot check that was ordered
    order: Option<String>,
}

/// `POST /api/v1/leads/{id}/steps`
#[utoipa::path(post, path = "/api/v1/leads/{id}/steps", tag = "leads",
    params(("id" = String, Path, example = "1ead0001"),
        ("Idempotency-Key" = Option<String>, Header, description = "重发时凭此得到首次答复，24 小时有效 / a request sent \
            again with it gets the first answer; kept for 24 hours")),
    summary = "办理一步 / Take a step",
    description = "统筹、分派、信息、落实、现场抽查、反馈、重开；规则与页面相同。 / The rules of the page.",
    request_body = LeadSaid,
    responses((status = 200, body = LeadDone),
        (status = 409, body = problem::Sent, content_type = "application/problem+json",
            description = "version 已过时 / `version` is older"),
        (status = 422, body = problem::Sent, content_type = "application/problem+json",
            description = "不能这样办理 / cannot be taken")))]
pub async fn step(
    State(dashboard): State<Arc<Dashboard>>,
    Path(id): Path<String>,
    Extension(who): Extension<Visitor>,
    headers: HeaderMap,
    said: Result<Json<LeadSaid>, JsonRejection>,
) -> Result<Response, Problem> {
    // Its own words name the field and are made a problem where every answer passes.
    let Json(said) = match said {
        Ok(said) => said,
        Err(rejection) => return Ok(rejection.into_response()),
    };
    let request = serde_json::to_vec(&("lead", &id, &said)).unwrap_or_default();
    let (root, now, of) = (spot_checks::root(&dashboard.keys), dashboard.clock.now().wall, who.name.clone());
    let chance = Chance::new().map_err(NotOrdered::from).map_err(refused)?;
    let work = move |tx: &Transaction<'_>| {
        let taken = taken(tx, (&chance, root), &id, &who, said, now)?;
        Ok(taken.map_err(refused))
    };
    once::answer(&dashboard, &headers, (&of, &request), work).await
}

fn taken(
    tx: &Transaction<'_>,
    chance: (&Chance, Seed),
    id: &str,
    who: &Visitor,
    said: LeadSaid,
    now: Wall,
) -> db::Result<Result<LeadDone, NotOrdered>> {
    let LeadSaid { step, version, reason, text, assignee } = said;
    let Some(step) = Step::named(&step) else {
        return Ok(Err(NotTaken::NotAllowed(crate::domain::lead::NotAllowed::State).into()));
    };
    let decision = Decision { step, version, reason, text, assignee };
    let done = lead_checks::take_in(tx, chance, id, who, &decision, now)?;
    Ok(done.map(|Done { state, order }| LeadDone { state: state.name(), version: version + 1, order }))
}

fn refused(why: NotOrdered) -> Problem {
    match why {
        NotOrdered::Lead(NotTaken::Unknown) => Problem::new(problem::NOT_FOUND),
        NotOrdered::Lead(NotTaken::Overtaken) => Problem::new(problem::OVERTAKEN),
        NotOrdered::Lead(NotTaken::Database(error)) => error.into(),
        NotOrdered::Lead(NotTaken::NoPerson | NotTaken::NotAllowed(_)) => {
            Problem::because(problem::NOT_ALLOWED, why)
        }
        NotOrdered::Nowhere | NotOrdered::Check(_) => Problem::because(problem::NOT_ORDERED, why),
    }
}

/// A node of the association view.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Around {
    /// institution, doctor, patient, fund, nursing_home
    #[param(example = "institution")]
    kind: String,
    /// 编码 / its code
    #[param(example = "H1")]
    id: String,
    /// 每类最多，1 至 200，默认 50 / of each kind at most, 1 to 200, 50 unless said
    limit: Option<usize>,
}

/// What lies around a node.
#[derive(Serialize, ToSchema)]
pub struct Association {
    node: Node,
    name: Option<String>,
    neighbours: Vec<Neighbour>,
}

/// `GET /api/v1/association`
#[utoipa::path(get, path = "/api/v1/association", tag = "leads", params(Around),
    summary = "关联 / Who has to do with whom",
    description = "机构、医师、参保人、基金、养老机构之间的人次与金额，每类按金额在前。 / Visits and money between \
                   institutions, doctors, patients, funds and nursing homes, of each kind those with the most money first.",
    responses((status = 200, body = Association)))]
pub async fn association(
    State(dashboard): State<Arc<Dashboard>>,
    Query(around): Query<Around>,
) -> Answer<Association> {
    let most = lists::Wanted::of(around.limit).most()?;
    let kind = Kind::named(&around.kind).ok_or_else(|| {
        let names = Kind::ALL.map(Kind::name).join(", ");
        Problem::because(problem::BAD_REQUEST, format!("kind 须为 / kind is one of: {names}"))
    })?;
    let node = Node { kind, id: around.id };
    let at = node.clone();
    let work = move |connection: &Connection| {
        let beside = association::neighbours(connection, &at, i64::try_from(most).unwrap_or(i64::MAX))?;
        Ok((association::name(connection, &at)?, beside))
    };
    let (name, neighbours) = dashboard.read(work).await?;
    Ok(Json(Association { node, name, neighbours }))
}
