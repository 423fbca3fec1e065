//! The serving end: an axum router over hyper, HTTP/1.1 and HTTP/2 on one port.

use super::{CATALOG_PATH, LIST_PATH, Problem, list, path, protocol};
use crate::net::{self, Desk};
use crate::tls::{Door, SPEAKS_TLS};
use crate::{HttpVersion, Listener, Origin, Reply, Service, Settings, h2, travel};
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use bench_proto::{Format, Kind, Stamp};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use http_body::Body as _;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use std::pin::pin;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tower::ServiceExt;

/// How long a peer may take over the head of a request. hyper counts from the last answer, so this also closes
/// connections that were idle for so long: far above any pause inside a run.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a peer may take over a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// After how many seconds an order that was turned away may come again: HTTP has no shorter unit.
const SOON: HeaderValue = HeaderValue::from_static("1");
const YAML: HeaderValue = HeaderValue::from_static("application/yaml");

/// The interface in OpenAPI's words; a test holds it against what this listener does.
const CONTRACT: &str = include_str!("../../../docs/openapi.yaml");
/// Where it is served.
const CONTRACT_PATH: &str = "/openapi.yaml";

/// A small list that is the same for everybody.
const CATALOG: &str = r#"{"products":[{"product_id":"OLJCESPC7Z","name":"Sunglasses"},{"product_id":"66VCHSJNUP","name":"Tank top"},{"product_id":"1YMWWN1N4O","name":"Watch"},{"product_id":"L9ECAV7KIM","name":"Loafers"},{"product_id":"2ZYFJ3GM2N","name":"Hairdryer"}]}"#;

#[derive(Clone)]
struct Shared<S> {
    desk: Desk<S>,
    max_body: usize,
}

/// Serves HTTP/1.1 and HTTP/2 with prior knowledge.
pub async fn serve<S: Service>(settings: &Settings, service: S) -> anyhow::Result<Listener> {
    let (listener, address) = net::bind("rest", &settings.target).await?;
    let (stop, stopping) = watch::channel(false);
    let max_body = settings.max_body;
    let protocols = [HttpVersion::H2, HttpVersion::H1].map(protocol);
    let door = Door::new(settings, &protocols, turned_away)?;
    let left = settings.library_defaults;
    let mut in_force = net::named([
        ("tcp.nodelay", net::nodelay_in_force(left)),
        ("compression", "off".into()),
        ("max_body", max_body.to_string()),
        ("h1.keep_alive", "on".into()),
    ]);
    in_force.extend(h2::in_force(left));
    in_force.extend(door.in_force());
    let desk = Desk::new(service);
    let app = router(desk.clone(), max_body);
    let task = tokio::spawn(async move {
        let builder = builder(left);
        let open = GracefulShutdown::new();
        let mut stop = pin!(net::stopped(stopping));
        loop {
            let stream = tokio::select! {
                stream = net::accept(&listener, left) => stream,
                () = &mut stop => break,
            };
            converse(
                stream,
                door.clone(),
                builder.clone(),
                open.watcher(),
                app.clone(),
                desk.clone(),
            );
        }
        drop(listener);
        let closed = tokio::spawn(open.shutdown());
        desk.idle().await;
        let _ = tokio::time::timeout(net::CLOSING_GRACE, closed).await;
    });
    Ok(Listener::new(address, in_force, stop, task))
}

fn builder(library_defaults: bool) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // A peer that has sent all it wants to send still gets its answer.
        .half_close(true)
        .header_read_timeout(HEAD_TIMEOUT);
    if library_defaults {
        builder.http2().timer(TokioTimer::new());
        return builder;
    }
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(h2::MAX_CONCURRENT_STREAMS)
        .initial_stream_window_size(h2::STREAM_WINDOW)
        .initial_connection_window_size(h2::CONNECTION_WINDOW)
        .adaptive_window(false);
    builder
}

/// What is answered on a TLS port to a connection that begins in plaintext, in the HTTP that it began with.
fn turned_away(first: &[u8]) -> Vec<u8> {
    if b"PRI".starts_with(first) {
        return h2::goaway(SPEAKS_TLS);
    }
    let error = SPEAKS_TLS.to_string();
    let body = serde_json::to_string(&Problem { error }).unwrap_or_default();
    let length = body.len();
    format!("HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}").into_bytes()
}

