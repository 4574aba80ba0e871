//! Exceptions and the audit trail as FHIR R4 searchsets, for systems that read nothing else. Read only: a resource cannot be
//! looked up by its id, and nothing is taken in.

use std::sync::Arc;

use axum::extract::{Extension, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::base::clock::Wall;
use crate::base::files::sha256_hex;
use crate::domain::handling::State as Stage;
use crate::platform::api::lists::{self, QUEUE, Sought, Wanted, Whose};
use crate::platform::api::problem::Problem;
use crate::platform::cursor;
use crate::platform::dashboard::{Dashboard, words};
use crate::platform::db::Connection;
use crate::platform::keys::uri;
use crate::platform::queue::{self, Queued};
use crate::platform::sessions::Visitor;
use crate::platform::trail::Entry;

/// `GET /api/v1/fhir/DetectedIssue`
#[utoipa::path(get, path = "/api/v1/fhir/DetectedIssue", tag = "exports", params(Sought, Wanted),
    summary = "FHIR R4 DetectedIssue / Exceptions as DetectedIssue",
    description = "异常作为 FHIR R4 searchset；状态：未认定为 preliminary，认定或结案为 final，认定不成立为 cancelled。 / \
                   Exceptions as a FHIR R4 searchset; preliminary until decided, final when upheld or closed, cancelled \
                   when dismissed.",
    responses((status = 200, description = "Bundle", body = Object, content_type = "application/fhir+json")))]
pub async fn issues(
    State(dashboard): State<Arc<Dashboard>>,
    Query(sought): Query<Sought>,
    Query(wanted): Query<Wanted>,
    Extension(who): Extension<Visitor>,
) -> Result<Response, Problem> {
    let now = dashboard.clock.now().wall;
    let (after, most) = (wanted.after::<String>(QUEUE)?, wanted.most()?);
    let (query, filter) = (sought.query(), sought.filter(after)?);
    let work = move |connection: &Connection| queue::page_of(connection, &filter, who.scope(), now, most);
    let page = dashboard.read(work).await?;
    let next = page.next.and_then(|place| cursor::after(QUEUE, &place));
    let next = next.map(|next| format!("DetectedIssue?{query}limit={most}&cursor={}", uri(&next)));
    Ok(bundle("DetectedIssue", next, page.rows.iter().map(issue).collect()))
}

fn issue(queued: &Queued) -> Value {
    let row = &queued.row;
    let status = match queued.handling {
        Stage::Upheld | Stage::Closed => "final",
        Stage::Dismissed => "cancelled",
        Stage::Raised | Stage::Confirmed | Stage::Notified | Stage::Answered | Stage::Appealed => {
            "preliminary"
        }
    };
    let name = format!("{}/{}", row.device, row.id);
    let kind = words::kind(&row.kind);
    let mut period = json!({ "start": Wall(row.first).to_string() });
    if let Some(ended) = row.ended {
        period["end"] = json!(Wall(ended).to_string());
    }
    let mut issue = json!({
        "resourceType": "DetectedIssue",
        // An id of FHIR has other letters than ours.
        "id": sha256_hex(name.as_bytes()),
        "identifier": [{ "system": "urn:bedcheck:exception", "value": name }],
        "status": status,
        "code": {
            "coding": [{ "system": "urn:bedcheck:exception-kind", "code": row.kind, "display": kind.en }],
            "text": kind.zh,
        },
        "identifiedPeriod": period,
        "author": { "type": "Device", "display": if row.origin == "platform" { "bedcheck-platform" } else { &row.device } },
        "detail": words::claim(words::Lang::Zh, row),
    });
    if let Some(stay) = &row.stay {
        let mut patient = json!({ "identifier": { "system": "urn:bedcheck:stay", "value": stay } });
        if let Some(name) = &row.masked_name {
            patient["display"] = json!(name);
        }
        issue["patient"] = patient;
    }
    issue
}

/// `GET /api/v1/fhir/AuditEvent`
#[utoipa::path(get, path = "/api/v1/fhir/AuditEvent", tag = "exports", params(Whose, Wanted),
    summary = "FHIR R4 AuditEvent / The audit trail as AuditEvent",
    description = "审计记录作为 FHIR R4 searchset。 / The audit trail as a FHIR R4 searchset.",
    responses((status = 200, description = "Bundle", body = Object, content_type = "application/fhir+json")))]
pub async fn audit(
    State(dashboard): State<Arc<Dashboard>>,
    Query(whose): Query<Whose>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Problem> {
    let (before, most) = (wanted.after::<i64>(lists::TRAIL)?, wanted.most()?);
    let person = uri(&whose.person);
    let page = dashboard.read(move |connection| lists::entries(connection, &whose, before, most)).await?;
    let next = page.next.map(|next| format!("AuditEvent?person={person}&limit={most}&cursor={}", uri(&next)));
    Ok(bundle("AuditEvent", next, page.rows.iter().map(event).collect()))
}

fn event(entry: &Entry) -> Value {
    let is_sign_in = matches!(entry.act.as_str(), "signed in" | "signed out");
    let is_step = crate::domain::handling::Step::named(&entry.act).is_some();
    let (code, display) =
        if is_sign_in { ("110114", "User Authentication") } else { ("110110", "Patient Record") };
    let action = match (is_sign_in, is_step) {
        (true, _) => "E",
        (false, true) => "U",
        (false, false) => "R",
    };
    let mut agent = json!({ "who": { "display": entry.person }, "requestor": true });
    if !entry.role.is_empty() {
        agent["role"] = json!([{ "text": entry.role }]);
    }
    let mut event = json!({
        "resourceType": "AuditEvent",
        "id": entry.number.to_string(),
        "type": { "system": "http://dicom.nema.org/resources/ontology/DCM", "code": code, "display": display },
        "subtype": [{ "system": "urn:bedcheck:act", "code": entry.act }],
        "action": action,
        "recorded": Wall(entry.at).to_string(),
        // 4: it was tried and not let through.
        "outcome": if entry.act == "refused" { "4" } else { "0" },
        "agent": [agent],
        "source": { "observer": { "display": "bedcheck-platform" } },
    });
    if !entry.what.is_empty() {
        event["entity"] = json!([{ "what": { "display": entry.what } }]);
    }
    event
}

fn bundle(kind: &str, next: Option<String>, resources: Vec<Value>) -> Response {
    let mut links = vec![json!({ "relation": "self", "url": format!("/api/v1/fhir/{kind}") })];
    links.extend(next.map(|next| json!({ "relation": "next", "url": format!("/api/v1/fhir/{next}") })));
    let entries =
        resources.into_iter().map(|resource| json!({ "resource": resource, "search": { "mode": "match" } }));
    let mut bundle = json!({ "resourceType": "Bundle", "type": "searchset", "link": links });
    let entries: Vec<Value> = entries.collect();
    // FHIR knows no empty lists.
    if !entries.is_empty() {
        bundle["entry"] = json!(entries);
    }
    ([(header::CONTENT_TYPE, "application/fhir+json")], bundle.to_string()).into_response()
}
