//! `docs/openapi.yaml` is what the service does: each status of each of its operations is provoked, each answer fits
//! its schema, and nothing that is provoked is missing from it.

use crate::support::hops::{Hop, RestH1, serve, settings};
use crate::support::{PATIENCE, Pace, Shop, bad_order, between_two_ends, good_order};
use bench_proto::{Format, Kind, PayloadClass};
use bench_transport::Listener;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";
/// The listener gives a body 30 s; the test gives it a little more.
const SLOW_BODY: Duration = Duration::from_secs(45);

/// The file, as the listener serves it.
async fn contract(listener: &Listener) -> Value {
    let answer = ask(listener, "GET", "/openapi.yaml", &[], b"").await;
    assert_eq!(
        (answer.status, &*answer.content_type),
        (200, "application/yaml")
    );
    let file = include_str!("../../../docs/openapi.yaml");
    assert_eq!(answer.body, file.as_bytes());
    serde_saphyr::from_str(file).expect("the file is YAML")
}

struct Answered {
    status: u16,
    content_type: String,
    /// Seconds, where it says so.
    retry_after: Option<u64>,
    body: Vec<u8>,
}

async fn ask(
    listener: &Listener,
    method: &str,
    path: &str,
    headers: &[(&str, String)],
    body: &[u8],
) -> Answered {
    let length = ("content-length", body.len().to_string());
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    let given = headers.iter().any(|(name, _)| *name == "content-length");
    for (name, value) in headers.iter().chain((!given).then_some(&length)) {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut stream = TcpStream::connect(&listener.address).await.unwrap();
    let bytes = [request.as_bytes(), b"\r\n", body].concat();
    stream.write_all(&bytes).await.unwrap();
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(SLOW_BODY.max(PATIENCE), reading)
        .await
        .expect("an end");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = answer.split_at(end.expect("a head") + 4);
    let head = String::from_utf8_lossy(head).into_owned();
    let header = |name: &str| {
        let mut lines = head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    Answered {
        status: head[9..12].parse().expect("a status"),
        content_type: header("content-type").unwrap_or_default().to_string(),
        retry_after: header("retry-after").map(|text| text.parse().expect("seconds")),
        body: body.to_vec(),
    }
}

/// A reference of the file, followed.
fn follow<'a>(contract: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => contract
            .pointer(reference.trim_start_matches('#'))
            .unwrap_or_else(|| panic!("{reference} leads nowhere")),
        None => value,
    }
}

/// A validator of a schema of the file, with the file's components in reach.
fn validator(contract: &Value, schema: &Value) -> jsonschema::Validator {
    let mut whole = schema.clone();
    whole["components"] = contract["components"].clone();
    jsonschema::validator_for(&whole).expect("a JSON Schema")
}

fn fits(contract: &Value, schema: &Value, value: &Value, what: &str) {
    let validator = validator(contract, schema);
    let problems: Vec<String> = validator
        .iter_errors(value)
        .map(|problem| problem.to_string())
        .collect();
    assert!(problems.is_empty(), "{what}: {problems:?} in {value}");
}

/// One request, and the status that it is to have.
struct Case {
    method: &'static str,
    path: &'static str,
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    pace: Pace,
}

impl Case {
    fn post(path: &'static str, status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            method: "POST",
            path,
            status,
            headers: vec![("content-type", content_type.to_string())],
            body: body.into(),
            pace: Pace::AtOnce,
        }
    }

    fn get(path: &'static str) -> Self {
        Self {
            method: "GET",
            headers: Vec::new(),
            ..Self::post(path, 200, "", "")
        }
    }

    fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    fn failing(self) -> Self {
        Self {
            pace: Pace::Fails,
            ..self
        }
    }

    fn turned_away(self) -> Self {
        Self {
            pace: Pace::Full,
            ..self
        }
    }
}

/// A good body of each path that takes one, in both formats.
fn bodies() -> [(&'static str, Vec<u8>, Vec<u8>); 3] {
    let order = good_order(0);
    let list = |format: Format| {
        let bodies = [good_order(1), bad_order(2).0].map(|order| format.encode(&order));
        let stamps = [1, 2].map(crate::support::stamp);
        let entries = bodies.iter().zip(&stamps);
        bench_proto::among::list(
            format,
            entries.map(|(body, stamp)| (&body[..], Some(stamp))),
        )
        .to_vec()
    };
    let mut corpus = bench_proto::Corpus::new(PayloadClass::Text(64), 1);
    let blob = corpus.message(0, 0, 0).clone();
    assert_eq!(blob.kind(), Kind::Blob);
    let encoded = |format| blob.encode(format).to_vec();
    [
        (
            "/v1/orders",
            Format::Json.encode(&order).to_vec(),
            Format::Protobuf.encode(&order).to_vec(),
        ),
        (
            "/v1/orders:batch",
            list(Format::Json),
            list(Format::Protobuf),
        ),
        ("/v1/echo", encoded(Format::Json), encoded(Format::Protobuf)),
    ]
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = ["/v1/catalog", "/healthz", "/openapi.yaml"]
        .map(Case::get)
        .into();
    for (path, json, protobuf) in bodies() {
        cases.extend([
            Case::post(path, 200, JSON, json.clone()),
            Case::post(path, 200, PROTOBUF, protobuf),
            Case::post(path, 400, JSON, "{\"half\": "),
            Case::post(path, 400, PROTOBUF, [0x7f; 3]),
            Case::post(path, 400, JSON, json.clone()).with("hopbench-stamp", "not-a-stamp"),
            Case::post(path, 413, JSON, "{}").with("content-length", 9_999_999),
            Case::post(path, 415, "text/xml", json.clone()),
        ]);
        if path != "/v1/orders:batch" {
            cases.push(Case::post(path, 500, JSON, json.clone()).failing());
            cases.push(Case::post(path, 503, JSON, json).turned_away());
        }
    }
    let refused = Format::Json.encode(&bad_order(0).0).to_vec();
    cases.push(Case::post("/v1/orders", 422, JSON, refused));
    cases.push(Case::post("/v1/orders:batch", 400, JSON, "{}"));
    cases
}

/// What the file says of a status of an operation.
fn documented<'a>(contract: &'a Value, case: &Case) -> &'a Value {
    let (method, status) = (case.method.to_lowercase(), case.status.to_string());
    let response = &contract["paths"][case.path][method]["responses"][&status];
    assert!(
        response.is_object(),
        "{} {} {status} is not in the file",
        case.method,
        case.path
    );
    follow(contract, response)
}

