//! TLS 1.3 at both ends, and HTTP with limits: every body, wait and number of connections has a bound.

pub mod cert;
pub mod client;
pub mod fetch;
pub mod pin;
pub mod post;
pub mod server;
pub mod tls;
