//! Spot checks from the page they are ordered on to the results that come back into it, and samples that prove their draw.

use std::time::Duration;

use bedcheck::base::clock::Wall;
use bedcheck::domain::Finding;
use bedcheck::domain::draw::Seed;
use bedcheck::domain::order::Ordered;
use bedcheck::domain::role::Role;
use bedcheck::domain::round::RoundPlan;
use bedcheck::domain::verdict::Verdict;
use bedcheck::platform::keys::Keys;
use bedcheck::platform::spot_checks::{self, One};
use bedcheck::platform::{people, sessions, trail};
use bedcheck::store::Commit;
use bedcheck::wire::event::Report;
use sha2::{Digest, Sha256};

use crate::world::*;

/// The round of the story, as an answer to an order.
fn answering(order: Ordered) -> Commit {
    let Report::Finding(Finding::RoundBegun(plan)) = round().report else { panic!("a round begins") };
    commit(Report::Finding(Finding::RoundBegun(RoundPlan { order: Some(order), ..plan })))
}

async fn page(world: &World, path: &str) -> String {
    let (status, _, body) = world.ask(path, None).await;
    let body = String::from_utf8(body).unwrap();
    assert_eq!(status, 200, "{path}: {body}");
    body
}

/// Where an order led to, or what was wrong with it.
async fn order(world: &World, fields: &[(&str, &str)]) -> Result<String, (u16, String)> {
    let (status, head, body) = world.post("/orders", fields).await;
    match status {
        303 => Ok(between(&head, "location: ", "\r\n")),
        status => Err((status, String::from_utf8(body).unwrap())),
    }
}

#[tokio::test]
async fn a_bed_is_ordered_on_the_page_and_what_was_found_comes_back_into_it() {
    let world = World::new().await;
    let device = world.device("ward-3a");
    let (mut journal, uplink) = (device.journal(), device.uplink());
    journal.commit(vec![roster()]).unwrap();
    uplink.deliver(journal.unsent().unwrap().unwrap().items).await.unwrap();
    let fields = |device, beds| [("what", "beds"), ("device", device), ("beds", beds), ("minutes", "30")];
    for (wrong, word) in [
        (fields("ward-3a", "99"), "不在该病区现名册上"),
        (fields("ward-3a", " ，"), "至少写一张床"),
        (fields("nowhere", "04"), "没有此病区设备"),
        ([("what", "beds"), ("device", "ward-3a"), ("beds", "04"), ("minutes", "9999")], "1 分钟至 24 小时"),
    ] {
        let (status, body) = order(&world, &wrong).await.unwrap_err();
        assert!(status == 422 && body.contains(word), "{word}: {body}");
    }
    assert!(page(&world, "/orders").await.contains("还没有抽查"), "a refusal leaves nothing behind");

    let path = order(&world, &fields("ward-3a", "04")).await.unwrap();
    assert!(page(&world, &path).await.contains("等待执行"));
    journal.commit(vec![check(Verdict::Verified)]).unwrap();
    let receipt = uplink.deliver(journal.unsent().unwrap().unwrap().items).await.unwrap().receipt;
    let [waiting] = receipt.orders.as_slice() else { panic!("{:?}", receipt.orders) };
    assert_eq!((waiting.beds[0].as_str(), waiting.until), ("04", NOW.plus(Duration::from_secs(1800))));
    let known = waiting.as_ordered();
    let later = |verdict| {
        let Report::Finding(Finding::Checked(result)) = check(verdict).report else { panic!("a check") };
        commit(Report::Finding(Finding::Checked(bedcheck::domain::verdict::CheckResult {
            round: 8,
            ..result
        })))
    };
    let Report::Finding(Finding::RoundBegun(plan)) = answering(known).report else { panic!("a round") };
    let begun = commit(Report::Finding(Finding::RoundBegun(RoundPlan { round: 8, ..plan })));
    for said in [begun, later(Verdict::Mismatch), impersonation()] {
        journal.commit(vec![said]).unwrap();
    }
    let receipt = uplink.deliver(journal.unsent().unwrap().unwrap().items).await.unwrap().receipt;
    assert!(receipt.orders.is_empty());

    let answered = page(&world, &path).await;
    assert!(answered.contains("已执行") && answered.contains("人证不符"), "{answered}");
    assert!(!answered.contains("05床"), "only the bed that was ordered");
    let rows = page(&world, &format!("{path}/rows")).await;
    assert!(rows.contains("人证不符") && !rows.contains("<html"));
    let case = page(&world, "/exceptions/ward-3a/S4.04.impersonation.7").await;
    for expected in ["名册列入 04床", "下达抽查", "抽查已执行", &path, "/orders?device=ward-3a&#38;beds=04"]
    {
        assert!(case.contains(expected), "{expected}: {case}");
    }
    let entries = world.db().read(|db| trail::list(db, None, Some("程序"), 30)).unwrap();
    assert!(entries.iter().any(|entry| entry.act == "ordered a spot check"));
    world.end().await;
}

