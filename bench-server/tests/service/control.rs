//! The control port over real HTTP: who may ask, what is refused, and that what was reset is what is accounted.

use crate::common::{Control, RUN, http, ledger, place, reset, service, service_with};
use bench_server::OrderService;
use bench_server::control::ControlPort;
use bench_server::token::Token;
use serde_json::json;

/// Dropping a control port waits for its thread, which asks nothing of the test's runtime.
fn open(service: &OrderService) -> (ControlPort, Control) {
    let text = "t".repeat(40);
    let token = Token::given(&text).unwrap();
    let address = ["127.0.0.1:0".parse().unwrap()];
    let port = ControlPort::start(&address, service.clone(), token).unwrap();
    let control = Control {
        address: port.address.to_string(),
        token: text,
    };
    (port, control)
}

#[tokio::test]
async fn nobody_is_answered_without_the_token() {
    let service = service("");
    let (_port, control) = open(&service);
    let (right, wrong) = ("t".repeat(40), "t".repeat(39));
    let shown = [
        None,
        Some("Bearer".to_owned()),
        Some(format!("Bearer {wrong}")),
        Some(format!("Bearer {wrong}u")),
        Some(format!("Bearer {right}t")),
        Some(format!("Basic {right}")),
        Some(right),
    ];
    for path in [
        "/v1/progress",
        "/v1/account",
        "/v1/reset",
        "/v1/nothing",
        "/",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            for shown in &shown {
                let headers: Vec<_> = shown
                    .iter()
                    .map(|shown| ("authorization", shown.clone()))
                    .collect();
                let (status, body) = http(&control.address, method, path, &headers, "").await;
                assert_eq!(status, 401, "{method} {path} {shown:?}");
                let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
                assert!(body["error"].as_str().unwrap().contains("token"), "{body}");
            }
        }
    }
}

#[tokio::test]
async fn the_token_counts_in_its_own_header_alone_and_only_whole() {
    let service = service("");
    let (_port, control) = open(&service);
    let token = "t".repeat(40);
    let elsewhere = [
        ("proxy-authorization", format!("Bearer {token}")),
        ("x-authorization", format!("Bearer {token}")),
        ("hopbench-token", token.clone()),
        ("cookie", format!("token={token}")),
        ("authorization", format!("Token {token}")),
        ("authorization", format!("Bearer{token}")),
        ("authorization", format!("Bearer  {token}")),
    ];
    let prefixes = (0..token.len()).map(|length| {
        let prefix = &token[..length];
        ("authorization", format!("Bearer {prefix}"))
    });
    for header in elsewhere.into_iter().chain(prefixes) {
        let headers = std::slice::from_ref(&header);
        let (status, body) = http(&control.address, "GET", "/v1/account", headers, "").await;
        assert_eq!(status, 401, "{header:?}");
        let body = String::from_utf8_lossy(&body);
        assert!(!body.contains(&token), "{header:?}: {body}");
    }
    for path in [
        format!("/v1/account?token={token}"),
        format!("/v1/account?access_token={token}"),
    ] {
        let (status, _) = http(&control.address, "GET", &path, &[], "").await;
        assert_eq!(status, 401, "{path}");
    }
    let body = format!("{{\"token\": \"{token}\"}}");
    let (status, _) = http(&control.address, "POST", "/v1/slow", &[], body).await;
    assert_eq!(status, 401);
    // Where it belongs, the same token opens.
    assert_eq!(control.call("GET", "/v1/account", "").await.0, 200);
}

#[tokio::test]
async fn a_reset_and_the_orders_after_it_come_back_in_the_account() {
    let service = service("");
    let (_port, control) = open(&service);
    control.reset(&reset()).await;
    place(&service, 25).await;
    let (status, progress) = control.call("GET", "/v1/progress", "").await;
    assert_eq!(status, 200);
    assert_eq!(progress["delivered"], 25);
    assert_eq!(progress["in_service"], 0);
    assert!(progress["cpu_ns"].as_u64().unwrap() > 0);
    let account = control.account().await;
    assert_eq!((account.run, account.spans[0].completed), (RUN, 25));
    assert_eq!(ledger(&account).delivered(), 25);
    assert_eq!(
        crate::common::histogram(&account.spans[0].completion).len(),
        25
    );
}

