//! The frame of a JPEG file: its markers, without decoding anything.

/// Where each of at most `most` JPEGs begins and ends, by walking its markers: an EOI inside an embedded thumbnail ends nothing.
pub fn split_jpegs(bytes: &[u8], most: usize) -> Vec<(usize, usize)> {
    let mut cuts = Vec::new();
    let mut from = 0;
    while cuts.len() < most
        && let Some(start) = bytes[from..].windows(3).position(|w| w == [0xFF, 0xD8, 0xFF])
    {
        let start = from + start;
        match jpeg_end(bytes, start) {
            Some(end) => {
                cuts.push((start, end));
                from = end;
            }
            None => from = start + 2,
        }
    }
    cuts
}

/// Where the JPEG that begins at `start` ends; `None` when it is cut short.
pub fn jpeg_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 2;
    loop {
        if *bytes.get(at)? != 0xFF {
            return None;
        }
        match *bytes.get(at + 1)? {
            0xD9 => return Some(at + 2),
            0xFF => at += 1,
            0x01 | 0xD0..=0xD7 => at += 2,
            marker => {
                let length = usize::from(*bytes.get(at + 2)?) << 8 | usize::from(*bytes.get(at + 3)?);
                at += 2 + length.max(2);
                if marker == 0xDA {
                    // Entropy-coded data runs to the next marker that is neither a stuffed byte nor a restart.
                    at += bytes
                        .get(at..)?
                        .windows(2)
                        .position(|w| w[0] == 0xFF && !matches!(w[1], 0x00 | 0xD0..=0xD7 | 0xFF))?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_marker_inside_a_segment_ends_nothing() {
        // APP1 with a thumbnail's EOI, then a scan with a stuffed byte and a restart marker.
        let jpeg = [
            0xFF, 0xD8, 0xFF, 0xE1, 0, 6, 0xFF, 0xD8, 0xFF, 0xD9, 0xFF, 0xDA, 0, 2, 1, 0xFF, 0, 2, 0xFF,
            0xD0, 3, 0xFF, 0xD9,
        ];
        assert_eq!(jpeg_end(&jpeg, 0), Some(jpeg.len()));
        assert_eq!(jpeg_end(&jpeg[..jpeg.len() - 1], 0), None);
        let twice = [&jpeg[..], &[9, 9], &jpeg[..]].concat();
        assert_eq!(split_jpegs(&twice, 9), [(0, 23), (25, 48)]);
    }
}
