//! The configuration against the signed policy of the bundle in use: whatever is looser is complained of where it stands,
//! as any other mistake, so that nothing starts with it and a running agent keeps its last good configuration.

use std::time::Duration;

use crate::agent::config::check::Complaints;
use crate::agent::config::kinds::written;
use crate::agent::config::walk::Fields;
use crate::agent::update::Active;
use crate::domain::policy::{Policy, Window};
use crate::wire::floor::{Floor, LeastMode};

/// One demand: table (empty at the top) and key, what is wanted in both languages, and what was found instead.
struct Looser {
    table: &'static str,
    key: &'static str,
    wanted: (String, String),
    found: String,
}

/// Complains of every key that is looser than the policy demands.
pub fn check(active: &Active, fields: &Fields, policy: &Policy, found: &mut Complaints) {
    let looser = words(&active.floor, fields).into_iter().chain(numbers(&active.floor, fields, policy));
    for Looser { table, key, wanted: (chinese, english), found: is } in looser.collect::<Vec<_>>() {
        let (place, name) = match table {
            "" => (fields.place(key), key.to_owned()),
            table => (fields.table(table).unwrap_or(fields).place(key), format!("{table}.{key}")),
        };
        let version = active.version;
        found.add(
            place,
            format!("签名策略（更新包 {version}）要求 {name} {chinese}，现为 {is}；本机配置只能更严"),
            format!(
                "the signed policy (bundle {version}) demands {name} {english}; it is {is}: make it stricter"
            ),
        );
    }
    if let Some(pack) = fields.text("models").filter(|_| active.has_pack) {
        found.add(
            fields.place("models"),
            format!("模型来自签名更新包 {}，请删除此项（{pack}）", active.version),
            format!("the models come from the signed bundle {}: delete this key ({pack})", active.version),
        );
    }
}

fn words(floor: &Floor, fields: &Fields) -> Vec<Looser> {
    let mut looser = Vec::new();
    let mut demand = |table, key, holds: bool, wanted: &str, found: Option<&str>| {
        if let Some(found) = found.filter(|_| !holds) {
            let wanted = (format!("为 {wanted:?}"), format!("to be {wanted:?}"));
            looser.push(Looser { table, key, wanted, found: format!("{found:?}") });
        }
    };
    if let Some(least) = floor.mode {
        let mode = fields.text("mode");
        let is = [LeastMode::Demo, LeastMode::Pilot, LeastMode::Production]
            .into_iter()
            .find(|known| Some(known.name()) == mode);
        demand("", "mode", is >= Some(least), least.name(), mode);
    }
    if let Some(evidence) = floor.evidence {
        let is = fields.text("evidence");
        demand("", "evidence", is == Some(evidence.name()), evidence.name(), is);
    }
    if floor.liveness.is_some() {
        let is = fields.table("liveness").and_then(|fields| fields.text("mode"));
        demand("liveness", "mode", is == Some("required"), "required", is);
    }
    looser
}