#[tokio::test]
async fn what_can_not_be_meant_is_refused_with_a_sentence_and_changes_nothing() {
    let service = service("fail=1% workers=3");
    let (_port, control) = open(&service);
    control.reset(&reset()).await;
    let span = json!({"name": "measured", "start_ns": 5, "end_ns": 9});
    let bad = [
        ("/v1/reset", "".to_owned(), "reset"),
        ("/v1/reset", "{".into(), "reset"),
        ("/v1/reset", "[]".into(), "reset"),
        (
            "/v1/reset",
            json!({"run": 1, "start_ns": 0}).to_string(),
            "spans",
        ),
        (
            "/v1/reset",
            json!({"run": -1, "start_ns": 0, "spans": [span]}).to_string(),
            "reset",
        ),
        (
            "/v1/reset",
            json!({"run": 1, "start_ns": 0, "spans": []}).to_string(),
            "spans",
        ),
        (
            "/v1/reset",
            json!({"run": 1, "start_ns": 0, "spans": [span, span]}).to_string(),
            "twice",
        ),
        (
            "/v1/reset",
            json!({"run": 1, "start_ns": 0, "spans": [{"name": "x", "start_ns": 9, "end_ns": 9}]})
                .to_string(),
            "before it ends",
        ),
        (
            "/v1/reset",
            json!({"run": 1, "start_ns": 0, "spans": [span], "slowness": "often"}).to_string(),
            "often",
        ),
        ("/v1/slow", "{}".into(), "slowness"),
        (
            "/v1/slow",
            json!({"slowness": "parsecs"}).to_string(),
            "parsec",
        ),
        (
            "/v1/slow",
            json!({"slowness": "1ms", "more": 1}).to_string(),
            "more",
        ),
    ];
    for (path, body, says) in bad {
        let (status, answer) = control.call("POST", path, &body).await;
        assert_eq!(status, 400, "{path} {body}");
        let sentence = answer["error"].as_str().unwrap();
        assert!(sentence.contains(says), "{path} {body}: {sentence}");
    }
    assert_eq!(control.account().await.run, RUN);
    assert_eq!(service.workers(), Some(3));
}

#[tokio::test]
async fn wrong_paths_methods_and_sizes_are_refused_in_http_s_own_way() {
    let service = service("");
    let (_port, control) = open(&service);
    for (method, path, expected) in [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/reset", 405),
        ("POST", "/v1/account", 405),
    ] {
        let (status, answer) = control.call(method, path, "").await;
        assert_eq!(status, expected, "{method} {path}");
        assert!(answer["error"].as_str().unwrap().starts_with("expected"));
    }
    let (status, answer) = control.call("POST", "/v1/slow", &" ".repeat(2 << 20)).await;
    assert_eq!(status, 413, "{answer}");
}

#[tokio::test]
async fn slowness_and_workers_change_together_and_the_default_bound_returns() {
    let service = service_with("", |options| options.workers = Some(9));
    let (_port, control) = open(&service);
    for (slowness, workers) in [("1ms workers=2", 2), ("1ms", 9)] {
        let body = json!({ "slowness": slowness }).to_string();
        let (status, answer) = control.call("POST", "/v1/slow", &body).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(service.workers(), Some(workers));
        let reread: bench_proto::slowness::Slowness = service.slowness().parse().unwrap();
        assert_eq!(reread, slowness.parse().unwrap());
    }
    let mut reset = reset();
    reset.slowness = Some("workers=4".into());
    control.reset(&reset).await;
    assert_eq!(service.workers(), Some(4));
}

#[tokio::test]
async fn planted_faults_are_reported_beside_the_account() {
    let service = service_with("", |options| {
        options.plant = Some("drop=1/10".parse().unwrap())
    });
    let (_port, control) = open(&service);
    control.reset(&reset()).await;
    place(&service, 100).await;
    let (_, answer) = control.call("GET", "/v1/account", "").await;
    assert_eq!(
        answer["planted"],
        json!({"dropped": 10, "doubled": 0, "swapped": 0})
    );
    assert_eq!(answer["progress"]["delivered"], 90);
}
