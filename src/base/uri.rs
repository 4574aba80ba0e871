//! Names and queries as parts of an address.

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

/// The beginning of a query out of what is said, each part with `&` behind it; what is empty is left out.
pub fn query(pairs: &[(&str, &str)]) -> String {
    let said = pairs.iter().filter(|(_, value)| !value.is_empty());
    said.map(|(name, value)| format!("{name}={}&", uri(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_and_empty_values_left_out() {
        assert_eq!(uri("三-1/a b"), "%E4%B8%89-1%2Fa%20b");
        assert_eq!(query(&[("kind", "a&b"), ("text", ""), ("state", "open")]), "kind=a%26b&state=open&");
    }
}
