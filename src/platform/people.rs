//! Who has an account, with a role and a passphrase, and openings of evidence that take two people and a reason.
//!
//! ```text
//!   one asks, with a reason ──► another approves ──► entry in the log ──► one look at the picture
//! ```
//! Passphrases are made here (100 bits), shown once and kept as Argon2id; five wrong ones in a row lock a name for a
//! quarter of an hour. The accounts bind whoever uses the pages; they do not bind whoever owns the machine and its
//! keys: he leaves no entry, and the sealed crops are all he has.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

use crate::base::clock::Wall;
use crate::base::files::sha256_hex;
use crate::base::ids::DeviceId;
use crate::domain::role::Role;
use crate::platform::db::{
    self, Connection, Database, DatabaseError, OptionalExtension, Transaction, number, params,
};
use crate::platform::{log, trail};
use crate::wire::tree::Logged;

const MOST_FAILURES: i64 = 5;
const LOCKED_MS: i64 = 15 * 60_000;
/// A request that nobody approved is over.
const ASKED_MS: i64 = 60 * 60_000;
/// An approved picture is looked at now or not at all.
const LOOK_MS: i64 = 60_000;
const MOST_NAME: usize = 30;
const MOST_REASON: usize = 500;

/// Why somebody is not let in, or nothing is shown.
#[derive(Debug, thiserror::Error)]
pub enum NotShown {
    #[error(
        "姓名或口令不对，或因多次错误暂停使用 / name or passphrase is wrong, or locked after too many tries"
    )]
    NotKnown,
    #[error("须由另一人批准 / another person must approve")]
    SamePerson,
    #[error(
        "没有等待批准的申请，或已超过一小时 / nothing waits for approval, or it is more than an hour old"
    )]
    NothingAsked,
    #[error("请写明理由（4 至 500 字） / write a reason of 4 to 500 characters")]
    Reason,
    #[error("姓名须为 1 至 30 字，且未被使用 / a name has 1 to 30 characters and is not yet taken")]
    Name,
    #[error(
        "医保员须注明所属机构，其他角色不得注明 / an officer has an institution (--institution), nobody else does"
    )]
    Institution,
    #[error("此角色无权启封证据 / this role opens no evidence")]
    Role,
    #[error("口令无法生成或读取: {0} / a passphrase cannot be made or read")]
    Passphrase(String),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Somebody with an account.
#[derive(Clone, Debug)]
pub struct Person {
    pub name: String,
    pub role: String,
    pub institution: Option<String>,
    pub added: Wall,
    pub removed: Option<Wall>,
}

/// A request to open evidence that waits for the second person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub id: String,
    pub by: String,
    pub reason: String,
    pub at: Wall,
}

/// Adds somebody; the passphrase, to be shown once.
///
/// # Errors
/// [`NotShown::Name`], [`NotShown::Institution`], [`NotShown::Passphrase`], [`NotShown::Database`].
pub fn add(
    db: &Database,
    name: &str,
    role: Role,
    institution: Option<&str>,
    now: Wall,
) -> Result<String, NotShown> {
    if (role == Role::Officer) != institution.is_some_and(|name| !name.trim().is_empty()) {
        return Err(NotShown::Institution);
    }
    let is_name = (1..=MOST_NAME).contains(&name.chars().count())
        && name.trim() == name
        && !name.chars().any(char::is_control);
    if !is_name {
        return Err(NotShown::Name);
    }
    let passphrase = passphrase()?;
    let verifier = Argon2::default()
        .hash_password(passphrase.as_bytes())
        .map_err(|error| NotShown::Passphrase(error.to_string()))?
        .to_string();
    let added = db.write(|tx| {
        tx.execute(
            "INSERT INTO person (name, role, institution, passphrase, added_ms) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (name) DO NOTHING",
            params![name, role.name(), institution, verifier, now.0],
        )
    })?;
    if added == 1 { Ok(passphrase) } else { Err(NotShown::Name) }
}

