//! The thread that owns the ward: messages as they come, files and newly enrolled faces every few seconds, and a new
//! belief whenever anything changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use crate::agent::retention::Retention;
use crate::agent::ward::Ward;
use crate::base::clock::{Clock, Mono, Now, Wall};
use crate::base::supervise::Stopping;
use crate::domain::roster::Roster;
use crate::hospital::fhir::Encounters;
use crate::hospital::http::Desk;
use crate::hospital::mllp::Taker;
use crate::hospital::roster_file;
use crate::hospital::watched::Watched;
use crate::store::{EnrolledError, TemplateStore};
use crate::vision::gallery::Gallery;
use crate::vision::manifest::Metric;

/// How often files and templates are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Something for the ward, and where the answer goes.
pub enum Letter {
    Hl7 { bytes: Vec<u8>, answer: oneshot::Sender<Vec<u8>> },
    National { bytes: Vec<u8>, answer: oneshot::Sender<Result<usize, String>> },
    Fhir(Encounters),
}

/// Hands messages of the network to the ward's thread; a full queue makes the sender repeat.
#[derive(Clone)]
pub struct Postbox(pub SyncSender<Letter>);

impl Postbox {
    async fn post<T>(&self, letter: impl FnOnce(oneshot::Sender<T>) -> Letter) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        match self.0.try_send(letter(answer)) {
            Ok(()) => answered.await.ok(),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => None,
        }
    }
}

impl Taker for Postbox {
    async fn take(&self, bytes: Vec<u8>) -> Option<Vec<u8>> {
        self.post(|answer| Letter::Hl7 { bytes, answer }).await
    }
}

impl Desk for Postbox {
    async fn take(&self, bytes: Vec<u8>) -> Option<Result<usize, String>> {
        self.post(|answer| Letter::National { bytes, answer }).await
    }
}

/// Files that hospital systems write: a whole list, changes, the insurer's list; each a file or a watched folder.
#[derive(Clone, Debug)]
pub struct Files {
    pub roster: Option<PathBuf>,
    pub changes: Option<PathBuf>,
    pub insurer: Option<PathBuf>,
}

/// Who lies where, and who can be compared.
pub struct Belief {
    pub roster: Roster,
    pub gallery: Arc<Gallery>,
}

/// Templates of this pack of nets, as they are enrolled beside the running agent.
pub struct Faces {
    pub store: TemplateStore,
    /// SHA-256 of the embedder.
    pub models: String,
    pub gallery: Arc<Gallery>,
    /// What the store held when it was last read.
    pub seen: String,
}

/// Everything the thread owns.
pub struct WardThread {
    pub ward: Ward,
    pub files: Files,
    pub faces: Faces,
    pub seen: Watched,
    pub retention: Retention,
    pub clock: Clock,
}

