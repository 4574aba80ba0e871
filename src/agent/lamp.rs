//! One lamp on the terminal that says from across the ward whether it works.
//!
//! | lamp 指示灯 | means |
//! |---|---|
//! | lit, dark for a moment every two seconds | ready 正常 |
//! | a second lit, a second dark | somebody should look today 请查看: a camera, the platform, the configuration, a busy board |
//! | five times a second | nothing is checked 故障: no camera brings pictures, or nobody decides |
//! | still, lit or dark | the program does not run 程序未运行 |
//!
//! The running program moves the lamp itself and leaves no pattern to the kernel: a lamp that moves without it would lie.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::{info, warn};

use crate::agent::health::Health;
use crate::agent::round_desk::is_offline;
use crate::base::clock::{Clock, Wall};
use crate::base::files::read_at_most;
use crate::base::health::CameraHealth;
use crate::base::supervise::Stopping;

/// Where the kernel shows lamps, also those that a device tree puts on GPIO pins (`gpio-leds`).
const LAMPS: &str = "/sys/class/leds";
/// Half of the fastest pattern.
const STEP: Duration = Duration::from_millis(100);
/// How often is asked what the lamp should say.
const ASK: u64 = 10;
const MOST_BYTES: u64 = 64;

/// What the lamp says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Light {
    Ready,
    Attention,
    Fault,
}

impl Light {
    /// Whether the lamp is lit in this step of [`STEP`].
    fn is_lit(self, step: u64) -> bool {
        match self {
            Light::Ready => !step.is_multiple_of(20),
            Light::Attention => step % 20 < 10,
            Light::Fault => step.is_multiple_of(2),
        }
    }
}

/// A lamp that was found.
#[derive(Debug)]
pub struct Lamp {
    folder: PathBuf,
    brightest: u32,
    is_lit: Option<bool>,
}

impl Lamp {
    /// The first of these names that this machine has.
    pub fn find(names: &[String]) -> Option<Lamp> {
        Lamp::find_in(Path::new(LAMPS), names)
    }

    fn find_in(lamps: &Path, names: &[String]) -> Option<Lamp> {
        let folder =
            names.iter().map(|name| lamps.join(name)).find(|path| path.join("brightness").exists())?;
        let brightest = read_at_most(&folder.join("max_brightness"), MOST_BYTES).ok();
        let brightest =
            brightest.and_then(|bytes| String::from_utf8_lossy(&bytes).trim().parse().ok()).unwrap_or(1);
        Some(Lamp { folder, brightest, is_lit: None })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether this user may move it; moves nothing.
    ///
    /// # Errors
    /// The kernel's.
    pub fn may_be_moved(&self) -> io::Result<()> {
        OpenOptions::new().write(true).open(self.folder.join("brightness")).map(drop)
    }

    /// Nothing is written where it is so already.
    ///
    /// # Errors
    /// The kernel's: most often that this user may not, see `bedcheck.udev`.
    fn light(&mut self, is_lit: bool) -> io::Result<()> {
        if self.is_lit != Some(is_lit) {
            let brightness = if is_lit { self.brightest } else { 0 };
            // A file of the kernel's, which no neighbour can replace.
            let mut file =
                OpenOptions::new().write(true).truncate(true).open(self.folder.join("brightness"))?;
            file.write_all(brightness.to_string().as_bytes())?;
            self.is_lit = Some(is_lit);
        }
        Ok(())
    }
}

/// What is known of the agent.
#[derive(Clone, Debug, Default)]
struct Signs {
    /// The agent is up and decides.
    is_well: bool,
    refuses_config: bool,
    is_eased: bool,
    is_offline: bool,
    cameras: Vec<CameraHealth>,
}

impl Signs {
    fn of(health: &Health, now: Wall) -> Signs {
        let shown = health.shown();
        Signs {
            is_well: health.is_well(),
            refuses_config: health.refuses_config(),
            is_eased: shown.eased.is_some(),
            is_offline: is_offline(health, now),
            cameras: shown.slots.values().map(|slot| slot.health()).collect(),
        }
    }

