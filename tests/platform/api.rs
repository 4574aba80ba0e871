//! The interface for programs, over its port: what the document says is what is there, examples run, errors are problems,
//! pages follow one another, a step is taken once.

use std::collections::BTreeSet;

use bedcheck::base::clock::Wall;
use bedcheck::domain::role::Role;
use bedcheck::platform::rights::RIGHTS;
use bedcheck::platform::{people, sessions, trail};
use serde_json::{Value, json};

use crate::world::{NOW, World, exchange, story};

const CASE: &str = "/api/v1/exceptions/ward-3a/S4.04.impersonation.7";

/// A program that speaks as somebody.
struct Program<'w> {
    world: &'w World,
    token: String,
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.body)))
    }

    /// The kind of a problem, which every error is.
    fn problem(&self) -> String {
        assert!(self.head.contains("content-type: application/problem+json"), "{}", self.head);
        let body = self.json();
        assert_eq!(body["status"].as_u64(), Some(u64::from(self.status)), "{body}");
        assert!(body["detail"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
        body["type"].as_str().unwrap().strip_prefix("/api#").unwrap().to_owned()
    }
}

impl<'w> Program<'w> {
    fn new(world: &'w World, role: Role, institution: Option<&str>) -> Program<'w> {
        let name = format!("{}{}", role.chinese(), institution.unwrap_or_default());
        people::add(&world.db(), &name, role, institution, NOW).unwrap();
        let token = sessions::program(&world.db(), &name, NOW, Wall(NOW.0 + 1000)).unwrap();
        Program { world, token }
    }

    async fn send(&self, method: &str, path: &str, lines: &str, body: Option<&str>) -> Answer {
        let address = self.world.running().dashboard;
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (kind, body) = body.map_or((String::new(), ""), |body| {
            (format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()), body)
        });
        let token = &self.token;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\
             {lines}{kind}\r\n{body}"
        );
        let (status, head, body) = exchange(&mut stream, &request).await;
        Answer { status, head, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "", None).await
    }

    async fn step(&self, lines: &str, body: Value) -> Answer {
        self.send("POST", &format!("{CASE}/steps"), lines, Some(&body.to_string())).await
    }
}

/// A ward with a case, and a spot check of it.
async fn world() -> World {
    let world = World::new().await;
    let device = world.device("ward-3a");
    device.uplink().deliver(story(&mut device.journal())).await.unwrap();
    // Under the id of the document's example: those of the platform are random.
    let order = "INSERT INTO spot_order VALUES ('0f1e2d3c4b5a6978', NULL, 'ward', '示范医院', ?1, ?1, 0, NULL, NULL, NULL, NULL)";
    world.db().write(|tx| tx.execute(order, [NOW.0])).unwrap();
    crate::leads::known(&world.db(), &["1ead0001"]);
    world
}

/// Every operation of a document.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, item): (&String, &Value)| {
        let item = item.as_object().unwrap().clone();
        item.into_iter().map(|(method, said)| (method, path.clone(), said)).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of).collect()
}

#[tokio::test]
async fn every_route_is_in_the_document_with_its_roles_and_nothing_else_is() {
    let world = world().await;
    let document = Program::new(&world, Role::Auditor, None).get("/api/v1/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let described: BTreeSet<(String, String)> =
        operations(&document).into_iter().map(|(method, path, _)| (method, path)).collect();
    let is_described = |path: &str| path.starts_with("/api/v1/") && path != "/api/v1/openapi.json";
    let routes: BTreeSet<(String, String)> = RIGHTS
        .iter()
        .filter(|right| is_described(right.path))
        .map(|right| (if right.is_post { "post" } else { "get" }.to_owned(), right.path.to_owned()))
        .collect();
    assert_eq!(described, routes);
    assert!(routes.len() >= 15);
    let mut names = BTreeSet::new();
    for (method, path, said) in operations(&document) {
        assert!(names.insert(said["operationId"].as_str().unwrap().to_owned()), "{method} {path}");
        assert!(!said["x-roles"].as_array().unwrap().is_empty(), "{method} {path}");
        assert!(said["summary"].as_str().unwrap().contains(" / "), "{method} {path}");
        assert_eq!(
            said["responses"]["default"]["content"]["application/problem+json"]["schema"]["$ref"],
            "#/components/schemas/Sent"
        );
    }
    world.end().await;
}

/// The address that the examples of an operation make.
fn example(path: &str, said: &Value) -> String {
    let (mut path, mut query) = (path.to_owned(), Vec::new());
    for parameter in said["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap();
        let value = match &parameter["example"] {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                other.to_string()
            }
        };
        match parameter["in"].as_str().unwrap() {
            "path" => path = path.replace(&format!("{{{name}}}"), &value),
            "query" => query.push(format!("{name}={value}")),
            place => panic!("an example in {place}"),
        }
    }
    assert!(!path.contains('{'), "{path} has no example for a part of it");
    if !query.is_empty() {
        path = format!("{path}?{}", query.join("&"));
    }
    path
}

