//! What a rule may be, and what is refused with line and reason.

use super::*;
use crate::platform::screening::rules::sql::{No, check, fill};

fn refused(sql: &str) -> No {
    check(sql).unwrap_err()
}

#[test]
fn every_rule_that_comes_with_the_program_may_run_and_is_tested() {
    let rules = read(None).unwrap();
    assert!(rules.len() >= 14, "{}", rules.len());
    for rule in &rules {
        assert!(!rule.tests.is_empty(), "{} has no test", rule.id);
        assert!(rule.tests.iter().any(|case| !case.hits.is_empty()), "{}", rule.id);
        assert!(!rule.sql().contains('$'), "{}: {}", rule.id, rule.sql());
        assert!(!rule.title.0.is_ascii() && !rule.article.is_empty(), "{}", rule.id);
    }
}

#[test]
fn a_rule_reads_known_tables_and_nothing_else() {
    let good =
        check("WITH x AS (SELECT psn_no FROM inpatient) SELECT * FROM x JOIN (SELECT 1) y ON true").unwrap();
    assert_eq!(good.tables.iter().map(String::as_str).collect::<Vec<_>>(), ["inpatient"]);
    for (sql, line, words) in [
        ("SELECT *\nFROM '/etc/passwd'", 2, "no table"),
        ("SELECT * FROM \"data.parquet\"", 1, "no table"),
        ("SELECT *\nFROM information_schema.tables", 2, "no table"),
        ("SELECT * FROM read_parquet('x')", 1, "only tables"),
        ("SELECT *\n FROM generate_series(1, 9)", 2, "only tables"),
        ("SELECT read_text('/etc/passwd') FROM inpatient", 1, "must not call"),
        ("COPY inpatient TO '/tmp/x'", 1, "only reads"),
        ("DROP TABLE inpatient", 1, "only reads"),
        ("INSERT INTO inpatient SELECT * FROM inpatient", 1, "only reads"),
        ("SELECT 1 FROM inpatient; SELECT 2 FROM inpatient", 1, "exactly one"),
        ("WITH RECURSIVE x AS (SELECT 1 UNION ALL SELECT 1 FROM x) SELECT * FROM x", 1, "never end"),
        ("SELECT * INTO y FROM inpatient", 1, "INTO"),
        ("SELECT\n  *\nFORM inpatient", 3, "Line: 3"),
        ("SELECT ? FROM inpatient", 1, "no parameter"),
        ("", 1, "exactly one"),
    ] {
        let no = refused(sql);
        assert!(no.reason.contains(words), "{sql}: {}", no.reason);
        assert_eq!(no.line, line, "{sql}: {}", no.reason);
    }
}

#[test]
fn a_rule_is_refused_with_file_line_and_reason() {
    let (name, text) = embedded::FILES[0];
    let error =
        parse("r.toml", &text.replace("FROM admission a", "FROM '/etc/passwd' a")).unwrap_err().to_string();
    let line = text.lines().position(|line| line.starts_with("FROM admission a")).unwrap() + 1;
    assert!(error.starts_with(&format!("r.toml, line {line}: ")), "{name}: {error}");
    let error = parse("r.toml", &text.replace("$days", "$dayz")).unwrap_err().to_string();
    assert!(error.contains("$dayz"), "{error}");
    let error = parse("r.toml", &text.replace("version", "vresion")).unwrap_err().to_string();
    assert!(error.contains("vresion"), "{error}");
}

#[test]
fn parameters_are_numbers_within_their_range() {
    let values = [("score", 12.0), ("days", 1.5)].into_iter().collect();
    assert_eq!(
        fill("a >= $score -- $score\n AND b = '$days' AND c < $days - 1", &values),
        "a >= 12 -- $score\n AND b = '$days' AND c < 1.5 - 1"
    );
    let rules = read(None).unwrap();
    let value = |value| [("doctor-day".to_owned(), "admissions".to_owned(), value)];
    let chosen = choose(rules.clone(), &["doctor-day".to_owned()], &value(20.0)).unwrap();
    assert!(chosen.len() == 1 && chosen[0].sql().contains(">= 20"));
    assert!(matches!(choose(rules.clone(), &[], &value(1e6)), Err(RuleError::Range { .. })));
    assert!(matches!(choose(rules, &["no-such".to_owned()], &[]), Err(RuleError::Unknown(_, _))));
}
