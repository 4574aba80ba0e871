//! What a kiosk verified: kept as it was said, readable as JSON, once. The message is pinned in `verification.json`.

use bedcheck::domain::kiosk::verification::{Document, Outcome, Verification};
use bedcheck::wire::event::Report;
use serde_json::{Value, json};

use crate::world::{NOW, World, commit, deliver};

fn said() -> Value {
    serde_json::from_str(include_str!("verification.json")).unwrap()
}

#[test]
fn the_message_of_a_kiosk_is_as_it_was_agreed() {
    let report: Report = serde_json::from_value(said()).unwrap();
    assert_eq!(report.kind(), "cn.bedcheck.verification.v1");
    assert_eq!(serde_json::to_value(&report).unwrap(), said());
}

#[tokio::test]
async fn a_verification_is_a_row_with_what_the_pharmacy_rules_want() {
    let world = World::new().await;
    let device = world.device("pharmacy-1");
    let mut journal = device.journal();
    let first: Report = serde_json::from_value(said()).unwrap();
    let Report::Verification(verification) = first.clone() else { panic!("{first:?}") };
    let staff = vec!["王护士".to_owned(), "刘医生".to_owned()];
    let outcome = Outcome::Attested { document: Document::IdCard, staff };
    let done = NOW.plus(std::time::Duration::from_secs(60));
    let second = Verification { outcome, purchase: None, proxy: None, done, ..*verification };
    journal.commit(vec![commit(first), commit(Report::Verification(Box::new(second)))]).unwrap();
    deliver(&device, journal).await;

    let rows = world.json("/api/v1/verifications").await;
    let rows = rows["verifications"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (&rows[0]["outcome"], &rows[0]["staff"], &rows[0]["visit"]),
        (&json!("attested"), &json!(["王护士", "刘医生"]), &rows[1]["visit"])
    );
    for (key, wanted) in [
        ("device", json!("pharmacy-1")),
        ("purpose", json!("pickup")),
        ("stay", json!("S4")),
        ("outcome", json!("mismatch")),
        ("resembles", json!("S5")),
        ("proxy", json!("9f86d081884c7d65")),
        ("proxy_name", json!("李*")),
        ("amount_fen", json!(32850)),
        ("drugs", json!(["86900001", "86900002"])),
        ("synthetic", json!(false)),
        ("done_ms", json!(1_790_000_009_000_i64)),
        ("received_ms", json!(NOW.0)),
    ] {
        assert_eq!(rows[1][key], wanted, "{key}");
    }
    world.end().await;
}
