//! How well a ward's presence is proved, added up from its checks: what a day looked like, and an institution's score.
//!
//! ```text
//!   coverage = proved / due            proved: answered in time, whatever the answer
//!   presence = verified / decided      decided: verified or against; excused and unclear checks count for neither
//!   score    = 100 × coverage × presence
//! ```
//! A check that was not carried out lowers the score as one that found nobody: silence is no way out.

/// Checks that were due in some place and time, by what came of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    pub due: u64,
    /// 未执行: the time was over and nothing had come.
    pub missed: u64,
    /// 已核实.
    pub verified: u64,
    /// 有据离床.
    pub excused: u64,
    /// 无法判定, 在床未露脸.
    pub unclear: u64,
    /// 不在床, 人证不符, 床位不符, 疑似假体.
    pub against: u64,
}

/// What is said of a tally in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Day {
    /// Nothing was due.
    Nothing,
    /// Something is still open and nothing is wrong yet.
    Open,
    Verified,
    /// Only excused checks.
    Excused,
    Unclear,
    /// At least one check was not carried out.
    Missed,
    /// At least one check found something wrong.
    Against,
}

impl Tally {
    /// The most urgent word: a violation, then what was not covered, then the rest.
    pub fn day(&self) -> Day {
        if self.against > 0 {
            Day::Against
        } else if self.missed > 0 {
            Day::Missed
        } else if self.unclear > 0 {
            Day::Unclear
        } else if self.verified > 0 {
            Day::Verified
        } else if self.excused > 0 {
            Day::Excused
        } else if self.due > 0 {
            Day::Open
        } else {
            Day::Nothing
        }
    }

    /// Both together.
    #[must_use]
    pub fn and(&self, other: &Tally) -> Tally {
        Tally {
            due: self.due + other.due,
            missed: self.missed + other.missed,
            verified: self.verified + other.verified,
            excused: self.excused + other.excused,
            unclear: self.unclear + other.unclear,
            against: self.against + other.against,
        }
    }

    /// Checks that were answered.
    pub fn proved(&self) -> u64 {
        self.verified + self.excused + self.unclear + self.against
    }

    /// Checks whose time is over or that were answered; what is still open says nothing yet.
    pub fn ended(&self) -> u64 {
        self.proved() + self.missed
    }

    /// Share of the ended checks that were answered, 0..=1.
    pub fn coverage(&self) -> Option<f64> {
        share(self.proved(), self.ended())
    }

    /// Share of the decided checks that found the patient, 0..=1.
    pub fn presence(&self) -> Option<f64> {
        share(self.verified, self.verified + self.against)
    }

    /// 0..=100; `None` where nothing was decided and nothing missed. With every check missed it is 0.
    pub fn score(&self) -> Option<f64> {
        let coverage = self.coverage()?;
        match self.presence() {
            Some(presence) => Some(100.0 * coverage * presence),
            None if coverage == 0.0 => Some(0.0),
            None => None,
        }
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_covered_is_as_loud_as_a_violation_and_louder_than_all_else() {
        let verified = Tally { due: 4, verified: 3, ..Tally::default() };
        assert_eq!(verified.day(), Day::Verified);
        assert_eq!(Tally { missed: 1, ..verified }.day(), Day::Missed);
        assert_eq!(Tally { missed: 1, against: 1, ..verified }.day(), Day::Against);
        assert_eq!(Tally { unclear: 1, ..verified }.day(), Day::Unclear);
        assert_eq!(Tally { due: 1, ..Tally::default() }.day(), Day::Open);
        assert_eq!(Tally::default().day(), Day::Nothing);
    }

    #[test]
    fn a_score_falls_with_silence_as_with_absence_and_not_with_excuses() {
        let honest = Tally { due: 100, verified: 80, excused: 15, unclear: 5, ..Tally::default() };
        assert_eq!(honest.score(), Some(100.0));
        let silent = Tally { due: 100, verified: 50, missed: 50, ..Tally::default() };
        let empty = Tally { due: 100, verified: 50, against: 50, ..Tally::default() };
        assert_eq!((silent.score(), empty.score()), (Some(50.0), Some(50.0)));
        assert_eq!(Tally { due: 9, missed: 9, ..Tally::default() }.score(), Some(0.0));
        assert_eq!(Tally { due: 9, excused: 9, ..Tally::default() }.score(), None);
        assert_eq!(Tally::default().score(), None);
        assert_eq!(
            silent.and(&empty),
            Tally { due: 200, missed: 50, verified: 100, against: 50, ..Tally::default() }
        );
    }
}
