//! Rounds on foot (巡查): beds that no fixed camera sees, looked at when a nurse stands there with the cart and says so.
//!
//! They are due as any other bed and drawn, announced and held to the same deadline; only the moment of the look is the
//! nurse's. Who was not found may be come back to; why not is told with the check and excuses nothing: excuses are facts
//! that were heard before.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::base::clock::{Mono, Wall};
use crate::base::ids::BedId;
use crate::domain::policy::Policy;
use crate::domain::roster::Roster;
use crate::domain::round::{Open, Round};
use crate::domain::verdict::Verdict;

/// Why the nurse goes on without a result; a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Later {
    /// 外出检查
    Examination,
    /// 手术中
    Surgery,
    /// 治疗护理中
    Treatment,
    /// 洗漱如厕
    Washing,
    /// 请假外出
    Leave,
    /// 拒绝拍摄
    Refuses,
    /// 稍后再来
    ComeBack,
}

impl Later {
    pub const ALL: [Later; 7] = [
        Later::Examination,
        Later::Surgery,
        Later::Treatment,
        Later::Washing,
        Later::Leave,
        Later::Refuses,
        Later::ComeBack,
    ];

    /// The name in code, tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Later::Examination => "examination",
            Later::Surgery => "surgery",
            Later::Treatment => "treatment",
            Later::Washing => "washing",
            Later::Leave => "leave",
            Later::Refuses => "refuses",
            Later::ComeBack => "come_back",
        }
    }

    pub fn chinese(self) -> &'static str {
        match self {
            Later::Examination => "外出检查",
            Later::Surgery => "手术中",
            Later::Treatment => "治疗护理中",
            Later::Washing => "洗漱如厕",
            Later::Leave => "请假外出",
            Later::Refuses => "拒绝拍摄",
            Later::ComeBack => "稍后再来",
        }
    }

    pub fn english(self) -> &'static str {
        match self {
            Later::Examination => "at an examination",
            Later::Surgery => "in surgery",
            Later::Treatment => "being treated",
            Later::Washing => "washing",
            Later::Leave => "on leave",
            Later::Refuses => "refuses the camera",
            Later::ComeBack => "come back later",
        }
    }
}

/// How far a bed is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Walked {
    /// Not been there yet.
    Ahead,
    /// The camera looks now: so many looks of so many.
    Here { looks: usize, of: usize },
    /// To be come back to.
    Later { why: Later },
    Done {
        #[serde(flatten)]
        verdict: Verdict,
    },
}

/// One bed on the nurse's list, in the drawn order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stop {
    pub bed: BedId,
    pub masked_name: String,
    #[serde(flatten)]
    pub walked: Walked,
}

/// The round on foot that is going on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sheet {
    pub round: u64,
    pub began: Wall,
    /// The nonce of the order it answers.
    pub nonce: Option<String>,
    /// When it is over, come what may.
    #[serde(skip)]
    pub until: Mono,
    pub stops: Vec<Stop>,
}

impl Sheet {
    /// The bed to go to next: in the drawn order, those to come back to last.
    pub fn next(&self) -> Option<&Stop> {
        let of = |is_meant: fn(&Walked) -> bool| self.stops.iter().find(|stop| is_meant(&stop.walked));
        of(|walked| matches!(walked, Walked::Here { .. }))
            .or_else(|| of(|walked| matches!(walked, Walked::Ahead)))
            .or_else(|| of(|walked| matches!(walked, Walked::Later { .. })))
    }

    /// How many are done, and how many there are.
    pub fn done(&self) -> (usize, usize) {
        let done = self.stops.iter().filter(|stop| matches!(stop.walked, Walked::Done { .. }));
        (done.count(), self.stops.len())
    }
}

impl Round {
    /// The cart stands at `bed`. It cannot be at two: whichever bed it stood at before is come back to.
    pub(super) fn here(&mut self, now: Mono, bed: &BedId, on_foot: &BTreeSet<BedId>) {
        let Some(at) = self.to_walk.iter().position(|open| open.bed == *bed) else { return };
        let mut open = self.to_walk.remove(at);
        let elsewhere: Vec<BedId> = self
            .begun
            .iter()
            .filter(|open| on_foot.contains(&open.bed))
            .map(|open| open.bed.clone())
            .collect();
        elsewhere.iter().for_each(|bed| self.later(bed, Later::ComeBack));
        // What was seen on an earlier visit stays; the looks begin anew with the time between them.
        open.next_look = open.next_look.max(now);
        open.later = None;
        self.begun.push(open);
    }

    /// Away from `bed` without a result, or past it.
    pub(super) fn later(&mut self, bed: &BedId, why: Later) {
        if let Some(open) = self.to_walk.iter_mut().find(|open| open.bed == *bed) {
            open.later = Some(why);
            return;
        }
        let Some(at) = self.begun.iter().position(|open| open.bed == *bed) else { return };
        let mut open = self.begun.remove(at);
        // An answer that comes now was taken on the way to another bed.
        (open.waiting, open.later) = (None, Some(why));
        self.to_walk.push(open);
    }

    /// The nurse's list; `None` where nobody has to walk.
    pub(super) fn sheet(&self, on_foot: &BTreeSet<BedId>, roster: &Roster, policy: &Policy) -> Option<Sheet> {
        let name = |bed: &BedId| roster.stay_in(bed).map(|stay| stay.masked_name()).unwrap_or_default();
        let stop = |bed: &BedId, walked| Stop { bed: bed.clone(), masked_name: name(bed), walked };
        let of = usize::from(policy.looks_per_check);
        let here = self.begun.iter().filter(|open| on_foot.contains(&open.bed));
        let here = here.map(|open| stop(&open.bed, Walked::Here { looks: open.glances.len(), of }));
        let waits = |open: &Open| open.later.map_or(Walked::Ahead, |why| Walked::Later { why });
        let waiting = self.to_walk.iter().map(|open| stop(&open.bed, waits(open)));
        let done = self.walked.iter();
        let done = done.map(|(bed, verdict)| stop(bed, Walked::Done { verdict: verdict.clone() }));
        let stops: Vec<Stop> = here.chain(waiting).chain(done).collect();
        let (round, began, until, nonce) = (self.number, self.began, self.until, self.nonce.clone());
        (!stops.is_empty()).then_some(Sheet { round, began, nonce, until, stops })
    }
}
