//! Leads of the screening through their pages: found, worked by two at once, walked from, checked on the spot.

use bedcheck::domain::role::Role;
use bedcheck::platform::association::{self, Kind, Node, Pair};
use bedcheck::platform::db::Database;
use bedcheck::platform::leads::{self, NewLead, RuleSaid};
use bedcheck::platform::trail;
use serde_json::json;

use crate::decisions::Desk;
use crate::world::{NOW, World, story};

/// Leads of one rule about the patient of the story in bed 04, and whom they have to do with.
pub fn known(db: &Database, ids: &[&str]) {
    let rule = RuleSaid {
        rule: "hanging-bed".to_owned(),
        version: 1,
        severity: 3,
        title: ("挂床住院".to_owned(), "a bed that hangs".to_owned()),
        explanation: ("多轮核查不在床".to_owned(), "absent over rounds".to_owned()),
        article: "第三十八条".to_owned(),
        parameters: json!([]),
        tuned: None,
        tuned_up: true,
    };
    db.write(|tx| leads::record_rule(tx, &rule)).unwrap();
    let lead = |id: &&str| NewLead {
        id: (*id).to_owned(),
        rule: "hanging-bed".to_owned(),
        rule_version: 1,
        severity: 3,
        priority: 90,
        institution: Some("H1".to_owned()),
        psn_no: Some("P4".to_owned()),
        certno_hash: None,
        dr_code: Some("D1".to_owned()),
        mdtrt_id: Some("S4".to_owned()),
        begin_day: 20_700,
        end_day: 20_712,
        amount_fen: 1_234_567,
        proving_rows: 2,
        measure: Some(7.0),
        subject: json!({ "mdtrt_id": "S4" }),
        claim_zh: "就诊 S4 付费 12 天，其中 7 天不在床<script>alert(1)</script>".to_owned(),
        claim_en: "stay S4 paid for 12 days, absent on 7".to_owned(),
        fields: json!({ "absent_days": 7 }),
        proof: json!([{ "setl_id": "X1", "medfee_sumamt": "12345.67" }, { "setl_id": "X2", "note": "<b>" }]),
    };
    let leads: Vec<NewLead> = ids.iter().map(lead).collect();
    leads::record_leads(db, "run-1", &leads, NOW).unwrap();
    let node = |kind, id: &str| Node { kind, id: id.to_owned() };
    let (hospital, patient, home) =
        (node(Kind::Institution, "H1"), node(Kind::Patient, "P4"), node(Kind::NursingHome, "N1"));
    let pair =
        |from: &Node, to: &Node| Pair { from: from.clone(), to: to.clone(), visits: 3, amount_fen: 500_000 };
    let names = [(hospital.clone(), "示范医院".to_owned())];
    association::replace(db, "run-1", &[pair(&hospital, &patient), pair(&patient, &home)], &names).unwrap();
}

async fn world() -> World {
    let world = World::new().await;
    let device = world.device("ward-3a");
    device.uplink().deliver(story(&mut device.journal())).await.unwrap();
    known(&world.db(), &["aa01", "aa02"]);
    world
}

fn step<'a>(step: &'a str, version: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![("step", step), ("version", version)]
}

const LEAD: &str = "/screening/leads/aa01";

