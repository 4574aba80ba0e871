//! The device's statements: signed by it, each following the one before, and about the bodies beside them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::audit::Answers;
use crate::wire::case::{self, Claim, Line};
use crate::wire::event::Event;
use crate::wire::statement::{Checked, Cover, check, cover};

/// A statement that is the device's.
pub struct Link {
    pub checked: Checked,
    /// Where the body is of this case.
    pub event: Option<Event>,
    pub has_body: bool,
}

pub fn examine(claim: &Claim, lines: &[Line], answers: &mut Answers) -> Vec<Link> {
    let title = "数据链 chain";
    let Some(key) = case::key(&claim.keys.statements) else {
        answers.bad(title, "设备公钥不可用 · the device's key is unusable");
        return Vec::new();
    };
    let mut links: Vec<Link> = Vec::new();
    let (mut wrong, mut joined) = (Vec::new(), 0);
    for (at, line) in lines.iter().enumerate() {
        let Line::Link { envelope, body, evidence } = line else { continue };
        let place = format!("第 {} 行 line {0}", at + 1);
        let checked = match check(envelope, &key) {
            Ok(checked) if checked.statement.device == claim.device => checked,
            Ok(_) => {
                wrong.push(format!("{place}: 属于另一设备 · another device's"));
                continue;
            }
            Err(why) => {
                wrong.push(format!("{place}: {why}"));
                continue;
            }
        };
        match body.as_ref().map(|body| covered(&checked, body, evidence.as_deref())) {
            Some(None) => {
                wrong
                    .push(format!("{place}: 正文或证据与签名不符 · body or evidence is not what was signed"));
            }
            Some(Some(Cover::NoEvidence)) => answers.attention(
                title,
                format!("{place}: 签名的证据不在案卷中 · the evidence that was signed is not in the case"),
            ),
            Some(Some(Cover::Whole | Cover::NoBody)) | None => {}
        }
        if let Some(before) = links.last().map(|link| &link.checked) {
            match follows(before, &checked) {
                Some(true) => joined += 1,
                Some(false) => {
                    wrong.push(format!("{place}: 与前一条不相接 · does not follow the one before"));
                }
                None => {}
            }
        }
        let event = body.as_ref().and_then(|body| serde_json::from_str(body).ok());
        links.push(Link { checked, event, has_body: body.is_some() });
    }
    let (all, bodies) = (links.len(), links.iter().filter(|link| link.has_body).count());
    if wrong.is_empty() && all > 0 {
        answers.good(
            title,
            format!(
                "{all} 条由设备签名，{joined} 处相接，{bodies} 条附正文（其余属他人，已略）· {all} statements signed by the device, {joined} joints, {bodies} with bodies (the others are about others)"
            ),
        );
    } else if wrong.is_empty() {
        answers.attention(title, "没有设备的陈述 · there is no statement of the device");
    }
    for text in wrong {
        answers.bad(title, text);
    }
    links
}

fn covered(checked: &Checked, body: &str, evidence: Option<&str>) -> Option<Cover> {
    let evidence = evidence.map(|text| STANDARD.decode(text)).transpose().ok()?;
    cover(&checked.statement, body, evidence.as_deref())
}

/// Whether two neighbouring lines join; `None` where others were left out between them, or a new chain begins.
fn follows(before: &Checked, next: &Checked) -> Option<bool> {
    let (one, other) = (&before.statement, &next.statement);
    if one.epoch != other.epoch {
        return None;
    }
    match other.seq.checked_sub(one.seq) {
        Some(1) => Some(other.prev == before.link),
        Some(0) | None => Some(false),
        Some(_) => None,
    }
}
