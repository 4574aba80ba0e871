//! `[match]`

use crate::agent::config::keys::{Key, Need, key};
use crate::agent::config::kinds::Kind;

pub const KEYS: &[Key] = &[key(
    "fmr",
    Kind::Rate,
    Need::Default("1e-3"),
    "一次比对的误识率",
    "false match rate of one comparison; the pack says which it was measured at",
)];
