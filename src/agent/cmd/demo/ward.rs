//! The demo's ward: which bed tells which story, and what must be found in it.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use crate::agent::cmd::demo::camera::{CAMERA, IpCamera};
use crate::domain::Finding;
use crate::domain::exception::{ExceptionKind, Move};
use crate::domain::liveness::Cue;
use crate::domain::sighting::Reason;
use crate::domain::verdict::Verdict;

/// One bed and its story.
pub struct BedStory {
    pub bed: &'static str,
    pub camera: &'static str,
    pub is_left: bool,
    pub story: (&'static str, &'static str),
    pub expected: (&'static str, &'static [ExceptionKind]),
}

const fn bed(
    bed: &'static str,
    camera: &'static str,
    is_left: bool,
    story: (&'static str, &'static str),
    verdict: &'static str,
    exceptions: &'static [ExceptionKind],
) -> BedStory {
    BedStory { bed, camera, is_left, story, expected: (verdict, exceptions) }
}

use ExceptionKind::{HangingBed, Impersonation, NotVerified, PresentationAttack, RetroactiveLeave, WrongBed};

/// In the order of the roster.
pub const BEDS: [BedStory; 14] = [
    bed(
        "01",
        "cam-1",
        true,
        ("本人在床，正面（网络摄像头）", "the patient, upright, seen through an IP camera"),
        "Verified",
        &[],
    ),
    bed("02", "cam-1", false, ("本人在床，侧躺 90°", "the patient, lying at 90°"), "Verified", &[]),
    bed("03", "cam-2", true, ("本人在床，斜躺 215°", "the patient, at an odd angle"), "Verified", &[]),
    bed(
        "04",
        "cam-2",
        false,
        ("连续数轮不在床，事后补假", "absent over several rounds, a leave reported afterwards"),
        "Absent",
        &[HangingBed, RetroactiveLeave],
    ),
    bed("05", "cam-3", true, ("他人冒名", "another person in the bed"), "Mismatch", &[Impersonation]),
    bed(
        "06",
        "cam-3",
        false,
        ("蒙头，看不到脸", "face hidden under the blanket"),
        "FaceHidden",
        &[NotVerified],
    ),
    bed("07", "cam-4", true, ("与 08 床对调", "swapped with bed 08"), "WrongBed", &[WrongBed]),
    bed("08", "cam-4", false, ("与 07 床对调", "swapped with bed 07"), "WrongBed", &[WrongBed]),
    bed("09", "cam-5", true, ("画面太暗", "picture too dark"), "Inconclusive", &[NotVerified]),
    bed("10", "cam-5", false, ("本人在床，头朝下", "the patient, upside down"), "Verified", &[]),
    bed(
        "11",
        "cam-6",
        true,
        ("枕上放打印照片", "a printed photo on the pillow"),
        "NotLive(still)",
        &[PresentationAttack],
    ),
    bed(
        "12",
        "cam-6",
        false,
        ("枕上平板播放视频", "a tablet replays a video"),
        "NotLive(still)",
        &[PresentationAttack],
    ),
    bed(
        "13",
        "cam-7",
        true,
        ("他人戴剪纸面具", "somebody wears a cut-out mask"),
        "NotLive(no_blink)",
        &[PresentationAttack],
    ),
    bed("14", "cam-8", true, ("事前请假（HL7）", "on leave, announced over HL7"), "Excused", &[]),
];

/// The stay whose leave is announced, and bed and stay for which one is made up afterwards.
pub const ON_LEAVE: &str = "9999002611000014";
pub const TOO_LATE: (&str, &str) = ("04", "9999002611000004");

impl BedStory {
    /// What the table and the JSON call the expectation.
    pub fn expectation(&self) -> String {
        name(self.expected.0, self.expected.1.iter().copied())
    }
}

fn name(verdict: &str, exceptions: impl Iterator<Item = ExceptionKind>) -> String {
    exceptions.fold(verdict.to_owned(), |text, kind| format!("{text} + {}", kind.name()))
}

/// What was found in one bed.
#[derive(Clone)]
pub struct Found {
    pub story: &'static BedStory,
    pub rounds: u64,
    pub verdict: Option<Verdict>,
    /// The cue about life of the last check.
    pub cue: Option<Cue>,
    pub exceptions: Vec<ExceptionKind>,
}

impl Found {
    pub fn nothing_yet(story: &'static BedStory) -> Found {
        Found { story, rounds: 0, verdict: None, cue: None, exceptions: Vec::new() }
    }

    /// Takes a finding about this bed; others are ignored.
    pub fn take(&mut self, finding: &Finding) {
        match finding {
            Finding::Checked(result) if result.bed.as_str() == self.story.bed => {
                self.rounds = self.rounds.max(result.round);
                self.verdict = Some(result.verdict.clone());
                self.cue = result.life.as_ref().map(|proof| proof.cue);
            }
            Finding::Exception(change) if change.bed.as_str() == self.story.bed => {
                self.exceptions.retain(|kind| *kind != change.kind);
                if change.moved != Move::Ended {
                    self.exceptions.push(change.kind);
                }
            }
            Finding::Checked(_)
            | Finding::Exception(_)
            | Finding::RoundBegun(_)
            | Finding::Irregular(_)
            | Finding::Committed(_) => {}
        }
    }

    /// Why the last check proved nothing.
    pub fn reason(&self) -> Option<Reason> {
        match self.verdict {
            Some(Verdict::Inconclusive { reason }) => Some(reason),
            _ => None,
        }
    }

    /// Whether the last check came too short because this machine had other work: that says nothing about the bed.
    pub fn is_cut_short(&self) -> bool {
        matches!(self.reason(), Some(Reason::NoPicture | Reason::LifeUnproven | Reason::NotReached))
    }

