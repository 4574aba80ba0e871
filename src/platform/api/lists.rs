//! The lists: each a bounded page with a cursor to the next.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::{Extension, Query, State};
use jiff::civil::Date;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::base::clock::Wall;
use crate::base::uri::query;
use crate::domain::handling::State as Stage;
use crate::platform::api::problem::{self, Problem};
use crate::platform::cursor::{self, Page};
use crate::platform::dashboard::Dashboard;
use crate::platform::db::{self, Connection};
use crate::platform::listing::{self, Covered};
use crate::platform::queue::{self, Filter, Queued};
use crate::platform::score::DayNumber;
use crate::platform::sessions::Visitor;
use crate::platform::trail;
use crate::platform::verifications::Verified;
use crate::platform::view::{BedRow, DeviceRow, DueRow, ExceptionRow};

/// Rows of a page unless another number is asked for.
const USUAL: usize = 50;
const MOST: usize = 200;
/// Days of coverage at once: a quarter.
const MOST_DAYS: i64 = 92;

pub type Answer<T> = Result<Json<T>, Problem>;

/// Which page of a list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// 每页行数，1 至 200，默认 50 / rows of a page, 1 to 200, 50 unless said
    #[param(minimum = 1, maximum = 200, example = 20)]
    limit: Option<usize>,
    /// 上一页的 next / `next` of the page before
    cursor: Option<String>,
}

impl Wanted {
    /// The first page, of so many rows.
    pub fn of(limit: Option<usize>) -> Wanted {
        Wanted { limit, cursor: None }
    }

    pub fn most(&self) -> Result<usize, Problem> {
        let most = self.limit.unwrap_or(USUAL);
        if (1..=MOST).contains(&most) {
            return Ok(most);
        }
        let detail = format!("limit 须为 1 至 {MOST} / limit is 1 to {MOST}");
        Err(Problem::because(problem::BAD_REQUEST, detail))
    }

    pub fn after<K: DeserializeOwned>(&self, list: &str) -> Result<Option<K>, Problem> {
        let read = |text: &String| cursor::key(list, text).ok_or(Problem::new(problem::BAD_CURSOR));
        self.cursor.as_ref().filter(|text| !text.is_empty()).map(read).transpose()
    }

    fn page<K: DeserializeOwned>(&self, list: &str) -> Result<(Option<K>, usize), Problem> {
        Ok((self.after(list)?, self.most()?))
    }
}

/// A page of beds.
#[derive(Serialize, ToSchema)]
pub struct Beds {
    /// 平台时钟，自 1970 年的毫秒 / the platform's clock, milliseconds since 1970
    now: i64,
    rows: Vec<BedRow>,
    next: Option<String>,
}

/// `GET /api/v1/rows`
#[utoipa::path(get, path = "/api/v1/rows", tag = "lists", params(Wanted),
    summary = "床位现状 / Beds as they are now",
    description = "每台在用终端名册上的每张床：最近一次核查、在办异常、数据链。按终端、床位排序。 / Every bed on the \
                   roster of every admitted device: its newest check, open exceptions, the chain. By device and bed.",
    responses((status = 200, body = Beds)))]
pub async fn rows(
    State(dashboard): State<Arc<Dashboard>>,
    Query(wanted): Query<Wanted>,
    Extension(who): Extension<Visitor>,
) -> Answer<Beds> {
    let (now, page) = (dashboard.clock.now().wall, wanted.page(listing::BEDS)?);
    let work = move |connection: &Connection| listing::beds(connection, who.scope(), now, page);
    let Page { rows, next } = dashboard.read(work).await?;
    Ok(Json(Beds { now: now.0, rows, next }))
}

/// A page of checks.
#[derive(Serialize, ToSchema)]
pub struct Ledger {
    now: i64,
    ledger: Vec<DueRow>,
    next: Option<String>,
}

