//! What hospital systems say about who lies where, turned into what the domain believes: rosters and messages.

pub mod adt;
pub mod changes;
mod compound;
pub mod fhir;
pub mod fhir_poll;
pub mod http;
pub mod mllp;
pub mod national;
pub mod roster_file;
pub mod sheet;
pub mod text;
pub mod watched;
mod xls;
mod xlsx;
