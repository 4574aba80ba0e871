//! A made-up person who does what the screen asks: one picture of `assets/`, bent along its own mesh, behind an HTTP
//! snapshot camera. Every frame has fresh noise, so that nothing about it repeats.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use bedcheck::base::frame::Picture;
use bedcheck::base::picture::encode_jpeg;
use bedcheck::vision::eyes::Eyes;
use bedcheck::vision::mesh::Mesh;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pose {
    Rest,
    Left,
    Right,
    Blink,
    Mouth,
    /// Nobody there.
    Gone,
}

const POSES: [Pose; 6] = [Pose::Rest, Pose::Left, Pose::Right, Pose::Blink, Pose::Mouth, Pose::Gone];

// The lids of both eyes from one corner to the other: upper, lower.
const LIDS: [([usize; 9], [usize; 9]); 2] = [
    ([33, 246, 161, 160, 159, 158, 157, 173, 133], [33, 7, 163, 144, 145, 153, 154, 155, 133]),
    ([362, 398, 384, 385, 386, 387, 388, 466, 263], [362, 382, 381, 380, 374, 373, 390, 249, 263]),
];
/// How far a head turns.
const TURN: f32 = 58.0;
/// Cells of the grid on which the bend is worked out.
const CELL: usize = 6;

/// Somebody in several poses.
#[derive(Clone)]
pub struct Person(Vec<(Pose, Picture)>);

impl Person {
    pub fn of(eyes: &mut Eyes, picture: &Picture) -> Person {
        let mesh = eyes.faces_upright(picture).unwrap().remove(0).mesh;
        Person(POSES.into_iter().map(|pose| (pose, posed(picture, &mesh, pose))).collect())
    }

    pub fn picture(&self, pose: Pose) -> &Picture {
        &self.0.iter().find(|(known, _)| *known == pose).unwrap().1
    }
}

fn posed(picture: &Picture, mesh: &Mesh, pose: Pose) -> Picture {
    if pose == Pose::Gone {
        let grey = (0..picture.rgb().len()).map(|at| 90 + (at / 9 % 50) as u8).collect();
        return Picture::new(picture.width(), picture.height(), grey).unwrap();
    }
    let points = &mesh.points;
    let (_, width, ..) = mesh.extent();
    match pose {
        Pose::Rest | Pose::Gone => picture.clone(),
        Pose::Left => turned(picture, mesh, TURN),
        Pose::Right => turned(picture, mesh, -TURN),
        Pose::Blink => closed(picture, points),
        Pose::Mouth => {
            let (lip, mut moved) = (points[13], points.clone());
            for (to, point) in moved.iter_mut().zip(points) {
                let below = point[1] > lip[1] + 0.002 * width && (point[0] - lip[0]).abs() < 0.3 * width;
                to[1] += if below { 0.18 * width } else { 0.0 };
            }
            hollow(&bend(picture, points, &moved), lip, width)
        }
    }
}

/// The head as a drum that turns: what was in the middle goes to one side, and the other side is drawn out.
fn turned(picture: &Picture, mesh: &Mesh, degrees: f32) -> Picture {
    let ([cx, cy], width, height, _) = mesh.extent();
    let (radius, turn) = (0.66 * width, degrees.to_radians());
    let mut rgb = Vec::with_capacity(picture.rgb().len());
    for y in 0..picture.height() {
        // Neck and hair turn less and less.
        let away = ((y as f32 - cy).abs() / height - 0.55).max(0.0) * 3.0;
        let turn = turn * (1.0 - away).max(0.0);
        for x in 0..picture.width() {
            let u = (x as f32 - cx) / radius;
            let from = if u.abs() < 1.0 {
                let angle =
                    (u.asin() - turn).clamp(-std::f32::consts::FRAC_PI_2, std::f32::consts::FRAC_PI_2);
                cx + radius * angle.sin()
            } else {
                x as f32
            };
            rgb.extend(sample(picture, from, y as f32));
        }
    }
    Picture::new(picture.width(), picture.height(), rgb).unwrap()
}

/// The dark of an open mouth below the upper lip.
fn hollow(picture: &Picture, lip: [f32; 3], width: f32) -> Picture {
    let mut rgb = picture.rgb().to_vec();
    let (across, down) = (0.2 * width, 0.12 * width);
    for y in (lip[1]) as usize..(lip[1] + 2.0 * down) as usize {
        for x in (lip[0] - across) as usize..(lip[0] + across) as usize {
            let (dx, dy) = ((x as f32 - lip[0]) / across, (y as f32 - lip[1] - down) / down);
            let away = dx * dx + dy * dy;
            if away < 1.0 {
                let colour = if away < 0.8 { [40, 12, 12] } else { [158, 82, 76] };
                let at = (y * picture.width() as usize + x) * 3;
                rgb[at..at + 3].copy_from_slice(&colour);
            }
        }
    }
    Picture::new(picture.width(), picture.height(), rgb).unwrap()
}

