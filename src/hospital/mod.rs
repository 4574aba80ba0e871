//! What hospital systems say about who lies where, turned into what the domain believes: rosters and messages.

pub mod adt;
pub mod csv_roster;
pub mod mllp;
pub mod text;
