//! Hospital systems over real sockets and files: what each says reaches the belief, and who may not speak does not.

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers of a test fail by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::Query;
use axum::http::HeaderMap;
use axum::routing::get;
use bedcheck::agent::config;
use bedcheck::agent::retention::Retention;
use bedcheck::agent::ward::Ward;
use bedcheck::agent::ward_ports;
use bedcheck::agent::ward_thread::{Belief, Faces, WardThread};
use bedcheck::base::clock::Clock;
use bedcheck::base::ids::{BedId, StayId};
use bedcheck::base::redact::Private;
use bedcheck::base::supervise::{Stop, shutdown};
use bedcheck::hospital::watched::Watched;
use bedcheck::net::tls;
use bedcheck::store::{FactLog, TemplateStore};
use bedcheck::vision::manifest::Metric;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::sync::mpsc::Receiver;

#[path = "common/authority.rs"]
mod authority;
use authority::Authority;

struct Hospital {
    folder: tempfile::TempDir,
    beliefs: Receiver<Belief>,
    _stop: Stop,
}

/// A ward's thread with its ports, as `more` configures them.
async fn hospital(folder: tempfile::TempDir, more: &str) -> Hospital {
    let path = folder.path();
    let roster = path.join("roster.csv");
    fs::write(&roster, "mdtrt_id,adm_bed,psn_no,psn_name\n").unwrap();
    fs::create_dir_all(path.join("camera")).unwrap();
    let text = format!(
        "mode = \"pilot\"\nstate = \"state\"\n[ward]\nid = \"3A\"\nroster = \"roster.csv\"\nchanges = \"changes\"\n\
         insurer = \"5303.csv\"\n[legal]\nbasis = \"b\"\ndecided = \"2026-11-01\"\nby = \"o\"\n[[camera]]\nid = \"c\"\n\
         recorded = \"camera\"\n{more}"
    );
    fs::write(path.join("config.toml"), text).unwrap();
    let settings = config::read(&path.join("config.toml")).unwrap_or_else(|error| panic!("{error}"));
    let store = TemplateStore::open(&settings.state).unwrap();
    let ward = Ward::open(settings.ward.clone(), FactLog::open(&settings.state).unwrap()).unwrap();
    let faces = Faces::open(store, "models".to_owned(), Metric::Cosine).unwrap();
    let retention = Retention::open(&settings.state, "models", "boot".to_owned()).unwrap();
    let (files, seen, clock) = (settings.files(), Watched::default(), Clock::system());
    let thread = WardThread { ward, files, faces, seen, retention, clock };
    let (stop, stopping) = shutdown();
    let (beliefs, _ports) = ward_ports::start(thread, &settings, &stopping).await.unwrap();
    Hospital { folder, beliefs, _stop: stop }
}

impl Hospital {
    /// Waits until the belief is as wanted; other beliefs may come before.
    async fn believes(&mut self, what: &str, is_so: impl Fn(&Belief) -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(60), async {
            loop {
                let belief = self.beliefs.recv().await.unwrap();
                if is_so(&belief) {
                    return;
                }
            }
        });
        waited.await.unwrap_or_else(|_| panic!("never believed: {what}"));
    }
}

fn lies_in(belief: &Belief, bed: &str, stay: &str) -> bool {
    belief.roster.stay_in(&BedId::new(bed).unwrap()).is_some_and(|found| found.id.as_str() == stay)
}

async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

/// Writes an identity as the files a configuration names.
fn write_identity(folder: &Path, identity: &tls::Identity) {
    for (name, text) in
        [("cert.pem", &identity.cert_pem), ("key.pem", &identity.key_pem), ("ca.pem", &identity.ca_pem)]
    {
        fs::write(folder.join(name), text).unwrap();
    }
}