/// Draws the skin above each eye down over it, with a dark line where the lids meet.
fn closed(picture: &Picture, points: &[[f32; 3]]) -> Picture {
    let mut rgb = picture.rgb().to_vec();
    for (upper, lower) in LIDS {
        let height_at = |lids: &[usize; 9], x: f32| {
            lids.windows(2).find_map(|pair| {
                let (a, b) = (points[pair[0]], points[pair[1]]);
                let share = (x - a[0]) / (b[0] - a[0]);
                (0.0..=1.0).contains(&share).then(|| a[1] + share * (b[1] - a[1]))
            })
        };
        let (left, right) =
            (points[upper[0]][0].min(points[upper[8]][0]), points[upper[0]][0].max(points[upper[8]][0]));
        for x in left.ceil() as usize..right as usize {
            let Some((top, bottom)) = height_at(&upper, x as f32).zip(height_at(&lower, x as f32)) else {
                continue;
            };
            let lid = bottom - top;
            for y in (top - 3.0) as usize..=(bottom + 1.0) as usize {
                let above = top - 3.0 - (y as f32 - top + 3.0) * 0.4;
                let mut skin = sample(picture, x as f32, above - lid * 0.2);
                if (y as f32) > bottom - 1.5 {
                    skin = skin.map(|value| value / 3);
                }
                let at = (y * picture.width() as usize + x) * 3;
                rgb[at..at + 3].copy_from_slice(&skin);
            }
        }
    }
    Picture::new(picture.width(), picture.height(), rgb).unwrap()
}

/// Moves each vertex to its new place and everything between accordingly (inverse distances).
fn bend(picture: &Picture, points: &[[f32; 3]], moved: &[[f32; 3]]) -> Picture {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let (across, down) = (width / CELL + 2, height / CELL + 2);
    let mut grid = vec![[0.0_f32; 2]; across * down];
    for (at, shift) in grid.iter_mut().enumerate() {
        let (x, y) = ((at % across * CELL) as f32, (at / across * CELL) as f32);
        // Far from the face nothing moves.
        let (mut weights, mut sum) = (2e-6_f32, [0.0_f32; 2]);
        for (point, to) in points.iter().zip(moved) {
            let squared = (to[0] - x).powi(2) + (to[1] - y).powi(2) + 1.0;
            let weight = 1.0 / (squared * squared);
            weights += weight;
            sum[0] += weight * (point[0] - to[0]);
            sum[1] += weight * (point[1] - to[1]);
        }
        *shift = [sum[0] / weights, sum[1] / weights];
    }
    let mut rgb = Vec::with_capacity(picture.rgb().len());
    for y in 0..height {
        for x in 0..width {
            let (column, row) = (x / CELL, y / CELL);
            let (fx, fy) = ((x % CELL) as f32 / CELL as f32, (y % CELL) as f32 / CELL as f32);
            let mix = |axis: usize| {
                let of = |c: usize, r: usize| grid[r * across + c][axis];
                let upper = of(column, row) * (1.0 - fx) + of(column + 1, row) * fx;
                let lower = of(column, row + 1) * (1.0 - fx) + of(column + 1, row + 1) * fx;
                upper * (1.0 - fy) + lower * fy
            };
            rgb.extend(sample(picture, x as f32 + mix(0), y as f32 + mix(1)));
        }
    }
    Picture::new(picture.width(), picture.height(), rgb).unwrap()
}

fn sample(picture: &Picture, x: f32, y: f32) -> [u8; 3] {
    let (x, y) = (x.clamp(0.0, picture.width() as f32 - 2.0), y.clamp(0.0, picture.height() as f32 - 2.0));
    let (left, top, width) = (x as usize, y as usize, picture.width() as usize);
    let (fx, fy) = (x.fract(), y.fract());
    std::array::from_fn(|channel| {
        let at = |x: usize, y: usize| f32::from(picture.rgb()[(y * width + x) * 3 + channel]);
        let upper = at(left, top) * (1.0 - fx) + at(left + 1, top) * fx;
        let lower = at(left, top + 1) * (1.0 - fx) + at(left + 1, top + 1) * fx;
        (upper * (1.0 - fy) + lower * fy) as u8
    })
}

/// A snapshot camera that shows somebody; `None`: it was pulled out.
#[derive(Clone)]
pub struct Stage {
    pub address: String,
    shown: Arc<Mutex<Option<Picture>>>,
}

impl Stage {
    pub fn new(first: &Picture) -> Stage {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shown = Arc::new(Mutex::new(Some(first.clone())));
        let stage = Stage { address, shown };
        let serving = stage.clone();
        std::thread::Builder::new()
            .spawn(move || {
                let mut seed = 1_u32;
                for stream in listener.incoming() {
                    let Ok(mut stream) = stream else { continue };
                    let mut request = [0; 2048];
                    // Whoever hangs up asks again.
                    let _ = stream.read(&mut request);
                    let Some(picture) = serving.shown.lock().unwrap().clone() else { continue };
                    let jpeg = encode_jpeg(&noisy(&picture, &mut seed), 88).unwrap();
                    let head = format!(
                        "HTTP/1.1 200 OK\r\ncontent-type: image/jpeg\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                        jpeg.len()
                    );
                    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&jpeg));
                }
            })
            .unwrap();
        stage
    }

    pub fn show(&self, picture: Option<&Picture>) {
        *self.shown.lock().unwrap() = picture.cloned();
    }
}

/// The camera's own noise.
fn noisy(picture: &Picture, seed: &mut u32) -> Picture {
    let mut next = || {
        *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (*seed >> 24) as i16 % 5 - 2
    };
    let rgb = picture.rgb().iter().map(|value| (i16::from(*value) + next()).clamp(0, 255) as u8).collect();
    Picture::new(picture.width(), picture.height(), rgb).unwrap()
}
