//! A made-up province: how many institutions, doctors, families and nursing homes there are, and what everything is called.
//!
//! Every fact is a digest of the seed and of what it is about, so that none is kept: a person's year is made again for each
//! month, and a province of 60 million settlements needs the memory of one month.

use jiff::civil::Date;

use crate::platform::screening::folder::day_of;

/// Days of the year that is made up.
pub const DAYS: i16 = 365;
/// Hospitals with devices: every third.
const COVERED_EVERY: u32 = 3;
/// Pharmacies with a device: every twentieth.
const KIOSK_EVERY: u32 = 20;
/// One person in so many lives in a nursing home.
const RESIDENT_EVERY: u32 = 97;

/// The province.
#[derive(Clone, Debug)]
pub struct World {
    pub seed: u64,
    pub hospitals: u32,
    pub pharmacies: u32,
    pub homes: u32,
    pub regions: u32,
    /// Honest people; those of planted cases come behind them.
    pub people: u32,
    /// Doctors before those of each hospital.
    doctors: Vec<u32>,
    beds: Vec<u32>,
}

/// 64 mixed bits of three numbers.
pub fn mix(seed: u64, what: u64, which: u64) -> u64 {
    let mut value =
        seed ^ what.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ which.wrapping_mul(0xD1B5_4A32_D192_ED03);
    for _ in 0..2 {
        value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        value ^= value >> 31;
    }
    value
}

/// From 0 up to 1.
pub fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// Below `below`, small numbers oftener the larger `skew` is.
pub fn skewed(bits: u64, below: u32, skew: f64) -> u32 {
    ((f64::from(below) * unit(bits).powf(skew)) as u32).min(below.saturating_sub(1))
}

/// The first day.
pub fn first_day() -> i32 {
    day_of(Date::constant(2025, 1, 1))
}

/// First days of the twelve months, and the end.
pub fn months() -> Vec<i16> {
    let first = first_day();
    let mut starts: Vec<i16> = (1..=12)
        .map(|month| {
            Date::new(2025, month, 1).map_or(0, |date| i16::try_from(day_of(date) - first).unwrap_or(0))
        })
        .collect();
    starts.push(DAYS);
    starts
}

impl World {
    /// A province for about so many settlements.
    pub fn new(seed: u64, rows: u64) -> World {
        let share = |every: u64, least: u64| u32::try_from((rows / every).max(least)).unwrap_or(u32::MAX);
        let hospitals = share(30_000, 30);
        let mut world = World {
            seed,
            hospitals,
            pharmacies: share(5_000, 60),
            homes: share(30_000, 8),
            regions: (hospitals / 15).max(1),
            people: 0,
            doctors: vec![0],
            beds: Vec::new(),
        };
        let stays_a_day = rows as f64 * 0.07 / f64::from(DAYS);
        for hospital in 0..hospitals {
            let stays = stays_a_day * world.weight(hospital);
            world.beds.push((stays * 9.0) as u32 + 20);
            let before = world.doctors.last().copied().unwrap_or(0);
            world.doctors.push(before + (stays * 1.15) as u32 + 4);
        }
        world
    }

    fn per_region(&self) -> u32 {
        self.hospitals / self.regions
    }

    /// The share of stays a hospital has, as [`World::hospital_of`] draws them.
    fn weight(&self, hospital: u32) -> f64 {
        let part = |at: u32, of: u32, skew: f64| {
            let root = |at: u32| (f64::from(at) / f64::from(of)).powf(1.0 / skew);
            root(at + 1) - root(at)
        };
        let at = (hospital % self.per_region()).min(self.per_region() - 1);
        0.3 * part(hospital, self.hospitals, 3.0)
            + 0.7 / f64::from(self.regions) * part(at, self.per_region(), 1.6)
    }

    /// Where somebody goes: three in ten to the large houses of the province, the others to one of their region.
    pub fn hospital_of(&self, person: u32, bits: u64) -> u32 {
        if bits % 10 < 3 {
            return skewed(mix(bits, 1, 1), self.hospitals, 3.0);
        }
        let region = (mix(self.seed, 2, u64::from(person / 3)) % u64::from(self.regions)) as u32;
        region * self.per_region() + skewed(mix(bits, 1, 2), self.per_region(), 1.6)
    }

    pub fn pharmacy_of(&self, person: u32, bits: u64) -> u32 {
        let near = (mix(self.seed, 3, u64::from(person / 3)) % u64::from(self.pharmacies)) as u32;
        if !bits.is_multiple_of(4) { near } else { skewed(mix(bits, 1, 3), self.pharmacies, 1.3) }
    }

