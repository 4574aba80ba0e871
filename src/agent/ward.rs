//! What the agent believes about the ward: the one owner of the fact log, fed by the roster file and by HL7 messages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use crate::base::clock::{Clock, Wall};
use crate::base::files::sha256_hex;
use crate::base::ids::{StayId, WardId};
use crate::base::redact::mask_name;
use crate::base::supervise::Stopping;
use crate::domain::facts::{Fact, Person, StayHistory, fold};
use crate::domain::roster::{Roster, Stay};
use crate::domain::snapshot::{Listed, differences};
use crate::hospital::adt::{self, Adt};
use crate::hospital::csv_roster::{self, RosterFile};
use crate::hospital::mllp::{Taker, acknowledge};
use crate::store::{FactLog, FactLogError};
use crate::vision::gallery::Gallery;
use crate::wire::event::{Report, RosterRow, RosterSeen};

/// How often the roster file is looked at.
const LOOK_AT_FILE: Duration = Duration::from_secs(5);

/// A message and where its answer goes.
pub struct Message {
    pub bytes: Vec<u8>,
    pub answer: oneshot::Sender<Vec<u8>>,
}

/// Hands messages of the network to the ward's thread; a full queue makes the sender repeat.
#[derive(Clone)]
pub struct Postbox(pub SyncSender<Message>);

impl Taker for Postbox {
    async fn take(&self, bytes: Vec<u8>) -> Option<Vec<u8>> {
        let (answer, answered) = oneshot::channel();
        match self.0.try_send(Message { bytes, answer }) {
            Ok(()) => answered.await.ok(),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => None,
        }
    }
}

/// Everything known about the ward.
pub struct Ward {
    pub id: WardId,
    pub file: PathBuf,
    log: FactLog,
    facts: Vec<Fact>,
    ids: BTreeSet<String>,
    /// Digest of the roster file as it was last looked at, whether it could be used or not.
    seen: String,
}

impl Ward {
    /// # Errors
    /// [`FactLogError`].
    pub fn open(id: WardId, file: PathBuf, log: FactLog) -> Result<Ward, FactLogError> {
        let facts = log.all()?;
        let ids = facts.iter().map(|fact| fact.id.clone()).collect();
        Ok(Ward { id, file, log, facts, ids, seen: String::new() })
    }

    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    pub fn believed(&self) -> BTreeMap<StayId, StayHistory> {
        fold(&self.facts)
    }

    /// What a roster file would add.
    pub fn differences(&self, file: &RosterFile) -> Vec<Fact> {
        differences(&self.believed(), &listed(file), file.received, &format!("file/{}", &file.digest[..16]))
    }

    /// Takes a roster file; how many facts it added. A file that was read before adds nothing: what came since by other
    /// ways is newer.
    ///
    /// # Errors
    /// [`FactLogError`].
    pub fn import(&mut self, file: &RosterFile) -> Result<usize, FactLogError> {
        self.seen.clone_from(&file.digest);
        let source = format!("file/{}/", &file.digest[..16]);
        if self.ids.range(source.clone()..).next().is_some_and(|id| id.starts_with(&source)) {
            return Ok(0);
        }
        let facts = self.differences(file);
        self.keep(facts)
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

    /// Who should lie where now.
    pub fn roster(&self, now: Wall, gallery: &Gallery) -> Roster {
        Roster::believed(&self.believed(), now, |stay| gallery.templates_of(stay))
    }

    /// The ward's thread: messages as they come, the file every few seconds, a new roster whenever anything changed.
    pub fn run(
        mut self,
        messages: &Receiver<Message>,
        rosters: &mpsc::Sender<Roster>,
        gallery: &Arc<Gallery>,
        clock: &Clock,
        stopping: &Stopping,
    ) {
        while !stopping.has_begun() {
            let has_changed = match messages.recv_timeout(LOOK_AT_FILE) {
                Ok(message) => self.answer(message, clock.now().wall),
                Err(RecvTimeoutError::Timeout) => self.look_around(clock.now().wall),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if has_changed && rosters.blocking_send(self.roster(clock.now().wall, gallery)).is_err() {
                return;
            }
        }
    }

    fn answer(&mut self, message: Message, now: Wall) -> bool {
        match self.hear(&message.bytes, now) {
            Ok((answer, new)) => {
                // Whoever asked may be gone; the message counts all the same and comes again.
                let _ = message.answer.send(answer);
                new
            }
            Err(error) => {
                warn!(%error, "An HL7 message could not be kept; the sender will repeat it.");
                false
            }
        }
    }

    /// Whether the file, or `bedcheck roster import` beside this program, brought something new.
    fn look_around(&mut self, now: Wall) -> bool {
        let from_outside = match self.log.count().map(|known| known > self.facts.len()) {
            Ok(more) => more && self.read_again(),
            Err(error) => {
                warn!(%error, "The fact log cannot be read.");
                false
            }
        };
        self.look_at_file(now) || from_outside
    }

    fn read_again(&mut self) -> bool {
        let Ok(facts) = self.log.all() else { return false };
        self.ids = facts.iter().map(|fact| fact.id.clone()).collect();
        self.facts = facts;
        true
    }

    fn look_at_file(&mut self, now: Wall) -> bool {
        let Some(digest) = csv_roster::digest(&self.file).filter(|digest| *digest != self.seen) else {
            return false;
        };
        self.seen = digest;
        let imported = csv_roster::read(&self.file, now)
            .map_err(|error| error.to_string())
            .and_then(|file| self.import(&file).map_err(|error| error.to_string()));
        match imported {
            Ok(new) => {
                info!(facts = new, "The roster file has changed.");
                new > 0
            }
            Err(error) => {
                warn!(%error, "The roster file cannot be used; the former belief stays.");
                false
            }
        }
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
    let row = |entry: &csv_roster::RosterEntry| Listed {
        stay: entry.stay.clone(),
        bed: entry.bed.clone(),
        person: Person { psn_no: entry.psn_no.clone(), psn_name: entry.psn_name.clone() },
    };
    file.entries.iter().map(row).collect()
}
