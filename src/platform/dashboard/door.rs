//! Before every page: who asks, and may they. The answer is in one table (`platform::rights`); no handler decides it.
//!
//! A browser shows a cookie that no script can read and no other site can send; each of its forms carries a token of its
//! session besides. A program shows a token in `Authorization`, which no browser can be made to send.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Query, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use tracing::error;

use crate::platform::api::problem::{self, Problem};
use crate::platform::dashboard::{Dashboard, MOST_FORM, Trouble};
use crate::platform::keys::uri;
use crate::platform::rights::{self, Right, Whose};
use crate::platform::sessions::{self, Visitor};
use crate::platform::trail;

/// The cookie of a session.
pub const SESSION: &str = "session";
/// The cookie that stands in for a session's token while nobody is signed in.
pub const FORM: &str = "form";

#[derive(Deserialize)]
struct Token {
    csrf: String,
}

/// Lets a request through to its handler, with its [`Visitor`] in it, or says why not.
pub async fn keep(State(dashboard): State<Arc<Dashboard>>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let Some(path) = path else { return missing() };
    let Some(right) = rights::right(request.method(), &path) else {
        if path.starts_with("/api/") && rights::RIGHTS.iter().any(|right| right.path == path) {
            return Problem::new(problem::METHOD).into_response();
        }
        error!(path, method = %request.method(), "A route is in no line of the table of rights; refused.");
        return refused(request.uri(), "此操作未对任何角色开放 / open to no role");
    };
    match let_in(&dashboard, right, request).await {
        Err(refusal) => refusal,
        Ok(Entered { request, visitor: None }) => next.run(request).await,
        Ok(Entered { mut request, visitor: Some(visitor) }) => {
            let what = request.uri().path().to_owned();
            request.extensions_mut().insert(visitor.clone());
            let answer = next.run(request).await;
            match right.kept.filter(|_| answer.status().is_success()) {
                // What cannot be written down is not shown.
                Some(kept) => match remember(dashboard, visitor, kept, what).await {
                    Ok(()) => answer,
                    Err(trouble) => trouble.into_response(),
                },
                None => answer,
            }
        }
    }
}

/// A request that may go on.
struct Entered {
    request: Request,
    visitor: Option<Visitor>,
}

async fn let_in(dashboard: &Arc<Dashboard>, right: &Right, request: Request) -> Result<Entered, Response> {
    let visitor =
        visitor(dashboard, request.headers(), !right.is_live).await.map_err(IntoResponse::into_response)?;
    let (is_open, roles) = match right.whose {
        Whose::Anybody => (true, &[][..]),
        Whose::Of(roles) => (false, roles),
    };
    let Some(visitor) = visitor else {
        if !is_open {
            return Err(unknown(right, &request));
        }
        let expected = cookie(request.headers(), FORM);
        return Ok(Entered { request: checked(right, expected, request).await?, visitor: None });
    };
    if !is_open && !roles.contains(&visitor.role) {
        let what = format!("{} {}", request.method(), request.uri().path());
        let done = remember(dashboard.clone(), visitor, "refused", what).await;
        done.map_err(IntoResponse::into_response)?;
        return Err(refused(request.uri(), "您的角色无权使用此功能 / not for your role"));
    }
    let request = match &visitor.form_token {
        // A program: nothing is sent along that it did not send itself.
        None => request,
        Some(_) if is_open => {
            let expected = cookie(request.headers(), FORM);
            checked(right, expected, request).await?
        }
        Some(token) => checked(right, Some(token.clone()), request).await?,
    };
    Ok(Entered { request, visitor: Some(visitor) })
}

/// The request, whole again, if it writes nothing or its form carries the expected token.
async fn checked(right: &Right, expected: Option<String>, request: Request) -> Result<Request, Response> {
    if !right.is_post {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let too_long = |_| (StatusCode::PAYLOAD_TOO_LARGE, "内容过长 / too long").into_response();
    let bytes = to_bytes(body, MOST_FORM).await.map_err(too_long)?;
    let sent = std::str::from_utf8(&bytes)
        .ok()
        .and_then(|form| Uri::try_from(format!("/?{form}")).ok())
        .and_then(|uri| Query::<Token>::try_from_uri(&uri).ok());
    let is_right = match (&sent, &expected) {
        // Both are random for the session: nothing is learnt from how long the comparison takes.
        (Some(Query(sent)), Some(expected)) => !expected.is_empty() && sent.csrf == *expected,
        (None, _) | (_, None) => false,
    };
    if is_right {
        return Ok(Request::from_parts(parts, Body::from(bytes)));
    }
    let why = "表单已失效，请返回并刷新页面后重试 / this form is not of your session: go back and load the page again";
    Err(refused(&parts.uri, why))
}

async fn visitor(
    dashboard: &Arc<Dashboard>,
    headers: &HeaderMap,
    is_by_hand: bool,
) -> Result<Option<Visitor>, Trouble> {
    let now = dashboard.clock.now().wall;
    let (program, session) = (bearer(headers), cookie(headers, SESSION));
    let db = dashboard.db.clone();
    let find = move || match (program, session) {
        (Some(token), _) => sessions::spoken_for(&db, &token, now),
        (None, Some(secret)) => sessions::visitor(&db, &secret, is_by_hand, now),
        (None, None) => Ok(None),
    };
    let found = tokio::task::spawn_blocking(find).await.map_err(|_| Trouble::Gone)?;
    Ok(found?)
}

async fn remember(
    dashboard: Arc<Dashboard>,
    visitor: Visitor,
    act: &'static str,
    what: String,
) -> Result<(), Trouble> {
    let now = dashboard.clock.now().wall;
    let write = move || dashboard.db.write(|tx| trail::enter(tx, visitor.as_actor(), act, &what, now));
    Ok(tokio::task::spawn_blocking(write).await.map_err(|_| Trouble::Gone)??)
}

/// The value of a cookie.
pub fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .find_map(|cookie| Some(cookie.trim().strip_prefix(name)?.strip_prefix('=')?.to_owned()))
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
        .map(|token| token.trim().to_owned())
}

fn unknown(right: &Right, request: &Request) -> Response {
    let uri_asked = request.uri();
    if right.is_live || is_for_programs(uri_asked) {
        let why = "请先登录或出示令牌 / sign in, or show a token: Authorization: Bearer TOKEN";
        let mut answer = Problem::because(problem::NOT_SIGNED_IN, why).into_response();
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        return answer;
    }
    let is_page = matches!(*request.method(), Method::GET | Method::HEAD);
    let next = if is_page { uri_asked.path() } else { "/" };
    Redirect::to(&format!("/sign-in?next={}", uri(next))).into_response()
}

fn refused(asked: &Uri, why: &'static str) -> Response {
    if is_for_programs(asked) {
        return Problem::because(problem::FORBIDDEN, why).into_response();
    }
    (StatusCode::FORBIDDEN, why).into_response()
}

fn missing() -> Response {
    (StatusCode::NOT_FOUND, "没有此页面 / there is no such page").into_response()
}

fn is_for_programs(asked: &Uri) -> bool {
    asked.path().starts_with("/api/")
}
