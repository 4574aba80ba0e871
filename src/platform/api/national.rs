//! Envelopes in the style of the national insurance interface, for hospital systems that speak nothing else: one endpoint,
//! a transaction number, the answer in `output`. Errors are told inside the envelope (`infcode` -1), as there.
//!
//! | infno | what |
//! |---|---|
//! | `BC01` | asks for exceptions (`kind`, `stas`, `cursor`, `limit`) |
//! | `BC02` | asks for results of kiosks (`cursor`, `limit`) |
//! | `BC03` | the hospital's answer to a case (`dev_no`, `excp_no`, `ver`, `rea`, `memo`) |
//!
//! The numbers are ours: the national interface has none for this. The shape follows what hospital systems send
//! (`hospital::national` reads it too); no endpoint of the NHSA was ever spoken to.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::base::clock::Wall;
use crate::base::files::sha256_hex;
use crate::domain::handling::Step;
use crate::platform::answered::{self, Answer};
use crate::platform::api::lists::{QUEUE, Sought};
use crate::platform::api::problem::Problem;
use crate::platform::cursor;
use crate::platform::dashboard::{Dashboard, Trouble, words};
use crate::platform::db::{self, Connection, Database};
use crate::platform::handling::{Decision, NotTaken, take_in};
use crate::platform::listing::{self, TimeKey};
use crate::platform::queue::{self, Queued};
use crate::platform::sessions::Visitor;
use crate::platform::table::china_time;
use crate::platform::verifications::Verified;

const MOST: usize = 200;
const USUAL: usize = 50;
const MOST_MSGID: usize = 64;

/// What a hospital system sends. Fields that are not used here are taken and left alone: senders have their own.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[schema(example = json!({
    "infno": "BC01", "msgid": "H35010000001202609210001", "fixmedins_code": "H35010000001",
    "inf_time": "2026-09-21 22:13:20", "sign_no": "", "input": { "data": { "kind": "impersonation", "limit": 20 } }
}))]
pub struct Envelope {
    /// BC01, BC02, BC03
    pub infno: String,
    /// 报文编号；重发时不变 / of the message; the same when it is sent again
    pub msgid: String,
    /// 机构编码：原样返回，不作核对（平台按令牌所属机构授权） / given back as it came and not checked: the token says whose it is
    #[serde(default)]
    pub fixmedins_code: String,
    #[serde(default)]
    pub dev_no: String,
    #[serde(default)]
    pub sign_no: String,
    #[serde(default)]
    pub inf_time: String,
    #[serde(default)]
    #[schema(value_type = Object)]
    pub input: Value,
}

/// The answer's envelope.
#[derive(Serialize, ToSchema)]
pub struct Reply {
    /// 0 成功，-1 失败 / 0 is good, -1 is not
    infcode: i8,
    infno: String,
    inf_refmsgid: String,
    fixmedins_code: String,
    refmsg_time: String,
    respond_time: String,
    err_msg: String,
    #[schema(value_type = Object)]
    output: Value,
}

/// `POST /api/v1/national`
#[utoipa::path(post, path = "/api/v1/national", tag = "exchange",
    summary = "医保接口风格报文 / Envelopes in the style of the national interface",
    description = "BC01 查异常、BC02 查窗口核查、BC03 医院答复。编号为本平台自定；报文格式仿照国家医保接口，未与国家医保局的任何真实端点\
                   联调。业务错误在报文内以 infcode -1 返回。 / BC01 asks for exceptions, BC02 for results of kiosks, BC03 is \
                   the hospital's answer. The numbers are ours; the shape is in the style of the national interface and was \
                   verified against no real endpoint of it. What is wrong with a message is told inside it: infcode -1.",
    request_body = Envelope,
    responses((status = 200, body = Reply)))]
pub async fn exchange(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(who): Extension<Visitor>,
    asked: Result<Json<Envelope>, JsonRejection>,
) -> Result<Response, Problem> {
    // No envelope, no reply in one: made a problem where every answer passes.
    let Json(asked) = match asked {
        Ok(asked) => asked,
        Err(rejection) => return Ok(rejection.into_response()),
    };
    let (db, now, envelope) = (dashboard.db.clone(), dashboard.clock.now().wall, asked.clone());
    let work = move || said(&db, &who, &envelope, now);
    let said = tokio::task::spawn_blocking(work).await.map_err(|_| Problem::from(Trouble::Gone))??;
    let (infcode, err_msg, output) = match said {
        Ok(output) => (0, String::new(), output),
        Err(why) => (-1, why, json!({})),
    };
    let reply = Reply {
        infcode,
        infno: asked.infno,
        inf_refmsgid: asked.msgid,
        fixmedins_code: asked.fixmedins_code,
        refmsg_time: asked.inf_time,
        respond_time: china_time(now.0),
        err_msg,
        output,
    };
    Ok(Json(reply).into_response())
}

/// What a message is answered: an output, or what is wrong with it.
type Said = Result<Value, String>;