#[tokio::test]
async fn the_examples_of_the_document_run_and_their_answers_are_as_described() {
    let world = world().await;
    let bureau = Program::new(&world, Role::Supervisor, None);
    let auditor = Program::new(&world, Role::Auditor, None);
    let document = bureau.get("/api/v1/openapi.json").await.json();
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.add_resource("http://bedcheck/openapi.json", document.clone()).unwrap();
    let mut run = 0;
    for (method, path, said) in operations(&document) {
        let asked = example(&path, &said);
        let body = said.pointer("/requestBody/content/application~1json/schema/$ref").map(|schema| {
            let schema = document.pointer(schema.as_str().unwrap().trim_start_matches('#')).unwrap();
            schema["example"].to_string()
        });
        let is_keepers = !said["x-roles"].as_array().unwrap().contains(&json!("supervisor"));
        let program = if is_keepers { &auditor } else { &bureau };
        let answer = program.send(&method.to_uppercase(), &asked, "", body.as_deref()).await;
        assert_eq!(answer.status, 200, "{method} {asked}: {}", String::from_utf8_lossy(&answer.body));
        run += 1;
        if said["responses"]["200"]["content"]["application/json"].is_null() {
            continue;
        }
        let place = path.replace('/', "~1").replace('{', "%7B").replace('}', "%7D");
        let schema = format!(
            "http://bedcheck/openapi.json#/paths/{place}/{method}/responses/200/content/application~1json/schema"
        );
        let schema = compiler.compile(&schema, &mut schemas).unwrap();
        let body = answer.json();
        schemas.validate(&body, schema).unwrap_or_else(|error| panic!("{method} {asked}: {error}\n{body:#}"));
        // A row was really there to be held against it.
        if let Some(list) = path.strip_prefix("/api/v1/").filter(|name| {
            method == "get"
                && ["rows", "ledger", "exceptions", "devices", "coverage", "orders", "leads"].contains(name)
        }) {
            assert!(!body[list].as_array().unwrap().is_empty(), "{path}: {body}");
        }
    }
    assert!(run >= 15, "{run}");
    world.end().await;
}

