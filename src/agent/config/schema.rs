//! The table of keys as JSON Schema (draft 7, which editors for TOML understand): completion and red underlines while the
//! file is written. `firmware-config/config.schema.json` is this; a test says when it is out of date.

use serde_json::{Map, Value, json};

use crate::agent::config::keys::{Key, Need, ROOT};
use crate::agent::config::kinds::Kind;
use crate::agent::config::source::Place;
use crate::agent::config::tree;

/// The whole schema.
pub fn schema() -> Value {
    let mut schema = table(ROOT);
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!("bedcheck: config.toml");
    // Files of conf.d hold parts; their editor should not ask for the rest.
    schema
}

fn table(keys: &[Key]) -> Value {
    let properties: Map<String, Value> = keys.iter().map(|key| (key.name.to_owned(), one(key))).collect();
    let required: Vec<&str> =
        keys.iter().filter(|key| matches!(key.need, Need::Required(_))).map(|key| key.name).collect();
    let mut schema = json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false });
    let either = keys.iter().filter(|key| matches!(key.need, Need::Either(_)));
    let either: Vec<Value> = either.map(|key| json!({ "required": [key.name] })).collect();
    if !either.is_empty() {
        schema["oneOf"] = Value::Array(either);
    }
    schema
}

fn one(key: &Key) -> Value {
    let mut schema = of(key.kind);
    schema["description"] = json!(format!("{} · {}", key.chinese, key.english));
    if let (Need::Default(text), true) = (key.need, key.kind.is_scalar()) {
        schema["default"] = plain(&key.kind.value_of(text, &Place::head(0)));
    }
    schema
}

fn of(kind: Kind) -> Value {
    match kind {
        Kind::Text => json!({ "type": "string", "minLength": 1 }),
        Kind::Id => json!({ "type": "string", "pattern": "^[^\\s/\\\\]{1,64}$" }),
        Kind::File => json!({ "type": "string", "minLength": 1, "pattern": "^[^~\\\\][^\\\\]*$" }),
        Kind::Word(words) => json!({ "enum": words.iter().map(|(word, ..)| word).collect::<Vec<_>>() }),
        Kind::Span { .. } => {
            json!({ "type": "string", "pattern": "^\\s*[0-9.]+\\s*[a-zµ]+(\\s*[0-9.]+\\s*[a-zµ]+)*\\s*$" })
        }
        Kind::Whole { least, most } => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Kind::Number { least, most } => json!({ "type": "number", "minimum": least, "maximum": most }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Socket => json!({ "type": "string", "pattern": "^.+:[0-9]{1,5}$" }),
        Kind::Window => {
            json!({ "type": "string", "pattern": "^[0-9]{1,2}:[0-9]{2} ?- ?[0-9]{1,2}:[0-9]{2}$" })
        }
        Kind::Ip => json!({ "type": "string", "pattern": "^[0-9A-Fa-f.:]+$" }),
        Kind::Rate => json!({ "type": "string", "pattern": "^[0-9.]+(e-[0-9]+)?$" }),
        Kind::List { of: item, most } => json!({ "type": "array", "items": of(*item), "maxItems": most }),
        Kind::Table(keys) => table(keys),
        Kind::Tables { keys, most } => json!({ "type": "array", "items": table(keys), "maxItems": most }),
    }
}

fn plain(value: &tree::Value) -> Value {
    match value {
        tree::Value::Text(text) => json!(text),
        tree::Value::Whole(whole) => json!(whole),
        tree::Value::Number(number) => json!(number),
        tree::Value::Flag(flag) => json!(flag),
        tree::Value::List(items) => items.iter().map(|item| plain(&item.value)).collect(),
        tree::Value::Moment | tree::Value::Table(_) => Value::Null,
    }
}
