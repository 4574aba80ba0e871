//! The tree against the table of keys: unknown, missing and wrong values become complaints, the rest becomes [`Fields`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::IntoDeserializer;
use serde::de::value::Error;

use crate::agent::config::check::Complaints;
use crate::agent::config::keys::{self, Key, Need};
use crate::agent::config::kinds::{Kind, nearest};
use crate::agent::config::source::Place;
use crate::agent::config::tree::{Node, Table, Value};

/// Names under which people write secrets, and what they are told.
const SECRETS: [&str; 7] = ["password", "passwd", "pwd", "secret", "token", "密码", "口令"];
const NO_SECRETS: (&str, &str) = (
    "密码不写在配置里：请放进仅属主可读的文件，用 …_file 指出",
    "secrets never stand here: put it into an owner-only file and name that with a …_file key",
);

/// A value as meant.
#[derive(Clone, Debug)]
pub enum Meant {
    Text(String),
    Span(Duration),
    Whole(i64),
    Number(f64),
    Flag(bool),
    Table(Fields),
    List(Vec<(Place, Meant)>),
}

/// A table whose values are right, defaults included. A key that was complained of is absent.
#[derive(Clone, Debug)]
pub struct Fields {
    /// The table's header.
    pub place: Place,
    values: BTreeMap<&'static str, (Place, Meant)>,
}

/// Goes through the tree.
pub struct Walk<'complaints> {
    pub complaints: &'complaints mut Complaints,
    /// The text could not be read whole: what is missing may stand in the part that was not understood.
    pub is_partial: bool,
}

impl Walk<'_> {
    /// Checks `table` against `keys`; `path` is its name with a dot, empty at the top.
    pub fn table(&mut self, table: &Table, keys: &'static [Key], path: &str) -> Fields {
        for (name, entry) in &table.entries {
            if !self.complaints.is_full() && !keys.iter().any(|key| key.name == name) {
                self.unknown(name, &entry.key, keys, path);
            }
        }
        let mut fields = Fields { place: table.place.clone(), values: BTreeMap::new() };
        for key in keys {
            let meant = match table.entries.get(key.name) {
                Some(entry) => {
                    let place = entry.node.place.clone();
                    self.value(&entry.node, key.kind, &format!("{path}{}", key.name))
                        .map(|meant| (place, meant))
                }
                None => self.absent(key, &table.place, path).map(|meant| (table.place.clone(), meant)),
            };
            if let Some(meant) = meant {
                fields.values.insert(key.name, meant);
            }
        }
        self.one_of_several(table, keys);
        fields
    }

    /// Counts what is written, right or wrong: a wrong value was complained of already.
    fn one_of_several(&mut self, table: &Table, keys: &[Key]) {
        let either = || keys.iter().filter(|key| matches!(key.need, Need::Either(_))).map(|key| key.name);
        let mut written = either().filter_map(|name| Some((name, table.entries.get(name)?)));
        let names: Vec<&str> = either().collect();
        let (place, first) = match (written.next(), written.next()) {
            (None, _) if !names.is_empty() && !self.is_partial => (table.place.clone(), None),
            (Some((first, _)), Some((_, second))) => (second.key.clone(), Some(first)),
            _ => return,
        };
        let (chinese, english) = (names.join("、"), names.join(", "));
        let (also_chinese, also_english) = match first {
            Some(first) => (format!("前面已写 {first}"), format!("{first} stands above")),
            None => ("一个也没有".to_owned(), "there is none".to_owned()),
        };
        self.complaints.add(
            place,
            format!("{chinese} 必须且只能写一个；{also_chinese}"),
            format!("exactly one of {english} must be there; {also_english}"),
        );
    }

    fn value(&mut self, node: &Node, kind: Kind, path: &str) -> Option<Meant> {
        match (kind, &node.value) {
            (Kind::Table(keys), Value::Table(table)) => {
                Some(Meant::Table(self.table(table, keys, &format!("{path}."))))
            }
            (Kind::Tables { most, .. }, Value::List(items)) if items.len() <= most => {
                let Kind::Tables { keys, .. } = kind else { return None };
                Some(Meant::List(self.items(items, Kind::Table(keys), path)))
            }
            (Kind::List { of, most }, Value::List(items)) if items.len() <= most => {
                Some(Meant::List(self.items(items, *of, path)))
            }
            (Kind::Tables { .. }, Value::Table(_)) => {
                self.complain(
                    node.place.clone(),
                    format!("应写成双方括号 [[{path}]]，每个一段"),
                    format!("write [[{path}]] with two brackets, once for each"),
                );
                None
            }
            (Kind::Table(_), Value::List(_)) => {
                self.complain(
                    node.place.clone(),
                    format!("{path} 只能有一个，应写成单方括号 [{path}]"),
                    format!("there is only one {path}: write [{path}] with one bracket"),
                );
                None
            }
            _ => match kind.meaning(node) {
                Ok(meant) => Some(meant),
                Err((chinese, english)) => {
                    self.complain(
                        node.place.clone(),
                        format!("{path}: {chinese}"),
                        format!("{path}: {english}"),
                    );
                    None
                }
            },
        }
    }

    /// Where the parser gave up, what it made of the rest of the line is no mistake of its own.
    fn complain(&mut self, place: Place, chinese: String, english: String) {
        if !(self.is_partial && self.complaints.has_on_line(&place)) {
            self.complaints.add(place, chinese, english);
        }
    }

    fn items(&mut self, items: &[Node], kind: Kind, path: &str) -> Vec<(Place, Meant)> {
        let read = items.iter().map(|item| Some((item.place.clone(), self.value(item, kind, path)?)));
        read.collect::<Vec<_>>().into_iter().flatten().collect()
    }

    fn absent(&mut self, key: &Key, table: &Place, path: &str) -> Option<Meant> {
        let empty = Table::new(table.clone());
        match (key.need, key.kind) {
            (Need::Optional(_) | Need::Usual(_) | Need::Either(_), _) => None,
            (Need::Default(_), Kind::Table(keys)) => {
                Some(Meant::Table(self.table(&empty, keys, &format!("{path}{}.", key.name))))
            }
            (Need::Default(_), Kind::Tables { .. }) => Some(Meant::List(Vec::new())),
            (Need::Default(text), kind) => {
                let node = Node { place: table.clone(), value: kind.value_of(text, table) };
                self.value(&node, kind, &format!("{path}{}", key.name))
            }
            (Need::Required(example), kind) => {
                if !self.is_partial {
                    let (chinese, english) = missing(key, kind, path, example);
                    self.complaints.add(table.clone(), chinese, english);
                }
                None
            }
        }
    }

    fn unknown(&mut self, name: &str, place: &Place, keys: &[Key], path: &str) {
        let elsewhere: Vec<String> = keys::all()
            .into_iter()
            .map(|(path, _)| path)
            .filter(|full| full.rsplit('.').next() == Some(name))
            .collect();
        let lower = name.to_lowercase();
        let (chinese, english) = if SECRETS.iter().any(|word| lower.contains(word)) {
            let (chinese, english) = NO_SECRETS;
            (chinese.to_owned(), english.to_owned())
        } else if let Some(meant) = nearest(name, keys.iter().map(|key| key.name)) {
            (format!("是否想写 {meant}？"), format!("did you mean {meant}?"))
        } else if !elsewhere.is_empty() {
            let table = |full: &String| match full.rsplit_once('.') {
                Some((table, _)) => format!("[{table}]"),
                None => "文件开头 the top".to_owned(),
            };
            let at: Vec<String> = elsewhere.iter().map(table).collect();
            (format!("它应写在 {} 中", at.join("、")), format!("it belongs to {}", at.join(" or ")))
        } else {
            let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
            (format!("这里可用的有 {}", names.join("、")), format!("known here are {}", names.join(", ")))
        };
        self.complain(
            place.clone(),
            format!("不认识 {path}{name}；{chinese}"),
            format!("{path}{name} is unknown; {english}"),
        );
    }
}