#[tokio::test]
async fn every_error_is_a_problem() {
    let world = world().await;
    let bureau = Program::new(&world, Role::Supervisor, None);
    let stranger = Program { world: &world, token: "guessed".to_owned() };
    let mut seen = BTreeSet::new();
    let mut check = |answer: Answer, status: u16, kind: &str| {
        assert_eq!((answer.status, answer.problem().as_str()), (status, kind), "{}", answer.head);
        seen.insert(kind.to_owned());
    };
    check(stranger.get("/api/v1/rows").await, 401, "not-signed-in");
    check(bureau.get("/api/v1/audit").await, 403, "forbidden");
    check(bureau.get("/api/v1/nowhere").await, 404, "not-found");
    check(bureau.get("/api/v1/exceptions/ward-3a/none").await, 404, "not-found");
    check(bureau.get("/api/v1/export/score/pdf").await, 404, "not-found");
    check(bureau.send("DELETE", "/api/v1/rows", "", None).await, 405, "method-not-allowed");
    check(bureau.send("POST", "/api/v1/rows", "", Some("{}")).await, 405, "method-not-allowed");
    for bad in ["limit=0", "limit=201", "limit=many", "limit=-1"] {
        check(bureau.get(&format!("/api/v1/ledger?{bad}")).await, 400, "bad-request");
    }
    check(bureau.get("/api/v1/exceptions?state=lost").await, 400, "bad-request");
    check(bureau.get("/api/v1/score?quarter=2026Q9").await, 400, "bad-request");
    check(bureau.get("/api/v1/coverage?from=2026-01-01&to=2026-09-01").await, 400, "bad-request");
    check(bureau.get("/api/v1/coverage?from=yesterday").await, 400, "bad-request");
    let foreign = bureau.get("/api/v1/rows?limit=1").await.json()["next"].as_str().unwrap().to_owned();
    assert_eq!(bureau.get(&format!("/api/v1/rows?cursor={foreign}")).await.status, 200);
    for list in ["ledger", "exceptions", "devices", "verifications"] {
        check(bureau.get(&format!("/api/v1/{list}?cursor={foreign}")).await, 400, "bad-cursor");
    }
    let steps = format!("{CASE}/steps");
    check(bureau.send("POST", &steps, "", Some("{")).await, 400, "bad-request");
    check(
        bureau.send("POST", &steps, "", Some("{\"step\":\"confirm\",\"by\":\"me\"}")).await,
        400,
        "bad-request",
    );
    let form = "content-type: text/plain\r\ncontent-length: 2\r\n";
    check(bureau.send("POST", &steps, form, None).await, 415, "media-type");
    let long = json!({ "step": "confirm", "version": 0, "text": "x".repeat(20_000) }).to_string();
    check(bureau.send("POST", &steps, "", Some(&long)).await, 413, "too-long");
    check(bureau.step("", json!({ "step": "confirm" })).await, 428, "version-missing");
    check(bureau.step("if-match: \"7\"\r\n", json!({ "step": "confirm" })).await, 412, "precondition-failed");
    check(bureau.step("if-match: *\r\n", json!({ "step": "confirm" })).await, 400, "bad-request");
    check(bureau.step("", json!({ "step": "confirm", "version": 7 })).await, 409, "overtaken");
    check(bureau.step("", json!({ "step": "vanish", "version": 0 })).await, 422, "not-allowed");
    check(bureau.step("", json!({ "step": "close", "version": 0 })).await, 422, "not-allowed");
    let (status, head, body) = world.ask("/api/v1/rows", Some("evil.example")).await;
    check(Answer { status, head, body }, 421, "wrong-address");
    // A page for people stays a page.
    assert!(bureau.get("/nowhere").await.head.contains("text/plain"));
    let order = json!({ "kind": "beds", "device": "ward-3a", "beds": ["99"], "minutes": 30 }).to_string();
    check(bureau.send("POST", "/api/v1/orders", "", Some(&order)).await, 422, "not-ordered");
    check(bureau.get("/api/v1/orders/none").await, 404, "not-found");
    check(bureau.get(&format!("{CASE}x/file")).await, 404, "not-found");
    // All but the two that need a used key or a broken disk.
    assert_eq!(seen.len(), 14, "{seen:?}");
    world.end().await;
}

