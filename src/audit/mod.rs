//! Whether a case (a file of `bedcheck-platform export`) holds, found out without the platform: no network, no database,
//! no trust but in keys and heads that the auditor brings along.
//!
//! | question | module |
//! |---|---|
//! | was the file changed; do the device's statements and bodies belong together | [`chain`] |
//! | is all of it in the log, and does the log go on from the heads we knew | [`logged`] |
//! | when was each thing said, and does it say what is claimed | [`bounds`] |

mod bounds;
mod chain;
pub mod cmd;
mod logged;

use serde::Serialize;

use crate::base::clock::Wall;
use crate::wire::case::{self, BrokenCase, Claim, Line, fingerprint};

/// How a question was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    Good,
    /// Nothing is wrong, and somebody should look.
    Attention,
    Bad,
}

/// One question and its answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    pub grade: Grade,
    pub title: &'static str,
    pub detail: String,
}

/// What the auditor brings along.
#[derive(Clone, Debug, Default)]
pub struct Trusted {
    /// Fingerprints of keys, in any spelling of their 16 digits.
    pub fingerprints: Vec<String>,
    /// Signed heads of the log that were seen before.
    pub heads: Vec<String>,
}

/// Between which receipts something was said; times of the platform.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bound {
    pub seq: u64,
    pub kind: String,
    /// On the device's own clock.
    pub said: Wall,
    pub not_before: Option<Wall>,
    pub not_after: Option<Wall>,
}

/// Everything that was found out.
#[derive(Clone, Debug, Serialize)]
pub struct Audit {
    pub claim: Claim,
    pub answers: Vec<Answer>,
    pub bounds: Vec<Bound>,
}

impl Audit {
    pub fn holds(&self) -> bool {
        self.answers.iter().all(|answer| answer.grade != Grade::Bad)
    }
}

/// Answers of one part, gathered.
#[derive(Default)]
struct Answers(Vec<Answer>);

impl Answers {
    fn good(&mut self, title: &'static str, detail: impl Into<String>) {
        self.0.push(Answer { grade: Grade::Good, title, detail: detail.into() });
    }

    fn attention(&mut self, title: &'static str, detail: impl Into<String>) {
        self.0.push(Answer { grade: Grade::Attention, title, detail: detail.into() });
    }

    fn bad(&mut self, title: &'static str, detail: impl Into<String>) {
        self.0.push(Answer { grade: Grade::Bad, title, detail: detail.into() });
    }
}

/// Examines a case.
///
/// # Errors
/// [`BrokenCase`] when it is not what was sealed: then nothing in it is worth a look.
pub fn examine(file: &[u8], trusted: &Trusted) -> Result<Audit, BrokenCase> {
    let lines = case::read(file)?;
    let Some(Line::Claim(claim)) = lines.first() else { return Err(BrokenCase::Shape) };
    let mut answers = Answers::default();
    answers.good(
        "文件 file",
        format!("{} 行，封存后未改动 · {0} lines, unchanged since they were sealed", lines.len()),
    );
    compare_keys(claim, trusted, &mut answers);
    let links = chain::examine(claim, &lines, &mut answers);
    logged::examine(claim, &lines, &links, trusted, &mut answers);
    let bounds = bounds::examine(claim, &lines, &links, &mut answers);
    Ok(Audit { claim: claim.clone(), answers: answers.0, bounds })
}

fn compare_keys(claim: &Claim, trusted: &Trusted, answers: &mut Answers) {
    let title = "密钥 keys";
    let digits = |text: &str| text.chars().filter(char::is_ascii_hexdigit).collect::<String>().to_lowercase();
    let known: Vec<String> = trusted.fingerprints.iter().map(|text| digits(text)).collect();
    let keys = &claim.keys;
    for (name, key) in
        [("设备 device", &keys.statements), ("回执 receipts", &keys.receipts), ("日志 log", &keys.log)]
    {
        let print = fingerprint(key);
        if known.contains(&digits(&print)) {
            answers.good(title, format!("{name} {print}: 与所给一致 · as you gave it"));
        } else if known.is_empty() {
            answers.attention(
                title,
                format!("{name} {print}: 请与另行取得的指纹核对 · compare it with what you know from elsewhere (--trust)"),
            );
        } else {
            answers.bad(title, format!("{name} {print}: 不在所给指纹之中 · is none of those you gave"));
        }
    }
}
