//! Spot checks as the pages show them: what was ordered in one sentence, where it is, and how a sample proves its draw.

use crate::base::clock::Wall;
use crate::platform::dashboard::words::{self, Lang, Term, moment};
use crate::platform::keys::uri;
use crate::platform::rights;
use crate::platform::sessions::Visitor;
use crate::platform::spot_checks::{Drawn, Found, Listed, One, Part};

/// An order in the list.
pub struct Row {
    pub page: String,
    pub what: String,
    pub institution: String,
    pub by: String,
    pub issued: String,
    pub until: String,
    pub state: Term,
    pub answered: String,
}

/// An order on its own page.
pub struct Shown {
    pub row: Row,
    pub evidence: bool,
    pub draw: Option<Draw>,
    pub parts: Vec<Ward>,
}

/// How a sample proves itself.
pub struct Draw {
    pub number: u64,
    pub from: u64,
    pub sha256: String,
    pub among: usize,
    pub wanted: usize,
    pub seed: Option<String>,
    pub holds: Option<bool>,
    pub file: String,
}

/// One ward's part.
pub struct Ward {
    pub name: String,
    pub page: String,
    pub state: Term,
    pub when: Option<String>,
    pub nonce: String,
    pub beds: Vec<Bed>,
}

pub struct Bed {
    pub bed: String,
    pub name: String,
    pub term: Term,
    pub done: String,
    pub received: String,
    pub evidence: Option<String>,
}

pub fn row(l: Lang, order: &Listed, now: Wall) -> Row {
    Row {
        page: format!("/orders/{}", order.id),
        what: what(l, order),
        institution: order.institution.clone(),
        by: order.person.clone().unwrap_or_else(|| l.t("命令行", "command line").to_owned()),
        issued: moment(order.issued),
        until: moment(order.until),
        state: state(order, now),
        answered: format!("{}/{}", order.answered, order.wards),
    }
}

fn what(l: Lang, order: &Listed) -> String {
    let text = match order.kind.as_str() {
        "sample" => l.t("随机抽样", "Random sample"),
        "ward" => l.t("整个病区", "A whole ward"),
        // Only `beds` is left.
        _ => l.t("指定床位", "Beds by name"),
    };
    text.to_owned()
}

fn state(order: &Listed, now: Wall) -> Term {
    if order.missed > 0 {
        Term { zh: "未执行", en: "Missed", mark: "confirmed" }
    } else if order.answered == order.wards {
        Term { zh: "已执行", en: "Answered", mark: "ended" }
    } else if now.0 <= order.until {
        Term { zh: "等待执行", en: "Waiting", mark: "raised" }
    } else {
        Term { zh: "未执行", en: "Missed", mark: "confirmed" }
    }
}

pub fn shown(l: Lang, one: &One, visitor: &Visitor, now: Wall) -> Shown {
    let opens = rights::may_read(visitor.role, "/evidence/{device}/{id}");
    Shown {
        row: row(l, &one.order, now),
        evidence: one.order.evidence,
        draw: one.draw.as_ref().map(|drawn| draw(drawn, &one.order.id)),
        parts: one.parts.iter().map(|part| ward(l, part, opens, now)).collect(),
    }
}

fn draw(drawn: &Drawn, id: &str) -> Draw {
    Draw {
        number: drawn.number,
        from: drawn.bound_by.round,
        sha256: drawn.bound_by.sha256.into(),
        among: drawn.among.len(),
        wanted: drawn.wanted,
        seed: drawn.seed.map(String::from),
        holds: drawn.holds,
        file: format!("/orders/{id}/draw.json"),
    }
}

fn ward(l: Lang, part: &Part, opens: bool, now: Wall) -> Ward {
    let state = match part.answered {
        Some(at) if at > part.until => {
            Term { zh: "逾期才执行", en: "Answered too late", mark: "confirmed" }
        }
        Some(_) => Term { zh: "已执行", en: "Answered", mark: "ended" },
        None if now.0 <= part.until => Term { zh: "等待执行", en: "Waiting", mark: "raised" },
        None => Term { zh: "未执行", en: "Missed", mark: "confirmed" },
    };
    let beds = if part.found.is_empty() {
        part.beds.iter().map(|bed| waiting(l, bed)).collect()
    } else {
        part.found.iter().map(|found| bed(l, found, &part.device, opens)).collect()
    };
    Ward {
        name: part.ward.clone(),
        page: format!("/wards/{}", uri(&part.device)),
        state,
        when: part.answered.map(moment),
        nonce: part.nonce.clone(),
        beds,
    }
}

/// A bed that was ordered, before any round answered.
fn waiting(l: Lang, bed: &str) -> Bed {
    Bed {
        bed: words::bed(l, bed),
        name: String::new(),
        term: Term { zh: "尚无结果", en: "Nothing yet", mark: "waiting" },
        done: "–".to_owned(),
        received: "–".to_owned(),
        evidence: None,
    }
}

fn bed(l: Lang, found: &Found, device: &str, opens: bool) -> Bed {
    let at = |ms: Option<i64>| ms.map_or_else(|| "–".to_owned(), moment);
    let term = match &found.verdict {
        None if !found.is_in_round => {
            Term { zh: "本轮没有此床", en: "Not in the round", mark: "unclear" }
        }
        None => Term { zh: "核查中", en: "Being checked", mark: "waiting" },
        Some(verdict) => words::verdict(Some(verdict)),
    };
    let event = found.evidence.as_ref().filter(|_| opens);
    Bed {
        bed: words::bed(l, &found.bed),
        name: found.masked_name.clone().unwrap_or_default(),
        term,
        done: at(found.done),
        received: at(found.received),
        evidence: event.map(|event| format!("/evidence/{}/{}", uri(device), uri(event))),
    }
}
