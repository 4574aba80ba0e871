//! `[hl7]`

use std::net::IpAddr;

use crate::agent::config::keys::{Key, Need, key};
use crate::agent::config::kinds::Kind;
use crate::agent::config::walk::{Fields, Meant};

pub const KEYS: &[Key] = &[
    key(
        "listen",
        Kind::Socket,
        Need::Required("127.0.0.1:2575"),
        "接收 HL7 消息的地址和端口",
        "where HL7 messages are taken",
    ),
    key(
        "allow",
        Kind::List { of: &Kind::Ip, most: 64 },
        Need::Default(""),
        "除本机外允许连接的接口引擎地址",
        "addresses of the interface engine, besides this machine itself",
    ),
];

/// Where HL7 v2 messages are taken, and from whom besides this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hl7Settings {
    /// `127.0.0.1:2575`, or the address of the hospital's network.
    pub listen: String,
    pub allow: Vec<IpAddr>,
}

pub fn read(fields: &Fields) -> Option<Hl7Settings> {
    let allow = fields
        .list("allow")
        .filter_map(|meant| if let Meant::Text(text) = meant { text.parse().ok() } else { None });
    Some(Hl7Settings { listen: fields.text("listen")?.to_owned(), allow: allow.collect() })
}
