//! The OpenAPI 3.1 document of the interface, and the page that shows it to people.

use std::sync::LazyLock;

use askama::Template;
use axum::extract::Extension;
use axum::http::{HeaderMap, Method, header};
use axum::response::{Html, IntoResponse};
use serde_json::Value;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi as _};

use crate::platform::api::{described, problem};
use crate::platform::dashboard::Trouble;
use crate::platform::dashboard::frame::Frame;
use crate::platform::dashboard::pages::lang_of;
use crate::platform::dashboard::words::Lang;
use crate::platform::rights::{self, Whose};
use crate::platform::sessions::Visitor;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "bedcheck-platform",
        version = "1",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
        description = "住院在床核查监管平台的接口。用 bedcheck-platform person token 取得令牌，程序以该人身份、按其角色行事；\
            一切读取与办理均入审计。时间为自 1970 年的毫秒，done、due 为终端时钟，received 为平台时钟。列表逐页读取：把 next \
            作为 cursor 传回，直到 next 为空；游标内容无须理解。错误均为 RFC 9457 problem，type 指向 /api 页上的说明。\
            启封证据须两名工作人员在页面上办理，程序不能代办。\n\n\
            The interface of the platform. A program speaks with a token of `bedcheck-platform person token`, as that person \
            and with that role; everything read and done is in the audit trail. Times are milliseconds since 1970: `done` and \
            `due` on the device's clock, `received` on the platform's. Lists come in pages: hand `next` back as `cursor` \
            until it is null; what is in a cursor need not be understood. Every error is a problem (RFC 9457) whose type is \
            explained on the page /api. Evidence is opened by two people on the pages; no program can do it for them."
    ),
    components(schemas(problem::Sent)),
    modifiers(&Token),
    security(("token" = [])),
    servers((url = "/", description = "本平台；仅本机地址 / this platform, on its loopback address")),
    tags((name = "cases", description = "异常与案件 / exceptions and their cases"),
        (name = "orders", description = "抽查 / spot checks"),
        (name = "leads", description = "智慧筛查线索 / leads of the screening"),
        (name = "lists", description = "列表 / lists"),
        (name = "exports", description = "导出 / exports"),
        (name = "exchange", description = "与其他系统交换 / exchange with other systems"))
)]
struct Head;

struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

/// The document without any route.
pub fn head() -> OpenApi {
    Head::openapi()
}

/// The whole document: each operation with whose it is, and with the problems it may answer.
fn whole() -> OpenApi {
    let (_, mut document) = described().split_for_parts();
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in [(Method::GET, &mut item.get), (Method::POST, &mut item.post)] {
            if let Some(operation) = operation {
                finish(&method, path, operation);
            }
        }
    }
    document
}

fn finish(method: &Method, path: &str, operation: &mut Operation) {
    let roles: Vec<&str> = match rights::right(method, path).map(|right| right.whose) {
        Some(Whose::Of(roles)) => roles.iter().map(|role| role.name()).collect(),
        Some(Whose::Anybody) | None => Vec::new(),
    };
    // Names of handlers repeat, and programs name their functions after these.
    let words = path.trim_start_matches("/api/v1").replace(['{', '}'], "").replace('/', "_");
    operation.operation_id = Some(format!("{}{words}", method.as_str().to_lowercase()));
    operation.extensions = Some(ExtensionsBuilder::new().add("x-roles", roles).build());
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Sent"))).build();
    let trouble = ResponseBuilder::new()
        .description("问题 / a problem (RFC 9457)")
        .content(problem::MEDIA_TYPE, content)
        .build();
    operation.responses.responses.insert("default".to_owned(), trouble.into());
    for (status, response) in &mut operation.responses.responses {
        if let utoipa::openapi::RefOr::T(response) = response
            && response.description.is_empty()
        {
            response.description = if status == "200" { "好 / good" } else { "问题 / a problem" }.to_owned();
        }
    }
}

/// Made once: it is the same for everybody.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| whole().to_json().unwrap_or_default());

/// `GET /api/v1/openapi.json`
pub async fn json() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str())
}

#[derive(Template)]
#[template(path = "api.html", config = "src/platform/dashboard/askama.toml")]
struct Page {
    l: Lang,
    f: Frame,
    intro: String,
    groups: Vec<Group>,
    problems: [problem::Kind; problem::KINDS.len()],
}

/// The operations under one tag.
struct Group {
    title: String,
    lines: Vec<Line>,
}

/// One operation.
struct Line {
    method: &'static str,
    path: String,
    summary: String,
    detail: String,
    roles: String,
    parameters: Vec<(String, String)>,
    example: Option<String>,
}

/// `GET /api`: the document for people.
pub async fn page(
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Result<Html<String>, Trouble> {
    let l = lang_of(&headers);
    let document: Value = serde_json::from_str(&DOCUMENT).unwrap_or_default();
    let groups = array(&document["tags"]).iter().map(|tag| group(l, &document, tag)).collect();
    let intro = document["info"]["description"].as_str().unwrap_or_default();
    let intro = intro.split_once("\n\n").map_or(intro, |(zh, en)| l.t(zh, en)).to_owned();
    let f = Frame::new(l, &visitor, "/api", "/api");
    Ok(Html(Page { l, f, intro, groups, problems: problem::KINDS }.render()?))
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The half of a text that is in the reader's language.
fn half(l: Lang, text: &Value) -> String {
    let text = text.as_str().unwrap_or_default();
    text.split_once(" / ").map_or(text, |(zh, en)| l.t(zh, en)).to_owned()
}

fn group(l: Lang, document: &Value, tag: &Value) -> Group {
    let mut lines = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, name) in [("GET", "get"), ("POST", "post")] {
            let operation = &item[name];
            if operation.is_object() && array(&operation["tags"]).contains(&tag["name"]) {
                lines.push(line(l, document, (method, path), operation));
            }
        }
    }
    Group { title: half(l, &tag["description"]), lines }
}

fn line(l: Lang, document: &Value, (method, path): (&'static str, &str), operation: &Value) -> Line {
    let roles = array(&operation["x-roles"]).iter().filter_map(Value::as_str);
    let roles = roles.filter_map(crate::domain::role::Role::named);
    let roles: Vec<&str> = roles.map(|role| l.t(role.chinese(), role.name())).collect();
    let parameters = array(&operation["parameters"]).iter().map(|parameter| {
        let name = parameter["name"].as_str().unwrap_or_default();
        (name.to_owned(), half(l, &parameter["description"]))
    });
    let schema = operation.pointer("/requestBody/content/application~1json/schema/$ref");
    let schema =
        schema.and_then(Value::as_str).and_then(|place| document.pointer(place.trim_start_matches('#')));
    let example = schema.and_then(|schema| schema.get("example"));
    Line {
        method,
        path: path.to_owned(),
        summary: half(l, &operation["summary"]),
        detail: half(l, &operation["description"]),
        roles: roles.join(l.t("、", ", ")),
        parameters: parameters.collect(),
        example: example.map(Value::to_string),
    }
}
