//! Random days in a ward against a small reference that was written from the rules alone: verdicts, excuses, absences
//! that grow into a hanging bed, restarts in between.
//!
//! `BEDCHECK_MODEL_STEPS=1000000 cargo test --release --test domain_model` takes that many steps instead of 5,000;
//! `BEDCHECK_MODEL_SEED=N` repeats one run.

#![expect(clippy::panic, clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bedcheck::base::clock::{Mono, Now, Wall};
use bedcheck::base::frame::{Origin, Tamper};
use bedcheck::base::ids::{BedId, CameraId, StayId};
use bedcheck::base::redact::Private;
use bedcheck::domain::exception::{ExceptionChange, ExceptionKind, Move};
use bedcheck::domain::facts::{Change, Excuse, Fact, Person, fold};
use bedcheck::domain::liveness::Life;
use bedcheck::domain::patrol::LookId;
use bedcheck::domain::policy::{FaceRule, Policy};
use bedcheck::domain::roster::Roster;
use bedcheck::domain::sighting::{FaceQuality, FaceSeen, NoSighting, Occupancy, Reason, Scene, Sighting};
use bedcheck::domain::verdict::{CheckResult, Verdict};
use bedcheck::domain::{Domain, Effect, Finding, Input, Memory};

const BEDS: usize = 5;
const GRACE: i64 = 60_000;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shows {
    Patient,
    Stranger,
    Body,
    Nobody,
    Dark,
    NoPicture,
}

const SHOWS: [Shows; 6] =
    [Shows::Patient, Shows::Stranger, Shows::Body, Shows::Nobody, Shows::Dark, Shows::NoPicture];

/// What the reference knows of one stay, told in the words of the rules.
#[derive(Clone, Debug, Default)]
struct Reference {
    /// Absences in a row that count, when the first and the last were.
    missing: Option<(u8, i64)>,
    unproven: u8,
    contested: bool,
    open: BTreeSet<ExceptionKind>,
    leaves: Vec<(i64, Option<i64>, i64)>,
    /// When the patient was last said to be back: no leave that is reported later began before.
    returned: i64,
    /// When absences were due that no late reason has claimed yet.
    absences: Vec<i64>,
    looks: Vec<Shows>,
}

impl Reference {
    fn is_excused(&self, due: i64) -> bool {
        self.leaves
            .iter()
            .any(|(from, to, heard)| *from <= due && to.is_none_or(|to| due < to) && *heard <= due + GRACE)
    }

    /// Three looks, and what they must amount to.
    fn verdict(&self, due: i64) -> &'static str {
        let count = |shows| self.looks.iter().filter(|look| **look == shows).count();
        if count(Shows::Patient) > 0 {
            "Verified"
        } else if count(Shows::Stranger) >= 2 && count(Shows::Nobody) == 0 {
            "Mismatch"
        } else if self.looks.len() == 3 && count(Shows::Nobody) == 3 {
            if self.is_excused(due) { "Excused" } else { "Absent" }
        } else if count(Shows::Body) >= 2 && count(Shows::Stranger) + count(Shows::Nobody) == 0 {
            "FaceHidden"
        } else {
            "Inconclusive"
        }
    }

    /// Which exceptions a verdict must raise or confirm, and which it must end.
    fn judge(&mut self, verdict: &str, at: i64, due: i64, policy: &Policy) -> Vec<(ExceptionKind, Move)> {
        let mut raised = None;
        match verdict {
            "Verified" => {
                (self.missing, self.unproven, self.contested) = (None, 0, false);
                let open = std::mem::take(&mut self.open);
                return open.into_iter().map(|kind| (kind, Move::Ended)).collect();
            }
            "Absent" => {
                self.absences.push(due);
                (self.unproven, self.contested) = (0, false);
                let spacing = policy.absent_spacing.as_millis() as i64;
                let (count, counted) = match self.missing {
                    None => (1, true),
                    Some((count, last)) if at - last >= spacing => (count + 1, true),
                    Some((count, _)) => (count, false),
                };
                if counted {
                    self.missing = Some((count, at));
                    raised = (count >= policy.absent_rounds).then_some(ExceptionKind::HangingBed);
                }
            }
            "Mismatch" => {
                (self.missing, self.unproven, self.contested) = (None, 0, true);
                raised = Some(ExceptionKind::Impersonation);
            }
            "FaceHidden" | "Inconclusive" => {
                let is_body = verdict == "FaceHidden";
                if !self.contested && (is_body || self.missing.is_none()) {
                    self.missing = None;
                    self.unproven += 1;
                    raised = (self.unproven >= policy.unproven_rounds).then_some(ExceptionKind::NotVerified);
                }
            }
            _ => {}
        }
        let moved = |kind| if self.open.insert(kind) { Move::Raised } else { Move::Confirmed };
        let mut moves: Vec<_> =
            raised.map(moved).into_iter().zip(raised).map(|(moved, kind)| (kind, moved)).collect();
        // Said while the round was already going on.
        let covers = |(from, to, _): &(i64, Option<i64>, i64)| *from <= due && to.is_none_or(|to| due < to);
        if verdict == "Absent" && self.leaves.iter().any(covers) {
            self.absences.pop();
            moves.push((ExceptionKind::RetroactiveLeave, Move::Raised));
        }
        moves
    }
}

