//! Exceptions (异常), those that agents report and those that the platform raises itself, in one list.

use crate::base::clock::Wall;
use crate::base::ids::{BedId, DeviceId, StayId};
use crate::domain::exception::{ExceptionChange, Move};
use crate::domain::irregular::IrregularityChange;
use crate::platform::db::{self, Transaction, params};

/// What the platform finds out about a device without being told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// 设备失联: nothing came for longer than was expected.
    Silence,
    /// 未按时巡查: the device speaks and begins no round.
    NoRound,
    /// 数据链缺口: the device goes on beyond what the platform has.
    ChainGap,
    /// 数据链分叉: two different statements under one number.
    ChainFork,
    /// 数据链重启: the device lost its state, or another box took its name.
    ChainNewEpoch,
    /// 上报内容被改: signature, body or evidence do not belong together.
    Tampered,
    /// 抽签不符: a round was not drawn as committed.
    DrawForged,
    /// 抽查未执行: an ordered spot check was not carried out in time.
    OrderMissed,
    /// 更新被退回: the device says of its signed updates less than it said before.
    BundleTurnedBack,
    /// 更新试用失败: a signed bundle did not work there, and the device went back to the one before.
    BundleGivenUp,
    /// 上报无法解读: signed, and no event that is understood here.
    Unreadable,
    /// 上报内容缺失: a statement came without its body or evidence; the device had no room, or somebody took it out.
    Pruned,
}

impl Own {
    /// The name in tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Own::Silence => "silence",
            Own::NoRound => "no_round",
            Own::ChainGap => "chain_gap",
            Own::ChainFork => "chain_fork",
            Own::ChainNewEpoch => "chain_new_epoch",
            Own::Tampered => "tampered",
            Own::DrawForged => "draw_forged",
            Own::OrderMissed => "order_missed",
            Own::BundleTurnedBack => "bundle_turned_back",
            Own::BundleGivenUp => "bundle_given_up",
            Own::Unreadable => "unreadable",
            Own::Pruned => "pruned",
        }
    }
}

/// Takes what an agent says about one of its exceptions. An ended one stays ended: late news cannot open it again.
pub fn take(tx: &Transaction<'_>, device: &DeviceId, change: &ExceptionChange) -> db::Result<()> {
    let state = match change.moved {
        Move::Raised => "raised",
        Move::Confirmed => "confirmed",
        Move::Ended => "ended",
    };
    let ended = (change.moved == Move::Ended).then_some(change.last.0);
    tx.execute(
        "INSERT INTO exception (device, id, kind, state, origin, bed, stay, masked_name, verdict, rounds,
                                first_ms, last_ms, ended_ms)
         VALUES (?1, ?2, ?3, ?4, 'device', ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
         ON CONFLICT (device, id) DO UPDATE SET
             state = CASE exception.state WHEN 'ended' THEN exception.state ELSE ?4 END,
             verdict = ?8, rounds = max(exception.rounds, ?9), last_ms = max(exception.last_ms, ?11),
             ended_ms = coalesce(exception.ended_ms, ?12)",
        params![
            device.as_str(),
            change.exception,
            change.kind.name(),
            state,
            change.bed.as_str(),
            change.stay.as_str(),
            change.masked_name,
            change.verdict.name(),
            change.rounds,
            change.first.0,
            change.last.0,
            ended,
        ],
    )?;
    Ok(())
}

/// Takes what an agent says about its ward, its cameras or its clock.
pub fn take_irregular(
    tx: &Transaction<'_>,
    device: &DeviceId,
    change: &IrregularityChange,
) -> db::Result<()> {
    let detail = serde_json::to_string(&change.what)
        .map_err(|error| db::Error::ToSqlConversionFailure(Box::new(error)))?;
    let has_ended = change.moved == Move::Ended;
    let (bed, stay, masked_name) = change.what.about();
    tx.execute(
        "INSERT INTO exception (device, id, kind, state, origin, bed, stay, masked_name, rounds, first_ms, last_ms,
                                ended_ms, detail)
         VALUES (?1, ?2, ?3, ?4, 'device', ?5, ?6, ?7, 1, ?8, ?9, ?10, ?11)
         ON CONFLICT (device, id) DO UPDATE SET
             state = CASE exception.state WHEN 'ended' THEN exception.state ELSE ?4 END,
             last_ms = max(exception.last_ms, ?9), ended_ms = coalesce(exception.ended_ms, ?10)",
        params![
            device.as_str(),
            change.irregularity,
            change.what.name(),
            if has_ended { "ended" } else { "raised" },
            bed.map(BedId::as_str),
            stay.map(StayId::as_str),
            masked_name,
            change.first.0,
            change.last.0,
            has_ended.then_some(change.last.0),
            detail,
        ],
    )?;
    Ok(())
}

/// Opens a case of the platform's own, or counts another occurrence of the one that is open; true when it is new.
pub fn raise(tx: &Transaction<'_>, device: &DeviceId, kind: Own, at: Wall) -> db::Result<bool> {
    let repeated = tx.execute(
        "UPDATE exception SET rounds = min(rounds + 1, 999), last_ms = ?3
         WHERE device = ?1 AND kind = ?2 AND origin = 'platform' AND state <> 'ended'",
        params![device.as_str(), kind.name(), at.0],
    )?;
    if repeated > 0 {
        return Ok(false);
    }
    tx.execute(
        "INSERT OR IGNORE INTO exception (device, id, kind, state, origin, rounds, first_ms, last_ms)
         VALUES (?1, ?2, ?3, 'raised', 'platform', 1, ?4, ?4)",
        params![device.as_str(), format!("{}.{}", kind.name(), at.0), kind.name(), at.0],
    )?;
    Ok(true)
}

/// Whether a case of this kind is open.
pub fn is_open(tx: &Transaction<'_>, device: &DeviceId, kind: Own) -> db::Result<bool> {
    tx.query_row(
        "SELECT EXISTS (SELECT 1 FROM exception WHERE device = ?1 AND kind = ?2 AND origin = 'platform'
                        AND state <> 'ended')",
        [device.as_str(), kind.name()],
        |row| row.get(0),
    )
}

/// Ends the open case of a kind; true when there was one.
pub fn end(tx: &Transaction<'_>, device: &DeviceId, kind: Own, at: Wall) -> db::Result<bool> {
    let ended = tx.execute(
        "UPDATE exception SET state = 'ended', ended_ms = ?3, last_ms = max(last_ms, ?3)
         WHERE device = ?1 AND kind = ?2 AND origin = 'platform' AND state <> 'ended'",
        params![device.as_str(), kind.name(), at.0],
    )?;
    Ok(ended > 0)
}
