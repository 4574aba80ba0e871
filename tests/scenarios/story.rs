//! A ward that is told what happens, line by line, and what it must lead to. Time is simulated; looks are answered at once.
//!
//! ```text
//! policy every=4h absent_rounds=3 ...     changes the ordinary policy
//! bed 04 stay S4                          a row of the roster with a camera
//! bed 05 stay S5 person S4                ... of the same person as another stay
//! blind 05 stay S5                        a row of the roster without a camera
//! spare 06                                a camera over a bed without a patient
//! walk 04                                 (after `bed`) no camera is over it: a nurse brings one
//! here 04                                 the nurse stands there and says so
//! later 04 examination                    ... or goes on without a result, for a reason
//! shows 04 empty                          from now on (verified | other | person S8 | hidden | empty | dark | blurred |
//!                                         two | uncertain | nothing | unknown | photo | mask | unwatched |
//!                                         breathing | masked)
//! leave 04 -2h +3h                        the hospital says now that the patient is away from then to then (or `open`;
//!                                         also examination, surgery, isolation)
//! returns 04                              ... and now that the patient is back
//! discharge 04 -3h                        ... or was discharged then (without a time: now)
//! move 04 05 -3h                          ... or moved to another bed then; `away` is out of this ward
//! undo 04 discharge                       ... or that this was an error (discharge | transfer | leave | admission);
//!                                         after a discharge name the stay
//! insurer S4 S5                           the insurer's own list of who is in this ward
//! clock -2h                               somebody sets the clock
//! platform -5m                            a receipt says that the platform's clock is so far off ours, or `platform agrees`
//! disk full                               the journal has used up its share, or `disk free`
//! camera covered                          what keeps the camera from showing the ward, or `camera fine`
//! strain hot                              the board is hot, or `strain fine`, or `strain 0.4`: so many frames are kept
//! order 04 within 10m                     the platform orders a spot check (`order all within 10m [with pictures]`)
//! run 9h                                  time passes, deadlines are kept, looks are answered
//! begin                                   time passes until a round begins
//! restart                                 the agent dies and comes back with what it remembered
//! expect check 04 Absent                  the last check of the bed
//! expect reason 04 dark                   ... and why it was inconclusive
//! expect one of them not_reached          some check was inconclusive for this reason
//! expect checks 04 3                      how many there were
//! expect later 04 examination             why a nurse went on without a result, or `none`
//! expect exception 04 hanging_bed raised  the last move of that exception
//! expect no exception 04                  nothing open or ended
//! expect irregular two_in_bed raised      the last move of that irregularity, or `none`
//! expect at_once 2                        how many beds the last round looked at before one of them was decided
//! expect order answered                   the last round answered an order
//! expect pictures 04 1                    how many of its checks went with a picture
//! expect spared 3                         how many beds the last round spared
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bedcheck::base::clock::{Mono, Now, Wall};
use bedcheck::base::frame::{Origin, Tamper};
use bedcheck::base::ids::{BedId, CameraId, StayId};
use bedcheck::base::redact::Private;
use bedcheck::domain::effort::{Heat, Strain};
use bedcheck::domain::exception::{ExceptionChange, Move};
use bedcheck::domain::facts::{Change, Excuse, Fact, Person, What, fold};
use bedcheck::domain::irregular::IrregularityChange;
use bedcheck::domain::liveness::{BodyLife, Cooperation, FaceLife, Life};
use bedcheck::domain::order::Order;
use bedcheck::domain::patrol::LookId;
use bedcheck::domain::policy::{FaceRule, Policy, Window};
use bedcheck::domain::roster::Roster;
use bedcheck::domain::round::RoundPlan;
use bedcheck::domain::sighting::{FaceQuality, FaceSeen, NoSighting, Occupancy, Reason, Scene, Sighting};
use bedcheck::domain::verdict::{CheckResult, Verdict};
use bedcheck::domain::{Domain, Effect, Finding, Input, Memory};

