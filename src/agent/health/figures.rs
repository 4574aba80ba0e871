//! The metrics, in base units (seconds, bytes), in the text form of OpenMetrics.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::agent::health::{ConfigState, Health};
use crate::base::clock::Wall;
use crate::base::space;
use crate::domain::Finding;
use crate::domain::effort::Eased;

type Labels = [(&'static str, String); 1];
type Real = Gauge<f64, AtomicU64>;

pub struct Figures {
    registry: Registry,
    rounds: Counter,
    checks: Family<Labels, Counter>,
    exceptions: Family<[(&'static str, String); 2], Counter>,
    looks_dropped: Counter,
    frames: Family<Labels, Gauge>,
    frame_age: Family<Labels, Real>,
    unsent: Gauge,
    faces: Gauge,
    deliveries: Family<Labels, Counter>,
    acknowledged: Real,
    turn_age: Real,
    config_good: Gauge,
    config_problems: Gauge,
    config_reads: Family<Labels, Counter>,
    disk_free: Gauge,
    heat: Real,
    kept: Real,
    beds_eased: Gauge,
}

impl Figures {
    pub fn new() -> Figures {
        let mut registry = Registry::with_prefix("bedcheck");
        let version = [("version".into(), env!("CARGO_PKG_VERSION").into())];
        let build: Gauge = Gauge::default();
        build.set(1);
        registry.sub_registry_with_labels(version.into_iter()).register(
            "build",
            "Always 1; the label says which version runs",
            build,
        );
        let mut figures = Figures {
            registry,
            rounds: Counter::default(),
            checks: Family::default(),
            exceptions: Family::default(),
            looks_dropped: Counter::default(),
            frames: Family::default(),
            frame_age: Family::default(),
            unsent: Gauge::default(),
            faces: Gauge::default(),
            deliveries: Family::default(),
            acknowledged: Real::default(),
            turn_age: Real::default(),
            config_good: Gauge::default(),
            config_problems: Gauge::default(),
            config_reads: Family::default(),
            disk_free: Gauge::default(),
            heat: Real::default(),
            kept: Real::default(),
            beds_eased: Gauge::default(),
        };
        figures.kept.set(1.0);
        figures.config_good.set(1);
        figures.register_work();
        figures.register_state();
        figures.register_strain();
        figures
    }

    fn register_work(&mut self) {
        let to = &mut self.registry;
        to.register("rounds", "Rounds begun", self.rounds.clone());
        to.register("checks", "Checks concluded, by verdict", self.checks.clone());
        to.register("exceptions", "Steps of exceptions, by kind", self.exceptions.clone());
        to.register("looks_dropped", "Looks the vision thread was too busy for", self.looks_dropped.clone());
        to.register("deliveries", "Batches given to the platform, by result", self.deliveries.clone());
        to.register("config_reads", "Readings of the configuration, by result", self.config_reads.clone());
    }

    fn register_state(&mut self) {
        let to = &mut self.registry;
        to.register("camera_frames", "Pictures since the camera was opened", self.frames.clone());
        to.register_with_unit(
            "camera_frame_age",
            "Age of the newest picture; absent before the first",
            Unit::Seconds,
            self.frame_age.clone(),
        );
        to.register("outbox_statements", "Statements the platform has not acknowledged", self.unsent.clone());
        to.register("stored_faces", "People whose templates this box holds", self.faces.clone());
        to.register_with_unit(
            "acknowledged_timestamp",
            "When the platform last acknowledged, since 1970; 0 before",
            Unit::Seconds,
            self.acknowledged.clone(),
        );
        to.register_with_unit(
            "decide_turn_age",
            "Since the task that decides last turned",
            Unit::Seconds,
            self.turn_age.clone(),
        );
        to.register(
            "config_good",
            "1 when the configuration on the disk is in use",
            self.config_good.clone(),
        );
        to.register("config_problems", "Complaints about the configuration", self.config_problems.clone());
        to.register_with_unit(
            "state_free",
            "Free space where the journal is kept",
            Unit::Bytes,
            self.disk_free.clone(),
        );
    }

    fn register_strain(&mut self) {
        let to = &mut self.registry;
        to.register("board_heat_celsius", "The hottest part; 0 where nobody can tell", self.heat.clone());
        to.register("watch_kept_ratio", "Frames worth watching that the nets got through", self.kept.clone());
        to.register(
            "beds_at_once_eased",
            "Beds watched at once because of heat or load; 0 at full effort",
            self.beds_eased.clone(),
        );
    }

    pub fn strained(&self, celsius: Option<f32>, kept: Option<f32>) {
        self.heat.set(f64::from(celsius.unwrap_or_default()));
        if let Some(kept) = kept {
            self.kept.set(f64::from(kept));
        }
    }

    pub fn eased(&self, eased: Option<Eased>) {
        self.beds_eased.set(eased.map_or(0, |eased| i64::from(eased.beds_at_once)));
    }

    pub fn found(&self, finding: &Finding) {
        match finding {
            Finding::RoundBegun(_) => {
                self.rounds.inc();
            }
            Finding::Checked(result) => {
                self.checks.get_or_create(&[("verdict", result.verdict.name().to_owned())]).inc();
            }
            Finding::Exception(change) => {
                let step = format!("{:?}", change.moved).to_lowercase();
                self.exceptions
                    .get_or_create(&[("kind", change.kind.name().to_owned()), ("step", step)])
                    .inc();
            }
            Finding::Irregular(change) => {
                let step = format!("{:?}", change.moved).to_lowercase();
                self.exceptions
                    .get_or_create(&[("kind", change.what.name().to_owned()), ("step", step)])
                    .inc();
            }
            Finding::Committed(_) => {}
        }
    }

    pub fn dropped_look(&self) {
        self.looks_dropped.inc();
    }

    pub fn beat(&self, unsent: u64, faces: usize) {
        self.unsent.set(i64::try_from(unsent).unwrap_or(i64::MAX));
        self.faces.set(i64::try_from(faces).unwrap_or(i64::MAX));
    }

    /// When the platform last acknowledged.
    pub fn acknowledged(&self) -> Option<Wall> {
        let seconds = self.acknowledged.get();
        (seconds > 0.0).then_some(Wall((seconds * 1000.0) as i64))
    }

    pub fn delivered(&self, is_acknowledged: bool, now: Wall) {
        let result = if is_acknowledged { "acknowledged" } else { "failed" };
        self.deliveries.get_or_create(&[("result", result.to_owned())]).inc();
        if is_acknowledged {
            self.acknowledged.set(now.0 as f64 / 1000.0);
        }
    }

    pub fn config(&self, state: &ConfigState) {
        let result = if state.is_good { "good" } else { "refused" };
        self.config_reads.get_or_create(&[("result", result.to_owned())]).inc();
        self.config_good.set(i64::from(state.is_good));
        self.config_problems.set(i64::try_from(state.complaints.len()).unwrap_or(i64::MAX));
    }
}

impl Health {
    /// The metrics as text; what has an age is looked at now.
    pub fn metrics(&self) -> String {
        let figures = &self.0.figures;
        let (now, shown) = (self.0.clock.now().mono, self.shown());
        for (camera, slot) in &shown.slots {
            let label = [("camera", camera.to_string())];
            figures.frames.get_or_create(&label).set(i64::try_from(slot.count()).unwrap_or(i64::MAX));
            if let Some(newest) = slot.glance() {
                figures.frame_age.get_or_create(&label).set((now - newest.taken).as_secs_f64());
            }
        }
        figures.turn_age.set(self.since_turn().as_secs_f64());
        if let Some(free) = shown.settings.as_ref().and_then(|settings| space::of(&settings.state)) {
            figures.disk_free.set(i64::try_from(free.free).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &figures.registry);
        text
    }
}
