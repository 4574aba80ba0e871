//! The line: what is delivered instead, by somebody with the box's certificate, and what is answered to it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bedcheck::uplink::{UplinkError, believed};
use bedcheck::wire::batch::{Fate, Item, MOST_ITEMS, RECEIPT_TYPE};
use bedcheck::wire::dsse::Envelope;
use bedcheck::wire::statement::STATEMENT_TYPE;
use ed25519_dalek::SigningKey;

use super::super::world::*;
use super::{Known, all_known, arrived, cases, judge};

/// Name, what becomes of the honest batch (with one of another device beside it), how often it is sent, how it is known.
type Attack = (&'static str, fn(&mut Vec<Item>, &[Item]), usize, Known);

const ATTACKS: &[Attack] = &[
    (
        "a verdict rewritten on the way",
        |items, _| items[2].body = items[2].body.replace("mismatch", "verified"),
        1,
        Known::Case("tampered"),
    ),
    (
        "evidence of another moment",
        |items, _| items[2].evidence = Some(STANDARD.encode([7; 90])),
        1,
        Known::Case("tampered"),
    ),
    (
        "evidence beside another statement",
        |items, _| items[3].evidence = items[2].evidence.take(),
        1,
        Known::Case("tampered"),
    ),
    (
        "bodies exchanged",
        |items, _| {
            let body = std::mem::take(&mut items[2].body);
            items[2].body = std::mem::replace(&mut items[3].body, body);
            items[2].evidence = None;
        },
        1,
        Known::Case("tampered"),
    ),
    ("evidence left out", |items, _| items[2].evidence = None, 1, Known::Case("pruned")),
    (
        "a statement without signature",
        |items, _| items[1].envelope.signatures.clear(),
        1,
        Known::Case("tampered"),
    ),
    (
        "a signature twice",
        |items, _| {
            let again = items[1].envelope.signatures[0].clone();
            items[1].envelope.signatures.push(again);
        },
        1,
        Known::Case("tampered"),
    ),
    ("one byte of a statement", |items, _| items[1].envelope.payload[40] ^= 1, 1, Known::Case("tampered")),
    (
        "a statement called something else",
        |items, _| items[1].envelope.payload_type = RECEIPT_TYPE.to_owned(),
        1,
        Known::Case("tampered"),
    ),
    (
        "a statement signed by another key",
        |items, _| {
            let payload = items[1].envelope.payload.clone();
            items[1].envelope = Envelope::sign(&SigningKey::from_bytes(&[42; 32]), STATEMENT_TYPE, payload);
        },
        1,
        Known::Case("tampered"),
    ),
    (
        "a statement of another device in between",
        |items, others| items[1] = others[1].clone(),
        1,
        Known::Case("tampered"),
    ),
    ("all of it another device's", |items, others| *items = others.to_vec(), 1, Known::Case("tampered")),
    ("the order reversed", |items, _| items.reverse(), 2, Known::Case("chain_gap")),
    ("the first left out", |items, _| drop(items.remove(0)), 2, Known::Case("chain_gap")),
    ("one in the middle left out, for ever", |items, _| drop(items.remove(1)), 2, Known::NotDone),
    ("the same batch again and again", |_, _| {}, 5, Known::Undone),
    (
        "each statement twice",
        |items, _| *items = items.iter().flat_map(|item| [item.clone(), item.clone()]).collect(),
        1,
        Known::Undone,
    ),
    (
        "more than a batch may hold",
        |items, _| *items = vec![items[0].clone(); MOST_ITEMS + 1],
        1,
        Known::Refused(413),
    ),
];

#[tokio::test]
async fn whoever_changes_what_is_delivered_is_known() {
    let mut unnoticed = Vec::new();
    let world = World::new().await;
    for (at, (attack, change, times, wanted)) in ATTACKS.iter().enumerate() {
        let (device, other) =
            (world.device(&format!("ward-{at:02}")), world.device(&format!("else-{at:02}")));
        let honest = story(&mut device.journal());
        let mut items = honest.clone();
        change(&mut items, &story(&mut other.journal()));
        let uplink = device.uplink();
        let mut status = 200;
        for _ in 0..*times {
            if let Err(UplinkError::Refused { status: refused, .. }) = uplink.deliver(items.clone()).await {
                status = refused;
            }
        }
        let found = cases(&world, &device);
        let count = arrived(&world, &device).len();
        let is_known = match wanted {
            Known::Case(kind) => found.contains(*kind),
            Known::Undone => found.is_empty() && count == honest.len(),
            // What follows the hole is not taken, so the round of the hole never comes into effect.
            Known::NotDone => count == 1,
            Known::Refused(wanted) => status == *wanted && count == 0,
        };
        unnoticed.extend(judge(attack, *wanted, is_known, &found));
        // Whatever was tried, the truth still arrives.
        let last = uplink.deliver(honest).await.unwrap();
        assert_eq!(last.receipt.head.seq, 4, "{attack}");
        assert!(fates(&last).iter().all(|fate| matches!(fate, Fate::Accepted | Fate::Duplicate)), "{attack}");
    }
    all_known(ATTACKS.len(), 18, &unnoticed);
    world.end().await;
}

#[tokio::test]
async fn nobody_speaks_in_another_devices_name() {
    let world = World::new().await;
    let (one, other) = (world.device("ward-3a"), world.device("ward-3b"));
    let items = story(&mut other.journal());
    let mut uplink = one.uplink();
    uplink.device = other.id.clone();
    let status = refused(uplink.deliver(items).await);
    let found = cases(&world, &other);
    let is_known = status == 403 && arrived(&world, &other).is_empty();
    let unnoticed =
        judge("another device's chain over one's own connection", Known::Refused(403), is_known, &found);
    all_known(1, 1, &unnoticed.into_iter().collect::<Vec<_>>());
    world.end().await;
}

#[tokio::test]
async fn a_receipt_that_is_not_the_platforms_word_acknowledges_nothing() {
    let world = World::new().await;
    let (device, other) = (world.device("ward-3a"), world.device("ward-3b"));
    let mut journal = device.journal();
    let items = story(&mut journal);
    let uplink = device.uplink();
    let early = uplink.deliver(items[..2].to_vec()).await.unwrap();
    let others = other.uplink().deliver(story(&mut other.journal())).await.unwrap();
    let platform = bedcheck::platform::keys::Keys::read(world.folder.path()).unwrap().receipt;
    let payload = |receipt: &bedcheck::wire::batch::Receipt| serde_json::to_vec(receipt).unwrap();
    let mut invented = early.receipt.clone();
    invented.head.seq = 4;
    let mallory = SigningKey::from_bytes(&[42; 32]);
    let good = Envelope::sign(&platform, RECEIPT_TYPE, payload(&early.receipt));
    let mut raised = good.clone();
    raised.payload = payload(&invented);
    let lies = [
        ("a receipt of another platform", Envelope::sign(&mallory, RECEIPT_TYPE, payload(&invented))),
        ("a receipt for another device", Envelope::sign(&platform, RECEIPT_TYPE, payload(&others.receipt))),
        ("a receipt with its head raised", raised),
        (
            "a statement shown as a receipt",
            Envelope { payload_type: STATEMENT_TYPE.to_owned(), ..good.clone() },
        ),
    ];
    let mut unnoticed = Vec::new();
    for (attack, lie) in lies {
        let is_known = believed(&lie, &uplink.receipt_key, &device.id).is_err();
        unnoticed.extend(judge(attack, Known::Undone, is_known, &cases(&world, &device)));
    }
    // Signed by the platform, and of a chain that is not this box's.
    invented.head.link = "0".repeat(64);
    let is_known = !journal.acknowledge(&invented.head, "", NOW).unwrap();
    unnoticed.extend(judge("a head that is not ours", Known::Undone, is_known, &cases(&world, &device)));
    // An old receipt again acknowledges what it acknowledged then.
    assert!(journal.acknowledge(&early.receipt.head, &early.digest, NOW).unwrap());
    assert!(journal.acknowledge(&early.receipt.head, &early.digest, NOW).unwrap());
    let is_known = journal.pending().unwrap().rows == 2;
    unnoticed.extend(judge("an old receipt again", Known::Undone, is_known, &cases(&world, &device)));
    assert!(believed(&good, &uplink.receipt_key, &device.id).is_ok());
    all_known(6, 6, &unnoticed);
    world.end().await;
}
