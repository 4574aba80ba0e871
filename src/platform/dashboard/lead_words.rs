//! The words of the screening's pages: states, severities, money, days, shares.

use crate::domain::lead::{State, Step};
use crate::platform::dashboard::words::{Lang, Term};
use crate::platform::leads::Interval;
use crate::platform::score::DayNumber;
use crate::platform::spot_checks::What;

pub fn state(state: State) -> Term {
    let (zh, en) = state.words();
    let mark = match state {
        State::Confirmed => "confirmed",
        State::Refuted => "ended",
        State::Found | State::Coordinated | State::Informed | State::Acted => "raised",
    };
    Term { zh, en, mark }
}

pub fn step(step: Step) -> Term {
    let (zh, en) = step.words();
    Term { zh, en, mark: "" }
}

pub fn severity(severity: i64) -> Term {
    match severity {
        3.. => Term { zh: "高", en: "high", mark: "mismatch" },
        2 => Term { zh: "中", en: "middle", mark: "wrongbed" },
        _ => Term { zh: "低", en: "low", mark: "" },
    }
}

/// Where a spot check from a lead looks.
pub fn target(l: Lang, what: &What) -> String {
    match what {
        What::Beds { device, beds } => {
            let beds: Vec<&str> = beds.iter().map(|bed| bed.as_str()).collect();
            format!(
                "{} {device} · {}",
                l.t("此人现在的床位", "the bed this person is in now:"),
                beds.join(", ")
            )
        }
        What::Ward { device } => format!("{} {device}", l.t("病区", "ward")),
        What::Sample { institution, count } => {
            format!("{institution} · {} {count}", l.t("随机抽取床位", "beds drawn at random:"))
        }
    }
}

/// Yuan of an amount in fen.
pub fn money(fen: i64) -> String {
    let yuan = (fen / 100).unsigned_abs().to_string();
    let mut grouped = String::new();
    for (at, digit) in yuan.chars().enumerate() {
        if at > 0 && (yuan.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if fen < 0 { "-" } else { "" };
    format!("¥{sign}{grouped}.{:02}", (fen % 100).abs())
}

/// A day since 1970, as 2026-11-29.
pub fn day(day: i64) -> String {
    DayNumber(day).date().map_or_else(|| "–".to_owned(), |date| date.to_string())
}

pub fn days(begin: i64, end: i64) -> String {
    if begin == end { day(begin) } else { format!("{} – {}", day(begin), day(end)) }
}

/// A share with its interval, as `83 % (65–93), n = 24`.
pub fn percent(one: &Interval) -> String {
    let of = |share: f64| 100.0 * share;
    format!("{:.0} % ({:.0}–{:.0}), n = {}", of(one.share), of(one.low), of(one.high), one.n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_grouped_and_keeps_its_fen() {
        for (fen, text) in [
            (0, "¥0.00"),
            (5, "¥0.05"),
            (123_456_789, "¥1,234,567.89"),
            (100_000, "¥1,000.00"),
            (-150, "¥-1.50"),
        ] {
            assert_eq!(money(fen), text);
        }
        assert_eq!(days(20_000, 20_000), "2024-10-04");
    }
}
