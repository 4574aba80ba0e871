//! What this platform knows itself, as files a load takes: presence by stay, rosters, faces that resembled another one's.
//!
//! Devices know stays (`mdtrt_id`) and no numbers of people; institutions are names here and codes with the insurer, so
//! whoever exports says which is which. A stay's days are China's. A day counts as verified with one verified check, as
//! absent with one against it and none verified, as excused when nothing else was said of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::base::files::{FileError, write_owner_only};
use crate::platform::db::{self, Connection, Database, DatabaseError, params};
use crate::platform::score::DayNumber;

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum KnownError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("机构 {0} 没有编码 / institution {0} has no code: say --institution {0}=CODE")]
    NoCode(String),
    #[error("cannot write a row: {0}")]
    Row(#[from] csv::Error),
}

/// Rows of each file.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Written {
    pub presence: usize,
    pub roster: usize,
    pub face_link: usize,
    /// Faces left out: a stay with them is on no list of the insurer.
    pub unknown_people: usize,
}

/// What the purpose of a purchase is called among verifications.
const PICKUP: &str = "pickup";

struct Stay {
    institution: String,
    stay: String,
    since: i64,
    gone: Option<i64>,
}

/// What was read.
pub struct Known {
    stays: Vec<Stay>,
    days: BTreeMap<String, Seen>,
    faces: Vec<Link>,
}

/// Reads it.
///
/// # Errors
/// [`KnownError::Database`].
pub fn read(db: &Database) -> Result<Known, KnownError> {
    let read = db.read(|connection| {
        Ok(Known { stays: stays(connection)?, days: days(connection)?, faces: faces(connection)? })
    });
    Ok(read?)
}

impl Known {
    /// Stays whose people are wanted: those with a face and those it resembled.
    pub fn wanted(&self) -> BTreeSet<&str> {
        self.faces.iter().flat_map(|link| [link.stay.as_str(), link.resembles.as_str()]).collect()
    }

    /// Writes `presence.csv`, `roster.csv` and `face_link.csv` into `out`; `codes` are `fixmedins_code` by institution,
    /// `people` `psn_no` by stay.
    ///
    /// # Errors
    /// [`KnownError`].
    pub fn write(
        &self,
        codes: &BTreeMap<String, String>,
        people: &BTreeMap<String, String>,
        out: &Path,
    ) -> Result<Written, KnownError> {
        let mut written = Written::default();
        let files = [
            ("presence.csv", self.presence(codes, &mut written)?),
            ("roster.csv", self.roster(codes, &mut written)?),
            ("face_link.csv", self.face_link(codes, people, &mut written)?),
        ];
        for (name, file) in files {
            let bytes = file.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
            write_owner_only(&out.join(name), &bytes)?;
        }
        Ok(written)
    }

    fn roster(&self, codes: &Codes, written: &mut Written) -> Result<Text, KnownError> {
        let mut file = file();
        file.write_record(["mdtrt_id", "fixmedins_code", "begndate", "enddate"])?;
        for one in &self.stays {
            let end = one.gone.map_or_else(String::new, date);
            file.write_record([&one.stay, code(codes, &one.institution)?, &date(one.since), &end])?;
            written.roster += 1;
        }
        Ok(file)
    }

    fn presence(&self, codes: &Codes, written: &mut Written) -> Result<Text, KnownError> {
        let mut file = file();
        file.write_record([
            "mdtrt_id",
            "fixmedins_code",
            "enddate",
            "days_due",
            "days_verified",
            "days_excused",
            "days_absent",
            "rounds_absent",
            "last_verified",
        ])?;
        for one in &self.stays {
            // A stay that goes on is looked at when it is over.
            let (Some(seen), Some(gone)) = (self.days.get(&one.stay), one.gone) else { continue };
            let counts = [seen.due, seen.verified, seen.excused, seen.absent, seen.rounds_absent];
            let counts = counts.map(|count| count.to_string());
            let last = seen.last_verified.map_or_else(String::new, date);
            let first = [one.stay.clone(), code(codes, &one.institution)?.clone(), date(gone)];
            file.write_record(first.iter().chain(&counts).chain([&last]))?;
            written.presence += 1;
        }
        Ok(file)
    }

    fn face_link(
        &self,
        codes: &Codes,
        people: &BTreeMap<String, String>,
        written: &mut Written,
    ) -> Result<Text, KnownError> {
        let mut file = file();
        file.write_record(["event", "done_date", "purpose", "fixmedins_code", "psn_no", "resembles_psn_no"])?;
        for link in &self.faces {
            let (Some(one), Some(other)) = (people.get(&link.stay), people.get(&link.resembles)) else {
                written.unknown_people += 1;
                continue;
            };
            let code = code(codes, &link.institution)?;
            file.write_record([&link.event, &date(link.day), link.purpose, code, one, other])?;
            written.face_link += 1;
        }
        Ok(file)
    }
}

type Codes = BTreeMap<String, String>;
type Text = csv::Writer<Vec<u8>>;

fn code<'c>(codes: &'c Codes, institution: &str) -> Result<&'c String, KnownError> {
    codes.get(institution).ok_or_else(|| KnownError::NoCode(institution.to_owned()))
}

fn file() -> Text {
    csv::Writer::from_writer(Vec::new())
}

fn date(day: i64) -> String {
    DayNumber(day).date().map_or_else(String::new, |date| date.to_string())
}

