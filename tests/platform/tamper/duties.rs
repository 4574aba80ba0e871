//! Duty: keeping still, and drawing lots as one likes.

use std::time::Duration;

use bedcheck::base::clock::Wall;
use bedcheck::base::ids::BedId;
use bedcheck::domain::Finding;
use bedcheck::domain::draw::{Commitment, Revealed, Seed, seed};
use bedcheck::domain::order::{Order, Ordered};
use bedcheck::domain::round::{RoundPlan, Spared};
use bedcheck::domain::verdict::Verdict;
use bedcheck::platform::{ledger, orders};
use bedcheck::store::Commit;
use bedcheck::wire::event::{Beat, Report};

use super::super::world::*;
use super::{Known, all_known, cases, judge};

const ROOT: Seed = Seed([5; 32]);

/// What the platform does every second, `seconds` later.
pub fn sweep(world: &World, seconds: u64) {
    let now = NOW.plus(Duration::from_secs(seconds));
    world.db().write(|tx| ledger::sweep(tx, now, NOW, Duration::from_secs(60))).unwrap();
}

fn beat() -> Commit {
    commit(Report::Beat(Beat::default()))
}

fn finding(finding: Finding) -> Commit {
    commit(Report::Finding(finding))
}

/// Round `number` with both beds in the order its seed gives.
fn drawn(number: u64) -> RoundPlan {
    let Report::Finding(Finding::RoundBegun(plan)) = round().report else { panic!("a round was made") };
    let own = seed(ROOT, number);
    let mut plan = RoundPlan { round: number, ..plan };
    plan.due.sort_by_key(|check| own.place(&check.bed));
    plan.revealed = (number > 1).then(|| Revealed { round: number - 1, seed: seed(ROOT, number - 1) });
    plan
}

/// The first round, without the bed that was drawn before all others.
fn spared() -> RoundPlan {
    let (own, mut plan) = (seed(ROOT, 1), drawn(1));
    plan.due.sort_by_key(|check| own.luck(&check.bed, 1));
    let drawn_first = plan.due.pop().unwrap();
    plan.spared = vec![Spared { bed: drawn_first.bed, tickets: 1 }];
    plan
}

fn committed(number: u64) -> Commit {
    finding(Finding::Committed(Commitment { round: number, sha256: seed(ROOT, number).hash() }))
}

fn begun(plan: RoundPlan) -> Commit {
    finding(Finding::RoundBegun(plan))
}

async fn said(device: &Device, commits: Vec<Commit>) {
    let mut journal = device.journal();
    journal.commit(commits).unwrap();
    deliver(device, journal).await;
}

fn order(id: &str) -> Order {
    let beds = vec![BedId::new("04").unwrap()];
    Order {
        id: id.to_owned(),
        nonce: "true".to_owned(),
        beds,
        until: NOW.plus(Duration::from_secs(600)),
        evidence: false,
    }
}

