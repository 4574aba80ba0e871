//! Spot checks (抽查) as people order them: beds of a ward, a whole ward, or a sample over a hospital that nobody chose. What
//! came of each stays with the order: which round answered, and what it found bed by bed.
//!
//! ```text
//!   ordered ──► one check for each ward (`orders`), each with a nonce ──► rides with the receipts ──► answered or missed
//!   sample:  commitment public ──► number, beds it is drawn from, seed drawn ──► deadline over: seed shown
//! ```
//! The seeds of samples are a hash chain under a secret of this platform (`domain::draw`): the commitment that is public
//! binds all later ones, and a seed is shown when its deadline, and that of every sample before it, is over.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::base::clock::Wall;
use crate::base::ids::{BedId, DeviceId};
use crate::domain::draw::{self, Commitment, Seed};
use crate::domain::order::{MOST_WAITING, Order};
use crate::domain::sample::{self, Place};
use crate::platform::cursor::{self, Page};
use crate::platform::db::{
    self, Connection, Database, DatabaseError, OptionalExtension, Row, Transaction, number, params,
};
use crate::platform::keys::Keys;
use crate::platform::spot_results::parts_of;
pub use crate::platform::spot_results::{Found, Part};
use crate::platform::{orders, trail};

/// Beds drawn at once, and those a draw is over: a province is sampled hospital by hospital.
pub const MOST_DRAWN: usize = 200;
const MOST_AMONG: usize = 20_000;
/// Time a ward has: a round over it takes minutes, and tomorrow is no spot check.
pub const WITHIN: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(24 * 3600);

/// What is to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Beds { device: DeviceId, beds: Vec<BedId> },
    Ward { device: DeviceId },
    Sample { institution: String, count: usize },
}

/// An order as somebody gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub what: What,
    pub within: Duration,
    /// Pictures are wanted, where the device's policy gives them.
    pub evidence: bool,
}

/// Why nothing was ordered.
#[derive(Debug, thiserror::Error)]
pub enum NotPlaced {
    #[error("没有此病区设备 / no admitted device {0} is known here")]
    NoWard(String),
    #[error("{0} 不在该病区现名册上 / bed {0} is not on the ward's roster")]
    NoBed(BedId),
    #[error("请至少写一张床 / name at least one bed")]
    NoBeds,
    #[error("该机构没有在册床位 / there is no bed on a roster of this institution")]
    NobodyThere,
    #[error("抽样须为 1 至 {MOST_DRAWN} 张床 / a sample has 1 to {MOST_DRAWN} beds")]
    Count,
    #[error("机构床位过多，请按病区抽查 / too many beds there: order by ward")]
    TooMany,
    #[error("期限须为 1 分钟至 24 小时 / the time must be between a minute and a day")]
    Within,
    #[error(
        "设备 {0} 尚有 {MOST_WAITING} 项抽查未完成 / {MOST_WAITING} spot checks wait for device {0} already"
    )]
    Full(DeviceId),
    #[error("没有随机数 / no random numbers: {0}")]
    Chance(getrandom::Error),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// The secret all samples of a platform are drawn under: nothing of the key it is made from can be read out of it.
pub fn root(keys: &Keys) -> Seed {
    let digest = Sha256::new().chain_update("bedcheck samples v1").chain_update(keys.log.as_bytes());
    Seed(digest.finalize().into())
}

/// Writes an order down; its id. Each ward hears of its part with its next receipt. `actor` is who orders by name and
/// role, nobody on the command line.
///
/// # Errors
/// [`NotPlaced`]; nothing was ordered.
pub fn place(
    db: &Database,
    root: Seed,
    actor: Option<(&str, &str)>,
    wanted: &Wanted,
    now: Wall,
) -> Result<String, NotPlaced> {
    let chance = Chance::new()?;
    db.write(|tx| place_in(tx, &chance, root, actor, wanted, now))?
}

/// As [`place`], within a transaction.
pub fn place_in(
    tx: &Transaction<'_>,
    chance: &Chance,
    root: Seed,
    actor: Option<(&str, &str)>,
    wanted: &Wanted,
    now: Wall,
) -> db::Result<Result<String, NotPlaced>> {
    if !WITHIN.contains(&wanted.within) {
        return Ok(Err(NotPlaced::Within));
    }
    let parts = match parts(tx, root, wanted, now)? {
        Ok(parts) => parts,
        Err(why) => return Ok(Err(why)),
    };
    // Before anything is written: a refusal leaves nothing behind.
    for device in parts.beds.keys() {
        if orders::open(tx, device, now)?.len() >= MOST_WAITING {
            return Ok(Err(NotPlaced::Full(device.clone())));
        }
    }
    write(tx, chance, actor, wanted, &parts, now).map(Ok)
}

