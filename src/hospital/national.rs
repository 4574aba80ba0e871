//! JSON with the field names of the national insurance interface: 2401 admits, 2402 discharges, 2403 corrects, 2404
//! cancels an admission, 5303 lists who is in hospital according to the insurer. A hospital's system sends us a copy of
//! what it sends to the insurer, with the `mdtrt_id` that the insurer gave.

use serde::Deserialize;

use crate::base::clock::Wall;
use crate::base::ids::{BedId, StayId, WardId};
use crate::base::redact::Private;
use crate::domain::facts::{Change, Fact, Person, What};
use crate::domain::snapshot::Insured;
use crate::hospital::text::china_time;

/// Largest message: a list of ten thousand stays has about two million bytes.
pub const MOST_BYTES: usize = 8 * 1024 * 1024;
const MOST_STAYS: usize = 10_000;

/// What a message says.
#[derive(Clone, Debug, PartialEq)]
pub enum National {
    Facts(Vec<Fact>),
    /// 5303: everybody of this ward whom the insurer knows as an inpatient; `source` names the message.
    List {
        source: String,
        stays: Vec<Insured>,
    },
}

/// What is wrong with a message, with the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// The envelope. Fields we do not need are not looked at: senders add their own.
#[derive(Deserialize)]
struct Envelope {
    infno: String,
    msgid: String,
    #[serde(default)]
    input: Input,
    #[serde(default)]
    output: Input,
}

#[derive(Default, Deserialize)]
struct Input {
    mdtrtinfo: Option<Stay>,
    adminfo: Option<Stay>,
    dscginfo: Option<Stay>,
    data: Option<OneOrMany>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(Box<Stay>),
    Many(Vec<Stay>),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Stay {
    mdtrt_id: String,
    psn_no: String,
    psn_name: String,
    begntime: String,
    endtime: String,
    adm_dept_codg: String,
    adm_bed: String,
    dscg_bed: String,
}

/// Reads one message for the ward `ward`.
///
/// # Errors
/// [`Refused`] with the field at fault.
pub fn read(bytes: &[u8], received: Wall, ward: &WardId) -> Result<National, Refused> {
    // serde_json's own words name the line and never repeat a value's text.
    let envelope: Envelope = serde_json::from_slice(bytes)
        .map_err(|error| Refused(format!("the message is not understood: {error}")))?;
    if envelope.msgid.is_empty() {
        return Err(Refused("msgid is missing: by it a repetition is known".to_owned()));
    }
    let Envelope { infno, msgid, input, output } = envelope;
    let fact = |stay: &Stay, time: &str, place: &str, change| {
        let at = moment(time, place)?.unwrap_or(received);
        let id = format!("{infno}/{msgid}");
        Ok(National::Facts(vec![Fact { id, stay: Some(stay.id()?), at, received, change }]))
    };
    match infno.as_str() {
        "2401" => {
            let stay = needed(input.mdtrtinfo, "input.mdtrtinfo")?;
            let change = Change::Admitted { person: stay.person(), bed: stay.bed(ward)? };
            fact(&stay, &stay.begntime, "begntime", change)
        }
        "2402" => {
            let stay = needed(input.dscginfo, "input.dscginfo")?;
            fact(&stay, &stay.endtime, "endtime", Change::Discharged)
        }
        "2403" => {
            let stay = needed(input.adminfo.or(input.mdtrtinfo), "input.adminfo")?;
            let change = if stay.adm_bed.is_empty() {
                Change::Corrected { person: stay.person() }
            } else {
                Change::Moved { bed: stay.bed(ward)? }
            };
            // Its begntime is the admission's, not the change's.
            fact(&stay, "", "", change)
        }
        "2404" => {
            let stay = match input.data {
                Some(OneOrMany::One(stay)) => *stay,
                _ => needed(input.mdtrtinfo, "input.data")?,
            };
            fact(&stay, "", "", Change::Cancelled { what: What::Admission })
        }
        "5303" => list(output.data.or(input.data), ward, format!("{infno}/{msgid}")),
        other => {
            Err(Refused(format!("infno {other:?} is not read here; 2401, 2402, 2403, 2404 and 5303 are")))
        }
    }
}

fn list(data: Option<OneOrMany>, ward: &WardId, source: String) -> Result<National, Refused> {
    let stays = match needed(data, "output.data")? {
        OneOrMany::One(stay) => vec![*stay],
        OneOrMany::Many(stays) => stays,
    };
    if stays.len() > MOST_STAYS {
        return Err(Refused(format!("output.data has more than {MOST_STAYS} rows")));
    }
    let ours = stays.iter().filter(|stay| stay.is_of(ward));
    let stays = ours.map(|stay| Ok(Insured { stay: stay.id()?, person: stay.person() }));
    Ok(National::List { source, stays: stays.collect::<Result<_, Refused>>()? })
}

fn needed<T>(value: Option<T>, place: &str) -> Result<T, Refused> {
    value.ok_or_else(|| Refused(format!("{place} is missing")))
}

fn moment(text: &str, place: &str) -> Result<Option<Wall>, Refused> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || Refused(format!("{place}: write a time such as 2026-11-23 08:30:00"));
    china_time(text).map(Some).ok_or_else(wrong)
}

