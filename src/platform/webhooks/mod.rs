//! Webhooks: programs elsewhere are told that an exception or its case moved, signed, at least once, and never who the
//! patient is.
//!
//! ```text
//!   exception, case_step ──trigger, same transaction──► happening ──► message for each receiver ──► POST, signed
//!                                                      (outbox)       │  2xx: done   410: receiver ended
//!                                                                     └─ else: again later, given up after three days
//! ```
//! A message carries ids, kind and state; the receiver reads the rest with a token of its own. Signature and headers are
//! those of the Standard Webhooks specification (`webhook-id`, `webhook-timestamp`, `webhook-signature`), so that its
//! libraries verify them. The id is the same at every try: by it a receiver knows a repetition.

pub mod outbox;
pub mod sender;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use reqwest::Url;
use sha2::Sha256;

use crate::base::clock::Wall;
use crate::net::client::ClientError;
use crate::net::post::Poster;
use crate::platform::db::{Database, DatabaseError, params};
use crate::platform::people::token;
use crate::platform::trail;

/// What may be told.
pub const EVENTS: [&str; 4] = ["exception.raised", "exception.confirmed", "exception.ended", "case.moved"];
/// Receivers that are told at the same time.
pub const MOST_RECEIVERS: i64 = 16;
const MOST_URL: usize = 500;
/// Bytes of a secret; the specification asks for 24 to 64.
const SECRET_BYTES: usize = 32;

/// Why a receiver is not taken.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error(
        "{0}: 地址须为 https，或本机地址的 http，不含用户名 / the address is https, or http of this machine, without a user name"
    )]
    Address(String),
    #[error(
        "https 须用 --certificate 注明由谁担保对方证书（PEM） / https needs --certificate: who vouches for the receiver (PEM)"
    )]
    NoCertificate,
    #[error("证书不能使用: {0} / the certificate cannot be used")]
    Certificate(ClientError),
    #[error(
        "没有此事件 {0} / there is no such event; events are exception.raised, exception.confirmed, exception.ended, case.moved"
    )]
    Event(String),
    #[error("最多 {MOST_RECEIVERS} 个接收方 / there are {MOST_RECEIVERS} receivers at most")]
    TooMany,
    #[error("没有随机数: {0} / no random numbers")]
    Random(String),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// A receiver as the list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    pub id: String,
    pub url: String,
    pub events: String,
    pub added: Wall,
    /// Since when nothing is sent, and why: `removed`, or `gone` where it answered 410.
    pub ended: Option<(Wall, String)>,
    pub waiting: i64,
    pub sent: i64,
    /// Messages that were never taken within three days.
    pub given_up: i64,
    /// Messages for which there was no room.
    pub dropped: i64,
    pub trouble: Option<String>,
}

/// Registers a receiver; its id, and its secret to be shown once. `ca_pem` says who vouches for its certificate.
///
/// # Errors
/// [`WebhookError`].
pub fn add(
    db: &Database,
    url: &str,
    events: &[String],
    ca_pem: Option<&str>,
    now: Wall,
) -> Result<(String, String), WebhookError> {
    let url = address(url)?;
    if url.scheme() == "https" && ca_pem.is_none() {
        return Err(WebhookError::NoCertificate);
    }
    Poster::new(ca_pem).map_err(WebhookError::Certificate)?;
    let events: Vec<&str> =
        if events.is_empty() { EVENTS.to_vec() } else { events.iter().map(String::as_str).collect() };
    if let Some(unknown) = events.iter().find(|event| !EVENTS.contains(event)) {
        return Err(WebhookError::Event((*unknown).to_owned()));
    }
    let mut secret = [0; SECRET_BYTES];
    getrandom::fill(&mut secret).map_err(|error| WebhookError::Random(error.to_string()))?;
    let id = token().map_err(|error| WebhookError::Random(error.to_string()))?;
    let id = format!("wh_{}", id.get(..12).unwrap_or_default());
    let added = db.write(|tx| {
        let count: i64 =
            tx.query_row("SELECT count(*) FROM webhook WHERE ended_ms IS NULL", [], |row| row.get(0))?;
        if count >= MOST_RECEIVERS {
            return Ok(false);
        }
        tx.execute(
            "INSERT INTO webhook (id, url, events, secret, certificate, added_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![id, url.as_str(), events.join("\n"), secret, ca_pem, now.0],
        )?;
        trail::enter(tx, OPERATOR, "webhook added", url.as_str(), now)?;
        Ok(true)
    })?;
    if !added {
        return Err(WebhookError::TooMany);
    }
    Ok((id, format!("whsec_{}", STANDARD.encode(secret))))
}

