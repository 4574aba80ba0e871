//! H.264 is decoded by a process that can do nothing else, and whatever that process does, the agent goes on.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "impostors and attempts are no part of the agent, and a test waits by the clock"
)]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Instant;

use bedcheck::base::confine::confine;
use bedcheck::base::environment;
use bedcheck::base::frame::Picture;
use bedcheck::capture::broadcast::Clip;
use bedcheck::capture::decoder::{Decoder, DecoderError, Program};
use bedcheck::capture::h264::{H264, MOST_BYTES};

const MEMORY: u64 = 2 * 1024 * 1024 * 1024;
const SIGSYS: i32 = 31;

fn bedcheck() -> Program {
    Program::at(Path::new(env!("CARGO_BIN_EXE_bedcheck")))
}

/// A program that does what is written there instead of decoding.
fn impostor(folder: &Path, script: &str) -> Program {
    let path = folder.join("impostor");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    Program::at(&path)
}

/// Compressed pictures in Annex B, keyframes first and third of four, of this size.
fn units(width: u32, height: u32) -> Vec<Vec<u8>> {
    let picture = |number: u32| {
        let pixel = |at: u32| ((at / 3 % width).wrapping_mul(7) ^ (at / 3 / width + number * 9)) as u8;
        Picture::new(width, height, (0..width * height * 3).map(pixel).collect()).unwrap()
    };
    let clip = Clip::encode(&(0..4).map(picture).collect::<Vec<_>>(), 10.0, 2).unwrap();
    let parameters = [&clip.sps, &clip.pps];
    clip.units
        .iter()
        .map(|unit| {
            let nals = parameters.into_iter().filter(|_| unit.is_key).chain(&unit.nals);
            nals.flat_map(|nal| [&[0, 0, 0, 1], nal.as_slice()].concat()).collect()
        })
        .collect()
}

#[tokio::test]
async fn the_process_gives_the_very_pictures_that_the_decoder_gives() {
    let units = units(320, 240);
    let mut own = H264::new().unwrap();
    let mut decoder = Decoder::start(&bedcheck()).await.unwrap();
    for (at, unit) in units.iter().enumerate() {
        let wanted = at != 1;
        let expected = own.frame(unit, wanted).unwrap();
        assert_eq!(expected.is_some(), wanted);
        let given = decoder.frame(unit, wanted).await.unwrap();
        assert!(
            given.as_ref().map(Picture::rgb) == expected.as_ref().map(Picture::rgb),
            "frame {at} differs"
        );
    }
    decoder.forget().await.unwrap();
    let expected = H264::new().unwrap().keyframe(&units[2]).unwrap();
    let given = decoder.keyframe(&units[2]).await.unwrap();
    assert!(given.rgb() == expected.rgb() && (given.width(), given.height()) == (320, 240));
}

#[tokio::test]
async fn what_is_no_picture_costs_that_picture_only() {
    let units = units(320, 240);
    let mut decoder = Decoder::start(&bedcheck()).await.unwrap();
    for bad in [&b"no picture"[..], &[], &units[0][..40], &vec![0; MOST_BYTES + 1]] {
        let error = decoder.keyframe(bad).await.unwrap_err();
        assert!(error.is_of_the_picture(), "{error}");
    }
    decoder.forget().await.unwrap();
    assert_eq!(decoder.keyframe(&units[0]).await.unwrap().width(), 320);
}

#[tokio::test]
async fn the_largest_picture_fits_into_the_memory_it_is_given() {
    // The decoder takes 4096 × 2304; the encoder makes no more than this.
    let units = units(3840, 2160);
    let mut decoder = Decoder::start(&bedcheck()).await.unwrap();
    for unit in &units {
        assert_eq!(decoder.frame(unit, true).await.unwrap().unwrap().height(), 2160);
    }
    let status = fs::read_to_string(format!("/proc/{}/status", decoder.id().unwrap())).unwrap();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmPeak:")?.split_whitespace().next()?.parse().ok());
    let peak: u64 = peak.unwrap();
    eprintln!("{peak} KiB at most");
    // Fifteen more of 14 MB must fit into the 512 MiB.
    assert!(peak < 300 * 1024, "{peak} KiB: a stream with all sixteen reference pictures would not fit");
}

