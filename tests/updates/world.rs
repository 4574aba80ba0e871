//! A supervisor with update keys, and a terminal that trusts them.

use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bedcheck::agent::update::place::Place;
use bedcheck::agent::update::take::{Step, Taken, take};
use bedcheck::agent::update::{self as updates, Active, UpdateError};
use bedcheck::base::clock::{Clock, Wall};
use bedcheck::base::ids::DeviceId;
use bedcheck::platform::update::{self as supervisor, Bundle, PublishError};
use bedcheck::platform::update_keys;
use bedcheck::store::bundles::{Bundles, Standing};

use crate::terminal::Terminal;

pub struct World {
    pub terminal: Terminal,
}

pub fn now() -> Wall {
    Clock::system().now().wall
}

pub fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// What one bundle is made of; the policy alone is the quickest.
pub struct Made<'a> {
    pub version: u64,
    pub policy: Option<&'a str>,
    pub calibration: Option<&'a str>,
    pub pack: Option<&'a Path>,
    pub device: Option<&'a str>,
    pub keys: Vec<PathBuf>,
    pub root: PathBuf,
    pub now: Wall,
}

impl World {
    pub fn new() -> World {
        let world = World { terminal: Terminal::new() };
        let fingerprint = update_keys::init(&world.keys(), 2, 3, None, now()).unwrap();
        let root = fs::read(world.keys().join("root.json")).unwrap();
        assert_eq!(updates::trust(&world.state(), &root).unwrap(), fingerprint);
        world
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.terminal.folder.path().join(name)
    }

    pub fn keys(&self) -> PathBuf {
        self.at("keys")
    }

    pub fn state(&self) -> PathBuf {
        self.at("state")
    }

    pub fn made(&self, version: u64) -> Made<'_> {
        let (keys, root) = (vec![self.keys()], self.keys().join("root.json"));
        let policy = Some("schema = 1\nsample_at_least = 0.5\n");
        let (calibration, pack, device) = (None, None, None);
        Made { version, policy, calibration, pack, device, keys, root, now: now() }
    }

    pub fn try_publish(&self, made: &Made<'_>) -> Result<PathBuf, PublishError> {
        let out = self.at(&format!("stick-{}", made.version));
        let written = |name: &str, text: Option<&str>| {
            let path = self.at(name);
            text.map(|text| fs::write(&path, text).unwrap()).map(|()| path)
        };
        let policy = written("policy.toml", made.policy);
        let calibration = written("calibration.toml", made.calibration);
        let device = made.device.map(|name| DeviceId::new(name).unwrap());
        let bundle = Bundle {
            keys: &made.keys,
            root: &made.root,
            out: &out,
            pack: made.pack,
            policy: policy.as_deref(),
            calibration: calibration.as_deref(),
            version: NonZeroU64::new(made.version).unwrap(),
            device: device.as_ref(),
            valid: Duration::from_secs(3600),
        };
        wait(supervisor::publish(&bundle, made.now)).map(|()| out)
    }

    pub fn publish(&self, version: u64) -> PathBuf {
        self.try_publish(&self.made(version)).unwrap()
    }

    /// Takes a bundle without loading nets.
    pub fn take(&self, stick: &Path) -> Result<Taken, UpdateError> {
        self.take_until(stick, &mut |_| true)
    }

    pub fn take_until(
        &self,
        stick: &Path,
        after: &mut dyn FnMut(Step) -> bool,
    ) -> Result<Taken, UpdateError> {
        let place = Place::new(&stick.display().to_string(), "")?;
        wait(take(&self.state(), &place, &|_| Ok(()), after))
    }

    pub fn standing(&self) -> Standing {
        Bundles::open(&self.state()).unwrap().standing().unwrap()
    }

    pub fn active(&self) -> Option<Active> {
        updates::active(&self.state()).unwrap()
    }

    /// A terminal on which bundle 1 has proven itself.
    pub fn settled() -> World {
        let world = World::new();
        world.take(&world.publish(1)).unwrap();
        assert!(Bundles::open(&world.state()).unwrap().settle(1).unwrap());
        world
    }
}

/// Every file below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

pub fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let place = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(&path, place).unwrap();
    }
}
