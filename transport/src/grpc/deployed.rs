//! Tonic's own channels, as people deploy them: its queue and its task between caller and connection, its defaults, its
//! way back after a cut. Only the dial is ours, so that connections are counted and encrypted as everywhere.

use super::error::{DialError, root};
use crate::Failure;
use crate::net::Dialer;
use crate::tls::Stream;
use http::Uri;
use hyper_util::rt::TokioIo;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use tonic::transport::{Channel, Endpoint};
use tower::Service;

/// Opens so many channels to one origin, each with a connection of its own.
pub(super) async fn open(
    dialer: &Arc<Dialer>,
    origin: &Uri,
    channels: usize,
) -> Result<Vec<Channel>, Failure> {
    let mut opened = Vec::with_capacity(channels);
    for _ in 0..channels {
        let dialing = Dialing {
            dialer: dialer.clone(),
            open: Arc::default(),
        };
        let endpoint = Endpoint::from(origin.clone());
        let channel = endpoint.connect_with_connector(dialing).await;
        opened.push(channel.map_err(|error| match DialError::behind(&error) {
            Some(failure) => failure.clone(),
            None => dialer.refused(root(&error)),
        })?);
    }
    Ok(opened)
}

/// Dials for one channel.
struct Dialing {
    dialer: Arc<Dialer>,
    /// Whether the last dial opened a connection.
    open: Arc<AtomicBool>,
}

impl Service<Uri> for Dialing {
    type Response = TokioIo<Stream>;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, DialError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        // A channel dials again when it finds that its connection was cut.
        if self.open.swap(false, Relaxed) {
            self.dialer.meter().lost();
        }
        let (dialer, open) = (self.dialer.clone(), self.open.clone());
        Box::pin(async move {
            let stream = dialer.dial().await.map_err(DialError)?;
            open.store(true, Relaxed);
            Ok(TokioIo::new(stream))
        })
    }
}
