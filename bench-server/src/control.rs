//! The control port: HTTP/1.1 and JSON behind a bearer token, on a thread of its own, so that asking never takes the
//! place of an order. It knows the service's account, and no transport.

use crate::run::check_spans;
use crate::service::OrderService;
use crate::token::Token;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use bench_proto::burden;
use bench_proto::control::{Account, Reset};
use bench_proto::slowness::Slowness;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Largest body that the control port takes: a reset with all its spans is a few kB.
const MAX_BODY: usize = 1 << 20;

/// A running control port; ends when it is dropped.
#[derive(Debug)]
pub struct ControlPort {
    /// Where it listens.
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The body of `POST /v1/slow`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slow {
    /// A specification of the slowness language.
    pub slowness: String,
}

/// A refusal: a status and a sentence.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "error": self.1 }).to_string();
        (self.0, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

fn json<T: Serialize>(value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => Refused(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the answer could not be written as JSON: {error}"),
        )
        .into_response(),
    }
}

fn bad(sentence: String) -> Refused {
    Refused(StatusCode::BAD_REQUEST, sentence)
}

fn body_of<T: DeserializeOwned>(
    body: Result<Bytes, BytesRejection>,
    expected: &str,
) -> Result<T, Refused> {
    let body = body.map_err(|rejection| Refused(rejection.status(), rejection.body_text()))?;
    serde_json::from_slice(&body)
        .map_err(|error| bad(format!("expected {expected} as JSON; {error}")))
}

fn slowness_of(text: &str) -> Result<Slowness, Refused> {
    text.parse().map_err(bad)
}

async fn reset(
    State(service): State<OrderService>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refused> {
    let reset: Reset = body_of(body, "a reset: run, start_ns, spans and perhaps slowness")?;
    check_spans(&reset.spans).map_err(bad)?;
    // Everything is checked before anything changes.
    let slowness = reset.slowness.as_deref().map(slowness_of).transpose()?;
    service.reset(&reset, slowness);
    Ok(json(&service.progress()))
}

async fn slow(
    State(service): State<OrderService>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refused> {
    let Slow { slowness } = body_of(body, "{\"slowness\": \"…\"}")?;
    service.slow(slowness_of(&slowness)?);
    Ok(json(&service.progress()))
}

async fn progress(State(service): State<OrderService>) -> Response {
    json(&service.progress())
}

async fn account(State(service): State<OrderService>) -> Response {
    let (account, planted) = service.account();
    let codec = burden::borne().map(|count| ("codec".to_owned(), count));
    let planted = planted.map(|planted| planted.named().chain(codec).collect());
    json(&Account { planted, ..account })
}

/// Lets nobody through without the token, whatever the path.
async fn authorised(State(token): State<Token>, request: Request, next: Next) -> Response {
    let shown = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.as_bytes().split_first_chunk::<7>())
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "))
        .map(|(_, shown)| shown);
    if shown.is_some_and(|shown| token.is(shown)) {
        return next.run(request).await;
    }
    let sentence = if shown.is_some() {
        "this is not the token of this service; read it anew from the token file that its ready line names"
    } else {
        "expected the header `Authorization: Bearer TOKEN`; the token is in the file that the service's ready line names"
    };
    let refused = Refused(StatusCode::UNAUTHORIZED, sentence.into()).into_response();
    ([(header::WWW_AUTHENTICATE, "Bearer")], refused).into_response()
}

fn router(service: OrderService, token: Token) -> Router {
    Router::new()
        .route("/v1/reset", post(reset))
        .route("/v1/slow", post(slow))
        .route("/v1/progress", get(progress))
        .route("/v1/account", get(account))
        .fallback(async || {
            Refused(
                StatusCode::NOT_FOUND,
                "expected POST /v1/reset, POST /v1/slow, GET /v1/progress or GET /v1/account"
                    .into(),
            )
        })
        .method_not_allowed_fallback(async || {
            Refused(
                StatusCode::METHOD_NOT_ALLOWED,
                "expected POST for /v1/reset and /v1/slow, GET for /v1/progress and /v1/account"
                    .into(),
            )
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(token, authorised))
        .with_state(service)
}

impl ControlPort {
    /// Starts the control port on a thread and a runtime of its own.
    pub fn start(
        address: &[SocketAddr],
        service: OrderService,
        token: Token,
    ) -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind(address).map_err(|error| {
            anyhow::anyhow!(
                "the control port could not listen on {}: {error}; give another address with --control",
                crate::cli::written(address)
            )
        })?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("control".into());
        let thread = thread.spawn(move || {
            runtime.block_on(async move {
                let listener = match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => listener.tap_io(|stream| {
                        let _ = stream.set_nodelay(true);
                    }),
                    Err(error) => return tracing::error!("the control port ended: {error}"),
                };
                let serving = axum::serve(listener, router(service, token));
                tokio::select! {
                    served = serving.into_future() => {
                        if let Err(error) = served {
                            tracing::error!("the control port ended: {error}");
                        }
                    }
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for ControlPort {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
