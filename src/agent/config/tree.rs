//! A configuration as written, every value with its place; several layers become one tree.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::agent::config::source::Place;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    pub place: Place,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub enum Value {
    Text(String),
    Whole(i64),
    Number(f64),
    Flag(bool),
    /// A date or time; no key takes one bare.
    Moment,
    List(Vec<Node>),
    Table(Table),
}

/// Keys with their values. `place` is the header or the opening brace.
#[derive(Clone, Debug)]
pub struct Table {
    pub place: Place,
    pub entries: BTreeMap<String, Entry>,
}

/// A key's own place, and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: Place,
    pub node: Node,
}

impl Table {
    pub fn new(place: Place) -> Table {
        Table { place, entries: BTreeMap::new() }
    }

    pub fn value(&self, key: &str) -> Option<&Value> {
        self.entries.get(key).map(|entry| &entry.node.value)
    }

    /// What the parser read from one source.
    pub fn read(source: usize, parsed: &Spanned<DeTable<'_>>) -> Table {
        table(source, Place::new(source, parsed.span()), parsed.get_ref())
    }

    /// Lays `over` on top: single values replace, tables join key by key, lists of tables (cameras, beds) get longer.
    pub fn overlay(&mut self, over: Table) {
        for (key, entry) in over.entries {
            let Some(below) = self.entries.get_mut(&key) else {
                self.entries.insert(key, entry);
                continue;
            };
            match (&mut below.node.value, entry.node.value) {
                (Value::Table(below), Value::Table(over)) => below.overlay(over),
                (Value::List(below), Value::List(over)) if below.iter().chain(&over).all(Node::is_table) => {
                    below.extend(over);
                }
                (_, value) => {
                    *below = Entry { key: entry.key, node: Node { place: entry.node.place, value } };
                }
            }
        }
    }

    /// Puts a single value at a dotted path such as `patrol.every`; tables on the way are made.
    pub fn put(&mut self, path: &str, node: Node) {
        let place = node.place.clone();
        match path.split_once('.') {
            None => {
                self.entries.insert(path.to_owned(), Entry { key: place, node });
            }
            Some((first, rest)) => {
                let entry = self.entries.entry(first.to_owned()).or_insert_with(|| Entry {
                    key: place.clone(),
                    node: Node { place: place.clone(), value: Value::Table(Table::new(place.clone())) },
                });
                if let Value::Table(below) = &mut entry.node.value {
                    below.put(rest, node);
                }
            }
        }
    }
}

impl Value {
    pub fn table(&self) -> Option<&Table> {
        if let Value::Table(table) = self { Some(table) } else { None }
    }

    pub fn items(&self) -> &[Node] {
        if let Value::List(items) = self { items } else { &[] }
    }
}

impl Node {
    fn is_table(&self) -> bool {
        matches!(self.value, Value::Table(_))
    }

    /// What kind of value this is, in both languages.
    pub fn kind(&self) -> (&'static str, &'static str) {
        match self.value {
            Value::Text(_) => ("文字", "text"),
            Value::Whole(_) => ("整数", "a whole number"),
            Value::Number(_) => ("小数", "a number"),
            Value::Flag(_) => ("true/false", "true or false"),
            Value::Moment => ("日期时间", "a date"),
            Value::List(_) => ("列表", "a list"),
            Value::Table(_) => ("表", "a table"),
        }
    }
}

fn table(source: usize, place: Place, parsed: &DeTable<'_>) -> Table {
    let entries = parsed.iter().map(|(key, value)| {
        let entry = Entry { key: Place::new(source, key.span()), node: node(source, value) };
        (key.get_ref().to_string(), entry)
    });
    Table { place, entries: entries.collect() }
}

fn node(source: usize, parsed: &Spanned<DeValue<'_>>) -> Node {
    let place = Place::new(source, parsed.span());
    let value = match parsed.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(whole) => match i64::from_str_radix(whole.as_str(), whole.radix()) {
            Ok(whole) => Value::Whole(whole),
            // Too large for anything that is asked here: said as what it is, out of range.
            Err(_) => Value::Number(f64::INFINITY),
        },
        DeValue::Float(number) => Value::Number(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Datetime(_) => Value::Moment,
        DeValue::Array(items) => Value::List(items.iter().map(|item| node(source, item)).collect()),
        DeValue::Table(entries) => Value::Table(table(source, place.clone(), entries)),
    };
    Node { place, value }
}
