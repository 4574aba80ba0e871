//! Leads from a run to people's answers.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::base::clock::Wall;
use crate::domain::lead::Step;
use crate::domain::role::Role;
use crate::platform::cursor;
use crate::platform::db::Database;
use crate::platform::sessions::Visitor;

const NOW: Wall = Wall(1_790_000_000_000);

fn world() -> (tempfile::TempDir, Database) {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(&folder.path().join("p.db")).unwrap();
    db.write(|tx| {
        for (name, role) in [("王五", "supervisor"), ("赵六", "reviewer")] {
            tx.execute(
                "INSERT INTO person (name, role, passphrase, added_ms) VALUES (?1, ?2, '', 0)",
                [name, role],
            )?;
        }
        record_rule(tx, &rule())
    })
    .unwrap();
    (folder, db)
}

fn rule() -> RuleSaid {
    RuleSaid {
        rule: "doctor-day".to_owned(),
        version: 1,
        severity: 2,
        title: ("一医生单日收治过多".to_owned(), "one doctor, many admissions".to_owned()),
        explanation: (String::new(), String::new()),
        article: "38".to_owned(),
        parameters: json!([]),
        tuned: Some("admissions".to_owned()),
        tuned_up: true,
    }
}

fn lead(number: i64) -> NewLead {
    NewLead {
        id: format!("{number:08}"),
        rule: "doctor-day".to_owned(),
        rule_version: 1,
        severity: 2,
        priority: number % 3 * 10,
        institution: Some(format!("H{}", number % 2)),
        psn_no: None,
        certno_hash: None,
        dr_code: Some(format!("D{number}")),
        mdtrt_id: None,
        begin_day: 20_000,
        end_day: 20_000,
        amount_fen: 100,
        proving_rows: 12,
        measure: Some(12.0),
        subject: json!({"dr_code": "D1"}),
        claim_zh: "一日收治 12 人".to_owned(),
        claim_en: "12 admissions a day".to_owned(),
        fields: json!({"admissions": 12}),
        proof: json!([{"mdtrt_id": "M1"}]),
    }
}

fn visitor(name: &str, role: Role) -> Visitor {
    Visitor { name: name.to_owned(), role, institution: None, form_token: None }
}

fn decision(step: Step, version: i64, reason: Option<&str>) -> Decision {
    let reason = reason.map(str::to_owned);
    Decision { step, version, reason, text: String::new(), assignee: None }
}

fn take(db: &Database, id: &str, who: &Visitor, decision: &Decision, now: Wall) -> Result<State, NotTaken> {
    db.write(|tx| take_in(tx, id, who, decision, now))?
}

fn assign(
    db: &Database,
    (id, version): (&str, i64),
    who: &Visitor,
    to: &str,
    now: Wall,
) -> Result<State, NotTaken> {
    let decision = Decision { assignee: Some(to.to_owned()), ..decision(Step::Assign, version, None) };
    take(db, id, who, &decision, now)
}

#[test]
fn a_second_run_doubles_nothing_and_leaves_people_s_work_alone() {
    let (_folder, db) = world();
    let leads: Vec<_> = (0..1_200).map(lead).collect();
    let first = record_leads(&db, "r1", &leads, NOW).unwrap();
    assert_eq!(first, Recorded { fresh: 1_200, known: 0 });
    let who = visitor("王五", Role::Supervisor);
    take(&db, "00000007", &who, &decision(Step::Coordinate, 0, None), NOW).unwrap();
    let again: Vec<_> = (0..1_201).map(|at| NewLead { amount_fen: 200, ..lead(at) }).collect();
    let second = record_leads(&db, "r2", &again, Wall(NOW.0 + 1)).unwrap();
    assert_eq!(second, Recorded { fresh: 1, known: 1_200 });
    let lead = db.read(|connection| find(connection, "00000007")).unwrap().unwrap();
    assert_eq!(
        (lead.row.state, lead.row.version, lead.row.amount_fen, lead.row.first_found, lead.row.last_found),
        (State::Coordinated, 1, 200, NOW.0, NOW.0 + 1)
    );
    assert_eq!((lead.proof[0]["mdtrt_id"].as_str(), lead.steps.len()), (Some("M1"), 1));
}