/// Twenty letters and digits that are not taken for each other, in four groups.
fn passphrase() -> Result<String, NotShown> {
    const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789+";
    let mut random = [0; 20];
    getrandom::fill(&mut random).map_err(|error| NotShown::Passphrase(error.to_string()))?;
    let letters = random.map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
    Ok(letters.chunks(5).map(String::from_iter).collect::<Vec<_>>().join("-"))
}

/// Everybody who has or had an account.
///
/// # Errors
/// [`DatabaseError`].
pub fn list(db: &Database) -> Result<Vec<Person>, DatabaseError> {
    db.read(|connection| {
        connection
            .prepare("SELECT name, role, institution, added_ms, removed_ms FROM person ORDER BY name")?
            .query_map([], |row| {
                let removed = row.get::<_, Option<i64>>(4)?.map(Wall);
                let added = Wall(row.get(3)?);
                Ok(Person { name: row.get(0)?, role: row.get(1)?, institution: row.get(2)?, added, removed })
            })?
            .collect()
    })
}

/// Names of those who have an account with one of these roles.
pub fn of_roles(connection: &Connection, roles: &[Role]) -> db::Result<Vec<String>> {
    let mut query = connection
        .prepare_cached("SELECT name FROM person WHERE role = ?1 AND removed_ms IS NULL ORDER BY name")?;
    let mut names = Vec::new();
    for role in roles {
        for name in query.query_map([role.name()], |row| row.get(0))? {
            names.push(name?);
        }
    }
    Ok(names)
}

/// Ends an account; its name stays taken. False when there is none.
///
/// # Errors
/// [`DatabaseError`].
pub fn remove(db: &Database, name: &str, now: Wall) -> Result<bool, DatabaseError> {
    db.write(|tx| {
        let removed = tx.execute(
            "UPDATE person SET removed_ms = ?2 WHERE name = ?1 AND removed_ms IS NULL",
            params![name, now.0],
        )?;
        Ok(removed == 1)
    })
}