/// `GET /api/v1/ledger`
#[utoipa::path(get, path = "/api/v1/ledger", tag = "lists", params(Wanted),
    summary = "应查台账 / Checks that were due",
    description = "每一次应查及其结果，最新在前；到期未证明的为 NotDone。 / Every check that was due and what came of it, \
                   the newest first; what was not proved in time is NotDone.",
    responses((status = 200, body = Ledger)))]
pub async fn ledger(
    State(dashboard): State<Arc<Dashboard>>,
    Query(wanted): Query<Wanted>,
    Extension(who): Extension<Visitor>,
) -> Answer<Ledger> {
    let (now, page) = (dashboard.clock.now().wall, wanted.page(listing::CHECKS)?);
    let work = move |connection: &Connection| listing::checks(connection, who.scope(), page);
    let Page { rows, next } = dashboard.read(work).await?;
    Ok(Json(Ledger { now: now.0, ledger: rows, next }))
}

/// A page of what kiosks verified.
#[derive(Serialize, ToSchema)]
pub struct Verifications {
    now: i64,
    verifications: Vec<Verified>,
    next: Option<String>,
}

/// `GET /api/v1/verifications`
#[utoipa::path(get, path = "/api/v1/verifications", tag = "lists", params(Wanted),
    summary = "窗口核查结果 / Results of kiosks",
    description = "入院、结算、购药取药核查，最新在前。 / Verifications at admission, settlement and the pharmacy, the \
                   newest first.",
    responses((status = 200, body = Verifications)))]
pub async fn verifications(
    State(dashboard): State<Arc<Dashboard>>,
    Query(wanted): Query<Wanted>,
    Extension(who): Extension<Visitor>,
) -> Answer<Verifications> {
    let (now, page) = (dashboard.clock.now().wall, wanted.page(listing::VERIFICATIONS)?);
    let work = move |connection: &Connection| listing::verifications(connection, who.scope(), page);
    let Page { rows, next } = dashboard.read(work).await?;
    Ok(Json(Verifications { now: now.0, verifications: rows, next }))
}

/// A page of devices.
#[derive(Serialize, ToSchema)]
pub struct Devices {
    now: i64,
    devices: Vec<DeviceRow>,
    /// 启动以来被拒的接入次数 / enrolments refused since the start
    enrolments_refused: u64,
    next: Option<String>,
}

/// `GET /api/v1/devices`
#[utoipa::path(get, path = "/api/v1/devices", tag = "lists", params(Wanted),
    summary = "终端 / Devices",
    description = "每台终端：证书、联系、数据链、版本、签名更新；已停用的也在内。 / Every device with certificate, contact, \
                   chain, version and signed updates, revoked ones too.",
    responses((status = 200, body = Devices)))]
pub async fn devices(
    State(dashboard): State<Arc<Dashboard>>,
    Query(wanted): Query<Wanted>,
    Extension(who): Extension<Visitor>,
) -> Answer<Devices> {
    let (now, page) = (dashboard.clock.now().wall, wanted.page(listing::DEVICES)?);
    let work = move |connection: &Connection| listing::devices(connection, who.scope(), page);
    let Page { rows, next } = dashboard.read(work).await?;
    let enrolments_refused = dashboard.refused.load(Ordering::Relaxed);
    Ok(Json(Devices { now: now.0, devices: rows, enrolments_refused, next }))
}

/// Which exceptions.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Sought {
    /// 异常种类 / its kind
    #[param(example = "impersonation")]
    #[serde(default)]
    pub kind: String,
    /// 机构 / institution
    #[serde(default)]
    pub institution: String,
    /// 案件状态，或 open（未结案） / state of the case, or `open` for all but closed ones
    #[param(example = "open")]
    #[serde(default)]
    pub state: String,
    /// 1：仅逾期 / `1`: only those whose next step is overdue
    #[serde(default)]
    pub overdue: String,
    /// 床位、就诊、姓名、终端或编号中的一段 / part of bed, stay, masked name, device or id
    #[serde(default)]
    pub text: String,
}

