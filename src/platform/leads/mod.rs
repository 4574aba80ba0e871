//! Leads of the screening (智慧筛查) as the platform keeps them: found by a run, worked by people, fed back into the rules.
//!
//! ```text
//!   screening run ──record──► lead ◄──take── people: 统筹 · 信息 · 落实 · 反馈
//!                              │                     │ confirmed, refuted
//!                              └──► association      └──► precision of each rule, a better parameter
//! ```
//! A lead's id is a digest of its rule and subject. Found again it is brought up to date and stays where people left it.
//! Nothing here needs the engine: the feature `screening` finds, this shows.

mod precision;
mod record;
mod steps;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::lead::State;
use crate::platform::cursor::{self, Page};
use crate::platform::db::{self, Connection, OptionalExtension, Row, ToSql, params};

pub use precision::{Interval, RulePrecision, Suggestion, precision, wilson};
pub use record::{NewLead, Recorded, RuleSaid, RunSaid, record_leads, record_rule, record_run};
pub use steps::{Decision, NotTaken, Taken, take_in};

/// Name of the list in its cursors.
pub const LIST: &str = "leads";

/// Which leads are wanted; empty texts filter nothing.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// 规则 / rule
    #[serde(default)]
    pub rule: String,
    /// 状态，或 open（未反馈） / a state, or `open` for all that are not decided
    #[serde(default)]
    pub state: String,
    /// 机构编码 / `fixmedins_code`
    #[serde(default)]
    pub institution: String,
    /// 人员编号 / person
    #[serde(default)]
    pub psn_no: String,
    /// 医师编码 / doctor
    #[serde(default)]
    pub dr_code: String,
    /// 承办人，- 为未分派 / whose they are; `-` for nobody's
    #[serde(default)]
    pub assigned_to: String,
    /// 严重程度 1 至 3，0 不限 / 1 to 3; 0 filters nothing
    #[serde(default)]
    pub severity: i64,
}

/// A lead as lists show it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct LeadRow {
    pub id: String,
    pub rule: String,
    pub rule_version: i64,
    /// 1 to 3.
    pub severity: i64,
    /// 0 to 100.
    pub priority: i64,
    pub institution: Option<String>,
    pub psn_no: Option<String>,
    pub certno_hash: Option<String>,
    pub dr_code: Option<String>,
    pub mdtrt_id: Option<String>,
    /// Days since 1970 in China.
    pub begin_day: i64,
    pub end_day: i64,
    pub amount_fen: i64,
    pub proving_rows: i64,
    pub claim_zh: String,
    pub claim_en: String,
    /// Milliseconds since 1970.
    pub first_found: i64,
    pub last_found: i64,
    #[schema(value_type = String)]
    pub state: State,
    /// Steps taken.
    pub version: i64,
    pub assigned_to: Option<String>,
}

/// A lead with what proves it and what was done with it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Lead {
    pub row: LeadRow,
    /// What the tuned parameter was compared with.
    pub measure: Option<f64>,
    /// JSON object: what the lead is about.
    #[schema(value_type = Object)]
    pub subject: serde_json::Value,
    /// JSON object: the fields that fired.
    #[schema(value_type = Object)]
    pub fields: serde_json::Value,
    /// JSON array: the first of the rows that prove it.
    #[schema(value_type = Vec<Object>)]
    pub proof: serde_json::Value,
    pub steps: Vec<Taken>,
}

const COLUMNS: &str = "id, rule, rule_version, severity, priority, institution, psn_no, certno_hash, dr_code, mdtrt_id,
    begin_day, end_day, amount_fen, proving_rows, claim_zh, claim_en, first_found_ms, last_found_ms, state, version,
    assigned_to";

fn lead_row(row: &Row<'_>) -> db::Result<LeadRow> {
    let state: String = row.get(18)?;
    Ok(LeadRow {
        id: row.get(0)?,
        rule: row.get(1)?,
        rule_version: row.get(2)?,
        severity: row.get(3)?,
        priority: row.get(4)?,
        institution: row.get(5)?,
        psn_no: row.get(6)?,
        certno_hash: row.get(7)?,
        dr_code: row.get(8)?,
        mdtrt_id: row.get(9)?,
        begin_day: row.get(10)?,
        end_day: row.get(11)?,
        amount_fen: row.get(12)?,
        proving_rows: row.get(13)?,
        claim_zh: row.get(14)?,
        claim_en: row.get(15)?,
        first_found: row.get(16)?,
        last_found: row.get(17)?,
        // Only `steps` and `record` write it.
        state: State::named(&state).unwrap_or(State::Found),
        version: row.get(19)?,
        assigned_to: row.get(20)?,
    })
}

