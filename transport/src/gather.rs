//! A connection for HTTP/2 that writes what belongs together in one system call, as HTTP/1.1 does by itself.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, BufWriter, ReadBuf};

/// - `h2` writes every DATA frame of 256 bytes and more by itself, unless the connection says that it takes no
///   vectors; then it gathers the frames of small bodies. This one says so, and gathers the larger ones.
/// - hyper sends the HEADERS of a request, waits until `h2` has taken them, and only then sends the body. So a
///   flush waits for one turn of the scheduler: the body is there by then, and one segment carries both.
#[derive(Debug)]
pub(crate) struct Gathering<S> {
    stream: BufWriter<S>,
    waited: bool,
    /// As the libraries write by themselves.
    plain: bool,
}

/// Bytes that gather before they are written without waiting for a flush.
const GATHERED: usize = 64 << 10;

/// A flush of more than this has its body already, and does not wait.
const WAITING: usize = 4 << 10;

impl<S: AsyncWrite> Gathering<S> {
    pub(crate) fn new(stream: S, library_defaults: bool) -> Self {
        Self {
            stream: BufWriter::with_capacity(GATHERED, stream),
            waited: false,
            plain: library_defaults,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gathering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(self.stream.get_mut()).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathering<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.plain {
            return Pin::new(self.stream.get_mut()).poll_write(context, bytes);
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.plain {
            return Pin::new(self.stream.get_mut()).poll_write_vectored(context, pieces);
        }
        let first = pieces.iter().find(|piece| !piece.is_empty());
        self.poll_write(context, first.map_or(&[], |piece| piece))
    }

    fn is_write_vectored(&self) -> bool {
        self.plain && self.stream.get_ref().is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gathered = self.stream.buffer().len();
        if !self.waited && (1..WAITING).contains(&gathered) {
            self.waited = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_ready() {
            self.waited = false;
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::{BodyExt, Full};
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use tokio::io::DuplexStream;

    /// A pipe that counts how often it is written to.
    struct Counting(DuplexStream, Arc<AtomicUsize>);

    impl AsyncRead for Counting {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(context, buffer)
        }
    }

    impl AsyncWrite for Counting {
        fn poll_write(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.1.fetch_add(1, Relaxed);
            Pin::new(&mut self.0).poll_write(context, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(context)
        }

        fn poll_shutdown(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(context)
        }
    }

    /// Writes that so many requests of hyper cost once their connection has settled, one after the other.
    async fn writes(requests: usize, body: usize) -> usize {
        let (near, far) = tokio::io::duplex(1 << 20);
        let count = Arc::new(AtomicUsize::new(0));
        let echo = service_fn(async |request: Request<hyper::body::Incoming>| {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            Ok::<_, Infallible>(Response::new(Full::new(body)))
        });
        tokio::spawn(
            hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(far), echo),
        );
        let stream = Gathering::new(Counting(near, count.clone()), false);
        let (mut sender, connection) =
            hyper::client::conn::http2::Builder::new(TokioExecutor::new())
                .handshake(TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(connection);
        let mut one = async || {
            let request = Request::post("http://hop/").body(Full::new(Bytes::from(vec![7; body])));
            let answer = sender.send_request(request.unwrap()).await.unwrap();
            let answer = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(answer, vec![7; body]);
        };
        for _ in 0..3 {
            one().await;
        }
        let settled = count.load(Relaxed);
        for _ in 0..requests {
            one().await;
        }
        count.load(Relaxed) - settled
    }

    #[tokio::test]
    async fn a_request_leaves_in_one_write_its_body_included() {
        assert_eq!(writes(20, 40).await, 20);
        assert_eq!(writes(20, 700).await, 20);
    }

    #[tokio::test]
    async fn nothing_waits_for_a_body_that_does_not_come() {
        let (near, mut far) = tokio::io::duplex(1 << 10);
        let mut stream = Gathering::new(near, false);
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"frame")
            .await
            .unwrap();
        tokio::io::AsyncWriteExt::flush(&mut stream).await.unwrap();
        let mut seen = [0; 5];
        tokio::io::AsyncReadExt::read_exact(&mut far, &mut seen)
            .await
            .unwrap();
        assert_eq!(&seen, b"frame");
    }
}
