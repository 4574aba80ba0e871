//! What several looks at one bed add up to.

use serde::{Deserialize, Serialize};

use crate::base::clock::Wall;
use crate::base::ids::{BedId, StayId};
use crate::domain::facts::{Account, Away, Excuse, account};
use crate::domain::liveness::Cue;
use crate::domain::policy::Policy;
use crate::domain::sighting::Reason;
use crate::domain::verify::{Glance, Proof};
use crate::domain::walk::Later;

/// The outcome of one due check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// 已核实: the person on the roster was seen in the bed.
    Verified,
    /// 不在床: every look showed the empty bed.
    Absent,
    /// 有据离床: every look showed the empty bed, and the reason was known before the check was due.
    Excused { excuse: Excuse },
    /// 在床未露脸: somebody lies there, no face could be seen.
    FaceHidden,
    /// 人证不符: somebody else lies there, in at least two looks.
    Mismatch,
    /// 床位不符: another patient of this ward lies there.
    WrongBed { found: StayId },
    /// 疑似假体: the right face without a sign of life over a whole watch.
    NotLive { cue: Cue },
    /// 无法判定: the looks prove nothing, for this reason.
    Inconclusive { reason: Reason },
}

impl Verdict {
    /// The name in code, tables and JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Verdict::Verified => "Verified",
            Verdict::Absent => "Absent",
            Verdict::Excused { .. } => "Excused",
            Verdict::FaceHidden => "FaceHidden",
            Verdict::Mismatch => "Mismatch",
            Verdict::WrongBed { .. } => "WrongBed",
            Verdict::NotLive { .. } => "NotLive",
            Verdict::Inconclusive { .. } => "Inconclusive",
        }
    }

    /// The Chinese term of the supervision platform.
    pub fn chinese(&self) -> &'static str {
        match self {
            Verdict::Verified => "已核实",
            Verdict::Absent => "不在床",
            Verdict::Excused { .. } => "有据离床",
            Verdict::FaceHidden => "在床未露脸",
            Verdict::Mismatch => "人证不符",
            Verdict::WrongBed { .. } => "床位不符",
            Verdict::NotLive { .. } => "疑似假体",
            Verdict::Inconclusive { .. } => "无法判定",
        }
    }
}

/// One concluded check, as reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    pub round: u64,
    pub bed: BedId,
    pub stay: StayId,
    /// The first letter of the name and stars: tells rows apart without naming a person.
    pub masked_name: String,
    pub due: Wall,
    pub done: Wall,
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Similarity to the person expected, of the look that decided; absent where no face was compared.
    pub similarity: Option<f32>,
    /// Similarity from which a match is called, and the false match rate it stands for.
    pub threshold: f32,
    pub fmr: String,
    pub looks: u8,
    /// The cue that decided about life with its numbers; absent where life was not asked for or nothing matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life: Option<Proof>,
    /// Whether every picture came from a recording; such a check can never count as real.
    pub synthetic: bool,
    /// Why a nurse went on without a result; it excuses nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub later: Option<Later>,
}

/// Whether the looks so far are enough, and for what. `last` says that no further look will come.
///
/// One match ends the check at once. Everything that speaks against somebody needs all the looks, and at least two
/// of them saying the same: one odd frame accuses nobody. Only a lifeless face needs no second look, because it was
/// watched all the time in between; `bed` wants it in several rounds.
pub fn conclude(glances: &[Glance], last: bool, policy: &Policy) -> Option<Verdict> {
    if glances.iter().any(|glance| matches!(glance, Glance::Match { .. })) {
        return Some(Verdict::Verified);
    }
    let all_taken = glances.len() >= usize::from(policy.looks_per_check);
    if !(last || all_taken) {
        return None;
    }
    if glances.is_empty() {
        return Some(Verdict::Inconclusive { reason: Reason::NotReached });
    }
    let (mut others, mut lifeless, mut hidden, mut empty) = (Vec::new(), Vec::new(), 0, 0);
    let mut reasons: Vec<Reason> = Vec::new();
    for glance in glances {
        match glance {
            Glance::Match { .. } => {}
            Glance::Other { who, .. } => others.push(who.clone()),
            Glance::Lifeless { life, .. } => lifeless.push(life.cue),
            Glance::Hidden { .. } => hidden += 1,
            Glance::Empty { .. } => empty += 1,
            Glance::Unusable(reason) => reasons.push(*reason),
        }
    }
    let enough = usize::from(policy.looks_per_check).min(2);
    Some(if others.len() >= enough && empty == 0 {
        same_patient(&others, enough).map_or(Verdict::Mismatch, |found| Verdict::WrongBed { found })
    } else if let (true, Some(cue)) = (others.is_empty(), commonest(&lifeless)) {
        Verdict::NotLive { cue }
    } else if empty == glances.len() && all_taken {
        Verdict::Absent
    } else if hidden >= enough && others.is_empty() && empty == 0 {
        Verdict::FaceHidden
    } else {
        Verdict::Inconclusive { reason: commonest(&reasons).unwrap_or(Reason::Contradictory) }
    })
}

