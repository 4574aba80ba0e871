//! A device's certificates that follow one another, and what those that ended are still good for: nothing.

use std::path::Path;
use std::time::Duration;

use bedcheck::agent::identity;
use bedcheck::agent::renew::Renew;
use bedcheck::base::clock::{Clock, Now, Wall};
use bedcheck::base::files::write_owner_only;
use bedcheck::base::ids::{DeviceId, WardId};
use bedcheck::base::supervise;
use bedcheck::net::cert::{self, Validity};
use bedcheck::net::tls;
use bedcheck::platform::devices;
use bedcheck::uplink::{Platform, UplinkError};
use bedcheck::wire::enrol::DeviceRequest;
use rcgen::KeyPair;
use tempfile::TempDir;

use crate::enrolment::today;
use crate::world::*;

pub const DAY: Duration = Duration::from_secs(24 * 3600);

/// A device that joined by token, as its agent runs.
pub struct Joined {
    state: TempDir,
    pub renew: Renew,
}

impl Joined {
    pub async fn new(world: &World) -> Joined {
        let state = world.joined("d1").await;
        let renew = Joined::started(state.path());
        Joined { state, renew }
    }

    /// As after a restart: everything is read from the disk.
    fn started(state: &Path) -> Renew {
        let bundle = identity::bundle(state).unwrap();
        Renew {
            state: state.to_owned(),
            platform: identity::platform(state, &bundle).unwrap(),
            ward: WardId::new("3A").unwrap(),
            clock: Clock::system(),
        }
    }

    pub fn platform(&self) -> &Platform {
        &self.renew.platform
    }

    pub fn shown(&self) -> tls::Identity {
        identity::tls(self.state.path(), &identity::bundle(self.state.path()).unwrap()).unwrap()
    }

    fn next_request(&self) -> bedcheck::wire::dsse::Envelope {
        let bundle = identity::bundle(self.state.path()).unwrap();
        identity::next_request(self.state.path(), &bundle, &WardId::new("3A").unwrap()).unwrap()
    }

    pub async fn is_served(&self) -> bool {
        self.platform().deliver(vec![]).await.is_ok()
    }
}

fn key_of(pem: &str) -> Vec<u8> {
    cert::public_key(&cert::first(pem).unwrap()).unwrap()
}

fn status(result: Result<String, UplinkError>) -> u16 {
    match result {
        Err(UplinkError::Refused { status, .. } | UplinkError::Busy { status, .. }) => status,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a certificate was issued"),
    }
}

pub fn due() -> Wall {
    today().plus(DAY * 21)
}

#[tokio::test]
async fn at_two_thirds_of_its_life_a_new_key_takes_over_without_a_restart_and_the_old_one_ends() {
    let world = World::today().await;
    let device = Joined::new(&world).await;
    let before = device.shown();
    let old = Joined::started(device.state.path()).platform;
    assert!(old.deliver(vec![]).await.is_ok());
    assert!(!device.renew.turn(today().plus(DAY * 19)).await.unwrap());
    assert!(!device.renew.turn(Wall(0)).await.unwrap(), "a clock set back asks for nothing");
    assert!(device.renew.turn(due()).await.unwrap());
    let after = device.shown();
    assert_ne!(key_of(&after.cert_pem), key_of(&before.cert_pem));
    assert!(!device.state.path().join("identity/next.key").exists());
    // Until the new one was used, the old one counts; then only the new one does, also on a connection that is open.
    assert!(old.deliver(vec![]).await.is_ok());
    assert!(device.is_served().await, "the same uplink shows the new certificate");
    assert_eq!(refused(old.deliver(vec![]).await), 403);
    assert_eq!(status(old.renew(&device.next_request()).await), 403);
    assert!(Joined::started(device.state.path()).platform.deliver(vec![]).await.is_ok(), "after a restart");
    let until = world.json("/api/v1/devices").await["devices"][0]["certificate_until"].as_i64().unwrap();
    // The certificate has whole seconds.
    assert_eq!(Validity::of_pem(&after.cert_pem).unwrap().until.0, until / 1000 * 1000);
    world.end().await;
}

#[tokio::test]
async fn the_agents_own_task_renews_and_ends_with_the_agent() {
    let world = World::today().await;
    let Joined { state, renew } = Joined::new(&world).await;
    let uplink = renew.platform.clone();
    let clock = Clock::Fixed(Now { wall: due(), ..Now::default() });
    let (stop, stopping) = supervise::shutdown();
    let task = supervise::task("certificate", Renew { clock, ..renew }.run(stopping));
    let patience = async {
        while !state.path().join("identity/tls.pem").exists()
            || state.path().join("identity/next.key").exists()
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), patience).await.unwrap();
    stop.fire();
    task.await.unwrap();
    assert!(uplink.deliver(vec![]).await.is_ok());
    // What is served now is the new one alone.
    std::fs::remove_file(state.path().join("identity/tls.pem")).unwrap();
    let old = Joined::started(state.path()).platform;
    assert_eq!(refused(old.deliver(vec![]).await), 403);
    world.end().await;
}

