//! `bedcheck-platform update init | publish`.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use crate::base::clock::Wall;
use crate::base::exit::Ending;
use crate::base::ids::DeviceId;
use crate::platform::cmd::{duration, say};
use crate::platform::update::{self, Bundle, PublishError};
use crate::platform::update_keys::{self, Before};

#[derive(clap::Subcommand)]
pub enum Update {
    /// Make the keys of signed updates and the root that devices trust. The keys belong to different people.
    Init {
        #[arg(long)]
        dir: PathBuf,
        /// How many keys make the root, and how many the list of files.
        #[arg(long, default_value_t = 3)]
        keys: u64,
        /// How many of them must sign.
        #[arg(long, default_value_t = 2)]
        threshold: u64,
        /// The root that devices trust now: the new one follows it, where old keys were lost or stolen.
        #[arg(long, requires = "signed_by")]
        after: Option<PathBuf>,
        /// Enough root keys of --after: a folder or one key; may be repeated.
        #[arg(long)]
        signed_by: Vec<PathBuf>,
    },
    /// Sign a bundle of models, policy and calibration and write it as a folder for a stick or a web server.
    Publish {
        /// A folder of keys or one key; may be repeated. At least two of the targets', the snapshot's and the timestamp's.
        #[arg(long, required = true)]
        keys: Vec<PathBuf>,
        /// The root of `update init`; default: root.json in the first folder of keys.
        #[arg(long)]
        root: Option<PathBuf>,
        /// Where to write the bundle.
        #[arg(long)]
        out: PathBuf,
        /// Folder of a face pack (manifest.toml and its nets).
        #[arg(long)]
        pack: Option<PathBuf>,
        /// What every device must at least do (policy.toml).
        #[arg(long)]
        policy: Option<PathBuf>,
        /// Thresholds of the liveness net for cameras without their own (calibration.toml).
        #[arg(long)]
        calibration: Option<PathBuf>,
        /// Higher than every version before: no device goes back.
        #[arg(long)]
        version: NonZeroU64,
        /// The only device that may take it; all may where this is absent.
        #[arg(long)]
        device: Option<DeviceId>,
        /// How long it may be taken.
        #[arg(long, default_value = "2160h", value_parser = duration)]
        valid: Duration,
    },
}

impl Update {
    pub fn run(self, now: Wall) -> anyhow::Result<()> {
        match self {
            Update::Init { dir, keys, threshold, after, signed_by } => {
                let before = after.as_deref().map(|root| Before { root, keys: &signed_by });
                let root = update_keys::init(&dir, threshold, keys, before.as_ref(), now).map_err(ending)?;
                let dir = dir.display();
                say(format_args!(
                    "Made the update keys in {dir}. Give root-*.key and targets-*.key to different people and delete them here;\n\
                     devices trust {dir}/root.json (bedcheck update trust), whose fingerprint is\n{root}"
                ));
                Ok(())
            }
            Update::Publish { keys, root, out, pack, policy, calibration, version, device, valid } => {
                let beside = keys.iter().find(|path| path.is_dir()).map(|folder| folder.join("root.json"));
                let root = root.or(beside).ok_or_else(|| Ending::usage("name the root with --root"))?;
                let (pack, policy) = (pack.as_deref(), policy.as_deref());
                let (calibration, device) = (calibration.as_deref(), device.as_ref());
                let (keys, root, out) = (keys.as_slice(), root.as_path(), out.as_path());
                let bundle = Bundle { keys, root, out, pack, policy, calibration, version, device, valid };
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(update::publish(&bundle, now)).map_err(ending)?;
                let whom =
                    device.map_or_else(|| "every device".to_owned(), |device| format!("device {device}"));
                let until = now.plus(valid);
                say(format_args!(
                    "Bundle {version} for {whom} is in {}, to be taken until {until}.",
                    out.display()
                ));
                Ok(())
            }
        }
    }
}

fn ending(error: PublishError) -> Ending {
    match error {
        PublishError::File(_) | PublishError::Write(_) | PublishError::Random(_) => Ending::failed(error),
        PublishError::Threshold { .. } | PublishError::Empty | PublishError::Time(_) => Ending::usage(error),
        PublishError::Exists(_)
        | PublishError::Content(..)
        | PublishError::Policy(..)
        | PublishError::Published(..)
        | PublishError::Sign(_)
        | PublishError::NotFollowing(_)
        | PublishError::Root(_) => Ending::config(error),
    }
}
