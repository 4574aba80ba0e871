//! The configuration as a file with comments: the shipped example and what `config init` writes.

use std::fmt::Write;

use crate::agent::config::keys::{Key, Need, ROOT};
use crate::agent::config::kinds::Kind;
use crate::agent::config::source::Place;
use crate::agent::config::tree::{Entry, Node, Table, Value};

/// What is done with a key nobody gave a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsaid {
    /// Written with the value it has anyway, required keys with their example: a file to learn from.
    Written,
    /// Written behind `#`: a later version's better default counts.
    Commented,
}

const HEAD: &str = "\
#:schema ./config.schema.json
# 住院在床核查终端配置 · configuration of one ward terminal
# 检查 check: bedcheck config check      解释 explain: bedcheck config explain patrol.every
# 路径相对于本文件所在文件夹；密码和密钥不写在这里 · paths are relative to this file; secrets never stand here
";

/// The whole file with what `said` says.
pub fn commented(said: &Table, unsaid: Unsaid) -> String {
    let mut text = HEAD.to_owned();
    for key in ROOT {
        if let Kind::Table(keys) = key.kind {
            section(&mut text, key, keys, said, unsaid);
        } else if let Kind::Tables { keys, .. } = key.kind {
            sections(&mut text, key, keys, said, unsaid);
        } else {
            text.push('\n');
            explained(&mut text, key);
            line(&mut text, key, said.value(key.name), unsaid, false);
        }
    }
    text
}

/// `[name]` and its keys; behind `#` when it is optional and nothing is said.
fn section(text: &mut String, key: &Key, keys: &[Key], said: &Table, unsaid: Unsaid) {
    let table = said.value(key.name).and_then(Value::table);
    let is_off = table.is_none() && matches!(key.need, Need::Optional(_));
    text.push('\n');
    explained(text, key);
    let _ = writeln!(text, "{}[{}]", if is_off { "#" } else { "" }, key.name);
    for key in keys {
        explained(text, key);
        line(text, key, table.and_then(|table| table.value(key.name)), unsaid, is_off);
    }
}

/// `[[name]]` for each; the comments stand in the first one only.
fn sections(text: &mut String, key: &Key, keys: &[Key], said: &Table, unsaid: Unsaid) {
    text.push('\n');
    explained(text, key);
    let items = said.value(key.name).map_or(&[][..], Value::items);
    let tables: Vec<&Table> = items.iter().filter_map(|item| item.value.table()).collect();
    // Nothing said: one as an example, behind # where the file is meant to be used.
    let is_off = tables.is_empty() && unsaid == Unsaid::Commented;
    let empty = Table::new(Place::head(0));
    let shown = if tables.is_empty() { vec![&empty] } else { tables };
    for (number, table) in shown.into_iter().enumerate() {
        if number > 0 {
            text.push('\n');
        }
        let _ = writeln!(text, "{}[[{}]]", if is_off { "#" } else { "" }, key.name);
        for key in keys {
            let value = table.value(key.name);
            if number == 0 {
                explained(text, key);
            } else if value.is_none() {
                continue;
            }
            // What was chosen stands there already; the other ways are shown behind #.
            let first = keys.iter().find(|key| matches!(key.need, Need::Either(_)));
            let is_chosen = table.entries.is_empty() && first.is_some_and(|first| first.name == key.name);
            let is_other = matches!(key.need, Need::Either(_)) && !is_chosen;
            line(text, key, value, unsaid, is_off || (is_other && value.is_none()));
        }
    }
}

/// What the key is, as comment lines above it.
fn explained(text: &mut String, key: &Key) {
    let _ = writeln!(text, "# {} · {}", key.chinese, key.english);
    if let Kind::Word(words) = key.kind {
        for (word, chinese, english) in words {
            let _ = writeln!(text, "#   {word:?} {chinese} · {english}");
        }
    }
}

fn line(text: &mut String, key: &Key, value: Option<&Value>, unsaid: Unsaid, is_off: bool) {
    let (value, is_off) = match (value, key.need) {
        (Some(value), _) => (written(value), is_off),
        (None, Need::Optional(_)) => (example(key), true),
        (None, Need::Required(_) | Need::Either(_) | Need::Usual(_)) => (example(key), is_off),
        (None, Need::Default(_)) => (example(key), is_off || unsaid == Unsaid::Commented),
    };
    let _ = writeln!(text, "{}{} = {value}", if is_off { "#" } else { "" }, key.name);
}

/// The value of the table of keys, as TOML.
pub fn example(key: &Key) -> String {
    if let Kind::Table(keys) = key.kind {
        let shown = keys.iter().filter(|key| !matches!(key.need, Need::Optional(_)));
        let parts: Vec<String> = shown.map(|key| format!("{} = {}", key.name, example(key))).collect();
        return format!("{{ {} }}", parts.join(", "));
    }
    if let Kind::Tables { .. } = key.kind {
        return "[]".to_owned();
    }
    written(&key.kind.value_of(key.need.text(), &Place::head(0)))
}

/// A value as TOML on one line.
pub fn written(value: &Value) -> String {
    match value {
        Value::Text(text) => toml::Value::from(text.as_str()).to_string(),
        Value::Whole(whole) => whole.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Flag(flag) => flag.to_string(),
        Value::Moment => String::new(),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(|Node { value, .. }| written(value)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Table(table) => {
            let mut entries: Vec<(&String, &Entry)> = table.entries.iter().collect();
            entries.sort_by_key(|(_, entry)| entry.key.start);
            let parts = entries.iter().map(|(key, entry)| format!("{key} = {}", written(&entry.node.value)));
            format!("{{ {} }}", parts.collect::<Vec<_>>().join(", "))
        }
    }
}