/// Whether it is this person who speaks; the role. A wrong passphrase is in the audit trail.
///
/// # Errors
/// [`NotShown::NotKnown`] whatever the cause, so that nobody learns which names exist; [`NotShown::Database`].
pub fn known(db: &Database, name: &str, passphrase: &str, now: Wall) -> Result<Role, NotShown> {
    let found: Option<(String, String)> = db.read(|connection| {
        connection
            .query_row(
                "SELECT passphrase, role FROM person
                 WHERE name = ?1 AND removed_ms IS NULL AND locked_ms <= ?2",
                params![name, now.0],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()
    })?;
    // As long as a right one takes, for a name that nobody has.
    let is_right = match &found {
        Some((verifier, _)) => PasswordHash::new(verifier).is_ok_and(|verifier| {
            Argon2::default().verify_password(passphrase.trim().as_bytes(), &verifier).is_ok()
        }),
        None => Argon2::default().hash_password(passphrase.as_bytes()).is_err(),
    };
    db.write(|tx| {
        if is_right {
            tx.execute("UPDATE person SET failures = 0 WHERE name = ?1", [name])?;
        } else {
            tx.execute(
                "UPDATE person SET failures = (failures + 1) % ?3,
                        locked_ms = CASE WHEN failures + 1 >= ?3 THEN ?2 ELSE locked_ms END
                 WHERE name = ?1 AND locked_ms <= ?4",
                params![name, now.0.saturating_add(LOCKED_MS), MOST_FAILURES, now.0],
            )?;
            trail::enter(tx, (name, ""), "refused", "passphrase", now)?;
        }
        Ok(())
    })?;
    let role = found.filter(|_| is_right).and_then(|(_, role)| Role::named(&role));
    role.ok_or(NotShown::NotKnown)
}

/// Whether it is this person who speaks, and one who may open evidence.
///
/// # Errors
/// As [`known`], [`NotShown::Role`].
pub fn opener(db: &Database, name: &str, passphrase: &str, now: Wall) -> Result<(), NotShown> {
    match known(db, name, passphrase, now)? {
        Role::Supervisor | Role::Reviewer => Ok(()),
        Role::Officer | Role::Auditor | Role::Administrator => Err(NotShown::Role),
    }
}

/// Writes down that `name`, who was let in, asks to see the evidence of an event.
///
/// # Errors
/// [`NotShown::Reason`], [`NotShown::Passphrase`], [`NotShown::Database`].
pub fn ask(
    db: &Database,
    (device, event): (&DeviceId, &str),
    name: &str,
    reason: &str,
    now: Wall,
) -> Result<(), NotShown> {
    let reason = reason.trim();
    if !(4..=MOST_REASON).contains(&reason.chars().count()) {
        return Err(NotShown::Reason);
    }
    let id = token()?;
    db.write(|tx| {
        tx.execute(
            "INSERT INTO viewing (id, device, event, reason, first, asked_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![id, device.as_str(), event, reason, name, now.0],
        )?;
        trail::enter(tx, (name, ""), "asked to open", &format!("{device} {event}"), now)
    })?;
    Ok(())
}

/// What waits for a second person, the newest.
pub fn asked(
    connection: &Connection,
    device: &DeviceId,
    event: &str,
    now: Wall,
) -> db::Result<Option<Asked>> {
    connection
        .prepare_cached(
            "SELECT id, first, reason, asked_ms FROM viewing
             WHERE device = ?1 AND event = ?2 AND second IS NULL AND asked_ms > ?3 ORDER BY asked_ms DESC LIMIT 1",
        )?
        .query_row(params![device.as_str(), event, now.0.saturating_sub(ASKED_MS)], |row| {
            Ok(Asked { id: row.get(0)?, by: row.get(1)?, reason: row.get(2)?, at: Wall(row.get(3)?) })
        })
        .optional()
}

/// Approves a request as its second person and enters the opening into the log before anything is shown; the token of
/// the one look. `opens` says whether the seal did open.
///
/// # Errors
/// [`NotShown::SamePerson`], [`NotShown::NothingAsked`], [`NotShown::Passphrase`], [`NotShown::Database`].
pub fn approve(
    db: &Database,
    (device, event): (&DeviceId, &str),
    asked: &Asked,
    name: &str,
    opens: bool,
    now: Wall,
) -> Result<String, NotShown> {
    if asked.by == name {
        return Err(NotShown::SamePerson);
    }
    let token = token()?;
    let is_approved = db.write(|tx| {
        let approved = tx.execute(
            "UPDATE viewing SET second = ?2, approved_ms = ?3, token = ?4 WHERE id = ?1 AND second IS NULL",
            params![asked.id, name, now.0, sha256_hex(token.as_bytes())],
        )?;
        if approved == 1 {
            enter(tx, device, event, asked, name, opens, now)?;
            trail::enter(tx, (name, ""), "approved opening", &format!("{device} {event}"), now)?;
        }
        Ok(approved == 1)
    })?;
    if is_approved { Ok(token) } else { Err(NotShown::NothingAsked) }
}

fn enter(
    tx: &Transaction<'_>,
    device: &DeviceId,
    event: &str,
    asked: &Asked,
    second: &str,
    opens: bool,
    now: Wall,
) -> db::Result<()> {
    let entry = Logged::Opened {
        device: device.clone(),
        event: event.to_owned(),
        opened: opens,
        at: now,
        by: vec![asked.by.clone(), second.to_owned()],
        reason_sha256: Some(sha256_hex(asked.reason.as_bytes())),
    };
    let logged = log::append(tx, &entry)?;
    tx.execute(
        "INSERT INTO opened (at_ms, device, event, opened, viewing, logged) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![now.0, device.as_str(), event, opens, asked.id, number(logged)],
    )?;
    Ok(())
}

/// What a token of [`approve`] opens: device, event, the number of the opening and who looks. It is good once, for a minute.
///
/// # Errors
/// [`NotShown::NothingAsked`], [`NotShown::Database`].
pub fn look(db: &Database, token: &str, now: Wall) -> Result<(DeviceId, String, String), NotShown> {
    let found: Option<(String, String, String)> = db.write(|tx| {
        tx.prepare_cached(
            "UPDATE viewing SET token = NULL WHERE token = ?1 AND approved_ms > ?2
             RETURNING device, event, id",
        )?
        .query_row(params![sha256_hex(token.as_bytes()), now.0.saturating_sub(LOOK_MS)], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()
    })?;
    let (device, event, id) = found.ok_or(NotShown::NothingAsked)?;
    let device = DeviceId::new(device).map_err(|_| NotShown::NothingAsked)?;
    Ok((device, event, id))
}

/// 128 random bits, as text.
pub fn token() -> Result<String, NotShown> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| NotShown::Passphrase(error.to_string()))?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall(1_790_000_000_000);

    fn later(ms: i64) -> Wall {
        Wall(NOW.0 + ms)
    }

    #[test]
    fn five_wrong_passphrases_lock_a_name_for_a_while_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::open(&folder.path().join("p.db")).unwrap();
        let (wang, li) = (
            add(&db, "王五", Role::Supervisor, None, NOW).unwrap(),
            add(&db, "李四", Role::Reviewer, None, NOW).unwrap(),
        );
        assert_eq!(wang.len(), 23);
        assert!(matches!(add(&db, "王五", Role::Supervisor, None, NOW), Err(NotShown::Name)));
        known(&db, "王五", &wang, NOW).unwrap();
        for _ in 0..5 {
            assert!(known(&db, "王五", &li, NOW).is_err());
        }
        assert!(known(&db, "王五", &wang, later(LOCKED_MS - 1)).is_err());
        known(&db, "李四", &li, NOW).unwrap();
        known(&db, "王五", &wang, later(LOCKED_MS)).unwrap();
        assert!(remove(&db, "王五", NOW).unwrap());
        assert!(known(&db, "王五", &wang, later(LOCKED_MS)).is_err());
        assert!(known(&db, "nobody", &wang, NOW).is_err());
    }

    #[test]
    fn an_opening_takes_two_people_a_reason_and_is_in_the_log_before_anything_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::open(&folder.path().join("p.db")).unwrap();
        let device = DeviceId::new("d").unwrap();
        for name in ["王五", "李四"] {
            add(&db, name, Role::Supervisor, None, NOW).unwrap();
        }
        let place = (&device, "e");
        assert!(matches!(ask(&db, place, "王五", " 看 ", NOW), Err(NotShown::Reason)));
        ask(&db, place, "王五", "核对 04 床举报", NOW).unwrap();
        let waiting = |now| db.read(|connection| asked(connection, &device, "e", now)).unwrap();
        let request = waiting(NOW).unwrap();
        assert_eq!((request.by.as_str(), request.reason.as_str()), ("王五", "核对 04 床举报"));
        assert!(waiting(later(ASKED_MS)).is_none());
        assert!(matches!(approve(&db, place, &request, "王五", true, NOW), Err(NotShown::SamePerson)));
        let token = approve(&db, place, &request, "李四", true, NOW).unwrap();
        assert!(matches!(approve(&db, place, &request, "李四", true, NOW), Err(NotShown::NothingAsked)));
        let entry = db.read(|connection| log::entry(connection, 0)).unwrap();
        assert!(entry.contains("王五") && entry.contains("李四") && !entry.contains("举报"), "{entry}");
        assert!(look(&db, "guessed", NOW).is_err());
        assert_eq!(look(&db, &token, NOW).unwrap().1, "e");
        assert!(look(&db, &token, NOW).is_err(), "one look");
        ask(&db, place, "王五", "核对 04 床举报", NOW).unwrap();
        let token = approve(&db, place, &waiting(NOW).unwrap(), "李四", true, NOW).unwrap();
        assert!(look(&db, &token, later(LOOK_MS)).is_err(), "too late");
    }
}