#[tokio::test]
async fn a_lead_goes_round_and_its_answer_counts_for_the_rule() {
    let world = world().await;
    let bureau = Desk::new(&world, "监管甲", Role::Supervisor, None);
    let review = Desk::new(&world, "复核乙", Role::Reviewer, None);
    let (status, page) = bureau.page("/screening").await;
    assert_eq!(status, 200, "{page}");
    for expected in
        ["挂床住院", "¥24,691.34", "其中 7 天不在床&#60;script&#62;", "¥12,345.67", "待统筹", "H1 · D1 · P4"]
    {
        assert!(page.contains(expected), "{expected}: {page}");
    }
    assert!(!page.contains("<script>alert"));
    let (_, page) = bureau.page(LEAD).await;
    for expected in
        ["absent_days", "12345.67", "&#60;b&#62;", "第三十八条", "2 / 2", "ward-3a · 04", "复核乙"]
    {
        assert!(page.contains(expected), "{expected}: {page}");
    }
    let (_, case) = bureau.page("/exceptions/ward-3a/S4.04.impersonation.7").await;
    assert!(case.contains("结算与筛查") && case.contains("/screening/leads/aa01"), "{case}");
    let path = &format!("{LEAD}/step");
    assert_eq!(bureau.post(path, &step("coordinate", "0")).await.0, 303);
    let (status, _, page) = review.post(path, &step("coordinate", "0")).await;
    assert!(status == 409 && page.contains("他人已先处理"), "{page}");
    let given = |to| [step("assign", "1"), vec![("assignee", to)]].concat();
    assert_eq!(bureau.post(path, &given("nobody")).await.0, 422);
    assert_eq!(bureau.post(path, &given("复核乙")).await.0, 303);
    assert!(review.page("/screening?assigned_to=%E5%A4%8D%E6%A0%B8%E4%B9%99").await.1.contains("aa01"));
    for (name, version) in [("inform", "2"), ("act", "3")] {
        assert_eq!(bureau.post(path, &step(name, version)).await.0, 303, "{name}");
    }
    assert_eq!(review.post(path, &step("confirm", "4")).await.0, 422, "without a reason");
    let fed_back = [step("confirm", "4"), vec![("reason", "on_the_spot")]].concat();
    assert_eq!(review.post(path, &fed_back).await.0, 303);
    assert!(bureau.page(LEAD).await.1.contains("现场核查属实"));
    let refuted = [step("refute", "0"), vec![("reason", "excused")]].concat();
    assert_eq!(bureau.post("/screening/leads/aa02/step", &refuted).await.0, 303);
    let (_, page) = bureau.page("/screening").await;
    assert!(page.contains("50 % (9–91), n = 2") && page.contains("1 / 1"), "{page}");
    let acts = world.db().read(|db| trail::list(db, None, Some("复核乙"), 50)).unwrap();
    assert!(acts.iter().any(|entry| entry.act == "confirm" && entry.what == "lead aa01"), "{acts:?}");
    world.end().await;
}

#[tokio::test]
async fn a_lead_orders_a_spot_check_of_the_bed_its_patient_is_in() {
    let world = world().await;
    let bureau = Desk::new(&world, "监管甲", Role::Supervisor, None);
    let path = &format!("{LEAD}/step");
    assert_eq!(bureau.post(path, &step("spot_check", "3")).await.0, 409);
    let (status, order, _) = bureau.post(path, &step("spot_check", "0")).await;
    assert!(status == 303 && order.starts_with("/orders/"), "{status} {order}");
    let (_, page) = bureau.page(&order).await;
    assert!(page.contains("04"), "{page}");
    assert!(bureau.page(LEAD).await.1.contains(order.trim_start_matches("/orders/")));
    // Whoever lies nowhere any more: a sample over the hospital, by the name of its code.
    world.db().write(|tx| tx.execute("UPDATE lead SET mdtrt_id = 'gone' WHERE id = 'aa02'", [])).unwrap();
    let (status, order, _) = bureau.post("/screening/leads/aa02/step", &step("spot_check", "0")).await;
    assert_eq!(status, 303);
    assert!(bureau.page(&order).await.1.contains("示范医院"));
    // Without a device there is nothing to order.
    world.db().write(|tx| tx.execute("UPDATE lead SET institution = 'H9' WHERE id = 'aa02'", [])).unwrap();
    let (status, _, page) = bureau.post("/screening/leads/aa02/step", &step("spot_check", "1")).await;
    assert!(status == 422 && page.contains("机构也没有设备"), "{page}");
    world.end().await;
}

#[tokio::test]
async fn associations_are_walked_in_both_directions_and_hospitals_see_none_of_it() {
    let world = world().await;
    let auditor = Desk::new(&world, "审计丁", Role::Auditor, None);
    let hospital = Desk::new(&world, "医保丙", Role::Officer, Some("示范医院"));
    let (status, page) = auditor.page("/screening/association?kind=institution&id=H1").await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("示范医院") && page.contains("kind=patient&#38;id=P4"), "{page}");
    assert!(page.contains("aa01"), "leads about it: {page}");
    let (_, page) = auditor.page("/screening/association?kind=patient&id=P4").await;
    assert!(page.contains("示范医院") && page.contains("N1"), "{page}");
    assert!(auditor.page("/screening/association?kind=nursing_home&id=N1").await.1.contains("P4"));
    assert_eq!(auditor.page("/screening/association?kind=planet&id=P4").await.0, 404);
    assert_eq!(auditor.page("/screening/leads/none").await.0, 404);
    assert_eq!(auditor.post(&format!("{LEAD}/step"), &step("coordinate", "0")).await.0, 403);
    for path in [LEAD, "/screening/association?kind=patient&id=P4", "/api/v1/leads"] {
        assert_eq!(hospital.page(path).await.0, 403, "{path}");
    }
    assert_eq!(hospital.page("/screening").await.0, 303);
    assert_eq!(hospital.page("/screening/contradictions").await.0, 200);
    world.end().await;
}