struct World {
    chance: Chance,
    policy: Policy,
    now: Now,
    domain: Domain,
    memories: BTreeMap<String, Memory>,
    facts: Vec<Fact>,
    stays: BTreeMap<BedId, (StayId, Reference)>,
    shows: BTreeMap<BedId, Shows>,
    tampered: bool,
    admitted: usize,
    said: usize,
    checks: usize,
    exceptions: usize,
    expected: Vec<(BedId, ExceptionKind, Move)>,
}

fn policy() -> Policy {
    let face = FaceRule { fmr: "1e-3".into(), match_at: 0.7, differs_below: 0.6, typical: None };
    Policy { life: None, absent_spacing: Duration::from_secs(7200), ..Policy::ordinary(face) }
}

fn views() -> BTreeMap<BedId, CameraId> {
    (0..BEDS).map(|bed| (BedId::new(format!("{bed}")).unwrap(), CameraId::new("cam").unwrap())).collect()
}

impl World {
    fn new(seed: u64) -> World {
        let now = Now { mono: Mono(5), wall: Wall(1_790_000_000_000), boot: 5 };
        let mut world = World {
            chance: Chance(seed),
            policy: policy(),
            now,
            domain: Domain::new(policy(), views(), [seed as u8; 32], now),
            memories: BTreeMap::new(),
            facts: Vec::new(),
            stays: BTreeMap::new(),
            shows: BTreeMap::new(),
            tampered: false,
            admitted: 0,
            said: 0,
            checks: 0,
            exceptions: 0,
            expected: Vec::new(),
        };
        world.feed(Input::Recall(Vec::new()));
        views().into_keys().for_each(|bed| world.admit(bed));
        world
    }

    fn step(&mut self) {
        let beds: Vec<BedId> = views().into_keys().collect();
        let bed = beds[self.chance.below(BEDS as u64) as usize].clone();
        match self.chance.below(100) {
            0..60 => self.wait(),
            60..85 => {
                let shows = SHOWS[self.chance.below(SHOWS.len() as u64) as usize];
                self.shows.insert(bed, shows);
            }
            85..90 => self.leave(&bed),
            90..93 => self.come_back(&bed),
            93..96 => self.exchange(bed),
            96..98 => {
                self.tampered = !self.tampered;
                let tamper = self.tampered.then_some(Tamper::Covered);
                self.feed(Input::Camera { camera: CameraId::new("cam").unwrap(), tamper });
            }
            _ => self.restart(),
        }
        assert!(self.expected.is_empty(), "these never came: {:?}", self.expected);
    }

    /// Time passes to the next deadline, or for up to an hour.
    fn wait(&mut self) {
        let far = self.now.mono + Duration::from_millis(self.chance.below(3_600_000));
        let (deadline, _) = self.domain.next_deadline().unwrap();
        let until = if self.chance.below(3) > 0 { deadline.max(self.now.mono) } else { far.min(deadline) };
        let passed = until - self.now.mono;
        self.now = Now { mono: until, wall: self.now.wall.plus(passed), boot: until.0 };
        self.feed(Input::Tick);
    }

