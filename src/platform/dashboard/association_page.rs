//! The association view 关联图: who has to do with whom around one node, as a picture one walks in both directions and as
//! a table beside it.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;

use crate::platform::association::{self, Kind, Neighbour, Node};
use crate::platform::dashboard::frame::Frame;
use crate::platform::dashboard::lead_words::money;
use crate::platform::dashboard::leads_page::{LeadLine, titles};
use crate::platform::dashboard::pages::lang_of;
use crate::platform::dashboard::words::{Lang, Term};
use crate::platform::dashboard::{Dashboard, Trouble};
use crate::platform::keys::uri;
use crate::platform::leads::{self, Filter};
use crate::platform::sessions::Visitor;

/// Neighbours of a kind that are drawn, those with the most money.
const MOST: i64 = 12;
const LEADS: usize = 20;
/// The picture, in its own units: columns of nodes around the middle one.
const WIDTH: i64 = 1000;
const LINE: i64 = 34;
const BOX: i64 = 250;
const EDGE: i64 = 2;
/// Longest name that is drawn whole.
const NAME: usize = 14;

#[derive(Template)]
#[template(path = "association.html", config = "src/platform/dashboard/askama.toml")]
struct Page {
    l: Lang,
    f: Frame,
    kind: Term,
    id: String,
    name: Option<String>,
    width: i64,
    height: i64,
    middle: Drawn,
    drawn: Vec<Drawn>,
    rows: Vec<Row>,
    leads: Vec<LeadLine>,
    most: i64,
}

/// A node as it is drawn.
struct Drawn {
    page: String,
    kind: Term,
    name: String,
    said: String,
    x: i64,
    y: i64,
    /// Where its line meets it, and how wide the line is.
    joint: i64,
    stroke: i64,
    has_leads: bool,
}

struct Row {
    page: String,
    kind: Term,
    id: String,
    name: String,
    visits: i64,
    amount: String,
    leads: i64,
}

#[derive(Deserialize)]
pub struct Which {
    kind: String,
    id: String,
}

/// `GET /screening/association?kind=…&id=…`.
pub async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    Query(which): Query<Which>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let l = lang_of(&headers);
    let Some(kind) = Kind::named(&which.kind) else {
        return Ok((StatusCode::NOT_FOUND, "没有此类节点 / there is no such kind").into_response());
    };
    let node = Node { kind, id: which.id };
    let (at, filter) = (node.clone(), of(&node));
    let (name, neighbours, rules, leads) = dashboard
        .read(move |connection| {
            let leads = match &filter {
                Some(filter) => leads::list(connection, filter, (None, LEADS))?.rows,
                None => Vec::new(),
            };
            let beside = association::neighbours(connection, &at, MOST)?;
            Ok((association::name(connection, &at)?, beside, leads::rules(connection)?, leads))
        })
        .await?;
    let here = page_of(&node);
    let (middle, drawn, height) = picture(l, &node, name.as_deref(), &neighbours);
    let titles = titles(l, &rules);
    let page = Page {
        l,
        f: Frame::new(l, &visitor, "/screening", &here),
        kind: term(kind),
        id: node.id,
        name,
        width: WIDTH,
        height,
        middle,
        drawn,
        rows: neighbours.iter().map(row).collect(),
        leads: leads.iter().map(|row| LeadLine::new(l, row, &titles)).collect(),
        most: MOST,
    };
    Ok(Html(page.render()?).into_response())
}

/// The leads about a node; of funds and homes there are none.
fn of(node: &Node) -> Option<Filter> {
    let id = node.id.clone();
    match node.kind {
        Kind::Institution => Some(Filter { institution: id, ..Filter::default() }),
        Kind::Doctor => Some(Filter { dr_code: id, ..Filter::default() }),
        Kind::Patient => Some(Filter { psn_no: id, ..Filter::default() }),
        Kind::Fund | Kind::NursingHome => None,
    }
}

fn term(kind: Kind) -> Term {
    let (zh, en) = kind.words();
    Term { zh, en, mark: "" }
}

/// The address of a node's view.
pub fn page_of(node: &Node) -> String {
    format!("/screening/association?kind={}&id={}", node.kind.name(), uri(&node.id))
}

fn row(beside: &Neighbour) -> Row {
    Row {
        page: page_of(&beside.node),
        kind: term(beside.node.kind),
        id: beside.node.id.clone(),
        name: beside.name.clone().unwrap_or_default(),
        visits: beside.visits,
        amount: money(beside.amount_fen),
        leads: beside.leads,
    }
}

/// The node in the middle, places on its left (hospitals, homes, funds), people on its right.
fn picture(l: Lang, node: &Node, name: Option<&str>, beside: &[Neighbour]) -> (Drawn, Vec<Drawn>, i64) {
    let is_left =
        |one: &&Neighbour| matches!(one.node.kind, Kind::Institution | Kind::Fund | Kind::NursingHome);
    let (left, right): (Vec<&Neighbour>, Vec<&Neighbour>) = beside.iter().partition(is_left);
    let count = |side: &[&Neighbour]| i64::try_from(side.len()).unwrap_or(i64::MAX);
    let height = (count(&left).max(count(&right)).max(2) * LINE).saturating_add(LINE);
    let most = beside.iter().map(|one| one.amount_fen).max().unwrap_or(1).max(1);
    let mut drawn = Vec::new();
    for (side, x, joint) in [(left, EDGE, EDGE + BOX), (right, WIDTH - BOX - EDGE, WIDTH - BOX - EDGE)] {
        let gap = height / (count(&side) + 1);
        for (at, one) in (1_i64..).zip(side) {
            drawn.push(Drawn {
                page: page_of(&one.node),
                kind: term(one.node.kind),
                name: short(one.name.as_deref().unwrap_or(&one.node.id)),
                said: format!("{} {} · {}", one.visits, l.t("次", "visits"), money(one.amount_fen)),
                x,
                y: at * gap,
                joint,
                stroke: 1 + 7 * one.amount_fen.max(0) / most,
                has_leads: one.leads > 0,
            });
        }
    }
    let middle = Drawn {
        page: String::new(),
        kind: term(node.kind),
        name: short(name.unwrap_or(&node.id)),
        said: String::new(),
        x: (WIDTH - BOX) / 2,
        y: height / 2,
        joint: WIDTH / 2,
        stroke: 0,
        has_leads: false,
    };
    (middle, drawn, height)
}

fn short(name: &str) -> String {
    if name.chars().count() <= NAME {
        return name.to_owned();
    }
    name.chars().take(NAME - 1).chain(['…']).collect()
}