/// Random ids: each ward's is a digest of its name and one secret, so that none is asked for in a transaction.
pub struct Chance([u8; 32]);

impl Chance {
    /// # Errors
    /// [`NotPlaced::Chance`].
    pub fn new() -> Result<Chance, NotPlaced> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(NotPlaced::Chance)?;
        Ok(Chance(bytes))
    }

    fn text(&self, purpose: &str, bytes: usize) -> String {
        let digest = Sha256::new().chain_update(self.0).chain_update(purpose).finalize();
        hex::encode(&digest[..bytes])
    }
}

/// An order with its beds by device, an empty list for all of them, and how they were drawn.
struct Parts {
    institution: String,
    kind: &'static str,
    beds: BTreeMap<DeviceId, Vec<BedId>>,
    draw: Option<Lot>,
}

/// What a sample is drawn from, and what bound it.
struct Lot {
    number: u64,
    wanted: usize,
    bound_by: Commitment,
    among: Vec<Place>,
}

fn parts(
    tx: &Transaction<'_>,
    root: Seed,
    wanted: &Wanted,
    now: Wall,
) -> db::Result<Result<Parts, NotPlaced>> {
    let (device, beds, kind) = match &wanted.what {
        What::Beds { device, beds } => (device, beds.clone(), "beds"),
        What::Ward { device } => (device, Vec::new(), "ward"),
        What::Sample { institution, count } => return sampled(tx, root, institution, *count, now),
    };
    let institution: Option<String> = tx
        .query_row(
            "SELECT institution FROM device WHERE device = ?1 AND revoked_ms IS NULL",
            [device.as_str()],
            |row| row.get(0),
        )
        .optional()?;
    let Some(institution) = institution else { return Ok(Err(NotPlaced::NoWard(device.to_string()))) };
    if kind == "beds" && beds.is_empty() {
        return Ok(Err(NotPlaced::NoBeds));
    }
    let listed = among(tx, "d.device = ?1", device.as_str())?;
    if let Some(bed) = beds.iter().find(|bed| !listed.iter().any(|place| place.bed == **bed)) {
        return Ok(Err(NotPlaced::NoBed(bed.clone())));
    }
    Ok(Ok(Parts { institution, kind, beds: BTreeMap::from([(device.clone(), beds)]), draw: None }))
}

fn sampled(
    tx: &Transaction<'_>,
    root: Seed,
    institution: &str,
    count: usize,
    now: Wall,
) -> db::Result<Result<Parts, NotPlaced>> {
    if !(1..=MOST_DRAWN).contains(&count) {
        return Ok(Err(NotPlaced::Count));
    }
    let among = among(tx, "d.institution = ?1", institution)?;
    if among.is_empty() {
        return Ok(Err(NotPlaced::NobodyThere));
    }
    if among.len() > MOST_AMONG {
        return Ok(Err(NotPlaced::TooMany));
    }
    let next = next_draw(tx)?;
    let commitment = commitment(tx, root, now)?;
    let mut beds: BTreeMap<DeviceId, Vec<BedId>> = BTreeMap::new();
    for place in sample::drawn(draw::seed(root, next), &among, count) {
        beds.entry(place.device).or_default().push(place.bed);
    }
    let draw = Some(Lot { number: next, wanted: count.min(among.len()), bound_by: commitment, among });
    Ok(Ok(Parts { institution: institution.to_owned(), kind: "sample", beds, draw }))
}

/// Beds on the rosters of admitted devices, in a fixed order.
fn among(tx: &Transaction<'_>, which: &str, value: &str) -> db::Result<Vec<Place>> {
    let mut query = tx.prepare_cached(&format!(
        "SELECT r.device, r.bed FROM device d JOIN roster r ON r.device = d.device
         WHERE {which} AND d.revoked_ms IS NULL ORDER BY r.device, r.bed"
    ))?;
    let mut rows = query.query([value])?;
    let mut places = Vec::new();
    while let Some(row) = rows.next()? {
        let (device, bed): (String, String) = (row.get(0)?, row.get(1)?);
        // Both were parsed when they came.
        if let (Ok(device), Ok(bed)) = (DeviceId::new(device), BedId::new(bed)) {
            places.push(Place { device, bed });
        }
    }
    Ok(places)
}