fn missing(key: &Key, kind: Kind, path: &str, example: &str) -> (String, String) {
    let name = key.name;
    let written = if let Kind::Table(_) = kind {
        format!("[{name}]")
    } else if let Kind::Tables { .. } = kind {
        format!("[[{name}]]")
    } else if kind.takes_text() {
        format!("{name} = {example:?}")
    } else {
        format!("{name} = {example}")
    };
    (
        format!("缺少 {path}{name}（{}），例如 {written}", key.chinese),
        format!("{path}{name} is missing ({}); write for instance {written}", key.english),
    )
}

impl Fields {
    fn get(&self, key: &str) -> Option<&Meant> {
        debug_assert!(
            keys::all().iter().any(|(path, _)| path.rsplit('.').next() == Some(key)),
            "{key} is not in the table of keys"
        );
        self.values.get(key).map(|(_, meant)| meant)
    }

    /// Where the value stands; the table's header when it is not written.
    pub fn place(&self, key: &str) -> Place {
        self.values.get(key).map_or_else(|| self.place.clone(), |(place, _)| place.clone())
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        if let Some(Meant::Text(text)) = self.get(key) { Some(text) } else { None }
    }

    /// A text that is an id or one of several words.
    pub fn read<T: serde::de::DeserializeOwned>(&self, key: &str) -> Option<T> {
        let text: serde::de::value::StrDeserializer<'_, Error> = self.text(key)?.into_deserializer();
        T::deserialize(text).ok()
    }

    /// A path, from `base`.
    pub fn path(&self, key: &str, base: &Path) -> Option<PathBuf> {
        self.text(key).map(|text| base.join(text))
    }

    pub fn span(&self, key: &str) -> Option<Duration> {
        if let Some(Meant::Span(time)) = self.get(key) { Some(*time) } else { None }
    }

    /// A whole number; its range in the table of keys must fit `T`.
    pub fn whole<T: TryFrom<i64>>(&self, key: &str) -> Option<T> {
        if let Some(Meant::Whole(whole)) = self.get(key) { T::try_from(*whole).ok() } else { None }
    }

    pub fn number(&self, key: &str) -> Option<f32> {
        if let Some(Meant::Number(number)) = self.get(key) { Some(*number as f32) } else { None }
    }

    pub fn flag(&self, key: &str) -> Option<bool> {
        if let Some(Meant::Flag(flag)) = self.get(key) { Some(*flag) } else { None }
    }

    pub fn table(&self, key: &str) -> Option<&Fields> {
        if let Some(Meant::Table(fields)) = self.get(key) { Some(fields) } else { None }
    }

    /// The items of a list, or nothing.
    pub fn list(&self, key: &str) -> impl Iterator<Item = &Meant> {
        let items = if let Some(Meant::List(items)) = self.get(key) { items.as_slice() } else { &[] };
        items.iter().map(|(_, meant)| meant)
    }

    /// The tables of a list of tables.
    pub fn tables(&self, key: &str) -> impl Iterator<Item = &Fields> {
        self.list(key).filter_map(|meant| if let Meant::Table(fields) = meant { Some(fields) } else { None })
    }
}
