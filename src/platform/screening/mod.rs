//! Screening 智慧筛查: presence joined to money, at the size of a province.
//!
//! ```text
//!   CSV, XLSX, Parquet, JSON ──load──► data folder: typed Parquet by table, class and month
//!                                          │
//!   rules/*.toml ──checked──► engine: DataFusion, bounded memory ──► leads with the rows that prove them
//!                                          │                              │
//!                                 reach: who has to do with whom ─────────┴──► platform.db (`leads`, `association`)
//!
//!   generate ──► made-up province with planted frauds and their truth ──► measure: recall and precision of each rule
//! ```
//! Rules are data and the SQL is the engine's, so that the same rules run on whatever else reads Parquet, and on several
//! machines (`engine::cluster`, behind the feature `cluster`). Nothing else of the platform needs this module: it is behind
//! the feature `screening`.

pub mod engine;
pub mod folder;
pub mod generate;
pub mod known;
pub mod load;
pub mod measure;
pub mod reach;
pub mod rules;
pub mod tables;

/// Yuan of an amount in fen, as exports write it.
fn yuan(fen: i64) -> String {
    format!("{}.{:02}", fen / 100, (fen % 100).abs())
}
