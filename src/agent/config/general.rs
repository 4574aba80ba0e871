//! The keys at the top of the file.

use crate::agent::config::keys::{Key, Need, key};
use crate::agent::config::kinds::Kind;

pub const MODE: Key = key(
    "mode",
    Kind::Word(&[
        ("pilot", "试用，一切结果都标明试用", "on trial: everything is marked as such"),
        (
            "production",
            "正式，拒绝试用级人脸模型",
            "findings may accuse: pilot face packs and foreign runtimes are refused",
        ),
        ("demo", "演示", "a demonstration"),
    ]),
    Need::Required("pilot"),
    "运行方式",
    "how seriously results are meant",
);

pub const STATE: Key = key(
    "state",
    Kind::File,
    Need::Required("/var/lib/bedcheck"),
    "密钥、日志、加密的人脸模板所在文件夹，仅属主可读",
    "keys, journal and sealed templates; owner-only",
);

pub const MODELS: Key = key(
    "models",
    Kind::File,
    Need::Optional("/usr/share/bedcheck/models"),
    "人脸模型文件夹；不写则用随程序附带的",
    "folder of a face pack; the one that came with the program where this is absent",
);

pub const OUTBOX_MB: Key = key(
    "outbox_mb",
    Kind::Whole { least: 64, most: 65_536 },
    Need::Default("256"),
    "本机记录最多占用的磁盘（MiB）；满时先舍弃截图，再舍弃例行记录的正文",
    "share of the disk (MiB) for what was said and waits: when it is used up pictures go first, then bodies of routine reports",
);

pub const EVIDENCE: Key = key(
    "evidence",
    Kind::Word(&[
        ("none", "图像不离开本机", "no picture leaves the device"),
        (
            "exception",
            "异常时附床位截图，加密给平台",
            "a crop of the bed, sealed to the platform, goes with an exception",
        ),
        (
            "on_request",
            "仅当平台抽查要求图像时附床位截图，加密给平台",
            "a crop of the bed, sealed to the platform, goes with what a spot check of the platform wants pictures of",
        ),
    ]),
    Need::Default("none"),
    "是否上传证据图像",
    "whether pictures may leave the device",
);