/// Stays on rosters, with China's days since 1970.
fn stays(connection: &Connection) -> db::Result<Vec<Stay>> {
    connection
        .prepare_cached(
            "SELECT d.institution, l.stay, min((l.since_ms + 28800000) / 86400000),
                    CASE WHEN sum(CASE WHEN l.gone_ms IS NULL THEN 1 ELSE 0 END) > 0 THEN NULL
                         ELSE max((l.gone_ms + 28800000) / 86400000) END
             FROM lying l JOIN device d ON d.device = l.device GROUP BY d.institution, l.stay ORDER BY l.stay",
        )?
        .query_map([], |row| {
            Ok(Stay { institution: row.get(0)?, stay: row.get(1)?, since: row.get(2)?, gone: row.get(3)? })
        })?
        .collect()
}

#[derive(Debug, Default)]
struct Seen {
    due: i64,
    verified: i64,
    excused: i64,
    absent: i64,
    rounds_absent: i64,
    last_verified: Option<i64>,
}

/// Of each stay, its days by what was found on them.
fn days(connection: &Connection) -> db::Result<BTreeMap<String, Seen>> {
    let mut query = connection.prepare_cached(
        "SELECT u.stay, (u.due_ms + 28800000) / 86400000,
                sum(CASE WHEN o.verdict = 'Verified' THEN 1 ELSE 0 END),
                sum(CASE WHEN o.verdict = 'Excused' THEN 1 ELSE 0 END),
                sum(CASE WHEN o.verdict IN ('Absent', 'Mismatch', 'WrongBed', 'NotLive') THEN 1 ELSE 0 END), count(*)
         FROM due u LEFT JOIN done o
         ON o.device = u.device AND o.epoch = u.epoch AND o.round = u.round AND o.bed = u.bed
         GROUP BY u.stay, (u.due_ms + 28800000) / 86400000",
    )?;
    let mut rows = query.query(params![])?;
    let mut stays: BTreeMap<String, Seen> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (day, verified, excused, against, all): (i64, i64, i64, i64, i64) =
            (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?);
        let seen = stays.entry(row.get(0)?).or_default();
        seen.due += 1;
        seen.verified += i64::from(verified > 0);
        seen.absent += i64::from(verified == 0 && against > 0);
        seen.excused += i64::from(verified == 0 && excused == all);
        seen.rounds_absent += against;
        seen.last_verified = seen.last_verified.max((verified > 0).then_some(day));
    }
    Ok(stays)
}

struct Link {
    event: String,
    institution: String,
    day: i64,
    purpose: &'static str,
    stay: String,
    resembles: String,
}

/// Verifications whose face was another stay's.
fn faces(connection: &Connection) -> db::Result<Vec<Link>> {
    connection
        .prepare_cached(
            "SELECT v.event, d.institution, (v.done_ms + 28800000) / 86400000, v.purpose, v.stay, v.resembles
             FROM verification v JOIN device d ON d.device = v.device
             WHERE v.resembles IS NOT NULL AND v.synthetic = 0 ORDER BY v.done_ms, v.event",
        )?
        .query_map([], |row| {
            let purpose: String = row.get(3)?;
            Ok(Link {
                event: row.get(0)?,
                institution: row.get(1)?,
                day: row.get(2)?,
                purpose: if purpose == PICKUP { "pharmacy" } else { "inpatient" },
                stay: row.get(4)?,
                resembles: row.get(5)?,
            })
        })?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::DeviceId;
    use crate::platform::devices;

    #[test]
    fn a_stay_s_days_are_added_up_by_what_was_found_on_them() {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::open(&folder.path().join("p.db")).unwrap();
        const DAY: i64 = 86_400_000;
        let noon = |day: i64| (20_000 + day) * DAY + 4 * 3_600_000;
        db.write(|tx| {
            devices::enter(tx, &DeviceId::new("a").unwrap())?;
            tx.execute("UPDATE device SET institution = '示范医院'", [])?;
            tx.execute("INSERT INTO lying VALUES ('a', 'M1', '1', ?1, 0, ?2, 0)", [noon(0), noon(4)])?;
            tx.execute("INSERT INTO lying VALUES ('a', 'M2', '2', ?1, 0, NULL, NULL)", [noon(0)])?;
            for (round, (day, verdict)) in
                [(0, "Verified"), (0, "Absent"), (1, "Absent"), (2, "Excused"), (3, "")]
                    .into_iter()
                    .enumerate()
            {
                let round = round as i64;
                tx.execute(
                    "INSERT INTO due VALUES ('a', 'e', ?1, '1', 'M1', '张*', ?2, ?2, ?2, 'settled')",
                    params![round, noon(day)],
                )?;
                if !verdict.is_empty() {
                    tx.execute(
                        "INSERT INTO done VALUES ('a', 'e', ?1, '1', 'M1', ?2, ?3, '{}', 0, 0, 0)",
                        params![round, format!("v{round}"), verdict],
                    )?;
                }
            }
            Ok(())
        })
        .unwrap();
        let codes = BTreeMap::from([("示范医院".to_owned(), "H1".to_owned())]);
        let known = read(&db).unwrap();
        let written = known.write(&codes, &BTreeMap::new(), folder.path()).unwrap();
        assert_eq!(written, Written { presence: 1, roster: 2, ..Written::default() });
        let presence = std::fs::read_to_string(folder.path().join("presence.csv")).unwrap();
        assert_eq!(presence.lines().nth(1), Some("M1,H1,2024-10-08,4,1,1,1,2,2024-10-04"));
        assert!(matches!(known.write(&BTreeMap::new(), &codes, folder.path()), Err(KnownError::NoCode(_))));
    }
}
