//! An honest person's year: stays that do not overlap, visits and purchases between them, and what looks like a fraud and
//! is none: transfers on the day, readmissions for something else, a card that the family uses.

use crate::platform::screening::generate::world::{DAYS, World, mix, unit};

/// How a stay was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// As it should be, with leave, an outage, or a bad day now and then.
    Usual,
    Never,
    Poor,
    Hanging,
}

/// A stay.
#[derive(Clone, Copy, Debug)]
pub struct Stay {
    pub person: u32,
    /// Which of the person's stays: its number is made of both.
    pub number: u8,
    pub hospital: u32,
    pub doctor: u32,
    pub begin: i16,
    pub end: i16,
    pub settled: i16,
    pub diagnosis: u16,
    pub bits: u64,
    pub presence: Presence,
    pub is_admitted: bool,
    pub is_on_roster: bool,
    pub is_paid: bool,
    /// Minute of the day; drawn unless said.
    pub minute: Option<u16>,
    /// Who came along; the family unless said.
    pub escort: Option<u64>,
    /// The bed another stay has, by that stay's person and number.
    pub bed_of: Option<(u32, u8)>,
    /// Which planted case it belongs to; 0 for none.
    pub case: u32,
}

/// A visit or a purchase.
#[derive(Clone, Copy, Debug)]
pub struct Visit {
    pub person: u32,
    /// A pharmacy's number where it is a purchase.
    pub place: u32,
    pub is_purchase: bool,
    pub day: i16,
    pub yuan: Option<u32>,
    pub bits: u64,
    pub case: u32,
}

/// What happens to one person.
#[derive(Debug, Default)]
pub struct Year {
    pub stays: Vec<Stay>,
    pub visits: Vec<Visit>,
}

/// Stays, visits and purchases of somebody; nobody who is dead has any.
fn counts(world: &World, person: u32) -> (u16, u16, u16) {
    if world.died(person).is_some_and(|day| day < 3) {
        return (0, 0, 0);
    }
    let bits = mix(world.seed, 20, u64::from(person));
    let draw = |shift: u32, below: u64| ((bits >> shift) % below) as u16;
    if bits.is_multiple_of(10) {
        let stays = [0, 0, 1, 1, 2, 2, 3, 4][usize::from(draw(8, 8))];
        (stays, 3 + draw(16, 7), 6 + draw(24, 21))
    } else {
        let stays = [0, 0, 0, 0, 1][usize::from(draw(8, 5))] + u16::from(draw(32, 30) == 0);
        (stays, draw(16, 3), draw(24, 5))
    }
}

/// Settlements somebody has this year.
pub fn settlements(world: &World, person: u32) -> u64 {
    let (stays, visits, purchases) = counts(world, person);
    u64::from(stays + visits + purchases)
}

/// More in winter.
fn some_day(bits: u64, last: i16) -> i16 {
    let draw = |bits: u64| (unit(bits) * f64::from(last + 1)) as i16;
    let day = draw(mix(bits, 1, 30));
    let season = 0.75 + 0.25 * (f64::from(day - 15) / 365.0 * std::f64::consts::TAU).cos();
    if unit(mix(bits, 1, 31)) < season { day } else { draw(mix(bits, 1, 32)) }
}

/// A stay of somebody at a place and time, everything else as drawn.
pub fn stay(world: &World, person: u32, number: u8, hospital: u32, (begin, end): (i16, i16)) -> Stay {
    let bits = mix(world.seed, 40 + u64::from(number), u64::from(person));
    let late = if bits.is_multiple_of(4) { ((bits >> 20) % 4) as i16 } else { 0 };
    Stay {
        person,
        number,
        hospital,
        doctor: world.doctor_of(hospital, mix(bits, 1, 33)),
        begin,
        end,
        settled: (end + late).min(DAYS - 1),
        diagnosis: (mix(bits, 1, 34) % 60) as u16,
        bits,
        presence: Presence::Usual,
        is_admitted: true,
        is_on_roster: true,
        is_paid: true,
        minute: None,
        escort: None,
        bed_of: None,
        case: 0,
    }
}