impl WardThread {
    /// Turns until shutdown or until nobody wants to know.
    pub fn run(mut self, letters: &Receiver<Letter>, beliefs: &mpsc::Sender<Belief>, stopping: &Stopping) {
        let mut next_look = Mono::default();
        while !stopping.has_begun() {
            let now = self.clock.now();
            let mut has_changed = false;
            // Looked at in between, too: a busy interface engine must not keep a file from being read.
            if now.mono >= next_look {
                next_look = now.mono + LOOK;
                has_changed = self.look_around(now);
            }
            match letters.recv_timeout(next_look - now.mono) {
                Ok(letter) => has_changed |= self.take(letter, self.clock.now().wall),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if has_changed && beliefs.blocking_send(self.belief()).is_err() {
                return;
            }
        }
    }

    /// What is believed now.
    pub fn belief(&self) -> Belief {
        let gallery = self.faces.gallery.clone();
        Belief { roster: self.ward.roster(self.clock.now().wall, &gallery), gallery }
    }

    /// Whether a letter said anything new. Whoever asked may be gone; the letter counts all the same and comes again.
    fn take(&mut self, letter: Letter, now: Wall) -> bool {
        let taken = match letter {
            Letter::Hl7 { bytes, answer } => self.ward.hear(&bytes, now).map(|(acknowledgement, new)| {
                let _ = answer.send(acknowledgement);
                new
            }),
            Letter::National { bytes, answer } => self.ward.hear_national(&bytes, now).map(|heard| {
                let new = heard.as_ref().is_ok_and(|new| *new > 0);
                let _ = answer.send(heard);
                new
            }),
            Letter::Fhir(encounters) => self.ward.see_encounters(&encounters, now).map(|new| new > 0),
        };
        taken.unwrap_or_else(|error| {
            warn!(%error, "A message could not be kept; the sender will repeat it.");
            false
        })
    }

    /// Whether files, enrolment, or `bedcheck roster import` beside this program brought something new.
    fn look_around(&mut self, now: Now) -> bool {
        let from_outside = self.ward.read_again().unwrap_or_else(|error| {
            warn!(%error, "The fact log cannot be read.");
            false
        });
        let from_files = self.look_at_files(now.wall);
        // Before the faces, so that what was erased is out of memory with the same look.
        let erased = self.retention.look(&mut self.ward, now).unwrap_or_else(|error| {
            warn!(%error, "What is due cannot be erased; will try again.");
            false
        });
        let faces = self.faces.look().unwrap_or_else(|error| {
            warn!(%error, "The enrolled faces cannot be read.");
            false
        });
        from_outside | from_files | erased | faces
    }

    fn look_at_files(&mut self, now: Wall) -> bool {
        let Files { roster, changes, insurer } = self.files.clone();
        let changes = changes.map_or(Vec::new(), |path| match roster_file::files_in(&path) {
            files if files.is_empty() => vec![path],
            files => files,
        });
        let mut new = false;
        if let Some(path) = roster {
            new |= self.look_at(&roster_file::newest(&path), |ward, path| {
                let file = roster_file::read(path, now).map_err(|error| error.to_string())?;
                ward.import(&file).map_err(|error| error.to_string())
            });
        }
        for path in &changes {
            new |= self.look_at(path, |ward, path| ward.import_changes(path, now));
        }
        if let Some(path) = insurer {
            new |= self.look_at(&roster_file::newest(&path), |ward, path| ward.import_insured(path, now));
        }
        new
    }

    fn look_at(&mut self, path: &Path, import: impl Fn(&mut Ward, &Path) -> Result<usize, String>) -> bool {
        if !self.seen.has_changed(path) {
            return false;
        }
        match import(&mut self.ward, path) {
            Ok(new) => {
                info!(path = %path.display(), facts = new, "A file of the hospital was read.");
                new > 0
            }
            Err(error) => {
                warn!(%error, "A file of the hospital cannot be used; the former belief stays.");
                false
            }
        }
    }
}

impl Faces {
    /// Everybody whom this pack of nets can compare.
    ///
    /// # Errors
    /// [`EnrolledError`].
    pub fn open(store: TemplateStore, models: String, metric: Metric) -> Result<Faces, EnrolledError> {
        // In this order: whoever withdraws while the nets are still being loaded is noticed with the first look.
        let seen = store.state()?;
        let gallery = Arc::new(Gallery::of(metric, store.all(&models)?));
        Ok(Faces { store, models, gallery, seen })
    }

    /// Reads the templates again where somebody was enrolled or erased; whether that was so.
    fn look(&mut self) -> Result<bool, EnrolledError> {
        let state = self.store.state()?;
        if state == self.seen {
            return Ok(false);
        }
        let gallery = Gallery::of(self.gallery.metric(), self.store.all(&self.models)?);
        info!(people = gallery.people(), "The enrolled faces have changed.");
        (self.gallery, self.seen) = (Arc::new(gallery), state);
        Ok(true)
    }
}