/// The answer to a case has the status, the content type and the schema that the file says.
async fn check(contract: &Value, listener: &Listener, shop: &Shop, case: &Case) {
    let what = format!("{} {} {}", case.method, case.path, case.status);
    shop.pace(case.pace);
    let answer = ask(listener, case.method, case.path, &case.headers, &case.body).await;
    assert_eq!(answer.status, case.status, "{what}");
    // Whoever is turned away is told when to come again; nobody else is.
    let promised = documented(contract, case)["headers"]["Retry-After"].is_object();
    assert_eq!(answer.retry_after.is_some(), promised, "{what}");
    let media = &documented(contract, case)["content"][&answer.content_type];
    assert!(media.is_object(), "{what} as {}", answer.content_type);
    if answer.content_type == JSON {
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        fits(contract, &media["schema"], &body, &what);
    }
}

#[test]
fn each_status_of_each_operation_is_what_the_service_does_and_nothing_else_is() {
    between_two_ends(async |service| {
        let shop = Shop::default();
        let listener =
            serve::<RestH1>(&service, &mut settings::<RestH1>(Format::Json), &shop).await;
        let contract = contract(&listener).await;
        let mut provoked = BTreeSet::new();
        for case in cases() {
            check(&contract, &listener, &shop, &case).await;
            let method = case.method.to_lowercase();
            provoked.insert((case.path.to_string(), method, case.status.to_string()));
        }
        let mut said = BTreeSet::new();
        for (path, methods) in contract["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                for status in operation["responses"].as_object().unwrap().keys() {
                    said.insert((path.clone(), method.clone(), status.clone()));
                }
            }
        }
        // A body that does not come takes its 30 s: the test below is for it alone.
        said.retain(|(_, _, status)| status != "408");
        assert_eq!(provoked, said);
        assert_eq!(RestH1::NAME, "rest h1");
        listener.stop().await;
    });
}

#[test]
fn a_body_that_does_not_come_is_the_408_that_the_file_says() {
    between_two_ends(async |service| {
        let shop = Shop::default();
        let listener =
            serve::<RestH1>(&service, &mut settings::<RestH1>(Format::Json), &shop).await;
        let contract = contract(&listener).await;
        let cases = bodies()
            .map(|(path, ..)| Case::post(path, 408, JSON, "{").with("content-length", 1_000));
        let waiting = cases
            .iter()
            .map(|case| check(&contract, &listener, &shop, case));
        futures_util::future::join_all(waiting).await;
        listener.stop().await;
    });
}

#[test]
fn the_requests_of_the_corpora_fit_their_schemas_and_what_is_missing_does_not() {
    between_two_ends(async |service| {
        let shop = Shop::default();
        let listener =
            serve::<RestH1>(&service, &mut settings::<RestH1>(Format::Json), &shop).await;
        let contract = contract(&listener).await;
        for (path, body, _) in bodies() {
            let request = &contract["paths"][path]["post"]["requestBody"];
            let schema = &request["content"][JSON]["schema"];
            let body: Value = serde_json::from_slice(&body).unwrap();
            fits(&contract, schema, &body, path);
            assert!(!validator(&contract, schema).is_valid(&json!([])), "{path}");
        }
        let placed = json!({"$ref": "#/components/schemas/Placed"});
        let validator = validator(&contract, &placed);
        assert!(!validator.is_valid(&json!({})));
        assert!(!validator.is_valid(&json!({"refused": "x", "failed": "y"})));
        for (method, path, status) in [("GET", "/v2", 404), ("PUT", "/v1/orders", 405)] {
            let answer = ask(&listener, method, path, &[], b"").await;
            assert_eq!(answer.status, status);
            let problem: Value = serde_json::from_slice(&answer.body).unwrap();
            let schema = json!({"$ref": "#/components/schemas/Problem"});
            fits(&contract, &schema, &problem, path);
        }
        listener.stop().await;
    });
}
