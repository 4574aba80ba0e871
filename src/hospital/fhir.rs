//! FHIR R4 and R5: the inpatient encounters of a ward as a whole list, polled.
//!
//! Read are Encounter (`class` IMP, `status`, `identifier`, `subject`, `location`). A leave is R4's status `onleave`, and
//! R5's `on-hold` with the subject status `on-leave`.

use serde::Deserialize;

use crate::base::files::sha256_hex;
use crate::base::ids::{BedId, StayId, WardId};
use crate::base::redact::Private;
use crate::domain::facts::Person;

/// Largest page, most pages of one list, and most encounters.
pub const MOST_BYTES: usize = 16 * 1024 * 1024;
pub const MOST_PAGES: usize = 50;
pub const MOST_ENCOUNTERS: usize = 10_000;

/// Everybody of the ward at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Encounters {
    pub list: Vec<Encounter>,
}

/// One inpatient.
#[derive(Clone, Debug, PartialEq)]
pub struct Encounter {
    pub stay: StayId,
    pub bed: BedId,
    pub person: Person,
    pub is_on_leave: bool,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    pub encounters: Vec<Encounter>,
    /// Where the next one is, as the server says.
    pub next: Option<String>,
}

#[derive(Deserialize)]
struct Bundle {
    #[serde(rename = "resourceType")]
    kind: String,
    #[serde(default)]
    entry: Vec<Entry>,
    #[serde(default)]
    link: Vec<Link>,
}

#[derive(Deserialize)]
struct Link {
    relation: String,
    url: String,
}

#[derive(Deserialize)]
struct Entry {
    resource: Option<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(rename = "resourceType")]
    kind: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    identifier: Vec<Identifier>,
    #[serde(default)]
    status: String,
    class: Option<Class>,
    subject: Option<Reference>,
    #[serde(rename = "subjectStatus")]
    subject_status: Option<Concept>,
    #[serde(default)]
    location: Vec<Location>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Identifier {
    value: String,
}

