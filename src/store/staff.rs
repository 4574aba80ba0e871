//! Staff who may sign at the kiosk and open the device's pages: a name and a PIN, kept as Argon2id in `staff.json`.
//!
//! Five wrong PINs in a row lock a name for a quarter of an hour. The failures are written down before the answer is
//! given: a restart gives nobody new tries.

use std::path::{Path, PathBuf};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use serde::{Deserialize, Serialize};

use crate::base::clock::Wall;
use crate::base::files::{FileError, make_owner_only_folder, read_at_most, write_owner_only};

const MOST_BYTES: u64 = 256 * 1024;
const MOST_STAFF: usize = 500;
const MOST_NAME: usize = 30;
const MOST_FAILURES: u32 = 5;
const LOCKED_MS: i64 = 15 * 60_000;

/// Why a member of staff was not added or let in.
#[derive(Debug, thiserror::Error)]
pub enum StaffError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{0} cannot be read: {1}")]
    Format(PathBuf, serde_json::Error),
    #[error("姓名须为 1 至 30 字，且未被使用 · a name has 1 to 30 characters and is not yet taken")]
    Name,
    #[error("密码须为 6 至 12 位数字，不能全相同或连续 · a PIN has 6 to 12 digits, not all alike, no 123456")]
    Pin,
    #[error("人数已满 · there are too many already")]
    Full,
    #[error("{0}")]
    Hash(String),
}

/// What came of a name and a PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    Welcome,
    /// Wrong name or PIN; which of them is not said.
    Wrong,
    Locked,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Member {
    name: String,
    pin: String,
    failures: u32,
    locked_until: Wall,
}

/// The file of one device.
#[derive(Clone, Debug)]
pub struct Staff {
    path: PathBuf,
}

impl Staff {
    pub fn of(state: &Path) -> Staff {
        Staff { path: state.join("staff.json") }
    }

    fn read(&self) -> Result<Vec<Member>, StaffError> {
        if !self.path.exists() {
            return Ok(Vec::new());
        }
        let bytes = read_at_most(&self.path, MOST_BYTES)?;
        serde_json::from_slice(&bytes).map_err(|error| StaffError::Format(self.path.clone(), error))
    }

    fn write(&self, members: &[Member]) -> Result<(), StaffError> {
        if let Some(folder) = self.path.parent() {
            make_owner_only_folder(folder)?;
        }
        let text = serde_json::to_vec_pretty(members)
            .map_err(|error| StaffError::Format(self.path.clone(), error))?;
        Ok(write_owner_only(&self.path, &text)?)
    }

    /// Everybody's name.
    ///
    /// # Errors
    /// [`StaffError::File`], [`StaffError::Format`].
    pub fn names(&self) -> Result<Vec<String>, StaffError> {
        Ok(self.read()?.into_iter().map(|member| member.name).collect())
    }

    /// Adds somebody.
    ///
    /// # Errors
    /// [`StaffError`].
    pub fn add(&self, name: &str, pin: &str) -> Result<(), StaffError> {
        let mut members = self.read()?;
        let is_name = (1..=MOST_NAME).contains(&name.chars().count())
            && name.trim() == name
            && !name.chars().any(char::is_control);
        if !is_name || members.iter().any(|member| member.name == name) {
            return Err(StaffError::Name);
        }
        if !is_fair(pin) {
            return Err(StaffError::Pin);
        }
        if members.len() >= MOST_STAFF {
            return Err(StaffError::Full);
        }
        let hash = Argon2::default().hash_password(pin.as_bytes());
        let pin = hash.map_err(|error| StaffError::Hash(error.to_string()))?.to_string();
        members.push(Member { name: name.to_owned(), pin, failures: 0, locked_until: Wall::default() });
        self.write(&members)
    }

    /// Removes somebody; whether they were there.
    ///
    /// # Errors
    /// [`StaffError`].
    pub fn remove(&self, name: &str) -> Result<bool, StaffError> {
        let mut members = self.read()?;
        let before = members.len();
        members.retain(|member| member.name != name);
        let was_there = members.len() < before;
        if was_there {
            self.write(&members)?;
        }
        Ok(was_there)
    }

    /// Whether this is them. Takes as long for a name that nobody has.
    ///
    /// # Errors
    /// [`StaffError`]: then nobody is let in.
    pub fn enter(&self, name: &str, pin: &str, now: Wall) -> Result<Entry, StaffError> {
        let mut members = self.read()?;
        let Some(member) = members.iter_mut().find(|member| member.name == name) else {
            // Errors do not matter: only the time it takes does.
            let _ = Argon2::default().hash_password(pin.as_bytes());
            return Ok(Entry::Wrong);
        };
        if now < member.locked_until {
            return Ok(Entry::Locked);
        }
        let is_right = PasswordHash::new(&member.pin)
            .is_ok_and(|hash| Argon2::default().verify_password(pin.as_bytes(), &hash).is_ok());
        let had_failures = member.failures > 0;
        member.failures = if is_right { 0 } else { member.failures + 1 };
        if member.failures >= MOST_FAILURES {
            (member.failures, member.locked_until) = (0, Wall(now.0.saturating_add(LOCKED_MS)));
        }
        if had_failures || !is_right {
            self.write(&members)?;
        }
        Ok(if is_right { Entry::Welcome } else { Entry::Wrong })
    }
}

/// Six digits or more that are not the first anybody tries.
fn is_fair(pin: &str) -> bool {
    let digits = pin.as_bytes();
    let steps = |by: i16| digits.windows(2).all(|pair| i16::from(pair[1]) - i16::from(pair[0]) == by);
    (6..=12).contains(&digits.len())
        && digits.iter().all(u8::is_ascii_digit)
        && ![0, 1, -1].into_iter().any(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_wrong_pins_lock_a_name_for_a_quarter_of_an_hour() {
        let folder = tempfile::tempdir().unwrap();
        let staff = Staff::of(folder.path());
        staff.add("王护士", "402817").unwrap();
        assert!(matches!(staff.add("王护士", "402818"), Err(StaffError::Name)));
        for pin in ["123456", "111111", "654321", "12345", "40281a", ""] {
            assert!(matches!(staff.add("刘医生", pin), Err(StaffError::Pin)), "{pin}");
        }
        let enter = |pin, at| staff.enter("王护士", pin, Wall(at)).unwrap();
        assert_eq!(enter("402817", 0), Entry::Welcome);
        for _ in 0..5 {
            assert_eq!(enter("000001", 0), Entry::Wrong);
        }
        assert_eq!(enter("402817", 1), Entry::Locked);
        assert_eq!(enter("402817", LOCKED_MS), Entry::Welcome);
        assert_eq!(staff.enter("nobody", "402817", Wall(0)).unwrap(), Entry::Wrong);
        let text = std::fs::read_to_string(folder.path().join("staff.json")).unwrap();
        assert!(!text.contains("402817"));
        assert!(staff.remove("王护士").unwrap() && staff.names().unwrap().is_empty());
    }
}