#[tokio::test]
async fn the_process_is_shut_in_and_goes_when_nobody_asks_any_more() {
    let decoder = Decoder::start(&bedcheck()).await.unwrap();
    let id = decoder.id().unwrap();
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    assert!(status.contains("Seccomp:\t2") && status.contains("NoNewPrivs:\t1"), "{status}");
    let limits = fs::read_to_string(format!("/proc/{id}/limits")).unwrap();
    let limit = |name: &str| limits.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(limit("Max address space").contains("536870912"), "{limits}");
    assert!(limit("Max open files").split_whitespace().filter(|word| *word == "3").count() == 2, "{limits}");
    let environment = fs::read(format!("/proc/{id}/environ")).unwrap();
    let environment = String::from_utf8(environment).unwrap();
    let given: BTreeSet<String> =
        environment.split('\0').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let wanted = environment::wanted().map(|(name, value)| format!("{name}={value}"));
    assert_eq!(given, wanted.collect(), "it was given something of its parent's environment");
    drop(decoder);
    let began = Instant::now();
    while Path::new(&format!("/proc/{id}/exe")).exists() {
        assert!(began.elapsed().as_secs() < 20, "the process stays");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_process_that_lies_dies_or_says_nothing_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let start = async |script: &str| Decoder::start(&impostor(folder.path(), script)).await.err().unwrap();
    let nothing = r"printf '\000\000\000\000\000\000\000\000\000'";
    for (script, is_expected) in [
        ("exit 3", "exit status: 3"),
        ("kill -SYS $$", "signal: 31"),
        ("cat", "no answer within"),
        // Nothing, and yet a size; a picture of 4 G × 4 G pixels; a complaint of 16 MB; not a kind of answer.
        (r"printf '\000\000\000\000\001\000\000\000\000'; cat", "that is none"),
        (r"printf '\001\377\377\377\377\377\377\377\377'; cat", "that is none"),
        (r"printf '\002\001\000\000\000\000\000\000\000'; cat", "that is none"),
        ("echo running 0 tests; cat", "that is none"),
    ] {
        let error = start(script).await;
        assert!(error.to_string().contains(is_expected), "{script}: {error}");
        assert!(!error.is_of_the_picture());
    }
    let missing = Decoder::start(&Program::at(Path::new("/nowhere/bedcheck"))).await.err().unwrap();
    assert!(matches!(missing, DecoderError::Start(_)), "{missing}");
    // Shut in as it says, then half a picture.
    let half = format!(r"{nothing}; head -c 9 >/dev/null; printf '\001\000\000\000\002\000\000\000\002abc'");
    let mut decoder = Decoder::start(&impostor(folder.path(), &half)).await.unwrap();
    let error = decoder.keyframe(b"1234").await.unwrap_err();
    assert!(matches!(error, DecoderError::Ended(_)), "{error}");
}

/// What somebody would try who has taken the process over. Each run in a process of its own, which the kernel must end.
const ATTEMPTS: [(&str, fn()); 10] = [
    ("read what was left open", || drop(LEFT_OPEN.get().unwrap().read(&mut [0; 4]))),
    ("read a file", || drop(fs::read("/etc/hostname"))),
    ("write a file", || drop(fs::write("/tmp/bedcheck-escaped", "out"))),
    ("list a folder", || drop(fs::read_dir("/"))),
    ("connect", || drop(std::net::TcpStream::connect("127.0.0.1:9"))),
    ("listen", || drop(std::net::UdpSocket::bind("127.0.0.1:0"))),
    ("start a program", || drop(Command::new("/bin/true").stdin(Stdio::null()).status())),
    ("look at other processes", || drop(fs::read_link("/proc/self/exe"))),
    ("kill", || _ = rustix::process::test_kill_process(rustix::process::getpid())),
    ("lift its limits", || _ = rustix::process::getrlimit(rustix::process::Resource::As)),
];

static LEFT_OPEN: OnceLock<File> = OnceLock::new();

const ATTEMPT: &str = "BEDCHECK_TEST_ATTEMPT";

#[test]
#[ignore = "is started by the test below, in a process that does not live to tell"]
fn attempt() {
    let Ok(number) = std::env::var(ATTEMPT) else { return };
    LEFT_OPEN.set(File::open("/etc/hostname").unwrap()).unwrap();
    confine(MEMORY).unwrap();
    if let Some((_, attempt)) = number.parse::<usize>().ok().and_then(|number| ATTEMPTS.get(number)) {
        attempt();
    }
    // Nothing of the above was tried, or it was let through.
    std::process::exit(77);
}

#[test]
fn whoever_takes_the_process_over_finds_nothing_in_it_to_work_with() {
    let run = |number: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "attempt", "--ignored", "--test-threads=1"]).env(ATTEMPT, number);
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
    };
    for (number, (what, _)) in ATTEMPTS.iter().enumerate() {
        let ended = run(&number.to_string());
        assert_eq!(ended.signal(), Some(SIGSYS), "{what}: {ended}");
    }
    // The control: shut in, and trying nothing, it lives.
    assert_eq!(run("none").code(), Some(77));
    eprintln!("{} attempts, each ended by the kernel", ATTEMPTS.len());
}