pub struct Story {
    policy: Policy,
    facts: Vec<Fact>,
    views: BTreeMap<BedId, CameraId>,
    walks: BTreeMap<BedId, CameraId>,
    shows: BTreeMap<BedId, String>,
    now: Now,
    domain: Option<Domain>,
    memories: BTreeMap<String, Memory>,
    rounds: u64,
    /// Everything that was reported, in order.
    pub said: Vec<Finding>,
    pub checks: Vec<CheckResult>,
    pub changes: Vec<ExceptionChange>,
    /// Looks whose pictures may be needed, and beds whose check took one along.
    kept: BTreeSet<LookId>,
    pictures: Vec<BedId>,
    irregular: Vec<IrregularityChange>,
    last_plan: Option<RoundPlan>,
    orders: usize,
    tamper: Option<Tamper>,
    begun: BTreeSet<BedId>,
    most_begun: usize,
}

/// Forty seconds of a face with open eyes on a body that breathes so far (thousandths of the zone's height).
fn life(breath: f32, blinks: u16) -> Life {
    let face = FaceLife { frames: 160, seconds: 40.0, passive: None, blinks, eyes_open: 1.0, pulse: None };
    let clarity = if breath > 0.3 { 50.0 } else { 3.0 };
    let (samples, seconds) = (160, 40.0);
    let body =
        BodyLife { samples, seconds, breath, per_minute: 15.0, clarity, movement: breath, noise: 0.05 };
    Life { face: Some(face), body: Some(body), cooperation: Cooperation::default() }
}

fn duration(text: &str) -> Duration {
    Duration::try_from(text.parse::<jiff::SignedDuration>().unwrap()).unwrap()
}

/// `-2h`, `+3h`: so long before or after now.
fn moment(now: Wall, text: &str) -> Wall {
    let span = duration(&text[1..]);
    if text.starts_with('-') { Wall(now.0 - span.as_millis() as i64) } else { now.plus(span) }
}

fn bed(text: &str) -> BedId {
    BedId::new(text).unwrap()
}

fn person(stay: &str) -> Person {
    Person { psn_no: Private::new(format!("P-{stay}")), psn_name: Private::new("张三".to_owned()) }
}

fn counted(found: usize, wanted: &str) -> Result<(), String> {
    (found.to_string() == wanted).then_some(()).ok_or_else(|| format!("found {found}"))
}

fn said(found: &str, wanted: &str) -> Result<(), String> {
    (found == wanted).then_some(()).ok_or_else(|| format!("found {found}"))
}

fn name_of(moved: Move) -> &'static str {
    match moved {
        Move::Raised => "raised",
        Move::Confirmed => "confirmed",
        Move::Ended => "ended",
    }
}

impl Story {
    pub fn new() -> Story {
        let face = FaceRule { fmr: "1e-3".into(), match_at: 0.7, differs_below: 0.6, typical: None };
        Story {
            policy: Policy::ordinary(face),
            facts: Vec::new(),
            views: BTreeMap::new(),
            walks: BTreeMap::new(),
            shows: BTreeMap::new(),
            now: Now { mono: Mono(1000), wall: Wall(1_790_000_000_000), boot: 1000 },
            domain: None,
            memories: BTreeMap::new(),
            rounds: 0,
            said: Vec::new(),
            checks: Vec::new(),
            changes: Vec::new(),
            kept: BTreeSet::new(),
            pictures: Vec::new(),
            irregular: Vec::new(),
            last_plan: None,
            orders: 0,
            tamper: None,
            begun: BTreeSet::new(),
            most_begun: 0,
        }
    }