#[tokio::test]
async fn whoever_keeps_still_or_draws_as_he_likes_is_known() {
    let world = World::new().await;
    let device = |name: &str| world.device(name);
    let mut unnoticed = Vec::new();
    let mut tried = 0;
    let mut check = |attack: &str, device: &Device, kind: &'static str| {
        let found = cases(&world, device);
        tried += 1;
        unnoticed.extend(judge(attack, Known::Case(kind), found.contains(kind), &found));
    };

    let one = device("silent");
    said(&one, vec![beat()]).await;
    sweep(&world, 200);
    assert!(cases(&world, &one).is_empty(), "not yet");
    sweep(&world, 201);
    check("the box is switched off", &one, "silence");

    let one = device("idle");
    said(&one, vec![beat()]).await;
    let late = NOW.plus(Duration::from_secs(200 * 24 * 3600));
    world.db().write(|tx| ledger::heard(tx, &one.id, Some(late), late)).unwrap();
    sweep(&world, 200 * 24 * 3600);
    check("it beats and looks at no bed", &one, "no_round");

    let one = device("ordered");
    said(&one, vec![beat()]).await;
    world.db().write(|tx| orders::place(tx, &one.id, &order("a"), NOW)).unwrap();
    sweep(&world, 661);
    check("an ordered spot check is ignored", &one, "order_missed");

    let one = device("guessing");
    world.db().write(|tx| orders::place(tx, &one.id, &order("b"), NOW)).unwrap();
    let guessed = Ordered { id: "b".to_owned(), nonce: "guessed".to_owned() };
    said(&one, vec![begun(RoundPlan { order: Some(guessed), ..drawn(1) })]).await;
    sweep(&world, 661);
    check("an ordered spot check is answered beforehand", &one, "order_missed");

    let one = device("redrawn");
    let second = Commitment { round: 1, sha256: seed(Seed([6; 32]), 1).hash() };
    said(&one, vec![committed(1), finding(Finding::Committed(second))]).await;
    check("a second seed is committed to", &one, "draw_forged");

    let one = device("chosen");
    let mut chosen = drawn(1);
    chosen.due.reverse();
    said(&one, vec![committed(1), begun(chosen), begun(drawn(2))]).await;
    check("beds are looked at in an order of one's own", &one, "draw_forged");

    let one = device("spared");
    said(&one, vec![committed(1), begun(spared()), begun(drawn(2))]).await;
    check("the bed in question is spared", &one, "draw_forged");

    let one = device("unseeded");
    let revealed = Some(Revealed { round: 1, seed: Seed([7; 32]) });
    said(&one, vec![committed(1), begun(drawn(1)), begun(RoundPlan { revealed, ..drawn(2) })]).await;
    check("another seed is shown than was committed to", &one, "draw_forged");

    let one = device("nonsense");
    said(&one, vec![beat()]).await;
    check_nonsense(&world, &one).await;
    check("signed words that mean nothing", &one, "unreadable");

    all_known(tried, 9, &unnoticed);
    world.end().await;
}

/// A statement of the device about a body that is no event.
async fn check_nonsense(world: &World, device: &Device) {
    use bedcheck::base::files::sha256_hex;
    use bedcheck::wire::statement::{Statement, check};

    let mut journal = device.journal();
    journal.commit(vec![beat()]).unwrap();
    let mut item = journal.unsent().unwrap().unwrap().items.remove(0);
    let said: Statement = check(&item.envelope, &device.key.verifying_key()).unwrap().statement;
    item.body = "nothing to see here".to_owned();
    let said = Statement { body_sha256: sha256_hex(item.body.as_bytes()), ..said };
    item.envelope = said.sign(&device.key).unwrap().0;
    device.uplink().deliver(vec![item]).await.unwrap();
    assert_eq!(super::arrived_any(world, device), 2);
}

#[tokio::test]
async fn what_was_announced_and_not_proved_is_not_done_and_a_first_word_stands() {
    let world = World::new().await;
    let device = world.device("ward-3a");
    let tomorrow = |commit: Commit| Commit {
        at: bedcheck::base::clock::Now { wall: Wall(NOW.0 + 1), ..commit.at },
        ..commit
    };
    said(&device, vec![roster(), round(), check(Verdict::Mismatch), tomorrow(check(Verdict::Verified))])
        .await;
    sweep(&world, 3600);
    let rows = world.json("/api/v1/ledger").await;
    let states: std::collections::BTreeSet<&str> =
        rows["ledger"].as_array().unwrap().iter().map(|row| row["state"].as_str().unwrap()).collect();
    let found = cases(&world, &device);
    let unnoticed = [
        judge(
            "an announced bed is never looked at",
            Known::NotDone,
            states == ["not_done", "settled"].into(),
            &found,
        ),
        judge(
            "a second verdict for the same check",
            Known::Undone,
            world.json("/api/v1/rows").await["rows"][0]["verdict"] == "Mismatch",
            &found,
        ),
    ];
    all_known(2, 2, &unnoticed.into_iter().flatten().collect::<Vec<_>>());
    world.end().await;
}

#[tokio::test]
async fn an_honest_ward_that_draws_restarts_and_answers_is_accused_of_nothing() {
    let world = World::new().await;
    let device = world.device("ward-3a");
    world.db().write(|tx| orders::place(tx, &device.id, &order("c"), NOW)).unwrap();
    let answer = RoundPlan { order: Some(order("c").as_ordered()), ..drawn(2) };
    said(&device, vec![roster(), committed(1), begun(drawn(1)), beat(), begun(answer), committed(3), beat()])
        .await;
    sweep(&world, 199);
    assert_eq!(cases(&world, &device), std::collections::BTreeSet::new());
    world.end().await;
}
