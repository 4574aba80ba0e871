//! When each thing was said, by the receipts around it, and whether it says what is claimed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::audit::chain::Link;
use crate::audit::{Answers, Bound};
use crate::base::clock::Wall;
use crate::base::files::sha256_hex;
use crate::domain::Finding;
use crate::wire::batch::{RECEIPT_TYPE, Receipt};
use crate::wire::case::{self, Claim, Line};
use crate::wire::event::Report;
use crate::wire::statement::NO_LINK;

/// A clock that differs by more from the receipts around a statement is worth a question.
const SKEW: Duration = Duration::from_secs(120);

pub fn examine(claim: &Claim, lines: &[Line], links: &[Link], answers: &mut Answers) -> Vec<Bound> {
    let receipts = receipts(claim, lines, answers);
    let bounds: Vec<Bound> =
        links.iter().filter(|link| link.has_body).map(|link| bound(link, &receipts)).collect();
    compare(links, &receipts, &bounds, answers);
    is_claimed(claim, links, answers);
    bounds
}

/// By their digests.
fn receipts(claim: &Claim, lines: &[Line], answers: &mut Answers) -> BTreeMap<String, Receipt> {
    let title = "回执 receipts";
    let key = case::key(&claim.keys.receipts);
    let mut found = BTreeMap::new();
    for (at, line) in lines.iter().enumerate() {
        let Line::Receipt { envelope } = line else { continue };
        let payload = key.as_ref().and_then(|key| envelope.verified(key, RECEIPT_TYPE).ok());
        let receipt = payload.and_then(|payload| serde_json::from_slice::<Receipt>(payload).ok());
        match receipt.filter(|receipt| receipt.device == claim.device) {
            Some(receipt) => {
                found.insert(sha256_hex(&envelope.payload), receipt);
            }
            None => answers.bad(
                title,
                format!("第 {} 行 line {0}: 不是平台给该设备的回执 · is no receipt of the platform for this device", at + 1),
            ),
        }
    }
    found
}

fn bound(link: &Link, receipts: &BTreeMap<String, Receipt>) -> Bound {
    let statement = &link.checked.statement;
    let covering = receipts
        .values()
        .filter(|receipt| receipt.head.epoch == statement.epoch && receipt.head.seq >= statement.seq);
    Bound {
        seq: statement.seq,
        kind: link.event.as_ref().map_or_else(|| "unreadable".to_owned(), |event| event.kind.clone()),
        said: statement.t_wall,
        not_before: receipts.get(&statement.anchor).map(|receipt| receipt.received),
        not_after: covering.map(|receipt| receipt.received).min(),
    }
}

fn compare(links: &[Link], receipts: &BTreeMap<String, Receipt>, bounds: &[Bound], answers: &mut Answers) {
    let title = "时间 time";
    for link in links {
        let statement = &link.checked.statement;
        let contradicts = |receipt: &&Receipt| {
            let head = &receipt.head;
            (&head.epoch, head.seq) == (&statement.epoch, statement.seq) && head.link != link.checked.link
        };
        if receipts.values().any(|receipt| contradicts(&receipt)) {
            let seq = statement.seq;
            answers.bad(
                title,
                format!("回执确认的第 {seq} 条是另一条 · a receipt acknowledges another statement as {seq}"),
            );
        }
        let is_first = statement.anchor == NO_LINK;
        if !is_first && !receipts.contains_key(&statement.anchor) {
            answers.attention(
                title,
                format!("第 {} 条所依据的回执不在文件中 · the receipt that statement {0} is anchored in is not here", statement.seq),
            );
        }
    }
    let is_odd = |bound: &&Bound| {
        let early = bound.not_before.is_some_and(|receipt| bound.said.plus(SKEW) < receipt);
        early || bound.not_after.is_some_and(|receipt| bound.said > receipt.plus(SKEW))
    };
    for bound in bounds.iter().filter(is_odd) {
        answers.attention(
            title,
            format!("第 {} 条：设备时钟 {} 与回执不符 · the device's clock does not fit the receipts around statement {0}", bound.seq, bound.said),
        );
    }
    let bounded = bounds.iter().filter(|bound| bound.not_after.is_some()).count();
    if bounded == bounds.len() {
        answers
            .good(title, format!("{bounded} 条均由回执限定 · {bounded} statements are bounded by receipts"));
    } else {
        answers.bad(
            title,
            format!(
                "{} 条没有到达回执 · {0} statements are not acknowledged by any receipt here",
                bounds.len() - bounded
            ),
        );
    }
    if let (Some(from), Some(to)) = (first(bounds), bounds.iter().filter_map(|bound| bound.not_after).max()) {
        answers.good(title, format!("{from} — {to}"));
    }
}

fn first(bounds: &[Bound]) -> Option<Wall> {
    bounds.iter().filter_map(|bound| bound.not_before.or(bound.not_after)).min()
}

/// Whether the device itself said what is claimed of it.
fn is_claimed(claim: &Claim, links: &[Link], answers: &mut Answers) {
    let title = "异常 exception";
    let mut said = None;
    let mut checks = 0;
    for event in links.iter().filter_map(|link| link.event.as_ref()) {
        match &event.data {
            Report::Finding(Finding::Checked(result)) => {
                checks += usize::from(Some(result.stay.as_str()) == claim.stay.as_deref());
            }
            Report::Finding(Finding::Exception(change)) if change.exception == claim.exception => {
                let is_same = change.kind.name() == claim.kind
                    && Some(change.bed.as_str()) == claim.bed.as_deref()
                    && Some(change.stay.as_str()) == claim.stay.as_deref();
                said = Some(said.unwrap_or(true) && is_same);
            }
            Report::Finding(Finding::Irregular(change)) if change.irregularity == claim.exception => {
                said = Some(said.unwrap_or(true) && change.what.name() == claim.kind);
            }
            Report::Finding(_)
            | Report::Hello(_)
            | Report::Roster(_)
            | Report::Beat(_)
            | Report::Privacy(_)
            | Report::Verification(_) => {}
        }
    }
    let kind = &claim.kind;
    match said {
        Some(true) => answers.good(
            title,
            format!("{kind}：设备自己签名报告，附 {checks} 次核查 · the device itself signed it, with {checks} checks of this stay"),
        ),
        Some(false) => answers.bad(title, format!("{kind}：与设备所报不符 · is not what the device said")),
        None => answers.attention(
            title,
            format!("{kind}：由平台判定，文件只证明设备说过什么 · the platform's own finding; the file shows what the device said around it"),
        ),
    }
}
