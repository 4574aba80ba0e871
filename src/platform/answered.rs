//! Answers to writes of programs, kept for a request that is sent again because its answer was lost (`Idempotency-Key`).

use axum::http::HeaderMap;

use crate::base::clock::Wall;
use crate::platform::db::{self, OptionalExtension, Transaction, params};

const KEPT_MS: i64 = 24 * 3_600_000;
const MOST_KEY: usize = 128;

/// What is known of a key.
pub enum Answer {
    /// Status and body of the first answer.
    Was((u16, String)),
    /// The key came with another request.
    OfAnother,
}

/// The key of a request.
///
/// # Errors
/// The words for one that is none.
pub fn key(headers: &HeaderMap) -> Result<Option<String>, &'static str> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().unwrap_or_default().trim();
    let is_key = (1..=MOST_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    is_key
        .then(|| Some(key.to_owned()))
        .ok_or("Idempotency-Key 须为 1 至 128 个可见字符 / 1 to 128 visible characters")
}

/// The first answer to this person's request with this key. `request` is the digest of what was asked.
pub fn find(
    tx: &Transaction<'_>,
    (person, key): (&str, &str),
    request: &str,
    now: Wall,
) -> db::Result<Option<Answer>> {
    let found: Option<(String, u16, String)> = tx
        .prepare_cached(
            "SELECT request, status, body FROM answered WHERE person = ?1 AND key = ?2 AND at_ms > ?3",
        )?
        .query_row(params![person, key, now.0.saturating_sub(KEPT_MS)], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    Ok(found.map(
        |(of, status, body)| {
            if of == request { Answer::Was((status, body)) } else { Answer::OfAnother }
        },
    ))
}

/// Keeps an answer, and forgets those that are too old.
pub fn keep(
    tx: &Transaction<'_>,
    (person, key): (&str, &str),
    request: &str,
    (status, body): &(u16, String),
    now: Wall,
) -> db::Result<()> {
    tx.prepare_cached("DELETE FROM answered WHERE at_ms <= ?1")?.execute([now.0.saturating_sub(KEPT_MS)])?;
    tx.prepare_cached(
        "INSERT INTO answered VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (person, key) DO UPDATE SET request = ?3, status = ?4, body = ?5, at_ms = ?6",
    )?
    .execute(params![person, key, request, status, body, now.0])?;
    Ok(())
}