#[tokio::test]
async fn national_messages_over_http_are_answered_when_they_count() {
    let port = free_port().await;
    let mut hospital =
        hospital(tempfile::tempdir().unwrap(), &format!("[http]\nlisten = \"127.0.0.1:{port}\"\n")).await;
    let send = |json: String| async move {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let head = format!(
            "POST /v1/national HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            json.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(json.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let admitted = r#"{"infno":"2401","msgid":"H1","input":{"mdtrtinfo":{"mdtrt_id":"M1","psn_no":"P1","psn_name":"张三",
        "begntime":"2026-11-20 08:30:00","adm_dept_codg":"3A","adm_bed":"12"}}}"#;
    let answer = send(admitted.to_owned()).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""infcode":"0""#), "{answer}");
    hospital.believes("M1 in 12", |belief| lies_in(belief, "12", "M1")).await;
    assert!(send(admitted.to_owned()).await.starts_with("HTTP/1.1 200"), "a repetition is harmless");
    let refused = send(r#"{"infno":"2402","msgid":"H2","input":{}}"#.to_owned()).await;
    assert!(refused.starts_with("HTTP/1.1 400") && refused.contains("input.dscginfo"), "{refused}");
    let huge = format!("{{\"infno\":\"{}\"", "x".repeat(9 * 1024 * 1024));
    let refused = send(huge).await;
    assert!(refused.starts_with("HTTP/1.1 413"), "{refused}");
    let listed = r#"{"infno":"5303","msgid":"H3","output":{"data":[{"mdtrt_id":"M7","adm_dept_codg":"3A","psn_name":"李四"}]}}"#;
    assert!(send(listed.to_owned()).await.starts_with("HTTP/1.1 200"));
    hospital.believes("two contradictions", |belief| belief.roster.contradictions().len() == 2).await;
}

#[tokio::test]
async fn hl7_over_tls_takes_only_senders_with_a_certificate() {
    let (folder, authority, port) = (tempfile::tempdir().unwrap(), Authority::new(), free_port().await);
    write_identity(folder.path(), &authority.identity());
    let more = format!(
        "[hl7]\nlisten = \"127.0.0.1:{port}\"\ntls = {{ cert = \"cert.pem\", key = \"key.pem\", ca = \"ca.pem\" }}\n"
    );
    let mut hospital = hospital(folder, &more).await;
    let message = b"\x0BMSH|^~\\&|HIS|H|B|3A|20261120083000||ADT^A01|1|P|2.5\rEVN|A01|20261120083000\r\
        PID|1||P1||\xE5\xBC\xA0^\xE4\xB8\x89\rPV1|1|I|3A^1^12||||||||||||||||V1\r\x1C\r";
    let connect = |config: rustls::ClientConfig| async move {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
        let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        stream.write_all(message).await?;
        let mut answer = vec![0; 4096];
        let n = stream.read(&mut answer).await?;
        std::io::Result::Ok(String::from_utf8_lossy(&answer[..n]).into_owned())
    };
    let answer = connect(tls::client(&authority.identity()).unwrap()).await.unwrap();
    assert!(answer.contains("MSA|AA|1"), "{answer}");
    hospital.believes("V1 in 12", |belief| lies_in(belief, "12", "V1")).await;
    // TLS 1.3 tells the client of a refused certificate with the first read.
    let without = connect(tls::visitor(&authority.ca_pem).unwrap()).await;
    assert!(without.as_ref().is_err() || without.as_ref().unwrap().is_empty(), "{without:?}");
    let stranger = connect(
        tls::client(&{
            let mut identity = Authority::new().identity();
            identity.ca_pem.clone_from(&authority.ca_pem);
            identity
        })
        .unwrap(),
    )
    .await;
    assert!(stranger.as_ref().is_err() || stranger.as_ref().unwrap().is_empty(), "{stranger:?}");
    // And in the clear nobody is understood.
    let mut plain = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    plain.write_all(message).await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).contains("MSA"), "{answer:?}");
}

#[tokio::test]
async fn a_fhir_server_is_polled_page_by_page_and_half_a_list_changes_nothing() {
    let encounter = |id: &str, bed: &str, status: &str| {
        format!(
            r#"{{"resource":{{"resourceType":"Encounter","id":"{id}","status":"{status}","class":{{"code":"IMP"}},
             "subject":{{"reference":"Patient/{id}","display":"张三"}},"location":[{{"location":{{"display":"{bed}"}},
             "physicalType":{{"coding":[{{"code":"bd"}}]}}}}]}}}}"#
        )
    };
    let pages = [encounter("M1", "12", "in-progress"), encounter("M2", "14", "onleave")];
    let is_broken = Arc::new(AtomicBool::new(false));
    let (broken, asked) = (is_broken.clone(), Arc::new(Notify::new()));
    let served = asked.clone();
    let answer = move |headers: HeaderMap, Query(query): Query<BTreeMap<String, String>>| async move {
        assert_eq!(headers["authorization"], "Bearer secret");
        match (query.contains_key("page"), broken.load(Ordering::SeqCst)) {
            (false, _) => format!(
                r#"{{"resourceType":"Bundle","link":[{{"relation":"next","url":"/Encounter?page=2"}}],"entry":[{}]}}"#,
                pages[0]
            ),
            (true, false) => format!(r#"{{"resourceType":"Bundle","entry":[{}]}}"#, pages[1]),
            (true, true) => {
                served.notify_one();
                "{".to_owned()
            }
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().route("/Encounter", get(answer));
    let (_server, stopping) = shutdown();
    tokio::spawn(bedcheck::net::server::serve(listener, None, router, stopping));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("token"), "secret\n").unwrap();
    let more = format!(
        "[fhir]\nurl = \"http://{address}/Encounter?class=IMP\"\nevery = \"5s\"\ntoken_file = \"token\"\n"
    );
    let mut hospital = hospital(folder, &more).await;
    hospital
        .believes("both pages, one on leave", |belief| {
            let on_leave = belief.roster.stay_in(&BedId::new("14").unwrap());
            lies_in(belief, "12", "M1") && on_leave.is_some_and(|stay| stay.away.len() == 1)
        })
        .await;
    is_broken.store(true, Ordering::SeqCst);
    asked.notified().await;
    // The broken list has taken nobody out of bed.
    let changes = hospital.folder.path().join("changes");
    fs::create_dir_all(&changes).unwrap();
    fs::write(changes.join("1.csv"), "就诊ID,变更,床号,姓名\nM3,入院,15,王五\n").unwrap();
    hospital
        .believes("M3 beside the others", |belief| {
            lies_in(belief, "15", "M3") && lies_in(belief, "12", "M1") && lies_in(belief, "14", "M2")
        })
        .await;
}

#[tokio::test]
async fn files_that_are_written_while_the_agent_runs_are_read_and_a_broken_one_changes_nothing() {
    let mut hospital = hospital(tempfile::tempdir().unwrap(), "").await;
    let at = |name: &str| hospital.folder.path().join(name);
    let (roster, insurer) = (at("roster.csv"), at("5303.csv"));
    fs::write(&roster, "就诊ID,床号,人员编号,姓名\nM1,12,P1,张三\nM2,14,P2,李四\n").unwrap();
    hospital.believes("two stays", |belief| belief.roster.stays().count() == 2).await;
    fs::write(&roster, "就诊ID,床号\nM1,12\n").unwrap();
    fs::write(&insurer, "mdtrt_id,psn_name\nM1,张三\n").unwrap();
    hospital
        .believes("M2 is unknown to the insurer, and still here", |belief| {
            belief.roster.contradictions().len() == 1 && belief.roster.stays().count() == 2
        })
        .await;
    let mut store = TemplateStore::open(&hospital.folder.path().join("state")).unwrap();
    store.replace(&StayId::new("M2").unwrap(), "models", &[Private::new(vec![1.0, 0.0])]).unwrap();
    hospital
        .believes("M2 was enrolled meanwhile", |belief| {
            belief.gallery.people() == 1 && belief.roster.stays().any(|stay| stay.templates == 1)
        })
        .await;
}
