//! Which board this is, and what is known of it: how many threads a net may take, which cameras work, when it is hot.
//!
//! The profiles are files of `firmware-config/boards`, compiled in so that a board is known before anything is
//! configured. A board is recognised by its device tree; whatever is not recognised is `generic`.

use std::path::Path;

use serde::Deserialize;

use crate::base::files::read_at_most;
use crate::domain::effort::Heat;

/// A device tree's root says what the board is compatible with: NUL-separated, the most specific first.
const COMPATIBLE: &str = "/proc/device-tree/compatible";
const ZONES: &str = "/sys/class/thermal";
const MOST_BYTES: u64 = 4096;
/// A machine has some ten; a folder with thousands is no machine.
const MOST_ZONES: usize = 64;

const FILES: [&str; 7] = [
    include_str!("../../firmware-config/boards/rk3568.toml"),
    include_str!("../../firmware-config/boards/rk3588.toml"),
    include_str!("../../firmware-config/boards/rpi4.toml"),
    include_str!("../../firmware-config/boards/rpi5.toml"),
    include_str!("../../firmware-config/boards/phytium.toml"),
    include_str!("../../firmware-config/boards/imx8mp.toml"),
    include_str!("../../firmware-config/boards/generic.toml"),
];

/// What is known of one kind of board.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    pub board: String,
    /// Chinese and English.
    pub title: String,
    /// Names of the device tree that mean this board.
    pub compatible: Vec<String>,
    /// What the board has; a smaller number here means that somebody switched some off.
    pub cores: usize,
    /// For one net.
    pub threads: usize,
    /// Which cameras work, Chinese and English.
    pub cameras: String,
    pub thermal: Thermal,
    /// The hardware watchdog that systemd feeds (`RuntimeWatchdogSec`).
    pub watchdog: String,
    /// Lamps that may say how the terminal is, the first that is there: names in `/sys/class/leds`, as device trees have them.
    pub lamps: Vec<String>,
    pub notes: String,
}

/// When it is hot; degrees Celsius of the hottest of these zones.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thermal {
    pub zones: Vec<String>,
    /// Near the point where the kernel slows the board down.
    pub ease_c: f32,
    /// Nothing but a fault or a covered case brings it here.
    pub rest_c: f32,
}

impl Thermal {
    /// Fine where nobody can tell: a board without sensors is no reason to do less.
    pub fn grade(&self, celsius: Option<f32>) -> Heat {
        match celsius {
            Some(celsius) if celsius >= self.rest_c => Heat::Hot,
            Some(celsius) if celsius >= self.ease_c => Heat::Warm,
            Some(_) | None => Heat::Fine,
        }
    }
}

/// Processors this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

impl Board {
    /// The board this program runs on.
    pub fn here() -> Board {
        let tree = read_at_most(Path::new(COMPATIBLE), MOST_BYTES).unwrap_or_default();
        Board::of(&String::from_utf8_lossy(&tree))
    }

    /// The board with this `compatible` property.
    pub fn of(compatible: &str) -> Board {
        let known: Vec<Board> = FILES.iter().filter_map(|file| toml::from_str(file).ok()).collect();
        let names = compatible.split('\0').filter(|name| !name.is_empty());
        let mut found = names.filter_map(|name| {
            known.iter().find(|board| board.compatible.iter().any(|compatible| compatible == name))
        });
        // The last file is the generic one, and every file is understood: see the test.
        found.next().or(known.last()).cloned().unwrap_or_default()
    }

    /// Threads for one net here: the profile's, but never all cores there are.
    pub fn threads(&self) -> usize {
        self.threads_of(cores())
    }

    fn threads_of(&self, cores: usize) -> usize {
        self.threads.min(cores.saturating_sub(1)).max(1)
    }

    /// How hot it is, degrees Celsius; `None` where the kernel does not tell.
    pub fn heat(&self) -> Option<f32> {
        self.heat_in(Path::new(ZONES))
    }

