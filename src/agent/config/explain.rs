//! What a key is, for somebody who asks at the terminal.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::agent::config::keys::{self, Key, Need};
use crate::agent::config::kinds::{Kind, nearest};
use crate::agent::config::write::example;

/// More would not be read.
const MOST_SUGGESTIONS: usize = 5;

/// The key at a dotted path and everything below it, one block each; `None` when there is no such key.
pub fn explain(path: &str) -> Option<String> {
    let found = below(path);
    let blocks: Vec<String> = found.iter().map(|(path, key)| block(path, key)).collect();
    (!blocks.is_empty()).then(|| blocks.join("\n"))
}

/// The same for machines.
pub fn as_json(path: &str) -> Option<Value> {
    let found = below(path);
    (!found.is_empty()).then(|| found.iter().map(|(path, key)| object(path, key)).collect())
}

/// The known keys somebody may have meant, the same name in several tables among them.
pub fn suggestions(path: &str) -> Vec<String> {
    let all = keys::all();
    let last = path.rsplit('.').next().unwrap_or(path);
    let is_like = |known: &str| {
        let name = known.rsplit('.').next().unwrap_or(known);
        nearest(path, [known].into_iter()).is_some() || nearest(last, [name].into_iter()).is_some()
    };
    all.into_iter().map(|(known, _)| known).filter(|known| is_like(known)).take(MOST_SUGGESTIONS).collect()
}

fn below(path: &str) -> Vec<(String, &'static Key)> {
    let within = format!("{path}.");
    keys::all()
        .into_iter()
        .filter(|(known, _)| path.is_empty() || known == path || known.starts_with(&within))
        .collect()
}

fn block(path: &str, key: &Key) -> String {
    let mut text = format!("{path}\n  {}\n  {}\n", key.chinese, key.english);
    let (chinese, english) = key.kind.describe();
    let _ = writeln!(text, "  取值 value    {chinese} · {english}");
    if let Kind::Word(words) = key.kind {
        for (word, chinese, english) in words {
            let _ = writeln!(text, "    {word:12}{chinese} · {english}");
        }
    }
    match key.need {
        _ if matches!(key.kind, Kind::Table(_) | Kind::Tables { .. }) => {}
        Need::Required(_) => {
            let _ = writeln!(text, "  必填 required 例如 for instance {} = {}", key.name, example(key));
        }
        Need::Default(_) => {
            let _ = writeln!(text, "  缺省 default  {} = {}", key.name, example(key));
        }
        Need::Either(_) => {
            let _ =
                writeln!(text, "  几者选一 one of several 例如 for instance {} = {}", key.name, example(key));
        }
        Need::Optional(_) | Need::Usual(_) => {
            let _ = writeln!(text, "  可省 optional 例如 for instance {} = {}", key.name, example(key));
        }
    }
    if keys::is_settable(path, key) {
        let _ = writeln!(text, "  环境 variable {}", keys::variable(path));
    }
    text
}

fn object(path: &str, key: &Key) -> Value {
    let (chinese, english) = key.kind.describe();
    let need = match key.need {
        Need::Required(_) => "required",
        Need::Default(_) => "default",
        Need::Optional(_) | Need::Usual(_) => "optional",
        Need::Either(_) => "either",
    };
    json!({
        "key": path, "chinese": key.chinese, "english": key.english, "value": english, "value_chinese": chinese,
        "need": need, "example": example(key),
        "variable": keys::is_settable(path, key).then(|| keys::variable(path)),
    })
}
