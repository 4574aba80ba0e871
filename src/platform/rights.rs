//! Which role may use which route: the one table every request is held against before its handler runs.
//!
//! A route that is not in it is refused, whoever asks: who adds a page must say here whose it is.

use axum::http::Method;

use crate::domain::role::Role;
use crate::domain::role::Role::{Administrator, Auditor, Officer, Reviewer, Supervisor};

/// Whose a route is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Also of who is not signed in.
    Anybody,
    Of(&'static [Role]),
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Right {
    /// Writes: the request must carry the token of its form.
    pub is_post: bool,
    pub path: &'static str,
    pub whose: Whose,
    /// What the audit trail calls it when it is read; what is written enters the trail in its own transaction.
    pub kept: Option<&'static str>,
    /// Asked for by a page again and again, and by nobody's hand: it keeps no session alive and leads nowhere.
    pub is_live: bool,
}

const fn open(is_post: bool, path: &'static str) -> Right {
    Right { is_post, path, whose: Whose::Anybody, kept: None, is_live: false }
}

/// A page or answer without anybody's data.
const fn read(path: &'static str, roles: &'static [Role]) -> Right {
    Right { is_post: false, path, whose: Whose::Of(roles), kept: None, is_live: false }
}

/// A part that a page fetches again and again; who saw that page is kept.
const fn live(path: &'static str, roles: &'static [Role]) -> Right {
    Right { is_post: false, path, whose: Whose::Of(roles), kept: None, is_live: true }
}

/// ... that shows people: who saw it is kept.
const fn kept(path: &'static str, roles: &'static [Role], what: &'static str) -> Right {
    Right { is_post: false, path, whose: Whose::Of(roles), kept: Some(what), is_live: false }
}

const fn write(path: &'static str, roles: &'static [Role]) -> Right {
    Right { is_post: true, path, whose: Whose::Of(roles), kept: None, is_live: false }
}

/// A question or an answer sent in an envelope: who asked is kept, whatever it was.
const fn exchange(path: &'static str, roles: &'static [Role], what: &'static str) -> Right {
    Right { is_post: true, path, whose: Whose::Of(roles), kept: Some(what), is_live: false }
}

const ALL: &[Role] = &Role::ALL;
const BUREAU: &[Role] = &[Supervisor, Reviewer, Auditor];
const OPENERS: &[Role] = &[Supervisor, Reviewer];
const ORDERERS: &[Role] = &[Supervisor];
const WORKERS: &[Role] = &[Supervisor, Reviewer, Officer];
const CASES: &[Role] = &[Supervisor, Reviewer, Officer, Auditor];
const KEEPERS: &[Role] = &[Auditor, Administrator];

/// The table.
pub const RIGHTS: &[Right] = &[
    open(false, "/sign-in"),
    open(true, "/sign-in"),
    open(false, "/welcome/{token}"),
    open(true, "/welcome/{token}"),
    open(false, "/style.css"),
    open(false, "/live.js"),
    open(false, "/icon.svg"),
    write("/sign-out", ALL),
    kept("/", ALL, "overview"),
    live("/rows", ALL),
    live("/events", ALL),
    kept("/wards/{device}", CASES, "ward"),
    live("/wards/{device}/rows", CASES),
    read("/screen", CASES),
    live("/screen/rows", CASES),
    kept("/orders", BUREAU, "spot checks"),
    write("/orders", ORDERERS),
    kept("/orders/{id}", BUREAU, "spot checks"),
    live("/orders/{id}/rows", BUREAU),
    kept("/orders/{id}/draw.json", BUREAU, "spot checks"),
    kept("/exceptions", CASES, "exceptions"),
    live("/exceptions/news", CASES),
    kept("/exceptions/{device}/{id}", CASES, "case"),
    write("/exceptions/{device}/{id}/step", WORKERS),
    kept("/patrol", CASES, "coverage"),
    kept("/verification", CASES, "checks"),
    kept("/screening", CASES, "screening"),
    kept("/screening/contradictions", CASES, "screening"),
    kept("/screening/leads/{id}", BUREAU, "lead"),
    write("/screening/leads/{id}/step", OPENERS),
    kept("/screening/association", BUREAU, "associations"),
    read("/score", CASES),
    read("/score.csv", CASES),
    read("/devices", ALL),
    read("/audit", KEEPERS),
    kept("/api/v1/rows", CASES, "rows"),
    kept("/api/v1/exceptions", CASES, "exceptions"),
    kept("/api/v1/exceptions/{device}/{id}", CASES, "case"),
    write("/api/v1/exceptions/{device}/{id}/steps", WORKERS),
    kept("/api/v1/exceptions/{device}/{id}/file", BUREAU, "case file"),
    read("/api/v1/evidence/{device}/{event}", BUREAU),
    kept("/api/v1/leads", BUREAU, "screening"),
    kept("/api/v1/leads/{id}", BUREAU, "lead"),
    write("/api/v1/leads/{id}/steps", OPENERS),
    kept("/api/v1/association", BUREAU, "associations"),
    kept("/api/v1/orders", BUREAU, "spot checks"),
    write("/api/v1/orders", ORDERERS),
    kept("/api/v1/orders/{id}", BUREAU, "spot checks"),
    kept("/api/v1/coverage", CASES, "coverage"),
    read("/api/v1/score", CASES),
    read("/api/v1/audit", KEEPERS),
    kept("/api/v1/export/exceptions/{form}", CASES, "export"),
    read("/api/v1/export/score/{form}", CASES),
    kept("/api/v1/fhir/DetectedIssue", CASES, "export"),
    read("/api/v1/fhir/AuditEvent", KEEPERS),
    exchange("/api/v1/national", WORKERS, "exchange"),
    open(false, "/api/v1/openapi.json"),
    read("/api", ALL),
    read("/api/v1/devices", ALL),
    kept("/api/v1/ledger", CASES, "checks"),
    kept("/api/v1/verifications", CASES, "checks"),
    kept("/evidence/{device}/{id}", OPENERS, "evidence"),
    write("/evidence/{device}/{id}/ask", OPENERS),
    write("/evidence/{device}/{id}/approve", OPENERS),
    kept("/evidence/look/{token}", OPENERS, "picture"),
    kept("/case/{device}/{id}", BUREAU, "case file"),
];

/// The line of a route; `None` where the table has none. HEAD reads as GET does.
pub fn right(method: &Method, path: &str) -> Option<&'static Right> {
    let is_post = match *method {
        Method::POST => true,
        Method::GET | Method::HEAD => false,
        // Nothing here answers any other method.
        _ => return None,
    };
    RIGHTS.iter().find(|right| right.is_post == is_post && right.path == path)
}

/// Whether somebody of this role may read a page.
pub fn may_read(role: Role, path: &str) -> bool {
    right(&Method::GET, path).is_some_and(|right| right.is_of(role))
}

/// Whether somebody of this role may send a form.
pub fn may_write(role: Role, path: &str) -> bool {
    right(&Method::POST, path).is_some_and(|right| right.is_of(role))
}

impl Right {
    fn is_of(&self, role: Role) -> bool {
        match self.whose {
            Whose::Anybody => true,
            Whose::Of(roles) => roles.contains(&role),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_auditor_and_an_administrator_change_nothing_but_their_own_session() {
        for right in RIGHTS.iter().filter(|right| right.is_post && right.path != "/sign-out") {
            if let Whose::Of(roles) = right.whose {
                assert!(!roles.contains(&Auditor) && !roles.contains(&Administrator), "{}", right.path);
            }
        }
    }

    #[test]
    fn a_route_or_a_method_without_a_line_belongs_to_nobody() {
        assert!(right(&Method::GET, "/new").is_none());
        assert!(right(&Method::DELETE, "/").is_none());
        assert!(right(&Method::POST, "/").is_none());
        assert!(may_read(Auditor, "/audit") && !may_read(Officer, "/audit"));
    }
}