/// R4 writes one coding, R5 a list of concepts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Class {
    R5(Vec<Concept>),
    R4(Coding),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Concept {
    coding: Vec<Coding>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Coding {
    code: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reference {
    reference: String,
    display: String,
    identifier: Identifier,
}

#[derive(Deserialize)]
struct Location {
    location: Reference,
    #[serde(default)]
    status: String,
    #[serde(default, rename = "physicalType", alias = "form")]
    form: Concept,
}

/// Reads one page of a search for encounters.
///
/// # Errors
/// What is wrong with it, without any value of it.
pub fn read(bytes: &[u8], ward: &WardId) -> Result<Page, String> {
    let bundle: Bundle = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if bundle.kind != "Bundle" {
        return Err(format!("resourceType is {:?}, a Bundle was expected", bundle.kind));
    }
    let resources = bundle.entry.into_iter().filter_map(|entry| entry.resource);
    let encounters = resources.filter(|resource| resource.kind == "Encounter" && resource.is_present());
    let encounters =
        encounters.filter_map(|resource| resource.encounter(ward)).take(MOST_ENCOUNTERS + 1).collect();
    let next = bundle.link.into_iter().find(|link| link.relation == "next").map(|link| link.url);
    Ok(Page { encounters, next })
}

impl Resource {
    fn is_present(&self) -> bool {
        let codes: Vec<&str> = match &self.class {
            None => Vec::new(),
            Some(Class::R4(coding)) => vec![&coding.code],
            Some(Class::R5(concepts)) => concepts.iter().flat_map(Concept::codes).collect(),
        };
        codes.contains(&"IMP") && matches!(self.status.as_str(), "in-progress" | "onleave" | "on-hold")
    }

    /// `None` for an encounter without a bed of this ward.
    fn encounter(&self, ward: &WardId) -> Option<Encounter> {
        let here = || self.location.iter().filter(|place| matches!(place.status.as_str(), "" | "active"));
        let wards = here().filter(|place| place.is("wa")).map(|place| place.location.name());
        if wards.into_iter().any(|name| name != ward.as_str()) {
            return None;
        }
        let bed =
            here().find(|place| place.is("bd")).and_then(|place| BedId::new(place.location.name()).ok())?;
        let number = self.identifier.first().map_or(self.id.as_str(), |identifier| &identifier.value);
        let subject = self.subject.as_ref()?;
        let psn_no = Some(&subject.identifier.value).filter(|value| !value.is_empty());
        let on_leave = || {
            self.subject_status.as_ref().is_some_and(|status| status.codes().any(|code| code == "on-leave"))
        };
        Some(Encounter {
            stay: StayId::new(number).ok()?,
            bed,
            person: Person {
                psn_no: Private::new(psn_no.unwrap_or(&subject.reference).clone()),
                psn_name: Private::new(subject.display.clone()),
            },
            is_on_leave: self.status == "onleave" || self.status == "on-hold" && on_leave(),
        })
    }
}

impl Concept {
    fn codes(&self) -> impl Iterator<Item = &str> {
        self.coding.iter().map(|coding| coding.code.as_str())
    }
}

impl Location {
    fn is(&self, form: &str) -> bool {
        self.form.codes().any(|code| code == form)
    }
}

impl Reference {
    /// What people call it: its identifier, its display, else the last part of the reference.
    fn name(&self) -> &str {
        let last = self.reference.rsplit('/').next().unwrap_or_default();
        [self.identifier.value.as_str(), self.display.as_str(), last]
            .into_iter()
            .find(|name| !name.is_empty())
            .unwrap_or_default()
    }
}

impl Encounters {
    /// Names this list: the same list has the same name.
    pub fn digest(&self) -> String {
        let line = |one: &Encounter| format!("{} {} {}\n", one.stay, one.bed, one.is_on_leave);
        sha256_hex(self.list.iter().map(line).collect::<String>().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const R4: &str = r#"{"resourceType":"Bundle","link":[{"relation":"next","url":"https://his/fhir?page=2"}],"entry":[
        {"resource":{"resourceType":"Encounter","id":"e1","identifier":[{"value":"M1"}],"status":"onleave","class":{"code":"IMP"},
         "subject":{"reference":"Patient/7","display":"张三"},"location":[
           {"location":{"display":"3A"},"physicalType":{"coding":[{"code":"wa"}]}},
           {"location":{"reference":"Location/12"},"status":"active","physicalType":{"coding":[{"code":"bd"}]}}]}},
        {"resource":{"resourceType":"Encounter","id":"e2","status":"finished","class":{"code":"IMP"}}},
        {"resource":{"resourceType":"Encounter","id":"e3","status":"in-progress","class":{"code":"AMB"}}},
        {"resource":{"resourceType":"Patient","id":"7"}}]}"#;

    const R5: &str = r#"{"resourceType":"Bundle","entry":[
        {"resource":{"resourceType":"Encounter","id":"M2","status":"on-hold","class":[{"coding":[{"code":"IMP"}]}],
         "subjectStatus":{"coding":[{"code":"on-leave"}]},"subject":{"identifier":{"value":"P2"},"display":"李四"},
         "location":[{"location":{"identifier":{"value":"14"}},"form":{"coding":[{"code":"bd"}]}}]}},
        {"resource":{"resourceType":"Encounter","id":"M3","status":"in-progress","class":[{"coding":[{"code":"IMP"}]}],
         "subject":{"display":"王五"},"location":[{"location":{"display":"4B"},"form":{"coding":[{"code":"wa"}]}},
          {"location":{"display":"1"},"form":{"coding":[{"code":"bd"}]}}]}}]}"#;

    fn ward() -> WardId {
        WardId::new("3A").unwrap()
    }

    #[test]
    fn inpatients_of_the_ward_are_read_in_both_versions() {
        let page = read(R4.as_bytes(), &ward()).unwrap();
        assert_eq!(page.next.as_deref(), Some("https://his/fhir?page=2"));
        let [one] = page.encounters.as_slice() else { panic!("{:?}", page.encounters.len()) };
        assert_eq!((one.stay.as_str(), one.bed.as_str(), one.is_on_leave), ("M1", "12", true));
        let page = read(R5.as_bytes(), &ward()).unwrap();
        let [one] = page.encounters.as_slice() else { panic!("{:?}", page.encounters.len()) };
        assert_eq!((one.stay.as_str(), one.bed.as_str(), one.is_on_leave), ("M2", "14", true));
        assert_eq!(one.person.psn_no.reveal(), "P2");
    }

    #[test]
    fn a_page_beyond_the_limit_shows_as_one() {
        let one = R5.split_once("\"entry\":[").unwrap().1.split(",\n        {").next().unwrap();
        let page = format!(
            "{{\"resourceType\":\"Bundle\",\"entry\":[{}]}}",
            vec![one; MOST_ENCOUNTERS + 5].join(",")
        );
        let read = read(page.as_bytes(), &ward()).unwrap();
        assert!(read.encounters.len() > MOST_ENCOUNTERS, "cut off, half a list would pass for a whole one");
    }

    #[test]
    fn what_is_no_bundle_is_refused() {
        assert!(read(b"{}", &ward()).is_err());
        assert!(read(br#"{"resourceType":"OperationOutcome"}"#, &ward()).unwrap_err().contains("Bundle"));
    }
}
