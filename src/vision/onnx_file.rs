//! What a foreign net may not bring: operators of other domains, and weights that lie in other files.
//!
//! Reads just enough of the protobuf format (varints and length-delimited fields) to walk `ModelProto`; field numbers are
//! from `onnx.proto3`. ONNX Runtime would run Microsoft's own operators without a word, and custom ones after loading a
//! library.

/// Why a net is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OnnxFileError {
    #[error("this is no ONNX file, or it is damaged at byte {0}")]
    Damaged(usize),
    #[error(
        "it uses operators of the domain {0:?}; only the standard ones (ai.onnx) are taken: export it again"
    )]
    Domain(String),
    #[error("its weights {0:?} lie in another file; store them inside: save it without external data")]
    External(String),
}

const OPSET_IMPORT: u64 = 8;
const GRAPH: u64 = 7;
const OPSET_DOMAIN: u64 = 1;
const GRAPH_NODE: u64 = 1;
const GRAPH_INITIALIZER: u64 = 5;
const NODE_DOMAIN: u64 = 7;
const TENSOR_NAME: u64 = 8;
const TENSOR_EXTERNAL: u64 = 13;

/// Refuses nets that are not self-contained standard ONNX.
///
/// # Errors
/// [`OnnxFileError`].
pub fn check(bytes: &[u8]) -> Result<(), OnnxFileError> {
    let mut has_graph = false;
    for field in fields(bytes, 0) {
        match field? {
            (OPSET_IMPORT, part) => {
                for field in fields(part.bytes, part.at) {
                    if let (OPSET_DOMAIN, domain) = field? {
                        standard(&domain)?;
                    }
                }
            }
            (GRAPH, part) => {
                has_graph = true;
                graph(&part)?;
            }
            _ => {}
        }
    }
    if has_graph { Ok(()) } else { Err(OnnxFileError::Damaged(bytes.len())) }
}

fn graph(part: &Part<'_>) -> Result<(), OnnxFileError> {
    for field in fields(part.bytes, part.at) {
        match field? {
            (GRAPH_NODE, node) => {
                for field in fields(node.bytes, node.at) {
                    if let (NODE_DOMAIN, domain) = field? {
                        standard(&domain)?;
                    }
                }
            }
            (GRAPH_INITIALIZER, tensor) => inside(&tensor)?,
            _ => {}
        }
    }
    Ok(())
}

fn standard(domain: &Part<'_>) -> Result<(), OnnxFileError> {
    match domain.bytes {
        b"" | b"ai.onnx" => Ok(()),
        other => Err(OnnxFileError::Domain(shown(other))),
    }
}

fn inside(tensor: &Part<'_>) -> Result<(), OnnxFileError> {
    let (mut name, mut is_external) = (String::new(), false);
    for field in fields(tensor.bytes, tensor.at) {
        match field? {
            (TENSOR_NAME, part) => name = shown(part.bytes),
            (TENSOR_EXTERNAL, _) => is_external = true,
            _ => {}
        }
    }
    if is_external { Err(OnnxFileError::External(name)) } else { Ok(()) }
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned()
}

/// A length-delimited field and where it began; empty for the other kinds.
struct Part<'file> {
    bytes: &'file [u8],
    at: usize,
}

/// The fields of one message in order, with their numbers.
fn fields(bytes: &[u8], base: usize) -> impl Iterator<Item = Result<(u64, Part<'_>), OnnxFileError>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= bytes.len() {
            return None;
        }
        let read = field(bytes, &mut at, base);
        if read.is_none() {
            let place = base + at;
            at = bytes.len();
            return Some(Err(OnnxFileError::Damaged(place)));
        }
        read.map(Ok)
    })
}

fn field<'file>(bytes: &'file [u8], at: &mut usize, base: usize) -> Option<(u64, Part<'file>)> {
    let tag = varint(bytes, at)?;
    let length = match tag & 7 {
        0 => {
            varint(bytes, at)?;
            0
        }
        1 => return skip(bytes, at, 8, tag),
        2 => usize::try_from(varint(bytes, at)?).ok()?,
        5 => return skip(bytes, at, 4, tag),
        _ => return None,
    };
    let from = *at;
    let part = bytes.get(from..from.checked_add(length)?)?;
    *at = from + length;
    Some((tag >> 3, Part { bytes: part, at: base + from }))
}

fn skip<'file>(bytes: &'file [u8], at: &mut usize, length: usize, tag: u64) -> Option<(u64, Part<'file>)> {
    bytes.get(*at..*at + length)?;
    *at += length;
    Some((tag >> 3, Part { bytes: &[], at: *at }))
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A length-delimited field.
    fn part(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut field = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
        field.extend(bytes);
        field
    }

    #[test]
    fn standard_nets_pass_and_foreign_domains_do_not() {
        let plain = part(7, &part(1, &[part(4, b"Conv"), part(7, b"")].concat()));
        assert_eq!(check(&[part(8, &part(1, b"")), plain.clone()].concat()), Ok(()));
        let imported = [part(8, &part(1, b"com.microsoft")), plain].concat();
        assert_eq!(check(&imported), Err(OnnxFileError::Domain("com.microsoft".into())));
        let node = part(7, &part(1, &part(7, b"my.ops")));
        assert_eq!(check(&node), Err(OnnxFileError::Domain("my.ops".into())));
    }

    #[test]
    fn weights_in_other_files_are_refused() {
        let tensor = [part(8, b"w1"), part(13, &part(1, b"location"))].concat();
        assert_eq!(check(&part(7, &part(5, &tensor))), Err(OnnxFileError::External("w1".into())));
    }

    #[test]
    fn damage_is_found_and_never_read_beyond() {
        assert_eq!(check(b""), Err(OnnxFileError::Damaged(0)));
        let whole = part(7, &part(1, &part(4, b"Conv")));
        for end in 1..whole.len() {
            assert!(matches!(check(&whole[..end]), Err(OnnxFileError::Damaged(_))), "{end}");
        }
        assert!(check(&[0xFF; 40]).is_err());
    }
}