/// Serves one connection as a task of its own.
fn converse<S: Service>(
    stream: TcpStream,
    door: Door,
    builder: Builder<TokioExecutor>,
    open: Watcher,
    app: Router,
    desk: Desk<S>,
) {
    let respond = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        app.clone().oneshot(request)
    });
    tokio::spawn(async move {
        let rejected = |why| desk.rejected(&format!("rest {why}"));
        let Some(stream) = door.open(stream, rejected).await else {
            return;
        };
        let connection = builder.serve_connection(TokioIo::new(stream), respond);
        let connection = open.watch(connection.into_owned());
        let Err(error) = connection.await else { return };
        match error.downcast_ref::<hyper::Error>() {
            // hyper has answered 400 or 431 itself.
            Some(fault) if fault.is_parse() => desk.rejected("rest head"),
            Some(fault) if fault.is_timeout() => desk.rejected("rest slow head"),
            _ => tracing::debug!(%error, "a rest connection was cut"),
        }
    });
}

fn router<S: Service>(desk: Desk<S>, max_body: usize) -> Router {
    Router::new()
        .route(path(Kind::Order), post(order::<S>))
        .route(LIST_PATH, post(orders::<S>))
        .route(path(Kind::Blob), post(echo::<S>))
        .route(CATALOG_PATH, get(catalog::<S>))
        .route(
            "/healthz",
            get(|| async { json(StatusCode::OK, r#"{"status":"ok"}"#) }),
        )
        .route(
            CONTRACT_PATH,
            get(|| async { respond(StatusCode::OK, YAML, CONTRACT) }),
        )
        .fallback(unknown_path::<S>)
        .method_not_allowed_fallback(wrong_method::<S>)
        .layer(DefaultBodyLimit::max(max_body))
        .with_state(Shared { desk, max_body })
}

/// No order, but it stands in line with them.
async fn catalog<S: Service>(State(shared): State<Shared<S>>) -> Response {
    shared.desk.catalog().await;
    json(StatusCode::OK, CATALOG)
}

async fn order<S: Service>(State(shared): State<Shared<S>>, request: Request) -> Response {
    answer(&shared, Kind::Order, request).await
}

async fn orders<S: Service>(State(shared): State<Shared<S>>, request: Request) -> Response {
    let (format, origin, body) = match read(&shared, request).await {
        Ok(read) => read,
        Err(rejected) => return reject(&shared.desk, rejected),
    };
    if origin.stamp.is_some() {
        let text = format!(
            "expected the Stamps of a list beside its orders, got a {} header; leave it out",
            Stamp::HEADER
        );
        return reject(&shared.desk, ("rest stamp", StatusCode::BAD_REQUEST, text));
    }
    match list::place(&shared.desk, format, &body).await {
        Ok(placed) => respond(
            StatusCode::OK,
            HeaderValue::from_static(format.content_type()),
            format.encode(&placed),
        ),
        Err((what, text)) => reject(&shared.desk, (what, StatusCode::BAD_REQUEST, text)),
    }
}

async fn echo<S: Service>(State(shared): State<Shared<S>>, request: Request) -> Response {
    answer(&shared, Kind::Blob, request).await
}

/// Why a request never became a message: its name among the rejected, the status and the sentence.
type Rejected = (&'static str, StatusCode, String);

async fn answer<S: Service>(shared: &Shared<S>, kind: Kind, request: Request) -> Response {
    let (format, origin, body) = match read(shared, request).await {
        Ok(read) => read,
        Err(rejected) => return reject(&shared.desk, rejected),
    };
    let message = match format.decode_request(kind, &body) {
        Ok(message) => message,
        Err(error) => {
            let rejected = ("rest malformed", StatusCode::BAD_REQUEST, error.to_string());
            return reject(&shared.desk, rejected);
        }
    };
    drop(body);
    match shared.desk.finish(message, origin).await {
        Reply::Done(answer) => respond(
            StatusCode::OK,
            HeaderValue::from_static(format.content_type()),
            answer.encode(format),
        ),
        Reply::Refused(text) => problem(StatusCode::UNPROCESSABLE_ENTITY, text),
        Reply::Failed(text) => problem(StatusCode::INTERNAL_SERVER_ERROR, text),
        Reply::Overloaded(text) => overloaded(text),
    }
}

async fn read<S: Service>(
    shared: &Shared<S>,
    request: Request,
) -> Result<(Format, Origin, Bytes), Rejected> {
    let format = format(request.headers())?;
    let stamp = stamp(request.headers())?;
    let deadline_ns = travel::heard(request.headers())
        .map_err(|text| ("rest timeout", StatusCode::BAD_REQUEST, text))?;
    let oversized = || {
        let text = format!(
            "expected a body of at most {} bytes, got a longer one; send less",
            shared.max_body
        );
        ("rest oversized", StatusCode::PAYLOAD_TOO_LARGE, text)
    };
    if request.body().size_hint().lower() > shared.max_body as u64 {
        return Err(oversized());
    }
    let body = Bytes::from_request(request, &());
    let body = tokio::time::timeout(BODY_TIMEOUT, body).await;
    let body = body.map_err(|_| {
        let text = format!("expected the whole body within {BODY_TIMEOUT:?}; send it again");
        ("rest slow body", StatusCode::REQUEST_TIMEOUT, text)
    })?;
    let body = body.map_err(|fault| match fault.status() {
        StatusCode::PAYLOAD_TOO_LARGE => oversized(),
        _ => {
            let text = format!("expected a whole body, got one cut short: {fault}");
            ("rest truncated", StatusCode::BAD_REQUEST, text)
        }
    })?;
    let origin = Origin {
        stamp,
        deadline_ns,
        ..Origin::default()
    };
    Ok((format, origin, body))
}

fn format(headers: &HeaderMap) -> Result<Format, Rejected> {
    let given = headers.get(CONTENT_TYPE);
    let text = given.and_then(|value| value.to_str().ok());
    text.and_then(Format::of_content_type).ok_or_else(|| {
        let text = format!(
            "expected content-type {} or {}, got {}",
            Format::Json.content_type(),
            Format::Protobuf.content_type(),
            given.map_or("none".into(), |given| String::from_utf8_lossy(
                given.as_bytes()
            )),
        );
        (
            "rest content type",
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            text,
        )
    })
}

fn stamp(headers: &HeaderMap) -> Result<Option<Stamp>, Rejected> {
    let stamp = headers.get(Stamp::HEADER);
    let stamp = stamp.map(|stamp| Stamp::from_text(stamp.as_bytes()));
    stamp
        .transpose()
        .map_err(|error| ("rest stamp", StatusCode::BAD_REQUEST, error.to_string()))
}

async fn unknown_path<S: Service>(State(shared): State<Shared<S>>, request: Request) -> Response {
    let text = format!(
        "expected POST {}, POST {LIST_PATH}, POST {}, GET {CATALOG_PATH}, GET /healthz or GET {CONTRACT_PATH}, got {}",
        path(Kind::Order),
        path(Kind::Blob),
        request.uri().path(),
    );
    reject(&shared.desk, ("rest path", StatusCode::NOT_FOUND, text))
}

async fn wrong_method<S: Service>(State(shared): State<Shared<S>>, request: Request) -> Response {
    let text = format!(
        "expected POST for orders and echoes and GET for the rest, got {} {}",
        request.method(),
        request.uri().path(),
    );
    let rejected = ("rest method", StatusCode::METHOD_NOT_ALLOWED, text);
    reject(&shared.desk, rejected)
}

fn reject<S: Service>(desk: &Desk<S>, (what, status, text): Rejected) -> Response {
    desk.rejected(what);
    problem(status, text)
}

fn overloaded(text: String) -> Response {
    let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, text);
    response.headers_mut().insert(RETRY_AFTER, SOON);
    response
}

fn problem(status: StatusCode, error: String) -> Response {
    let body = serde_json::to_vec(&Problem { error }).unwrap_or_default();
    respond(status, JSON, body)
}

fn json(status: StatusCode, body: &'static str) -> Response {
    respond(status, JSON, body)
}

fn respond(status: StatusCode, content_type: HeaderValue, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
