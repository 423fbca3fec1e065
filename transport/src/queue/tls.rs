//! RabbitMQ over TLS with the same handshake as every transport: a runtime for lapin whose connections are encrypted.
//! Everything but connecting is lapin's own tokio runtime.

use crate::tls::{self, Calling, Negotiated};
use async_compat::{Compat, CompatExt};
use async_rs::traits::{Executor, Reactor, RuntimeKit};
use async_rs::util::Task;
use async_rs::{Runtime, Tokio};
use futures_io::{AsyncRead, AsyncWrite};
use futures_util::Stream;
use lapin::uri::AMQPUri;
use lapin::{AsyncTcpStream, Connection, ConnectionProperties};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_rustls::TlsStream;

/// Opens a connection, and says what it negotiated.
pub(super) async fn connect(
    uri: AMQPUri,
    properties: ConnectionProperties,
    calling: &Calling,
) -> anyhow::Result<(Connection, Negotiated)> {
    let kit = Encrypted {
        tokio: Tokio::current(),
        runtime: Handle::current(),
        calling: calling.clone(),
        latest: Arc::default(),
    };
    let latest = kit.latest.clone();
    let dial = async |uri: AMQPUri, runtime: Runtime<Encrypted>| {
        let authority = (uri.authority.host, uri.authority.port);
        let addresses = runtime.to_socket_addrs(authority);
        Ok::<_, lapin::Error>(AsyncTcpStream::connect(&runtime, addresses).await?)
    };
    let connecting = Connection::connector(uri, Runtime::new(kit), dial, properties).await;
    let negotiated = latest.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (connecting, negotiated) {
        (Ok(connection), Some(Ok(negotiated))) => Ok((connection, negotiated)),
        // lapin's own words for a failed handshake say less.
        (_, Some(Err(why))) => Err(anyhow::anyhow!(why)),
        (Err(error), _) => Err(error.into()),
        (Ok(_), None) => Err(anyhow::anyhow!("connected, and no TLS handshake was seen")),
    }
}

#[derive(Clone, Debug)]
struct Encrypted {
    tokio: Tokio,
    runtime: Handle,
    calling: Calling,
    /// What the latest handshake came to.
    latest: Arc<Mutex<Option<Result<Negotiated, String>>>>,
}

impl RuntimeKit for Encrypted {}

impl Executor for Encrypted {
    type Task<T: Send + 'static> = <Tokio as Executor>::Task<T>;

    fn block_on<T, F: Future<Output = T>>(&self, future: F) -> T {
        self.tokio.block_on(future)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        future: F,
    ) -> Task<Self::Task<T>> {
        self.tokio.spawn(future)
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
        &self,
        work: F,
    ) -> Task<Self::Task<T>> {
        self.tokio.spawn_blocking(work)
    }
}

impl Reactor for Encrypted {
    type TcpStream = Compat<Box<TlsStream<TcpStream>>>;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: Read + Write + AsFd + AsRawFd + Send + 'static>(
        &self,
        socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        self.tokio.register(socket)
    }

    fn sleep(&self, time: Duration) -> Self::Sleep {
        self.tokio.sleep(time)
    }

    fn interval(&self, period: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.tokio.interval(period)
    }

    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        let (calling, latest) = (self.calling.clone(), self.latest.clone());
        // lapin polls on a thread of its own: what connects belongs to the runtime all the same.
        let connecting = self.runtime.spawn(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let shaken = tls::handshake(&calling, stream).await;
            let (outcome, stream) = match shaken {
                Ok((stream, negotiated)) => (Ok(negotiated), Ok(stream.compat())),
                Err(error) => (Err(tls::explain(&error)), Err(error)),
            };
            *latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
            stream
        });
        async move { connecting.await.map_err(io::Error::other)? }
    }
}
