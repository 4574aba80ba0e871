//! What is erased is gone from the disk, what is said of it names nobody, and who does not want to be compared is not.

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers of a test fail by panicking"
)]

use std::fs;
use std::path::Path;

use bedcheck::base::clock::{Now, Wall};
use bedcheck::base::ids::{DeviceId, StayId};
use bedcheck::base::redact::Private;
use bedcheck::domain::facts::{Change, Fact, Person};
use bedcheck::store::{Asked, FactLog, Journal, Outbox, Privacy, Signer, TemplateStore};
use bedcheck::wire::event::{Event, Report};
use bedcheck::wire::privacy::{PrivacyNote, Why};
use bedcheck::wire::seal;
use bedcheck::wire::statement::Digests;
use ed25519_dalek::SigningKey;
use rusqlite::Connection;

#[path = "common/terminal.rs"]
#[expect(dead_code, reason = "no agent stays here")]
mod terminal;
use terminal::Terminal;

const MODELS: &str = "models";

fn stay(id: &str) -> StayId {
    StayId::new(id).unwrap()
}

/// Every sealed value of a column, as it lies in the file.
fn sealed(path: &Path, query: &str) -> Vec<Vec<u8>> {
    let connection = Connection::open(path).unwrap();
    let mut query = connection.prepare(query).unwrap();
    query.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Files in which any piece of these bytes lies. A long value is spread over pages, so pieces are looked for.
fn hold(folder: &Path, bytes: &[Vec<u8>]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
        let file = fs::read(entry.path()).unwrap();
        let is_in = |piece: &[u8]| file.windows(piece.len()).any(|window| window == piece);
        if bytes.iter().flat_map(|bytes| bytes.chunks_exact(24)).any(is_in) {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found
}

fn journal(folder: &Path) -> Journal {
    let signer = Signer {
        device: DeviceId::new("ward-3a").unwrap(),
        key: SigningKey::from_bytes(&[3; 32]),
        boot_id: "b".into(),
        digests: Digests::default(),
        evidence_key: seal::key_pair().1,
    };
    Journal::open(&folder.join("journal.db"), signer).unwrap()
}

fn enrol(folder: &Path) {
    let mut store = TemplateStore::open(folder).unwrap();
    for who in ["S1", "S2"] {
        let template = |shot: u8| Private::new(vec![f32::from(shot); 256]);
        store.replace(&stay(who), MODELS, &[template(1), template(2), template(3)]).unwrap();
    }
}

const OF_S1: &str = "SELECT sealed FROM template WHERE stay = 'S1'";

#[test]
fn the_sealed_bytes_of_an_erased_face_are_in_no_file_any_more() {
    let folder = tempfile::tempdir().unwrap();
    // As in a ward: the journal has the file open and writes.
    let mut journal = journal(folder.path());
    enrol(folder.path());
    let before = sealed(&folder.path().join("journal.db"), OF_S1);
    assert_eq!(before.len(), 3);
    assert!(!hold(folder.path(), &before).is_empty(), "the scan finds what is there");
    let mut privacy = Privacy::open(folder.path()).unwrap();
    let asked = Asked { reason: Some("家属张三要求"), ..Asked::all(Why::Request, Wall(5)) };
    let erased = privacy.erase(&stay("S1"), &asked).unwrap();
    assert_eq!((erased.number, erased.templates, erased.why), (1, 3, Why::Request));
    assert!(privacy.scrub().unwrap());
    assert_eq!(hold(folder.path(), &before), [] as [&str; 0]);
    assert_eq!(hold(folder.path(), &["家属张三要求".as_bytes().to_vec()]), [] as [&str; 0]);
    assert_eq!(TemplateStore::open(folder.path()).unwrap().all(MODELS).unwrap().len(), 3, "the other's");

    // Enrolled again, the former ones are overwritten, too.
    let before = sealed(&folder.path().join("journal.db"), "SELECT sealed FROM template WHERE stay = 'S2'");
    enrol(folder.path());
    assert!(privacy.scrub().unwrap());
    assert_eq!(hold(folder.path(), &before), [] as [&str; 0]);
    assert!(privacy.is_barred(&stay("S1")).unwrap() && !privacy.is_barred(&stay("S2")).unwrap());
    journal.tell(Now::default()).unwrap();
}

#[test]
fn without_overwriting_or_cutting_the_log_the_scan_would_find_them() {
    let folder = tempfile::tempdir().unwrap();
    let _journal = journal(folder.path());
    enrol(folder.path());
    let before = sealed(&folder.path().join("journal.db"), OF_S1);
    let connection = Connection::open(folder.path().join("journal.db")).unwrap();
    connection.execute("DELETE FROM template WHERE stay = 'S1'", []).unwrap();
    assert!(!hold(folder.path(), &before).is_empty());
}

#[test]
fn names_that_are_forgotten_are_in_no_file_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let person = Person { psn_no: Private::new("510".into()), psn_name: Private::new("张三".into()) };
    let change = Change::Admitted { person, bed: None };
    let fact = Fact { id: "f".into(), stay: Some(stay("S1")), at: Wall(1), received: Wall(1), change };
    let mut log = FactLog::open(folder.path()).unwrap();
    log.append(std::slice::from_ref(&fact)).unwrap();
    let before = sealed(&folder.path().join("facts.db"), "SELECT sealed FROM fact");
    assert!(!hold(folder.path(), &before).is_empty());
    let without = fact.change.without_person().unwrap();
    assert!(log.reword(&[("f".into(), without.clone())]).unwrap());
    assert_eq!(hold(folder.path(), &before), [] as [&str; 0]);
    assert_eq!(FactLog::open(folder.path()).unwrap().all().unwrap()[0].change, without);
}

#[test]
fn erasures_are_in_the_signed_chain_once_and_name_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let now = Now { wall: Wall(1_700_000_000_000), ..Now::default() };
    enrol(folder.path());
    let mut journal = journal(folder.path());
    let mut privacy = Privacy::open(folder.path()).unwrap();
    privacy.erase(&stay("S1"), &Asked::all(Why::Request, now.wall)).unwrap();
    assert_eq!(journal.tell(now).unwrap(), 1);
    privacy.erase(&stay("S2"), &Asked::all(Why::Discharged, now.wall)).unwrap();
    drop(journal);
    let mut journal = self::journal(folder.path());
    assert_eq!((journal.tell(now).unwrap(), journal.tell(now).unwrap()), (1, 0), "each once");
    let key = SigningKey::from_bytes(&[3; 32]).verifying_key();
    let outbox = Outbox::open(folder.path()).unwrap();
    let verified = outbox.verify(&key).unwrap();
    assert_eq!((verified.faults.len(), verified.chains[0].last), (0, 2));
    let items = journal.unsent().unwrap().unwrap().items;
    for (item, who) in items.iter().zip(["S1", "S2"]) {
        let event: Event = serde_json::from_str(&item.body).unwrap();
        let Report::Privacy(PrivacyNote::Erased(erased)) = event.data else { panic!("{}", item.body) };
        assert_eq!((erased.templates, erased.subject), (3, privacy.subject(&stay(who))));
        assert!(!item.body.contains(&format!("\"{who}\"")), "{}", item.body);
    }
}

