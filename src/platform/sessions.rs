//! Who speaks: sessions of browsers, links that sign in once, and tokens of programs. Each is a random secret of which
//! only the digest is kept, so that a stolen database signs nobody in.
//!
//! ```text
//!   passphrase or link ──► session: 30 minutes without use, 12 hours at most, until signed out or removed
//!   person token       ──► program: until its day, or until the person is removed
//! ```

use crate::base::clock::Wall;
use crate::base::files::sha256_hex;
use crate::domain::role::Role;
use crate::platform::db::{self, Connection, Database, DatabaseError, OptionalExtension, params};
use crate::platform::people::{NotShown, token};
use crate::platform::trail;

/// Without a request by hand.
const IDLE_MS: i64 = 30 * 60_000;
/// However busy.
const LONGEST_MS: i64 = 12 * 60 * 60_000;
/// A link is opened now or not at all.
const LINK_MS: i64 = 10 * 60_000;
/// The last use is written down at most this often: a synced write for each picture of a page would be waste.
const TOUCH_MS: i64 = 60_000;

/// Somebody who was recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    pub name: String,
    pub role: Role,
    /// The hospital of an officer: he sees nothing else.
    pub institution: Option<String>,
    /// What every form of the session carries; programs have none and need none, a browser cannot be made to send
    /// their token.
    pub form_token: Option<String>,
}

impl Visitor {
    pub fn as_actor(&self) -> (&str, &str) {
        (&self.name, self.role.name())
    }

    /// The institution whose rows may be shown; `None` is all of them.
    pub fn scope(&self) -> Option<&str> {
        match self.role {
            // An officer without a hospital sees the rows of no hospital.
            Role::Officer => Some(self.institution.as_deref().unwrap_or("")),
            Role::Supervisor | Role::Reviewer | Role::Auditor | Role::Administrator => None,
        }
    }
}

/// Begins a session for somebody who was let in; its secret.
///
/// # Errors
/// [`NotShown::Passphrase`], [`NotShown::Database`].
pub fn begin(db: &Database, name: &str, now: Wall) -> Result<String, NotShown> {
    let (secret, form) = (token()?, token()?);
    db.write(|tx| {
        tx.execute(
            "INSERT INTO session (sha256, person, form_token, made_ms, seen_ms) VALUES (?1, ?2, ?3, ?4, ?4)",
            params![sha256_hex(secret.as_bytes()), name, form, now.0],
        )?;
        let role: String =
            tx.query_row("SELECT role FROM person WHERE name = ?1", [name], |row| row.get(0))?;
        trail::enter(tx, (name, &role), "signed in", "", now)
    })?;
    Ok(secret)
}

/// Whose session this is; by hand it lives on, and a page that refreshes itself keeps nobody signed in.
///
/// # Errors
/// [`DatabaseError`].
pub fn visitor(
    db: &Database,
    secret: &str,
    is_by_hand: bool,
    now: Wall,
) -> Result<Option<Visitor>, DatabaseError> {
    let sha256 = sha256_hex(secret.as_bytes());
    let found = db.read(|connection| {
        connection
            .prepare_cached(
                "SELECT p.name, p.role, p.institution, s.form_token, s.seen_ms FROM session s
                 JOIN person p ON p.name = s.person AND p.removed_ms IS NULL
                 WHERE s.sha256 = ?1 AND s.ended_ms IS NULL AND s.seen_ms > ?2 AND s.made_ms > ?3",
            )?
            .query_row(
                params![sha256, now.0.saturating_sub(IDLE_MS), now.0.saturating_sub(LONGEST_MS)],
                |row| Ok((person(row)?, row.get::<_, String>(3)?, row.get::<_, i64>(4)?)),
            )
            .optional()
    })?;
    let Some((Some(mut found), form, seen)) = found else { return Ok(None) };
    found.form_token = Some(form);
    if is_by_hand && now.0 - seen > TOUCH_MS {
        db.write(|tx| {
            tx.execute("UPDATE session SET seen_ms = ?2 WHERE sha256 = ?1", params![sha256, now.0])
        })?;
    }
    Ok(Some(found))
}

/// `None` for a role that this program does not know.
fn person(row: &db::Row<'_>) -> db::Result<Option<Visitor>> {
    let (name, role): (String, String) = (row.get(0)?, row.get(1)?);
    let institution = row.get(2)?;
    Ok(Role::named(&role).map(|role| Visitor { name, role, institution, form_token: None }))
}

/// Ends a session.
///
/// # Errors
/// [`DatabaseError`].
pub fn end(db: &Database, secret: &str, visitor: &Visitor, now: Wall) -> Result<(), DatabaseError> {
    db.write(|tx| {
        tx.execute(
            "UPDATE session SET ended_ms = ?2 WHERE sha256 = ?1 AND ended_ms IS NULL",
            params![sha256_hex(secret.as_bytes()), now.0],
        )?;
        trail::enter(tx, visitor.as_actor(), "signed out", "", now)
    })
}

/// A link for somebody with an account, good once and for ten minutes; its secret.
///
/// # Errors
/// [`NotShown::NotKnown`], [`NotShown::Passphrase`], [`NotShown::Database`].
pub fn link(db: &Database, name: &str, now: Wall) -> Result<String, NotShown> {
    let secret = token()?;
    let made = db.write(|tx| {
        tx.execute(
            "INSERT INTO sign_in_link (sha256, person, until_ms)
             SELECT ?1, name, ?3 FROM person WHERE name = ?2 AND removed_ms IS NULL",
            params![sha256_hex(secret.as_bytes()), name, now.0.saturating_add(LINK_MS)],
        )
    })?;
    if made == 1 { Ok(secret) } else { Err(NotShown::NotKnown) }
}

