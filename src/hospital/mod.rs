//! Rosters as hospitals write them, turned into what the domain believes.

pub mod csv_roster;
