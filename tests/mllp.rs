//! The port for HL7 over real sockets: what was answered is on the disk, what was not comes again and counts once.
//!
//! `BEDCHECK_SOAK=100000 cargo test --test mllp` sends that many messages instead of 1,500.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the helpers of a test fail by panicking"
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bedcheck::agent::ward::Ward;
use bedcheck::base::clock::{Clock, Wall};
use bedcheck::base::ids::{BedId, WardId};
use bedcheck::base::supervise::{Stop, shutdown};
use bedcheck::hospital::mllp::{Taker, serve};
use bedcheck::store::FactLog;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A ward as the agent owns it, behind a lock instead of a thread.
#[derive(Clone)]
struct Desk(Arc<Mutex<Ward>>);

impl Taker for Desk {
    async fn take(&self, message: Vec<u8>) -> Option<Vec<u8>> {
        let answer = self.0.lock().unwrap().hear(&message, Clock::system().now().wall);
        answer.ok().map(|(answer, _)| answer)
    }
}

fn ward(folder: &std::path::Path) -> Ward {
    let log = FactLog::open(folder).unwrap();
    Ward::open(WardId::new("3A").unwrap(), log).unwrap()
}

async fn open(folder: &std::path::Path) -> (Desk, String, Stop) {
    let desk = Desk(Arc::new(Mutex::new(ward(folder))));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (stop, stopping) = shutdown();
    tokio::spawn(serve(listener, None, Vec::new(), desk.clone(), stopping));
    (desk, address, stop)
}

/// Patient `n % 50` is admitted, then moved from bed to bed.
fn message(n: usize) -> Vec<u8> {
    let (patient, step) = (n % 50, n / 50);
    let trigger = if step == 0 { "A01" } else { "A02" };
    let time = jiff::Timestamp::from_millisecond(1_790_000_000_000 + n as i64 * 1000).unwrap();
    let at = time.strftime("%Y%m%d%H%M%S+0000");
    format!(
        "\x0BMSH|^~\\&|HIS|H|B|3A|{at}||ADT^{trigger}|{n}|P|2.5\rEVN|{trigger}|{at}\rPID|1||P{patient}||甲^{patient}\r\
         PV1|1|I|3A^1^{bed}||||||||||||||||V{patient}\r\x1C\r",
        bed = (patient + step) % 97
    )
    .into_bytes()
}

async fn answer(stream: &mut TcpStream) -> Option<String> {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\x1C\r") {
        if stream.read_buf(&mut answer).await.ok()? == 0 {
            return None;
        }
    }
    Some(String::from_utf8(answer).unwrap())
}

#[tokio::test]
async fn a_soak_with_broken_connections_keeps_every_message_once() {
    let count: usize = std::env::var("BEDCHECK_SOAK").map_or(1_500, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (desk, address, _stop) = open(folder.path()).await;
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let mut n = 0;
    let mut broken = 0;
    while n < count {
        let bytes = message(n);
        if n % 37 == 5 && broken < n {
            // Torn off somewhere in the middle, once for each of these numbers; without an answer it is sent again.
            broken = n;
            stream.write_all(&bytes[..bytes.len() * (n % 7 + 1) / 9]).await.unwrap();
            stream = TcpStream::connect(&address).await.unwrap();
            continue;
        }
        stream.write_all(&bytes).await.unwrap();
        if n % 101 == 3 && broken < n {
            // The answer is lost: the same message comes twice.
            broken = n;
            answer(&mut stream).await.unwrap();
            stream = TcpStream::connect(&address).await.unwrap();
            continue;
        }
        let answer = answer(&mut stream).await.unwrap();
        assert!(answer.contains(&format!("MSA|AA|{n}\r")), "{answer}");
        n += 1;
    }
    assert!(broken > 0);
    assert_eq!(desk.0.lock().unwrap().facts().len(), count);
    // What was answered is on the disk, not in this process alone.
    let again = ward(folder.path());
    assert_eq!(again.facts().len(), count);
    let believed = again.believed();
    assert_eq!(believed.len(), 50.min(count));
    for (patient, last) in (0..50).map(|patient| (patient, (count - 1 - patient) / 50)) {
        let history = &believed[&bedcheck::base::ids::StayId::new(format!("V{patient}")).unwrap()];
        let bed = BedId::new(((patient + last) % 97).to_string()).unwrap();
        assert_eq!(history.bed_at(Wall(i64::MAX)), Some(&bed), "patient {patient}");
    }
}

#[tokio::test]
async fn nonsense_is_answered_with_its_reason_and_a_flood_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let (desk, address, _stop) = open(folder.path()).await;
    let mut stream = TcpStream::connect(&address).await.unwrap();
    for (sent, wanted) in [
        ("hello", "MSA|AE|"),
        ("MSH|^~\\&|LAB|X|B|3A|20260101||ORU^R01|9|P|2.5", "MSA|AR|9"),
        ("MSH|^~\\&|HIS|X|B|3A|20260101||ADT^A03|10|P|2.5\rEVN|A03|20260101", "PV1-19 is missing"),
        ("MSH|^~\\&|HIS|X|B|3A|20260101||ADT^A31|11|P|2.5", "MSA|AA|11"),
    ] {
        stream.write_all(format!("\x0B{sent}\x1C\r").as_bytes()).await.unwrap();
        let answer = answer(&mut stream).await.unwrap();
        assert!(answer.contains(wanted), "{sent}: {answer}");
    }
    // A message that never ends.
    let flood = async {
        stream.write_all(b"\x0B").await?;
        loop {
            stream.write_all(&[b'x'; 65_536]).await?;
        }
    };
    let ended: Result<std::io::Result<()>, _> = tokio::time::timeout(Duration::from_secs(30), flood).await;
    assert!(ended.expect("the flood was cut off").is_err());
    assert!(desk.0.lock().unwrap().facts().is_empty());
}