#[test]
fn every_lead_is_on_one_page_with_the_most_urgent_first() {
    let (_folder, db) = world();
    record_leads(&db, "r", &(0..50).map(lead).collect::<Vec<_>>(), NOW).unwrap();
    for (filter, expected) in [
        (Filter::default(), 50),
        (Filter { institution: "H1".to_owned(), ..Filter::default() }, 25),
        (Filter { state: "open".to_owned(), severity: 2, ..Filter::default() }, 50),
        (Filter { state: "confirmed".to_owned(), ..Filter::default() }, 0),
        (Filter { assigned_to: "-".to_owned(), dr_code: "D3".to_owned(), ..Filter::default() }, 1),
    ] {
        let (mut seen, mut after, mut last) = (BTreeSet::new(), None, i64::MAX);
        loop {
            let page = db.read(|connection| list(connection, &filter, (after, 7))).unwrap();
            for row in page.rows {
                assert!(row.priority <= last && seen.insert(row.id.clone()), "{}", row.id);
                last = row.priority;
            }
            let Some(next) = page.next else { break };
            after = cursor::key::<(i64, String)>(LIST, &next);
            assert!(after.is_some());
        }
        assert_eq!(seen.len(), expected, "{filter:?}");
    }
}

#[test]
fn of_two_decisions_at_once_the_second_is_refused_and_an_assignment_needs_an_account() {
    let (_folder, db) = world();
    record_leads(&db, "r", &[lead(1)], NOW).unwrap();
    let (one, two) = (visitor("王五", Role::Supervisor), visitor("赵六", Role::Reviewer));
    assert!(matches!(assign(&db, ("00000001", 0), &one, "nobody", NOW), Err(NotTaken::NoPerson)));
    assign(&db, ("00000001", 0), &one, "赵六", NOW).unwrap();
    let confirm = decision(Step::Confirm, 1, Some("records"));
    assert_eq!(take(&db, "00000001", &two, &confirm, NOW).unwrap(), State::Confirmed);
    let refute = decision(Step::Refute, 1, Some("transfer"));
    assert!(matches!(take(&db, "00000001", &one, &refute, NOW), Err(NotTaken::Overtaken)));
    assert!(matches!(take(&db, "2", &one, &refute, NOW), Err(NotTaken::Unknown)));
    let lead = db.read(|connection| find(connection, "00000001")).unwrap().unwrap();
    assert_eq!(lead.row.assigned_to.as_deref(), Some("赵六"));
    let steps: Vec<_> = lead.steps.iter().map(|taken| (taken.step, taken.remark.as_deref())).collect();
    assert_eq!(steps, [(Step::Assign, Some("赵六")), (Step::Confirm, None)]);
}

#[test]
fn answers_become_the_precision_of_their_rule_and_a_reopened_lead_counts_no_more() {
    let (_folder, db) = world();
    record_leads(&db, "r", &(0..10).map(lead).collect::<Vec<_>>(), NOW).unwrap();
    let who = visitor("王五", Role::Supervisor);
    for at in 0..10 {
        let (step, reason) = if at < 8 { (Step::Confirm, "records") } else { (Step::Refute, "wrong_data") };
        take(&db, &format!("{at:08}"), &who, &decision(step, 0, Some(reason)), NOW).unwrap();
    }
    let found = db.read(precision).unwrap();
    assert_eq!((found.len(), found[0].confirmed, found[0].refuted), (1, 8, 2));
    assert_eq!(found[0].precision, wilson(8, 10));
    take(&db, "00000009", &who, &decision(Step::Reopen, 1, None), NOW).unwrap();
    assert_eq!(db.read(precision).unwrap()[0].refuted, 1);
    let counted = db.read(counts).unwrap();
    assert_eq!(counted.iter().map(|one| one.leads).sum::<i64>(), 10);
}

#[test]
fn runs_and_rules_are_read_back() {
    let (_folder, db) = world();
    let run = RunSaid {
        id: "r1".to_owned(),
        started: NOW,
        ended: NOW,
        since_day: Some(20_000),
        found: 3,
        fresh: 1,
        rules: json!([{"rule": "doctor-day"}]),
    };
    db.write(|tx| record_rule(tx, &RuleSaid { version: 2, ..rule() }).and_then(|()| record_run(tx, &run)))
        .unwrap();
    let (rules, runs) = db.read(|connection| Ok((rules(connection)?, runs(connection, 5)?))).unwrap();
    assert_eq!((rules.len(), rules[0].version, rules[0].tuned.as_deref()), (1, 2, Some("admissions")));
    assert_eq!((runs[0].fresh, runs[0].rules[0]["rule"].as_str()), (1, Some("doctor-day")));
}
