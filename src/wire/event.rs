//! The body of a report: a CloudEvents 1.0 JSON object with a salt.

use serde::{Deserialize, Serialize};

use crate::base::clock::Wall;
use crate::base::frame::Tamper;
use crate::base::ids::{BedId, DeviceId, StayId, WardId};
use crate::domain::Finding;
use crate::domain::draw::Commitment;
use crate::domain::effort::Eased;
use crate::domain::kiosk::verification::Verification;
use crate::domain::operating::Realised;
use crate::wire::bundle::BundleBeat;
use crate::wire::privacy::PrivacyNote;

/// One event. `id` + `source` name it for ever: a repeat is recognised by them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    pub specversion: String,
    /// UUIDv7.
    pub id: String,
    /// `urn:bedcheck:device:<id>`.
    pub source: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// RFC 3339.
    pub time: String,
    pub datacontenttype: String,
    /// 16 random bytes in hexadecimal.
    pub salt: String,
    pub data: Report,
}

/// What an agent says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum Report {
    /// First words of an agent that started.
    Hello(Hello),
    /// The agent's belief about who lies where.
    Roster(RosterSeen),
    /// Something the domain found.
    Finding(Finding),
    /// Still alive.
    Beat(Beat),
    /// What was erased of whoever, and on which ground a face is kept. An older platform keeps it in the chain and calls
    /// it unreadable.
    Privacy(PrivacyNote),
    /// What a verification at the kiosk came to. An older platform keeps it in the chain, too. In a box, because it is
    /// larger than the rest.
    Verification(Box<Verification>),
}

impl Report {
    /// The `type` of the CloudEvent.
    pub fn kind(&self) -> &'static str {
        match self {
            Report::Hello(_) => "cn.bedcheck.hello.v1",
            Report::Roster(_) => "cn.bedcheck.roster.v1",
            Report::Finding(Finding::RoundBegun(_)) => "cn.bedcheck.round.v1",
            Report::Finding(Finding::Checked(_)) => "cn.bedcheck.check.v1",
            Report::Finding(Finding::Exception(_)) => "cn.bedcheck.exception.v1",
            Report::Finding(Finding::Irregular(_)) => "cn.bedcheck.irregularity.v1",
            Report::Finding(Finding::Committed(_)) => "cn.bedcheck.commitment.v1",
            Report::Beat(_) => "cn.bedcheck.beat.v1",
            Report::Privacy(_) => "cn.bedcheck.privacy.v1",
            Report::Verification(_) => "cn.bedcheck.verification.v1",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    pub ward: WardId,
    pub version: String,
    /// `production`, `pilot` or `demo`.
    pub mode: String,
    pub cameras: Vec<String>,
    /// Why the ward may be watched, as written down there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legal_basis: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterSeen {
    pub ward: WardId,
    /// When the agent received it.
    pub received: Wall,
    /// SHA-256 of the file as received.
    pub digest: String,
    pub stays: Vec<RosterRow>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterRow {
    pub bed: BedId,
    pub stay: StayId,
    pub masked_name: String,
    /// How many templates are enrolled; 0 means that this stay cannot be verified.
    pub templates: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Beat {
    pub rounds_done: u64,
    pub unsent: u64,
    /// Camera, frames seen since start, and whether it brings pictures now.
    pub cameras: Vec<CameraBeat>,
    /// What binds the draws from the next round on; absent from older agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commitment: Option<Commitment>,
    /// The configuration on its disk has mistakes; it runs on with the last good one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refuses_config: bool,
    /// How many people's face templates this box holds.
    pub stored_faces: usize,
    /// What the operating point does to the people enrolled here; absent from older agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operating: Option<Realised>,
    /// Which signed updates this device took; absent where it trusts nobody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<BundleBeat>,
    /// Heat or load lets fewer beds be watched at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eased: Option<Eased>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CameraBeat {
    pub camera: String,
    pub frames: u64,
    pub working: bool,
    /// What keeps it from showing the ward.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tamper: Option<Tamper>,
}

/// Chance that an event needs, as values.
pub struct Chance {
    pub id: uuid::Uuid,
    pub salt: [u8; 16],
}

impl Event {
    pub fn new(device: &DeviceId, at: Wall, chance: Chance, data: Report) -> Event {
        Event {
            specversion: "1.0".to_owned(),
            id: chance.id.to_string(),
            source: source(device),
            kind: data.kind().to_owned(),
            time: at.to_string(),
            datacontenttype: "application/json".to_owned(),
            salt: hex::encode(chance.salt),
            data,
        }
    }
}

/// The CloudEvents source, and the URI in the device's certificate.
pub fn source(device: &DeviceId) -> String {
    format!("urn:bedcheck:device:{device}")
}
