//! What a verification at the kiosk (智慧核查) came to, as it is reported: who was claimed, for what, by which way. Never a
//! face, and of a proxy no number: only a digest that this box alone can compute.

use serde::{Deserialize, Serialize};

use crate::base::clock::Wall;
use crate::base::ids::{CameraId, StayId};
use crate::domain::challenge::Challenge;
use crate::domain::kiosk::attempt::Setback;
use crate::domain::liveness::Cue;
use crate::domain::sighting::Reason;
use crate::domain::verify::Proof;

/// What somebody stands before the kiosk for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// 入院
    Admission,
    /// 结算
    Settlement,
    /// 购药取药
    Pickup,
}

impl Purpose {
    pub const ALL: [Purpose; 3] = [Purpose::Admission, Purpose::Settlement, Purpose::Pickup];

    /// The name in code, tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Purpose::Admission => "admission",
            Purpose::Settlement => "settlement",
            Purpose::Pickup => "pickup",
        }
    }

    pub fn chinese(self) -> &'static str {
        match self {
            Purpose::Admission => "入院",
            Purpose::Settlement => "结算",
            Purpose::Pickup => "购药取药",
        }
    }
}

/// What the staff looked at where no face decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Document {
    /// 身份证
    IdCard,
    /// 腕带
    Wristband,
    /// 医保卡或电子凭证
    InsuranceCard,
}

/// What a proxy (代办人) is to the patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// 配偶
    Spouse,
    /// 子女
    Child,
    /// 父母
    Parent,
    /// 护工或其他人
    Other,
}

/// Somebody who collects for the patient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proxy {
    /// Salted digest of the identity number, the same at each visit to this box: one proxy for many patients shows.
    pub subject: String,
    pub masked_name: String,
    pub relation: Relation,
    /// Another patient enrolled here whose face the proxy's is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resembles: Option<StayId>,
}

/// What is bought, for the pharmacy rules of the platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purchase {
    /// 分: hundredths of a yuan.
    pub amount_fen: u64,
    /// National drug codes, as scanned.
    pub drugs: Vec<String>,
}

/// Drugs of one purchase, and how long a code may be.
const MOST_DRUGS: usize = 40;
const LONGEST_CODE: usize = 32;

/// Why what was typed is no purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPurchase {
    #[error("金额应为元，如 128.50 · the amount is in yuan, as 128.50")]
    Amount,
    #[error("药品编码应为字母和数字，最多 40 种 · codes are letters and digits, 40 at most")]
    Codes,
}

impl Purchase {
    /// Reads an amount in yuan and codes with blanks, commas or lines between.
    ///
    /// # Errors
    /// [`BadPurchase`].
    pub fn parse(yuan: &str, codes: &str) -> Result<Purchase, BadPurchase> {
        let (whole, rest) = yuan.trim().split_once('.').unwrap_or((yuan.trim(), ""));
        let is_number = |text: &str, most| text.len() <= most && text.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !is_number(whole, 8) || !is_number(rest, 2) {
            return Err(BadPurchase::Amount);
        }
        let fen = format!("{whole}{rest:0<2}").parse().map_err(|_| BadPurchase::Amount)?;
        let split = codes.split(|c: char| c.is_whitespace() || matches!(c, ',' | '，' | '、' | ';'));
        let drugs: Vec<String> = split.filter(|code| !code.is_empty()).map(str::to_owned).collect();
        let is_code =
            |code: &String| code.len() <= LONGEST_CODE && code.bytes().all(|b| b.is_ascii_alphanumeric());
        if drugs.len() > MOST_DRUGS || !drugs.iter().all(is_code) {
            return Err(BadPurchase::Codes);
        }
        Ok(Purchase { amount_fen: fen, drugs })
    }
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// 核验通过: the living face of the person claimed.
    Verified,
    /// 人工核验: staff saw the document; two of them, or one where a proxy's living face was seen, too.
    Attested { document: Document, staff: Vec<String> },
    /// 人证不符: twice surely somebody else; `resembles` when both times the same other patient.
    Mismatch {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resembles: Option<StayId>,
    },
    /// 疑似攻击: twice no living face.
    NotLive { cue: Cue },
    /// 无法判定: accuses nobody.
    Inconclusive { reason: Reason },
    /// 中途离开
    Abandoned,
}

impl Outcome {
    /// The name in code, tables and JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Verified => "verified",
            Outcome::Attested { .. } => "attested",
            Outcome::Mismatch { .. } => "mismatch",
            Outcome::NotLive { .. } => "not_live",
            Outcome::Inconclusive { .. } => "inconclusive",
            Outcome::Abandoned => "abandoned",
        }
    }

    pub fn chinese(&self) -> &'static str {
        match self {
            Outcome::Verified => "核验通过",
            Outcome::Attested { .. } => "人工核验",
            Outcome::Mismatch { .. } => "人证不符",
            Outcome::NotLive { .. } => "疑似攻击",
            Outcome::Inconclusive { .. } => "无法判定",
            Outcome::Abandoned => "中途离开",
        }
    }

    /// Whether the business at the counter may go on.
    pub fn is_good(&self) -> bool {
        matches!(self, Outcome::Verified | Outcome::Attested { .. })
    }
}

/// The challenge that was asked last, for whoever wants to draw it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Hexadecimal.
    pub nonce: String,
    pub actions: Challenge,
    /// How many of them were done.
    pub done: u8,
}

/// One verification, as reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// The same in every report of one visit: a failed face and the staff's word after it belong together.
    pub visit: String,
    pub camera: CameraId,
    pub purpose: Purpose,
    /// Version of the notice that was shown.
    pub notice: String,
    /// Whether the person agreed to the camera.
    pub consent: bool,
    pub stay: StayId,
    pub masked_name: String,
    #[serde(flatten)]
    pub outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purchase: Option<Purchase>,
    /// What went wrong before, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub setbacks: Vec<Setback>,
    /// Median similarity to the person claimed; absent where no face was compared.
    pub similarity: Option<f32>,
    pub threshold: f32,
    pub fmr: String,
    /// The cue that proved life with its numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life: Option<Proof>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<Asked>,
    pub began: Wall,
    pub done: Wall,
    /// From the face in view to the result, where a face decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_ms: Option<u64>,
    /// Whether the pictures came from a recording; such a result can never count as real.
    pub synthetic: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purchase_is_read_as_people_and_scanners_write_it() {
        let read = |yuan, codes| Purchase::parse(yuan, codes);
        let bought = read("128.5", "86900001,86900002\n86900003").unwrap();
        assert_eq!((bought.amount_fen, bought.drugs.len()), (12_850, 3));
        assert_eq!(read("7", "").unwrap().amount_fen, 700);
        for wrong in ["", "-1", "1.234", "a", "1.2.3", "999999999", "1e3"] {
            assert_eq!(read(wrong, ""), Err(BadPurchase::Amount), "{wrong}");
        }
        assert_eq!(read("1", "<script>"), Err(BadPurchase::Codes));
        assert_eq!(read("1", &"a ".repeat(41)), Err(BadPurchase::Codes));
    }
}