/// Leads by priority, the most urgent first, at most `most` after the one of the cursor's key.
pub fn list(
    connection: &Connection,
    filter: &Filter,
    (after, most): (Option<(i64, String)>, usize),
) -> db::Result<Page<LeadRow>> {
    let (mut clauses, mut values) = (Vec::new(), Vec::<Box<dyn ToSql>>::new());
    let mut equal = |column: &str, value: &str| {
        if !value.is_empty() {
            clauses.push(format!("{column} = ?"));
            values.push(Box::new(value.to_owned()));
        }
    };
    equal("rule", &filter.rule);
    equal("institution", &filter.institution);
    equal("psn_no", &filter.psn_no);
    equal("dr_code", &filter.dr_code);
    equal("state", if filter.state == "open" { "" } else { &filter.state });
    equal("assigned_to", if filter.assigned_to == "-" { "" } else { &filter.assigned_to });
    if filter.state == "open" {
        clauses.push("state IN ('found', 'coordinated', 'informed', 'acted')".to_owned());
    }
    if filter.assigned_to == "-" {
        clauses.push("assigned_to IS NULL".to_owned());
    }
    if filter.severity > 0 {
        clauses.push("severity = ?".to_owned());
        values.push(Box::new(filter.severity));
    }
    if let Some((priority, id)) = after {
        clauses.push("(priority, id) < (?, ?)".to_owned());
        values.push(Box::new(priority));
        values.push(Box::new(id));
    }
    values.push(Box::new(i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1)));
    let wanted = if clauses.is_empty() { "1 = 1".to_owned() } else { clauses.join(" AND ") };
    let sql = format!("SELECT {COLUMNS} FROM lead WHERE {wanted} ORDER BY priority DESC, id DESC LIMIT ?");
    let values: Vec<&dyn ToSql> = values.iter().map(AsRef::as_ref).collect();
    let rows = connection
        .prepare_cached(&sql)?
        .query_map(values.as_slice(), lead_row)?
        .map(|row| row.map(|row| ((row.priority, row.id.clone()), row)))
        .map(|row| row.map(|(key, row)| (row, key)))
        .collect::<db::Result<Vec<_>>>()?;
    Ok(cursor::cut(LIST, rows, most))
}

/// Leads about one stay, the most urgent first, at most `most`.
pub fn of_stay(connection: &Connection, mdtrt_id: &str, most: i64) -> db::Result<Vec<LeadRow>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM lead WHERE mdtrt_id = ?1 ORDER BY priority DESC, id DESC LIMIT ?2"
        ))?
        .query_map(params![mdtrt_id, most], lead_row)?
        .collect()
}

/// One lead with its proof and steps.
pub fn find(connection: &Connection, id: &str) -> db::Result<Option<Lead>> {
    let sql = format!("SELECT {COLUMNS}, measure, subject, fields, proof FROM lead WHERE id = ?1");
    let found = connection
        .prepare_cached(&sql)?
        .query_row([id], |row| {
            let json = |at| Ok::<_, db::Error>(parsed(&row.get::<_, String>(at)?));
            Ok(Lead {
                row: lead_row(row)?,
                measure: row.get(21)?,
                subject: json(22)?,
                fields: json(23)?,
                proof: json(24)?,
                steps: Vec::new(),
            })
        })
        .optional()?;
    let Some(mut lead) = found else { return Ok(None) };
    lead.steps = steps::taken(connection, id)?;
    Ok(Some(lead))
}

/// Only `record` writes JSON here; what cannot be read is shown as nothing rather than as a page that fails.
fn parsed(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_default()
}

/// How many leads there are of a rule in a state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    pub rule: String,
    pub state: State,
    pub leads: i64,
    pub amount_fen: i64,
}

/// Leads and their money by rule and state.
pub fn counts(connection: &Connection) -> db::Result<Vec<Count>> {
    connection
        .prepare_cached(
            "SELECT rule, state, count(*), CAST(sum(amount_fen) AS BIGINT) FROM lead GROUP BY rule, state
             ORDER BY rule, state",
        )?
        .query_map([], |row| {
            let state: String = row.get(1)?;
            Ok(Count {
                rule: row.get(0)?,
                state: State::named(&state).unwrap_or(State::Found),
                leads: row.get(2)?,
                amount_fen: row.get(3)?,
            })
        })?
        .collect()
}

/// A rule as it last ran.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleRow {
    pub rule: String,
    pub version: i64,
    pub severity: i64,
    pub title_zh: String,
    pub title_en: String,
    pub explanation_zh: String,
    pub explanation_en: String,
    pub article: String,
    /// JSON array of name, value, default, min, max, unit, zh, en.
    pub parameters: serde_json::Value,
    pub tuned: Option<String>,
    /// A higher value of the tuned parameter finds less.
    pub tuned_up: bool,
}

/// Every rule that ever ran, by name.
pub fn rules(connection: &Connection) -> db::Result<Vec<RuleRow>> {
    connection
        .prepare_cached(
            "SELECT rule, version, severity, title_zh, title_en, explanation_zh, explanation_en, article, parameters,
                    tuned, tuned_up FROM screening_rule ORDER BY rule",
        )?
        .query_map([], |row| {
            Ok(RuleRow {
                rule: row.get(0)?,
                version: row.get(1)?,
                severity: row.get(2)?,
                title_zh: row.get(3)?,
                title_en: row.get(4)?,
                explanation_zh: row.get(5)?,
                explanation_en: row.get(6)?,
                article: row.get(7)?,
                parameters: parsed(&row.get::<_, String>(8)?),
                tuned: row.get(9)?,
                tuned_up: row.get::<_, i64>(10)? != 0,
            })
        })?
        .collect()
}

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunRow {
    pub id: String,
    pub started: i64,
    pub ended: i64,
    pub since_day: Option<i64>,
    pub found: i64,
    pub fresh: i64,
    /// JSON array: per rule leads, rows read, milliseconds.
    pub rules: serde_json::Value,
}

/// The newest runs.
pub fn runs(connection: &Connection, most: i64) -> db::Result<Vec<RunRow>> {
    connection
        .prepare_cached(
            "SELECT id, started_ms, ended_ms, since_day, found, fresh, rules FROM screening_run
             ORDER BY started_ms DESC, id LIMIT ?1",
        )?
        .query_map(params![most], |row| {
            Ok(RunRow {
                id: row.get(0)?,
                started: row.get(1)?,
                ended: row.get(2)?,
                since_day: row.get(3)?,
                found: row.get(4)?,
                fresh: row.get(5)?,
                rules: parsed(&row.get::<_, String>(6)?),
            })
        })?
        .collect()
}

#[cfg(test)]
mod tests;
