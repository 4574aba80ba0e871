//! The lists of the province: people, the dead, institutions, doctors, nursing homes, drugs.

use std::path::Path;

use crate::platform::screening::generate::GenerateError;
use crate::platform::screening::generate::frauds::Planted;
use crate::platform::screening::generate::rows::{Growing, day, number, some, text};
use crate::platform::screening::generate::sink::Format;
use crate::platform::screening::generate::world::World;
use crate::platform::screening::load::cells::Cell;
use crate::platform::screening::tables;

/// Drugs of the catalogue.
pub const DRUGS: u32 = 3_000;

pub fn drug_code(drug: u32) -> String {
    format!("XA{drug:06}")
}

/// Writes all of them.
pub fn write(out: &Path, format: Format, world: &World, planted: &Planted) -> Result<(), GenerateError> {
    people(out, format, world, planted)?;
    let mut institutions = Growing::begin(out, "institution", &tables::INSTITUTION, format)?;
    let mut doctors = Growing::begin(out, "doctor", &tables::DOCTOR, format)?;
    for hospital in 0..world.hospitals {
        institutions.push(&[
            text(World::hospital_code(hospital)),
            text(format!("第{}医院", hospital + 1)),
            some("1"),
            number(world.beds(hospital)),
            number(i64::from(world.is_covered(hospital))),
        ])?;
        for doctor in world.doctors(hospital) {
            doctors.push(&[
                text(World::doctor_code(doctor)),
                text(format!("医师{doctor}")),
                text(World::hospital_code(hospital)),
            ])?;
        }
    }
    doctors.finish()?;
    for pharmacy in 0..world.pharmacies {
        institutions.push(&[
            text(World::pharmacy_code(pharmacy)),
            text(format!("第{}药店", pharmacy + 1)),
            some("2"),
            number(0),
            number(0),
        ])?;
    }
    institutions.finish()?;
    let mut homes = Growing::begin(out, "nursing_home", &tables::NURSING_HOME, format)?;
    for home in 0..world.homes {
        homes.push(&[
            text(World::home_code(home)),
            text(format!("第{}养老院", home + 1)),
            text(world.home_address(home)),
        ])?;
    }
    homes.finish()?;
    let mut drugs = Growing::begin(out, "drug", &tables::DRUG, format)?;
    for drug in 0..DRUGS {
        drugs.push(&[text(drug_code(drug)), text(format!("药品{drug}"))])?;
    }
    drugs.finish()
}

fn people(out: &Path, format: Format, world: &World, planted: &Planted) -> Result<(), GenerateError> {
    let mut people = Growing::begin(out, "person", &tables::PERSON, format)?;
    let mut dead = Growing::begin(out, "deceased", &tables::DECEASED, format)?;
    for person in 0..world.people + planted.people {
        let otherwise = planted.otherwise.get(&person).copied().unwrap_or_default();
        let home = otherwise.home.or_else(|| world.home_of(person));
        let address = match (home, otherwise.address) {
            (Some(home), _) => world.home_address(home),
            (None, Some(like)) => world.family_address(like),
            (None, None) => world.family_address(person),
        };
        people.push(&[
            text(world.psn_no(person)),
            text(world.certno_hash(person)),
            text(address),
            home.map_or(Cell::Nothing, |home| text(World::home_code(home))),
            number(world.birthday(person)),
        ])?;
        if let Some(died) = otherwise.died.or_else(|| world.died(person)) {
            dead.push(&[text(world.certno_hash(person)), day(died)])?;
        }
    }
    people.finish()?;
    dead.finish()
}
