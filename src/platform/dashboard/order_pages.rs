//! Spot checks 抽查: ordering one, the list of them, and what came of one, bed by bed, on the page it was ordered from.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Extension, Form, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;
use tracing::info;

use crate::base::ids::{BedId, DeviceId};
use crate::platform::dashboard::frame::Frame;
use crate::platform::dashboard::order_words::{self, Row, Shown};
use crate::platform::dashboard::pages::lang_of;
use crate::platform::dashboard::words::{Lang, Term};
use crate::platform::dashboard::{Dashboard, Trouble};
use crate::platform::sessions::Visitor;
use crate::platform::spot_checks::{self, NotPlaced, Wanted, What};
use crate::platform::wards::{self, Ward};
use crate::platform::{queue, rights};

/// Orders on a page.
const PAGE: usize = 30;
/// Wards that are offered to choose from; of more the name of the device is typed.
const MOST_OFFERED: usize = 200;
/// Minutes that are offered.
const TIMES: [(&str, Term); 4] = [
    ("10", Term { zh: "10 分钟", en: "10 minutes", mark: "" }),
    ("30", Term { zh: "30 分钟", en: "30 minutes", mark: "" }),
    ("60", Term { zh: "1 小时", en: "1 hour", mark: "" }),
    ("240", Term { zh: "4 小时", en: "4 hours", mark: "" }),
];