    fn heat_in(&self, zones: &Path) -> Option<f32> {
        let folders = std::fs::read_dir(zones).ok()?.take(MOST_ZONES).flatten();
        let read = |path: &Path| -> Option<String> {
            Some(String::from_utf8_lossy(&read_at_most(path, MOST_BYTES).ok()?).trim().to_owned())
        };
        let of_interest = folders.map(|folder| folder.path()).filter(|folder| {
            read(&folder.join("type")).is_some_and(|kind| self.thermal.zones.contains(&kind))
        });
        // Thousandths of a degree.
        let degrees = of_interest.filter_map(|folder| read(&folder.join("temp"))?.parse::<f32>().ok());
        degrees.map(|thousandths| thousandths / 1000.0).max_by(f32::total_cmp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_understood_has_sensible_limits_and_claims_no_name_twice() {
        let mut names: Vec<String> = Vec::new();
        for file in FILES {
            let board: Board = toml::from_str(file).unwrap();
            assert!(board.threads >= 1 && board.threads < board.cores.max(2), "{}", board.board);
            assert!(board.thermal.ease_c < board.thermal.rest_c, "{}", board.board);
            assert!(board.title.contains(" · "), "{}", board.title);
            assert_eq!(
                board.lamps.first().map(String::as_str),
                Some("bedcheck:status"),
                "one of our own comes first"
            );
            names.extend(board.compatible);
        }
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn the_unit_and_the_udev_rules_know_every_lamp() {
        let unit = include_str!("../../firmware-config/bedcheck.service");
        let rules = include_str!("../../firmware-config/bedcheck.udev");
        let rule = rules.lines().find(|line| line.starts_with("SUBSYSTEM==\"leds\"")).unwrap();
        for lamp in FILES.iter().flat_map(|file| toml::from_str::<Board>(file).unwrap().lamps) {
            assert!(unit.contains(&format!("-/sys/class/leds/{lamp}")), "bedcheck.service lacks {lamp}");
            let is_known = rule.split('"').any(|names| names.split('|').any(|name| name == lamp));
            assert!(is_known, "bedcheck.udev lacks {lamp}");
        }
    }

    #[test]
    fn a_board_is_known_by_the_most_specific_name_it_has_and_else_is_generic() {
        // As `tr '\0' '\n' </proc/device-tree/compatible` prints on the boards.
        assert_eq!(Board::of("raspberrypi,4-model-b\0brcm,bcm2711\0").board, "rpi4");
        assert_eq!(Board::of("firefly,rk3568-roc-pc\0rockchip,rk3568\0").board, "rk3568");
        assert_eq!(Board::of("radxa,rock-5b\0rockchip,rk3588\0").board, "rk3588");
        assert_eq!(Board::of("linux,dummy-virt\0").board, "generic");
        assert_eq!(Board::of("").board, "generic");
    }

    #[test]
    fn a_net_leaves_one_core_to_cameras_and_screen() {
        let board = Board::of("fsl,imx8mp\0");
        assert_eq!([1, 2, 4].map(|cores| board.threads_of(cores)), [1, 1, 3]);
    }

    #[test]
    fn the_hottest_zone_of_the_profile_counts_and_a_strange_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        for (name, kind, degrees) in
            [("0", "cpu-thermal", "61000"), ("1", "cpu-thermal", "72500"), ("2", "battery", "99000")]
        {
            let zone = folder.path().join(format!("thermal_zone{name}"));
            std::fs::create_dir(&zone).unwrap();
            crate::base::files::write_owner_only(&zone.join("type"), format!("{kind}\n").as_bytes()).unwrap();
            crate::base::files::write_owner_only(&zone.join("temp"), format!("{degrees}\n").as_bytes())
                .unwrap();
        }
        assert_eq!(Board::of("brcm,bcm2711\0").heat_in(folder.path()), Some(72.5));
        assert_eq!(Board::of("fsl,imx8mp\0").heat_in(folder.path()), Some(72.5));
        assert_eq!(Board::of("brcm,bcm2711\0").heat_in(Path::new("/nowhere")), None);
    }
}
