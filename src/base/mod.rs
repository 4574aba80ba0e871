//! What every layer may use: time as a value, ids, private values, tasks, shutdown, files, frames.
//!
//! Nothing here knows of hospitals, beds or networks.

pub mod backoff;
pub mod clock;
pub mod confine;
pub mod environment;
pub mod exit;
pub mod files;
pub mod frame;
pub mod health;
pub mod ids;
pub mod jpeg;
pub mod logging;
pub mod login;
pub mod picture;
pub mod redact;
pub mod slot;
pub mod space;
pub mod sqlite;
pub mod supervise;
pub mod uri;
pub mod writer;
