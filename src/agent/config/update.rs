//! `[update]`

use std::time::Duration;

use crate::agent::config::keys::{Key, Need, key};
use crate::agent::config::kinds::Kind;

pub const KEYS: &[Key] = &[key(
    "probation",
    Kind::Span { least: Duration::from_secs(1), most: Duration::from_secs(7 * 24 * 3600) },
    Need::Default("10m"),
    "更新包启用后须正常运行这么久并完成查看，否则退回上一份",
    "a new bundle must run well for so long, and look at a bed, or the agent goes back to the one before",
)];