    fn say(&mut self, stay: StayId, at: i64, change: Change) {
        self.said += 1;
        let id = format!("{:09}", self.said);
        self.facts.push(Fact { id, stay: Some(stay), at: Wall(at), received: self.now.wall, change });
        self.feed(Input::Roster(Roster::believed(&fold(&self.facts), self.now.wall, |_| 3)));
    }

    fn admit(&mut self, bed: BedId) {
        self.admitted += 1;
        let stay = StayId::new(format!("S{}", self.admitted)).unwrap();
        self.stays.insert(bed.clone(), (stay.clone(), Reference::default()));
        self.shows.entry(bed.clone()).or_insert(Shows::Patient);
        let number = Private::new(format!("P{}", self.admitted));
        let person = Person { psn_no: number, psn_name: Private::new("张三".to_owned()) };
        self.say(stay, self.now.wall.0, Change::Admitted { person, bed: Some(bed) });
    }

    /// The patient is discharged, and a new one comes. Old facts are forgotten, as a ward forgets a stay.
    fn exchange(&mut self, bed: BedId) {
        let (stay, _) = self.stays.remove(&bed).unwrap();
        self.say(stay.clone(), self.now.wall.0, Change::Discharged);
        self.facts.retain(|fact| fact.stay.as_ref() != Some(&stay));
        self.admit(bed);
    }

    /// A leave that begins now, or is said to have begun up to six hours ago.
    fn leave(&mut self, bed: &BedId) {
        let back = self.chance.below(7) as i64 * 3_600_000;
        let until = (self.chance.below(2) == 0).then(|| self.now.wall.0 + 7_200_000);
        let now = self.now.wall.0;
        let (stay, reference) = self.stays.get_mut(bed).unwrap();
        let last = reference.leaves.last().map_or(i64::MIN, |(from, to, _)| to.unwrap_or(now).max(*from));
        let from = (now - back).max(last).max(reference.returned);
        if from > now {
            return;
        }
        if let Some(leave) = reference.leaves.last_mut() {
            leave.1 = Some(leave.1.map_or(from, |to| to.min(from)));
        }
        reference.leaves.push((from, until, now));
        let covers = |due: &i64| from <= *due && until.is_none_or(|to| *due < to) && now > *due + GRACE;
        let before = reference.absences.len();
        reference.absences.retain(|due| !covers(due));
        let is_late = reference.absences.len() < before;
        let stay = stay.clone();
        if is_late {
            self.expected.push((bed.clone(), ExceptionKind::RetroactiveLeave, Move::Raised));
        }
        self.say(stay, from, Change::Left { excuse: Excuse::Leave, until: until.map(Wall) });
    }

    fn come_back(&mut self, bed: &BedId) {
        let now = self.now.wall.0;
        let (stay, reference) = self.stays.get_mut(bed).unwrap();
        reference.returned = now;
        if let Some(leave) = reference.leaves.last_mut() {
            leave.1 = Some(leave.1.map_or(now, |to| to.min(now)));
        }
        let stay = stay.clone();
        self.say(stay, now, Change::Returned);
    }

    fn restart(&mut self) {
        let root = [self.chance.next() as u8; 32];
        self.domain = Domain::new(policy(), views(), root, self.now);
        self.stays.values_mut().for_each(|(_, reference)| reference.looks.clear());
        self.feed(Input::Recall(self.memories.values().cloned().collect()));
        self.feed(Input::Roster(Roster::believed(&fold(&self.facts), self.now.wall, |_| 3)));
    }

