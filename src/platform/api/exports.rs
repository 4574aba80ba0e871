//! Exceptions and scores as tables for spreadsheets.

use std::sync::Arc;

use axum::extract::{Extension, Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::platform::api::lists::{QUEUE, Sought};
use crate::platform::api::problem::{self, Problem};
use crate::platform::api::scores::{self, Score};
use crate::platform::cursor;
use crate::platform::dashboard::words;
use crate::platform::dashboard::{Dashboard, Trouble, case_words};
use crate::platform::db::Connection;
use crate::platform::keys::uri;
use crate::platform::queue::{self, Queued};
use crate::platform::sessions::Visitor;
use crate::platform::table::{Cell, Table, TableError, china_time};

/// Rows of one file; the next ones are at the address in `Link`.
const MOST_ROWS: usize = 10_000;

/// How a table is written.
#[derive(Clone, Copy)]
enum Form {
    Csv,
    Xlsx,
}

impl Form {
    fn named(ending: &str) -> Result<Form, Problem> {
        match ending {
            "csv" => Ok(Form::Csv),
            "xlsx" => Ok(Form::Xlsx),
            _ => Err(Problem::new(problem::NOT_FOUND)),
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Form::Csv => "text/csv; charset=utf-8",
            Form::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        }
    }

    fn write(self, table: &Table) -> Result<Vec<u8>, TableError> {
        match self {
            Form::Csv => table.csv(),
            Form::Xlsx => table.xlsx(),
        }
    }
}

const EXCEPTION_HEAD: &[&str] = &[
    "机构 institution",
    "病区 ward",
    "终端 device",
    "编号 id",
    "种类 kind",
    "种类（中文）",
    "现场 state",
    "案件 case",
    "案件（中文）",
    "版本 version",
    "床位 bed",
    "就诊 stay",
    "姓名 name",
    "结论 verdict",
    "轮次 rounds",
    "首次 first",
    "最近 last",
    "解除 ended",
    "应办 due",
    "已上报 escalated",
];

fn exception_row(queued: Queued) -> Vec<Cell> {
    let Queued { row, handling, version, due, escalated } = queued;
    let text = |text: &str| Cell::Text(text.to_owned());
    let at = |at: Option<i64>| Cell::from(at.map(china_time));
    let kind = words::kind(&row.kind).zh;
    vec![
        Cell::Text(row.institution),
        Cell::Text(row.ward),
        Cell::Text(row.device),
        Cell::Text(row.id),
        Cell::Text(row.kind),
        text(kind),
        Cell::Text(row.state),
        text(handling.name()),
        text(case_words::state(handling).zh),
        Cell::Number(version as f64),
        Cell::from(row.bed),
        Cell::from(row.stay),
        Cell::from(row.masked_name),
        Cell::from(row.verdict),
        Cell::Number(row.rounds as f64),
        Cell::Text(china_time(row.first)),
        Cell::Text(china_time(row.last)),
        at(row.ended),
        at(due),
        text(if escalated { "1" } else { "0" }),
    ]
}

/// `GET /api/v1/export/exceptions.{form}`
#[utoipa::path(get, path = "/api/v1/export/exceptions/{form}", tag = "exports",
    params(("form" = String, Path, description = "csv, xlsx", example = "xlsx"), Sought,
        ("cursor" = Option<String>, Query, description = "上一份 Link 所示 / as in `Link` of the file before")),
    summary = "导出异常 / Exceptions as a table",
    description = "筛选同异常队列，CSV（UTF-8）或 XLSX；每份最多 10000 行，其余见 Link 头。公式一律写作文字。 / Filtered as \
                   the queue, as CSV (UTF-8) or XLSX; 10,000 rows at most, the rest at the address in `Link`. Nothing in \
                   it is a formula.",
    responses((status = 200, description = "文件 / the file",
        content((String = "text/csv"),
            (Vec<u8> = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")))))]
pub async fn exceptions(
    State(dashboard): State<Arc<Dashboard>>,
    Path(form): Path<String>,
    Query(sought): Query<Sought>,
    Query(place): Query<Place>,
    Extension(who): Extension<Visitor>,
) -> Result<Response, Problem> {
    let (form, now, asked) = (Form::named(&form)?, dashboard.clock.now().wall, sought.clone());
    let filter = sought.filter(place.read()?)?;
    let ending = if matches!(form, Form::Csv) { "csv" } else { "xlsx" };
    let work =
        move |connection: &Connection| queue::page_of(connection, &filter, who.scope(), now, MOST_ROWS);
    let page = dashboard.read(work).await?;
    let next = page.next.and_then(|place| cursor::after(QUEUE, &place));
    let rows = page.rows.into_iter().map(exception_row).collect();
    let table = Table { name: "异常", head: EXCEPTION_HEAD, rows };
    let mut answer = file(form, &table, "exceptions").await?;
    let link = next.map(|next| {
        format!("</api/v1/export/exceptions/{ending}?{}cursor={}>; rel=\"next\"", asked.query(), uri(&next))
    });
    if let Some(link) = link.and_then(|link| link.parse().ok()) {
        answer.headers_mut().insert(header::LINK, link);
    }
    Ok(answer)
}

/// Where a file begins.
#[derive(serde::Deserialize)]
pub struct Place {
    cursor: Option<String>,
}

impl Place {
    fn read(&self) -> Result<Option<String>, Problem> {
        let read = |text: &String| cursor::key(QUEUE, text).ok_or(Problem::new(problem::BAD_CURSOR));
        self.cursor.as_ref().map(read).transpose()
    }
}

const SCORE_HEAD: &[&str] = &[
    "机构 institution",
    "季度 quarter",
    "评分 score",
    "覆盖率 coverage",
    "在床率 presence",
    "应查 due",
    "已核实 verified",
    "有据离床 excused",
    "无法判定 unclear",
    "不符 against",
    "未执行 missed",
];

/// `GET /api/v1/export/score/{form}`
#[utoipa::path(get, path = "/api/v1/export/score/{form}", tag = "exports",
    params(("form" = String, Path, description = "csv, xlsx", example = "csv"), scores::Wish),
    summary = "导出评分 / Scores as a table",
    description = "一季度各机构评分。 / The scores of a quarter.",
    responses((status = 200, description = "文件 / the file",
        content((String = "text/csv"),
            (Vec<u8> = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")))))]
pub async fn score(
    State(dashboard): State<Arc<Dashboard>>,
    Path(form): Path<String>,
    Query(wish): Query<scores::Wish>,
    Extension(who): Extension<Visitor>,
) -> Result<Response, Problem> {
    let (form, now) = (Form::named(&form)?, dashboard.clock.now().wall);
    let (quarter, found) = scores::read(&dashboard, &wish, who, now).await?;
    let row = |score: Score| {
        let Score {
            institution,
            score,
            coverage,
            presence,
            due,
            verified,
            excused,
            unclear,
            against,
            missed,
            ..
        } = score;
        let mut row = vec![Cell::Text(institution), Cell::Text(quarter.clone())];
        row.extend([score, coverage, presence].map(Cell::from));
        row.extend(
            [due, verified, excused, unclear, against, missed].map(|count| Cell::Number(count as f64)),
        );
        row
    };
    let table = Table { name: "评分", head: SCORE_HEAD, rows: found.into_iter().map(row).collect() };
    file(form, &table, &format!("presence-{quarter}")).await
}

async fn file(form: Form, table: &Table, name: &str) -> Result<Response, Problem> {
    let table = table.clone();
    let written = tokio::task::spawn_blocking(move || form.write(&table)).await;
    let bytes = written.map_err(|_| Trouble::Gone)?.map_err(Trouble::from)?;
    let ending = if matches!(form, Form::Csv) { "csv" } else { "xlsx" };
    let place = format!("attachment; filename=\"{name}.{ending}\"");
    let head = [(header::CONTENT_TYPE, form.media_type().to_owned()), (header::CONTENT_DISPOSITION, place)];
    Ok((head, bytes).into_response())
}
