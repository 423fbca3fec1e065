//! The instrument's end of the control port: HTTP/1.1, JSON, bearer token, one connection per question, so that
//! nothing of it is open during a measured window.

use bench_proto::control::{Account, Progress, Reset};
use bench_proto::slowness::Slowness;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpStream;

/// A control port that does not answer within this is as good as none.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why the control port did not help.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// It cannot be reached or broke off.
    #[error(
        "the service's control port at {address} could not be asked for {what}: {problem}; is the service still running?"
    )]
    Unreachable {
        /// Where.
        address: String,
        /// For what.
        what: String,
        /// What came.
        problem: String,
    },
    /// It answered otherwise than with 200.
    #[error("the service's control port at {address} answered {status} to {what}: {text}")]
    Refused {
        /// Where.
        address: String,
        /// To what.
        what: String,
        /// The status.
        status: StatusCode,
        /// Its sentence.
        text: String,
    },
    /// The token's file cannot be read.
    #[error(
        "the control port's token file {path} could not be read: {source}; give the file that `bench-server` named when it started"
    )]
    Token {
        /// The file.
        path: String,
        /// What came.
        source: std::io::Error,
    },
}

/// Asks one service.
#[derive(Clone, Debug)]
pub struct Control {
    address: String,
    token: String,
}

impl Control {
    /// The control port at `address`, with the token from its file.
    pub fn new(address: &str, token_file: &Path) -> Result<Self, ControlError> {
        let token = std::fs::read_to_string(token_file).map_err(|source| ControlError::Token {
            path: token_file.display().to_string(),
            source,
        })?;
        Ok(Self {
            address: address.into(),
            token: token.trim().into(),
        })
    }

    /// Forget the last run, expect this one.
    pub async fn reset(&self, reset: &Reset) -> Result<(), ControlError> {
        self.ask::<serde_json::Value>(Method::POST, "/v1/reset", Some(reset))
            .await
            .map(drop)
    }

    /// Be as slow as this from the next order on.
    pub async fn slow(&self, slowness: &Slowness) -> Result<(), ControlError> {
        let wanted = serde_json::json!({ "slowness": slowness.to_string() });
        self.ask::<serde_json::Value>(Method::POST, "/v1/slow", Some(&wanted))
            .await
            .map(drop)
    }

    /// How far the service is.
    pub async fn progress(&self) -> Result<Progress, ControlError> {
        self.ask(Method::GET, "/v1/progress", None::<&()>).await
    }

    /// Everything it knows about the run.
    pub async fn account(&self) -> Result<Account, ControlError> {
        self.ask(Method::GET, "/v1/account", None::<&()>).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, ControlError> {
        let what = format!("{method} {path}");
        let unreachable = |problem: String| ControlError::Unreachable {
            address: self.address.clone(),
            what: what.clone(),
            problem,
        };
        let exchange = async {
            let stream = TcpStream::connect(&self.address)
                .await
                .map_err(|error| unreachable(error.to_string()))?;
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream))
                    .await
                    .map_err(|error| unreachable(error.to_string()))?;
            let connection = tokio::spawn(connection);
            let body = body
                .map(|body| serde_json::to_vec(body).expect("control messages are plain data"))
                .unwrap_or_default();
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("host", &self.address)
                .header("authorization", format!("Bearer {}", self.token))
                .header("content-type", "application/json")
                .body(Full::new(Bytes::from(body)))
                .map_err(|error| unreachable(error.to_string()))?;
            let response = sender
                .send_request(request)
                .await
                .map_err(|error| unreachable(error.to_string()))?;
            let status = response.status();
            let body = response
                .into_body()
                .collect()
                .await
                .map_err(|error| unreachable(error.to_string()))?
                .to_bytes();
            drop(sender);
            let _ = connection.await;
            if !status.is_success() {
                let text = String::from_utf8_lossy(&body).into_owned();
                return Err(ControlError::Refused {
                    address: self.address.clone(),
                    what: what.clone(),
                    status,
                    text,
                });
            }
            if body.is_empty() {
                return serde_json::from_str("null")
                    .map_err(|error| unreachable(error.to_string()));
            }
            serde_json::from_slice(&body)
                .map_err(|error| unreachable(format!("its answer could not be read: {error}")))
        };
        tokio::time::timeout(PATIENCE, exchange)
            .await
            .map_err(|_| unreachable(format!("no answer within {} s", PATIENCE.as_secs())))?
    }
}