#[derive(Template)]
#[template(path = "orders.html", config = "src/platform/dashboard/askama.toml")]
struct Page {
    l: Lang,
    f: Frame,
    trouble: Option<String>,
    may_order: bool,
    said: Said,
    times: [(&'static str, Term); 4],
    /// Devices with their place, where they are few enough to choose from.
    wards: Option<Vec<(String, String)>>,
    institutions: Vec<String>,
    /// From which draw on, and the digest.
    bound: (u64, String),
    rows: Vec<Row>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "order.html", config = "src/platform/dashboard/askama.toml")]
struct One {
    l: Lang,
    f: Frame,
    order: Shown,
    live: String,
}

#[derive(Template)]
#[template(path = "order_rows.html", config = "src/platform/dashboard/askama.toml")]
struct Live {
    l: Lang,
    order: Shown,
}

/// What is in the form, as it was filled in or as a link fills it in.
#[derive(Clone, Default, Deserialize)]
pub struct Said {
    /// `beds`, `ward` or `sample`.
    #[serde(default)]
    what: String,
    #[serde(default)]
    device: String,
    /// Separated by anything that is in no name of a bed.
    #[serde(default)]
    beds: String,
    #[serde(default)]
    institution: String,
    #[serde(default)]
    count: String,
    #[serde(default)]
    minutes: String,
    #[serde(default)]
    evidence: String,
    #[serde(default)]
    after: String,
}

/// `GET /orders`.
pub async fn list(
    State(dashboard): State<Arc<Dashboard>>,
    Query(said): Query<Said>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    draw_list(&dashboard, &visitor, lang_of(&headers), said, None).await
}

/// `POST /orders`.
pub async fn place(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    Form(said): Form<Said>,
) -> Result<Response, Trouble> {
    let l = lang_of(&headers);
    let wanted = match wanted(&said) {
        Ok(wanted) => wanted,
        Err(why) => return draw_list(&dashboard, &visitor, l, said, Some(why)).await,
    };
    let (db, root, now) =
        (dashboard.db.clone(), spot_checks::root(&dashboard.keys), dashboard.clock.now().wall);
    let who = visitor.clone();
    let work = move || spot_checks::place(&db, root, Some(who.as_actor()), &wanted, now);
    match tokio::task::spawn_blocking(work).await.map_err(|_| Trouble::Gone)? {
        Ok(id) => {
            info!(order = id, "A spot check was ordered.");
            // Loading the page again must not order again.
            Ok(Redirect::to(&format!("/orders/{id}")).into_response())
        }
        Err(NotPlaced::Database(error)) => Err(error.into()),
        Err(NotPlaced::Chance(error)) => Err(Trouble::Chance(error)),
        Err(why) => draw_list(&dashboard, &visitor, l, said, Some(why.to_string())).await,
    }
}

/// What a form asks for, or what is wrong with it.
fn wanted(said: &Said) -> Result<Wanted, String> {
    let device =
        || DeviceId::new(said.device.trim()).map_err(|_| NotPlaced::NoWard(said.device.clone()).to_string());
    let minutes: u64 = said.minutes.trim().parse().map_err(|_| NotPlaced::Within.to_string())?;
    let what = match said.what.as_str() {
        "sample" => What::Sample {
            institution: said.institution.clone(),
            count: said.count.trim().parse().map_err(|_| NotPlaced::Count.to_string())?,
        },
        "ward" => What::Ward { device: device()? },
        "beds" => {
            let names = said
                .beds
                .split([',', '，', '、', ';', '；', ' ', '\u{3000}'])
                .filter(|name| !name.is_empty());
            let beds: Result<Vec<BedId>, _> = names.map(BedId::new).collect();
            What::Beds { device: device()?, beds: beds.map_err(|error| error.to_string())? }
        }
        _ => return Err("请选择抽查方式 / choose what is to be checked".to_owned()),
    };
    let within = Duration::from_secs(minutes.saturating_mul(60));
    Ok(Wanted { what, within, evidence: said.evidence == "1" })
}

async fn draw_list(
    dashboard: &Dashboard,
    visitor: &Visitor,
    l: Lang,
    said: Said,
    trouble: Option<String>,
) -> Result<Response, Trouble> {
    let (now, root) = (dashboard.clock.now().wall, spot_checks::root(&dashboard.keys));
    let (who, after) = (visitor.clone(), said.after.clone());
    let may_order = rights::may_write(visitor.role, "/orders");
    let (rows, next, bound, wards, institutions) = dashboard
        .read(move |connection| {
            let page = spot_checks::list(connection, who.scope(), (&after, PAGE), now)?;
            let bound = spot_checks::commitment(connection, root, now)?;
            let wards = if may_order { wards::list(connection, who.scope(), now)? } else { Vec::new() };
            Ok((page.rows, page.next, bound, wards, queue::institutions(connection, who.scope())?))
        })
        .await?;
    let offered = (wards.len() <= MOST_OFFERED).then(|| wards.into_iter().map(offered).collect());
    let status = if trouble.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = Page {
        l,
        f: Frame::new(l, visitor, "/orders", "/orders"),
        trouble,
        may_order,
        said,
        times: TIMES,
        wards: offered,
        institutions,
        bound: (bound.round, bound.sha256.into()),
        rows: rows.iter().map(|row| order_words::row(l, row, now)).collect(),
        next: next.map(|after| format!("/orders?after={after}")),
    };
    Ok((status, Html(page.render()?)).into_response())
}

fn offered(ward: Ward) -> (String, String) {
    let place = format!("{} · {} · {}", ward.institution, ward.ward, ward.device);
    (ward.device, place)
}

/// `GET /orders/{id}`.
pub async fn one(
    State(dashboard): State<Arc<Dashboard>>,
    Path(id): Path<String>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let l = lang_of(&headers);
    let Some(found) = find(&dashboard, &visitor, id).await? else { return Ok(missing()) };
    let order = order_words::shown(l, &found, &visitor, dashboard.clock.now().wall);
    let path = format!("/orders/{}", found.order.id);
    let f = Frame::new(l, &visitor, "/orders", &path);
    Ok(Html(One { l, f, order, live: format!("{path}/rows") }.render()?).into_response())
}

/// `GET /orders/{id}/rows`: the live part alone.
pub async fn rows(
    State(dashboard): State<Arc<Dashboard>>,
    Path(id): Path<String>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let l = lang_of(&headers);
    let Some(found) = find(&dashboard, &visitor, id).await? else { return Ok(missing()) };
    let order = order_words::shown(l, &found, &visitor, dashboard.clock.now().wall);
    Ok(Html(Live { l, order }.render()?).into_response())
}

/// `GET /orders/{id}/draw.json`: everything somebody needs to draw the sample again.
pub async fn draw(
    State(dashboard): State<Arc<Dashboard>>,
    Path(id): Path<String>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Trouble> {
    let draw = find(&dashboard, &visitor, id).await?.and_then(|found| found.draw);
    let Some(draw) = draw else { return Ok(missing()) };
    let head = [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"draw.json\""),
    ];
    Ok((head, axum::Json(draw)).into_response())
}

async fn find(
    dashboard: &Dashboard,
    visitor: &Visitor,
    id: String,
) -> Result<Option<spot_checks::One>, Trouble> {
    let (now, root, who) = (dashboard.clock.now().wall, spot_checks::root(&dashboard.keys), visitor.clone());
    dashboard.read(move |connection| spot_checks::one(connection, root, &id, who.scope(), now)).await
}

fn missing() -> Response {
    (StatusCode::NOT_FOUND, "没有此抽查 / there is no such spot check").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(what: &str, beds: &str, minutes: &str) -> Said {
        let (what, beds, minutes) = (what.to_owned(), beds.to_owned(), minutes.to_owned());
        Said { what, beds, minutes, device: " d ".into(), count: "7".into(), ..Said::default() }
    }

    #[test]
    fn a_form_is_read_as_people_write_it_and_nonsense_is_refused_in_words() {
        let beds: Vec<BedId> = ["04", "05", "6床"].map(|bed| BedId::new(bed).unwrap()).to_vec();
        let read = wanted(&said("beds", "04，05、 6床", "30")).unwrap();
        assert_eq!(read.within, Duration::from_secs(1800));
        assert_eq!(read.what, What::Beds { device: DeviceId::new("d").unwrap(), beds });
        assert!(matches!(wanted(&said("sample", "", "5")).unwrap().what, What::Sample { count: 7, .. }));
        for (wrong, word) in [
            (said("beds", "04/05", "30"), "04/05"),
            (said("ward", "", "soon"), "期限"),
            (said("everything", "", "30"), "抽查方式"),
            (Said { device: "a b".into(), ..said("ward", "", "5") }, "病区设备"),
        ] {
            assert!(wanted(&wrong).unwrap_err().contains(word), "{word}");
        }
    }
}
