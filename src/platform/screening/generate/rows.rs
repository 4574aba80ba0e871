//! What happened becomes rows, month by month and day by day, as the tables of the country have them.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::path::{Path, PathBuf};

use crate::platform::screening::folder::month_of;
use crate::platform::screening::generate::frauds::{Face, Planted};
use crate::platform::screening::generate::settled::{stay_row, visit_row};
use crate::platform::screening::generate::sink::{Format, Sink};
use crate::platform::screening::generate::timeline::{Presence, Stay, Visit, Year};
use crate::platform::screening::generate::world::{World, first_day, mix};
use crate::platform::screening::generate::{GenerateError, last_day, lists};
use crate::platform::screening::load::cells::{Cell, Columns};
use crate::platform::screening::tables::{self, Table};

/// Rows written together.
const BATCH: usize = 32 * 1024;
/// Beds of one department.
const WARD_BEDS: u32 = 40;

pub fn text(text: impl Into<String>) -> Cell<'static> {
    Cell::Text(Cow::Owned(text.into()))
}

pub fn some(word: &'static str) -> Cell<'static> {
    Cell::Text(Cow::Borrowed(word))
}

pub fn day(day: i16) -> Cell<'static> {
    Cell::Number(i64::from(first_day()) + i64::from(day))
}

pub fn number(count: impl Into<i64>) -> Cell<'static> {
    Cell::Number(count.into())
}

/// A table that is being written.
pub struct Growing {
    columns: Columns,
    sink: Sink,
    table: &'static Table,
}

impl Growing {
    pub fn begin(
        out: &Path,
        name: &str,
        table: &'static Table,
        format: Format,
    ) -> Result<Growing, GenerateError> {
        Ok(Growing { columns: Columns::new(table), sink: Sink::begin(out, name, table, format)?, table })
    }

    pub fn push(&mut self, cells: &[Cell<'_>]) -> Result<(), GenerateError> {
        self.columns.push(0, cells);
        if self.columns.len() >= BATCH { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), GenerateError> {
        let batch = self.columns.batch(self.table.schema())?;
        self.sink.write(&batch)
    }

    pub fn finish(mut self) -> Result<(), GenerateError> {
        if self.columns.len() > 0 {
            self.write()?;
        }
        self.sink.finish()
    }
}

/// What falls into one month.
pub struct Month {
    first: i16,
    end: i16,
    begun: Vec<Stay>,
    ended: Vec<Stay>,
    settled: Vec<Stay>,
    visits: Vec<Visit>,
    faces: Vec<Face>,
}

impl Month {
    pub fn new(first: i16, end: i16) -> Month {
        let (begun, ended, settled, visits, faces) = (vec![], vec![], vec![], vec![], vec![]);
        Month { first, end, begun, ended, settled, visits, faces }
    }

    fn has(&self, day: i16) -> bool {
        (self.first..self.end).contains(&day)
    }

    pub fn take(&mut self, year: &Year) {
        self.take_of(&year.stays, &year.visits);
    }

    pub fn take_planted(&mut self, planted: &Planted) {
        self.take_of(&planted.stays, &planted.visits);
        self.faces = planted.faces.iter().filter(|face| self.has(face.day)).copied().collect();
    }

    fn take_of(&mut self, stays: &[Stay], visits: &[Visit]) {
        for stay in stays {
            if self.has(stay.begin) {
                self.begun.push(*stay);
            }
            if self.has(stay.end) {
                self.ended.push(*stay);
            }
            if stay.is_paid && self.has(stay.settled) {
                self.settled.push(*stay);
            }
        }
        let within = visits.iter().filter(|visit| self.first <= visit.day && visit.day < self.end);
        self.visits.extend(within.copied());
    }
}

/// Beds of one hospital: those that are free from a day on, and how many there ever were.
#[derive(Default)]
struct Beds {
    free: BinaryHeap<Reverse<(i16, u32)>>,
    count: u32,
}

impl Beds {
    fn take(&mut self, begin: i16, end: i16) -> u32 {
        let free = self.free.peek().is_some_and(|Reverse((from, _))| *from <= begin);
        let bed = match self.free.pop().filter(|_| free) {
            Some(Reverse((_, bed))) => bed,
            None => {
                self.count += 1;
                self.count
            }
        };
        self.free.push(Reverse((end, bed)));
        bed
    }
}

/// All files of the province.
pub struct Output<'w> {
    world: &'w World,
    out: PathBuf,
    format: Format,
    beds: Vec<Beds>,
    /// Beds of stays another one lies on.
    planted_beds: BTreeMap<(u32, u8), u32>,
    settlements: u64,
    stays: u64,
    events: u64,
    truth: Vec<(u32, String)>,
}

impl<'w> Output<'w> {
    /// Writes the lists.
    pub fn begin(
        out: &Path,
        format: Format,
        world: &'w World,
        planted: &Planted,
    ) -> Result<Output<'w>, GenerateError> {
        lists::write(out, format, world, planted)?;
        let beds = (0..world.hospitals).map(|_| Beds::default()).collect();
        let (planted_beds, truth) = (BTreeMap::new(), Vec::new());
        let out = out.to_owned();
        Ok(Output { world, out, format, beds, planted_beds, settlements: 0, stays: 0, events: 0, truth })
    }

