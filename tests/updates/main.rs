//! Signed updates: real keys, real signatures, real files. What is refused, what a power cut leaves, what probation does,
//! and that local configuration cannot be looser than the signed policy. `ward.rs` needs `models/fetch-runtime`.

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the helpers of a test fail by panicking, and say what they skip; test files need no sync"
)]

#[path = "../common/authority.rs"]
mod authority;
#[expect(dead_code, reason = "the nets are loaded by the programs")]
#[path = "../common/mod.rs"]
mod common;
mod cuts;
mod floor;
mod killed;
mod network;
mod refused;
#[expect(dead_code, reason = "nothing is asked over HTTP here")]
#[path = "../common/terminal.rs"]
mod terminal;
mod ward;
mod world;
