//! Enrolment tokens: made by the administrator for one device, good for a day and for one use.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::base::clock::Wall;
use crate::base::files::sha256_hex;
use crate::base::ids::{DeviceId, WardId};
use crate::net::cert;
use crate::platform::certificates;
use crate::platform::db::{
    self, Connection, Database, DatabaseError, OptionalExtension, Transaction, params,
};
use crate::platform::devices::{self, AddError, Admission};
use crate::platform::keys::{KeyError, Keys, requested_key};
use crate::wire::enrol::{BadRequest, DeviceBundle, DeviceRequest};
use crate::wire::token::{Enrolment, Token};

pub const LIFE: Duration = Duration::from_secs(24 * 3600);
/// Kept after that for whoever asks which token admitted a device.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);
/// The platform's clock may have been set a little between making and using a token; a day back is another matter.
const SLACK: Duration = Duration::from_secs(600);
/// Names have 64 characters; what follows them is an address.
const MOST_URL: usize = 200;

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum NotMade {
    #[error(transparent)]
    Admission(#[from] AddError),
    #[error("{0:?} is no https address of at most {MOST_URL} characters")]
    Url(String),
    #[error("the serial number must have 1 to 100 characters")]
    Serial,
    #[error("the CA's certificate cannot be read: restore ca.pem from a backup")]
    Ca,
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Why a token admits nobody. Whoever has not proven to hold it is told neither what it is for nor that it is known.
#[derive(Debug, thiserror::Error)]
pub enum NotRedeemed {
    #[error("令牌已被使用，请索取新令牌 · the token was used already: ask for a new one")]
    Used,
    #[error(
        "令牌已过期（24 小时有效），请索取新令牌 · the token has expired, it was good for 24 hours: ask for a new one"
    )]
    Expired,
    #[error(
        "令牌时间晚于平台时钟，请管理员校时 · the token is from the future: the platform's clock was set back"
    )]
    TooEarly,
    #[error("令牌属于其他设备、病区或序列号 · the token is for another device, ward or serial number")]
    Foreign,
    #[error(
        "设备名 {0} 已登记且密钥不同，请换新设备名 · device {0} is registered with another statement key: give the device a new name"
    )]
    OtherKey(DeviceId),
    #[error("version {0} is not understood, 1 is")]
    Version(u8),
    #[error(transparent)]
    Request(#[from] BadRequest),
    #[error(transparent)]
    Keys(#[from] KeyError),
    #[error("no token of this id is known")]
    Unknown,
    #[error("the proof was not made with this token for this request")]
    Proof,
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// What a token is for.
pub struct Purpose {
    pub device: DeviceId,
    pub ward: WardId,
    pub serial: Option<String>,
    pub admission: Admission,
    /// Where the device enrols: https://HOST:PORT.
    pub enrol_url: String,
}

/// Makes a token; an earlier one of the same device that was not used admits nobody any more.
///
/// # Errors
/// [`NotMade`].
pub fn make(db: &Database, keys: &Keys, purpose: &Purpose, now: Wall) -> Result<Token, NotMade> {
    let Purpose { device, ward, serial, admission, enrol_url } = purpose;
    admission.check()?;
    if !enrol_url.starts_with("https://") || enrol_url.len() > MOST_URL {
        return Err(NotMade::Url(enrol_url.clone()));
    }
    if serial.as_ref().is_some_and(|serial| !(1..=100).contains(&serial.chars().count())) {
        return Err(NotMade::Serial);
    }
    let (mut id, mut secret) = ([0; 8], Zeroizing::new([0; 32]));
    getrandom::fill(&mut id).and_then(|()| getrandom::fill(secret.as_mut())).map_err(NotMade::Random)?;
    let token = Token {
        id,
        secret,
        ca_key_sha256: cert::only_key_digest(keys.ca_pem()).ok_or(NotMade::Ca)?,
        device: device.clone(),
        ward: ward.clone(),
        url: enrol_url.clone(),
    };
    let every = i64::try_from(admission.round_every.as_millis()).unwrap_or(i64::MAX);
    let key = token.key();
    db.write(|tx| {
        withdraw(tx, device)?;
        let forgotten = now.0.saturating_sub(KEPT.as_millis() as i64);
        tx.execute("DELETE FROM token WHERE until_ms < ?1", [forgotten])?;
        tx.execute(
            "INSERT INTO token (id, key, device, ward, serial, institution, url, round_every_ms, made_ms, until_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                token.name(),
                key.as_slice(),
                device.as_str(),
                ward.as_str(),
                serial,
                admission.institution,
                admission.url,
                every,
                now.0,
                now.plus(LIFE).0,
            ],
        )
    })?;
    Ok(token)
}

/// Takes back the tokens of a device that were not used.
pub fn withdraw(tx: &Transaction<'_>, device: &DeviceId) -> db::Result<()> {
    tx.execute("DELETE FROM token WHERE device = ?1 AND used_ms IS NULL", [device.as_str()])?;
    Ok(())
}

struct Stored {
    key: Zeroizing<Vec<u8>>,
    device: String,
    ward: String,
    serial: Option<String>,
    admission: Admission,
    made: Wall,
    until: Wall,
    used_by: Option<String>,
}

fn stored(connection: &Connection, id: &str) -> db::Result<Option<Stored>> {
    connection
        .query_row(
            "SELECT key, device, ward, serial, institution, url, round_every_ms, made_ms, until_ms, used_by
             FROM token WHERE id = ?1",
            [id],
            |row| {
                let every: i64 = row.get(6)?;
                Ok(Stored {
                    key: Zeroizing::new(row.get(0)?),
                    device: row.get(1)?,
                    ward: row.get(2)?,
                    serial: row.get(3)?,
                    admission: Admission {
                        institution: row.get(4)?,
                        url: row.get(5)?,
                        round_every: Duration::from_millis(u64::try_from(every).unwrap_or(0)),
                    },
                    made: Wall(row.get(7)?),
                    until: Wall(row.get(8)?),
                    used_by: row.get(9)?,
                })
            },
        )
        .optional()
}

/// Admits the device that proves to hold a token, and marks the token used, in one transaction. Until the device has
/// spoken once, the same keys get the same answer again: a lost answer costs no second token.
///
/// # Errors
/// [`NotRedeemed`]; nobody was admitted.
pub fn redeem(
    db: &Database,
    keys: &Keys,
    enrolment: &Enrolment,
    now: Wall,
) -> Result<DeviceBundle, NotRedeemed> {
    if enrolment.v != 1 {
        return Err(NotRedeemed::Version(enrolment.v));
    }
    let (request, key) = DeviceRequest::open(&enrolment.request)?;
    let spki = requested_key(&request.csr_pem)?;
    let token = db.read(|connection| stored(connection, &enrolment.token))?.ok_or(NotRedeemed::Unknown)?;
    // Before anything else is said about the token.
    if !enrolment.is_proven(&token.key, &spki) {
        return Err(NotRedeemed::Proof);
    }
    let is_same_serial = token.serial.is_none() || token.serial == enrolment.serial;
    if token.device != request.device.as_str() || token.ward != request.ward.as_str() || !is_same_serial {
        return Err(NotRedeemed::Foreign);
    }
    if now.plus(SLACK) < token.made {
        return Err(NotRedeemed::TooEarly);
    }
    if now >= token.until {
        return Err(NotRedeemed::Expired);
    }
    let device = request.device.clone();
    let admission = &token.admission;
    let by = sha256_hex(&[key.as_bytes().as_slice(), &spki].concat());
    if let Some(used_by) = token.used_by {
        let again = (used_by == by).then(|| db.read(|connection| unspoken(connection, &device)));
        let pem = again.transpose()?.flatten().ok_or(NotRedeemed::Used)?;
        return Ok(admission.bundle(keys, device, pem));
    }
    let issued = keys.issue(&request.csr_pem, &device, now)?;
    db.write(|tx| {
        // Asked again under the write lock: of two that race, one finds it used, or withdrawn.
        let taken = tx.execute(
            "UPDATE token SET used_ms = ?2, used_by = ?3 WHERE id = ?1 AND used_ms IS NULL",
            params![enrolment.token, now.0, by],
        )?;
        if taken == 0 {
            return Ok(Err(NotRedeemed::Used));
        }
        if !devices::register(tx, &request, &key, &issued, admission, now)? {
            // The token stays used: whoever proved it is not the device that is known here.
            return Ok(Err(NotRedeemed::OtherKey(device.clone())));
        }
        Ok(Ok(()))
    })??;
    Ok(admission.bundle(keys, device, issued.pem))
}

/// The certificate of a device that is admitted and has not delivered anything yet.
fn unspoken(connection: &Connection, device: &DeviceId) -> db::Result<Option<String>> {
    let is_new: Option<bool> = connection
        .query_row(
            "SELECT last_contact_ms IS NULL AND revoked_ms IS NULL FROM device WHERE device = ?1",
            [device.as_str()],
            |row| row.get(0),
        )
        .optional()?;
    if is_new == Some(true) { certificates::current(connection, device) } else { Ok(None) }
}
