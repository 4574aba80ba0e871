//! What kiosks verified (智慧核查): one row for each result, kept as the device said it.

use serde::Serialize;

use crate::base::clock::Wall;
use crate::base::ids::DeviceId;
use crate::domain::kiosk::verification::{Outcome, Verification};
use crate::platform::db::{self, Row, Transaction, number, params};

/// One result.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Verified {
    pub device: String,
    pub event: String,
    pub visit: String,
    pub purpose: String,
    pub stay: String,
    pub masked_name: String,
    pub outcome: String,
    pub reason: Option<String>,
    pub resembles: Option<String>,
    pub proxy: Option<String>,
    pub proxy_name: Option<String>,
    pub staff: Vec<String>,
    pub amount_fen: Option<i64>,
    pub drugs: Vec<String>,
    pub synthetic: bool,
    pub done_ms: i64,
    pub received_ms: i64,
}

/// Keeps what a device said.
pub fn keep(
    tx: &Transaction<'_>,
    device: &DeviceId,
    event: &str,
    said: &Verification,
    now: Wall,
) -> db::Result<()> {
    let proxy = said.proxy.as_ref();
    let purchase = said.purchase.as_ref();
    let (mut reason, mut staff, mut resembles) =
        (None, None, proxy.and_then(|proxy| proxy.resembles.clone()));
    match &said.outcome {
        Outcome::Verified | Outcome::Abandoned => {}
        Outcome::Attested { staff: signed, .. } => staff = Some(signed.join("\n")),
        Outcome::Mismatch { resembles: who } => resembles.clone_from(who),
        Outcome::NotLive { cue } => reason = Some(cue.name().to_owned()),
        Outcome::Inconclusive { reason: why } => reason = name(why),
    }
    tx.execute(
        "INSERT OR IGNORE INTO verification VALUES
         (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        params![
            device.as_str(),
            event,
            said.visit,
            said.purpose.name(),
            said.stay.as_str(),
            said.masked_name,
            said.outcome.name(),
            reason,
            resembles.map(String::from),
            proxy.map(|proxy| &proxy.subject),
            proxy.map(|proxy| &proxy.masked_name),
            staff,
            purchase.map(|purchase| number(purchase.amount_fen)),
            purchase.map(|purchase| purchase.drugs.join("\n")),
            said.synthetic,
            said.done.0,
            now.0,
        ],
    )?;
    Ok(())
}

/// The name of a reason as it is in JSON.
fn name(reason: &impl Serialize) -> Option<String> {
    serde_json::to_value(reason).ok()?.as_str().map(str::to_owned)
}

/// A result out of the columns of its table.
pub(super) fn verified(row: &Row<'_>) -> db::Result<Verified> {
    let lines = |text: Option<String>| -> Vec<String> {
        text.unwrap_or_default().lines().map(str::to_owned).collect()
    };
    Ok(Verified {
        device: row.get(0)?,
        event: row.get(1)?,
        visit: row.get(2)?,
        purpose: row.get(3)?,
        stay: row.get(4)?,
        masked_name: row.get(5)?,
        outcome: row.get(6)?,
        reason: row.get(7)?,
        resembles: row.get(8)?,
        proxy: row.get(9)?,
        proxy_name: row.get(10)?,
        staff: lines(row.get(11)?),
        amount_fen: row.get(12)?,
        drugs: lines(row.get(13)?),
        synthetic: row.get(14)?,
        done_ms: row.get(15)?,
        received_ms: row.get(16)?,
    })
}