impl Verdict {
    /// An absence whose reason was heard before the check was due accuses nobody.
    pub fn accounted_for(self, away: &[Away], due: Wall, policy: &Policy) -> Verdict {
        match (&self, account(away, due, policy.excuse_grace)) {
            (Verdict::Absent, Account::Excused(excuse)) => Verdict::Excused { excuse },
            _ => self,
        }
    }
}

/// The patient whom at least `enough` of the looks agree on.
fn same_patient(others: &[Option<StayId>], enough: usize) -> Option<StayId> {
    others
        .iter()
        .flatten()
        .find(|who| others.iter().flatten().filter(|other| other == who).count() >= enough)
        .cloned()
}

fn commonest<T: Copy + Ord>(values: &[T]) -> Option<T> {
    let count = |wanted: T| values.iter().filter(|value| **value == wanted).count();
    values.iter().copied().max_by_key(|value| (count(*value), std::cmp::Reverse(*value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::FaceRule;

    fn policy() -> Policy {
        Policy::ordinary(FaceRule { fmr: "1e-3".into(), match_at: 0.7, differs_below: 0.6, typical: None })
    }

    fn other(who: Option<&str>) -> Glance {
        Glance::Other { similarity: 0.2, who: who.map(|id| StayId::new(id).unwrap()) }
    }

    const EMPTY: Glance = Glance::Empty { changed: 0.01 };
    const HIDDEN: Glance = Glance::Hidden { changed: 0.4 };
    const DARK: Glance = Glance::Unusable(Reason::Dark);

    #[test]
    fn one_match_is_enough_and_one_odd_frame_accuses_nobody() {
        let policy = policy();
        let seen = Glance::Match { similarity: 0.8, life: None };
        assert_eq!(conclude(&[seen], false, &policy), Some(Verdict::Verified));
        assert_eq!(conclude(&[other(None)], false, &policy), None);
        assert_eq!(
            conclude(&[other(None), DARK, DARK], false, &policy),
            Some(Verdict::Inconclusive { reason: Reason::Dark })
        );
        assert_eq!(conclude(&[other(None), other(None), DARK], false, &policy), Some(Verdict::Mismatch));
    }

    #[test]
    fn a_wrong_bed_needs_two_looks_that_name_the_same_patient() {
        let policy = policy();
        let found = StayId::new("S8").unwrap();
        assert_eq!(
            conclude(&[other(Some("S8")), other(Some("S8")), DARK], false, &policy),
            Some(Verdict::WrongBed { found })
        );
        assert_eq!(
            conclude(&[other(Some("S8")), other(Some("S7")), other(None)], false, &policy),
            Some(Verdict::Mismatch)
        );
    }

    #[test]
    fn a_breath_in_any_look_outweighs_stillness_in_the_others() {
        let policy = policy();
        let still =
            || Glance::Lifeless { similarity: 0.8, life: Proof { cue: Cue::Still, life: Box::default() } };
        assert_eq!(conclude(&[still(), still()], false, &policy), None);
        assert_eq!(
            conclude(&[DARK, still(), still()], false, &policy),
            Some(Verdict::NotLive { cue: Cue::Still })
        );
        let short = Glance::Unusable(Reason::LifeUnproven);
        assert_eq!(
            conclude(&[short.clone(), short, still()], false, &policy),
            Some(Verdict::NotLive { cue: Cue::Still })
        );
        assert!(matches!(
            conclude(&[still(), other(None), other(None)], false, &policy),
            Some(Verdict::Mismatch)
        ));
        let alive = Glance::Match { similarity: 0.8, life: None };
        assert_eq!(conclude(&[still(), still(), alive], false, &policy), Some(Verdict::Verified));
    }

    #[test]
    fn absence_needs_every_look() {
        let policy = policy();
        assert_eq!(conclude(&[EMPTY, EMPTY, EMPTY], false, &policy), Some(Verdict::Absent));
        assert!(matches!(conclude(&[EMPTY, EMPTY], true, &policy), Some(Verdict::Inconclusive { .. })));
        assert!(matches!(
            conclude(&[EMPTY, HIDDEN, EMPTY], false, &policy),
            Some(Verdict::Inconclusive { .. })
        ));
        assert_eq!(conclude(&[HIDDEN, HIDDEN, DARK], false, &policy), Some(Verdict::FaceHidden));
    }
}
