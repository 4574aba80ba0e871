//! One face against very many made-up ones.

use crate::vision::crowd::Crowd;
use crate::vision::manifest::Metric;

/// Numbers of a template of our own embedder.
pub const WIDTH: usize = 256;

/// So many made-up faces, compared by their angle.
pub fn crowd(people: usize) -> Crowd {
    let mut crowd = Crowd::new(Metric::Cosine, WIDTH, people);
    for person in 0..people {
        crowd.add(&face(person));
    }
    crowd
}

/// A made-up face: its numbers only have to differ.
pub fn face(person: usize) -> Vec<f32> {
    let mut bits = (person as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut next = || {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        (bits >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
    };
    (0..WIDTH).map(|_| next()).collect()
}
