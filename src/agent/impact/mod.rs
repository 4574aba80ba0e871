//! 个人信息保护影响评估: what must be assessed before faces are compared (PIPL articles 55 and 56, and the measures on face
//! recognition in force since 2025-06-01), written from the configuration and the state as they are now. What only the
//! hospital can say is left open and says who must say it; nothing is invented.

mod chapters;
mod document;
mod people;
mod safety;

use std::collections::BTreeMap;
use std::path::Path;

use crate::agent::config::{Above, Settings};
use crate::agent::doctor::{self, Line};
use crate::agent::{identity, tasks};
use crate::base::clock::Now;
use crate::store::{Privacy, PrivacyError};
use crate::vision::manifest::{self, Manifest};
use crate::wire::privacy::{Erased, Step};

pub use document::Document;

/// From so many stored faces on the measures ask for filing within 30 working days.
pub const FILING: usize = 100_000;

/// Everything the document is written from.
pub struct Live {
    pub now: Now,
    pub settings: Settings,
    /// `Err`: why the pack cannot be read.
    pub pack: Result<Manifest, String>,
    /// The platform and this device as it knows it, once enrolled.
    pub platform: Option<(String, String)>,
    pub faces: usize,
    /// People who wait for their erasure.
    pub leaving: usize,
    /// What each stay stands on that the ledger speaks of; `Err`: it was written into.
    pub grounds: Result<Vec<Step>, String>,
    pub entries: usize,
    pub erasures: Vec<Erased>,
    /// What the doctor found.
    pub findings: Vec<Line>,
}

/// Looks at everything. Needs a tokio runtime, and takes as long as `bedcheck doctor`.
///
/// # Errors
/// A store that cannot be read.
pub async fn look(config: &Path, above: &Above, settings: Settings, now: Now) -> Result<Live, PrivacyError> {
    let findings = doctor::examine(config, above, now).await.lines;
    let privacy = Privacy::open(&settings.state)?;
    let folder = settings.models.clone().map_or_else(tasks::default_models, Ok);
    let pack = folder
        .map_err(|error| error.to_string())
        .and_then(|folder| manifest::read(&folder).map_err(|error| error.to_string()));
    let bundle = identity::bundle(&settings.state).ok();
    let mut entries = 0;
    let grounds = privacy.ledger().map(|ledger| {
        entries = ledger.len();
        let last: BTreeMap<_, _> = ledger.into_iter().map(|(entry, _)| (entry.subject, entry.step)).collect();
        last.into_values().collect()
    });
    Ok(Live {
        now,
        pack,
        platform: bundle.map(|bundle| (bundle.platform_url, bundle.device.to_string())),
        faces: privacy.stored()?.len(),
        leaving: privacy.leaving()?.len(),
        grounds: grounds.map_err(|error: PrivacyError| error.to_string()),
        entries,
        erasures: privacy.erasures()?,
        findings,
        settings,
    })
}

/// The document.
pub fn write(live: &Live) -> Document {
    let subtitle = format!(
        "{} 病区 · 由 bedcheck {} 根据 {} 的实际配置与状态生成 · “待填写”之处由所注明的部门补齐，条款适用由法务核对",
        live.settings.ward,
        env!("CARGO_PKG_VERSION"),
        live.now.wall
    );
    let chapters = vec![
        chapters::basics(live),
        chapters::purposes(live),
        chapters::legality(live),
        chapters::cameras(live),
        people::kept(live),
        people::count(live),
        people::receivers(live),
        people::alternatives(),
        people::rights(live),
        safety::measures(live),
        safety::accuracy(live),
        safety::risks(live),
        chapters::conclusion(),
    ];
    Document { title: "个人信息保护影响评估报告（人脸识别）", subtitle, chapters }
}