    /// What the table and the JSON call it.
    pub fn finding(&self) -> String {
        let verdict = match &self.verdict {
            None => "nothing".to_owned(),
            Some(Verdict::NotLive { cue }) => format!("NotLive({})", cue.name()),
            Some(verdict) => verdict.name().to_owned(),
        };
        name(&verdict, self.exceptions.iter().copied())
    }
}

/// How long the demo's hours are, so that a slow machine tells the same story in more time.
#[derive(Clone, Copy)]
pub struct Pace {
    /// What one look and one frame of a watched bed took.
    measured: (Duration, Duration),
    pub round: Duration,
    pub look_timeout: Duration,
    /// How long a bed is watched for signs of life: a breath of the clips takes two or four seconds, and everybody blinks
    /// once in four.
    pub watch: Duration,
    pub blink_within: Duration,
    pub beds_at_once: u8,
}

impl Pace {
    /// A watched bed gets four frames a second; about half of one processor may go there. A round lasts as long as all beds
    /// take in turns, with room for the cameras on the same processor.
    pub fn of(one_look: Duration, one_frame: Duration) -> Pace {
        let share = one_frame.as_secs_f32() * 4.0;
        let beds_at_once = (0.35 / share.max(1e-3)).round().clamp(1.0, BEDS.len() as f32) as u8;
        let (watch, blink_within) = (Duration::from_secs(6), Duration::from_secs(12));
        let turns = BEDS.len().div_ceil(usize::from(beds_at_once)) as u32;
        let looks = one_look * 3 * BEDS.len() as u32;
        Pace {
            measured: (one_look, one_frame),
            // Three looks at each bed of a turn must fit in.
            round: blink_within.mul_f32(1.75) * turns + looks,
            look_timeout: (one_look * 10).clamp(Duration::from_secs(3), Duration::from_secs(30)),
            watch,
            blink_within,
            beds_at_once,
        }
    }

    /// For a machine that has become half as fast since it was measured.
    pub fn slower(self) -> Pace {
        Pace::of(self.measured.0 * 2, self.measured.1 * 2)
    }

    /// The longest that so many rounds take, of which the last `slower` are each at half the pace of the one before.
    pub fn longest(self, rounds: u64, slower: u64) -> Duration {
        let paces = std::iter::successors(Some(self), |pace| Some(pace.slower()));
        self.round * rounds as u32
            + paces.skip(1).take(slower as usize).map(|pace| pace.round).sum::<Duration>()
    }
}

/// The configuration a hospital would write, with the hours shortened to seconds.
pub fn config(
    assets: &Path,
    state: &Path,
    models: Option<&Path>,
    hl7: &str,
    ip_camera: &IpCamera,
    pace: Pace,
) -> String {
    let assets = std::path::absolute(assets).unwrap_or_else(|_| assets.to_owned());
    let quoted = |path: &Path| toml::Value::from(path.display().to_string()).to_string();
    let mut text = format!(
        "mode = \"demo\"\nstate = {}\nevidence = \"exception\"\n{}\n[ward]\nid = \"3A\"\nroster = {}\n\n[match]\nfmr = \"1e-4\"\n\n[patrol]\n\
         every = \"{}ms\"\njitter = 0.2\ncheck_within = \"{}ms\"\nlooks = 3\nlook_spacing = \"{}ms\"\nlook_timeout = \"{}ms\"\nbeds_at_once = {}\n\
         absent_rounds = 3\nabsent_spacing = \"2s\"\nunproven_rounds = 3\nheartbeat = \"10s\"\nexcuse_grace = \"10s\"\n\n[legal]\nbasis = \"演示：没有真人\"\ndecided = \"2026-11-23\"\nby = \"demo\"\n\n[hl7]\nlisten = \"{hl7}\"\n\n[liveness]\nwatch = \"{}ms\"\nblink_within = \"{}ms\"\n",
        quoted(state),
        models.map(|models| format!("models = {}\n", quoted(models))).unwrap_or_default(),
        quoted(&assets.join("roster/ward-3a.csv")),
        pace.round.as_millis(),
        pace.round.mul_f32(0.95).as_millis(),
        pace.blink_within.mul_f32(0.54).as_millis(),
        pace.look_timeout.as_millis(),
        pace.beds_at_once,
        pace.watch.as_millis(),
        pace.blink_within.as_millis(),
    );
    let mut cameras: Vec<&str> = BEDS.iter().map(|bed| bed.camera).collect();
    cameras.dedup();
    for camera in cameras {
        // One is an IP camera, one a stream in a file, the others folders of pictures: all these ways in are shown.
        let folder = assets.join("ward").join(camera);
        let recorded = if folder.is_dir() { folder } else { folder.with_extension("mjpeg") };
        let empty = assets.join("ward/empty").join(format!("{camera}.jpg"));
        let source = if camera == CAMERA {
            let IpCamera { url, user, password_file } = ip_camera;
            let password_file = quoted(password_file);
            format!("rtsp = \"{url}\"\nuser = \"{user}\"\npassword_file = {password_file}\nsynthetic = true")
        } else {
            format!("recorded = {}\nfps = 4", quoted(&recorded))
        };
        let empty = quoted(&empty);
        let _ = write!(text, "\n[[camera]]\nid = \"{camera}\"\n{source}\nempty = {empty}\n");
    }
    for bed in &BEDS {
        let x = if bed.is_left { 20 } else { 660 };
        let _ = write!(
            text,
            "\n[[bed]]\nid = \"{}\"\ncamera = \"{}\"\nzone = {{ x = {x}, y = 30, width = 600, height = 660 }}\n",
            bed.bed, bed.camera
        );
    }
    text
}
