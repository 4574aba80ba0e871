//! From pixels to numbers: faces at any angle, aligned, measured and compared. Knows no network and no clock.
//!
//! ```text
//!  picture ─► detect at 0° and 180° ─► mesh on each proposal ─► best score × flag ─► mesh again, upright
//!                                                                   │
//!     Sighting ◄─ gallery (similarity) ◄─ embed ◄─ align by mesh points ◄┘─► quality
//!        ▲
//!        └─ watch: between looks every frame feeds track (eyes, PAD score) and motion (breathing) of each bed
//! ```
//! `models/README.md`, "The front end, exactly", has the numbers; `models/convert/reference.py` is the same in Python.

pub mod crowd;
pub mod detect;
pub mod embed;
pub mod eyes;
pub mod gallery;
pub mod geometry;
pub mod kept;
pub mod manifest;
pub mod mesh;
pub mod motion;
pub mod near;
pub mod occupancy;
pub mod onnx_file;
pub mod pad;
pub mod pulse;
pub mod quality;
pub mod runtime;
pub mod session;
pub mod track;
pub mod watch;
pub mod worker;
