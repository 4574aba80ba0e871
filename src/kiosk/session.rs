//! Who may see the page: a link that works once, then a cookie.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::base::clock::{Clock, Mono};
use crate::base::files::{FileError, make_owner_only_folder, sha256_hex, write_owner_only};

/// A link is opened at once or not at all.
const LINK_LIVES: Duration = Duration::from_secs(600);
/// Without a sign of the visitor for so long, the visit is over.
const VISIT_LIVES: Duration = Duration::from_secs(3600);
/// Visitors at the same time; the one who was quiet for longest goes.
const MOST_VISITS: usize = 8;

/// No link could be made.
#[derive(Debug, thiserror::Error)]
pub enum InviteError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// Makes a token that opens the page once. Only its digest is written down: the folder gives nothing away.
///
/// # Errors
/// [`InviteError`]: whoever may not write into the folder may not see the page.
pub fn invite(folder: &Path) -> Result<String, InviteError> {
    let token = random().map_err(InviteError::Random)?;
    make_owner_only_folder(folder)?;
    let made = file(folder, &token);
    write_owner_only(&made, b"")?;
    sweep(folder, &made);
    Ok(token)
}

/// Takes links away that nobody opened, as old as the disk's own times say.
fn sweep(folder: &Path, newest: &Path) {
    let modified = |path: &Path| std::fs::metadata(path).and_then(|data| data.modified()).ok();
    let Some(now) = modified(newest) else { return };
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let is_link = path.extension().is_some_and(|ending| ending == "once");
        let age = modified(&path).and_then(|made| now.duration_since(made).ok());
        if is_link && age.is_some_and(|age| age > LINK_LIVES) {
            // It opens nothing any more; a leftover is only untidy.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn file(folder: &Path, token: &str) -> PathBuf {
    folder.join(format!("{}.once", sha256_hex(token.as_bytes())))
}

fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

/// Those who came in.
pub struct Sessions {
    folder: PathBuf,
    clock: Clock,
    visits: Mutex<Vec<Visit>>,
}

struct Visit {
    /// Digest of the cookie.
    cookie: String,
    /// What the page's own script says with each change.
    token: String,
    /// Came in by a link: may do everything.
    is_owner: bool,
    last: Mono,
}

impl Sessions {
    pub fn new(folder: PathBuf, clock: Clock) -> Sessions {
        Sessions { folder, clock, visits: Mutex::default() }
    }

    /// Takes a token: the cookie of the visit, or nothing. A token opens once: who removes its file has it.
    pub fn enter(&self, token: &str) -> Option<String> {
        // The digest becomes a file's name; anything else could not be a token of ours anyway.
        if token.len() != 64 {
            return None;
        }
        let path = file(&self.folder, token);
        let made = std::fs::metadata(&path).ok()?.modified().ok()?;
        std::fs::remove_file(&path).ok()?;
        let made = i64::try_from(made.duration_since(std::time::UNIX_EPOCH).ok()?.as_millis()).ok()?;
        let now = self.clock.now();
        if now.wall.0.saturating_sub(made).unsigned_abs() > LINK_LIVES.as_millis() as u64 {
            return None;
        }
        self.admit(now.mono, true)
    }

    /// The cookie of somebody whose PIN was right.
    pub fn welcome(&self) -> Option<String> {
        self.admit(self.clock.now().mono, false)
    }

    fn admit(&self, now: Mono, is_owner: bool) -> Option<String> {
        let (cookie, token) = (random().ok()?, random().ok()?);
        let mut visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
        visits.retain(|visit| now - visit.last < VISIT_LIVES);
        if visits.len() >= MOST_VISITS {
            visits.sort_by_key(|visit| visit.last);
            visits.remove(0);
        }
        visits.push(Visit { cookie: sha256_hex(cookie.as_bytes()), token, is_owner, last: now });
        Some(cookie)
    }

    /// The token of the visit the cookie belongs to, and whether it began with a link.
    pub fn visitor(&self, cookie: &str) -> Option<(String, bool)> {
        let (digest, now) = (sha256_hex(cookie.as_bytes()), self.clock.now().mono);
        let mut visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
        let visit = visits.iter_mut().find(|visit| visit.cookie == digest)?;
        if now - visit.last >= VISIT_LIVES {
            return None;
        }
        visit.last = now;
        Some((visit.token.clone(), visit.is_owner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::{Now, Wall};

    #[test]
    fn a_link_opens_once_and_not_late() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = Sessions::new(folder.path().to_owned(), Clock::system());
        let token = invite(folder.path()).unwrap();
        assert!(sessions.enter("../../etc/passwd").is_none());
        assert!(sessions.enter(&"0".repeat(64)).is_none());
        let cookie = sessions.enter(&token).unwrap();
        assert!(sessions.enter(&token).is_none(), "a second time");
        assert!(sessions.visitor(&cookie).is_some_and(|(_, is_owner)| is_owner));
        assert!(sessions.visitor("another").is_none());
        let nurse = sessions.welcome().unwrap();
        assert!(sessions.visitor(&nurse).is_some_and(|(_, is_owner)| !is_owner));

        let late = Clock::Fixed(Now { wall: Wall(Clock::system().now().wall.0 + 700_000), ..Now::default() });
        let token = invite(folder.path()).unwrap();
        assert!(Sessions::new(folder.path().to_owned(), late).enter(&token).is_none());
    }
}
