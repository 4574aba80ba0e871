//! Signing in, with a passphrase or with a link that is good once, and signing out.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Form, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::platform::dashboard::door::{FORM, SESSION, cookie};
use crate::platform::dashboard::pages::lang_of;
use crate::platform::dashboard::words::Lang;
use crate::platform::dashboard::{Dashboard, Trouble};
use crate::platform::people::{self, NotShown, token};
use crate::platform::sessions::{self, Visitor};

#[derive(Template)]
#[template(path = "sign_in.html", config = "src/platform/dashboard/askama.toml")]
struct Page {
    l: Lang,
    csrf: String,
    next: String,
    name: String,
    /// The path of a link, and whom it signs in.
    link: Option<(String, String)>,
    trouble: Option<String>,
}

#[derive(Deserialize)]
pub struct Wish {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
pub struct Said {
    name: String,
    passphrase: String,
    #[serde(default)]
    next: String,
}

/// `GET /sign-in`.
pub async fn page(Query(wish): Query<Wish>, headers: HeaderMap) -> Result<Response, Trouble> {
    let page = Page {
        l: lang_of(&headers),
        csrf: String::new(),
        next: inside(&wish.next),
        name: String::new(),
        link: None,
        trouble: None,
    };
    draw(page, &headers, StatusCode::OK)
}

/// `POST /sign-in`.
pub async fn sign_in(
    State(dashboard): State<Arc<Dashboard>>,
    headers: HeaderMap,
    Form(said): Form<Said>,
) -> Result<Response, Trouble> {
    let (name, next) = (said.name.trim().to_owned(), inside(&said.next));
    let (db, now) = (dashboard.db.clone(), dashboard.clock.now().wall);
    let asked = name.clone();
    let work = move || {
        people::known(&db, &asked, &said.passphrase, now)?;
        sessions::begin(&db, &asked, now)
    };
    match tokio::task::spawn_blocking(work).await.map_err(|_| Trouble::Gone)? {
        Ok(secret) => Ok(entered(&secret, &next)),
        Err(NotShown::Database(error)) => Err(error.into()),
        Err(trouble) => {
            let (l, trouble) = (lang_of(&headers), Some(trouble.to_string()));
            let page = Page { l, csrf: String::new(), next, name, link: None, trouble };
            draw(page, &headers, StatusCode::FORBIDDEN)
        }
    }
}

/// `GET /welcome/{token}`: whom the link signs in. Opening it uses nothing up, so that a preview of it spoils nothing.
pub async fn welcome(
    State(dashboard): State<Arc<Dashboard>>,
    Path(secret): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let (l, now) = (lang_of(&headers), dashboard.clock.now().wall);
    let asked = secret.clone();
    let name = dashboard.read(move |connection| sessions::linked(connection, &asked, now)).await?;
    let link = name.map(|name| (format!("/welcome/{secret}"), name));
    let trouble = link.is_none().then(|| {
        l.t(
            "链接已用过或已过期，请用姓名和口令登录。",
            "This link was used or is too old; sign in with name and passphrase.",
        )
        .to_owned()
    });
    let status = if link.is_some() { StatusCode::OK } else { StatusCode::FORBIDDEN };
    let page = Page { l, csrf: String::new(), next: "/".to_owned(), name: String::new(), link, trouble };
    draw(page, &headers, status)
}

/// `POST /welcome/{token}`.
pub async fn follow(
    State(dashboard): State<Arc<Dashboard>>,
    Path(secret): Path<String>,
) -> Result<Response, Trouble> {
    let (db, now) = (dashboard.db.clone(), dashboard.clock.now().wall);
    let work = move || sessions::follow(&db, &secret, now);
    match tokio::task::spawn_blocking(work).await.map_err(|_| Trouble::Gone)? {
        Ok(secret) => Ok(entered(&secret, "/")),
        Err(NotShown::Database(error)) => Err(error.into()),
        Err(_) => Ok(Redirect::to("/sign-in").into_response()),
    }
}

/// `POST /sign-out`.
pub async fn sign_out(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    if let Some(secret) = cookie(&headers, SESSION) {
        let (db, now) = (dashboard.db.clone(), dashboard.clock.now().wall);
        let work = move || sessions::end(&db, &secret, &visitor, now);
        tokio::task::spawn_blocking(work).await.map_err(|_| Trouble::Gone)??;
    }
    let mut answer = Redirect::to("/sign-in").into_response();
    set(&mut answer, SESSION, "", "; Max-Age=0");
    Ok(answer)
}

/// A page to go to after signing in is one of ours: another site's address would be an open redirect.
fn inside(next: &str) -> String {
    let is_ours = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains(|c: char| c == '\\' || c.is_control());
    if is_ours { next.to_owned() } else { "/".to_owned() }
}

fn entered(secret: &str, next: &str) -> Response {
    let mut answer = Redirect::to(next).into_response();
    set(&mut answer, SESSION, secret, "");
    answer
}

fn draw(mut page: Page, headers: &HeaderMap, status: StatusCode) -> Result<Response, Trouble> {
    // Kept over several windows: the form of the first one must still be good.
    page.csrf = match cookie(headers, FORM).filter(|token| token.len() == 32) {
        Some(token) => token,
        None => token().map_err(|_| Trouble::Gone)?,
    };
    let mut answer = (status, Html(page.render()?)).into_response();
    set(&mut answer, FORM, &page.csrf, "");
    Ok(answer)
}

/// No script reads it, no other site sends it. Without `Secure`: the pages are plain HTTP on loopback, and a proxy that
/// adds TLS adds that too.
fn set(answer: &mut Response, name: &str, value: &str, more: &str) {
    let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{more}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_to_no_other_site() {
        for foreign in ["https://evil.example", "//evil.example", "/\\evil.example", "", "/a\nb"] {
            assert_eq!(inside(foreign), "/", "{foreign}");
        }
        assert_eq!(inside("/exceptions/d/x"), "/exceptions/d/x");
    }
}
