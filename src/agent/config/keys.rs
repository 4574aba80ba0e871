//! The one table of keys. What `config explain` says, the JSON Schema, the file that `config init` writes, the shipped
//! example, the variables of the environment and the check itself all come from here.
//!
//! A new key: one line in its section's `KEYS`, one line where the section is read. `tests/config.rs` then says what else
//! to refresh.

use crate::agent::config::kinds::Kind;
use crate::agent::config::{
    bed, camera, general, legal, liveness, local, matching, patrol, ports, sealing, update, ward,
};

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    pub need: Need,
    pub chinese: &'static str,
    pub english: &'static str,
}

/// What happens without the key. Values are bare text; [`Kind::value_of`] reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing works without; the text is what the example says.
    Required(&'static str),
    /// This is meant.
    Default(&'static str),
    /// Nothing is meant; the text is an example.
    Optional(&'static str),
    /// The same, and most have it: the example stands in the file, and who is asked takes it with Enter.
    Usual(&'static str),
    /// Exactly one of a section's keys of this sort must be there; the text is an example, the first one's in the file.
    Either(&'static str),
}

impl Need {
    /// The example, or the default.
    pub fn text(self) -> &'static str {
        let (Need::Required(text)
        | Need::Default(text)
        | Need::Optional(text)
        | Need::Usual(text)
        | Need::Either(text)) = self;
        text
    }
}

/// Shortens the tables.
pub const fn key(
    name: &'static str,
    kind: Kind,
    need: Need,
    chinese: &'static str,
    english: &'static str,
) -> Key {
    Key { name, kind, need, chinese, english }
}

use Need::{Default, Optional, Required};

/// Everything that may stand in a configuration, in the order in which it is written.
pub const ROOT: &[Key] = &[
    general::MODE,
    general::STATE,
    general::MODELS,
    general::EVIDENCE,
    general::OUTBOX_MB,
    key("ward", Kind::Table(ward::KEYS), Required(""), "病区与名册", "the ward and its roster"),
    key(
        "hl7",
        Kind::Table(ports::HL7),
        Optional(""),
        "HL7 v2 ADT（MLLP）：医院系统能发送时使用；没有此表时只读名册文件",
        "HL7 v2 ADT over MLLP, where the hospital's system can send it; without this table only the file is read",
    ),
    key(
        "http",
        Kind::Table(ports::HTTP),
        Optional(""),
        "国家医保接口 JSON（2401、2402、2403、2404、5303 的副本）",
        "JSON of the national interface: copies of 2401, 2402, 2403, 2404 and 5303",
    ),
    key(
        "fhir",
        Kind::Table(ports::FHIR),
        Optional(""),
        "轮询 FHIR R4/R5 服务器",
        "a FHIR R4 or R5 server that is polled",
    ),
    key(
        "legal",
        Kind::Table(legal::KEYS),
        Required(""),
        "法律依据：写明后才能启动",
        "the legal basis: nothing starts before it is written down",
    ),
    key(
        "keys",
        Kind::Table(sealing::KEYS),
        Optional(""),
        "密封人脸和姓名的密钥；不写则有系统凭据用凭据，否则用文件",
        "keys that seal faces and names; without this table the systemd credential where there is one, else files",
    ),
    key("match", Kind::Table(matching::KEYS), Default(""), "人脸比对", "comparing faces"),
    key("patrol", Kind::Table(patrol::KEYS), Default(""), "智慧巡查", "rounds"),
    key("liveness", Kind::Table(liveness::KEYS), Default(""), "活体判断", "signs of life"),
    key(
        "health",
        Kind::Table(local::HEALTH),
        Optional(""),
        "本机指标与健康状态，供监控系统抓取",
        "metrics and health on this machine, for a monitoring system",
    ),
    key("page", Kind::Table(local::PAGE), Optional(""), "本机页面", "the page on this machine"),
    key(
        "kiosk",
        Kind::Table(local::KIOSK),
        Optional(""),
        "核查窗口（入院、结算、购药取药）",
        "the kiosk at admission, settlement or pharmacy",
    ),
    key("update", Kind::Table(update::KEYS), Default(""), "签名更新", "signed updates"),
    key(
        "camera",
        Kind::Tables { keys: camera::KEYS, most: 64 },
        Required(""),
        "摄像头，每个一段",
        "cameras, one table each",
    ),
    key(
        "bed",
        Kind::Tables { keys: bed::KEYS, most: 512 },
        Default(""),
        "床位，每张床一段",
        "beds, one table each",
    ),
];

/// Every key with its dotted path, tables before what is in them.
pub fn all() -> Vec<(String, &'static Key)> {
    fn below(prefix: &str, keys: &'static [Key], found: &mut Vec<(String, &'static Key)>) {
        for key in keys {
            let path = if prefix.is_empty() { key.name.to_owned() } else { format!("{prefix}.{}", key.name) };
            found.push((path.clone(), key));
            if let Kind::Table(keys) | Kind::Tables { keys, .. } = key.kind {
                below(&path, keys, found);
            }
        }
    }
    let mut found = Vec::new();
    below("", ROOT, &mut found);
    found
}

/// Whether a key can be set by one variable or flag: it is a single value and not one camera's or bed's.
pub fn is_settable(path: &str, key: &Key) -> bool {
    let first = path.split('.').next();
    let is_one_of_many =
        ROOT.iter().any(|root| Some(root.name) == first && matches!(root.kind, Kind::Tables { .. }));
    key.kind.is_scalar() && !is_one_of_many
}

/// The variable that sets a key: `patrol.every` is `BEDCHECK_PATROL_EVERY`.
pub fn variable(path: &str) -> String {
    format!("BEDCHECK_{}", path.replace('.', "_").to_uppercase())
}
