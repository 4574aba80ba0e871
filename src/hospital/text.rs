//! Bytes of a hospital system as text. Decoded before anything is split: 464 GBK characters have a separator as their
//! second byte. What cannot be decoded is refused with its place, never replaced by `?`.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use crate::base::clock::Wall;

/// China has one time zone; senders leave it out.
pub const ZONE: Offset = jiff::tz::offset(8);

/// `2026-11-23 08:30:00` or `2026-11-23 08:30`, in China.
pub fn china_time(text: &str) -> Option<Wall> {
    let whole = if text.len() == "2026-11-23 08:30".len() { format!("{text}:00") } else { text.to_owned() };
    let time: DateTime = whole.replace('/', "-").parse().ok()?;
    let zoned = time.to_zoned(TimeZone::fixed(ZONE)).ok()?;
    Some(Wall(zoned.timestamp().as_millisecond()))
}

/// UTF-8 (with or without mark) or GB18030.
///
/// # Errors
/// Row and byte at fault.
pub fn decode(bytes: &[u8]) -> Result<String, String> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let error = match std::str::from_utf8(bytes) {
        Ok(text) => return Ok(text.to_owned()),
        Err(error) => error,
    };
    if let Some(text) = encoding_rs::GB18030.decode_without_bom_handling_and_without_replacement(bytes) {
        return Ok(text.into_owned());
    }
    let at = error.valid_up_to();
    let row = bytes[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    Err(format!("row {row}: byte 0x{:02X} at position {at} is neither UTF-8 nor GB18030", bytes[at]))
}
