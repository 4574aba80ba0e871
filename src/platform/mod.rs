//! The reference supervision platform: it believes no device, it compares what was due with what was proved.
//!
//! ```text
//!  device ──mTLS──► ingest ──► accept: signature, cover, chain ──► one FULL transaction ──► signed receipt
//!                                                                  │
//!                    link · roster · ledger of due checks · cases ◄┘
//!                                    ▲
//!  new device ──TLS──► enrol: token, proof ──► devices, certificates ──► bundle; the list of ended certificates
//!
//!  sweep, every second ──────────────┘ what is overdue becomes NotDone 未执行 and silence
//!
//!  browser, program ──loopback only──► who is it (sessions) ──► may they (rights) ──► dashboard; JSON under /api/v1 (api)
//!
//!  exception, step ──► outbox ──signed POST──► receivers elsewhere (webhooks)
//!
//!  settlements ──► screening (a command, feature `screening`) ──► leads ──► 统筹 · 信息 · 落实 · 反馈; association
//! ```
//! The adversary may be the hospital: an exception is raised here from expectation, and the device only supplies
//! evidence against it. Every round's draw is checked against what was committed before it (`draws`), and spot checks
//! ride with the receipts (`orders`, as people order them `spot_checks`). Every refusal of a chain (gap, fork, changed body) becomes a case. What was accepted
//! is an entry of a Merkle log (`log`), so that a case can be checked far from here (`export`, `bedcheck-verify`). What
//! devices run (models, policy) is signed here by several people (`update`), and a device that was turned back is a case
//! (`bundles`). What people make of an exception is a case with steps (`handling`), and every look at a person and
//! every step is in the audit trail (`trail`). The screening finds leads in settlements joined to presence; they and what
//! people make of them are kept here (`leads`, `association`) whether this program can screen or not.
//!
//! All of it is in one store (`db`), a SQLite file or a PostgreSQL database; the folder says which (`place`). Statements
//! are written once for both, in what `db::postgres::dialect` allows.

pub mod accept;
pub mod answer;
mod answered;
mod api;
pub mod association;
mod bundles;
pub mod cases;
pub mod certificates;
pub mod chain;
pub mod checks;
pub mod cmd;
pub mod coverage;
pub mod cursor;
pub mod dashboard;
pub mod db;
pub mod devices;
pub mod draws;
pub mod enrol;
pub mod export;
pub mod handling;
pub mod ingest;
pub mod keys;
pub mod lead_checks;
pub mod leads;
pub mod ledger;
mod listing;
pub mod log;
pub mod orders;
pub mod people;
pub mod place;
mod quarter;
pub mod queue;
pub mod renewal;
pub mod rights;
pub mod score;
#[cfg(feature = "screening")]
pub mod screening;
pub mod serve;
pub mod sessions;
pub mod spot_checks;
pub mod spot_results;
pub mod stay;
mod table;
pub mod tokens;
pub mod trail;
pub mod turns;
pub mod update;
pub mod update_keys;
pub mod upkeep;
pub mod verifications;
pub mod view;
pub mod wards;
pub mod webhooks;
