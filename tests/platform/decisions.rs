//! Cases as people work them, through the pages: steps by role, two at once, forms sent twice, text that would run.

use bedcheck::domain::role::Role;
use bedcheck::platform::{people, sessions, trail};

use crate::world::{NOW, World, story};

const CASE: &str = "/exceptions/ward-3a/S4.04.impersonation.7";

/// Somebody who works through a program's token.
pub struct Desk<'w> {
    world: &'w World,
    line: String,
}

impl<'w> Desk<'w> {
    pub fn new(world: &'w World, name: &str, role: Role, institution: Option<&str>) -> Desk<'w> {
        people::add(&world.db(), name, role, institution, NOW).unwrap();
        let until = bedcheck::base::clock::Wall(NOW.0 + 1000);
        let token = sessions::program(&world.db(), name, NOW, until).unwrap();
        Desk { world, line: format!("authorization: Bearer {token}\r\n") }
    }

    pub async fn page(&self, path: &str) -> (u16, String) {
        let (status, _, body) = self.world.send("GET", path, &self.line, &[]).await;
        (status, String::from_utf8(body).unwrap())
    }

    /// Status, where it leads or nothing, and the page.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> (u16, String, String) {
        let (status, head, body) = self.world.send("POST", path, &self.line, fields).await;
        let leads = head.lines().find_map(|line| line.strip_prefix("location: ")).unwrap_or_default();
        (status, leads.to_owned(), String::from_utf8(body).unwrap())
    }

    async fn step(&self, step: &str, version: &str, reason: &str, text: &str) -> (u16, String) {
        let fields = [("step", step), ("version", version), ("reason", reason), ("text", text)];
        let (status, _, body) = self.post(&format!("{CASE}/step"), &fields).await;
        (status, body)
    }
}

async fn world() -> World {
    let world = World::new().await;
    let device = world.device("ward-3a");
    device.uplink().deliver(story(&mut device.journal())).await.unwrap();
    world
}

#[tokio::test]
async fn a_case_is_worked_to_its_end_by_those_whose_turn_it_is() {
    let world = world().await;
    let bureau = Desk::new(&world, "监管甲", Role::Supervisor, None);
    let review = Desk::new(&world, "复核乙", Role::Reviewer, None);
    let hospital = Desk::new(&world, "医保丙", Role::Officer, Some("示范医院"));
    let other = Desk::new(&world, "医保丁", Role::Officer, Some("另一医院"));
    let (status, page) = bureau.page(CASE).await;
    assert_eq!(status, 200);
    for expected in ["疑似冒名住院", "04床 1轮人证不符", "待核定", "第四十条", "启封", "下载案卷", "链完整"]
    {
        assert!(page.contains(expected), "{expected}");
    }
    assert_eq!(hospital.step("confirm", "0", "", "").await.0, 422, "not the hospital's step");
    assert_eq!(bureau.step("confirm", "0", "", "").await.0, 303);
    assert_eq!(bureau.step("notify", "1", "", "").await.0, 303);
    assert_eq!(other.page(CASE).await.0, 404, "another hospital's case");
    assert_eq!(other.step("answer", "2", "on_leave", "").await.0, 404);
    assert_eq!(hospital.step("answer", "2", "on_leave", "张三").await.0, 422, "free text");
    assert_eq!(hospital.step("answer", "2", "emergency", "夜间转运").await.0, 303);
    let page = bureau.page(CASE).await.1;
    assert!(page.contains("急救或转运") && page.contains("夜间转运"), "{page}");
    assert_eq!(review.step("uphold", "3", "no_ground", "").await.0, 303);
    assert_eq!(hospital.step("appeal", "4", "new_proof", "").await.0, 303);
    assert_eq!(review.step("dismiss", "5", "excused", "").await.0, 422, "the same reviewer");
    let second = Desk::new(&world, "复核戊", Role::Reviewer, None);
    assert_eq!(second.step("dismiss", "5", "excused", "").await.0, 303);
    assert_eq!(bureau.step("close", "6", "", "").await.0, 303);
    let entries = world.db().read(|db| trail::list(db, None, Some("复核戊"), 10)).unwrap();
    assert_eq!(entries[0].act, "dismiss");
    assert!(entries[0].what.contains("S4.04.impersonation.7"));
    let queue = bureau.page("/exceptions?state=closed").await.1;
    assert!(queue.contains("已结案") && queue.contains("疑似冒名住院"), "{queue}");
    assert!(other.page("/exceptions").await.1.contains("没有符合条件的异常"));
    world.end().await;
}

#[tokio::test]
async fn the_second_of_two_decisions_is_refused_and_shows_the_first() {
    let world = world().await;
    let one = Desk::new(&world, "监管甲", Role::Supervisor, None);
    let two = Desk::new(&world, "复核乙", Role::Reviewer, None);
    let (first, second) =
        tokio::join!(one.step("confirm", "0", "", ""), two.step("dismiss", "0", "technical", ""));
    let mut statuses = [first.0, second.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 409]);
    let refused = if first.0 == 409 { first.1 } else { second.1 };
    assert!(
        refused.contains("他人已先处理") && (refused.contains("监管甲 ·") || refused.contains("复核乙 ·"))
    );
    assert_eq!(one.step("confirm", "0", "", "").await.0, 409, "a form sent again");
    world.end().await;
}

#[tokio::test]
async fn text_that_would_run_is_shown_as_text() {
    let world = world().await;
    let bureau = Desk::new(&world, "<script>alert(1)</script>", Role::Supervisor, None);
    let hospital = Desk::new(&world, "医保丙", Role::Officer, Some("示范医院"));
    bureau.step("confirm", "0", "", "").await;
    bureau.step("notify", "1", "", "").await;
    assert_eq!(hospital.step("answer", "2", "other", "<img src=x onerror=alert(1)>").await.0, 303);
    assert_eq!(hospital.step("answer", "2", "other", &"长".repeat(501)).await.0, 409);
    let page = bureau.page(CASE).await.1;
    assert!(!page.contains("<script>") && !page.contains("<img src=x"), "{page}");
    for path in [
        "/exceptions?text=%3Cscript%3E",
        "/patrol?institution=%3Cb%3E",
        "/verification?device=%3Cscript%3E",
        "/orders?device=%3Cscript%3E&beds=%22%3E%3Cscript%3E",
        "/?institution=%3Cscript%3E",
        "/wards/ward-3a",
        "/screen",
        "/screening",
        "/devices",
    ] {
        let (status, page) = bureau.page(path).await;
        assert!(status == 200 && !page.contains("<script>") && page.len() < 150_000, "{path}");
    }
    world.end().await;
}