/// The year of an honest person, into `year`.
pub fn honest(world: &World, person: u32, year: &mut Year) {
    year.stays.clear();
    year.visits.clear();
    let (stays, visits, purchases) = counts(world, person);
    if stays + visits + purchases == 0 {
        return;
    }
    let last = world.died(person).unwrap_or(DAYS - 1).min(DAYS - 1);
    let bits =
        |what: u64, which: u16| mix(world.seed, 1000 + what * 100 + u64::from(which), u64::from(person));
    let mut days: [i16; 8] = [0; 8];
    let days = &mut days[..usize::from(stays)];
    for (at, day) in (0..stays).zip(days.iter_mut()) {
        *day = some_day(bits(1, at), last);
    }
    days.sort_unstable();
    for (at, day) in (0..stays).zip(days.iter()) {
        place(world, person, (at, *day, last), bits(2, at), year);
    }
    for at in 0..visits + purchases {
        let (is_purchase, bits) = (at >= visits, bits(3, at));
        let mut day = some_day(bits, last);
        let inside = year.stays.iter().find(|stay| stay.begin < day && day < stay.end);
        // Now and then the family takes the card along while its owner lies in hospital.
        if let Some(stay) = inside.filter(|_| !(is_purchase && bits.is_multiple_of(200))) {
            day = stay.end;
        }
        let place =
            if is_purchase { world.pharmacy_of(person, bits) } else { world.hospital_of(person, bits) };
        year.visits.push(Visit { person, place, is_purchase, day, yuan: None, bits, case: 0 });
    }
}

/// One more stay behind the others; a visit where the year is over.
fn place(world: &World, person: u32, (at, drawn, last): (u16, i16, i16), bits: u64, year: &mut Year) {
    let days = 2 + (-unit(mix(bits, 1, 35)).max(1e-9).ln() * 5.5) as i16;
    let number = u8::try_from(at).unwrap_or(u8::MAX);
    let hospital = world.hospital_of(person, bits);
    let Some(before) = year.stays.last().copied() else {
        let begin = drawn.min(last - 1);
        year.stays.push(stay(world, person, number, hospital, (begin, (begin + days.min(40)).min(last))));
        return;
    };
    let kind = mix(bits, 1, 36) % 1000;
    let (begin, hospital) = match kind {
        // Transferred on the day.
        0..30 => (before.end, (before.hospital + 1) % world.hospitals),
        // Soon again, in the same house: for something else, and rarely for the same.
        30..75 => (before.end + 3 + ((bits >> 40) % 10) as i16, before.hospital),
        _ => (drawn.max(before.end + 18), hospital),
    };
    if begin + 1 > last {
        let day = drawn.min(last).max(before.end);
        year.visits.push(Visit {
            person,
            place: hospital,
            is_purchase: false,
            day,
            yuan: None,
            bits,
            case: 0,
        });
        return;
    }
    let mut next = stay(world, person, number, hospital, (begin, (begin + days.min(40)).min(last)));
    next.diagnosis = match kind {
        30..71 => (before.diagnosis + 1) % 60,
        0..30 | 71..75 => before.diagnosis,
        _ => next.diagnosis,
    };
    year.stays.push(next);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_honest_person_is_in_one_place_at_a_time_and_has_as_many_settlements_as_said() {
        let mut world = World::new(3, 300_000);
        world.people = 60_000;
        let (mut year, mut stays, mut all) = (Year::default(), 0, 0);
        for person in 0..world.people {
            honest(&world, person, &mut year);
            assert_eq!((year.stays.len() + year.visits.len()) as u64, settlements(&world, person));
            for pair in year.stays.windows(2) {
                assert!(pair[0].end <= pair[1].begin, "{pair:?}");
            }
            for stay in &year.stays {
                assert!(0 <= stay.begin && stay.begin < stay.end && stay.end < DAYS, "{stay:?}");
                assert!(world.died(person).is_none_or(|day| stay.end <= day));
            }
            stays += year.stays.len();
            all += year.stays.len() + year.visits.len();
        }
        let share = stays as f64 / all as f64;
        assert!((0.05..0.1).contains(&share), "{share}");
    }
}
