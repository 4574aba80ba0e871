//! Every error of the interface is a problem as RFC 9457 has it: a type that a program can decide by, and words for people.
//! Types are anchors of the page `/api`, where each is explained.

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::platform::dashboard::Trouble;
use crate::platform::db::DatabaseError;

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";
/// Most of an error's own text that is handed on.
const MOST_DETAIL: usize = 1000;

/// A problem as it is sent.
#[derive(Serialize, ToSchema)]
pub struct Sent {
    /// What kind of problem it is: an anchor of the page `/api`.
    #[serde(rename = "type")]
    #[schema(example = "/api#overtaken")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
    /// The version of the case as it is now, where somebody decided first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
}

/// A kind of problem: name, status, and what it means in both languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    pub name: &'static str,
    pub status: StatusCode,
    pub zh: &'static str,
    pub en: &'static str,
}

const fn kind(name: &'static str, status: StatusCode, zh: &'static str, en: &'static str) -> Kind {
    Kind { name, status, zh, en }
}

pub const BAD_REQUEST: Kind =
    kind("bad-request", StatusCode::BAD_REQUEST, "请求无法解读", "the request is not understood");
pub const BAD_CURSOR: Kind = kind(
    "bad-cursor",
    StatusCode::BAD_REQUEST,
    "游标无效，请从第一页开始",
    "the cursor is not one of this list: begin at the first page",
);
pub const NOT_SIGNED_IN: Kind =
    kind("not-signed-in", StatusCode::UNAUTHORIZED, "未出示有效令牌", "no valid token was shown");
pub const FORBIDDEN: Kind = kind("forbidden", StatusCode::FORBIDDEN, "无权使用", "not for your role");
pub const NOT_FOUND: Kind = kind("not-found", StatusCode::NOT_FOUND, "没有此项", "there is no such thing");
pub const METHOD: Kind =
    kind("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED, "不支持此方法", "not by this method");
pub const OVERTAKEN: Kind = kind(
    "overtaken",
    StatusCode::CONFLICT,
    "他人已先处理，请先读取最新情况",
    "somebody decided first: read the case again",
);
pub const PRECONDITION: Kind = kind(
    "precondition-failed",
    StatusCode::PRECONDITION_FAILED,
    "版本已变（If-Match），请先读取最新情况",
    "If-Match names an older version: read the case again",
);
pub const TOO_LONG: Kind =
    kind("too-long", StatusCode::PAYLOAD_TOO_LARGE, "内容过长", "the body is too long");
pub const MEDIA: Kind = kind(
    "media-type",
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    "须为 application/json",
    "the body must be application/json",
);
pub const MISDIRECTED: Kind = kind(
    "wrong-address",
    StatusCode::MISDIRECTED_REQUEST,
    "仅在本机地址应答",
    "answered only under the own loopback address",
);
pub const NOT_ALLOWED: Kind = kind(
    "not-allowed",
    StatusCode::UNPROCESSABLE_ENTITY,
    "此时不能这样处理，或理由不符",
    "this step cannot be taken now, or not with this reason",
);
pub const NOT_ORDERED: Kind = kind(
    "not-ordered",
    StatusCode::UNPROCESSABLE_ENTITY,
    "不能这样下达抽查",
    "a spot check cannot be ordered like this",
);
pub const KEY_REUSED: Kind = kind(
    "idempotency-key-reused",
    StatusCode::UNPROCESSABLE_ENTITY,
    "该 Idempotency-Key 已用于另一请求",
    "this Idempotency-Key came with another request before",
);
pub const NO_VERSION: Kind = kind(
    "version-missing",
    StatusCode::PRECONDITION_REQUIRED,
    "须注明所依据的版本（If-Match 或 version）",
    "say which version you decided on: If-Match or version",
);
pub const INTERNAL: Kind = kind(
    "internal",
    StatusCode::INTERNAL_SERVER_ERROR,
    "平台暂时出错，请稍后再试",
    "the platform failed; try again later",
);

/// Every kind, for the page that explains them.
pub const KINDS: [Kind; 16] = [
    BAD_REQUEST,
    BAD_CURSOR,
    NOT_SIGNED_IN,
    FORBIDDEN,
    NOT_FOUND,
    METHOD,
    OVERTAKEN,
    PRECONDITION,
    TOO_LONG,
    MEDIA,
    MISDIRECTED,
    NOT_ALLOWED,
    NOT_ORDERED,
    KEY_REUSED,
    NO_VERSION,
    INTERNAL,
];

/// Why there is no answer.
pub struct Problem {
    kind: Kind,
    detail: String,
    version: Option<i64>,
}

impl Problem {
    pub fn new(kind: Kind) -> Problem {
        Problem { kind, detail: format!("{} / {}", kind.zh, kind.en), version: None }
    }

    pub fn because(kind: Kind, detail: impl ToString) -> Problem {
        Problem { kind, detail: detail.to_string(), version: None }
    }

    /// With the version that counts now.
    pub fn at_version(self, version: i64) -> Problem {
        Problem { version: Some(version), ..self }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn detail(&self) -> &str {
        &self.detail
    }

    fn sent(&self) -> Sent {
        Sent {
            kind: format!("/api#{}", self.kind.name),
            title: format!("{} / {}", self.kind.zh, self.kind.en),
            status: self.kind.status.as_u16(),
            detail: self.detail.clone(),
            version: self.version,
        }
    }

    /// The body, as it is kept for a request that is sent again.
    pub fn body(&self) -> String {
        serde_json::to_string(&self.sent()).unwrap_or_else(|_| json!({}).to_string())
    }
}

impl From<Trouble> for Problem {
    fn from(trouble: Trouble) -> Problem {
        // Writes the cause into the log; the peer learns only that it was us.
        let _ = trouble.into_response();
        Problem::new(INTERNAL)
    }
}

impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Problem {
        Trouble::from(error).into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.kind.status, [(header::CONTENT_TYPE, MEDIA_TYPE)], self.body()).into_response()
    }
}

/// Whatever else answers with an error under the interface (a router, a limit, a reader of parameters) is made a problem
/// too, with its own words as detail.
pub async fn everywhere(request: Request, next: Next) -> Response {
    let is_ours = request.uri().path().starts_with("/api/");
    let answer = next.run(request).await;
    if !is_ours || answer.status().as_u16() < 400 || is_problem(answer.headers()) {
        return answer;
    }
    let (parts, body) = answer.into_parts();
    let of_status = |status| KINDS.into_iter().find(|kind: &Kind| kind.status == status);
    let kind = match parts.status {
        // What is well-formed and still not understood.
        StatusCode::UNPROCESSABLE_ENTITY => BAD_REQUEST,
        status => of_status(status).unwrap_or(if status.is_server_error() { INTERNAL } else { BAD_REQUEST }),
    };
    let text = axum::body::to_bytes(body, 16 * 1024).await.unwrap_or_default();
    let detail: String = String::from_utf8_lossy(&text).chars().take(MOST_DETAIL).collect();
    let problem = if detail.is_empty() { Problem::new(kind) } else { Problem::because(kind, detail) };
    let mut answer = problem.into_response();
    for (name, value) in &parts.headers {
        if ![header::CONTENT_TYPE, header::CONTENT_LENGTH].contains(name) {
            answer.headers_mut().insert(name.clone(), value.clone());
        }
    }
    answer
}

fn is_problem(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes() == MEDIA_TYPE.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_names_of_their_own_and_are_errors() {
        let names: std::collections::BTreeSet<&str> = KINDS.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), KINDS.len());
        assert!(KINDS.iter().all(|kind| kind.status.as_u16() >= 400));
    }
}
