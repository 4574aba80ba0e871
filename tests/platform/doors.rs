//! Who is let in to the pages, to which, and as long as what: sign-in, sessions, forms, roles, hospitals.

use bedcheck::domain::role::Role;
use bedcheck::platform::rights::{RIGHTS, Whose};
use bedcheck::platform::{people, sessions};

use crate::world::{NOW, World, between, story};

/// What a browser keeps: its cookies, and the token of the form it was shown.
struct Browser<'w> {
    world: &'w World,
    cookies: Vec<(String, String)>,
}

impl<'w> Browser<'w> {
    fn new(world: &'w World) -> Browser<'w> {
        Browser { world, cookies: Vec::new() }
    }

    async fn send(&mut self, method: &str, path: &str, fields: &[(&str, &str)]) -> (u16, String, String) {
        let jar: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let line = if jar.is_empty() { String::new() } else { format!("cookie: {}\r\n", jar.join("; ")) };
        let (status, head, body) = self.world.send(method, path, &line, fields).await;
        for line in head.lines().filter_map(|line| line.strip_prefix("set-cookie: ")) {
            assert!(line.contains("HttpOnly") && line.contains("SameSite=Strict"), "{line}");
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
        (status, head, String::from_utf8_lossy(&body).into_owned())
    }

    async fn sign_in(&mut self, name: &str, passphrase: &str) -> (u16, String) {
        let page = self.send("GET", "/sign-in?next=%2Fdevices", &[]).await.2;
        let csrf = between(&page, "name=\"csrf\" value=\"", "\"");
        let fields = [("csrf", csrf.as_str()), ("name", name), ("passphrase", passphrase), ("next", "/")];
        let (status, head, _) = self.send("POST", "/sign-in", &fields).await;
        (status, head)
    }
}

fn add(world: &World, name: &str, role: Role) -> String {
    let institution = (role == Role::Officer).then_some("示范医院");
    people::add(&world.db(), name, role, institution, NOW).unwrap()
}

#[tokio::test]
async fn nobody_sees_a_page_unknown_and_signing_out_ends_what_signing_in_began() {
    let world = World::new().await;
    let mut browser = Browser::new(&world);
    let (status, head, _) = browser.send("GET", "/", &[]).await;
    assert!(status == 303 && head.contains("location: /sign-in?next=%2F"), "{head}");
    let (status, head, body) = browser.send("GET", "/api/v1/rows", &[]).await;
    assert!(status == 401 && head.contains("application/problem+json"), "{head}\n{body}");
    let passphrase = add(&world, "王五", Role::Supervisor);
    assert_eq!(browser.sign_in("王五", "guessed").await.0, 403);
    assert_eq!(browser.sign_in("王五", &passphrase).await.0, 303);
    let (status, head, page) = browser.send("GET", "/", &[]).await;
    assert_eq!(status, 200, "{head}");
    assert!(page.contains("王五") && page.contains("监管员"), "{page}");
    let stolen = browser.cookies.clone();
    let csrf = between(&page, "name=\"csrf\" value=\"", "\"");
    assert_eq!(browser.send("POST", "/sign-out", &[("csrf", "guessed")]).await.0, 403);
    assert_eq!(browser.send("POST", "/sign-out", &[]).await.0, 403);
    assert_eq!(browser.send("POST", "/sign-out", &[("csrf", &csrf)]).await.0, 303);
    browser.cookies = stolen;
    assert_eq!(browser.send("GET", "/", &[]).await.0, 303, "a kept cookie is worth nothing");
    world.end().await;
}

#[tokio::test]
async fn five_wrong_passphrases_lock_the_name_at_the_door_too_and_a_form_from_elsewhere_tries_none() {
    let world = World::new().await;
    let passphrase = add(&world, "王五", Role::Supervisor);
    let mut browser = Browser::new(&world);
    let foreign = [("name", "王五"), ("passphrase", passphrase.as_str()), ("csrf", "")];
    assert_eq!(browser.send("POST", "/sign-in", &foreign).await.0, 403);
    for _ in 0..5 {
        assert_eq!(browser.sign_in("王五", "guessed").await.0, 403);
    }
    assert_eq!(browser.sign_in("王五", &passphrase).await.0, 403);
    world.end().await;
}

#[tokio::test]
async fn a_link_signs_in_once_and_looking_at_it_uses_nothing_up() {
    let world = World::new().await;
    add(&world, "李四", Role::Auditor);
    let path = format!("/welcome/{}", sessions::link(&world.db(), "李四", NOW).unwrap());
    let mut browser = Browser::new(&world);
    for _ in 0..2 {
        assert!(browser.send("GET", &path, &[]).await.2.contains("李四"));
    }
    let page = browser.send("GET", &path, &[]).await.2;
    let csrf = between(&page, "name=\"csrf\" value=\"", "\"");
    assert_eq!(browser.send("POST", &path, &[("csrf", &csrf)]).await.0, 303);
    assert_eq!(browser.send("GET", "/devices", &[]).await.0, 200);
    let mut other = Browser::new(&world);
    assert_eq!(other.send("GET", &path, &[]).await.0, 403);
    world.end().await;
}

#[tokio::test]
async fn every_role_gets_what_the_table_gives_it_and_nothing_else() {
    let world = World::new().await;
    let device = world.device("ward-3a");
    device.uplink().deliver(story(&mut device.journal())).await.unwrap();
    for role in Role::ALL {
        add(&world, role.chinese(), role);
        let until = bedcheck::base::clock::Wall(NOW.0 + 1000);
        let token = sessions::program(&world.db(), role.chinese(), NOW, until).unwrap();
        let line = format!("authorization: Bearer {token}\r\n");
        for right in RIGHTS.iter().filter(|right| right.path != "/events") {
            let path = right.path.replace("{device}", "ward-3a").replace("{id}", "x").replace("{token}", "x");
            let method = if right.is_post { "POST" } else { "GET" };
            let whose = match right.whose {
                Whose::Of(roles) => roles,
                // Signing in is everybody's; here somebody already is.
                Whose::Anybody => continue,
            };
            let (status, _, body) = world.send(method, &path, &line, &[]).await;
            let body = String::from_utf8_lossy(&body);
            let is_refused = body.contains("您的角色无权使用此功能");
            assert_eq!(is_refused, !whose.contains(&role), "{role:?} {method} {path}: {status} {body}");
            assert_ne!(status, 500, "{role:?} {method} {path}: {body}");
            assert!(!body.contains("没有此页面"), "{path} is in the table and not on the router");
            // Without a sign of who asks there is never an answer.
            let (status, _, _) = world.send(method, &path, "", &[]).await;
            assert!([303, 401].contains(&status), "{method} {path}: {status}");
        }
    }
    assert_eq!(world.send("GET", "/nowhere", "", &[]).await.0, 404);
    assert_eq!(world.send("DELETE", "/rows", "", &[]).await.0, 403);
    world.end().await;
}

#[tokio::test]
async fn an_officer_sees_the_own_hospital_and_no_other() {
    let world = World::new().await;
    let device = world.device("ward-3a");
    device.uplink().deliver(story(&mut device.journal())).await.unwrap();
    let counts = async |name: &str, institution: &str| {
        people::add(&world.db(), name, Role::Officer, Some(institution), NOW).unwrap();
        let until = bedcheck::base::clock::Wall(NOW.0 + 1000);
        let token = sessions::program(&world.db(), name, NOW, until).unwrap();
        let line = format!("authorization: Bearer {token}\r\n");
        let mut counts = Vec::new();
        for what in ["rows", "exceptions", "devices", "ledger"] {
            let (_, _, body) = world.send("GET", &format!("/api/v1/{what}"), &line, &[]).await;
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            counts.push(body[what].as_array().unwrap().len());
        }
        let (_, _, page) = world.send("GET", "/", &line, &[]).await;
        (counts, String::from_utf8(page).unwrap().contains("张**"))
    };
    assert_eq!(counts("本院", "示范医院").await, (vec![2, 1, 1, 2], true));
    assert_eq!(counts("他院", "另一医院").await, (vec![0, 0, 0, 0], false));
    world.end().await;
}

#[tokio::test]
async fn who_looked_at_people_is_in_the_trail() {
    let world = World::new().await;
    world.json("/api/v1/rows").await;
    let entries = world.db().read(|db| bedcheck::platform::trail::list(db, None, Some("程序"), 10)).unwrap();
    assert_eq!((entries[0].act.as_str(), entries[0].what.as_str()), ("rows", "/api/v1/rows"));
    assert_eq!(entries[0].role, "supervisor");
    world.end().await;
}
