//! `[patrol]`

use std::time::Duration;

use crate::agent::config::check::Complaints;
use crate::agent::config::keys::{Key, Need, key};
use crate::agent::config::kinds::{Kind, written};
use crate::agent::config::walk::{Fields, Meant};
use crate::domain::policy::{Policy, Window};

const fn span(least_ms: u64, most_hours: u64) -> Kind {
    Kind::Span { least: Duration::from_millis(least_ms), most: Duration::from_secs(most_hours * 3600) }
}

pub const KEYS: &[Key] = &[
    key("every", span(1000, 168), Need::Default("4h"), "平均多久巡查一轮", "mean time between rounds"),
    key(
        "jitter",
        Kind::Number { least: 0.0, most: 0.9 },
        Need::Default("0.5"),
        "每轮在其时段内随机移动的幅度，任何人都无法预知",
        "how far a round moves within its slot: nobody can predict it",
    ),
    key(
        "windows",
        Kind::List { of: &Kind::Window, most: 24 },
        Need::Default(""),
        "每天的巡查时段，每段内随机开始一轮；写了就不看 every 和 jitter",
        "times of the day, one round at a random moment in each; instead of every and jitter",
    ),
    key(
        "sample",
        Kind::Number { least: 0.05, most: 1.0 },
        Need::Default("1"),
        "每轮抽查床位的比例，风险高的更易抽中",
        "share of the beds a round looks at; those at greater risk are drawn more often",
    ),
    key("check_within", span(1000, 24), Need::Default("20m"), "一轮最长多久", "a round is over after this"),
    key(
        "looks",
        Kind::Whole { least: 1, most: 20 },
        Need::Default("3"),
        "对一张床得出不利结论前要看几次",
        "looks at one bed before anything is said against anybody",
    ),
    key("look_spacing", span(0, 1), Need::Default("20s"), "两次查看之间的间隔", "pause between two looks"),
    key("look_timeout", span(10, 1), Need::Default("10s"), "一次查看最长多久", "how long one look may take"),
    key(
        "beds_at_once",
        Kind::Whole { least: 1, most: 64 },
        Need::Default("4"),
        "同时最多观察几张床；主机过热或繁忙时自动减少，仍按时完成",
        "the most beds watched at the same time; fewer where the device is hot or busy, still in time",
    ),
    key(
        "absent_rounds",
        Kind::Whole { least: 2, most: 50 },
        Need::Default("3"),
        "几轮独立的不在床算挂床",
        "independent absent rounds that make a hanging bed; one absence proves nothing",
    ),
    key(
        "absent_spacing",
        span(0, 168),
        Need::Default("2h"),
        "间隔更近的不在床只算一次",
        "absences closer together count once",
    ),
    key(
        "excuse_grace",
        span(0, 24),
        Need::Default("60s"),
        "应查时刻之后这么久内收到的请假仍算事先请假",
        "a leave that reaches us so long after a check was due was on its way before",
    ),
    key(
        "roster_settle",
        span(0, 24),
        Need::Default("10m"),
        "一床多人、一人多床持续这么久才报",
        "two on one bed or one in two beds is told after it lasted so long",
    ),
    key(
        "insurer_settle",
        span(0, 168),
        Need::Default("36h"),
        "与医保在院名单（5303）不符持续这么久才报",
        "a mismatch with the insurer's list (5303) is told after it lasted so long",
    ),
    key(
        "unproven_rounds",
        Kind::Whole { least: 2, most: 50 },
        Need::Default("3"),
        "几轮看不清算未能核实",
        "rounds without a usable view that make \"not verified\"",
    ),
    key(
        "heartbeat",
        // The platform takes three missing ones for silence.
        Kind::Span { least: Duration::from_secs(1), most: Duration::from_secs(60) },
        Need::Default("60s"),
        "向平台报平安的间隔",
        "how often the platform hears from us",
    ),
];

/// Lays what is written over an ordinary day.
pub fn read(fields: &Fields, policy: &mut Policy) {
    policy.round_every = fields.span("every").unwrap_or(policy.round_every);
    policy.round_jitter = fields.number("jitter").unwrap_or(policy.round_jitter);
    let windows = fields.list("windows").filter_map(|meant| {
        // The kind lets nothing else through.
        if let Meant::Text(text) = meant { Window::parse(text) } else { None }
    });
    policy.windows = windows.collect();
    policy.sample = fields.number("sample").unwrap_or(policy.sample);
    policy.roster_settle = fields.span("roster_settle").unwrap_or(policy.roster_settle);
    policy.insurer_settle = fields.span("insurer_settle").unwrap_or(policy.insurer_settle);
    policy.check_within = fields.span("check_within").unwrap_or(policy.check_within);
    policy.looks_per_check = fields.whole("looks").unwrap_or(policy.looks_per_check);
    policy.look_spacing = fields.span("look_spacing").unwrap_or(policy.look_spacing);
    policy.look_timeout = fields.span("look_timeout").unwrap_or(policy.look_timeout);
    policy.beds_at_once = fields.whole("beds_at_once").unwrap_or(policy.beds_at_once);
    policy.absent_rounds = fields.whole("absent_rounds").unwrap_or(policy.absent_rounds);
    policy.absent_spacing = fields.span("absent_spacing").unwrap_or(policy.absent_spacing);
    policy.excuse_grace = fields.span("excuse_grace").unwrap_or(policy.excuse_grace);
    policy.unproven_rounds = fields.whole("unproven_rounds").unwrap_or(policy.unproven_rounds);
}

/// Values that are right each for itself and cannot work together. Single ranges were checked before; whatever the domain
/// complains of beyond is said in its own words, so that nothing slips through.
pub fn check_together(
    patrol: &Fields,
    liveness: &Fields,
    policy: &Policy,
    beds: usize,
    found: &mut Complaints,
) {
    for (key, english) in policy.complaints() {
        let (fields, key) = match key {
            "round_every" => (patrol, "every"),
            "round_jitter" => (patrol, "jitter"),
            "looks_per_check" => (patrol, "looks"),
            "liveness.watch" => (liveness, "watch"),
            "lifeless_rounds" => (liveness, "lifeless_rounds"),
            key => (patrol, key),
        };
        let chinese = match key {
            "check_within" => {
                format!(
                    "一轮必须在下一轮之前结束：check_within 应短于 every（{}）",
                    written(policy.round_every)
                )
            }
            "look_spacing" => format!(
                "{} 次 × {} 放不进 check_within（{}）：减少 looks、缩短 look_spacing，或延长 check_within",
                policy.looks_per_check,
                written(policy.look_spacing),
                written(policy.check_within)
            ),
            "watch" => format!(
                "liveness.watch 和 blink_within 不得超过 (looks - 1) × look_spacing = {}",
                written(policy.look_spacing * u32::from(policy.looks_per_check.saturating_sub(1)))
            ),
            "windows" => "时段不得重叠，且每段须长于 check_within".to_owned(),
            key => format!("{key} 与其他设置矛盾"),
        };
        found.add(fields.place(key), chinese, format!("{key} {english}"));
    }
    let longest = policy.longest_round(beds);
    if longest > policy.check_within {
        let (longest, within) = (written(longest), written(policy.check_within));
        found.add(
            patrol.place("check_within"),
            format!("{beds} 张床最长需 {longest}，check_within 只有 {within}：请延长 check_within 或增大 beds_at_once"),
            format!("{beds} beds may take {longest}, check_within allows {within}: raise check_within or beds_at_once"),
        );
    }
}
