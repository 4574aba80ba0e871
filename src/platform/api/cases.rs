//! The life of a case for programs: read with its timeline, steps taken under the rules of the page.
//!
//! A step names the version it was decided on, in `If-Match` (412 when older) or in the body (409 when older); of two
//! decisions at once the second is refused. A step that is sent again with its `Idempotency-Key` is not taken twice
//! (`once`).

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::base::clock::Wall;
use crate::domain::handling::{self, Step};
use crate::platform::api::lists::{Answer, Exception};
use crate::platform::api::once;
use crate::platform::api::problem::{self, Problem};
use crate::platform::dashboard::{Dashboard, case};
use crate::platform::db::{self, Connection, Transaction};
use crate::platform::handling::{Decision, NotTaken, Taken, take_in};
use crate::platform::sessions::Visitor;
use crate::platform::stay::{self, Check, Lying, Opening, Spot};
use crate::platform::{handling as cases, rights};

/// A case with everything known around it.
#[derive(Serialize, ToSchema)]
pub struct Case {
    now: i64,
    #[serde(flatten)]
    exception: Exception,
    /// 已办步骤，先后为序 / steps taken, in their order
    steps: Vec<Taken>,
    /// 该就诊在名册上的床位，先后为序 / beds of the roster the stay was on, in their order
    on_roster: Vec<OnRoster>,
    /// 该床的抽查，最新在前；医疗机构不可见 / spot checks of the bed, the newest first; not for hospitals
    spot_checks: Vec<Spot>,
    /// 该就诊在该床的近期核查，最新在前 / recent checks of the stay in the bed, the newest first
    checks: Vec<Check>,
    /// 启封申请与批准 / openings asked for and approved
    openings: Vec<Opening>,
    /// ok, gap, fork, tampered, none
    chain: &'static str,
    /// 您现在可以办理的步骤 / what you may do now
    actions: Vec<Action>,
}

/// A bed of the roster that the stay was on: when that was received here, and when the hospital said it.
#[derive(Serialize, ToSchema)]
pub struct OnRoster {
    bed: String,
    since: i64,
    since_said: i64,
    gone: Option<i64>,
    gone_said: Option<i64>,
}

impl OnRoster {
    fn of(lying: Lying) -> OnRoster {
        let Lying { bed, since: (since, since_said), gone } = lying;
        OnRoster { bed, since, since_said, gone: gone.map(|at| at.0), gone_said: gone.map(|at| at.1) }
    }
}

/// A step that may be taken now.
#[derive(Serialize, ToSchema)]
pub struct Action {
    #[schema(value_type = String)]
    step: Step,
    /// 须从中选择的理由；为空则不附理由 / the closed list of reasons; empty where none is given
    reasons: Vec<Reason>,
}

/// A reason of a closed list.
#[derive(Serialize, ToSchema)]
pub struct Reason {
    name: &'static str,
    zh: &'static str,
    en: &'static str,
    /// 须附 4 至 500 字说明；否则不得附文字 / needs 4 to 500 characters of text; takes none otherwise
    takes_text: bool,
}

/// `GET /api/v1/exceptions/{device}/{id}`
#[utoipa::path(get, path = "/api/v1/exceptions/{device}/{id}", tag = "cases",
    params(("device" = String, Path, description = "终端 / device", example = "ward-3a"),
        ("id" = String, Path, description = "异常编号 / exception", example = "S4.04.impersonation.7")),
    summary = "案件 / A case",
    description = "异常、案件状态、时间线（核查、启封、步骤）及您现在可办的步骤。 / The exception, where its case is, the \
                   timeline (checks, openings, steps) and what you may do now. ETag is the version.",
    responses((status = 200, body = Case, headers(("ETag" = String, description = "版本 / the version, for If-Match"))),
        (status = 404, body = problem::Sent, content_type = "application/problem+json", description = "没有 / none")))]
pub async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    Path((device, id)): Path<(String, String)>,
    Extension(who): Extension<Visitor>,
) -> Result<Response, Problem> {
    let now = dashboard.clock.now().wall;
    let work = move |connection: &Connection| read(connection, (&device, &id), &who, now);
    let case = dashboard.read(work).await?.ok_or(Problem::new(problem::NOT_FOUND))?;
    let version = etag(case.exception.case.version);
    Ok(([(header::ETAG, version)], Json(case)).into_response())
}

fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