#[tokio::test]
async fn a_power_cut_or_a_lost_answer_at_any_moment_locks_nobody_out() {
    let world = World::today().await;
    let device = Joined::new(&world).await;
    let next = device.state.path().join("identity/next.key");
    // After the new key was made.
    device.next_request();
    let made = std::fs::read(&next).unwrap();
    assert!(device.is_served().await);
    // After the platform had answered: the answer is lost, the same key gets the same certificate.
    let lost = device.platform().renew(&device.next_request()).await.unwrap();
    assert_eq!(std::fs::read(&next).unwrap(), made);
    let restarted = Joined::started(device.state.path());
    assert!(restarted.platform.deliver(vec![]).await.is_ok(), "the old certificate");
    assert!(restarted.turn(due()).await.unwrap());
    assert_eq!(device.shown().cert_pem, lost);
    assert!(restarted.platform.deliver(vec![]).await.is_ok(), "the new certificate");
    // After the pair was put in place and before its copy was removed: the next turn makes a key of its own.
    write_owner_only(&next, &made).unwrap();
    let restarted = Joined::started(device.state.path());
    assert!(restarted.platform.deliver(vec![]).await.is_ok());
    assert!(restarted.turn(due()).await.unwrap());
    assert_ne!(key_of(&device.shown().cert_pem), key_of(&lost));
    assert!(restarted.platform.deliver(vec![]).await.is_ok());
    // An answer that is not for our key changes nothing.
    let before = device.shown().cert_pem;
    device.next_request();
    let bundle = identity::bundle(device.state.path()).unwrap();
    assert!(identity::take_next(device.state.path(), &bundle, lost).is_err());
    assert_eq!(device.shown().cert_pem, before);
    world.end().await;
}

#[tokio::test]
async fn no_certificate_for_another_statement_key_another_device_or_the_same_key() {
    let world = World::today().await;
    let device = Joined::new(&world).await;
    let tls_key = KeyPair::generate().unwrap();
    let csr =
        |key: &KeyPair| rcgen::CertificateParams::default().serialize_request(key).unwrap().pem().unwrap();
    let asked = |name: &str, csr_pem: String, key: &ed25519_dalek::SigningKey| {
        let request = DeviceRequest {
            v: 1,
            device: DeviceId::new(name).unwrap(),
            ward: WardId::new("3A").unwrap(),
            csr_pem,
            statement_key: key.verifying_key().to_bytes().to_vec(),
        };
        request.sign(key).unwrap()
    };
    let (own, other) = (
        identity::statement_key(device.state.path()).unwrap(),
        ed25519_dalek::SigningKey::from_bytes(&[9; 32]),
    );
    let present = KeyPair::from_pem(&device.shown().key_pem).unwrap();
    let platform = device.platform();
    assert_eq!(status(platform.renew(&asked("d1", csr(&tls_key), &other)).await), 403);
    assert_eq!(status(platform.renew(&asked("d2", csr(&tls_key), &own)).await), 403);
    assert_eq!(status(platform.renew(&asked("d1", csr(&present), &own)).await), 400);
    assert_eq!(status(platform.renew(&asked("d1", "nonsense".into(), &own)).await), 400);
    let mut forged = asked("d1", csr(&tls_key), &own);
    forged.payload = asked("d1", csr(&KeyPair::generate().unwrap()), &own).payload;
    assert_eq!(status(platform.renew(&forged).await), 400);
    assert!(device.is_served().await);
    // A month's worth and no more, whatever the device's clock says; the one in use stays good.
    let mut issued = 1;
    while platform.renew(&asked("d1", csr(&KeyPair::generate().unwrap()), &own)).await.is_ok() {
        issued += 1;
        assert!(issued <= 8);
    }
    let last = platform.renew(&asked("d1", csr(&tls_key), &own)).await;
    assert!(matches!(last, Err(UplinkError::Busy { status: 429, .. })) && issued == 8, "{issued}");
    assert!(device.is_served().await);
    devices::revoke(&world.db(), &DeviceId::new("d1").unwrap(), today()).unwrap();
    assert_eq!(status(platform.renew(&asked("d1", csr(&tls_key), &own)).await), 403);
    world.end().await;
}

#[tokio::test]
async fn a_certificate_is_worth_nothing_after_its_end_by_the_platforms_clock() {
    for (days, is_served) in [(29, true), (31, false)] {
        let clock = Clock::Fixed(Now { wall: today().plus(DAY * days), ..Now::default() });
        let world = World::of(today(), clock).await;
        // Good for the handshake, which goes by the machine's clock: as on a connection that was opened in time.
        let device = world.device("d1");
        assert_eq!(device.uplink().deliver(vec![]).await.is_ok(), is_served, "after {days} days");
        world.end().await;
    }
}
