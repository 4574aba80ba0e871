//! The thread behind the kiosk: owns the visit's state, looks through its own nets while somebody stands there, and has
//! each result durable before the screen shows it.
//!
//! Its nets are not the patrol's: a round never waits for a visitor, nor a visitor for a round. Between visits the camera
//! rests and nothing is looked at.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tracing::{info, warn};

use crate::base::clock::{Clock, Mono, Now};
use crate::base::ids::StayId;
use crate::base::redact::{Private, mask_name};
use crate::base::slot::Slot;
use crate::base::supervise::Stopping;
use crate::domain::kiosk::screen::Screen;
use crate::domain::kiosk::verification::{Proxy, Verification};
use crate::domain::kiosk::{Claimed, Input, Kiosk};
use crate::domain::roster::Roster;
use crate::kiosk::counter::Touch;
use crate::store::Privacy;
use crate::vision::eyes::Eyes;
use crate::vision::gallery::Gallery;
use crate::vision::near::Near;

/// Frames nearer to each other bring work and no knowledge: eight a second show a blink.
const SPACING: Duration = Duration::from_millis(120);
/// How long a touch may wait for a frame.
const GLANCE: Duration = Duration::from_millis(60);
/// Between visits the thread wakes for deadlines and shutdown.
const ASLEEP: Duration = Duration::from_millis(500);
/// The camera was taken away, or never was there.
const NO_PICTURE: Duration = Duration::from_secs(4);

/// Who may be claimed, and their faces.
#[derive(Clone)]
pub struct Known {
    pub roster: Arc<Roster>,
    pub gallery: Arc<Gallery>,
}

impl Known {
    pub fn of(roster: &Roster, gallery: &Arc<Gallery>) -> Known {
        Known { roster: Arc::new(roster.clone()), gallery: gallery.clone() }
    }
}

/// A touch on the screen of that number, and where the next screen goes; any number where there is none.
pub struct Letter {
    pub screen: Option<u64>,
    pub touch: Touch,
    pub answer: oneshot::Sender<Screen>,
}

/// A result, and who wants to hear that it is durable.
pub type Told = (Now, Box<Verification>, oneshot::Sender<()>);

/// Everything the thread owns.
pub struct KioskThread {
    pub kiosk: Kiosk,
    pub eyes: Eyes,
    pub near: Near,
    pub slot: Slot,
    pub known: watch::Receiver<Known>,
    pub privacy: Privacy,
    pub differs_below: f32,
    pub told: mpsc::Sender<Told>,
    pub shown: watch::Sender<Screen>,
    pub clock: Clock,
}

/// Nobody takes results any more: the agent ends.
struct Over;

impl KioskThread {
    /// Turns until shutdown.
    pub fn run(mut self, letters: &Receiver<Letter>, stopping: &Stopping) {
        let mut watched: Option<Watched> = None;
        while !stopping.has_begun() {
            let turned = match self.kiosk.wanted().cloned() {
                Some(stay) => {
                    let since = self.clock.now().mono;
                    let watching = watched.get_or_insert(Watched { since, last: since });
                    let frame = self.look(&stay, watching);
                    frame.and_then(|()| match letters.try_recv() {
                        Ok(letter) => self.take(letter),
                        Err(TryRecvError::Empty) => Ok(()),
                        Err(TryRecvError::Disconnected) => Err(Over),
                    })
                }
                None => {
                    if watched.take().is_some() {
                        self.near.clear();
                    }
                    match letters.recv_timeout(self.idle()) {
                        Ok(letter) => self.take(letter),
                        Err(RecvTimeoutError::Timeout) => self.tell(Input::Tick),
                        Err(RecvTimeoutError::Disconnected) => Err(Over),
                    }
                }
            };
            if turned.is_err() {
                return;
            }
        }
    }

    fn idle(&self) -> Duration {
        let now = self.clock.now().mono;
        self.kiosk.next_deadline().map_or(ASLEEP, |at| (at - now).clamp(Duration::from_millis(5), ASLEEP))
    }