    fn light(&self) -> Light {
        let shows_nothing = |camera: &CameraHealth| camera.trouble.is_some();
        let is_odd = |camera: &CameraHealth| shows_nothing(camera) || camera.tamper.is_some();
        let is_blind = !self.cameras.is_empty() && self.cameras.iter().all(shows_nothing);
        if !self.is_well || is_blind {
            Light::Fault
        } else if self.refuses_config || self.is_eased || self.is_offline || self.cameras.iter().any(is_odd) {
            Light::Attention
        } else {
            Light::Ready
        }
    }
}

/// Moves the lamp until shutdown; dark afterwards.
pub async fn shine(mut lamp: Lamp, health: Health, clock: Clock, mut stopping: Stopping) {
    info!(lamp = %lamp.folder.display(), "The lamp says how this terminal is.");
    let mut said = Light::Fault;
    let mut is_refused = false;
    for step in 0_u64.. {
        if step.is_multiple_of(ASK) {
            said = Signs::of(&health, clock.now().wall).light();
        }
        match lamp.light(said.is_lit(step)) {
            Ok(()) => is_refused = false,
            Err(error) if !is_refused => {
                warn!(%error, lamp = %lamp.folder.display(), "The lamp cannot be moved; `bedcheck doctor` says what to do.");
                is_refused = true;
            }
            Err(_) => {}
        }
        if stopping.begun_within(STEP).await {
            break;
        }
    }
    if let Err(error) = lamp.light(false) {
        warn!(%error, "The lamp cannot be put out.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::files::write_owner_only;
    use crate::base::frame::Tamper;
    use crate::base::health::Words;

    fn lamps() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, brightest) in [("ACT", "255"), ("bedcheck:status", "1")] {
            let lamp = folder.path().join(name);
            std::fs::create_dir(&lamp).unwrap();
            write_owner_only(&lamp.join("max_brightness"), format!("{brightest}\n").as_bytes()).unwrap();
            write_owner_only(&lamp.join("brightness"), b"0\n").unwrap();
        }
        folder
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_first_lamp_of_the_profile_that_is_there_is_lit_as_brightly_as_it_goes_and_put_out() {
        let folder = lamps();
        let mut lamp = Lamp::find_in(folder.path(), &names(&["work", "ACT"])).unwrap();
        let brightness = || std::fs::read_to_string(folder.path().join("ACT/brightness")).unwrap();
        lamp.light(true).unwrap();
        assert_eq!(brightness(), "255");
        lamp.light(false).unwrap();
        assert_eq!(brightness(), "0");
        let own = Lamp::find_in(folder.path(), &names(&["bedcheck:status", "ACT"])).unwrap();
        assert!(own.folder().ends_with("bedcheck:status"), "one of our own comes first");
        assert!(Lamp::find_in(folder.path(), &names(&["work"])).is_none());
    }

    #[test]
    fn every_pattern_moves_and_no_two_look_alike() {
        let changes =
            |light: Light| (0..40).filter(|step| light.is_lit(*step) != light.is_lit(step + 1)).count();
        assert_eq!([Light::Ready, Light::Attention, Light::Fault].map(changes), [4, 4, 40]);
        let lit = |light: Light| (0..40).filter(|step| light.is_lit(*step)).count();
        assert_eq!([Light::Ready, Light::Attention, Light::Fault].map(lit), [38, 20, 20]);
    }

    #[test]
    fn it_says_fault_attention_or_ready() {
        let covered = CameraHealth { tamper: Some(Tamper::Covered), ..CameraHealth::default() };
        let gone = CameraHealth { trouble: Some(Words::new("断线", "gone")), ..CameraHealth::default() };
        let well = Signs { is_well: true, cameras: vec![CameraHealth::default(); 2], ..Signs::default() };
        let with =
            |cameras: [&CameraHealth; 2]| Signs { cameras: cameras.map(Clone::clone).into(), ..well.clone() };
        let fine = CameraHealth::default();
        for (signs, light) in [
            (well.clone(), Light::Ready),
            (Signs::default(), Light::Fault),
            (Signs { is_offline: true, ..well.clone() }, Light::Attention),
            (Signs { refuses_config: true, ..well.clone() }, Light::Attention),
            (Signs { is_eased: true, ..well.clone() }, Light::Attention),
            (with([&covered, &fine]), Light::Attention),
            (with([&gone, &fine]), Light::Attention),
            (with([&gone, &gone]), Light::Fault),
            (Signs { cameras: Vec::new(), ..well.clone() }, Light::Ready),
        ] {
            assert_eq!(signs.light(), light, "{signs:?}");
        }
    }
}
