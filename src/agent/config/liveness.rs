//! `[liveness]`

use std::time::Duration;

use crate::agent::config::camera::CameraSettings;
use crate::agent::config::keys::{Key, Need, key};
use crate::agent::config::kinds::Kind;
use crate::agent::config::walk::Fields;
use crate::domain::liveness::LifeRule;
use crate::domain::policy::Policy;

const WATCH: Kind = Kind::Span { least: Duration::from_millis(100), most: Duration::from_secs(600) };

pub const KEYS: &[Key] = &[
    key(
        "mode",
        Kind::Word(&[
            ("required", "有生命体征才算本人在床", "a face counts only with a sign of life"),
            ("off", "不做活体判断", "a face is believed as it is"),
        ]),
        Need::Default("required"),
        "是否做活体判断",
        "whether a face must belong to a living person",
    ),
    key(
        "watch",
        WATCH,
        Need::Default("40s"),
        "观察床位和人脸的时长，不得超过 (looks - 1) × look_spacing",
        "how long bed and face are observed; must fit into (looks - 1) x look_spacing",
    ),
    key(
        "blink_within",
        WATCH,
        Need::Default("40s"),
        "睁眼这么久不眨眼视为面具",
        "open eyes that never blink for so long are a mask's",
    ),
    key(
        "lifeless_rounds",
        Kind::Whole { least: 1, most: 50 },
        Need::Default("2"),
        "连续几轮没有生命体征算异常（疑似照片或假体冒充）",
        "rounds without a sign of life that make an exception",
    ),
];

pub fn read(fields: &Fields, cameras: &[CameraSettings], policy: &mut Policy) {
    if fields.text("mode") == Some("off") {
        policy.life = None;
        return;
    }
    let mut rule = LifeRule::default();
    rule.watch = fields.span("watch").unwrap_or(rule.watch);
    rule.blink_within = fields.span("blink_within").unwrap_or(rule.blink_within);
    let calibrated = cameras.iter().filter_map(|camera| Some((camera.id.clone(), camera.passive?)));
    rule.cameras = calibrated.collect();
    policy.lifeless_rounds = fields.whole("lifeless_rounds").unwrap_or(policy.lifeless_rounds);
    policy.life = Some(rule);
}
