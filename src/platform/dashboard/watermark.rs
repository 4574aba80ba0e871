//! Writes over a picture who may have passed it on: the number of the opening and the moment, again and again across it.

use font8x8::UnicodeFonts;

use crate::base::frame::Picture;

/// Pixels of the font's pixel, by the picture's width: still to be read on a small crop.
const WIDTH_PER_DOT: u32 = 320;
const LETTER: u32 = 8;
/// How strong the letters are, of 255.
const STRENGTH: u32 = 70;

/// `text` (ASCII) in rows across the whole picture, each row shifted against the one above; dark where it is light and the
/// other way round.
pub fn over(picture: &Picture, text: &str) -> Option<Picture> {
    let (width, height) = (picture.width(), picture.height());
    let dot = (width / WIDTH_PER_DOT).max(1);
    let mut rgb = picture.rgb().to_vec();
    let letters: Vec<[u8; 8]> =
        format!("{text}   ").chars().filter_map(|letter| font8x8::BASIC_FONTS.get(letter)).collect();
    let line = u32::try_from(letters.len()).ok()? * LETTER;
    if line == 0 {
        return None;
    }
    for y in 0..height {
        let (row, dot_y) = (y / (dot * LETTER * 4), (y / dot) % (LETTER * 4));
        if dot_y >= LETTER {
            continue;
        }
        for x in 0..width {
            let at = (x / dot + row * LETTER * 7) % line;
            let letter = letters[(at / LETTER) as usize];
            if letter[dot_y as usize] >> (at % LETTER) & 1 == 1 {
                let pixel = ((y * width + x) * 3) as usize;
                rgb[pixel..pixel + 3].iter_mut().for_each(mark);
            }
        }
    }
    Picture::new(width, height, rgb)
}

fn mark(value: &mut u8) {
    let goal = if *value < 128 { 255 } else { 0 };
    let mixed = (u32::from(*value) * (255 - STRENGTH) + goal * STRENGTH) / 255;
    *value = u8::try_from(mixed).unwrap_or(u8::MAX);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_picture_carries_the_mark_and_stays_to_be_seen() {
        let plain = Picture::new(200, 120, vec![90; 200 * 120 * 3]).unwrap();
        let marked = over(&plain, "2026-11-23T09:00Z #1f2e").unwrap();
        assert_eq!((marked.width(), marked.height()), (200, 120));
        for (left, top) in [(0, 0), (100, 0), (0, 60), (100, 60)] {
            let changed = (0..100 * 60)
                .filter(|at| {
                    let pixel = ((top + at / 100) * 200 + left + at % 100) * 3;
                    marked.rgb()[pixel] != 90
                })
                .count();
            assert!((100..3000).contains(&changed), "{changed} pixels at {left}, {top}");
        }
    }
}