fn said(db: &Database, who: &Visitor, asked: &Envelope, now: Wall) -> Result<Said, Problem> {
    if asked.msgid.is_empty() || asked.msgid.len() > MOST_MSGID {
        return Ok(Err("msgid 须为 1 至 64 字符 / msgid has 1 to 64 characters".to_owned()));
    }
    let data = &asked.input["data"];
    Ok(match asked.infno.as_str() {
        "BC01" => match page::<String>(QUEUE, data) {
            Ok(page) => db.read(|connection| exceptions(connection, who, data, page, now))?,
            Err(why) => Err(why),
        },
        "BC02" => match page::<TimeKey>(listing::VERIFICATIONS, data) {
            Ok(page) => Ok(db.read(|connection| verifications(connection, who, page))?),
            Err(why) => Err(why),
        },
        "BC03" => answer(db, who, asked, now)?,
        other => Err(format!("infno {other:?} 未知；可用 / known are: BC01, BC02, BC03")),
    })
}

fn page<K: serde::de::DeserializeOwned>(list: &str, data: &Value) -> Result<(Option<K>, usize), String> {
    let most = data["limit"].as_u64().and_then(|most| usize::try_from(most).ok()).unwrap_or(USUAL);
    let cursor = data["cursor"].as_str().filter(|text| !text.is_empty());
    let read =
        |text| cursor::key(list, text).ok_or("cursor 无效 / the cursor is not one of this list".to_owned());
    Ok((cursor.map(read).transpose()?, most.clamp(1, MOST)))
}

fn exceptions(
    connection: &Connection,
    who: &Visitor,
    data: &Value,
    (after, most): (Option<String>, usize),
    now: Wall,
) -> db::Result<Said> {
    let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
    let sought = Sought { kind: text("kind"), state: text("stas"), ..Sought::default() };
    let filter = match sought.filter(after) {
        Ok(filter) => filter,
        Err(problem) => return Ok(Err(problem.detail().to_owned())),
    };
    let page = queue::page_of(connection, &filter, who.scope(), now, most)?;
    let next = page.next.and_then(|place| cursor::after(QUEUE, &place));
    Ok(Ok(json!({ "data": page.rows.iter().map(exception).collect::<Vec<_>>(), "cursor": next })))
}

fn exception(queued: &Queued) -> Value {
    let row = &queued.row;
    json!({
        "fixmedins_name": row.institution,
        "ward": row.ward,
        "dev_no": row.device,
        "excp_no": row.id,
        "excp_type": row.kind,
        "excp_type_name": words::kind(&row.kind).zh,
        "excp_stas": row.state,
        "stas": queued.handling.name(),
        "ver": queued.version,
        "mdtrt_id": row.stay,
        "adm_bed": row.bed,
        "psn_name": row.masked_name,
        "begntime": china_time(row.first),
        "updt_time": china_time(row.last),
        "endtime": row.ended.map(china_time),
    })
}

fn verifications(
    connection: &Connection,
    who: &Visitor,
    page: (Option<TimeKey>, usize),
) -> db::Result<Value> {
    let page = listing::verifications(connection, who.scope(), page)?;
    Ok(json!({ "data": page.rows.iter().map(verification).collect::<Vec<_>>(), "cursor": page.next }))
}

fn verification(row: &Verified) -> Value {
    json!({
        "dev_no": row.device,
        "vrf_no": row.event,
        "vrf_type": row.purpose,
        "vrf_rslt": row.outcome,
        "mdtrt_id": row.stay,
        "psn_name": row.masked_name,
        "oprt_time": china_time(row.done_ms),
        "crte_time": china_time(row.received_ms),
    })
}

/// What a hospital says to a case.
#[derive(Deserialize)]
struct Said03 {
    dev_no: String,
    excp_no: String,
    ver: i64,
    rea: String,
    #[serde(default)]
    memo: String,
}

/// An answer is a step like any other; sent again with the same `msgid` it gets the first reply.
fn answer(db: &Database, who: &Visitor, asked: &Envelope, now: Wall) -> Result<Said, Problem> {
    let said: Said03 = match serde_json::from_value(asked.input["data"].clone()) {
        Ok(said) => said,
        Err(error) => return Ok(Err(format!("input.data: {error}"))),
    };
    let key = format!("national {}", asked.msgid);
    let request = sha256_hex(&serde_json::to_vec(&asked.input).unwrap_or_default());
    let kept = db.write(|tx| {
        if let Some(first) = answered::find(tx, (&who.name, &key), &request, now)? {
            return Ok(first);
        }
        let reason = Some(said.rea.clone()).filter(|reason| !reason.is_empty());
        let decision = Decision { step: Step::Answer, version: said.ver, reason, text: said.memo.clone() };
        let reply = match take_in(tx, (&said.dev_no, &said.excp_no), who, &decision, now)? {
            Ok(state) => (200, json!({ "stas": state.name(), "ver": said.ver + 1 }).to_string()),
            Err(NotTaken::Database(error)) => return Err(error.cause),
            Err(why) => (409, why.to_string()),
        };
        answered::keep(tx, (&who.name, &key), &request, &reply, now)?;
        Ok(Answer::Was(reply))
    })?;
    Ok(match kept {
        Answer::Was((200, output)) => Ok(serde_json::from_str(&output).unwrap_or_default()),
        Answer::Was((_, why)) => Err(why),
        Answer::OfAnother => {
            Err("msgid 已用于另一报文 / this msgid came with another message before".to_owned())
        }
    })
}
