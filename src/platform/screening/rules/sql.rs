//! What a rule's SQL may be: one SELECT over the known tables. It reads no file, calls no table function, writes nothing.
//!
//! Rules come from supervisors and, some day, from other provinces: one that says `SELECT * FROM '/etc/passwd'` or
//! `COPY … TO` is refused before an engine sees it, by what its tree is and not by searching its text for words.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, ObjectName, Query, Select, SetExpr, Spanned, Statement, TableFactor, Value, ValueWithSpan, Visit,
    Visitor,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::platform::screening::tables;

/// Longer than any rule needs.
const MOST_BYTES: usize = 64 * 1024;
/// Names of settlements as a whole and by class.
const VIEWS: [&str; 3] = tables::CLASSES;
/// Functions that look outside of the tables, in this engine or in others that run the same rules.
const NOT_CALLED: [&str; 6] = ["read_", "pg_", "current_", "version", "getenv", "parquet_"];

/// Why SQL is refused, and on which of its lines, counted from 1.
#[derive(Debug, PartialEq, Eq)]
pub struct No {
    pub line: usize,
    pub reason: String,
}

/// What SQL that may run needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Checked {
    pub tables: BTreeSet<String>,
    /// Named as `$name`.
    pub parameters: BTreeSet<String>,
}

/// Whether this is a single SELECT over known tables.
///
/// # Errors
/// [`No`].
pub fn check(sql: &str) -> Result<Checked, No> {
    let no = |line, reason: &str| No { line, reason: reason.to_owned() };
    if sql.len() > MOST_BYTES {
        return Err(no(1, "the SQL is longer than 64 KiB"));
    }
    let statements = Parser::parse_sql(&GenericDialect {}, sql).map_err(|error| {
        let reason = error.to_string();
        No { line: line_in(&reason).unwrap_or(1), reason }
    })?;
    let [statement] = statements.as_slice() else {
        return Err(no(1, "a rule is exactly one SELECT"));
    };
    let Statement::Query(query) = statement else {
        return Err(no(1, "a rule only reads: SELECT, or WITH … SELECT"));
    };
    let mut reader = Reader { sql, ..Reader::default() };
    match query.visit(&mut reader) {
        ControlFlow::Break(no) => Err(*no),
        ControlFlow::Continue(()) => Ok(reader.found),
    }
}

/// `… at Line: 3, Column: 8`, as the parser says where it stopped.
fn line_in(message: &str) -> Option<usize> {
    let (_, rest) = message.split_once("Line: ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[derive(Default)]
struct Reader<'s> {
    sql: &'s str,
    found: Checked,
    /// Names given by WITH, of the queries that are being read.
    with: Vec<Vec<String>>,
}

fn stop<T>(at: &impl Spanned, reason: impl Into<String>) -> ControlFlow<Box<No>, T> {
    let line = usize::try_from(at.span().start.line).unwrap_or(1).max(1);
    ControlFlow::Break(Box::new(No { line, reason: reason.into() }))
}

impl Visitor for Reader<'_> {
    type Break = Box<No>;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Box<No>> {
        let names = query.with.iter().flat_map(|with| &with.cte_tables);
        self.with.push(names.map(|cte| cte.alias.name.value.to_lowercase()).collect());
        if query.with.as_ref().is_some_and(|with| with.recursive) {
            return stop(query, "WITH RECURSIVE may never end");
        }
        if !query.locks.is_empty() || query.for_clause.is_some() || query.format_clause.is_some() {
            return stop(query, "a rule takes no locks and chooses no format");
        }
        reads_only(&query.body)
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<Box<No>> {
        self.with.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Box<No>> {
        if select.into.is_some() {
            return stop(select, "SELECT … INTO writes a table");
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Box<No>> {
        let is_nested = matches!(factor, TableFactor::Derived { .. } | TableFactor::NestedJoin { .. });
        let is_table = matches!(
            factor,
            TableFactor::Table { args: None, with_hints, version: None, .. } if with_hints.is_empty()
        );
        if is_table || is_nested {
            return ControlFlow::Continue(());
        }
        stop(factor, format!("only tables may be read from, and this is none: {factor}"))
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Box<No>> {
        let quoted = relation.0.iter().any(|part| part.as_ident().is_none_or(|it| it.quote_style.is_some()));
        let name = relation.to_string().to_lowercase();
        if !quoted && self.with.iter().flatten().any(|known| *known == name) {
            return ControlFlow::Continue(());
        }
        if quoted || !(tables::named(&name).is_some() || VIEWS.contains(&name.as_str())) {
            let known: Vec<&str> = tables::TABLES.iter().map(|table| table.name).chain(VIEWS).collect();
            let mut stopped: ControlFlow<Box<No>> =
                stop(relation, format!("there is no table {relation}; tables are {}", known.join(", ")));
            // The parser forgets where a name in quotes stood.
            if let (ControlFlow::Break(no), Some(at)) = (&mut stopped, self.sql.find(&relation.to_string())) {
                no.line = self.sql[..at].matches('\n').count() + 1;
            }
            return stopped;
        }
        self.found.tables.insert(name);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<Box<No>> {
        if let Expr::Function(function) = expression {
            let name = function.name.to_string().to_lowercase();
            if NOT_CALLED.iter().any(|start| name.starts_with(start)) {
                return stop(expression, format!("a rule must not call {name}"));
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_value(&mut self, value: &ValueWithSpan) -> ControlFlow<Box<No>> {
        if let Value::Placeholder(name) = &value.value {
            match name.strip_prefix('$').filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase())) {
                Some(name) => self.found.parameters.insert(name.to_owned()),
                None => return stop(value, format!("{name} is no parameter: write $name")),
            };
        }
        ControlFlow::Continue(())
    }
}

fn reads_only(body: &SetExpr) -> ControlFlow<Box<No>> {
    match body {
        SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => ControlFlow::Continue(()),
        SetExpr::SetOperation { left, right, .. } => {
            reads_only(left)?;
            reads_only(right)
        }
        SetExpr::Insert(_)
        | SetExpr::Update(_)
        | SetExpr::Delete(_)
        | SetExpr::Merge(_)
        | SetExpr::Table(_) => stop(body, "a rule only reads: SELECT"),
    }
}

/// The SQL with `$name` as numbers. Names stand where [`check`] found them: outside of quotes and comments.
pub fn fill(sql: &str, values: &BTreeMap<&str, f64>) -> String {
    let (mut filled, mut rest) = (String::with_capacity(sql.len()), sql);
    while let Some(at) = rest.find(['$', '\'', '-']) {
        let (before, from) = rest.split_at(at);
        filled.push_str(before);
        let length = match from.as_bytes() {
            [b'$', ..] => {
                let name = &from[1..];
                let end = name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(name.len());
                match values.get(&name[..end]) {
                    Some(value) => filled.push_str(&value.to_string()),
                    None => filled.push_str(&from[..=end]),
                }
                rest = &name[end..];
                continue;
            }
            [b'\'', ..] => from[1..].find('\'').map_or(from.len(), |end| end + 2),
            [b'-', b'-', ..] => from.find('\n').unwrap_or(from.len()),
            _ => 1,
        };
        filled.push_str(&from[..length]);
        rest = &from[length..];
    }
    filled.push_str(rest);
    filled
}