/// Whose link this is, while it is good.
pub fn linked(connection: &Connection, secret: &str, now: Wall) -> db::Result<Option<String>> {
    connection
        .prepare_cached("SELECT person FROM sign_in_link WHERE sha256 = ?1 AND until_ms > ?2")?
        .query_row(params![sha256_hex(secret.as_bytes()), now.0], |row| row.get(0))
        .optional()
}

/// Uses a link up and begins the session; its secret.
///
/// # Errors
/// [`NotShown::NotKnown`] for one that is used, too old or nobody's; as [`begin`].
pub fn follow(db: &Database, secret: &str, now: Wall) -> Result<String, NotShown> {
    let name: Option<String> = db.write(|tx| {
        tx.prepare_cached(
            "DELETE FROM sign_in_link WHERE sha256 = ?1 AND until_ms > ?2
             AND EXISTS (SELECT 1 FROM person p WHERE p.name = sign_in_link.person AND p.removed_ms IS NULL) RETURNING person",
        )?
        .query_row(params![sha256_hex(secret.as_bytes()), now.0], |row| row.get(0))
        .optional()
    })?;
    begin(db, &name.ok_or(NotShown::NotKnown)?, now)
}

/// A token with which a program speaks as somebody until `until`; shown once.
///
/// # Errors
/// As [`link`].
pub fn program(db: &Database, name: &str, now: Wall, until: Wall) -> Result<String, NotShown> {
    let secret = token()?;
    let made = db.write(|tx| {
        tx.execute(
            "INSERT INTO program (sha256, person, made_ms, until_ms)
             SELECT ?1, name, ?3, ?4 FROM person WHERE name = ?2 AND removed_ms IS NULL",
            params![sha256_hex(secret.as_bytes()), name, now.0, until.0],
        )
    })?;
    if made == 1 { Ok(secret) } else { Err(NotShown::NotKnown) }
}

/// As whom a program speaks.
///
/// # Errors
/// [`DatabaseError`].
pub fn spoken_for(db: &Database, secret: &str, now: Wall) -> Result<Option<Visitor>, DatabaseError> {
    let found = db.read(|connection| {
        connection
            .prepare_cached(
                "SELECT p.name, p.role, p.institution FROM program t
                 JOIN person p ON p.name = t.person AND p.removed_ms IS NULL
                 WHERE t.sha256 = ?1 AND t.until_ms > ?2",
            )?
            .query_row(params![sha256_hex(secret.as_bytes()), now.0], person)
            .optional()
    })?;
    Ok(found.flatten())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::people;

    const NOW: Wall = Wall(1_790_000_000_000);

    fn later(ms: i64) -> Wall {
        Wall(NOW.0 + ms)
    }

    fn world() -> (tempfile::TempDir, Database) {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::open(&folder.path().join("p.db")).unwrap();
        people::add(&db, "王五", Role::Supervisor, None, NOW).unwrap();
        (folder, db)
    }

    #[test]
    fn a_session_ends_when_idle_however_often_its_page_refreshes_itself() {
        let (_folder, db) = world();
        let secret = begin(&db, "王五", NOW).unwrap();
        assert!(visitor(&db, &secret, false, later(IDLE_MS - 1)).unwrap().is_some());
        assert!(visitor(&db, &secret, false, later(IDLE_MS)).unwrap().is_none());
        assert!(visitor(&db, &secret, true, later(IDLE_MS - 1)).unwrap().is_some());
        assert!(visitor(&db, &secret, true, later(2 * IDLE_MS - 2)).unwrap().is_some());
        assert!(visitor(&db, "guessed", true, NOW).unwrap().is_none());
    }

    #[test]
    fn a_session_ends_after_its_longest_time_when_signed_out_and_with_its_person() {
        let (_folder, db) = world();
        let secret = begin(&db, "王五", NOW).unwrap();
        let mut at = 0;
        while at + IDLE_MS - 1 < LONGEST_MS {
            at += IDLE_MS - 1;
            assert!(visitor(&db, &secret, true, later(at)).unwrap().is_some(), "{at}");
        }
        assert!(visitor(&db, &secret, true, later(LONGEST_MS)).unwrap().is_none());
        let secret = begin(&db, "王五", NOW).unwrap();
        let who = visitor(&db, &secret, true, NOW).unwrap().unwrap();
        end(&db, &secret, &who, NOW).unwrap();
        assert!(visitor(&db, &secret, true, NOW).unwrap().is_none());
        let (secret, token) =
            (begin(&db, "王五", NOW).unwrap(), program(&db, "王五", NOW, later(1000)).unwrap());
        assert!(spoken_for(&db, &token, NOW).unwrap().is_some());
        assert!(spoken_for(&db, &token, later(1000)).unwrap().is_none(), "past its day");
        people::remove(&db, "王五", NOW).unwrap();
        assert!(visitor(&db, &secret, true, NOW).unwrap().is_none());
        assert!(spoken_for(&db, &token, NOW).unwrap().is_none());
    }

    #[test]
    fn a_link_signs_in_once_and_only_for_minutes() {
        let (_folder, db) = world();
        assert!(link(&db, "nobody", NOW).is_err());
        let secret = link(&db, "王五", NOW).unwrap();
        assert!(follow(&db, &secret, later(LINK_MS)).is_err());
        let session = follow(&db, &secret, NOW).unwrap();
        assert_eq!(visitor(&db, &session, true, NOW).unwrap().unwrap().role, Role::Supervisor);
        assert!(follow(&db, &secret, NOW).is_err(), "used up");
    }
}
