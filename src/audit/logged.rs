//! The platform's log: everything of the case is an entry of it, and it goes on from every head that was known before.

use std::collections::BTreeSet;

use crate::audit::chain::Link;
use crate::audit::{Answers, Trusted};
use crate::base::files::sha256_hex;
use crate::wire::case::{self, Claim, Line};
use crate::wire::note::TreeHead;
use crate::wire::tree::{Hash, Logged, is_extended, is_included};

const TITLE: &str = "日志 log";

pub fn examine(claim: &Claim, lines: &[Line], links: &[Link], trusted: &Trusted, answers: &mut Answers) {
    let Some(key) = case::key(&claim.keys.log) else {
        return answers.bad(TITLE, "日志公钥不可用 · the log's key is unusable");
    };
    let notes: Vec<&String> = lines
        .iter()
        .filter_map(|line| if let Line::Head { note } = line { Some(note) } else { None })
        .collect();
    let [note] = notes.as_slice() else {
        return answers.bad(TITLE, "应有一个日志树头 · there must be one head of the log");
    };
    let head = match TreeHead::open(note, &key) {
        Ok(head) => head,
        Err(why) => return answers.bad(TITLE, format!("树头 head: {why}")),
    };
    let entries = entries(lines, &head, answers);
    compare(claim, links, &entries, answers);
    let mut known = vec![head.clone()];
    for (at, line) in lines.iter().enumerate() {
        let Line::Earlier { note, path } = line else { continue };
        let place = format!("第 {} 行 line {0}", at + 1);
        match TreeHead::open(note, &key) {
            Ok(earlier) if leads(&earlier, path, &head) => known.push(earlier),
            Ok(_) => answers.bad(
                TITLE,
                format!("{place}: 日志不是由该树头延续而来 · the log does not go on from this head"),
            ),
            Err(why) => answers.bad(TITLE, format!("{place}: {why}")),
        }
    }
    answers.good(
        TITLE,
        format!(
            "{} 条记录在树中（共 {}，{}），由 {} 个较早树头延续 · {0} entries are in the tree of {1}, which goes on from {3} earlier heads",
            entries.len(),
            head.size,
            head.at,
            known.len() - 1
        ),
    );
    for note in &trusted.heads {
        match TreeHead::open(note, &key) {
            Ok(own) if known.iter().any(|known| (known.size, known.root) == (own.size, own.root)) => {
                answers.good(TITLE, format!("您持有的树头（{}）在其中 · the head you hold (size {0}) is part of it", own.size));
            }
            Ok(own) if known.iter().any(|known| known.size == own.size) => answers.bad(
                TITLE,
                format!("您持有的树头（{}）与此日志矛盾：历史被改写 · the head you hold (size {0}) contradicts this log: history was rewritten", own.size),
            ),
            Ok(own) => answers.attention(
                TITLE,
                format!("此文件未涉及您持有的树头（{}）· this file says nothing about the head you hold (size {0})", own.size),
            ),
            Err(why) => answers.bad(TITLE, format!("您持有的树头 the head you hold: {why}")),
        }
    }
}

fn leads(earlier: &TreeHead, path: &[String], head: &TreeHead) -> bool {
    hashes(path)
        .is_some_and(|path| is_extended((earlier.size, &earlier.root), &path, (head.size, &head.root)))
}

fn hashes(path: &[String]) -> Option<Vec<Hash>> {
    path.iter().map(|text| hex::decode(text).ok()?.try_into().ok()).collect()
}

/// Entries that are in the tree.
fn entries(lines: &[Line], head: &TreeHead, answers: &mut Answers) -> Vec<Logged> {
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Line::Logged { index, leaf, path } = line else { continue };
        let is_in = hashes(path)
            .is_some_and(|path| is_included(leaf.as_bytes(), *index, &path, head.size, &head.root));
        match serde_json::from_str(leaf) {
            Ok(entry) if is_in => found.push(entry),
            Ok(_) | Err(_) => answers.bad(
                TITLE,
                format!("第 {} 行 line {0}: 该记录不在日志中 · this entry is not in the log", at + 1),
            ),
        }
    }
    found
}

/// Every statement is in the log, and the device was admitted with the key that signed it.
fn compare(claim: &Claim, links: &[Link], entries: &[Logged], answers: &mut Answers) {
    let logged: BTreeSet<(&str, u64, &str)> = entries
        .iter()
        .filter_map(|entry| match entry {
            Logged::Link { device, epoch, seq, link, .. } if *device == claim.device => {
                Some((epoch.as_str(), *seq, link.as_str()))
            }
            Logged::Link { .. } | Logged::Admitted { .. } | Logged::Opened { .. } => None,
        })
        .collect();
    for link in links {
        let statement = &link.checked.statement;
        if !logged.contains(&(statement.epoch.as_str(), statement.seq, link.checked.link.as_str())) {
            let seq = statement.seq;
            answers.bad(TITLE, format!("第 {seq} 条陈述不在日志中 · statement {seq} is not in the log"));
        }
    }
    let digest = hex::decode(&claim.keys.statements).map(|key| sha256_hex(&key)).unwrap_or_default();
    let admitted = entries.iter().find_map(|entry| match entry {
        Logged::Admitted { device, statement_key, at }
            if *device == claim.device && *statement_key == digest =>
        {
            Some(*at)
        }
        Logged::Admitted { .. } | Logged::Link { .. } | Logged::Opened { .. } => None,
    });
    match admitted {
        Some(at) => answers.good(
            "登记 admission",
            format!("设备以此密钥登记于 {at} · the device was admitted with this key"),
        ),
        None => answers.bad(
            "登记 admission",
            "日志中没有设备以此密钥登记的记录 · the log knows no admission of the device with this key",
        ),
    }
    for entry in entries {
        if let Logged::Opened { event, opened, at, by, .. } = entry {
            let how = if *opened { "已打开 opened" } else { "未能打开 did not open" };
            answers.good("证据 evidence", format!("{at} {how}: {event}, {}", by.join(" + ")));
        }
    }
}
