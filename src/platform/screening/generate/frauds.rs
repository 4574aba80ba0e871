//! What is planted: cases of every kind a rule looks for, and honest people who look the same, so that no rule is right by
//! construction. Everybody in a case is somebody new; their numbers say nothing.

use std::collections::BTreeMap;

use crate::platform::screening::generate::timeline::{Presence, Stay, Visit, stay};
use crate::platform::screening::generate::world::{DAYS, World, mix, months};

/// One case of each kind for so many settlements.
const ROWS_A_CASE: u64 = 45_000;
const LEAST_CASES: u64 = 6;
/// One honest look-alike for so many cases.
const ALIKE_EVERY: u64 = 9;
/// One case in so many stays below what rules look for.
const CAREFUL_EVERY: u64 = 14;
/// The last day of cases that need time behind them.
const LATE: u64 = 300;

/// A face that a device saw with somebody's card.
#[derive(Clone, Copy, Debug)]
pub struct Face {
    pub card: u32,
    pub face: u32,
    pub day: i16,
    pub is_pharmacy: bool,
    pub place: u32,
    pub case: u32,
}

/// What is otherwise about somebody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Otherwise {
    /// Lives with everybody of the same number.
    pub address: Option<u32>,
    pub home: Option<u32>,
    pub died: Option<i16>,
}

/// Everything planted.
#[derive(Debug, Default)]
pub struct Planted {
    pub stays: Vec<Stay>,
    pub visits: Vec<Visit>,
    pub faces: Vec<Face>,
    pub otherwise: BTreeMap<u32, Otherwise>,
    /// Of each case from 1 on, the rule that must find it.
    pub rules: Vec<&'static str>,
    /// People who are in cases or look so.
    pub people: u32,
}

impl Planted {
    /// Settlements among it.
    pub fn settlements(&self) -> u64 {
        (self.stays.iter().filter(|stay| stay.is_paid).count() + self.visits.len()) as u64
    }
}

/// Plants for a province of so many rows.
pub fn plant(world: &World, rows: u64) -> Planted {
    let mut planting = Planting { world, planted: Planted::default(), case: 0, bits: 0, is_careful: false };
    let cases = (rows / ROWS_A_CASE).max(LEAST_CASES);
    for (at, (rule, one)) in KINDS.iter().enumerate() {
        for number in 0..cases {
            planting.begin(at as u64, number, Some(rule));
            one(&mut planting, false);
        }
        for number in 0..cases.div_ceil(ALIKE_EVERY) {
            planting.begin(at as u64, number + 1_000_000, None);
            one(&mut planting, true);
        }
    }
    planting.planted
}

type Kind = (&'static str, fn(&mut Planting<'_>, bool));

const KINDS: [Kind; 23] = [
    ("paid-without-presence", |p, alike| p.unseen(Presence::Never, alike)),
    ("presence-score-low", |p, alike| p.unseen(Presence::Poor, alike)),
    ("hanging-bed", |p, alike| p.unseen(Presence::Hanging, alike)),
    ("overlapping-stays", |p, alike| p.overlap(alike)),
    ("visit-during-stay", |p, alike| p.during(false, alike)),
    ("purchase-during-stay", |p, alike| p.during(true, alike)),
    ("after-death", |p, alike| p.after_death(alike)),
    ("doctor-day", |p, alike| p.doctor_day(alike)),
    ("same-address-day", |p, alike| p.same_address(alike)),
    ("nursing-home-day", |p, alike| p.nursing_home(alike)),
    ("frequent-admissions", |p, alike| p.often(7, 9, alike)),
    ("short-stays", |p, alike| p.often(4, 1, alike)),
    ("readmission", |p, alike| p.readmission(alike)),
    ("pharmacy-large", |p, alike| p.large(alike)),
    ("pharmacy-frequent", |p, alike| p.frequent(alike)),
    ("many-cards-one-face", |p, alike| p.faces(true, alike)),
    ("one-card-many-faces", |p, alike| p.faces(false, alike)),
    ("two-identities-one-face", |p, alike| p.two_identities(alike)),
    ("roster-without-admission", |p, alike| p.lists(false, alike)),
    ("admission-not-on-roster", |p, alike| p.lists(true, alike)),
    ("escort-group", |p, alike| p.escort(alike)),
    ("moment-group", |p, alike| p.moment(alike)),
    ("bed-twice", |p, alike| p.bed(alike)),
];

