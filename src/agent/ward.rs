//! What the agent believes about the ward: the one owner of the fact log, fed by files and messages of hospital systems.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use tracing::warn;

use crate::base::clock::Wall;
use crate::base::files::sha256_hex;
use crate::base::ids::{StayId, WardId};
use crate::base::redact::mask_name;
use crate::domain::facts::{Account, Change, Excuse, Fact, Person, StayHistory, account, fold};
use crate::domain::retention::KEEP;
use crate::domain::roster::{Roster, Stay};
use crate::domain::snapshot::{Insured, Listed, differences, insured};
use crate::hospital::adt::{self, Adt};
use crate::hospital::changes;
use crate::hospital::fhir::Encounters;
use crate::hospital::mllp::acknowledge;
use crate::hospital::national::{self, National};
use crate::hospital::roster_file::{self, RosterFile};
use crate::store::{FactLog, FactLogError};
use crate::vision::gallery::Gallery;
use crate::wire::event::{Report, RosterRow, RosterSeen};

/// Everything known about the ward.
pub struct Ward {
    pub id: WardId,
    log: FactLog,
    facts: Vec<Fact>,
    ids: BTreeSet<String>,
}

impl Ward {
    /// # Errors
    /// [`FactLogError`].
    pub fn open(id: WardId, log: FactLog) -> Result<Ward, FactLogError> {
        let facts = log.all()?;
        let ids = facts.iter().map(|fact| fact.id.clone()).collect();
        Ok(Ward { id, log, facts, ids })
    }

    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    pub fn believed(&self) -> BTreeMap<StayId, StayHistory> {
        fold(&self.facts)
    }

    /// What a roster file would add.
    pub fn differences(&self, file: &RosterFile) -> Vec<Fact> {
        // A list may come again after another one: its facts are new ones then.
        let source = format!("file/{}/{}", &file.digest[..16], file.received.0);
        differences(&self.believed(), &listed(file), file.received, &source)
    }

    /// Takes a roster file; how many facts it added. The one that was read last adds nothing: what came since by other
    /// ways is newer.
    ///
    /// # Errors
    /// [`FactLogError`].
    pub fn import(&mut self, file: &RosterFile) -> Result<usize, FactLogError> {
        if self.was_last("file/", &file.digest[..16]) {
            return Ok(0);
        }
        let facts = self.differences(file);
        self.keep(facts)
    }

    /// Takes a list of changes; how many were new.
    ///
    /// # Errors
    /// What is wrong with the file, or that it could not be kept.
    pub fn import_changes(&mut self, path: &Path, now: Wall) -> Result<usize, String> {
        let (sheet, digest) = roster_file::sheet(path).map_err(|error| error.to_string())?;
        let listed = changes::facts(&sheet, now, &format!("changes/{}", &digest[..16]));
        let facts = listed.map_err(|complaints| format!("{}:\n{}", path.display(), complaints.join("\n")))?;
        self.keep(facts).map_err(|error| error.to_string())
    }

    /// Takes the insurer's own list (5303) as a file; how many facts it added.
    ///
    /// # Errors
    /// What is wrong with the file, or that it could not be kept.
    pub fn import_insured(&mut self, path: &Path, now: Wall) -> Result<usize, String> {
        let (sheet, digest) = roster_file::sheet(path).map_err(|error| error.to_string())?;
        let listed = changes::insured(&sheet, &self.id);
        let listed =
            listed.map_err(|complaints| format!("{}:\n{}", path.display(), complaints.join("\n")))?;
        if self.was_last("insurer/", &digest[..16]) {
            return Ok(0);
        }
        let source = format!("insurer/{}/{}", &digest[..16], now.0);
        self.take_insured(&listed, &source, now).map_err(|error| error.to_string())
    }

    fn take_insured(&mut self, listed: &[Insured], source: &str, now: Wall) -> Result<usize, FactLogError> {
        self.keep(insured(&self.believed(), listed, now, source))
    }

    /// Takes a message of the national interface: how many facts were new, or what is wrong with it.
    ///
    /// # Errors
    /// [`FactLogError`]: then it must not be answered.
    pub fn hear_national(&mut self, bytes: &[u8], now: Wall) -> Result<Result<usize, String>, FactLogError> {
        match national::read(bytes, now, &self.id) {
            Ok(National::Facts(facts)) => self.keep(facts).map(Ok),
            // A message that comes again is the same one.
            Ok(National::List { source, .. }) if self.has_any(&format!("{source}/")) => Ok(Ok(0)),
            Ok(National::List { source, stays }) => self.take_insured(&stays, &source, now).map(Ok),
            Err(refused) => Ok(Err(refused.to_string())),
        }
    }