fn write(
    tx: &Transaction<'_>,
    chance: &Chance,
    actor: Option<(&str, &str)>,
    wanted: &Wanted,
    parts: &Parts,
    now: Wall,
) -> db::Result<String> {
    let (id, until) = (chance.text("order", 8), now.plus(wanted.within));
    let json = |error| db::Error::ToSqlConversionFailure(Box::new(error));
    let draw = parts.draw.as_ref();
    let bound = draw.map(|draw| serde_json::to_string(&draw.bound_by)).transpose().map_err(json)?;
    let among = draw.map(|draw| serde_json::to_string(&draw.among)).transpose().map_err(json)?;
    tx.execute(
        "INSERT INTO spot_order VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            id,
            actor.map(|(name, _)| name),
            parts.kind,
            parts.institution,
            now.0,
            until.0,
            wanted.evidence,
            draw.map(|draw| self::number(draw.number)),
            draw.map(|draw| self::number(draw.wanted as u64)),
            bound,
            among,
        ],
    )?;
    for (device, beds) in &parts.beds {
        let (own, nonce) =
            (chance.text(&format!("id/{device}"), 8), chance.text(&format!("nonce/{device}"), 16));
        let order = Order { id: own.clone(), nonce, beds: beds.clone(), until, evidence: wanted.evidence };
        orders::place(tx, device, &order, now)?;
        tx.execute("UPDATE spot_check SET spot_order = ?2 WHERE id = ?1", [&own, &id])?;
    }
    if let Some(actor) = actor {
        trail::enter(
            tx,
            actor,
            "ordered a spot check",
            &format!("{id} {} {}", parts.kind, parts.institution),
            now,
        )?;
    }
    Ok(id)
}

/// The number of the next draw: how many there were.
fn next_draw(connection: &Connection) -> db::Result<u64> {
    let next: i64 =
        connection.query_row("SELECT coalesce(max(draw) + 1, 0) FROM spot_order", [], |row| row.get(0))?;
    Ok(next.unsigned_abs())
}

/// Seeds are shown below this number: the first whose deadline is not over hides its own and all after it.
fn shown_below(connection: &Connection, now: Wall) -> db::Result<u64> {
    let hidden: Option<i64> = connection.query_row(
        "SELECT min(draw) FROM spot_order WHERE draw IS NOT NULL AND until_ms >= ?1",
        [now.0],
        |row| row.get(0),
    )?;
    hidden.map_or_else(|| next_draw(connection), |hidden| Ok(hidden.unsigned_abs()))
}

/// What is public now and binds the next draw.
pub fn commitment(connection: &Connection, root: Seed, now: Wall) -> db::Result<Commitment> {
    let round = sample::bound_from(shown_below(connection, now)?, next_draw(connection)?);
    Ok(Commitment { round, sha256: draw::seed(root, round).hash() })
}

/// An order in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Listed {
    pub id: String,
    /// Who ordered it; nobody on the command line.
    pub person: Option<String>,
    /// `beds`, `ward` or `sample`.
    pub kind: String,
    pub institution: String,
    pub issued: i64,
    pub until: i64,
    pub evidence: bool,
    /// Wards it goes to, those that answered and those that did not in time.
    pub wards: i64,
    pub answered: i64,
    pub missed: i64,
}

const LISTED: &str = "SELECT o.id, o.person, o.kind, o.institution, o.issued_ms, o.until_ms, o.evidence,
    (SELECT count(*) FROM spot_check c WHERE c.spot_order = o.id),
    (SELECT count(*) FROM spot_check c WHERE c.spot_order = o.id AND c.answered_ms IS NOT NULL),
    (SELECT count(*) FROM spot_check c WHERE c.spot_order = o.id AND c.answered_ms IS NULL AND c.until_ms < ?1)";

fn listed(row: &Row<'_>) -> db::Result<Listed> {
    Ok(Listed {
        id: row.get(0)?,
        person: row.get(1)?,
        kind: row.get(2)?,
        institution: row.get(3)?,
        issued: row.get(4)?,
        until: row.get(5)?,
        evidence: row.get(6)?,
        wards: row.get(7)?,
        answered: row.get(8)?,
        missed: row.get(9)?,
    })
}

