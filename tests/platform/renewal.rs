//! Certificates that follow one another, and what the ones that ended are still good for: nothing.
#[allow(unused_imports)]
use crate::world::*;
