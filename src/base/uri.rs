//! Names as parts of an address.

/// A name with everything but plain letters, digits and `:-._` percent-encoded: a URI in a certificate is ASCII, and a
/// device may be named 三病区-1.
pub fn uri(source: &str) -> String {
    let mut uri = String::new();
    for byte in source.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'.' | b'_') {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}
