//! The rules that come with the program.

macro_rules! rule {
    ($name:literal) => {
        (
            concat!($name, ".toml"),
            include_str!(concat!("../../../../assets/screening/rules/", $name, ".toml")),
        )
    };
}

/// Name and text of each.
pub const FILES: [(&str, &str); 23] = [
    rule!("admission-not-on-roster"),
    rule!("after-death"),
    rule!("bed-twice"),
    rule!("doctor-day"),
    rule!("escort-group"),
    rule!("frequent-admissions"),
    rule!("hanging-bed"),
    rule!("many-cards-one-face"),
    rule!("moment-group"),
    rule!("nursing-home-day"),
    rule!("one-card-many-faces"),
    rule!("overlapping-stays"),
    rule!("paid-without-presence"),
    rule!("pharmacy-frequent"),
    rule!("pharmacy-large"),
    rule!("presence-score-low"),
    rule!("purchase-during-stay"),
    rule!("readmission"),
    rule!("roster-without-admission"),
    rule!("same-address-day"),
    rule!("short-stays"),
    rule!("two-identities-one-face"),
    rule!("visit-during-stay"),
];