    fn feed(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            self.domain.handle(self.now, input);
            while let Some(effect) = self.domain.poll_effect() {
                match effect {
                    Effect::Look { look, bed, .. } => inputs.insert(0, self.look(look, &bed)),
                    Effect::Report { finding, remember, .. } => {
                        self.memories.extend(remember.into_iter().map(|memory| (memory.key(), memory)));
                        self.compare(finding);
                    }
                }
            }
        }
    }

    fn look(&mut self, look: LookId, bed: &BedId) -> Input {
        let shows = self.shows.get(bed).copied().unwrap_or(Shows::Patient);
        let seen = if self.tampered { Shows::Dark } else { shows };
        let seen = if shows == Shows::NoPicture { Shows::NoPicture } else { seen };
        self.stays.get_mut(bed).unwrap().1.looks.push(seen);
        let quality = FaceQuality {
            score: 0.9,
            width_px: 120.0,
            sharpness: 80.0,
            luma: 120.0,
            mouth: 0.7,
            ..FaceQuality::default()
        };
        let face = |claimed| {
            let best = FaceSeen { quality, claimed: Some(claimed), nearest_other: None, common: None };
            Scene::Faces { count: 1, best }
        };
        let scene = match shows {
            Shows::NoPicture => return Input::NotSeen(NoSighting { look, reason: Reason::NoPicture }),
            Shows::Patient => face(0.9),
            Shows::Stranger => face(0.1),
            Shows::Body => Scene::NoFace { occupancy: Occupancy::Changed(0.5) },
            Shows::Nobody => Scene::NoFace { occupancy: Occupancy::Changed(0.0) },
            Shows::Dark => Scene::Dark { mean_luma: 2.0 },
        };
        let (camera, tamper) = (CameraId::new("cam").unwrap(), self.tampered.then_some(Tamper::Covered));
        let (taken, origin, life) = (self.now, Origin::Live, Box::<Life>::default());
        Input::Seen(Sighting { look, camera, taken, origin, tamper, scene, life })
    }

    fn compare(&mut self, finding: Finding) {
        match finding {
            Finding::Checked(result) => self.compare_check(&result),
            Finding::Exception(change) => self.compare_exception(&change),
            Finding::RoundBegun(plan) => {
                let due: BTreeSet<&BedId> = plan.due.iter().map(|check| &check.bed).collect();
                assert_eq!(due, self.stays.keys().collect(), "every bed is due, once");
                // Fewer than all where a round begins between a discharge and the next admission.
                assert!(plan.due.len() == due.len() && plan.until < plan.next_by);
                self.stays.values_mut().for_each(|(_, reference)| reference.looks.clear());
            }
            Finding::Irregular(_) | Finding::Committed(_) => {}
        }
    }

    fn compare_check(&mut self, result: &CheckResult) {
        assert!(self.expected.is_empty(), "before the next check: {:?}", self.expected);
        self.checks += 1;
        let (stay, reference) = self.stays.get_mut(&result.bed).unwrap();
        assert_eq!(*stay, result.stay);
        let wanted = reference.verdict(result.due.0);
        // A match said at once leaves later looks out; everything else takes all three, or the round's end.
        assert_eq!(result.verdict.name(), wanted, "{result:?} {reference:?}");
        if let Verdict::Absent = result.verdict {
            assert_eq!(result.looks, 3);
        }
        reference.looks.clear();
        for (kind, moved) in reference.judge(wanted, result.done.0, result.due.0, &self.policy) {
            self.expected.push((result.bed.clone(), kind, moved));
        }
    }

    fn compare_exception(&mut self, change: &ExceptionChange) {
        self.exceptions += 1;
        let found = (change.bed.clone(), change.kind, change.moved);
        let at = self.expected.iter().position(|wanted| *wanted == found);
        let at = at.unwrap_or_else(|| panic!("{found:?} was not expected, {:?} was", self.expected));
        self.expected.remove(at);
    }
}

#[test]
fn random_wards_are_judged_as_the_rules_say() {
    let number = |name: &str, other: u64| std::env::var(name).map_or(other, |text| text.parse().unwrap());
    let (steps, seed) = (number("BEDCHECK_MODEL_STEPS", 5_000), number("BEDCHECK_MODEL_SEED", 1));
    // Wards of a thousand steps each: a failure names the seed of a short story.
    let (mut checks, mut exceptions) = (0, 0);
    for ward in 0..steps.div_ceil(1000) {
        let mut world = World::new(seed + ward);
        for step in 0..1000 {
            let stepped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.step()));
            if stepped.is_err() {
                panic!("BEDCHECK_MODEL_SEED={} BEDCHECK_MODEL_STEPS=1000: step {step}", seed + ward);
            }
        }
        (checks, exceptions) = (checks + world.checks, exceptions + world.exceptions);
    }
    println!("{steps} steps, {checks} checks, {exceptions} moves of exceptions");
    assert!(
        checks as u64 > steps / 20 && exceptions > 100,
        "{checks} {exceptions}: the story tells too little"
    );
}
