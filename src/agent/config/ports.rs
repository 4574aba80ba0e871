//! `[hl7]`, `[http]`, `[fhir]`: where hospital systems speak to us, or we to them.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::agent::config::check::Complaints;
use crate::agent::config::keys::{Key, Need, key};
use crate::agent::config::kinds::Kind;
use crate::agent::config::walk::{Fields, Meant};

const TLS: &[Key] = &[
    key("cert", Kind::File, Need::Required("tls/cert.pem"), "本机证书链", "our certificate chain"),
    key(
        "key",
        Kind::File,
        Need::Required("tls/key.pem"),
        "本机私钥，仅属主可读",
        "our private key, owner-only",
    ),
    key(
        "ca",
        Kind::File,
        Need::Required("tls/ca.pem"),
        "签发对方证书的 CA",
        "the CA of the sender's certificate",
    ),
];

const ALLOW: Key = key(
    "allow",
    Kind::List { of: &Kind::Ip, most: 64 },
    Need::Default(""),
    "除本机外允许连接的接口引擎地址",
    "addresses of the interface engine, besides this machine itself",
);

const TLS_KEY: Key = key(
    "tls",
    Kind::Table(TLS),
    Need::Optional(""),
    "双向 TLS 1.3；不写则不加密，只宜用于本机或专用网段",
    "mutual TLS 1.3; without it bind to loopback or to a network of its own",
);

pub const HL7: &[Key] = &[
    key(
        "listen",
        Kind::Socket,
        Need::Required("127.0.0.1:2575"),
        "接收 HL7 消息的地址和端口",
        "where HL7 messages are taken",
    ),
    ALLOW,
    TLS_KEY,
];

pub const HTTP: &[Key] = &[
    key(
        "listen",
        Kind::Socket,
        Need::Required("127.0.0.1:2576"),
        "接收 JSON 的地址和端口：POST /v1/national",
        "where JSON is taken: POST /v1/national",
    ),
    ALLOW,
    TLS_KEY,
];

pub const FHIR: &[Key] = &[
    key(
        "url",
        Kind::Text,
        Need::Required("https://his.example/fhir/Encounter?class=IMP&_count=200"),
        "查询本病区在院患者的地址",
        "the search for the ward's inpatients",
    ),
    key(
        "every",
        Kind::Span { least: Duration::from_secs(5), most: Duration::from_secs(24 * 3600) },
        Need::Default("60s"),
        "查询间隔",
        "how often it is asked",
    ),
    key(
        "ca",
        Kind::File,
        Need::Optional("tls/ca.pem"),
        "签发服务器证书的 CA（https 必填）",
        "the CA of the server's certificate; needed for https",
    ),
    key(
        "token_file",
        Kind::File,
        Need::Optional("/run/credentials/bedcheck/fhir"),
        "访问令牌所在文件",
        "a file with the bearer token",
    ),
];

/// Certificates of one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
    pub ca: PathBuf,
}

/// A port for hospital systems, and who may use it besides this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// `127.0.0.1:2575`, or the address of the hospital's network.
    pub listen: String,
    pub allow: Vec<IpAddr>,
    pub tls: Option<TlsFiles>,
}

/// A FHIR server that is polled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FhirSettings {
    pub url: reqwest::Url,
    pub every: Duration,
    pub ca: Option<PathBuf>,
    pub token_file: Option<PathBuf>,
}

pub fn port(fields: &Fields, base: &Path, found: &mut Complaints) -> Option<Port> {
    let allow = fields
        .list("allow")
        .filter_map(|meant| if let Meant::Text(text) = meant { text.parse().ok() } else { None });
    let tls = fields.table("tls").and_then(|tls| {
        let mut file = |key| existing(tls, key, base, found);
        Some(TlsFiles { cert: file("cert")?, key: file("key")?, ca: file("ca")? })
    });
    Some(Port { listen: fields.text("listen")?.to_owned(), allow: allow.collect(), tls })
}

pub fn fhir(fields: &Fields, base: &Path, found: &mut Complaints) -> Option<FhirSettings> {
    let text = fields.text("url")?;
    let url = reqwest::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(url) = url else {
        found.add(
            fields.place("url"),
            format!("{text:?} 不是 http(s) 地址"),
            format!("{text:?} is no http(s) address"),
        );
        return None;
    };
    if url.scheme() == "https" && fields.text("ca").is_none() {
        found.add(fields.place("url"), "https 需要写明 ca", "https needs ca: who vouches for that server");
    }
    let ca = fields.text("ca").and_then(|_| existing(fields, "ca", base, found));
    let token_file = fields.text("token_file").and_then(|_| existing(fields, "token_file", base, found));
    Some(FhirSettings { url, every: fields.span("every")?, ca, token_file })
}

/// A file that must be there.
fn existing(fields: &Fields, key: &str, base: &Path, found: &mut Complaints) -> Option<PathBuf> {
    let path = fields.path(key, base)?;
    if !path.is_file() {
        let shown = path.display();
        found.add(
            fields.place(key),
            format!("{key}: {shown} 不存在，请检查路径"),
            format!("{key}: {shown} does not exist"),
        );
    }
    Some(path)
}
