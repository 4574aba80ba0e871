//! The frame of a JPEG file: its markers, without decoding anything.

/// Where each of at most `most` JPEGs begins and ends, by walking its markers: an EOI inside an embedded thumbnail ends nothing.
///
/// A beginning that leads nowhere may be followed to the end of the file, and a file can consist of beginnings: nobody
/// waits for those who made it so, and what was found until then is all there is.
pub fn split_jpegs(bytes: &[u8], most: usize) -> Vec<(usize, usize)> {
    let mut cuts = Vec::new();
    let (mut from, mut patience) = (0, bytes.len().saturating_mul(4));
    while cuts.len() < most
        && patience > 0
        && let Some(start) = bytes[from..].windows(3).position(|w| w == [0xFF, 0xD8, 0xFF])
    {
        let start = from + start;
        let mut at = start;
        if walk(bytes, &mut at).is_some() {
            cuts.push((start, at));
            from = at;
        } else {
            from = start + 2;
        }
        patience = patience.saturating_sub(at - start);
    }
    cuts
}

/// Where the JPEG that begins at `start` ends; `None` when it is cut short.
pub fn jpeg_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    walk(bytes, &mut at).map(|()| at)
}

/// From the beginning at `at` to the end, or to where it breaks off.
fn walk(bytes: &[u8], at: &mut usize) -> Option<()> {
    *at += 2;
    loop {
        if *bytes.get(*at)? != 0xFF {
            return None;
        }
        match *bytes.get(*at + 1)? {
            0xD9 => {
                *at += 2;
                return Some(());
            }
            0xFF => *at += 1,
            0x01 | 0xD0..=0xD7 => *at += 2,
            marker => {
                let length = usize::from(*bytes.get(*at + 2)?) << 8 | usize::from(*bytes.get(*at + 3)?);
                *at += 2 + length.max(2);
                if marker == 0xDA {
                    // Entropy-coded data runs to the next marker that is neither a stuffed byte nor a restart.
                    let rest = bytes.get(*at..)?;
                    let is_marker = |w: &[u8]| w[0] == 0xFF && !matches!(w[1], 0x00 | 0xD0..=0xD7 | 0xFF);
                    let found = rest.windows(2).position(is_marker);
                    *at += found.unwrap_or(rest.len());
                    found?;
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

    #[test]
    fn a_file_of_beginnings_is_given_up() {
        // Each begins a scan inside of the former one's first segment, and none of them ends: without a limit that is
        // 10,000 walks over 30 MB.
        let mut bytes = [0xFF, 0xD8, 0xFF, 0xDA, 0, 2].repeat(11_000);
        bytes.resize(30_000_000, 0);
        assert_eq!(split_jpegs(&bytes, 9), []);
    }
}
