//! `[keys]`: where the keys are that seal faces and names.

use std::path::Path;

use crate::agent::config::check::Complaints;
use crate::agent::config::keys::{Key, Need, key};
use crate::agent::config::kinds::Kind;
use crate::agent::config::walk::Fields;
use crate::store::keys::{KeyStore, Token};

pub const KEYS: &[Key] = &[
    key(
        "store",
        Kind::Word(&[
            ("credential", "systemd 凭据，见 bedcheck.service", "systemd credentials, see bedcheck.service"),
            ("pkcs11", "PKCS#11 令牌或密码机", "a PKCS#11 token or security module"),
            (
                "file",
                "状态文件夹内的文件（弱）",
                "files in the state folder: weak against whoever copies the disk",
            ),
        ]),
        Need::Required("credential"),
        "密封密钥存放处",
        "where the sealing keys are",
    ),
    key(
        "module",
        Kind::File,
        Need::Optional("/usr/lib/softhsm/libsofthsm2.so"),
        "PKCS#11 厂商库文件",
        "pkcs11: the vendor's library",
    ),
    key("token", Kind::Text, Need::Optional("bedcheck"), "PKCS#11 令牌标签", "pkcs11: the token's label"),
    key(
        "pin_file",
        Kind::File,
        Need::Optional("pin"),
        "PIN 文件，仅属主可读；不写则取 systemd 凭据 pkcs11.pin",
        "pkcs11: owner-only file with the PIN; without it the systemd credential pkcs11.pin",
    ),
];

pub fn read(fields: Option<&Fields>, base: &Path, found: &mut Complaints) -> KeyStore {
    let Some(fields) = fields else { return KeyStore::Usual };
    match fields.text("store") {
        Some("file") => KeyStore::File,
        Some("credential") => KeyStore::Credential,
        Some("pkcs11") => {
            let (module, label) = (fields.path("module", base), fields.text("token"));
            let Some((module, label)) = module.zip(label) else {
                found.add(
                    fields.place("store"),
                    "store = \"pkcs11\" 还需写 module 和 token",
                    "store = \"pkcs11\" needs module and token, too",
                );
                return KeyStore::Usual;
            };
            if !module.exists() {
                let path = module.display();
                found.add(
                    fields.place("module"),
                    format!("module: {path} 不存在，请安装厂商库或改正路径"),
                    format!(
                        "module: {path} does not exist; install the vendor's library or correct the path"
                    ),
                );
            }
            KeyStore::Token(Token {
                module,
                label: label.to_owned(),
                pin_file: fields.path("pin_file", base),
            })
        }
        // Anything else was complained of.
        Some(_) | None => KeyStore::Usual,
    }
}
