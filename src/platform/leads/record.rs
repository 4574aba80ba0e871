//! What a run of the screening writes down.

use serde::{Deserialize, Serialize};

use crate::base::clock::Wall;
use crate::domain::lead::State;
use crate::platform::db::{self, Database, DatabaseError, Transaction, params};

/// Leads of one transaction: devices deliver between two of them.
const TOGETHER: usize = 500;

/// A lead as a run found it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewLead {
    /// Digest of rule and subject.
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
    /// All rows that prove it; `proof` holds the first.
    pub proving_rows: i64,
    pub measure: Option<f64>,
    pub subject: serde_json::Value,
    pub claim_zh: String,
    pub claim_en: String,
    pub fields: serde_json::Value,
    pub proof: serde_json::Value,
}

/// A rule as it ran.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleSaid {
    pub rule: String,
    pub version: i64,
    pub severity: i64,
    pub title: (String, String),
    pub explanation: (String, String),
    pub article: String,
    pub parameters: serde_json::Value,
    pub tuned: Option<String>,
    pub tuned_up: bool,
}

/// A run as a whole.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunSaid {
    pub id: String,
    pub started: Wall,
    pub ended: Wall,
    pub since_day: Option<i64>,
    pub found: i64,
    pub fresh: i64,
    pub rules: serde_json::Value,
}

/// How many leads were new, and how many were known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Recorded {
    pub fresh: i64,
    pub known: i64,
}

/// Writes a rule down as it runs now.
pub fn record_rule(tx: &Transaction<'_>, rule: &RuleSaid) -> db::Result<()> {
    tx.execute(
        "INSERT INTO screening_rule (rule, version, severity, title_zh, title_en, explanation_zh, explanation_en,
                                     article, parameters, tuned, tuned_up)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT (rule) DO UPDATE SET version = excluded.version, severity = excluded.severity,
             title_zh = excluded.title_zh, title_en = excluded.title_en,
             explanation_zh = excluded.explanation_zh, explanation_en = excluded.explanation_en,
             article = excluded.article, parameters = excluded.parameters, tuned = excluded.tuned,
             tuned_up = excluded.tuned_up",
        params![
            rule.rule,
            rule.version,
            rule.severity,
            rule.title.0,
            rule.title.1,
            rule.explanation.0,
            rule.explanation.1,
            rule.article,
            rule.parameters.to_string(),
            rule.tuned,
            i64::from(rule.tuned_up),
        ],
    )?;
    Ok(())
}

/// Writes a run down.
pub fn record_run(tx: &Transaction<'_>, run: &RunSaid) -> db::Result<()> {
    tx.execute(
        "INSERT INTO screening_run (id, started_ms, ended_ms, since_day, found, fresh, rules)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            run.id,
            run.started.0,
            run.ended.0,
            run.since_day,
            run.found,
            run.fresh,
            run.rules.to_string()
        ],
    )?;
    Ok(())
}

/// Writes leads down, some hundred a transaction: new ones as found, known ones brought up to date where people left them.
///
/// # Errors
/// [`DatabaseError`]; some may be written, and writing all of them again doubles none.
pub fn record_leads(
    db: &Database,
    run: &str,
    leads: &[NewLead],
    now: Wall,
) -> Result<Recorded, DatabaseError> {
    let mut recorded = Recorded::default();
    for some in leads.chunks(TOGETHER) {
        let fresh = db.write(|tx| {
            let mut fresh = 0;
            for lead in some {
                fresh += i64::from(record(tx, run, lead, now)?);
            }
            Ok(fresh)
        })?;
        recorded.fresh += fresh;
        recorded.known += some.len() as i64 - fresh;
    }
    Ok(recorded)
}

/// Whether the lead is new.
fn record(tx: &Transaction<'_>, run: &str, lead: &NewLead, now: Wall) -> db::Result<bool> {
    let known: i64 = tx.query_row("SELECT count(*) FROM lead WHERE id = ?1", [&lead.id], |row| row.get(0))?;
    tx.execute(
        "INSERT INTO lead (id, rule, rule_version, severity, priority, institution, psn_no, certno_hash, dr_code,
                           mdtrt_id, begin_day, end_day, amount_fen, proving_rows, measure, subject, claim_zh,
                           claim_en, fields, proof, first_found_ms, last_found_ms, run, state, version)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?21,
                 ?22, ?23, 0)
         ON CONFLICT (id) DO UPDATE SET rule_version = excluded.rule_version, severity = excluded.severity,
             priority = excluded.priority, begin_day = excluded.begin_day, end_day = excluded.end_day,
             amount_fen = excluded.amount_fen, proving_rows = excluded.proving_rows, measure = excluded.measure,
             claim_zh = excluded.claim_zh, claim_en = excluded.claim_en, fields = excluded.fields,
             proof = excluded.proof, last_found_ms = excluded.last_found_ms, run = excluded.run",
        params![
            lead.id,
            lead.rule,
            lead.rule_version,
            lead.severity,
            lead.priority,
            lead.institution,
            lead.psn_no,
            lead.certno_hash,
            lead.dr_code,
            lead.mdtrt_id,
            lead.begin_day,
            lead.end_day,
            lead.amount_fen,
            lead.proving_rows,
            lead.measure,
            lead.subject.to_string(),
            lead.claim_zh,
            lead.claim_en,
            lead.fields.to_string(),
            lead.proof.to_string(),
            now.0,
            run,
            State::Found.name(),
        ],
    )?;
    Ok(known == 0)
}