#[test]
fn an_erased_stay_is_enrolled_again_only_on_purpose_and_a_withdrawn_one_only_with_another_ground() {
    let terminal = terminal_with_a_patient();
    let say = |arguments: &str| said(&terminal, arguments);
    let faces = || {
        let store = Privacy::open(&terminal.folder.path().join("state")).unwrap();
        store.stored().unwrap().len()
    };
    say("enrol --config config.toml");
    assert_eq!(faces(), 1);
    assert!(say("privacy erase --config config.toml --stay M1 --reason r").contains("erased"));
    assert_eq!(faces(), 0);
    assert!(say("enrol --config config.toml").contains("--again M1"));
    assert_eq!(faces(), 0);
    say("enrol --config config.toml --again M1");
    assert_eq!(faces(), 1);
    say("enrol --config config.toml");
    assert_eq!(faces(), 1, "wanted again, it stays so");

    fs::write(terminal.folder.path().join("notice.txt"), "告知书").unwrap();
    let add =
        "privacy consent add --config config.toml --stay M1 --basis consent --by 3A --notice-file notice.txt";
    assert!(say(add).contains("第 1 条"));
    say("privacy consent withdraw --config config.toml --stay M1 --by 3A");
    assert_eq!(faces(), 0);
    assert!(say("enrol --config config.toml --again M1").contains("撤回"));
    assert_eq!(faces(), 0);
    let listed: serde_json::Value =
        serde_json::from_str(&say("privacy consent list --config config.toml --stay M1 --json")).unwrap();
    assert_eq!(listed["entries"].as_array().unwrap().len(), 2);
    assert_eq!(listed["entries"][0]["entry"]["written"]["notice_sha256"].as_str().unwrap().len(), 64);
    assert!(!listed.to_string().contains("M1"));
    say(add);
    say("enrol --config config.toml");
    assert_eq!(faces(), 1);
}

