//! bedcheck proves that the patient on the roster is the person in the bed. This is the map; read it first.
//!
//! Three programs share this library: the edge agent `bedcheck` (feature `agent`), the reference supervision platform
//! `bedcheck-platform` (feature `platform`), and the auditor's `bedcheck-verify` (feature `verify`). Modules import only downwards; `tests/architecture.rs` enforces it.
//!
//! | layer | module | what lives there |
//! |---|---|---|
//! | 3 programs | [`agent`] | configuration, the one task that owns the domain, delivery, signed updates, subcommands |
//! | | [`platform`] | device registry and CA, ingest, ledger of due checks, cases, dashboard; screening 智慧筛查 (feature `screening`) |
//! | | [`audit`] | whether an exported case holds, found out offline |
//! | 2 edges | [`capture`] | cameras: RTSP, USB, snapshots, recordings; newest frame wins; tamper watch |
//! | | [`vision`] | nets: detect at any angle, align, quality, embed, compare; never a network |
//! | | [`store`] | journal and outbox in one synced transaction, sealed templates and their keys, ledger of grounds, facts behind the roster, bundle in use |
//! | | [`uplink`] | one batch to the platform over mutual TLS, one receipt back |
//! | | [`kiosk`] | the pages on the device: kiosk, round terminal, bed zones |
//! | | [`hospital`] | rosters, changes, HL7, national JSON and FHIR as hospitals write them |
//! | 1 meaning | [`domain`] | pure: facts, rounds drawn as committed, looks, verdicts, exceptions, contradictions |
//! | | [`wire`] | messages: event, statement, chain, signature, seal, receipt |
//! | | [`net`] | TLS both ends, bounded server and client |
//! | 0 base | [`base`] | clock, ids, private values, tasks, files, frames |
//!
//! One frame on its way to the dashboard: `capture` → newest-frame slot → `vision::worker` → `Sighting` →
//! `domain` → `Effect::Report` → `store` (journal + outbox, signed and chained) → `agent::deliver` → `uplink` →
//! `platform::ingest` → ledger and cases → dashboard.

pub mod base;
pub mod domain;
pub mod net;
pub mod wire;

pub mod capture;
pub mod hospital;
pub mod kiosk;
pub mod store;
pub mod uplink;
pub mod vision;

#[cfg(feature = "agent")]
pub mod agent;
#[cfg(feature = "verify")]
pub mod audit;
#[cfg(feature = "platform")]
pub mod platform;