    pub fn settlements(&self) -> u64 {
        self.settlements
    }

    pub fn stays(&self) -> u64 {
        self.stays
    }

    /// Rows of planted cases, by case.
    pub fn finish(mut self) -> Result<Vec<(u32, String)>, GenerateError> {
        self.truth.sort();
        Ok(self.truth)
    }

    /// Writes a month; `told` hears how many settlements there are so far.
    pub fn month(&mut self, mut rows: Month, told: &mut dyn FnMut(u64)) -> Result<(), GenerateError> {
        let name = month_of(first_day() + i32::from(rows.first));
        rows.begun.sort_unstable_by_key(|stay| (stay.begin, minute(stay), stay.person, stay.number));
        rows.ended.sort_unstable_by_key(|stay| (stay.end, stay.bits, stay.person));
        let last = last_day();
        let is_last = rows.has(last);
        for is_new in [false, true] {
            if is_new && !is_last {
                break;
            }
            let name = if is_new { format!("{name}-31") } else { name.clone() };
            let of = |day: i16| (day == last) == is_new;
            self.settlement(&name, &rows, &of, told)?;
            self.admission(&name, rows.begun.iter().filter(|stay| of(stay.begin)))?;
            self.roster(&name, rows.begun.iter().filter(|stay| of(stay.begin)))?;
            self.presence(&name, rows.ended.iter().filter(|stay| of(stay.end)))?;
            self.faces(&name, &rows, &of)?;
        }
        Ok(())
    }

    fn growing(&self, name: &str, table: &'static Table) -> Result<Growing, GenerateError> {
        Growing::begin(&self.out, &format!("{}-{name}", table.name), table, self.format)
    }

    fn settlement(
        &mut self,
        name: &str,
        rows: &Month,
        of: &dyn Fn(i16) -> bool,
        told: &mut dyn FnMut(u64),
    ) -> Result<(), GenerateError> {
        let mut growing = self.growing(name, &tables::SETTLEMENT)?;
        // By day, and on a day in no order of people: as settlements come in.
        let stays = rows.settled.iter().map(|stay| (stay.settled, stay.bits ^ 7));
        let visits = rows.visits.iter().map(|visit| (visit.day, visit.bits));
        let mut order: Vec<(i16, u32, usize)> = stays
            .chain(visits)
            .enumerate()
            .filter(|(_, (day, _))| of(*day))
            .map(|(at, (day, bits))| (day, (mix(bits, 1, 60) >> 32) as u32, at))
            .collect();
        order.sort_unstable();
        for (_, _, at) in order {
            self.settlements += 1;
            let id = format!("S2025{:011}", self.settlements);
            match rows.settled.get(at) {
                Some(stay) => growing.push(&stay_row(self.world, stay, id))?,
                None => {
                    let visit = &rows.visits[at - rows.settled.len()];
                    if visit.case > 0 {
                        self.truth.push((visit.case, id.clone()));
                    }
                    growing.push(&visit_row(self.world, visit, id))?;
                }
            }
            if self.settlements.is_multiple_of(100_000) {
                told(self.settlements);
            }
        }
        growing.finish()
    }

