//! Messages between agent and platform. A signature stops every mutation, so what stands behind one is signed here.

use std::collections::BTreeMap;
use std::time::Duration;

use bedcheck::base::clock::{Mono, Now, Wall};
use bedcheck::base::files::sha256_hex;
use bedcheck::base::ids::{BedId, CameraId, DeviceId, StayId};
use bedcheck::base::redact::Private;
use bedcheck::domain::order::Order;
use bedcheck::domain::policy::{FaceRule, Policy};
use bedcheck::domain::roster::{Roster, Stay};
use bedcheck::domain::{Domain, Effect, Input};
use bedcheck::uplink::acknowledged;
use bedcheck::wire::batch::{Answer, RECEIPT_TYPE};
use bedcheck::wire::dsse::Envelope;
use bedcheck::wire::event::Event;
use bedcheck::wire::statement::{self, STATEMENT_TYPE};
use bedcheck::wire::token::Token;
use bedcheck::wire::{enrol, seal};
use ed25519_dalek::SigningKey;

pub fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub fn device() -> DeviceId {
    DeviceId::new("ward-3a").expect("plain")
}

/// An envelope as it stands on the wire; only our key could have signed one that is believed.
pub fn envelope(data: &[u8]) {
    let Ok(envelope) = serde_json::from_slice::<Envelope>(data) else { return };
    let text = serde_json::to_vec(&envelope).expect("JSON");
    assert_eq!(serde_json::from_slice::<Envelope>(&text).ok().as_ref(), Some(&envelope));
    if let Ok(payload) = envelope.verified(&key().verifying_key(), STATEMENT_TYPE) {
        let ours = Envelope::sign(&key(), STATEMENT_TYPE, payload.to_vec());
        assert_eq!(ours.signatures[0].sig, envelope.signatures[0].sig, "a second signature for one payload");
    }
    let _ = enrol::DeviceRequest::open(&envelope);
    assert!(acknowledged(data, &key().verifying_key(), &device()).is_err(), "an envelope is no answer");
}

pub fn statement(data: &[u8]) {
    let key = key();
    let envelope = Envelope::sign(&key, STATEMENT_TYPE, data.to_vec());
    let Ok(checked) = statement::check(&envelope, &key.verifying_key()) else { return };
    assert_eq!((checked.statement.v, checked.link.len()), (1, 64));
    let (signed, _) = checked.statement.sign(&key).expect("JSON");
    let again = statement::check(&signed, &key.verifying_key()).expect("our own statement");
    assert_eq!(again.statement, checked.statement, "written and read again, it says something else");
    let other = SigningKey::from_bytes(&[8; 32]).verifying_key();
    assert!(statement::check(&envelope, &other).is_err());
}

pub fn event(data: &[u8]) {
    let Ok(event) = serde_json::from_slice::<Event>(data) else { return };
    let text = serde_json::to_string(&event).expect("JSON");
    let again = serde_json::from_str::<Event>(&text);
    assert_eq!(again.ok().as_ref(), Some(&event), "written and read again, it says something else: {text}");
    assert!(event.data.kind().starts_with("cn.bedcheck."));
}

/// The payload of a platform's receipt.
pub fn receipt(data: &[u8]) {
    let (mine, theirs) = (key(), SigningKey::from_bytes(&[8; 32]));
    let answer = |key| {
        let answer = Answer { receipt: Envelope::sign(key, RECEIPT_TYPE, data.to_vec()) };
        serde_json::to_vec(&answer).expect("JSON")
    };
    assert!(acknowledged(data, &mine.verifying_key(), &device()).is_err(), "believed without a signature");
    assert!(acknowledged(&answer(&theirs), &mine.verifying_key(), &device()).is_err(), "another platform's");
    if let Ok(known) = acknowledged(&answer(&mine), &mine.verifying_key(), &device()) {
        assert_eq!(known.receipt.device, device());
        orders(known.receipt.orders);
    }
}