    /// Takes the whole list of a FHIR server; how many facts it added.
    ///
    /// # Errors
    /// [`FactLogError`].
    pub fn see_encounters(&mut self, seen: &Encounters, now: Wall) -> Result<usize, FactLogError> {
        let source = format!("fhir/{}/{}", &seen.digest()[..16], now.0);
        let rows = seen.list.iter().map(|one| Listed {
            stay: one.stay.clone(),
            bed: one.bed.clone(),
            person: one.person.clone(),
        });
        let believed = self.believed();
        let mut facts = differences(&believed, &rows.collect::<Vec<_>>(), now, &source);
        for one in &seen.list {
            let was_away = believed
                .get(&one.stay)
                .is_some_and(|history| account(&history.away, now, Duration::ZERO) != Account::None);
            let change = match (was_away, one.is_on_leave) {
                (false, true) => Change::Left { excuse: Excuse::Leave, until: None },
                (true, false) => Change::Returned,
                (true, true) | (false, false) => continue,
            };
            let (id, stay) = (format!("{source}/{}/leave", one.stay), Some(one.stay.clone()));
            facts.push(Fact { id, stay, at: now, received: now, change });
        }
        self.keep(facts)
    }

    /// Whether the last facts of this kind of source came from the one with that digest.
    fn was_last(&self, kind: &str, digest: &str) -> bool {
        let last = self.facts.iter().rev().find_map(|fact| fact.id.strip_prefix(kind));
        last.is_some_and(|rest| rest.starts_with(digest))
    }

    /// Whether a fact of this source is known.
    fn has_any(&self, source: &str) -> bool {
        self.ids.range(source.to_owned()..).next().is_some_and(|id| id.starts_with(source))
    }

    fn keep(&mut self, mut facts: Vec<Fact>) -> Result<usize, FactLogError> {
        facts.retain(|fact| !self.ids.contains(&fact.id));
        let new = self.log.append(&facts)?;
        self.ids.extend(facts.iter().map(|fact| fact.id.clone()));
        self.facts.extend(facts);
        Ok(new)
    }

    /// Takes an HL7 message: its answer, once it is durable, and whether it said anything new.
    ///
    /// # Errors
    /// [`FactLogError`]: then it must not be answered.
    pub fn hear(&mut self, bytes: &[u8], now: Wall) -> Result<(Vec<u8>, bool), FactLogError> {
        let (header, read) = adt::read(bytes, now, &self.id);
        let new = match &read {
            Ok(adt) => self.take(adt)?,
            Err(refused) => {
                warn!(code = refused.code, reason = %refused.text, "An HL7 message was refused.");
                false
            }
        };
        Ok((acknowledge(&header, read.as_ref().map(|_| ()), now), new))
    }

    /// Takes what a message said; whether that was new.
    ///
    /// # Errors
    /// [`FactLogError`].
    pub fn take(&mut self, adt: &Adt) -> Result<bool, FactLogError> {
        match adt {
            Adt::Facts(facts) => Ok(self.keep(facts.clone())? > 0),
            Adt::Ignored(_) => Ok(false),
        }
    }

    /// Stays of which names or numbers are kept though the patient was discharged, and that no contradiction needs: one
    /// whom the insurer still lists must be told by name.
    pub fn left_behind(&self) -> BTreeSet<StayId> {
        let named: BTreeSet<&StayId> = self
            .facts
            .iter()
            .filter(|fact| fact.change.without_person().is_some())
            .filter_map(|fact| fact.stay.as_ref())
            .collect();
        let has_left = |history: &StayHistory| {
            let is_listed = history.insured.as_ref().is_some_and(|(_, listed)| *listed);
            history.discharged.is_some() && !is_listed
        };
        let left =
            self.believed().into_iter().filter(|(stay, history)| named.contains(stay) && has_left(history));
        left.map(|(stay, _)| stay).collect()
    }

