//! The kiosk's recorded prompts, made by `assets/generate/voice.py`: Chinese, then English. In the program, because a
//! kiosk without its assets folder must still speak.

macro_rules! recordings {
    ($($name:literal),* $(,)?) => {
        const RECORDINGS: &[(&str, &[u8])] =
            &[$(($name, include_bytes!(concat!("../../assets/voice/", $name, ".opus")))),*];
    };
}

recordings!(
    "come_into_view",
    "one_at_a_time",
    "more_light",
    "come_closer",
    "look_here",
    "hold_still",
    "uncover_mouth",
    "turn_left",
    "turn_right",
    "blink",
    "open_mouth",
    "passed",
    "try_again",
    "see_staff",
);

/// The recording of that name, Opus in Ogg.
pub fn of(name: &str) -> Option<&'static [u8]> {
    RECORDINGS.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
}
