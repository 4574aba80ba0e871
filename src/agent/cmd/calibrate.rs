//! `bedcheck calibrate`: the commissioning kit. Film living people, prints, replays and masks in front of the very camera,
//! then set its thresholds from them.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use comfy_table::{Table, presets};
use indicatif::ProgressBar;

use crate::agent::cmd::eval::pad::score_all;
use crate::agent::cmd::{Pack, say};
use crate::agent::evaluate::pad::{Presentation, read_labels};
use crate::agent::{calibrate, config, tasks};
use crate::base::clock::Clock;
use crate::base::exit::{Code, Ending};
use crate::base::files::{make_owner_only_folder, write_owner_only};
use crate::base::ids::CameraId;
use crate::base::picture::encode_jpeg;
use crate::capture::Attention;

const QUALITY: u8 = 92;

#[derive(clap::Args)]
pub struct Calibrate {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// 拍摄一次呈现 · films one presentation (a person, or a print, screen, mask) and labels it.
    Film(Film),
    /// 计算并写入阈值 · sets the camera's thresholds from everything filmed.
    Fit(Fit),
}

#[derive(clap::Args)]
struct Film {
    /// Configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/bedcheck/config.toml")]
    config: PathBuf,
    /// Which of its cameras.
    #[arg(long)]
    camera: CameraId,
    /// What stands before it: `live`, or the kind of attack (`print`, `screen`, `cutout` ...).
    #[arg(long)]
    species: String,
    /// Pictures to take.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..=200))]
    frames: u16,
    /// Folder that collects the presentations and their labels.csv. Erase it afterwards: it holds pictures of people.
    #[arg(long)]
    into: PathBuf,
}

#[derive(clap::Args)]
struct Fit {
    /// Configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/bedcheck/config.toml")]
    config: PathBuf,
    /// The camera that filmed.
    #[arg(long)]
    camera: CameraId,
    /// Folder of `calibrate film`, or any set of `eval pad`.
    set: PathBuf,
    #[command(flatten)]
    pack: Pack,
}

impl Calibrate {
    pub fn run(self) -> anyhow::Result<Code> {
        match self.what {
            What::Film(film) => film.run(),
            What::Fit(fit) => fit.run(),
        }
    }
}

impl Film {
    fn run(self) -> anyhow::Result<Code> {
        let settings = config::read(&self.config).map_err(Ending::config)?;
        let camera = settings.cameras.iter().find(|camera| camera.id == self.camera);
        let camera = camera.ok_or_else(|| {
            let known: Vec<&str> = settings.cameras.iter().map(|camera| camera.id.as_str()).collect();
            Ending::config(format!("there is no camera {}; cameras are {}", self.camera, known.join(", ")))
        })?;
        if !self.species.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') || self.species.is_empty() {
            return Err(
                Ending::config("--species takes letters, digits and _: live, print, screen, cutout").into()
            );
        }
        let mut source = tasks::open_camera(camera)?;
        let attention = Attention::full(&Clock::system());
        make_owner_only_folder(&self.into)?;
        let name = free_name(&self.into, &self.species);
        let folder = self.into.join(&name);
        make_owner_only_folder(&folder)?;
        let progress = ProgressBar::new(u64::from(self.frames));
        for number in 0..self.frames {
            let picture = source.next_picture(&attention).map_err(Ending::failed)?;
            let jpeg = encode_jpeg(&picture, QUALITY).map_err(|error| anyhow::anyhow!("{error}"))?;
            write_owner_only(&folder.join(format!("{number:03}.jpg")), &jpeg)?;
            progress.inc(1);
        }
        progress.finish_and_clear();
        self.label(&name)?;
        say(format!("{} · {} 张 pictures", folder.display(), self.frames));
        Ok(Code::Fine)
    }

    fn label(&self, name: &str) -> anyhow::Result<()> {
        let path = self.into.join("labels.csv");
        let is_new = !path.exists();
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        if is_new {
            writeln!(file, "file,label,species")?;
        }
        match self.species.as_str() {
            "live" => writeln!(file, "{name},live,")?,
            species => writeln!(file, "{name},attack,{species}")?,
        }
        Ok(())
    }
}

fn free_name(folder: &Path, species: &str) -> String {
    let names = (1..10_000).map(|number| format!("{species}-{number:03}"));
    names.into_iter().find(|name| !folder.join(name).exists()).unwrap_or_else(|| species.to_owned())
}

impl Fit {
    fn run(self) -> anyhow::Result<Code> {
        let settings = config::read(&self.config).map_err(Ending::config)?;
        if !settings.cameras.iter().any(|camera| camera.id == self.camera) {
            return Err(Ending::config(format!("there is no camera {}", self.camera)).into());
        }
        let mut set = read_labels(&self.set).map_err(Ending::failed)?;
        let net = self.pack.manifest()?.pad.map(|pad| pad.sha256);
        let net =
            net.ok_or_else(|| Ending::config("this pack has no PAD net ([pad] in its manifest.toml)"))?;
        score_all(&self.pack, 1, &mut set)?;
        let found = calibrate::fit(&set, &net)?;
        show(&set, &found);
        let path = calibrate::write(&settings.state, &self.camera, &found)?;
        say(format!("已写入 · written to {}; 重启后生效 · restart bedcheck", path.display()));
        if found.live < calibrate::LIVE_WANTED || found.attacks < calibrate::ATTACKS_WANTED {
            say(format!(
                "样本太少：建议至少 {} 名真人、{} 次攻击 · too few to rely on: film at least {} living people and {} attacks",
                calibrate::LIVE_WANTED,
                calibrate::ATTACKS_WANTED,
                calibrate::LIVE_WANTED,
                calibrate::ATTACKS_WANTED
            ));
        }
        Ok(Code::Fine)
    }
}

fn show(set: &[Presentation], found: &calibrate::Calibration) {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY).set_header([
        "呈现 presentation",
        "类别 species",
        "P(live)",
        "",
    ]);
    for one in set {
        let name = one.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let species = if one.is_live { "live" } else { &one.species };
        let score = one.score.map_or_else(|| "无人脸 no face".to_owned(), |score| format!("{score:.3}"));
        let bar = "▇".repeat((one.score.unwrap_or(0.0) * 20.0).round() as usize);
        table.add_row([name.as_str(), species, score.as_str(), bar.as_str()]);
    }
    say(table);
    let percent = |value: f64| 100.0 * value;
    say(format!(
        "live_at = {:.3}   APCER max {:.1} % ({:.1}–{:.1}, n = {})\nattack_below = {:.3}   BPCER {:.1} % ({:.1}–{:.1}, n = {})   Clopper–Pearson 95 %",
        found.passive.live_at,
        percent(found.apcer_max),
        percent(found.apcer_interval[0]),
        percent(found.apcer_interval[1]),
        found.attacks,
        found.passive.attack_below,
        percent(found.bpcer),
        percent(found.bpcer_interval[0]),
        percent(found.bpcer_interval[1]),
        found.live,
    ));
}
