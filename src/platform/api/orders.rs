//! Spot checks (抽查) for programs: ordered as on the page, listed, and what came of each, bed by bed.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::base::ids::{BedId, DeviceId};
use crate::platform::api::lists::{self, Answer};
use crate::platform::api::once;
use crate::platform::api::problem::{self, Problem};
use crate::platform::cursor;
use crate::platform::dashboard::Dashboard;
use crate::platform::db::{Connection, Transaction};
use crate::platform::sessions::Visitor;
use crate::platform::spot_checks::{self, Chance, Listed, NotPlaced, One, Wanted, What};

/// The list in its cursors.
const ORDERS: &str = "orders";

/// A page of spot checks.
#[derive(Serialize, ToSchema)]
pub struct Orders {
    now: i64,
    orders: Vec<Listed>,
    next: Option<String>,
}

/// `GET /api/v1/orders`
#[utoipa::path(get, path = "/api/v1/orders", tag = "orders", params(lists::Wanted),
    summary = "抽查列表 / Spot checks",
    description = "最新在前：由谁、何时、对何处下达，几个病区已答、几个逾期。 / The newest first: by whom, when and where, how \
                   many wards answered and how many did not in time.",
    responses((status = 200, body = Orders)))]
pub async fn list(
    State(dashboard): State<Arc<Dashboard>>,
    Query(wanted): Query<lists::Wanted>,
    Extension(who): Extension<Visitor>,
) -> Answer<Orders> {
    let now = dashboard.clock.now().wall;
    let (after, most) = (wanted.after::<String>(ORDERS)?.unwrap_or_default(), wanted.most()?);
    let work = move |connection: &Connection| spot_checks::list(connection, who.scope(), (&after, most), now);
    let page = dashboard.read(work).await?;
    let next = page.next.and_then(|place| cursor::after(ORDERS, &place));
    Ok(Json(Orders { now: now.0, orders: page.rows, next }))
}

/// `GET /api/v1/orders/{id}`
#[utoipa::path(get, path = "/api/v1/orders/{id}", tag = "orders",
    params(("id" = String, Path, description = "抽查编号 / spot check", example = "0f1e2d3c4b5a6978")),
    summary = "一次抽查及其结果 / A spot check and what came of it",
    description = "每个病区的结果，逐床。抽样另附抽取依据：事先公布的承诺、抽取范围；期限过后公布种子，任何人可重新抽取。 / \
                   Ward by ward and bed by bed. A sample has what it was drawn by: the commitment that was public before \
                   and the beds it was drawn from; after the deadline the seed, with which anybody can draw again.",
    responses((status = 200, body = One),
        (status = 404, body = problem::Sent, content_type = "application/problem+json", description = "没有 / none")))]
pub async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    Path(id): Path<String>,
    Extension(who): Extension<Visitor>,
) -> Answer<One> {
    let (now, root) = (dashboard.clock.now().wall, spot_checks::root(&dashboard.keys));
    let work = move |connection: &Connection| spot_checks::one(connection, root, &id, who.scope(), now);
    dashboard.read(work).await?.map(Json).ok_or(Problem::new(problem::NOT_FOUND))
}

/// What is to be looked at.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderKind {
    Beds,
    Ward,
    Sample,
}

/// A spot check to order.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "kind": "beds", "device": "ward-3a", "beds": ["04"], "minutes": 30 }))]
pub struct Order {
    /// beds 指定床位，ward 整个病区，sample 全院随机抽样 / named beds, a whole ward, a sample over a hospital
    kind: OrderKind,
    /// beds、ward：病区设备 / the device of the ward
    #[serde(default)]
    device: String,
    /// beds：床位 / the beds
    #[serde(default)]
    beds: Vec<String>,
    /// sample：机构 / the hospital
    #[serde(default)]
    institution: String,
    /// sample：抽取床数，1 至 200 / beds to draw, 1 to 200
    #[serde(default)]
    count: usize,
    /// 期限，1 至 1440 分钟 / time the ward has, 1 to 1440 minutes
    minutes: u32,
    /// 索取图像，以设备策略允许为限 / pictures are wanted, where the device's policy gives them
    #[serde(default)]
    evidence: bool,
}

impl Order {
    fn wanted(self) -> Result<Wanted, String> {
        let Order { kind, device, beds, institution, count, minutes, evidence } = self;
        let device = || DeviceId::new(device.clone()).map_err(|_| NotPlaced::NoWard(device).to_string());
        let what = match kind {
            OrderKind::Sample => What::Sample { institution, count },
            OrderKind::Ward => What::Ward { device: device()? },
            OrderKind::Beds => {
                let beds: Result<Vec<BedId>, _> = beds.into_iter().map(BedId::new).collect();
                What::Beds { device: device()?, beds: beds.map_err(|error| error.to_string())? }
            }
        };
        Ok(Wanted { what, within: Duration::from_secs(u64::from(minutes) * 60), evidence })
    }
}

/// What was ordered.
#[derive(Serialize, ToSchema)]
pub struct Ordered {
    id: String,
}

/// `POST /api/v1/orders`
#[utoipa::path(post, path = "/api/v1/orders", tag = "orders",
    params(("Idempotency-Key" = Option<String>, Header, description = "重发时凭此得到首次答复，24 小时有效 / a request sent \
        again with it gets the first answer; kept for 24 hours")),
    summary = "下达抽查 / Order a spot check",
    description = "规则与页面相同。每个病区随下一次回执得知自己的部分；仅限令牌，不接受浏览器会话。 / Under the rules of the \
                   page. Each ward hears of its part with its next receipt. For tokens only, not for sessions of browsers.",
    request_body = Order,
    responses((status = 200, body = Ordered),
        (status = 422, body = problem::Sent, content_type = "application/problem+json",
            description = "不能这样下达 / cannot be ordered")))]
pub async fn place(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(who): Extension<Visitor>,
    headers: HeaderMap,
    said: Result<Json<Order>, JsonRejection>,
) -> Result<Response, Problem> {
    // Its own words name the field and are made a problem where every answer passes.
    let Json(said) = match said {
        Ok(said) => said,
        Err(rejection) => return Ok(rejection.into_response()),
    };
    let request = serde_json::to_vec(&("order", &said)).unwrap_or_default();
    let (root, now, of) = (spot_checks::root(&dashboard.keys), dashboard.clock.now().wall, who.name.clone());
    let chance = Chance::new().map_err(refused)?;
    let work = move |tx: &Transaction<'_>| {
        let wanted = match said.wanted() {
            Ok(wanted) => wanted,
            Err(why) => return Ok(Err(Problem::because(problem::NOT_ORDERED, why))),
        };
        let placed = spot_checks::place_in(tx, &chance, root, Some(who.as_actor()), &wanted, now)?;
        Ok(placed.map(|id| Ordered { id }).map_err(refused))
    };
    once::answer(&dashboard, &headers, (&of, &request), work).await
}

fn refused(why: NotPlaced) -> Problem {
    match why {
        NotPlaced::Database(error) => error.into(),
        NotPlaced::Chance(error) => crate::platform::dashboard::Trouble::Chance(error).into(),
        NotPlaced::NoWard(_)
        | NotPlaced::NoBed(_)
        | NotPlaced::NoBeds
        | NotPlaced::NobodyThere
        | NotPlaced::Count
        | NotPlaced::TooMany
        | NotPlaced::Within
        | NotPlaced::Full(_) => Problem::because(problem::NOT_ORDERED, why),
    }
}