/// The newest `most` orders of `scope`, and where the next page begins; `after` is where the one before ended.
pub fn list(
    connection: &Connection,
    scope: Option<&str>,
    (after, most): (&str, usize),
    now: Wall,
) -> db::Result<Page<Listed>> {
    let (issued, rowid) = cursor::time_and_row(after).unwrap_or((i64::MAX, i64::MAX));
    let mut rows: Vec<(Listed, i64)> = connection
        .prepare_cached(&format!(
            "{LISTED}, o.rowid FROM spot_order o
             WHERE (?2 IS NULL OR o.institution = ?2) AND (o.issued_ms, o.rowid) < (?3, ?4)
             ORDER BY o.issued_ms DESC, o.rowid DESC LIMIT ?5"
        ))?
        .query_map(params![now.0, scope, issued, rowid, most as i64 + 1], |row| {
            Ok((listed(row)?, row.get(10)?))
        })?
        .collect::<db::Result<_>>()?;
    let has_more = rows.len() > most;
    rows.truncate(most);
    let next = rows.last().filter(|_| has_more).map(|(last, row)| format!("{}.{row}", last.issued));
    Ok(Page { rows: rows.into_iter().map(|(row, _)| row).collect(), next })
}

/// An order with what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct One {
    pub order: Listed,
    pub draw: Option<Drawn>,
    pub parts: Vec<Part>,
}

/// How a sample was drawn; the seed is there when its deadline is over, and with it the proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Drawn {
    pub number: u64,
    #[schema(value_type = Object)]
    pub bound_by: Commitment,
    #[schema(value_type = Vec<Object>)]
    pub among: Vec<Place>,
    pub wanted: usize,
    #[schema(value_type = Option<String>)]
    pub seed: Option<Seed>,
    /// Whether the seed is the one that was bound, and gives just the beds that were ordered.
    pub holds: Option<bool>,
}

/// One order, where it concerns `scope`.
pub fn one(
    connection: &Connection,
    root: Seed,
    id: &str,
    scope: Option<&str>,
    now: Wall,
) -> db::Result<Option<One>> {
    let found = connection
        .prepare_cached(&format!(
            "{LISTED}, o.draw, o.wanted, o.bound_by, o.among FROM spot_order o
             WHERE o.id = ?2 AND (?3 IS NULL OR o.institution = ?3)"
        ))?
        .query_row(params![now.0, id, scope], |row| Ok((listed(row)?, lot(row)?)))
        .optional()?;
    let Some((order, lot)) = found else { return Ok(None) };
    let parts = parts_of(connection, id)?;
    let draw = lot.map(|lot| proved(connection, root, lot, &parts, now)).transpose()?;
    Ok(Some(One { order, draw, parts }))
}

/// How a sample was drawn, from the columns after those of [`Listed`].
fn lot(row: &Row<'_>) -> db::Result<Option<Lot>> {
    let Some(number) = row.get::<_, Option<i64>>(10)? else { return Ok(None) };
    let (bound, among): (String, String) = (row.get(12)?, row.get(13)?);
    Ok(Some(Lot {
        number: number.unsigned_abs(),
        wanted: usize::try_from(row.get::<_, i64>(11)?).unwrap_or(0),
        bound_by: read(&bound)?,
        among: read(&among)?,
    }))
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> db::Result<T> {
    serde_json::from_str(text)
        .map_err(|error| db::Error::FromSqlConversionFailure(0, db::Type::Text, Box::new(error)))
}

fn proved(
    connection: &Connection,
    root: Seed,
    Lot { number, wanted, bound_by, among }: Lot,
    parts: &[Part],
    now: Wall,
) -> db::Result<Drawn> {
    let mut ordered: Vec<(&str, &str)> = parts
        .iter()
        .flat_map(|part| part.beds.iter().map(|bed| (part.device.as_str(), bed.as_str())))
        .collect();
    ordered.sort_unstable();
    let seed = (number < shown_below(connection, now)?).then(|| draw::seed(root, number));
    let holds = seed.map(|seed| {
        let drawn = sample::drawn(seed, &among, wanted);
        let mut drawn: Vec<(&str, &str)> =
            drawn.iter().map(|place| (place.device.as_str(), place.bed.as_str())).collect();
        drawn.sort_unstable();
        sample::is_bound(&bound_by, number, seed) && drawn == ordered
    });
    Ok(Drawn { number, bound_by, among, wanted, seed, holds })
}