fn numbers(floor: &Floor, fields: &Fields, policy: &Policy) -> Vec<Looser> {
    let patrol = fields.table("patrol");
    let heartbeat = patrol.and_then(|fields| fields.span("heartbeat"));
    let fmr = fields.table("match").and_then(|fields| fields.text("fmr")?.parse::<f64>().ok());
    let most_time = |most: Option<Duration>, is: Duration| {
        most.filter(|most| is > *most).map(|most| (written(most), written(is), true))
    };
    let least = |least: Option<f32>, is: f32| {
        least.filter(|least| is < *least).map(|least| (least.to_string(), is.to_string(), false))
    };
    let most_rounds = |most: Option<u8>, is: u8| {
        most.filter(|most| is > *most).map(|most| (most.to_string(), is.to_string(), true))
    };
    let least_looks = floor.looks_at_least.map(f32::from);
    // Windows stand instead of `every` and `jitter`.
    let (every, jitter) = match longest_wait(&policy.windows) {
        Some(wait) => (("windows", most_time(floor.every_at_most, wait)), None),
        None => (
            ("every", most_time(floor.every_at_most, policy.round_every)),
            least(floor.jitter_at_least, policy.round_jitter),
        ),
    };
    let fmr = floor.fmr_at_most.zip(fmr).filter(|(most, is)| is > most);
    let fmr = fmr.map(|(most, is)| (format!("{most:e}"), format!("{is:e}"), true));
    // Without liveness there are no lifeless rounds; that is the other demand's.
    let lifeless = floor.lifeless_rounds_at_most.filter(|_| policy.life.is_some());
    let all = [
        ("match", "fmr", fmr),
        ("patrol", every.0, every.1),
        ("patrol", "jitter", jitter),
        ("patrol", "sample", least(floor.sample_at_least, policy.sample)),
        ("patrol", "looks", least(least_looks, f32::from(policy.looks_per_check))),
        ("patrol", "absent_rounds", most_rounds(floor.absent_rounds_at_most, policy.absent_rounds)),
        ("patrol", "unproven_rounds", most_rounds(floor.unproven_rounds_at_most, policy.unproven_rounds)),
        ("patrol", "excuse_grace", most_time(floor.excuse_grace_at_most, policy.excuse_grace)),
        ("patrol", "roster_settle", most_time(floor.roster_settle_at_most, policy.roster_settle)),
        ("patrol", "heartbeat", heartbeat.and_then(|is| most_time(floor.heartbeat_at_most, is))),
        ("liveness", "lifeless_rounds", most_rounds(lifeless, policy.lifeless_rounds)),
    ];
    let looser = all.into_iter().filter_map(|(table, key, found)| {
        let (bound, found, is_most) = found?;
        let wanted = match is_most {
            true => (format!("不大于 {bound}"), format!("to be at most {bound}")),
            false => (format!("不小于 {bound}"), format!("to be at least {bound}")),
        };
        Some(Looser { table, key, wanted, found })
    });
    looser.collect()
}

/// The longest time from the beginning of one window to the next's.
fn longest_wait(windows: &[Window]) -> Option<Duration> {
    let mut begins: Vec<u64> = windows.iter().map(|window| u64::from(window.from)).collect();
    begins.sort_unstable();
    let next_day = begins.first()? + 24 * 60;
    let waits = begins.iter().zip(begins.iter().skip(1).chain([&next_day])).map(|(from, to)| to - from);
    waits.max().map(|minutes| Duration::from_secs(minutes * 60))
}

/// What the policy raises beyond the configuration: there is no key for it that could be looser.
pub fn raise(floor: &Floor, policy: &mut Policy) {
    let quality = &mut policy.quality;
    let raised = |least: Option<f32>, is: f32| least.map_or(is, |least| is.max(least));
    quality.min_score = raised(floor.quality.min_score, quality.min_score);
    quality.min_width_px = raised(floor.quality.min_width_px, quality.min_width_px);
    quality.min_sharpness = raised(floor.quality.min_sharpness, quality.min_sharpness);
    policy.face.match_at = raised(floor.match_at_least, policy.face.match_at);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::FaceRule;

    #[test]
    fn the_longest_wait_between_windows_goes_over_midnight() {
        let windows =
            |all: &[&str]| -> Vec<Window> { all.iter().filter_map(|text| Window::parse(text)).collect() };
        let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
        assert_eq!(longest_wait(&[]), None);
        assert_eq!(longest_wait(&windows(&["06:00-07:00"])), hours(24));
        assert_eq!(longest_wait(&windows(&["20:00-21:00", "06:00-07:00", "12:00-13:00"])), hours(10));
    }

    #[test]
    fn a_policy_only_raises_what_a_picture_and_a_match_need() {
        let face = FaceRule { fmr: "1e-3".into(), match_at: 0.4, differs_below: 0.2, typical: None };
        let mut policy = Policy::ordinary(face);
        let mut floor = Floor { match_at_least: Some(0.3), ..Floor::default() };
        floor.quality.min_score = Some(0.7);
        raise(&floor, &mut policy);
        assert_eq!((policy.face.match_at, policy.quality.min_score), (0.4, 0.7));
        floor.match_at_least = Some(0.6);
        raise(&floor, &mut policy);
        assert_eq!(policy.face.match_at, 0.6);
    }
}