impl Sought {
    /// The same as the beginning of a query, each part with `&` behind it.
    pub fn query(&self) -> String {
        let Sought { kind, institution, state, overdue, text } = self;
        query(&[
            ("kind", kind),
            ("institution", institution),
            ("state", state),
            ("overdue", overdue),
            ("text", text),
        ])
    }

    /// The filter of the queue's page.
    ///
    /// # Errors
    /// A state that is none.
    pub fn filter(self, after: Option<String>) -> Result<Filter, Problem> {
        let Sought { kind, institution, state, overdue, text } = self;
        if !matches!(state.as_str(), "" | "open") && Stage::named(&state).is_none() {
            let names = Stage::ALL.map(Stage::name).join(", ");
            let detail = format!("state 须为 / state is one of: open, {names}");
            return Err(Problem::because(problem::BAD_REQUEST, detail));
        }
        Ok(Filter {
            kind,
            institution,
            state,
            overdue,
            text,
            after: after.unwrap_or_default(),
            device: String::new(),
        })
    }
}

/// An exception with where its case is.
#[derive(Serialize, ToSchema)]
pub struct Exception {
    #[serde(flatten)]
    pub exception: ExceptionRow,
    pub case: Stand,
}

/// Where a case is.
#[derive(Serialize, ToSchema)]
pub struct Stand {
    /// raised, confirmed, notified, answered, upheld, dismissed, appealed, closed
    pub state: &'static str,
    /// 已办步骤数；办理下一步时须注明 / steps taken; the next step must name it
    pub version: i64,
    pub due: Option<i64>,
    pub is_overdue: bool,
    pub escalated: bool,
}

impl Exception {
    pub fn of(queued: Queued, now: Wall) -> Exception {
        let Queued { row, handling, due, escalated, version } = queued;
        let is_overdue = due.is_some_and(|due| due < now.0);
        Exception {
            exception: row,
            case: Stand { state: handling.name(), version, due, is_overdue, escalated },
        }
    }
}

/// A page of exceptions.
#[derive(Serialize, ToSchema)]
pub struct Exceptions {
    now: i64,
    exceptions: Vec<Exception>,
    next: Option<String>,
}

/// The queue's list in its cursors.
pub const QUEUE: &str = "exceptions";

/// `GET /api/v1/exceptions`
#[utoipa::path(get, path = "/api/v1/exceptions", tag = "cases", params(Sought, Wanted),
    summary = "异常队列 / Exceptions",
    description = "可按种类、机构、案件状态、逾期、文字筛选，最近发生在前。 / Filtered as on the page, the latest first.",
    responses((status = 200, body = Exceptions)))]
pub async fn exceptions(
    State(dashboard): State<Arc<Dashboard>>,
    Query(sought): Query<Sought>,
    Query(wanted): Query<Wanted>,
    Extension(who): Extension<Visitor>,
) -> Answer<Exceptions> {
    let now = dashboard.clock.now().wall;
    let (after, most) = wanted.page::<String>(QUEUE)?;
    let filter = sought.filter(after)?;
    let work = move |connection: &Connection| queue::page_of(connection, &filter, who.scope(), now, most);
    let page = dashboard.read(work).await?;
    let next = page.next.and_then(|place| cursor::after(QUEUE, &place));
    let exceptions = page.rows.into_iter().map(|queued| Exception::of(queued, now)).collect();
    Ok(Json(Exceptions { now: now.0, exceptions, next }))
}

/// Which days of whom.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Days {
    /// 机构；医保员只见本院 / institution; an officer sees the own one
    #[serde(default)]
    institution: String,
    /// 首日（北京时间），默认六天前 / first day in China, six days ago unless said
    #[param(example = "2026-09-15")]
    from: Option<String>,
    /// 末日，默认今天 / last day, today unless said
    to: Option<String>,
}

/// A page of coverage.
#[derive(Serialize, ToSchema)]
pub struct Coverage {
    now: i64,
    coverage: Vec<Covered>,
    next: Option<String>,
}

