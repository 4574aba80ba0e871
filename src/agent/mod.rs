//! The edge agent: puts cameras, vision, domain, store and uplink together.
//!
//! ```text
//!  camera threads ─► slots ─► vision thread ─► decide (owns the domain) ─► journal thread ─► deliver ─► platform
//!                                ▲                  │
//!                                └──── looks ◄──────┘
//!        files, HL7, JSON, FHIR ─► ward thread (owns the facts) ─► beliefs: roster and faces
//! ```
//!
//! `reload` starts all of it again when the configuration changes; `health` shows it to people and to systemd; `update`
//! takes signed models, policy and calibration.

pub mod board;
pub mod calibrate;
mod calibrate_desk;
pub mod cmd;
pub mod config;
mod decide;
pub mod deliver;
pub mod doctor;
pub mod enrol;
pub mod enrol_desk;
pub mod enrol_roster;
pub mod evaluate;
pub mod health;
pub mod identity;
pub mod impact;
pub mod kiosk_desk;
pub mod kiosk_thread;
pub mod lamp;
pub mod reload;
pub mod renew;
pub mod retention;
pub mod round_desk;
pub mod strain;
pub mod tasks;
pub mod update;
pub mod ward;
pub mod ward_desk;
pub mod ward_ports;
pub mod ward_thread;
pub mod zones;
