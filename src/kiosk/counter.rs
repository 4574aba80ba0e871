//! What the kiosk's pages need from the agent: the screen that is shown, what a touch does to it, and the camera's picture.

use std::time::Duration;

use tokio::sync::watch;

use crate::base::clock::Mono;
use crate::base::frame::Frame;
use crate::base::redact::Private;
use crate::domain::kiosk::screen::Screen;
use crate::domain::kiosk::verification::{Document, Purchase, Purpose, Relation};

/// What was typed of a proxy.
pub struct TypedProxy {
    pub number: Private<String>,
    pub name: Private<String>,
    pub relation: Relation,
}

/// What somebody did on the screen.
pub enum Touch {
    Begin(Purpose),
    Read { agrees: bool },
    Claim(Private<String>),
    Comes(Option<TypedProxy>),
    Buys(Option<Purchase>),
    Retry,
    OtherWay,
    Attested { staff: String, document: Document },
    Cancel,
}

/// What came of a name and a PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    Welcome,
    /// Wrong name or PIN; which of them is not said.
    Wrong,
    /// Too many wrong ones: locked for a quarter of an hour.
    Locked,
}

/// The agent's part. Everything but [`Counter::screens`] may block.
pub trait Counter: Send + Sync + 'static {
    /// The screen now and whenever it changes.
    fn screens(&self) -> watch::Receiver<Screen>;

    /// Touches the screen of that number, any where there is none; what is shown then. `None` while the agent ends.
    fn touch(&self, screen: Option<u64>, touch: Touch) -> Option<Screen>;

    /// Whether a member of staff is who they say.
    fn enter(&self, name: &str, pin: &Private<String>) -> Signed;

    /// A picture of the kiosk's camera taken after that time; none while nobody shall be looked at.
    fn picture(&self, after: Mono, patience: Duration) -> Option<Frame>;
}
