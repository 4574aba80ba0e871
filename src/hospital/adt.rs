//! HL7 v2 ADT messages as facts: who was admitted, moved, discharged, let out, and what was taken back.
//!
//! Read are MSH, EVN, PID, PV1, PV2 and MRG of versions 2.1 to 2.8, in the senders' own dialects: a missing structure id,
//! line feeds between segments, a time without a zone. What has nothing to do with beds is accepted and ignored, so that
//! an interface engine does not stop; what would leave a gap in the roster is refused with the place (`PV1-19`).

use hl7_parser::Message;
use hl7_parser::datetime::TimeStamp;
use hl7_parser::message::{Field, Segment, Separators};
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use crate::base::clock::Wall;
use crate::base::ids::{BedId, StayId, WardId};
use crate::base::redact::Private;
use crate::domain::facts::{Change, Excuse, Fact, Person, What};
use crate::hospital::text::{self, ZONE};

/// Largest message: an ADT without pictures has a few thousand bytes.
pub const MOST_BYTES: usize = 1024 * 1024;

/// What a message is for us.
#[derive(Clone, Debug, PartialEq)]
pub enum Adt {
    Facts(Vec<Fact>),
    /// Nothing that concerns a bed.
    Ignored(&'static str),
}

/// Why a message is refused; `code` is of HL7 table 0357.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text} ({code})")]
pub struct Refused {
    pub code: u16,
    pub text: String,
}

impl Refused {
    fn missing(place: &str, what: &str) -> Refused {
        Refused { code: 101, text: format!("{place} is missing: {what}") }
    }

    fn wrong(place: &str, what: impl std::fmt::Display) -> Refused {
        Refused { code: 102, text: format!("{place}: {what}") }
    }
}

/// The part of a message that an acknowledgement repeats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    pub application: String,
    pub facility: String,
    pub control_id: String,
    pub version: String,
    pub processing: String,
}

/// Reads one message that reached us at `received`, for the ward `ward`.
///
/// # Errors
/// [`Refused`] with the field at fault; the header, as far as it could be read, is needed for the answer.
pub fn read(bytes: &[u8], received: Wall, ward: &WardId) -> (Header, Result<Adt, Refused>) {
    let text = match text::decode(bytes) {
        Ok(text) => text,
        Err(complaint) => return (Header::default(), Err(Refused::wrong("message", complaint))),
    };
    let message = match Message::parse_with_lenient_newlines(text.trim(), true) {
        Ok(message) => message,
        Err(error) => return (Header::default(), Err(Refused { code: 100, text: error.to_string() })),
    };
    let reader = Reader { message: &message, received, ward };
    (reader.header(), reader.adt())
}

/// The messages of a file: each begins with a line `MSH|`. No byte of a Chinese character is a line's end.
pub fn messages(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_begin = |at: &usize| {
        bytes[*at..].starts_with(b"MSH|") && (*at == 0 || matches!(bytes[*at - 1], b'\r' | b'\n'))
    };
    let begins: Vec<usize> = (0..bytes.len()).filter(is_begin).collect();
    let ends: Vec<usize> = begins.iter().skip(1).copied().chain([bytes.len()]).collect();
    begins.into_iter().zip(ends).map(|(from, to)| &bytes[from..to])
}

struct Reader<'m> {
    message: &'m Message<'m>,
    received: Wall,
    ward: &'m WardId,
}