/// `GET /api/v1/coverage`
#[utoipa::path(get, path = "/api/v1/coverage", tag = "lists", params(Days, Wanted),
    summary = "巡查覆盖 / Coverage",
    description = "每床每日应查几次、结果如何；最多 92 天。 / How often each bed was due on each day and what came of it; \
                   92 days at most.",
    responses((status = 200, body = Coverage)))]
pub async fn coverage(
    State(dashboard): State<Arc<Dashboard>>,
    Query(days): Query<Days>,
    Query(wanted): Query<Wanted>,
    Extension(who): Extension<Visitor>,
) -> Answer<Coverage> {
    let (now, page) = (dashboard.clock.now().wall, wanted.page(listing::COVERAGE)?);
    let span = span(&days, now)?;
    let work = move |connection: &Connection| {
        // Only out of those that may be seen.
        let asked = Some(days.institution.as_str()).filter(|name| !name.is_empty());
        let of = match (who.scope(), asked) {
            (Some(own), Some(asked)) if own != asked => Some(""),
            (Some(own), _) => Some(own),
            (None, asked) => asked,
        };
        if of.is_some_and(|name| name.is_empty())
            || !of.map_or(Ok(true), |of| listing::has_institution(connection, of))?
        {
            return Ok(Page { rows: Vec::new(), next: None });
        }
        listing::coverage(connection, of, span, page)
    };
    let Page { rows, next } = dashboard.read(work).await?;
    Ok(Json(Coverage { now: now.0, coverage: rows, next }))
}

fn span(days: &Days, now: Wall) -> Result<(DayNumber, DayNumber), Problem> {
    let bad = |detail: &str| Problem::because(problem::BAD_REQUEST, detail);
    let day = |text: &Option<String>, otherwise: DayNumber| match text.as_deref() {
        None | Some("") => Ok(otherwise),
        Some(text) => text
            .parse::<Date>()
            .ok()
            .and_then(DayNumber::on)
            .ok_or_else(|| bad("日期须写作 2026-11-29 / write days as 2026-11-29")),
    };
    let to = day(&days.to, DayNumber::of(now))?;
    let from = day(&days.from, to.before(6))?;
    if (0..MOST_DAYS).contains(&(to.0 - from.0)) {
        return Ok((from, to));
    }
    Err(bad("首日不得晚于末日，最多 92 天 / from is not after to, and 92 days at most"))
}

/// Whose lines.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Whose {
    /// 姓名 / name
    #[serde(default)]
    pub person: String,
}

/// A page of the audit trail.
#[derive(Serialize, ToSchema)]
pub struct Audit {
    now: i64,
    entries: Vec<trail::Entry>,
    next: Option<String>,
}

/// The trail's list in its cursors.
pub const TRAIL: &str = "audit";

/// `GET /api/v1/audit`
#[utoipa::path(get, path = "/api/v1/audit", tag = "lists", params(Whose, Wanted),
    summary = "审计记录 / Audit trail",
    description = "谁看了什么、做了什么，最新在前。 / Who looked at what and who did what, the newest first.",
    responses((status = 200, body = Audit)))]
pub async fn audit(
    State(dashboard): State<Arc<Dashboard>>,
    Query(whose): Query<Whose>,
    Query(wanted): Query<Wanted>,
) -> Answer<Audit> {
    let now = dashboard.clock.now().wall;
    let (before, most) = wanted.page::<i64>(TRAIL)?;
    let Page { rows, next } =
        dashboard.read(move |connection| entries(connection, &whose, before, most)).await?;
    Ok(Json(Audit { now: now.0, entries: rows, next }))
}

/// A page of the trail.
pub fn entries(
    connection: &Connection,
    whose: &Whose,
    before: Option<i64>,
    most: usize,
) -> db::Result<Page<trail::Entry>> {
    let person = Some(whose.person.trim()).filter(|name| !name.is_empty());
    let one_more = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1);
    let found = trail::list(connection, before, person, one_more)?;
    let keyed = found.into_iter().map(|entry| (entry.number, entry)).map(|(key, entry)| (entry, key));
    Ok(cursor::cut(TRAIL, keyed.collect(), most))
}