    fn admission<'s>(
        &mut self,
        name: &str,
        stays: impl Iterator<Item = &'s Stay>,
    ) -> Result<(), GenerateError> {
        let mut growing = self.growing(name, &tables::ADMISSION)?;
        for stay in stays {
            self.stays += 1;
            if stay.case > 0 {
                self.truth.push((stay.case, stay_id(stay)));
            }
            if !stay.is_admitted {
                continue;
            }
            let bed = match stay.bed_of.and_then(|of| self.planted_beds.get(&of)) {
                Some(bed) => *bed,
                None => self.beds[stay.hospital as usize].take(stay.begin, stay.end),
            };
            if stay.person >= self.world.people {
                self.planted_beds.insert((stay.person, stay.number), bed);
            }
            let minutes = i64::from(minute(stay));
            let moment = (i64::from(first_day()) + i64::from(stay.begin)) * 86_400_000 + minutes * 60_000;
            growing.push(&[
                text(stay_id(stay)),
                text(self.world.psn_no(stay.person)),
                text(self.world.certno_hash(stay.person)),
                text(World::hospital_code(stay.hospital)),
                text(World::doctor_code(stay.doctor)),
                text(format!("K{:02}", bed / WARD_BEDS)),
                text(format!("{}", bed % WARD_BEDS + 1)),
                text(escort(self.world, stay)),
                day(stay.begin),
                Cell::Number(moment),
                day(stay.end),
            ])?;
        }
        growing.finish()
    }

    fn roster<'s>(&mut self, name: &str, stays: impl Iterator<Item = &'s Stay>) -> Result<(), GenerateError> {
        let mut growing = self.growing(name, &tables::ROSTER)?;
        for stay in stays.filter(|stay| stay.is_on_roster && self.world.is_covered(stay.hospital)) {
            growing.push(&[
                text(stay_id(stay)),
                text(self.world.psn_no(stay.person)),
                text(World::hospital_code(stay.hospital)),
                day(stay.begin),
                day(stay.end),
            ])?;
        }
        growing.finish()
    }

    fn presence<'s>(
        &mut self,
        name: &str,
        stays: impl Iterator<Item = &'s Stay>,
    ) -> Result<(), GenerateError> {
        let mut growing = self.growing(name, &tables::PRESENCE)?;
        for stay in stays.filter(|stay| stay.is_on_roster && self.world.is_covered(stay.hospital)) {
            let seen = seen(stay);
            growing.push(&[
                text(stay_id(stay)),
                text(World::hospital_code(stay.hospital)),
                day(stay.end),
                number(seen.due),
                number(seen.verified),
                number(seen.excused),
                number(seen.absent),
                number(seen.rounds_absent),
                if seen.verified > 0 { day(stay.end - 1) } else { Cell::Nothing },
            ])?;
        }
        growing.finish()
    }

    fn faces(&mut self, name: &str, rows: &Month, of: &dyn Fn(i16) -> bool) -> Result<(), GenerateError> {
        let mut growing = self.growing(name, &tables::FACE_LINK)?;
        let world = self.world;
        // One of the family collects for the others.
        let collected = rows.visits.iter().filter(|visit| {
            visit.is_purchase
                && visit.case == 0
                && visit.person < world.people
                && world.has_kiosk(visit.place)
                && visit.bits.is_multiple_of(50)
                && !visit.person.is_multiple_of(3)
        });
        let collected = collected.map(|visit| Face {
            card: visit.person,
            face: visit.person / 3 * 3,
            day: visit.day,
            is_pharmacy: true,
            place: visit.place,
            case: 0,
        });
        // Twins look alike, and now and then so do two who are none.
        let alike = rows.begun.iter().filter(|stay| {
            stay.case == 0
                && world.is_covered(stay.hospital)
                && (world.is_twin(stay.person) && stay.bits.is_multiple_of(2)
                    || stay.bits.is_multiple_of(40_000))
        });
        let alike = alike.map(|stay| Face {
            card: stay.person,
            face: if world.is_twin(stay.person) { stay.person - 1 } else { stay.person ^ 8 },
            day: stay.begin,
            is_pharmacy: false,
            place: stay.hospital,
            case: 0,
        });
        let mut faces: Vec<Face> = rows.faces.iter().copied().chain(collected).chain(alike).collect();
        faces.retain(|face| of(face.day));
        faces.sort_unstable_by_key(|face| (face.day, mix(world.seed, 61, u64::from(face.card)), face.face));
        for face in faces {
            self.events += 1;
            let event = format!("E{:010}", self.events);
            if face.case > 0 {
                self.truth.push((face.case, event.clone()));
            }
            let (purpose, place) = if face.is_pharmacy {
                ("pharmacy", World::pharmacy_code(face.place))
            } else {
                ("inpatient", World::hospital_code(face.place))
            };
            growing.push(&[
                text(event),
                day(face.day),
                some(purpose),
                text(place),
                text(world.psn_no(face.card)),
                text(world.psn_no(face.face)),
            ])?;
        }
        growing.finish()
    }
}