/// A list of orders, as they ride with a receipt.
pub fn spot_check(data: &[u8]) {
    if let Ok(list) = serde_json::from_slice::<Vec<Order>>(data) {
        orders(list);
    }
}

/// A small ward gets the orders and lives through its next deadlines, in which no camera answers.
fn orders(list: Vec<Order>) {
    let face = FaceRule { fmr: "1e-3".to_owned(), match_at: 0.5, differs_below: 0.4, typical: None };
    let bed = |name: &str| BedId::new(name).expect("plain");
    let camera = CameraId::new("cam-1").expect("plain");
    let views = BTreeMap::from([(bed("01"), camera.clone()), (bed("02"), camera)]);
    let mut now = Now { mono: Mono(1000), wall: Wall(1_800_000_000_000), boot: 1000 };
    let mut domain = Domain::new(Policy::ordinary(face), views, [3; 32], now);
    let stays = ["01", "02"].map(|name| Stay {
        id: StayId::new(format!("S{name}")).expect("plain"),
        bed: bed(name),
        psn_no: Private::new(String::new()),
        psn_name: Private::new("A".to_owned()),
        templates: 3,
        away: Vec::new(),
        taken_back: Vec::new(),
    });
    let inputs = [Input::Roster(Roster::of(now.wall, stays.to_vec()))].into_iter();
    let inputs = inputs.chain(list.into_iter().take(64).map(Input::Order));
    for input in inputs.chain((0..12).map(|_| Input::Tick)) {
        if matches!(input, Input::Tick)
            && let Some((next, _)) = domain.next_deadline()
        {
            let step = next - now.mono;
            let passed = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
            now = Now {
                mono: next.max(now.mono),
                wall: now.wall.plus(step),
                boot: now.boot.saturating_add(passed.unsigned_abs()),
            };
        }
        domain.handle(now, input);
        let effects = std::iter::from_fn(|| domain.poll_effect()).take(1000);
        let looks = effects.filter(|effect| matches!(effect, Effect::Look { .. })).count();
        assert!(looks <= 8, "two beds are not looked at {looks} times at once");
    }
    assert!(now.mono - Mono(1000) < Duration::from_secs(30 * 24 * 3600), "twelve deadlines last a month");
}

/// Evidence that somebody sealed, or did not: the whole input as a seal, and as what is sealed.
pub fn seal(data: &[u8]) {
    let private = [9; 32];
    let place = seal::place(&device(), "e1");
    assert!(seal::open(&private, &place, data).is_err(), "a seal that nobody made");
    let (private, public) = seal::key_pair();
    let sealed = seal::seal(&public, &place, data).expect("a good key");
    assert_eq!(seal::open(&private, &place, &sealed).as_deref(), Ok(data));
    let mut changed = sealed;
    let at =
        data.iter().fold(0, |sum: usize, byte| sum.wrapping_mul(31) + usize::from(*byte)) % changed.len();
    changed[at] ^= 1 + data.first().copied().unwrap_or(0) % 127;
    assert!(seal::open(&private, &place, &changed).is_err(), "a seal was changed at {at}");
}

/// What somebody pastes: the input as a line, and as what stands behind the checksum of one.
pub fn token(data: &[u8]) {
    let _ = Token::parse(&String::from_utf8_lossy(data));
    let mut checked = data.to_vec();
    checked.extend(
        (0..4).map(|at| u8::from_str_radix(&sha256_hex(data)[at * 2..at * 2 + 2], 16).expect("two digits")),
    );
    let Ok(token) = Token::parse(&format!("BC1-{}", base32(&checked))) else { return };
    assert!(token.url.starts_with("https://"));
    assert_eq!(Token::parse(&token.print()), Ok(token), "printed and read again, it says something else");
}

fn base32(bytes: &[u8]) -> String {
    let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1);
    let symbol = |at: usize| (0..5).fold(0, |sum, offset| sum << 1 | bit(at + offset));
    let symbols = (0..bytes.len() * 8).step_by(5).map(symbol);
    symbols.map(|five| char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[usize::from(five)])).collect()
}