    /// One fresh frame, where there is one soon.
    fn look(&mut self, stay: &StayId, watching: &mut Watched) -> Result<(), Over> {
        let now = self.clock.now().mono;
        self.slot.watch_until(now + NO_PICTURE);
        let spaced = Mono((watching.last + SPACING).0.saturating_sub(1)).max(watching.since);
        let Some(frame) = self.slot.newer_than(spaced, GLANCE) else {
            let is_gone = now - watching.last > NO_PICTURE;
            return self.tell(if is_gone { Input::NoPicture } else { Input::Tick });
        };
        watching.last = frame.taken.mono;
        let gallery = self.known.borrow().gallery.clone();
        match self.near.look(&mut self.eyes, &frame, &gallery, stay, self.differs_below) {
            Ok(seen) => self.tell(Input::Seen(seen)),
            Err(error) => {
                warn!(%error, "A frame at the kiosk could not be looked at.");
                self.tell(Input::Tick)
            }
        }
    }

    fn take(&mut self, letter: Letter) -> Result<(), Over> {
        let is_late = letter.screen.is_some_and(|number| number != self.screen().number);
        // A touch on a screen that is gone means nothing; the answer shows the one that is there.
        if let Some(input) = (!is_late).then(|| self.understand(letter.touch)).flatten() {
            self.tell(input)?;
        }
        // Whoever touched may be gone.
        let _ = letter.answer.send(self.screen());
        Ok(())
    }

    fn understand(&self, touch: Touch) -> Option<Input> {
        Some(match touch {
            Touch::Begin(purpose) => {
                let mut seed = [0; 32];
                if let Err(error) = getrandom::fill(&mut seed) {
                    warn!(%error, "No random numbers: no challenge can be drawn.");
                    return None;
                }
                Input::Begin { purpose, seed }
            }
            Touch::Read { agrees } => Input::Read { agrees },
            Touch::Claim(number) => Input::Claim(self.find(&number)),
            Touch::Comes(None) => Input::Comes(None),
            Touch::Comes(Some(typed)) => Input::Comes(Some(Proxy {
                subject: self.privacy.proxy(typed.number.reveal()),
                masked_name: mask_name(typed.name.reveal()),
                relation: typed.relation,
                resembles: None,
            })),
            Touch::Buys(purchase) => Input::Buys(purchase),
            Touch::Retry => Input::Retry,
            Touch::OtherWay => Input::OtherWay,
            Touch::Attested { staff, document } => Input::Attested { staff, document },
            Touch::Cancel => Input::Cancel,
        })
    }

    /// By the number of the stay or of the person; capital letters are as small ones.
    fn find(&self, number: &Private<String>) -> Option<Claimed> {
        let wanted = number.reveal().trim();
        let is_meant = |text: &str| !text.is_empty() && text.eq_ignore_ascii_case(wanted);
        let known = self.known.borrow();
        let mut found =
            known.roster.stays().filter(|stay| is_meant(stay.id.as_str()) || is_meant(stay.psn_no.reveal()));
        let stay = found.next()?;
        Some(Claimed {
            stay: stay.id.clone(),
            masked_name: stay.masked_name(),
            templates: known.gallery.templates_of(&stay.id),
        })
    }

    /// Feeds the kiosk, waits until its results are durable, and only then shows what comes next.
    fn tell(&mut self, input: Input) -> Result<(), Over> {
        let now = self.clock.now();
        self.kiosk.handle(now, input);
        while let Some(verification) = self.kiosk.poll_report() {
            let (outcome, purpose) = (verification.outcome.name(), verification.purpose.name());
            info!(outcome, purpose, seen_ms = verification.seen_ms, "A verification ended.");
            let (done, is_durable) = oneshot::channel();
            self.told.blocking_send((now, Box::new(verification), done)).map_err(|_| Over)?;
            is_durable.blocking_recv().map_err(|_| Over)?;
        }
        self.shown.send_replace(self.screen());
        Ok(())
    }

    fn screen(&self) -> Screen {
        self.kiosk.screen(self.clock.now().mono)
    }
}

/// Since when a face is looked for, and when the last frame was taken.
struct Watched {
    since: Mono,
    last: Mono,
}