impl Reader<'_> {
    fn header(&self) -> Header {
        let msh = self.message.segment("MSH");
        let value = |field| msh.map(|msh| self.value(msh, field, 1)).unwrap_or_default();
        Header {
            application: value(3),
            facility: value(4),
            control_id: value(10),
            processing: value(11),
            version: value(12),
        }
    }

    fn adt(&self) -> Result<Adt, Refused> {
        let msh = self.segment("MSH")?;
        let kind = self.value(msh, 9, 1);
        if kind != "ADT" {
            return Err(Refused {
                code: 200,
                text: format!("MSH-9.1: {kind} is not read here, only ADT is"),
            });
        }
        let trigger = match self.value(msh, 9, 2) {
            trigger if trigger.is_empty() => {
                self.message.segment("EVN").map(|evn| self.value(evn, 1, 1)).unwrap_or_default()
            }
            trigger => trigger,
        };
        let stay = || self.stay(1);
        let change = match trigger.as_str() {
            // A06: an outpatient becomes an inpatient.
            "A01" | "A06" => Change::Admitted { person: self.person(1)?, bed: self.bed(1)? },
            "A02" => Change::Moved { bed: self.bed(1)? },
            "A03" => Change::Discharged,
            "A08" => Change::Corrected { person: self.person(1)? },
            "A09" => Change::Left { excuse: Excuse::Examination, until: None },
            "A21" => Change::Left { excuse: Excuse::Leave, until: self.announced_return()? },
            "A10" | "A22" => Change::Returned,
            "A11" => Change::Cancelled { what: What::Admission },
            "A12" => Change::Cancelled { what: What::Transfer },
            "A13" => Change::Cancelled { what: What::Discharge },
            "A52" => Change::Cancelled { what: What::Leave },
            "A53" => Change::Cancelled { what: What::Return },
            "A17" => return self.swap(),
            "A40" => return self.merge(),
            "A20" => return Ok(Adt::Ignored("the state of an empty bed")),
            "" => return Err(Refused::missing("MSH-9.2", "the trigger event, such as A01")),
            _ => return Ok(Adt::Ignored("an event that moves nobody in or out of a bed")),
        };
        Ok(Adt::Facts(vec![self.fact(0, Some(stay()?), change)?]))
    }

    /// Two patients change beds: each message carries both, with the beds as they are now.
    fn swap(&self) -> Result<Adt, Refused> {
        let moved = |n: usize| self.fact(n, Some(self.stay(n)?), Change::Moved { bed: self.bed(n)? });
        Ok(Adt::Facts(vec![moved(1)?, moved(2)?]))
    }

    fn merge(&self) -> Result<Adt, Refused> {
        let mrg = self.segment("MRG")?;
        let psn_no = self.required(mrg, "MRG-1", 1, "the number that is given up")?;
        let into = self.person(1)?.psn_no;
        Ok(Adt::Facts(vec![self.fact(0, None, Change::Merged { psn_no: Private::new(psn_no), into })?]))
    }

    fn fact(&self, number: usize, stay: Option<StayId>, change: Change) -> Result<Fact, Refused> {
        let header = self.header();
        if header.control_id.is_empty() {
            return Err(Refused::missing(
                "MSH-10",
                "the message's own number, by which a repetition is known",
            ));
        }
        let id = format!("{}/{}/{}/{number}", header.application, header.facility, header.control_id);
        Ok(Fact { id, stay, at: self.happened()?, received: self.received, change })
    }

    /// EVN-6, else EVN-2, else MSH-7.
    fn happened(&self) -> Result<Wall, Refused> {
        let evn = self.message.segment("EVN");
        let msh = self.message.segment("MSH");
        for (segment, field, place) in [(evn, 6, "EVN-6"), (evn, 2, "EVN-2"), (msh, 7, "MSH-7")] {
            let value = segment.map(|segment| self.value(segment, field, 1)).unwrap_or_default();
            if !value.is_empty() {
                return time(&value).map_err(|complaint| Refused::wrong(place, complaint));
            }
        }
        Err(Refused::missing("EVN-2", "when it happened"))
    }

    /// PV2-47, else EVN-3.
    fn announced_return(&self) -> Result<Option<Wall>, Refused> {
        for (segment, field, place) in [("PV2", 47, "PV2-47"), ("EVN", 3, "EVN-3")] {
            let value =
                self.message.segment(segment).map(|found| self.value(found, field, 1)).unwrap_or_default();
            if !value.is_empty() {
                return time(&value).map(Some).map_err(|complaint| Refused::wrong(place, complaint));
            }
        }
        Ok(None)
    }

    /// PV1-19, else PID-18.
    fn stay(&self, n: usize) -> Result<StayId, Refused> {
        for (segment, field, place) in [("PV1", 19, "PV1-19"), ("PID", 18, "PID-18")] {
            let value = self
                .message
                .segment_n(segment, n)
                .map(|found| self.value(found, field, 1))
                .unwrap_or_default();
            if !value.is_empty() {
                return StayId::new(value)
                    .map_err(|_| Refused::wrong(place, "letters, digits, '.', '_' and '-' only"));
            }
        }
        Err(Refused::missing("PV1-19", "the number of the stay (or PID-18)"))
    }

    /// PID-3 and PID-5.
    fn person(&self, n: usize) -> Result<Person, Refused> {
        let pid = self.message.segment_n("PID", n).ok_or_else(|| Refused::missing("PID", "who it is"))?;
        let psn_no = self.required(pid, "PID-3", 3, "the person's number")?;
        let (family, given) = (self.value(pid, 5, 1), self.value(pid, 5, 2));
        // Chinese names are written without a space, most others with one.
        let space = if family.is_ascii() && given.is_ascii() && !given.is_empty() { " " } else { "" };
        Ok(Person { psn_no: Private::new(psn_no), psn_name: Private::new(format!("{family}{space}{given}")) })
    }

    /// PV1-3: the bed where it is one of this ward.
    fn bed(&self, n: usize) -> Result<Option<BedId>, Refused> {
        let Some(pv1) = self.message.segment_n("PV1", n) else {
            return Err(Refused::missing("PV1", "where it is"));
        };
        let (ward, bed) = (self.value(pv1, 3, 1), self.value(pv1, 3, 3));
        if bed.is_empty() || !(ward.is_empty() || ward == self.ward.as_str()) {
            return Ok(None);
        }
        let plain: String = bed.split_whitespace().collect();
        BedId::new(plain)
            .map(Some)
            .map_err(|_| Refused::wrong("PV1-3.3", "letters, digits, '.', '_' and '-' only"))
    }

    fn segment(&self, name: &str) -> Result<&Segment<'_>, Refused> {
        self.message.segment(name).ok_or_else(|| Refused::missing(name, "the segment"))
    }

    fn required(
        &self,
        segment: &Segment<'_>,
        place: &str,
        field: usize,
        what: &str,
    ) -> Result<String, Refused> {
        let value = self.value(segment, field, 1);
        if value.is_empty() { Err(Refused::missing(place, what)) } else { Ok(value) }
    }

    /// First subcomponent of a component of the field's first repetition, unescaped; `""` is HL7's "delete" and counts as none.
    fn value(&self, segment: &Segment<'_>, field: usize, component: usize) -> String {
        let found = segment.field(field).and_then(|found: &Field<'_>| found.component(component));
        let part = found.and_then(|component| component.subcomponent(1));
        let value = part.map(|part| unescaped(part.value, &self.message.separators)).unwrap_or_default();
        let value = value.trim();
        if value == "\"\"" { String::new() } else { value.to_owned() }
    }
}

