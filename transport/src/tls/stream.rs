//! One connection, in the clear or encrypted, and the door of a listener: it shakes hands where TLS was asked for, and
//! tells whoever begins in plaintext, in words of the listener's own protocol, that this is the wrong way in.

use super::{Calling, Negotiated, explain, serving};
use crate::Settings;
use crate::net::named;
use rustls::ServerConfig;
use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use tonic::transport::server::Connected;

/// How long a peer may take over its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a peer that began in plaintext is given to read why it is turned away.
const LINGER: Duration = Duration::from_secs(1);
/// First byte of a TLS connection: a record of the handshake.
const TLS_HANDSHAKE: u8 = 0x16;
/// What a plaintext caller of a TLS port is told.
pub(crate) const SPEAKS_TLS: &str = "this port speaks TLS and the connection began in plaintext: connect with TLS (bench-client load --tls), or start the service without --tls";

/// A connection of either kind. An enum and not a box of a trait: in the clear it costs a branch.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Shakes hands as the calling end.
pub(crate) async fn handshake(
    calling: &Calling,
    stream: TcpStream,
) -> io::Result<(Box<TlsStream<TcpStream>>, Negotiated)> {
    let connector = TlsConnector::from(calling.config.clone());
    let stream = connector.connect(calling.name.clone(), stream).await?;
    let negotiated = Negotiated::of(stream.get_ref().1);
    Ok((Box::new(stream.into()), negotiated))
}

/// How the connections of one listener begin.
#[derive(Clone)]
pub(crate) struct Door {
    tls: Option<Arc<ServerConfig>>,
    /// What a caller is answered whose connection began with these bytes of plaintext.
    turned_away: fn(&[u8]) -> Vec<u8>,
}

impl Door {
    /// For a listener that offers these protocols.
    pub(crate) fn new(
        settings: &Settings,
        protocols: &[&str],
        turned_away: fn(&[u8]) -> Vec<u8>,
    ) -> anyhow::Result<Self> {
        let tls = serving(settings, protocols)?;
        Ok(Self { tls, turned_away })
    }

    /// What a connection through it will have in force.
    pub(crate) fn in_force(&self) -> BTreeMap<String, String> {
        match &self.tls {
            None => named([("tls", "off".into())]),
            Some(config) => {
                let protocols = config.alpn_protocols.iter();
                let protocols: Vec<_> = protocols.map(|p| String::from_utf8_lossy(p)).collect();
                named([
                    ("tls", "1.3".into()),
                    ("tls.cipher", super::CIPHER.into()),
                    ("tls.alpn", protocols.join(", ")),
                    ("tls.resumption", "off".into()),
                ])
            }
        }
    }

    /// An accepted connection, ready to be spoken on; none if its peer could not be agreed with, which `rejected` is
    /// told by a short stable name.
    pub(crate) async fn open(
        &self,
        stream: TcpStream,
        rejected: impl FnOnce(&'static str),
    ) -> Option<Stream> {
        let Some(config) = &self.tls else {
            return Some(Stream::Plain(stream));
        };
        let agreed = tokio::time::timeout(HANDSHAKE, self.agree(config.clone(), stream)).await;
        match agreed {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(turned_away)) => {
                rejected(turned_away);
                None
            }
            Err(_) => {
                rejected("slow handshake");
                None
            }
        }
    }

    async fn agree(
        &self,
        config: Arc<ServerConfig>,
        mut stream: TcpStream,
    ) -> Result<Stream, &'static str> {
        let mut first = [0; 3];
        let peeked = stream.peek(&mut first).await.unwrap_or(0);
        match first[..peeked] {
            // Connected and gone again: a look whether anybody listens.
            [] => Err("no handshake"),
            [TLS_HANDSHAKE, ..] => match TlsAcceptor::from(config).accept(stream).await {
                Ok(stream) => Ok(Stream::Tls(Box::new(stream.into()))),
                Err(error) => {
                    tracing::debug!("a TLS handshake failed: {}", explain(&error));
                    Err("handshake")
                }
            },
            _ => {
                let _ = stream
                    .write_all(&(self.turned_away)(&first[..peeked]))
                    .await;
                let _ = stream.shutdown().await;
                // Closing over unread bytes would reset the connection, and the peer would lose the answer.
                let mut rest = [0; 4_096];
                let drain = async { while stream.read(&mut rest).await.is_ok_and(|n| n > 0) {} };
                let _ = tokio::time::timeout(LINGER, drain).await;
                Err("plaintext")
            }
        }
    }
}

impl Connected for Stream {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