#[tokio::test]
async fn who_may_not_order_reads_what_was_ordered_and_a_hospital_does_not_hear_of_it_beforehand() {
    let world = World::new().await;
    let device = world.device("ward-3a");
    device.uplink().deliver(story(&mut device.journal())).await.unwrap();
    let fields = [("what", "ward"), ("device", "ward-3a"), ("minutes", "10")];
    let path = order(&world, &fields).await.unwrap();
    let read = async |name: &str, role: Role, path: &str| {
        let institution = (role == Role::Officer).then_some("示范医院");
        people::add(&world.db(), name, role, institution, NOW).unwrap();
        let token = sessions::program(&world.db(), name, NOW, Wall(NOW.0 + 1000)).unwrap();
        let line = format!("authorization: Bearer {token}\r\n");
        let (status, _, body) = world.send("GET", path, &line, &[]).await;
        (status, String::from_utf8(body).unwrap())
    };
    let (status, list) = read("审计甲", Role::Auditor, "/orders").await;
    assert!(status == 200 && list.contains(&path) && !list.contains("<form class=\"act\""), "{list}");
    let (_, case) = read("医保乙", Role::Officer, "/exceptions/ward-3a/S4.04.impersonation.7").await;
    assert!(case.contains("疑似冒名住院") && !case.contains("抽查"), "{case}");
    assert_eq!(read("医保丙", Role::Officer, &path).await.0, 403);
    world.end().await;
}

fn luck(seed: [u8; 32], device: &str, bed: &str) -> [u8; 8] {
    let purpose = format!("sample/{device}/{bed}");
    Sha256::new().chain_update(seed).chain_update(purpose).finalize()[..8].try_into().unwrap()
}

#[tokio::test]
async fn a_sample_is_bound_before_it_is_drawn_and_anybody_can_draw_it_again() {
    let world = World::new().await;
    for name in ["ward-3a", "ward-4bb", "ward-5ccc"] {
        let device = world.device(name);
        device.uplink().deliver(story(&mut device.journal())).await.unwrap();
    }
    let keys = Keys::read(world.folder.path()).unwrap();
    let root = spot_checks::root(&keys);
    let find = |path: &str, now: Wall| -> One {
        let id = path.rsplit('/').next().unwrap().to_owned();
        world.db().read(|db| spot_checks::one(db, root, &id, None, now)).unwrap().unwrap()
    };
    let before = page(&world, "/orders").await;
    let bound = between(&before, "<code class=\"hash\">", "</code>");
    let sample =
        |minutes| [("what", "sample"), ("institution", "示范医院"), ("count", "4"), ("minutes", minutes)];
    let first = order(&world, &sample("60")).await.unwrap();
    let second = order(&world, &sample("10")).await.unwrap();
    for wrong in ["0", "201", "-1", "many"] {
        let fields = [("what", "sample"), ("institution", "示范医院"), ("count", wrong), ("minutes", "10")];
        assert_eq!(order(&world, &fields).await.unwrap_err().0, 422, "{wrong}");
    }
    assert_eq!(between(&page(&world, "/orders").await, "<code class=\"hash\">", "</code>"), bound);
    let shown = page(&world, &first).await;
    assert!(shown.contains(&bound) && shown.contains("种子在期限过后公布"), "{shown}");
    assert!(world.json(&format!("{first}/draw.json")).await["seed"].is_null());

    // The second one's deadline is over, and its seed would give away that of the first.
    let soon = NOW.plus(Duration::from_secs(700));
    assert_eq!(find(&second, soon).draw.unwrap().seed, None);
    let later = NOW.plus(Duration::from_secs(3601));
    for path in [&first, &second] {
        let one = find(path, later);
        let draw = one.draw.unwrap();
        assert_eq!((draw.among.len(), draw.wanted, draw.holds), (6, 4, Some(true)));
        // Drawn again with nothing of ours.
        let Seed(seed) = draw.seed.unwrap();
        let mut all: Vec<_> =
            draw.among.iter().map(|place| (place.device.as_str(), place.bed.as_str())).collect();
        all.sort_by_key(|(device, bed)| std::cmp::Reverse(luck(seed, device, bed)));
        let mut expected = all[..4].to_vec();
        expected.sort_unstable();
        let mut ordered: Vec<(&str, &str)> = one
            .parts
            .iter()
            .flat_map(|part| part.beds.iter().map(|bed| (part.device.as_str(), bed.as_str())))
            .collect();
        ordered.sort_unstable();
        assert_eq!(ordered, expected);
        let hashed = (draw.bound_by.round..=draw.number).fold(seed, |seed, _| Sha256::digest(seed).into());
        assert_eq!(hex::encode(hashed), bound);
    }
    // Somebody with the database exchanges a bed for one that suits him better.
    world
        .db()
        .write(|tx| {
            tx.execute("UPDATE spot_check SET beds = CASE beds WHEN '04' THEN '05' ELSE '04' END", [])
        })
        .unwrap();
    assert_eq!(find(&first, later).draw.unwrap().holds, Some(false));
    world.end().await;
}
