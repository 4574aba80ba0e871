//! Devices that join by token, and all who try to join with one that is not theirs.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bedcheck::agent::identity;
use bedcheck::base::clock::{Clock, Wall};
use bedcheck::base::ids::{DeviceId, WardId};
use bedcheck::platform::devices::{self, Admission};
use bedcheck::platform::keys::Keys;
use bedcheck::platform::tokens::{self, Purpose};
use bedcheck::store::Journal;
use bedcheck::uplink::{self, UplinkError};
use bedcheck::wire::enrol::DeviceBundle;
use bedcheck::wire::statement::Digests;
use bedcheck::wire::token::{Enrolment, Token};
use tempfile::TempDir;

use crate::world::*;

const HOUR: Duration = Duration::from_secs(3600);

pub fn today() -> Wall {
    Clock::system().now().wall
}

impl World {
    pub fn token(&self, device: &str, serial: Option<&str>, made: Wall) -> Token {
        let running = self.running();
        let purpose = Purpose {
            device: DeviceId::new(device).unwrap(),
            ward: WardId::new("三病区").unwrap(),
            serial: serial.map(str::to_owned),
            admission: Admission {
                url: format!("https://127.0.0.1:{}", running.devices.port()),
                institution: "示范医院".into(),
                round_every: 4 * HOUR,
            },
            enrol_url: format!("https://127.0.0.1:{}", running.enrol.unwrap().port()),
        };
        let keys = Keys::read(self.folder.path()).unwrap();
        tokens::make(&self.db(), &keys, &purpose, made).unwrap()
    }

    /// A device that joined by token; its state folder.
    pub async fn joined(&self, device: &str) -> TempDir {
        let state = tempfile::tempdir().unwrap();
        let token = self.token(device, None, today());
        let bundle = try_token(state.path(), &token, None).await.unwrap();
        identity::join(state.path(), &bundle).unwrap();
        state
    }

    pub async fn devices(&self) -> (usize, u64) {
        let said = self.json("/api/v1/devices").await;
        (said["devices"].as_array().unwrap().len(), said["enrolments_refused"].as_u64().unwrap())
    }
}

async fn try_token(state: &Path, token: &Token, serial: Option<&str>) -> Result<DeviceBundle, UplinkError> {
    let enrolment = identity::enrolment(state, token, serial.map(str::to_owned)).unwrap();
    uplink::enrol(token, &enrolment).await
}

/// What the peer was told, where it was refused.
fn told(result: Result<DeviceBundle, UplinkError>) -> (u16, String) {
    match result {
        Err(UplinkError::Refused { status, detail }) => (status, detail),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a device was admitted"),
    }
}

/// The journal of a device that joined.
pub fn journal(state: &Path) -> Journal {
    let bundle = identity::bundle(state).unwrap();
    let signer = identity::signer(state, &bundle, "b".into(), Digests::default()).unwrap();
    Journal::open(&state.join("journal.db"), signer).unwrap()
}

fn bedcheck(arguments: &[&str], state: &Path, input: &str) -> (i32, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_bedcheck"))
        .args(arguments)
        .arg("--state")
        .arg(state)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_pasted_into_the_device_is_all_it_takes_and_works_once() {
    let world = World::today().await;
    let running = world.running();
    let output = Command::new(env!("CARGO_BIN_EXE_bedcheck-platform"))
        .args(["device", "token", "--device", "终端-3a", "--ward", "三病区", "--institution", "示范医院"])
        .args(["--url", &format!("https://127.0.0.1:{}", running.devices.port())])
        .args(["--enrol-url", &format!("https://127.0.0.1:{}", running.enrol.unwrap().port())])
        .arg("--dir")
        .arg(world.folder.path())
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}");
    let line = printed.lines().find(|line| line.starts_with("BC1-")).unwrap().to_owned();
    assert!(printed.lines().filter(|line| line.contains('█')).count() > 20, "the QR code: {printed}");
    assert!(!printed.contains('\x1b'), "colours for a terminal only");

    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut typed = line.clone();
    let at = 40 + line[40..].find(|letter: char| letter.is_ascii_alphanumeric()).unwrap();
    typed.replace_range(at..=at, if &line[at..=at] == "A" { "B" } else { "A" });
    let (code, said) = bedcheck(&["device", "enrol"], one.path(), &typed);
    assert_eq!(code, 64, "{said}");
    assert!(said.contains("抄写有误") && !one.path().join("identity").exists(), "{said}");
    let (code, said) = bedcheck(&["device", "enrol", "--token-file", "-"], one.path(), &format!("{line}\n"));
    assert_eq!(code, 0, "{said}");
    assert!(!said.contains(&line[20..60]), "the token is not repeated");
    let (code, said) = bedcheck(&["device", "enrol", &line], two.path(), "");
    assert!(code == 1 && said.contains("used already"), "{code} {said}");

    let bundle = identity::bundle(one.path()).unwrap();
    let platform = identity::platform(one.path(), &bundle).unwrap();
    assert_eq!(fates(&platform.deliver(story(&mut journal(one.path()))).await.unwrap()).len(), 4);
    assert!(identity::bundle(two.path()).is_err());
    assert_eq!(world.devices().await, (1, 1));
    world.end().await;
}