fn read(connection: &Connection, place: (&str, &str), who: &Visitor, now: Wall) -> db::Result<Option<Case>> {
    let Some(known) = stay::around(connection, place, who, now)? else { return Ok(None) };
    let stay::Around { queued, handling, history, chain } = known;
    let stay::History { lying, mut checks, spots, openings } = history;
    if !rights::may_read(who.role, "/evidence/{device}/{id}") {
        checks.iter_mut().for_each(|check| check.evidence = None);
    }
    let actions = handling::steps(handling.state, who.role).map(|step| {
        let reason = |reason: &handling::Reason| {
            let handling::Reason { name, zh, en, takes_text } = *reason;
            Reason { name, zh, en, takes_text }
        };
        Action { step, reasons: step.reasons().iter().map(reason).collect() }
    });
    let actions = actions.collect();
    let (exception, steps) = (Exception::of(queued, now), handling.steps);
    let on_roster = lying.into_iter().map(OnRoster::of).collect();
    Ok(Some(Case {
        now: now.0,
        exception,
        steps,
        on_roster,
        checks,
        spot_checks: spots,
        openings,
        chain,
        actions,
    }))
}

/// A step to take.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "step": "confirm", "version": 0 }))]
pub struct Said {
    /// confirm, notify, answer, uphold, dismiss, appeal, escalate, close
    pub step: String,
    /// 所依据的版本；也可用 If-Match / the version it was decided on; or send If-Match
    #[serde(default)]
    pub version: Option<i64>,
    /// actions 所列理由之一 / one of the reasons in `actions`
    #[serde(default)]
    pub reason: Option<String>,
    #[serde(default)]
    pub text: String,
}

/// Where the case is after a step.
#[derive(Serialize, ToSchema)]
pub struct Done {
    state: String,
    version: i64,
    due: Option<i64>,
}

/// `POST /api/v1/exceptions/{device}/{id}/steps`
#[utoipa::path(post, path = "/api/v1/exceptions/{device}/{id}/steps", tag = "cases",
    params(("device" = String, Path, example = "ward-3a"),
        ("id" = String, Path, example = "S4.04.impersonation.7"),
        ("If-Match" = Option<String>, Header, description = "所依据的版本 / the version it was decided on, as \"3\""),
        ("Idempotency-Key" = Option<String>, Header, description = "重发时凭此得到首次答复，24 小时有效 / a request sent \
            again with it gets the first answer; kept for 24 hours")),
    summary = "办理一步 / Take a step",
    description = "规则与页面相同：按状态、角色、理由。仅限令牌，不接受浏览器会话。 / The rules of the page: state, role, \
                   reason. For tokens only, not for sessions of browsers.",
    request_body = Said,
    responses((status = 200, body = Done),
        (status = 409, body = problem::Sent, content_type = "application/problem+json",
            description = "version 已过时 / `version` is older"),
        (status = 412, body = problem::Sent, content_type = "application/problem+json",
            description = "If-Match 已过时 / If-Match is older"),
        (status = 422, body = problem::Sent, content_type = "application/problem+json",
            description = "不能这样处理 / cannot be taken"),
        (status = 428, body = problem::Sent, content_type = "application/problem+json",
            description = "未注明版本 / no version")))]
pub async fn step(
    State(dashboard): State<Arc<Dashboard>>,
    Path((device, id)): Path<(String, String)>,
    Extension(who): Extension<Visitor>,
    headers: HeaderMap,
    said: Result<Json<Said>, JsonRejection>,
) -> Result<Response, Problem> {
    // Its own words name the field and are made a problem where every answer passes.
    let Json(said) = match said {
        Ok(said) => said,
        Err(rejection) => return Ok(rejection.into_response()),
    };
    let matched = headers.get(header::IF_MATCH).map(|value| value.as_bytes().to_vec());
    let request = serde_json::to_vec(&(&device, &id, &said, matched)).unwrap_or_default();
    let (of, now) = (who.name.clone(), dashboard.clock.now().wall);
    let version = version(&headers, &said);
    let work = move |tx: &Transaction<'_>| match version {
        Ok(version) => taken(tx, (&device, &id), &who, version, said, now),
        Err(problem) => Ok(Err(problem)),
    };
    once::answer(&dashboard, &headers, (&of, &request), work).await
}