    pub fn tell(&mut self, line: &str) -> Result<(), String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["policy", settings @ ..] => settings.iter().for_each(|setting| self.set(setting)),
            ["bed", id, "stay", stay] => self.admit(id, stay, true),
            ["bed", id, "stay", stay, "person", same] => self.admit_as(id, stay, same, true),
            ["blind", id, "stay", stay] => self.admit(id, stay, false),
            ["spare", id] => {
                self.views.insert(bed(id), CameraId::new("cam").unwrap());
            }
            ["walk", id] => {
                let camera = self.views.remove(&bed(id)).ok_or("name its bed first")?;
                self.walks.insert(bed(id), camera);
            }
            ["here", id] => self.feed(Input::Here { bed: bed(id) }),
            ["later", id, why] => {
                let why = serde_json::from_value((*why).into()).map_err(|_| "no such reason")?;
                self.feed(Input::Later { bed: bed(id), why });
            }
            ["clock", by] => self.now.wall = moment(self.now.wall, by),
            ["platform", "agrees"] => self.feed(Input::PlatformTime { ahead_ms: 0 }),
            ["platform", by] => {
                let ahead_ms = self.now.wall.0 - moment(self.now.wall, by).0;
                self.feed(Input::PlatformTime { ahead_ms });
            }
            ["strain", felt] => {
                let heat = if *felt == "hot" { Heat::Hot } else { Heat::Fine };
                self.feed(Input::Strain(Strain { heat, kept: felt.parse().ok() }));
            }
            ["disk", is_full] => self.feed(Input::Store { is_full: *is_full == "full" }),
            ["camera", tamper] => {
                self.tamper = (*tamper != "fine").then(|| serde_json::from_value((*tamper).into()).unwrap());
                self.feed(Input::Camera { camera: CameraId::new("cam").unwrap(), tamper: self.tamper });
            }
            ["order", id, "within", time, pictures @ ..] => {
                self.orders += 1;
                let beds = if *id == "all" { Vec::new() } else { vec![bed(id)] };
                let (id, nonce) = (format!("order-{}", self.orders), "n".to_owned());
                let evidence = pictures == ["with", "pictures"];
                let order = Order { id, nonce, beds, until: self.now.wall.plus(duration(time)), evidence };
                // It rides with every receipt, so it comes more than once.
                self.feed(Input::Order(order.clone()));
                self.feed(Input::Order(order));
            }
            ["shows", id, scene @ ..] => {
                self.shows.insert(bed(id), scene.join(" "));
            }
            ["run", time] => self.run(duration(time)),
            ["begin"] => {
                let before = self.rounds;
                while self.rounds == before {
                    self.run(Duration::from_millis(500));
                }
            }
            ["restart"] => {
                self.domain = None;
                self.start();
            }
            ["expect", rest @ ..] => return self.expect(rest),
            _ => return self.hospital_says(&words),
        }
        Ok(())
    }

    fn hospital_says(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            ["discharge", id] => self.hear(id, self.now.wall, Change::Discharged),
            ["discharge", id, when] => self.hear(id, moment(self.now.wall, when), Change::Discharged),
            ["move", id, to, rest @ ..] => {
                let at = rest.first().map_or(self.now.wall, |when| moment(self.now.wall, when));
                let to = (*to != "away").then(|| bed(to));
                self.hear(id, at, Change::Moved { bed: to });
            }
            ["undo", id, what] => {
                let what = match *what {
                    "discharge" => What::Discharge,
                    "transfer" => What::Transfer,
                    "leave" => What::Leave,
                    "admission" => What::Admission,
                    _ => return Err("nothing of that name can be undone".into()),
                };
                self.hear(id, self.now.wall, Change::Cancelled { what });
            }
            ["insurer", stays @ ..] => self.list(stays),
            [excuse @ ("leave" | "examination" | "surgery" | "isolation"), id, from, to] => {
                let excuse: Excuse = serde_json::from_value((*excuse).into()).unwrap();
                let until = (*to != "open").then(|| moment(self.now.wall, to));
                self.hear(id, moment(self.now.wall, from), Change::Left { excuse, until });
            }
            ["returns", id] => self.hear(id, self.now.wall, Change::Returned),
            _ => return Err("this line is not understood".into()),
        }
        Ok(())
    }

    fn set(&mut self, setting: &str) {
        let (key, value) = setting.split_once('=').unwrap();
        match key {
            "evidence" => self.policy.evidence = serde_json::from_value(value.into()).unwrap(),
            "every" => self.policy.round_every = duration(value),
            "check_within" => self.policy.check_within = duration(value),
            "absent_rounds" => self.policy.absent_rounds = value.parse().unwrap(),
            "absent_spacing" => self.policy.absent_spacing = duration(value),
            "unproven_rounds" => self.policy.unproven_rounds = value.parse().unwrap(),
            "windows" => {
                self.policy.windows = value.split(',').map(|window| Window::parse(window).unwrap()).collect();
            }
            "sample" => self.policy.sample = value.parse().unwrap(),
            "at_once" => self.policy.beds_at_once = value.parse().unwrap(),
            "looks" => self.policy.looks_per_check = value.parse().unwrap(),
            _ => panic!("no such policy: {key}"),
        }
        assert_eq!(self.policy.complaints(), [], "the story's policy must be one the agent would take");
    }

    fn admit(&mut self, id: &str, stay: &str, seen: bool) {
        self.admit_as(id, stay, stay, seen);
    }

    fn admit_as(&mut self, id: &str, stay: &str, same: &str, seen: bool) {
        if self.stay_in(id).is_some() {
            self.hear(id, self.now.wall, Change::Discharged);
        }
        let bed = bed(id);
        if seen {
            self.views.insert(bed.clone(), CameraId::new("cam").unwrap());
            self.shows.entry(bed.clone()).or_insert_with(|| "verified".into());
        }
        let change = Change::Admitted { person: person(same), bed: Some(bed) };
        self.say(stay, self.now.wall, change);
    }

    fn roster(&self) -> Roster {
        Roster::believed(&fold(&self.facts), self.now.wall, |_| 3)
    }

    fn stay_in(&self, id: &str) -> Option<StayId> {
        self.roster().stay_in(&bed(id)).map(|stay| stay.id.clone())
    }

    /// The hospital says something about the stay in a bed, or about a stay that has left it.
    fn hear(&mut self, id: &str, at: Wall, change: Change) {
        let stay = self.stay_in(id).map_or(id.to_owned(), |stay| stay.to_string());
        self.say(&stay, at, change);
    }

    fn say(&mut self, stay: &str, at: Wall, change: Change) {
        let id = format!("{:06}", self.facts.len());
        let stay = Some(StayId::new(stay).unwrap());
        self.facts.push(Fact { id, stay, at, received: self.now.wall, change });
        if self.domain.is_some() {
            self.send_roster();
        }
    }

    fn list(&mut self, stays: &[&str]) {
        let listed: Vec<StayId> = stays.iter().map(|stay| StayId::new(*stay).unwrap()).collect();
        let histories = fold(&self.facts);
        let gone = histories.iter().filter(|(stay, history)| {
            history.insured.as_ref().is_some_and(|(_, listed)| *listed) && !listed.contains(stay)
        });
        let gone: Vec<String> = gone.map(|(stay, _)| stay.to_string()).collect();
        for stay in stays {
            self.say(stay, self.now.wall, Change::Insured { person: person(stay), listed: true });
        }
        for stay in gone {
            self.say(&stay, self.now.wall, Change::Insured { person: person(&stay), listed: false });
        }
    }

    fn start(&mut self) {
        let mut domain = Domain::new(self.policy.clone(), self.views.clone(), [9; 32], self.now);
        domain = domain.walking(self.walks.clone());
        domain.handle(self.now, Input::Recall(self.memories.values().cloned().collect()));
        self.domain = Some(domain);
        self.drain();
        self.send_roster();
    }

    fn send_roster(&mut self) {
        self.feed(Input::Roster(self.roster()));
    }

    fn feed(&mut self, input: Input) {
        let now = self.now;
        self.domain.as_mut().unwrap().handle(now, input);
        self.drain();
    }

    fn drain(&mut self) {
        let mut answers = Vec::new();
        while let Some(effect) = self.domain.as_mut().unwrap().poll_effect() {
            match effect {
                Effect::Look { look, bed, keep, .. } => {
                    self.kept.extend(keep.then_some(look));
                    self.begun.insert(bed.clone());
                    self.most_begun = self.most_begun.max(self.begun.len());
                    answers.push(self.answer(look, &bed));
                }
                Effect::Report { finding, remember, keep } => {
                    assert!(keep.is_none_or(|look| self.kept.contains(&look)), "its picture was not kept");
                    if let (Finding::Checked(result), Some(_)) = (&finding, keep) {
                        self.pictures.push(result.bed.clone());
                    }
                    for memory in remember {
                        // What is remembered must survive its own format.
                        let text = serde_json::to_string(&memory).unwrap();
                        self.memories.insert(memory.key(), serde_json::from_str(&text).unwrap());
                    }
                    self.said.push(finding.clone());
                    match finding {
                        Finding::Checked(result) => {
                            self.begun.remove(&result.bed);
                            self.checks.push(result);
                        }
                        Finding::Exception(change) => self.changes.push(change),
                        Finding::RoundBegun(plan) => {
                            assert!(plan.order.is_some() || plan.until < plan.next_by);
                            self.rounds += 1;
                            (self.begun, self.most_begun) = (BTreeSet::new(), 0);
                            self.last_plan = Some(plan);
                        }
                        Finding::Irregular(change) => self.irregular.push(change),
                        Finding::Committed(_) => {}
                    }
                }
            }
        }
        for answer in answers.into_iter().flatten() {
            self.feed(answer);
        }
    }

    fn answer(&self, look: LookId, bed: &BedId) -> Option<Input> {
        let good = FaceQuality {
            score: 0.9,
            width_px: 120.0,
            yaw: 5.0,
            pitch: 0.0,
            sharpness: 80.0,
            luma: 120.0,
            outside: 0.0,
            mouth: 0.7,
        };
        let face = |claimed: f32, other: Option<(&str, f32)>, quality| {
            let nearest_other = other.map(|(stay, similarity)| (StayId::new(stay).unwrap(), similarity));
            Scene::Faces {
                count: 1,
                best: FaceSeen { quality, claimed: Some(claimed), nearest_other, common: None },
            }
        };
        let no_face = |changed| Scene::NoFace { occupancy: Occupancy::Changed(changed) };
        let shown = self.shows.get(bed).map_or("nothing", String::as_str);
        let (shown, life) = match shown {
            "photo" => ("verified", life(0.02, 0)),
            "mask" => ("verified", life(2.0, 0)),
            "unwatched" => ("verified", Life::default()),
            "unknown" => ("unknown", life(0.02, 0)),
            "breathing" => ("unknown", life(2.0, 0)),
            shown => (shown, life(2.0, 9)),
        };
        let scene = match shown.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["verified"] => face(0.85, None, good),
            ["other"] => face(0.4, Some(("S99", 0.5)), good),
            ["person", stay] => face(0.4, Some((stay, 0.9)), good),
            ["uncertain"] => face(0.65, None, good),
            ["blurred"] => face(0.4, None, FaceQuality { sharpness: 0.5, ..good }),
            ["masked"] => face(0.4, None, FaceQuality { mouth: 0.05, ..good }),
            ["two"] => match face(0.4, None, good) {
                Scene::Faces { best, .. } => Scene::Faces { count: 2, best },
                Scene::Dark { .. } | Scene::NoFace { .. } => panic!("a face was made above"),
            },
            ["hidden"] => no_face(0.4),
            ["empty"] => no_face(0.01),
            ["unknown"] => Scene::NoFace { occupancy: Occupancy::Unknown },
            ["dark"] => Scene::Dark { mean_luma: 3.0 },
            ["nothing"] => return Some(Input::NotSeen(NoSighting { look, reason: Reason::NoPicture })),
            ["silence"] => return None,
            _ => panic!("no such scene: {shown}"),
        };
        let camera = CameraId::new("cam").unwrap();
        Some(Input::Seen(Sighting {
            look,
            camera,
            taken: self.now,
            origin: Origin::Live,
            tamper: self.tamper,
            scene,
            life: Box::new(life),
        }))
    }

    fn run(&mut self, time: Duration) {
        if self.domain.is_none() {
            self.start();
        }
        let end = self.now.mono + time;
        for _ in 0..1_000_000 {
            let (at, _) = self.domain.as_ref().unwrap().next_deadline().unwrap();
            let at = at.max(self.now.mono);
            if at > end {
                break;
            }
            self.pass(at);
            self.feed(Input::Tick);
        }
        self.pass(end);
    }

    fn pass(&mut self, until: Mono) {
        let passed = until - self.now.mono;
        self.now = Now { mono: until, wall: self.now.wall.plus(passed), boot: until.0 };
    }

    fn expect(&self, words: &[&str]) -> Result<(), String> {
        let last = |id: &str| {
            self.checks
                .iter()
                .rfind(|check| check.bed == bed(id))
                .ok_or_else(|| "no check was concluded".to_owned())
        };
        let wrong = |found: String| Err(format!("found {found}"));
        match words {
            ["check", id, verdict] => said(last(id)?.verdict.name(), verdict),
            ["reason", id, reason] => {
                let Verdict::Inconclusive { reason: found } = last(id)?.verdict else {
                    return wrong(last(id)?.verdict.name().to_owned());
                };
                let found = serde_json::to_value(found).unwrap();
                if found == *reason { Ok(()) } else { wrong(found.to_string()) }
            }
            ["one", "of", "them", reason] => {
                let reasons: Vec<String> = self
                    .checks
                    .iter()
                    .filter_map(|check| {
                        let Verdict::Inconclusive { reason } = check.verdict else { return None };
                        Some(serde_json::to_string(&reason).unwrap())
                    })
                    .collect();
                if reasons.contains(&format!("{reason:?}")) { Ok(()) } else { wrong(reasons.join(", ")) }
            }
            ["at_once", number] => counted(self.most_begun, number),
            ["later", id, why] => said(last(id)?.later.map_or("none", |why| why.name()), why),
            ["checks", id, count] => {
                counted(self.checks.iter().filter(|check| check.bed == bed(id)).count(), count)
            }
            ["pictures", id, count] => {
                counted(self.pictures.iter().filter(|of| **of == bed(id)).count(), count)
            }
            ["no", "exception", id] => match self.changes.iter().find(|change| change.bed == bed(id)) {
                Some(change) => wrong(format!("{} {:?}", change.kind.name(), change.moved)),
                None => Ok(()),
            },
            ["exception", id, kind, moved] => {
                let change =
                    self.changes.iter().rfind(|change| change.bed == bed(id) && change.kind.name() == *kind);
                let found = change.map_or("none", |change| name_of(change.moved));
                if found == *moved { Ok(()) } else { wrong(found.to_owned()) }
            }
            ["irregular", kind, moved] => {
                let change = self.irregular.iter().rfind(|change| change.what.name() == *kind);
                let found = change.map_or("none", |change| name_of(change.moved));
                if found == *moved { Ok(()) } else { wrong(found.to_owned()) }
            }
            ["order", "answered"] => match &self.last_plan {
                Some(plan) if plan.order.is_some() => Ok(()),
                _ => wrong("an ordinary round".to_owned()),
            },
            ["spared", count] => counted(self.last_plan.as_ref().map_or(0, |plan| plan.spared.len()), count),
            _ => Err("this expectation is not understood".into()),
        }
    }
}