#[tokio::test]
async fn a_token_is_good_for_a_day_for_its_own_device_ward_and_serial_number() {
    let world = World::today().await;
    let now = today();
    let state = tempfile::tempdir().unwrap();
    let path = state.path();
    let back = |time: Duration| Wall(now.0 - time.as_millis() as i64);
    let late = world.token("d1", None, back(24 * HOUR + Duration::from_secs(60)));
    assert!(told(try_token(path, &late, None).await).1.contains("expired"));
    let early = world.token("d1", None, now.plus(HOUR));
    assert!(told(try_token(path, &early, None).await).1.contains("set back"));
    let token = world.token("d1", Some("SN-1"), back(23 * HOUR));
    let other_device = Token { device: DeviceId::new("d2").unwrap(), ..token.clone() };
    let other_ward = Token { ward: WardId::new("四病区").unwrap(), ..token.clone() };
    for (foreign, serial) in
        [(&other_device, Some("SN-1")), (&other_ward, Some("SN-1")), (&token, Some("SN-2")), (&token, None)]
    {
        let (status, why) = told(try_token(path, foreign, serial).await);
        assert!(status == 403 && why.contains("another device, ward or serial"), "{why}");
    }
    assert_eq!(world.devices().await, (0, 6), "all are counted and nobody is in");
    try_token(path, &token, Some("SN-1")).await.unwrap();
    assert_eq!(world.devices().await, (1, 6));
    world.end().await;
}

#[tokio::test]
async fn whoever_does_not_hold_the_token_hears_one_sentence_and_soon_has_to_wait() {
    let world = World::today().await;
    let token = world.token("d1", None, today());
    let state = tempfile::tempdir().unwrap();
    let good = identity::enrolment(state.path(), &token, None).unwrap();
    // Over another TLS key than the request's: whoever exchanges the key on the way.
    let over_other_key = Enrolment::prove(&token, [1; 32], None, good.request.clone(), &[7; 91]);
    let other_request = tempfile::tempdir().unwrap();
    let other = identity::request(other_request.path(), &token.device, &token.ward).unwrap();
    let exchanged = Enrolment { request: other, ..good.clone() };
    let unknown = Enrolment { token: "00".repeat(8), ..good.clone() };
    let guessed = Token { secret: zeroize::Zeroizing::new([3; 32]), ..token.clone() };
    let guess = identity::enrolment(state.path(), &guessed, None).unwrap();
    let mut sentences = Vec::new();
    for sent in [&over_other_key, &exchanged, &unknown, &guess] {
        sentences.push(told(uplink::enrol(&token, sent).await));
    }
    assert_eq!(sentences, vec![(403, "令牌不被接受 · the token is not accepted".to_owned()); 4]);
    let newer = Enrolment { v: 2, ..good.clone() };
    assert_eq!(told(uplink::enrol(&token, &newer).await).0, 400);
    for _ in 0..5 {
        told(uplink::enrol(&token, &guess).await);
    }
    // Ten failures of one address: even the right one waits a minute now.
    let slower = uplink::enrol(&token, &good).await.err().unwrap();
    assert!(
        matches!(slower, UplinkError::Busy { status: 429, retry_after: Some(wait) } if wait == Duration::from_secs(60))
    );
    assert_eq!(world.devices().await, (0, 11));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_devices_with_one_token_exactly_one_joins() {
    let world = World::today().await;
    for at in 0..4 {
        let token = world.token(&format!("d{at}"), None, today());
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (first, second) =
            tokio::join!(try_token(one.path(), &token, None), try_token(two.path(), &token, None));
        let lost = match (first.is_ok(), second.is_ok()) {
            (true, false) => second,
            (false, true) => first,
            both => panic!("{both:?}"),
        };
        assert!(told(lost).1.contains("used already"));
    }
    assert_eq!(world.devices().await, (4, 4));
    world.end().await;
}

#[tokio::test]
async fn a_lost_answer_is_given_again_to_the_same_keys_until_the_device_has_spoken() {
    let world = World::today().await;
    let token = world.token("d1", None, today());
    let (state, thief) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sent = identity::enrolment(state.path(), &token, None).unwrap();
    let lost = uplink::enrol(&token, &sent).await.unwrap();
    // The whole message again, and a new one of the same device: the same certificate, so that nothing can be broken.
    assert_eq!(uplink::enrol(&token, &sent).await.unwrap(), lost);
    let bundle = try_token(state.path(), &token, None).await.unwrap();
    assert_eq!(bundle, lost);
    assert!(told(try_token(thief.path(), &token, None).await).1.contains("used already"));
    identity::join(state.path(), &bundle).unwrap();
    assert!(identity::join(thief.path(), &bundle).is_err(), "of no use without the key");
    let platform = identity::platform(state.path(), &bundle).unwrap();
    platform.deliver(story(&mut journal(state.path()))).await.unwrap();
    assert!(told(uplink::enrol(&token, &sent).await).1.contains("used already"), "a replay");

    // Shut out: neither the used token nor one that waits brings it back.
    let waiting = world.token("d1", None, today());
    devices::revoke(&world.db(), &token.device, today()).unwrap();
    assert_eq!(told(uplink::enrol(&token, &sent).await).0, 403);
    assert_eq!(told(try_token(state.path(), &waiting, None).await).0, 403);
    assert_eq!(refused(platform.deliver(vec![]).await), 403);
    world.end().await;
}