struct Planting<'w> {
    world: &'w World,
    planted: Planted,
    /// 0 while somebody honest is made.
    case: u32,
    bits: u64,
    /// Who knows the thresholds and stays below them: such a case is missed, and counts as missed.
    is_careful: bool,
}

impl Planting<'_> {
    fn begin(&mut self, kind: u64, number: u64, rule: Option<&'static str>) {
        self.bits = mix(self.world.seed, 5000 + kind, number);
        self.case = 0;
        if let Some(rule) = rule {
            self.planted.rules.push(rule);
            self.case = u32::try_from(self.planted.rules.len()).unwrap_or(u32::MAX);
        }
        self.is_careful = rule.is_some() && self.bits.is_multiple_of(CAREFUL_EVERY);
    }

    /// Of a case that counts people or times: so many and some more, or one less than is looked for.
    fn times(&mut self, least: u64, more: u64, alike: bool) -> u64 {
        if self.is_careful {
            least - 1
        } else if alike {
            least
        } else {
            least + 1 + self.draw(more)
        }
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.bits = mix(self.bits, 1, 50);
        self.bits % below.max(1)
    }

    fn day(&mut self, below: u64) -> i16 {
        self.draw(below) as i16
    }

    /// Somebody new.
    fn person(&mut self) -> u32 {
        self.planted.people += 1;
        self.world.people + self.planted.people - 1
    }

    fn any_hospital(&mut self) -> u32 {
        self.draw(u64::from(self.world.hospitals)) as u32
    }

    fn covered(&mut self) -> u32 {
        let bits = self.draw(u64::MAX);
        self.world.covered(bits)
    }

    fn stay(&mut self, person: u32, number: u8, hospital: u32, days: (i16, i16)) -> Stay {
        let (begin, end) = (days.0.min(DAYS - 2), days.1.min(DAYS - 1));
        Stay { case: self.case, ..stay(self.world, person, number, hospital, (begin, end.max(begin + 1))) }
    }

    fn visit(&mut self, person: u32, place: u32, is_purchase: bool, day: i16) -> Visit {
        let (bits, case, day) = (self.draw(u64::MAX), self.case, day.min(DAYS - 1));
        Visit { person, place, is_purchase, day, yuan: None, bits, case }
    }

    /// Nobody, or hardly anybody, in a bed that is paid. Alike: a camera that sees little.
    fn unseen(&mut self, presence: Presence, alike: bool) {
        let (person, hospital, begin) = (self.person(), self.covered(), self.day(LATE));
        let days = if self.is_careful {
            1
        } else if alike && presence == Presence::Never {
            2
        } else {
            8 + self.day(6)
        };
        let stay = self.stay(person, 0, hospital, (begin, begin + days));
        self.planted.stays.push(Stay { presence, ..stay });
    }

    /// Two houses at once. Alike: a discharge that was entered late.
    fn overlap(&mut self, _alike: bool) {
        let (person, hospital, begin) = (self.person(), self.any_hospital(), self.day(LATE));
        let first = self.stay(person, 0, hospital, (begin, begin + 8));
        let from = if self.is_careful { 8 } else { 2 + self.day(5) };
        let other =
            (hospital + 1 + self.draw(u64::from(self.world.hospitals) - 1) as u32) % self.world.hospitals;
        let second = self.stay(person, 1, other, (begin + from, begin + 12));
        self.planted.stays.extend([first, second]);
    }

    fn during(&mut self, is_purchase: bool, alike: bool) {
        let (person, hospital, begin) = (self.person(), self.any_hospital(), self.day(LATE));
        let stay = self.stay(person, 0, hospital, (begin, begin + 9));
        self.planted.stays.push(stay);
        let times = if alike { 1 } else { 1 + self.draw(3) };
        for at in 0..times {
            let place = if is_purchase {
                self.draw(u64::from(self.world.pharmacies)) as u32
            } else {
                (hospital + 1) % self.world.hospitals
            };
            let visit = self.visit(person, place, is_purchase, begin + 3 + at as i16);
            self.planted.visits.push(visit);
        }
    }

    /// An identity that goes on after its death. Alike: the day was registered wrongly.
    fn after_death(&mut self, alike: bool) {
        let (person, hospital, died) = (self.person(), self.any_hospital(), self.day(250));
        self.planted.otherwise.insert(person, Otherwise { died: Some(died), ..Otherwise::default() });
        if alike || self.draw(2) == 0 {
            let pharmacy = self.draw(u64::from(self.world.pharmacies)) as u32;
            for at in 0..if alike { 1 } else { 3 } {
                let visit = self.visit(person, pharmacy, true, died + 1 + at * 20);
                self.planted.visits.push(visit);
            }
        } else {
            let stay = self.stay(person, 0, hospital, (died + 20, died + 28));
            self.planted.stays.push(stay);
        }
    }

    /// A batch on one doctor's name. Alike: the day after a bus accident.
    fn doctor_day(&mut self, alike: bool) {
        let (hospital, begin) = (self.any_hospital(), self.day(LATE));
        let doctors = self.world.doctors(hospital);
        let doctor = doctors.start + self.draw(u64::from(doctors.end - doctors.start)) as u32;
        for _ in 0..self.times(12, 8, alike) {
            let person = self.person();
            let days = 3 + self.day(8);
            let stay = self.stay(person, 0, hospital, (begin, begin + days));
            self.planted.stays.push(Stay { doctor, ..stay });
        }
    }

    fn together(&mut self, people: u64, hospital: u32, begin: i16, otherwise: Otherwise) {
        for _ in 0..people {
            let person = self.person();
            self.planted.otherwise.insert(person, otherwise);
            let days = 4 + self.day(6);
            let stay = self.stay(person, 0, hospital, (begin, begin + days));
            self.planted.stays.push(stay);
        }
    }

    /// A village fetched by a bus. Alike: a dormitory with influenza.
    fn same_address(&mut self, alike: bool) {
        let (hospital, begin) = (self.any_hospital(), self.day(LATE));
        let people = self.times(4, 6, alike);
        let address = Some(self.world.people + self.planted.people);
        self.together(people, hospital, begin, Otherwise { address, ..Otherwise::default() });
    }

    /// A home emptied into a hospital. Alike: an outbreak there.
    fn nursing_home(&mut self, alike: bool) {
        let (hospital, begin) = (self.any_hospital(), self.day(LATE));
        let home = Some(self.draw(u64::from(self.world.homes)) as u32);
        let people = self.times(6, 14, alike);
        self.together(people, hospital, begin, Otherwise { home, ..Otherwise::default() });
    }

    /// In and out within a quarter. Alike: chemotherapy, which is as often.
    fn often(&mut self, times: i16, days: i16, alike: bool) {
        let (person, hospital) = (self.person(), self.any_hospital());
        let quarter = months()[3 * self.draw(3) as usize];
        let apart = 84 / times;
        let times = times - i16::from(alike && times > 4) - 2 * i16::from(self.is_careful);
        for at in 0..times {
            let begin = quarter + 2 + at * apart;
            let mut stay = self.stay(person, at as u8, hospital, (begin, begin + days.min(apart - 2)));
            // Not a readmission for the same: that is another rule's.
            stay.diagnosis = at as u16;
            self.planted.stays.push(stay);
        }
    }

    /// One stay split in two. Alike: a real relapse.
    fn readmission(&mut self, _alike: bool) {
        let (person, hospital, begin) = (self.person(), self.any_hospital(), self.day(LATE));
        let gap = if self.is_careful { 17 } else { 1 + self.day(13) };
        let first = self.stay(person, 0, hospital, (begin, begin + 8));
        let second = self.stay(person, 1, hospital, (begin + 8 + gap, begin + 16 + gap));
        let diagnosis = first.diagnosis;
        self.planted.stays.extend([first, Stay { diagnosis, ..second }]);
    }

    /// Alike: a drug against cancer.
    fn large(&mut self, alike: bool) {
        let (person, day) = (self.person(), self.day(360));
        let pharmacy = self.draw(u64::from(self.world.pharmacies)) as u32;
        let purchases = if alike { 1 } else { 1 + self.draw(4) as u32 };
        let yuan = if self.is_careful { 4_800 } else { 5_200 + self.draw(9_000) as u32 };
        for _ in 0..purchases {
            let visit = self.visit(person, pharmacy, true, day);
            self.planted.visits.push(Visit { yuan: Some(yuan / purchases + 1), ..visit });
        }
    }

    /// A card that buys every day. Alike: somebody who does.
    fn frequent(&mut self, alike: bool) {
        let (person, month) = (self.person(), self.draw(12) as usize);
        let pharmacy = self.draw(u64::from(self.world.pharmacies)) as u32;
        for at in 0..self.times(15, 10, alike) {
            let day = months()[month] + at as i16;
            let visit = self.visit(person, pharmacy, true, day);
            self.planted.visits.push(visit);
        }
    }

    /// One face with many cards, or one card with many faces. Alike: who collects for the village.
    fn faces(&mut self, many_cards: bool, alike: bool) {
        let (one, month) = (self.person(), self.draw(12) as usize);
        let place = self.draw(u64::from(self.world.pharmacies / 20)) as u32 * 20;
        let least = if many_cards { 4 } else { 3 };
        for at in 0..self.times(least, 5, alike) {
            let (other, day) = (self.person(), months()[month] + (at as i16 * 3) % 27);
            let (card, face) = if many_cards { (other, one) } else { (one, other) };
            let visit = self.visit(card, place, true, day);
            self.planted.visits.push(visit);
            self.planted.faces.push(Face { card, face, day, is_pharmacy: true, place, case: self.case });
        }
    }

    /// Alike: brothers.
    fn two_identities(&mut self, _alike: bool) {
        let (one, two, place, begin) = (self.person(), self.person(), self.covered(), self.day(LATE));
        for (at, person) in [one, two].into_iter().enumerate() {
            let stay = self.stay(person, 0, place, (begin + at as i16, begin + 9));
            self.planted.stays.push(stay);
        }
        let day = begin + 2;
        self.planted.faces.push(Face {
            card: two,
            face: one,
            day,
            is_pharmacy: false,
            place,
            case: self.case,
        });
    }

    /// On one list only. Alike: a message that was lost.
    fn lists(&mut self, is_admitted: bool, _alike: bool) {
        let (person, hospital, begin) = (self.person(), self.covered(), self.day(LATE));
        let stay = self.stay(person, 0, hospital, (begin, begin + 6));
        self.planted.stays.push(Stay {
            is_admitted,
            is_on_roster: !is_admitted,
            is_paid: is_admitted,
            ..stay
        });
    }

    /// Somebody who is paid for bringing patients. Alike: a carer of that ward.
    fn escort(&mut self, alike: bool) {
        let (hospital, month) = (self.any_hospital(), self.draw(11) as usize);
        let escort = Some(self.draw(u64::MAX));
        for at in 0..self.times(5, 8, alike) {
            let (person, begin) = (self.person(), months()[month] + (at as i16 * 2) % 26);
            let stay = self.stay(person, 0, hospital, (begin, begin + 5));
            self.planted.stays.push(Stay { escort, ..stay });
        }
    }

    /// Typed in one go. Alike: a computer that was down for an hour.
    fn moment(&mut self, alike: bool) {
        let (hospital, begin) = (self.any_hospital(), self.day(LATE));
        let (doctor, minute) = (self.world.doctors(hospital).start, 480 + self.draw(600) as u16);
        for _ in 0..self.times(4, 6, alike) {
            let person = self.person();
            let stay = self.stay(person, 0, hospital, (begin, begin + 6));
            self.planted.stays.push(Stay { doctor, minute: Some(minute), ..stay });
        }
    }

    /// Two on one bed. Alike: a bed whose number was written wrongly.
    fn bed(&mut self, _alike: bool) {
        let (one, two, hospital, begin) = (self.person(), self.person(), self.any_hospital(), self.day(LATE));
        let first = self.stay(one, 0, hospital, (begin, begin + 9));
        let second = self.stay(two, 0, hospital, (begin + 3, begin + 8));
        self.planted.stays.extend([first, Stay { bed_of: Some((one, 0)), ..second }]);
    }
}