    /// A doctor of a hospital, by number over all hospitals.
    pub fn doctor_of(&self, hospital: u32, bits: u64) -> u32 {
        let first = self.doctors[hospital as usize];
        let count = self.doctors[hospital as usize + 1] - first;
        first + skewed(mix(bits, 1, 4), count, 1.25)
    }

    pub fn doctors(&self, hospital: u32) -> std::ops::Range<u32> {
        self.doctors[hospital as usize]..self.doctors[hospital as usize + 1]
    }

    pub fn beds(&self, hospital: u32) -> u32 {
        self.beds[hospital as usize]
    }

    pub fn is_covered(&self, hospital: u32) -> bool {
        hospital.is_multiple_of(COVERED_EVERY)
    }

    /// A hospital with devices.
    pub fn covered(&self, bits: u64) -> u32 {
        (bits % u64::from(self.hospitals.div_ceil(COVERED_EVERY))) as u32 * COVERED_EVERY
    }

    pub fn has_kiosk(&self, pharmacy: u32) -> bool {
        pharmacy.is_multiple_of(KIOSK_EVERY)
    }

    pub fn home_of(&self, person: u32) -> Option<u32> {
        let is_resident = person < self.people && person.is_multiple_of(RESIDENT_EVERY);
        is_resident.then(|| (mix(self.seed, 4, u64::from(person)) % u64::from(self.homes)) as u32)
    }

    /// Born on the same day as the one before in the family.
    pub fn is_twin(&self, person: u32) -> bool {
        person % 3 == 1 && person < self.people && mix(self.seed, 5, u64::from(person / 3)).is_multiple_of(80)
    }

    /// Died on a day of this year, or before it (negative).
    pub fn died(&self, person: u32) -> Option<i16> {
        if person >= self.people {
            return None;
        }
        let bits = mix(self.seed, 6, u64::from(person));
        match bits % 300 {
            0..3 => Some(-1 - ((bits >> 32) % 700) as i16),
            3..5 => Some(((bits >> 32) % 365) as i16),
            _ => None,
        }
    }

    /// 人员编号, 18 digits; no two people have one and their order says nothing.
    pub fn psn_no(&self, person: u32) -> String {
        // A prime: multiplication with anything it does not divide is a permutation.
        const PRIME: u64 = 99_999_999_977;
        format!("6200000{:011}", u64::from(person + 1) * 7_368_787 % PRIME)
    }

    pub fn certno_hash(&self, person: u32) -> String {
        format!("{:016x}", mix(self.seed, 7, u64::from(person)))
    }

    pub fn family_address(&self, person: u32) -> String {
        format!("a{:015x}", mix(self.seed, 8, u64::from(person / 3)) >> 4)
    }

    pub fn home_address(&self, home: u32) -> String {
        format!("n{:015x}", mix(self.seed, 9, u64::from(home)) >> 4)
    }

    pub fn birthday(&self, person: u32) -> i32 {
        let of = if self.is_twin(person) { person - 1 } else { person };
        first_day() - 365 - (mix(self.seed, 10, u64::from(of)) % 31_000) as i32
    }

    pub fn hospital_code(hospital: u32) -> String {
        format!("H62{hospital:09}")
    }

    pub fn pharmacy_code(pharmacy: u32) -> String {
        format!("P62{pharmacy:09}")
    }

    pub fn doctor_code(doctor: u32) -> String {
        format!("D62{doctor:09}")
    }

    pub fn home_code(home: u32) -> String {
        format!("N62{home:06}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn nobody_shares_a_number_and_the_large_houses_are_few() {
        let world = World::new(7, 3_000_000);
        let numbers: BTreeSet<String> = (0..50_000).map(|person| world.psn_no(person)).collect();
        assert_eq!(numbers.len(), 50_000);
        let mut stays = vec![0_u32; world.hospitals as usize];
        for person in 0..50_000 {
            stays[world.hospital_of(person, mix(1, 2, u64::from(person))) as usize] += 1;
        }
        stays.sort_unstable_by(|a, b| b.cmp(a));
        let top: u32 = stays[..stays.len() / 10].iter().sum();
        assert!(top > 50_000 / 4, "{top}");
        let whole: f64 = (0..world.hospitals).map(|hospital| world.weight(hospital)).sum();
        // About: beds and doctors need no more, and the last houses belong to no whole region.
        assert!((whole - 1.0).abs() < 0.1, "{whole}");
        assert_eq!((months()[0], months()[1], months()[12]), (0, 31, 365));
    }
}