/// Text as meant: `\T\` is an ampersand. hl7-parser's own way counts letters where it should count bytes, and panics on the
/// first escape behind a Chinese character.
fn unescaped(text: &str, separators: &Separators) -> String {
    let mut parts = text.split(separators.escape);
    let mut plain = parts.next().unwrap_or_default().to_owned();
    while let Some(sequence) = parts.next() {
        let Some(rest) = parts.next() else {
            // Without an end it is a letter like any other.
            plain.push(separators.escape);
            plain.push_str(sequence);
            break;
        };
        match sequence {
            "F" => plain.push(separators.field),
            "S" => plain.push(separators.component),
            "T" => plain.push(separators.subcomponent),
            "R" => plain.push(separators.repetition),
            "E" => plain.push(separators.escape),
            "X0A" => plain.push('\n'),
            "X0D" | ".br" => plain.push('\r'),
            other => plain.push_str(other),
        }
        plain.push_str(rest);
    }
    plain
}

/// `YYYYMMDD[HH[MM[SS[.S…]]]][±ZZZZ]`, to the day at least.
fn time(text: &str) -> Result<Wall, String> {
    let complaint = || format!("{text:?} is no time; write it as 20260131093000");
    let stamp: TimeStamp = text.parse().map_err(|_| complaint())?;
    let (Some(month), Some(day)) = (stamp.month, stamp.day) else { return Err(complaint()) };
    let small = |value: Option<u8>| value.unwrap_or(0) as i8;
    let civil = DateTime::new(
        stamp.year as i16,
        month as i8,
        day as i8,
        small(stamp.hour),
        small(stamp.minute),
        small(stamp.second),
        stamp.microsecond.unwrap_or(0) as i32 * 1000,
    )
    .map_err(|_| complaint())?;
    let offset = match stamp.offset {
        None => ZONE,
        Some(stated) => {
            let sign = if stated.hours < 0 { -1 } else { 1 };
            Offset::from_seconds(i32::from(stated.hours) * 3600 + sign * i32::from(stated.minutes) * 60)
                .map_err(|_| complaint())?
        }
    };
    let moment = civil.to_zoned(TimeZone::fixed(offset)).map_err(|_| complaint())?;
    Ok(Wall(moment.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECEIVED: Wall = Wall(1_800_000_000_000);

    fn message(trigger: &str, rest: &str) -> String {
        format!(
            "MSH|^~\\&|HIS|3A|BC|BC|20260131093000||ADT^{trigger}|77|P|2.5\rEVN|{trigger}|20260131092900\r{rest}"
        )
    }

    fn read_text(text: &[u8]) -> Result<Adt, Refused> {
        read(text, RECEIVED, &WardId::new("3A").unwrap()).1
    }

    fn only(text: &[u8]) -> Fact {
        let Adt::Facts(mut facts) = read_text(text).unwrap() else { panic!("ignored") };
        assert_eq!(facts.len(), 1);
        facts.remove(0)
    }

    #[test]
    fn an_admission_says_who_lies_where_and_since_when() {
        let fact = only(
            message("A01", "PID|1||P-7^^^HIS||ZHANG^SAN\rPV1|1|I|3A^305^ 12 床||||||||||||||||V.9")
                .as_bytes(),
        );
        assert_eq!(fact.id, "HIS/3A/77/0");
        assert_eq!(fact.stay, Some(StayId::new("V.9").unwrap()));
        assert_eq!(fact.at.to_string(), "2026-01-31T01:29:00.000Z", "a time without a zone is China's");
        let Change::Admitted { person, bed } = fact.change else { panic!("{:?}", fact.change) };
        assert_eq!(bed, Some(BedId::new("12床").unwrap()));
        assert_eq!(
            (person.psn_no.reveal().as_str(), person.psn_name.reveal().as_str()),
            ("P-7", "ZHANG SAN")
        );
    }

    #[test]
    fn a_name_whose_second_byte_is_a_separator_survives() {
        // 瓅 is 0xAD 0x7C in GBK: its second byte is `|`.
        let (bytes, _, _) =
            encoding_rs::GB18030.encode("PID|1||P-7||瓅^三\rPV1|1|I|3A^305^12||||||||||||||||V9");
        assert!(bytes.windows(2).any(|pair| pair[1] == b'|' && pair[0] > 0x80), "the sample shows the trap");
        let whole = [message("A08", "").as_bytes(), &bytes].concat();
        let Change::Corrected { person } = only(&whole).change else { panic!() };
        assert_eq!(person.psn_name.reveal(), "瓅三");
    }

    #[test]
    fn escapes_behind_chinese_characters_are_read() {
        let text = message("A08", "PID|1||P-7||张\\T\\三\\\rPV1|1|I|3A^305^12||||||||||||||||V9");
        let Change::Corrected { person } = only(text.as_bytes()).change else { panic!() };
        assert_eq!(person.psn_name.reveal(), "张&三\\");
    }

    #[test]
    fn what_moves_nobody_is_ignored_and_what_would_leave_a_gap_is_refused() {
        assert!(matches!(read_text(message("A31", "PID|1||P-7").as_bytes()), Ok(Adt::Ignored(_))));
        let refused = |trigger, rest| read_text(message(trigger, rest).as_bytes()).unwrap_err();
        assert!(refused("A03", "PID|1||P-7\rPV1|1|I|3A^305^12").text.contains("PV1-19"));
        assert!(refused("A01", "PV1|1|I|3A^305^12||||||||||||||||V9").text.contains("PID"));
        assert!(refused("A40", "PID|1||P-7").text.contains("MRG"));
        let other = read_text(b"MSH|^~\\&|LAB|X|BC|BC|20260131093000||ORU^R01|1|P|2.5").unwrap_err();
        assert_eq!((other.code, other.text.contains("ORU")), (200, true));
        assert_eq!(read_text(b"hello").unwrap_err().code, 100);
        assert_eq!(read_text(b"MSH|^~\\&|\xFF\xFF").unwrap_err().code, 102);
        let undated =
            read_text(b"MSH|^~\\&|HIS|3A|BC|BC|||ADT^A03|5|P|2.5\rPV1|1||||||||||||||||||V9").unwrap_err();
        assert!(undated.text.contains("EVN-2"), "{undated}");
    }

    #[test]
    fn beds_of_other_wards_are_none_of_ours_and_a_swap_moves_two() {
        let away = only(message("A02", "PID|1||P-7\rPV1|1|I|ICU^1^04||||||||||||||||V9").as_bytes());
        assert_eq!(away.change, Change::Moved { bed: None });
        let both =
            "PID|1||P-7\rPV1|1|I|3A^1^04||||||||||||||||V9\rPID|2||P-8\rPV1|2|I|3A^1^05||||||||||||||||V8";
        let Adt::Facts(facts) = read_text(message("A17", both).as_bytes()).unwrap() else { panic!() };
        let moved: Vec<_> = facts
            .iter()
            .map(|fact| (fact.id.as_str(), fact.stay.clone().unwrap(), fact.change.clone()))
            .collect();
        let to = |bed: &str| Change::Moved { bed: Some(BedId::new(bed).unwrap()) };
        assert_eq!(moved[0], ("HIS/3A/77/1", StayId::new("V9").unwrap(), to("04")));
        assert_eq!(moved[1], ("HIS/3A/77/2", StayId::new("V8").unwrap(), to("05")));
    }

    #[test]
    fn times_know_their_zone() {
        let wall = |text| time(text).unwrap().to_string();
        assert_eq!(wall("20260131"), "2026-01-30T16:00:00.000Z");
        assert_eq!(wall("20260131093000.5-0330"), "2026-01-31T13:00:00.500Z");
        assert!(time("2026").is_err() && time("20260231").is_err() && time("morning").is_err());
    }
}