/// Whoever may write into the platform's folder: the command line knows no names.
const OPERATOR: (&str, &str) = ("bedcheck-platform", "");

fn address(text: &str) -> Result<Url, WebhookError> {
    let bad = || WebhookError::Address(text.to_owned());
    let url = Url::parse(text).map_err(|_| bad())?;
    let host = url.host_str().unwrap_or_default();
    let is_here = host == "localhost"
        || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_here);
    let is_bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if is_safe && is_bare && text.len() <= MOST_URL && !host.is_empty() { Ok(url) } else { Err(bad()) }
}

/// Every receiver there is or was.
///
/// # Errors
/// [`DatabaseError`].
pub fn list(db: &Database) -> Result<Vec<Receiver>, DatabaseError> {
    db.read(|connection| {
        connection
            .prepare(
                "SELECT id, url, events, added_ms, ended_ms, ended, sent, given_up, dropped, trouble,
                        (SELECT count(*) FROM webhook_message m WHERE m.webhook = w.id)
                 FROM webhook w ORDER BY added_ms, id",
            )?
            .query_map([], |row| {
                let (ended, why): (Option<i64>, Option<String>) = (row.get(4)?, row.get(5)?);
                Ok(Receiver {
                    id: row.get(0)?,
                    url: row.get(1)?,
                    events: row.get::<_, String>(2)?.replace('\n', ", "),
                    added: Wall(row.get(3)?),
                    ended: ended.map(|at| (Wall(at), why.unwrap_or_default())),
                    sent: row.get(6)?,
                    given_up: row.get(7)?,
                    dropped: row.get(8)?,
                    trouble: row.get(9)?,
                    waiting: row.get(10)?,
                })
            })?
            .collect()
    })
}

/// Tells a receiver nothing any more; false when there is none. What waits for it is thrown away, its secret too.
///
/// # Errors
/// [`DatabaseError`].
pub fn remove(db: &Database, id: &str, now: Wall) -> Result<bool, DatabaseError> {
    db.write(|tx| {
        let removed = outbox::end(tx, id, "removed", now)?;
        if removed {
            trail::enter(tx, OPERATOR, "webhook removed", id, now)?;
        }
        Ok(removed)
    })
}

/// The signature over a message: HMAC-SHA256 over `id.timestamp.body`, as the specification writes it.
pub fn sign(secret: &[u8], id: &str, timestamp_s: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(format!("{id}.{timestamp_s}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks libraries.
    #[test]
    fn a_signature_is_the_one_of_the_specification() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn only_https_and_this_machine_are_told() {
        for good in
            ["https://example.com/hook", "http://127.0.0.1:9/x", "http://[::1]:9/", "http://localhost/"]
        {
            assert!(address(good).is_ok(), "{good}");
        }
        for bad in [
            "http://example.com/",
            "http://10.0.0.1/",
            "http://127.0.0.1.evil.example/",
            "ftp://127.0.0.1/",
            "https://user:word@example.com/",
            "https://",
            "file:///etc/passwd",
            "nonsense",
            &format!("https://example.com/{}", "x".repeat(500)),
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_receiver_needs_known_events_and_a_voucher_and_there_are_sixteen_at_most() {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::open(&folder.path().join("p.db")).unwrap();
        let now = Wall(1_790_000_000_000);
        let events = ["exception.raised".to_owned()];
        assert!(matches!(
            add(&db, "https://a.example/", &events, None, now),
            Err(WebhookError::NoCertificate)
        ));
        let nonsense = add(&db, "https://a.example/", &events, Some("nonsense"), now);
        assert!(matches!(nonsense, Err(WebhookError::Certificate(_))));
        let unknown = add(&db, "http://127.0.0.1/", &["all".to_owned()], None, now);
        assert!(matches!(unknown, Err(WebhookError::Event(_))));
        let ids: Vec<String> =
            (0..16).map(|_| add(&db, "http://127.0.0.1/", &events, None, now).unwrap().0).collect();
        assert!(matches!(add(&db, "http://127.0.0.1/", &events, None, now), Err(WebhookError::TooMany)));
        assert!(remove(&db, &ids[0], now).unwrap() && !remove(&db, &ids[0], now).unwrap());
        let (_, secret) = add(&db, "http://127.0.0.1/", &[], None, now).unwrap();
        assert!(secret.starts_with("whsec_") && secret.len() == 50, "{secret}");
        let shown = list(&db).unwrap();
        assert_eq!((shown.len(), shown.iter().filter(|one| one.ended.is_some()).count()), (17, 1));
    }
}
