//! What people's answers say of a rule: how often it was right, whether that falls, and which parameter would spare the
//! leads that were refuted.

use serde::Serialize;

use crate::domain::interval;
use crate::platform::db::{self, Connection, params};

/// The newest decisions that are held against those before them.
const RECENT: usize = 30;
/// Decisions of a rule that are looked at: what was right two years ago says little.
const MOST_DECISIONS: i64 = 2_000;
/// Of confirmed leads, how many a suggestion may lose, in percent.
const MAY_LOSE_PERCENT: usize = 5;
/// Refuted leads below which nothing is suggested.
const ENOUGH_REFUTED: usize = 10;

/// A share between 0 and 1 with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    pub hits: u64,
    pub n: u64,
    pub share: f64,
    pub low: f64,
    pub high: f64,
}

/// Wilson's interval; of nothing it is everything.
pub fn wilson(hits: u64, n: u64) -> Interval {
    if n == 0 {
        return Interval { hits, n, share: 0.0, low: 0.0, high: 1.0 };
    }
    let share = hits as f64 / n as f64;
    let [low, high] = interval::wilson(share, n as f64);
    Interval { hits, n, share, low, high }
}

/// A value of the tuned parameter that would have spared refuted leads.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Suggestion {
    pub parameter: String,
    pub value: f64,
    /// Refuted leads it would not have found.
    pub spared: usize,
    /// Confirmed leads it would not have found.
    pub lost: usize,
}

/// How right a rule was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RulePrecision {
    pub rule: String,
    pub confirmed: u64,
    pub refuted: u64,
    pub precision: Interval,
    /// The newest decisions alone; `None` until there are twice as many.
    pub recent: Option<Interval>,
    /// The newest are worse than those before, beyond chance.
    pub falling: bool,
    pub suggestion: Option<Suggestion>,
}

/// Of every rule that has a decided lead.
pub fn precision(connection: &Connection) -> db::Result<Vec<RulePrecision>> {
    let rules: Vec<(String, Option<String>, i64)> = connection
        .prepare_cached("SELECT rule, tuned, tuned_up FROM screening_rule ORDER BY rule")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<db::Result<_>>()?;
    let mut query = connection.prepare_cached(
        "SELECT state, measure FROM lead WHERE rule = ?1 AND decided_ms IS NOT NULL
         ORDER BY decided_ms DESC, id LIMIT ?2",
    )?;
    let mut found = Vec::new();
    for (rule, tuned, up) in rules {
        let decisions: Vec<Decided> = query
            .query_map(params![rule, MOST_DECISIONS], |row| {
                Ok(Decided { confirmed: row.get::<_, String>(0)? == "confirmed", measure: row.get(1)? })
            })?
            .collect::<db::Result<_>>()?;
        if !decisions.is_empty() {
            found.push(of(rule, &decisions, tuned.map(|name| (name, up != 0))));
        }
    }
    Ok(found)
}

#[derive(Clone, Copy, Debug)]
struct Decided {
    confirmed: bool,
    measure: Option<f64>,
}

/// `decisions` with the newest first.
fn of(rule: String, decisions: &[Decided], tuned: Option<(String, bool)>) -> RulePrecision {
    let share = |some: &[Decided]| {
        let confirmed = some.iter().filter(|one| one.confirmed).count() as u64;
        wilson(confirmed, some.len() as u64)
    };
    let all = share(decisions);
    let halves = (decisions.len() >= 2 * RECENT).then(|| decisions.split_at(RECENT));
    let recent = halves.map(|(new, _)| share(new));
    let falling = halves.is_some_and(|(new, old)| share(new).high < share(old).low);
    RulePrecision {
        rule,
        confirmed: all.hits,
        refuted: all.n - all.hits,
        precision: all,
        recent,
        falling,
        suggestion: tuned.and_then(|(name, up)| suggestion(name, up, decisions)),
    }
}

/// Among the measures seen, the threshold that spares the most refuted leads and loses few confirmed ones.
fn suggestion(parameter: String, up: bool, decisions: &[Decided]) -> Option<Suggestion> {
    let measured: Vec<(bool, f64)> =
        decisions.iter().filter_map(|one| Some((one.confirmed, one.measure?))).collect();
    let confirmed = measured.iter().filter(|(confirmed, _)| *confirmed).count();
    if measured.len() - confirmed < ENOUGH_REFUTED || confirmed == 0 {
        return None;
    }
    let may_lose = confirmed * MAY_LOSE_PERCENT / 100;
    let mut values: Vec<f64> = measured.iter().map(|(_, value)| *value).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    let best = values
        .into_iter()
        .map(|value| {
            let drops = |measure: f64| if up { measure < value } else { measure > value };
            let of = |wanted: bool| {
                measured.iter().filter(|(confirmed, measure)| *confirmed == wanted && drops(*measure)).count()
            };
            Suggestion { parameter: parameter.clone(), value, spared: of(false), lost: of(true) }
        })
        .filter(|one| one.spared > 0 && one.lost <= may_lose)
        .max_by_key(|one| (one.spared, std::cmp::Reverse(one.lost)))?;
    Some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_agrees_with_the_tables() {
        let some = wilson(8, 10);
        assert!((some.low - 0.4902).abs() < 5e-4 && (some.high - 0.9433).abs() < 5e-4, "{some:?}");
        assert_eq!((wilson(0, 0).low, wilson(0, 0).high), (0.0, 1.0));
        assert!(wilson(10, 10).high > 0.999 && wilson(10, 10).low < 0.73);
    }

    #[test]
    fn a_rule_that_gets_worse_is_flagged_and_one_that_was_always_bad_is_not() {
        let decided = |confirmed| Decided { confirmed, measure: None };
        let falls: Vec<_> = (0..100).map(|at| decided(at >= 30)).collect();
        assert!(of("r".to_owned(), &falls, None).falling);
        let steady: Vec<_> = (0..100).map(|at| decided(at % 3 == 0)).collect();
        let steady = of("r".to_owned(), &steady, None);
        assert!(!steady.falling && steady.recent.is_some());
    }

    #[test]
    fn the_suggestion_spares_refuted_leads_and_loses_few_confirmed_ones() {
        let decisions: Vec<_> = (0..40)
            .map(|at| Decided {
                confirmed: at % 2 == 0,
                measure: Some(if at % 2 == 0 { 15.0 } else { 12.0 }),
            })
            .collect();
        let best = suggestion("admissions".to_owned(), true, &decisions).unwrap();
        assert_eq!((best.value, best.spared, best.lost), (15.0, 20, 0));
        let best = suggestion("score".to_owned(), false, &decisions);
        assert_eq!(best, None, "a lower threshold would lose the confirmed ones first");
    }
}