/// The version that was named, and what an older one is called.
fn version(headers: &HeaderMap, said: &Said) -> Result<(i64, problem::Kind), Problem> {
    if let Some(value) = headers.get(header::IF_MATCH) {
        let text = value.to_str().unwrap_or_default().trim().trim_matches('"');
        let bad = || {
            Problem::because(
                problem::BAD_REQUEST,
                "If-Match 须为 ETag 所示版本 / If-Match is a version as in ETag",
            )
        };
        return Ok((text.parse().map_err(|_| bad())?, problem::PRECONDITION));
    }
    said.version.map(|version| (version, problem::OVERTAKEN)).ok_or(Problem::new(problem::NO_VERSION))
}

fn taken(
    tx: &Transaction<'_>,
    place: (&str, &str),
    who: &Visitor,
    (version, older): (i64, problem::Kind),
    said: Said,
    now: Wall,
) -> db::Result<Result<Done, Problem>> {
    let Some(step) = Step::named(&said.step) else {
        let names = Step::ALL.map(Step::name).join(", ");
        return Ok(Err(Problem::because(
            problem::NOT_ALLOWED,
            format!("step 须为 / step is one of: {names}"),
        )));
    };
    let reason = said.reason.filter(|reason| !reason.is_empty());
    let decision = Decision { step, version, reason, text: said.text };
    Ok(match take_in(tx, place, who, &decision, now)? {
        Ok(state) => {
            let due = cases::find(tx, place, who.scope())?.and_then(|case| case.due);
            Ok(Done { state: state.name().to_owned(), version: version + 1, due })
        }
        Err(NotTaken::Unknown) => Err(Problem::new(problem::NOT_FOUND)),
        Err(NotTaken::Overtaken) => {
            let is = cases::find(tx, place, who.scope())?.map_or(0, |case| case.version);
            Err(Problem::new(older).at_version(is))
        }
        Err(NotTaken::NotAllowed(why)) => Err(Problem::because(problem::NOT_ALLOWED, why)),
        Err(NotTaken::Database(error)) => return Err(error.cause),
    })
}

/// `GET /api/v1/exceptions/{device}/{id}/file`
#[utoipa::path(get, path = "/api/v1/exceptions/{device}/{id}/file", tag = "cases",
    params(("device" = String, Path, example = "ward-3a"),
        ("id" = String, Path, example = "S4.04.impersonation.7")),
    summary = "离线核验文件 / The case as a file",
    description = "与页面上的“离线核验文件”相同：声明、回执、日志证明；无需网络与平台，用 bedcheck-verify 核验。 / The file of \
                   the case page: statements, receipts, proofs of the log; bedcheck-verify checks it without network or \
                   platform.",
    responses((status = 200, body = String, content_type = "application/jsonl"),
        (status = 404, body = problem::Sent, content_type = "application/problem+json", description = "没有 / none")))]
pub async fn file(
    State(dashboard): State<Arc<Dashboard>>,
    Path((device, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    case::file(dashboard, device, id).await?.ok_or(Problem::new(problem::NOT_FOUND))
}

/// What is known of the sealed picture of one event.
#[derive(Serialize, ToSchema)]
pub struct Evidence {
    /// 是否有加密图像 / whether there is a sealed picture
    is_sealed: bool,
    /// 启封申请与批准 / who asked to open it and who approved
    openings: Vec<Opening>,
    /// 两人启封之处 / where two people open it
    page: String,
}

/// `GET /api/v1/evidence/{device}/{event}`
#[utoipa::path(get, path = "/api/v1/evidence/{device}/{event}", tag = "cases",
    params(("device" = String, Path, example = "ward-3a"),
        ("event" = String, Path, description = "核查事件，见案件的 checks / the event of a check, as in `checks` of a case",
            example = "an-event")),
    summary = "证据状态 / State of evidence",
    description = "只读。启封须两名工作人员各自在页面上输入口令并写明理由；程序令牌既不能申请，也不能批准，更看不到图像。 / \
                   Read only. Evidence is opened by two people, each with a passphrase on the page, and with a reason: a \
                   program can neither ask nor approve, and sees no picture.",
    responses((status = 200, body = Evidence)))]
pub async fn evidence(
    State(dashboard): State<Arc<Dashboard>>,
    Path((device, event)): Path<(String, String)>,
) -> Answer<Evidence> {
    let uri = crate::platform::keys::uri;
    let page = format!("/evidence/{}/{}", uri(&device), uri(&event));
    let work = move |connection: &Connection| {
        let is_sealed = stay::is_sealed(connection, &device, &event)?;
        Ok((is_sealed, stay::openings_of(connection, &device, &event)?))
    };
    let (is_sealed, openings) = dashboard.read(work).await?;
    Ok(Json(Evidence { is_sealed, openings, page }))
}