/// A terminal whose one patient has pictures to enrol from.
fn terminal_with_a_patient() -> Terminal {
    let terminal = Terminal::new();
    let portraits = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/people/p01");
    let roster = format!("mdtrt_id,adm_bed,psn_no,psn_name,enrol\nM1,01,P1,张三,{}\n", portraits.display());
    fs::write(terminal.folder.path().join("roster.csv"), roster).unwrap();
    terminal
}

/// What a call of `bedcheck` said; it must end well.
fn said(terminal: &Terminal, arguments: &str) -> String {
    let output = terminal.bedcheck(&arguments.split_whitespace().collect::<Vec<_>>());
    assert!(output.status.success(), "{arguments}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_running_agent_forgets_a_face_at_once_and_says_so_in_its_chain() {
    let terminal = terminal_with_a_patient();
    said(&terminal, "enrol --config config.toml");
    terminal.configure("[patrol]\nheartbeat = \"1s\"\n");
    let mut agent = terminal.start(&["run", "--config", "config.toml"], &[]);
    agent.until("the agent runs", |said| said.contains("The operating point is set"));
    said(&terminal, "privacy consent withdraw --config config.toml --stay M1 --by 3A");
    agent.until("it forgot", |said| said.contains("people=0"));
    let told =
        || said(&terminal, "outbox show --state state --rows 200 --json").matches("privacy.v1").count();
    agent.until("it told of the withdrawal and of the erasure", |_| told() == 2);
    assert_eq!(agent.end().0, Some(0));
    assert!(said(&terminal, "outbox verify --state state").contains("通过"));
}

#[test]
fn the_impact_assessment_says_what_is_configured_and_stored_now_and_names_nobody() {
    let terminal = terminal_with_a_patient();
    let report = || {
        said(&terminal, "privacy report --config config.toml --out report");
        let read = |name: &str| fs::read_to_string(terminal.folder.path().join("report").join(name)).unwrap();
        let (markdown, html) = (read("impact.md"), read("impact.html"));
        for text in [&markdown, &html] {
            assert!(!text.contains("张三") && !text.contains("M1"), "{text}");
        }
        assert!(
            !html.contains("http://") && !html.contains("src="),
            "one file without anything from elsewhere"
        );
        assert_eq!(html.matches("<h2>").count(), markdown.matches("\n## ").count());
        assert_eq!(html.matches("待填写").count(), markdown.matches("待填写").count());
        markdown
    };
    let before = report();
    for wanted in [
        "决定 1 号",
        "01 床：20、30、600×660",
        "| 本机存储的人脸 | 0 人 |",
        "https://localhost:1",
        "不采集、不上传",
        "依据台账共 0 条",
        "| 密封密钥 | 注意 |",
        "试用级",
        "1e-3",
        "100000 人",
        "替代方式",
        "待填写（填写人：法务）",
    ] {
        assert!(before.contains(wanted), "{wanted:?} is not in:\n{before}");
    }
    said(&terminal, "enrol --config config.toml");
    said(&terminal, "privacy consent add --config config.toml --stay M1 --basis consent --by 3A");
    assert!(report().contains("| 本机存储的人脸 | 1 人 |"));
    said(&terminal, "privacy consent withdraw --config config.toml --stay M1 --by 3A");
    let text = fs::read_to_string(terminal.config()).unwrap();
    let text = text.replace("mode = \"pilot\"\n", "mode = \"pilot\"\nevidence = \"exception\"\n");
    fs::write(terminal.config(), text).unwrap();
    let text = fs::read_to_string(terminal.config()).unwrap();
    assert!(!report().contains("核查窗口"));
    let kiosk = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/ward/cam-2");
    let kiosk = format!(
        "{text}\n[kiosk]\nlisten = \"127.0.0.1:0\"\n\n[[camera]]\nid = \"desk\"\nmode = \"kiosk\"\nrecorded = {kiosk:?}\n"
    );
    fs::write(terminal.config(), kiosk).unwrap();
    let after = report();
    for wanted in ["整幅画面，仅在办理期间", "不为代办人建模板"] {
        assert!(after.contains(wanted), "{wanted:?} is not in:\n{after}");
    }
    for wanted in
        ["| 撤回同意 | 1 | 3 | 0 |", "| 已撤回（不比对人脸） | 1 |", "依据台账共 2 条", "床位截图离开本机"]
    {
        assert!(after.contains(wanted), "{wanted:?} is not in:\n{after}");
    }
}
