//! A stay, visit or purchase as the settlement it comes to.

use crate::platform::screening::generate::lists;
use crate::platform::screening::generate::rows::{day, number, some, stay_id, text};
use crate::platform::screening::generate::timeline::{Stay, Visit};
use crate::platform::screening::generate::world::{World, mix, skewed, unit};
use crate::platform::screening::load::cells::Cell;

fn insutype(world: &World, person: u32) -> &'static str {
    if mix(world.seed, 65, u64::from(person)).is_multiple_of(4) { "310" } else { "390" }
}

pub fn stay_row(world: &World, stay: &Stay, id: String) -> [Cell<'static>; 15] {
    let days = i64::from(stay.end - stay.begin);
    let fen = 300_000 + (days as f64 * 70_000.0 * (0.5 + unit(mix(stay.bits, 1, 66)))) as i64;
    let letter = char::from(b'A' + (stay.diagnosis % 20) as u8);
    [
        text(id),
        text(stay_id(stay)),
        text(world.psn_no(stay.person)),
        text(world.certno_hash(stay.person)),
        text(World::hospital_code(stay.hospital)),
        some("21"),
        some(insutype(world, stay.person)),
        day(stay.begin),
        day(stay.end),
        day(stay.settled),
        text(World::doctor_code(stay.doctor)),
        text(format!("{letter}{:02}.9", stay.diagnosis)),
        Cell::Nothing,
        number(fen),
        number(fen * 7 / 10),
    ]
}

pub fn visit_row(world: &World, visit: &Visit, id: String) -> [Cell<'static>; 15] {
    let draw = mix(visit.bits, 1, 67);
    // A drug against cancer now and then.
    let dear = if visit.is_purchase && draw.is_multiple_of(100_000) { 520_000 } else { 0 };
    let usual = 1_500 + (unit(draw).powi(3) * 60_000.0) as i64 + dear;
    let fen = visit.yuan.map_or(usual, |yuan| i64::from(yuan) * 100);
    let (place, med_type, doctor, drug) = if visit.is_purchase {
        let drug = skewed(draw, lists::DRUGS, 2.0);
        (World::pharmacy_code(visit.place), "41", Cell::Nothing, text(lists::drug_code(drug)))
    } else {
        let doctor = World::doctor_code(world.doctor_of(visit.place, draw));
        (World::hospital_code(visit.place), "11", text(doctor), Cell::Nothing)
    };
    [
        text(id.clone()),
        text(format!("V{}", &id[1..])),
        text(world.psn_no(visit.person)),
        text(world.certno_hash(visit.person)),
        text(place),
        some(med_type),
        some(insutype(world, visit.person)),
        day(visit.day),
        day(visit.day),
        day(visit.day),
        doctor,
        Cell::Nothing,
        drug,
        number(fen),
        number(fen / 2),
    ]
}