    /// Takes names and numbers out of everything known of a stay, and out of told numbers that nobody has any more. How
    /// many facts had some; whether older bytes are gone, too.
    ///
    /// # Errors
    /// [`FactLogError`]; nothing was forgotten then.
    pub fn forget(&mut self, stay: &StayId, now: Wall) -> Result<(usize, bool), FactLogError> {
        let is_of = |fact: &&Fact| fact.stay.as_ref() == Some(stay);
        let numbers = self.facts.iter().filter(|fact| !is_of(fact)).filter_map(|fact| match &fact.change {
            Change::Admitted { person, .. }
            | Change::Corrected { person }
            | Change::Insured { person, .. } => Some(&person.psn_no),
            Change::Merged { .. }
            | Change::Moved { .. }
            | Change::Left { .. }
            | Change::Returned
            | Change::Discharged
            | Change::Cancelled { .. } => None,
        });
        let numbers: BTreeSet<_> = numbers.collect();
        let is_stale = |fact: &&Fact| match &fact.change {
            // Young ones may speak of somebody who is about to be admitted.
            Change::Merged { psn_no, into } => {
                now.since(fact.received) > KEEP && !numbers.contains(psn_no) && !numbers.contains(into)
            }
            Change::Admitted { .. }
            | Change::Corrected { .. }
            | Change::Insured { .. }
            | Change::Moved { .. }
            | Change::Left { .. }
            | Change::Returned
            | Change::Discharged
            | Change::Cancelled { .. } => false,
        };
        let gone = self.facts.iter().filter(|fact| is_of(fact) || is_stale(fact));
        let reworded: Vec<(String, Change)> =
            gone.filter_map(|fact| Some((fact.id.clone(), fact.change.without_person()?))).collect();
        let is_gone = self.log.reword(&reworded)?;
        let forgotten = reworded.len();
        let mut reworded: BTreeMap<String, Change> = reworded.into_iter().collect();
        for fact in &mut self.facts {
            if let Some(change) = reworded.remove(&fact.id) {
                fact.change = change;
            }
        }
        Ok((forgotten, is_gone))
    }

    /// Cuts the fact log's own log; false while somebody reads it.
    ///
    /// # Errors
    /// [`FactLogError`].
    pub fn scrub(&self) -> Result<bool, FactLogError> {
        self.log.scrub()
    }

    /// Who should lie where now.
    pub fn roster(&self, now: Wall, gallery: &Gallery) -> Roster {
        Roster::believed(&self.believed(), now, |stay| gallery.templates_of(stay))
    }

    /// Reads facts that another program appended; whether there were any.
    ///
    /// # Errors
    /// [`FactLogError`].
    pub fn read_again(&mut self) -> Result<bool, FactLogError> {
        if self.log.count()? <= self.facts.len() {
            return Ok(false);
        }
        let facts = self.log.all()?;
        self.ids = facts.iter().map(|fact| fact.id.clone()).collect();
        self.facts = facts;
        Ok(true)
    }
}

/// What the platform is told of a roster.
pub fn report(ward: &WardId, roster: &Roster) -> Report {
    let row = |stay: &Stay| RosterRow {
        bed: stay.bed.clone(),
        stay: stay.id.clone(),
        masked_name: mask_name(stay.psn_name.reveal()),
        templates: stay.templates,
    };
    let stays: Vec<RosterRow> = roster.stays().map(row).collect();
    let lines: String = roster.stays().map(|stay| format!("{}={}\n", stay.bed, stay.id)).collect();
    let digest = sha256_hex(lines.as_bytes());
    Report::Roster(RosterSeen { ward: ward.clone(), received: roster.received(), digest, stays })
}

fn listed(file: &RosterFile) -> Vec<Listed> {
    let row = |entry: &roster_file::RosterEntry| Listed {
        stay: entry.stay.clone(),
        bed: entry.bed.clone(),
        person: Person { psn_no: entry.psn_no.clone(), psn_name: entry.psn_name.clone() },
    };
    file.entries.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::BedId;
    use crate::base::redact::Private;

    fn list(digest: char, bed: &str, received: i64) -> RosterFile {
        let private = |text: &str| Private::new(text.to_owned());
        let entry = roster_file::RosterEntry {
            stay: StayId::new("S1").unwrap(),
            bed: BedId::new(bed).unwrap(),
            psn_no: private("P1"),
            psn_name: private("张三"),
            enrol: None,
        };
        let digest = digest.to_string().repeat(64);
        RosterFile { entries: vec![entry], digest, received: Wall(received) }
    }

    #[test]
    fn a_list_that_comes_again_after_another_one_counts_again() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Ward::open(WardId::new("3A").unwrap(), FactLog::open(folder.path()).unwrap()).unwrap();
        let bed = |ward: &Ward, now| ward.believed()[&StayId::new("S1").unwrap()].bed_at(Wall(now)).cloned();
        let mut ward = open();
        assert_eq!(ward.import(&list('a', "1", 10)).unwrap(), 1);
        assert_eq!(ward.import(&list('b', "2", 20)).unwrap(), 1);
        assert_eq!(ward.import(&list('a', "1", 30)).unwrap(), 1);
        assert_eq!(bed(&ward, 31), BedId::new("1").ok());
        // The next start reads the same file: nothing new, whatever it says later than other sources.
        drop(ward);
        assert_eq!(open().import(&list('a', "3", 40)).unwrap(), 0);
    }
}