#[tokio::test]
async fn a_case_is_read_and_worked_by_programs_under_the_rules_of_the_page() {
    let world = world().await;
    let bureau = Program::new(&world, Role::Supervisor, None);
    let hospital = Program::new(&world, Role::Officer, Some("示范医院"));
    let other = Program::new(&world, Role::Officer, Some("另一医院"));
    let answer = bureau.get(CASE).await;
    let case = answer.json();
    assert!(answer.head.contains("etag: \"0\""), "{}", answer.head);
    assert_eq!((case["case"]["state"].as_str(), case["chain"].as_str()), (Some("raised"), Some("ok")));
    assert_eq!(case["checks"][0]["verdict"], "Mismatch");
    let evidence = case["checks"][0]["evidence"].as_str().unwrap();
    let sealed = bureau.get(&format!("/api/v1/evidence/ward-3a/{evidence}")).await.json();
    assert_eq!(
        (sealed["is_sealed"].as_bool(), sealed["openings"].as_array().unwrap().len()),
        (Some(true), 0)
    );
    let names: Vec<&str> =
        case["actions"].as_array().unwrap().iter().map(|one| one["step"].as_str().unwrap()).collect();
    assert_eq!(names, ["confirm", "dismiss"]);
    assert_eq!(other.get(CASE).await.status, 404, "another hospital's case");
    assert!(hospital.get(CASE).await.json()["checks"][0]["evidence"].is_null(), "it opens no evidence");

    let done = bureau.step("if-match: \"0\"\r\n", json!({ "step": "confirm" })).await;
    assert_eq!((done.status, done.json()["version"].as_i64()), (200, Some(1)));
    assert_eq!(bureau.step("", json!({ "step": "notify", "version": 1 })).await.status, 200);
    assert_eq!(
        other.step("", json!({ "step": "answer", "version": 2, "reason": "on_leave" })).await.status,
        404
    );
    let overtaken = bureau.step("", json!({ "step": "notify", "version": 1 })).await;
    assert_eq!((overtaken.problem().as_str(), overtaken.json()["version"].as_i64()), ("overtaken", Some(2)));

    // An answer that was lost on its way is asked for again.
    let key = "idempotency-key: 7f1c\r\n";
    let said = json!({ "step": "answer", "version": 2, "reason": "on_leave" });
    let first = hospital.step(key, said.clone()).await;
    let again = hospital.step(key, said.clone()).await;
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    assert_eq!(first.json()["state"], "answered");
    let changed = json!({ "step": "answer", "version": 2, "reason": "examination" });
    assert_eq!(hospital.step(key, changed).await.problem(), "idempotency-key-reused");
    assert_eq!(hospital.step("", said).await.problem(), "overtaken");
    let steps = bureau.get(CASE).await.json()["steps"].as_array().unwrap().clone();
    assert_eq!(steps.len(), 3);
    assert_eq!(
        (steps[2]["person"].as_str(), steps[2]["reason"].as_str()),
        (Some("医保员示范医院"), Some("on_leave"))
    );
    let entries = world.db().read(|db| trail::list(db, None, Some("医保员示范医院"), 50)).unwrap();
    assert_eq!(entries.iter().filter(|entry| entry.act == "answer").count(), 1);
    world.end().await;
}

