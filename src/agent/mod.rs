//! The edge agent: puts cameras, vision, domain, store and uplink together.
//!
//! ```text
//!  camera threads ─► slots ─► vision thread ─► decide (owns the domain) ─► journal thread ─► deliver ─► platform
//!                                ▲                  │
//!                                └──── looks ◄──────┘
//!                       roster file, HL7 ─► ward thread (owns the facts) ─► rosters
//! ```

pub mod calibrate;
pub mod cmd;
pub mod config;
mod decide;
pub mod deliver;
pub mod enrol;
pub mod enrol_roster;
pub mod evaluate;
pub mod identity;
pub mod tasks;
pub mod ward;