impl Stay {
    fn id(&self) -> Result<StayId, Refused> {
        StayId::new(self.mdtrt_id.clone())
            .map_err(|_| Refused("mdtrt_id: use 1 to 64 letters, digits, '.', '_' or '-'".to_owned()))
    }

    fn person(&self) -> Person {
        Person { psn_no: Private::new(self.psn_no.clone()), psn_name: Private::new(self.psn_name.clone()) }
    }

    fn is_of(&self, ward: &WardId) -> bool {
        self.adm_dept_codg.is_empty() || self.adm_dept_codg == ward.as_str()
    }

    /// The bed where it is one of this ward.
    fn bed(&self, ward: &WardId) -> Result<Option<BedId>, Refused> {
        let bed = if self.adm_bed.is_empty() { &self.dscg_bed } else { &self.adm_bed };
        if bed.is_empty() || !self.is_of(ward) {
            return Ok(None);
        }
        BedId::new(bed.clone())
            .map(Some)
            .map_err(|_| Refused("adm_bed: use 1 to 64 letters, digits, '.', '_' or '-'".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_one(json: &str) -> Result<National, Refused> {
        read(json.as_bytes(), Wall(7), &WardId::new("3A").unwrap())
    }

    fn change(json: &str) -> Change {
        match read_one(json).unwrap() {
            National::Facts(facts) => facts[0].change.clone(),
            National::List { .. } => panic!("facts were expected"),
        }
    }

    #[test]
    fn an_admission_is_read_with_its_bed_and_time_and_fields_of_others_do_not_matter() {
        let json = r#"{"infno":"2401","msgid":"H1","fixmedins_code":"H51","input":{"mdtrtinfo":{"mdtrt_id":"M1",
            "psn_no":"P1","begntime":"2026-11-23 08:30:00","adm_dept_codg":"3A","adm_bed":"12","insutype":"310"}}}"#;
        let National::Facts(facts) = read_one(json).unwrap() else { panic!("facts were expected") };
        assert_eq!(
            (facts[0].id.as_str(), facts[0].at),
            ("2401/H1", china_time("2026-11-23 08:30:00").unwrap())
        );
        assert!(matches!(&facts[0].change, Change::Admitted { bed: Some(bed), .. } if bed.as_str() == "12"));
        let elsewhere = json.replace("\"3A\"", "\"4B\"");
        assert!(matches!(change(&elsewhere), Change::Admitted { bed: None, .. }));
    }

    #[test]
    fn discharge_change_and_cancellation_are_told_apart() {
        let stay = r#""mdtrt_id":"M1","psn_no":"P1""#;
        let json =
            |infno: &str, input: &str| format!(r#"{{"infno":"{infno}","msgid":"H2","input":{{{input}}}}}"#);
        assert_eq!(change(&json("2402", &format!(r#""dscginfo":{{{stay}}}"#))), Change::Discharged);
        let moved = change(&json("2403", &format!(r#""adminfo":{{{stay},"adm_bed":"14"}}"#)));
        assert!(matches!(moved, Change::Moved { bed: Some(_) }));
        let cancelled = change(&json("2404", &format!(r#""data":{{{stay}}}"#)));
        assert_eq!(cancelled, Change::Cancelled { what: What::Admission });
    }

    #[test]
    fn the_insurers_list_is_this_wards_part_of_it() {
        let json = r#"{"infno":"5303","msgid":"H3","output":{"data":[{"mdtrt_id":"M1","adm_dept_codg":"3A"},
            {"mdtrt_id":"M2","adm_dept_codg":"4B"},{"mdtrt_id":"M3"}]}}"#;
        let National::List { stays, .. } = read_one(json).unwrap() else { panic!("a list was expected") };
        assert_eq!(stays.len(), 2);
    }

    #[test]
    fn what_is_missing_is_named_and_nothing_personal_is_repeated() {
        let refused = |json: &str| read_one(json).unwrap_err().to_string();
        assert!(refused(r#"{"infno":"2401","msgid":"","input":{}}"#).contains("msgid"));
        assert!(refused(r#"{"infno":"2402","msgid":"1","input":{}}"#).contains("input.dscginfo"));
        assert!(refused(r#"{"infno":"9001","msgid":"1","input":{}}"#).contains("9001"));
        let wrong = r#"{"infno":"2401","msgid":"1","input":{"mdtrtinfo":{"mdtrt_id":"张三 李四","begntime":"gestern"}}}"#;
        assert!(!refused(wrong).contains("张三") && refused(wrong).contains("begntime"));
    }
}