#[tokio::test]
async fn spot_checks_are_ordered_once_and_read_by_programs_and_a_case_leaves_as_a_file() {
    let world = world().await;
    let bureau = Program::new(&world, Role::Supervisor, None);
    let auditor = Program::new(&world, Role::Auditor, None);
    let hospital = Program::new(&world, Role::Officer, Some("示范医院"));
    let order = async |program: &Program<'_>, lines: &str, said: Value| {
        program.send("POST", "/api/v1/orders", lines, Some(&said.to_string())).await
    };
    let sample = json!({ "kind": "sample", "institution": "示范医院", "count": 1, "minutes": 30 });
    assert_eq!(order(&auditor, "", sample.clone()).await.problem(), "forbidden");
    assert_eq!(order(&hospital, "", sample.clone()).await.problem(), "forbidden");
    let key = "idempotency-key: sample-1\r\n";
    let first = order(&bureau, key, sample.clone()).await;
    assert_eq!((first.status, &first.body), (200, &order(&bureau, key, sample).await.body));
    let id = first.json()["id"].as_str().unwrap().to_owned();
    let ward = json!({ "kind": "ward", "device": "ward-3a", "minutes": 30 });
    assert_eq!(order(&bureau, key, ward).await.problem(), "idempotency-key-reused");
    for (wrong, kind) in [
        (json!({ "kind": "ward", "device": "nowhere", "minutes": 30 }), "not-ordered"),
        (json!({ "kind": "sample", "institution": "示范医院", "count": 201, "minutes": 30 }), "not-ordered"),
        (json!({ "kind": "ward", "device": "ward-3a", "minutes": 0 }), "not-ordered"),
        (json!({ "kind": "ward", "device": "ward-3a" }), "bad-request"),
        (json!({ "kind": "everything", "minutes": 30 }), "bad-request"),
    ] {
        assert_eq!(order(&bureau, "", wrong.clone()).await.problem(), kind, "{wrong}");
    }
    let listed = auditor.get("/api/v1/orders?limit=1").await.json();
    assert_eq!(
        (listed["orders"][0]["id"].as_str(), listed["orders"][0]["person"].as_str()),
        (Some(id.as_str()), Some("监管员"))
    );
    let next = listed["next"].as_str().unwrap();
    let rest = auditor.get(&format!("/api/v1/orders?cursor={next}")).await.json();
    assert_eq!((rest["orders"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
    let one = auditor.get(&format!("/api/v1/orders/{id}")).await.json();
    assert_eq!((one["draw"]["number"].as_i64(), &one["draw"]["seed"]), (Some(0), &Value::Null), "{one}");
    assert_eq!(one["parts"][0]["beds"].as_array().unwrap().len(), 1);

    let file = auditor.get(&format!("{CASE}/file")).await;
    assert!(file.status == 200 && file.head.contains("application/jsonl"), "{}", file.head);
    let audit = bedcheck::audit::examine(&file.body, &Default::default()).unwrap();
    assert!(audit.holds(), "{audit:?}");
    let entries = world.db().read(|db| trail::list(db, None, None, 50)).unwrap();
    let acts = |act: &str| entries.iter().filter(|entry| entry.act == act).count();
    assert_eq!((acts("ordered a spot check"), acts("case file")), (1, 1));
    world.end().await;
}

#[tokio::test]
async fn a_browser_session_writes_nothing_through_the_interface() {
    let world = world().await;
    people::add(&world.db(), "王五", Role::Supervisor, None, NOW).unwrap();
    let secret = sessions::begin(&world.db(), "王五", NOW).unwrap();
    let address = world.running().dashboard;
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let body = json!({ "step": "confirm", "version": 0 }).to_string();
    let request = format!(
        "POST {CASE}/steps HTTP/1.1\r\nhost: {address}\r\ncookie: session={secret}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let (status, head, body) = exchange(&mut stream, &request).await;
    assert_eq!((status, Answer { status, head, body }.problem().as_str()), (403, "forbidden"));
    world.end().await;
}

#[tokio::test]
async fn envelopes_ask_and_answer_in_the_style_of_the_national_interface() {
    let world = world().await;
    let bureau = Program::new(&world, Role::Supervisor, None);
    let hospital = Program::new(&world, Role::Officer, Some("示范医院"));
    let said = async |program: &Program<'_>, infno: &str, msgid: &str, data: Value| {
        let body = json!({
            "infno": infno, "msgid": msgid, "fixmedins_code": "H35010000001", "dev_no": "", "sign_no": "",
            "inf_time": "2026-09-21 22:13:20", "mdtrtarea_admvs": "350100", "input": { "data": data },
        });
        let answer = program.send("POST", "/api/v1/national", "", Some(&body.to_string())).await;
        assert_eq!(answer.status, 200);
        let reply = answer.json();
        assert_eq!(
            (reply["inf_refmsgid"].as_str(), reply["fixmedins_code"].as_str()),
            (Some(msgid), Some("H35010000001"))
        );
        reply
    };
    let found = said(&hospital, "BC01", "1", json!({ "kind": "impersonation" })).await;
    assert_eq!((found["infcode"].as_i64(), found["err_msg"].as_str()), (Some(0), Some("")));
    let row = &found["output"]["data"][0];
    assert_eq!((row["dev_no"].as_str(), row["adm_bed"].as_str()), (Some("ward-3a"), Some("04")));
    assert_eq!(said(&bureau, "BC02", "2", json!({})).await["output"]["data"], json!([]));
    for step in ["confirm", "notify"] {
        let version = if step == "confirm" { 0 } else { 1 };
        assert_eq!(bureau.step("", json!({ "step": step, "version": version })).await.status, 200);
    }
    let answer = json!({ "dev_no": "ward-3a", "excp_no": row["excp_no"], "ver": 2, "rea": "on_leave" });
    assert_eq!(said(&bureau, "BC03", "3", answer.clone()).await["infcode"], -1, "not the bureau's step");
    let first = said(&hospital, "BC03", "4", answer.clone()).await;
    assert_eq!((first["infcode"].as_i64(), first["output"]["stas"].as_str()), (Some(0), Some("answered")));
    assert_eq!(said(&hospital, "BC03", "4", answer.clone()).await["output"], first["output"]);
    let late = said(&hospital, "BC03", "5", answer).await;
    assert!(late["infcode"] == -1 && late["err_msg"].as_str().unwrap().contains("他人已先处理"), "{late}");
    for (infno, data) in [
        ("2401", json!({})),
        ("BC01", json!({ "cursor": "nonsense" })),
        ("BC01", json!({ "stas": "lost" })),
        ("BC03", json!({ "dev_no": "ward-3a" })),
    ] {
        let reply = said(&hospital, infno, "6", data).await;
        assert!(reply["infcode"] == -1 && !reply["err_msg"].as_str().unwrap().is_empty(), "{reply}");
    }
    let entries = world.db().read(|db| trail::list(db, None, Some("医保员示范医院"), 50)).unwrap();
    assert!(entries.iter().any(|entry| entry.act == "exchange"));
    world.end().await;
}

#[tokio::test]
async fn exports_hold_what_the_queue_shows_and_no_formula() {
    use calamine::{Data, Reader, Xlsx};
    let world = world().await;
    let bureau = Program::new(&world, Role::Supervisor, None);
    world
        .db()
        .write(|tx| {
            tx.execute("UPDATE exception SET masked_name = '=HYPERLINK(\"http://evil.example\")'", [])
        })
        .unwrap();
    let csv = bureau.get("/api/v1/export/exceptions/csv?state=open").await;
    assert!(csv.head.contains("text/csv") && csv.head.contains("exceptions.csv"), "{}", csv.head);
    let text = String::from_utf8(csv.body).unwrap();
    let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.unwrap()).collect();
    assert_eq!((rows.len(), &rows[0][3], &rows[0][10]), (1, "S4.04.impersonation.7", "04"));
    assert_eq!(&rows[0][12], "'=HYPERLINK(\"http://evil.example\")");
    let none = bureau.get("/api/v1/export/exceptions/csv?kind=hanging_bed").await;
    assert_eq!(String::from_utf8(none.body).unwrap().lines().count(), 1);
    let book = bureau.get("/api/v1/export/exceptions/xlsx").await.body;
    let mut book: Xlsx<_> = Xlsx::new(std::io::Cursor::new(book)).unwrap();
    assert!(book.worksheet_formula("异常").unwrap().is_empty());
    let sheet = book.worksheet_range("异常").unwrap();
    assert_eq!(sheet.get((1, 12)), Some(&Data::String("=HYPERLINK(\"http://evil.example\")".to_owned())));
    let score = bureau.get("/api/v1/export/score/csv?quarter=2026Q3").await;
    assert!(String::from_utf8(score.body).unwrap().contains("示范医院,2026Q3,"));
    world.end().await;
}

#[tokio::test]
async fn exceptions_and_the_trail_leave_as_fhir() {
    let world = world().await;
    let bureau = Program::new(&world, Role::Supervisor, None);
    let auditor = Program::new(&world, Role::Auditor, None);
    let answer = bureau.get("/api/v1/fhir/DetectedIssue?kind=impersonation").await;
    assert!(answer.head.contains("application/fhir+json"), "{}", answer.head);
    let bundle = answer.json();
    let issue = &bundle["entry"][0]["resource"];
    assert_eq!((bundle["type"].as_str(), issue["status"].as_str()), (Some("searchset"), Some("preliminary")));
    assert_eq!(issue["identifier"][0]["value"], "ward-3a/S4.04.impersonation.7");
    assert!(bureau.get("/api/v1/fhir/DetectedIssue?kind=none").await.json()["entry"].is_null());
    let page = auditor.get("/api/v1/fhir/AuditEvent?limit=1").await.json();
    assert_eq!(page["entry"][0]["resource"]["subtype"][0]["code"], "export");
    let next = page["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next").unwrap();
    let next = auditor.get(next["url"].as_str().unwrap()).await.json();
    assert_ne!(next["entry"][0]["resource"]["id"], page["entry"][0]["resource"]["id"]);
    world.end().await;
}

#[tokio::test]
async fn the_interface_has_a_page_for_people_chinese_first() {
    let world = world().await;
    let auditor = Program::new(&world, Role::Auditor, None);
    let page = String::from_utf8(auditor.get("/api").await.body).unwrap();
    for expected in [
        "异常队列",
        "/api/v1/exceptions/{device}/{id}/steps",
        "id=\"overtaken\"",
        "confirm",
        "/api/v1/openapi.json",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
    assert!(!page.contains("<script"));
    let english = String::from_utf8(auditor.get("/api?lang=en").await.body).unwrap();
    assert!(english.contains("somebody decided first"));
    world.end().await;
}