pub fn stay_id(stay: &Stay) -> String {
    format!("M2025{:010}{:02}", stay.person, stay.number)
}

fn minute(stay: &Stay) -> u16 {
    stay.minute.unwrap_or_else(|| 480 + (mix(stay.bits, 1, 62) % 600) as u16)
}

fn escort(world: &World, stay: &Stay) -> String {
    let who = match stay.escort {
        Some(who) => who,
        // A carer of the house, who comes with strangers.
        None if stay.bits.is_multiple_of(40) => {
            let carers = world.doctors(stay.hospital).len() as u64;
            mix(world.seed, 63 + u64::from(stay.hospital) * 1000, (stay.bits >> 8) % carers)
        }
        None => mix(world.seed, 62, u64::from(stay.person / 3)),
    };
    format!("c{:015x}", who >> 4)
}

/// Days of a stay as the platform saw them.
struct Seen {
    due: i16,
    verified: i16,
    excused: i16,
    absent: i16,
    rounds_absent: i16,
}

fn seen(stay: &Stay) -> Seen {
    let days = stay.end - stay.begin;
    let bits = mix(stay.bits, 1, 64);
    // A device that was down for most of it.
    let due = if bits.is_multiple_of(50) { days / 4 } else { days };
    let of = |verified: i16, rounds: i16| Seen {
        due,
        verified: verified.min(due),
        excused: 0,
        absent: due - verified.min(due),
        rounds_absent: (due - verified.min(due)) * rounds,
    };
    match stay.presence {
        Presence::Never => Seen { due: days, absent: days, ..of(0, 4) },
        Presence::Poor => Seen { due: days, absent: 1, rounds_absent: 2, ..of((days * 3 / 10).max(1), 1) },
        Presence::Hanging => {
            Seen { due: days, absent: days / 2, rounds_absent: days * 3 / 2, ..of(days / 2, 3) }
        }
        Presence::Usual => {
            let excused = if bits >> 8 & 7 == 0 { due.min(1 + (bits >> 16 & 1) as i16) } else { 0 };
            let absent = if bits >> 20 & 7 == 0 { (due - excused).min(1) } else { 0 };
            // A camera that hardly sees the bed.
            let unclear =
                if (bits >> 24).is_multiple_of(2_500) { (due - excused - absent) * 3 / 4 } else { 0 };
            Seen {
                due,
                verified: due - excused - absent - unclear,
                excused,
                absent,
                rounds_absent: absent * 2,
            }
        }
    }
}
