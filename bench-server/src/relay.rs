//! `bench-server relay`: stands between a caller and a service and delays every byte by a fixed time each way, as a
//! network would. It knows no protocol. Bytes of one direction of one connection keep their order; nothing else waits
//! for anything, so no connection stands behind another.
//!
//! Loopback's kernel answers a SYN at once, where a network's takes a round trip. So what a new connection sends is
//! held for that round trip first, and the service sees the connection after half of it: opening one costs what it
//! costs over such a network.

use crate::cli::{Relay, written};
use crate::stop::Stop;
use anyhow::Context;
use bench_host::clock::{after, now_ns};
use bench_host::timer::PreciseTimer;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};

/// Most bytes that one read takes.
const PIECE: usize = 64 << 10;
/// Bytes that one direction of one connection may hold: at 0.5 ms each way this bounds it at 8 GB/s, which no
/// transport here comes near; beyond it the sender's own window closes, as it would on a network.
const ROOM: usize = 4 << 20;

/// The line that the relay prints once it listens, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Where callers connect to.
    pub relay: String,
    /// Its process.
    pub pid: u32,
}

/// The line that it prints when it is stopped, as JSON: stream bytes, counted as they were passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// Connections accepted.
    pub connections: u64,
    /// Bytes towards the service.
    pub to_service: u64,
    /// Bytes towards the callers.
    pub to_caller: u64,
}

#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    to_service: AtomicU64,
    to_caller: AtomicU64,
}

/// Listens, says where, and relays until it is to stop; then says what it passed on.
pub async fn relay(relay: Relay, mut stop: Stop) -> anyhow::Result<()> {
    bench_host::timer::minimal_timer_slack()?;
    let (listener, address) = bind(&relay).await?;
    say(&Ready {
        relay: address,
        pid: std::process::id(),
    })?;
    let counts = Arc::new(Counts::default());
    let delay = Duration::from_micros(relay.delay_us);
    tokio::select! {
        failed = accept(listener, relay.to, delay, counts.clone()) => failed?,
        () = stop.requested() => {}
    }
    say(&Passed {
        connections: counts.connections.load(Relaxed),
        to_service: counts.to_service.load(Relaxed),
        to_caller: counts.to_caller.load(Relaxed),
    })
}

async fn bind(relay: &Relay) -> anyhow::Result<(TcpListener, String)> {
    if !relay
        .listen
        .iter()
        .all(|address| address.ip().is_loopback())
    {
        eprintln!(
            "WARNING: --listen {} can be reached from other machines, and with it what --to names",
            written(&relay.listen)
        );
    }
    let listener = TcpListener::bind(&relay.listen[..]).await;
    let listener = listener.with_context(|| {
        format!(
            "cannot listen at {}: expected a free host:port of this machine",
            written(&relay.listen)
        )
    })?;
    let address = listener.local_addr()?.to_string();
    Ok((listener, address))
}

async fn accept(
    listener: TcpListener,
    to: String,
    delay: Duration,
    counts: Arc<Counts>,
) -> anyhow::Result<()> {
    let timer = PreciseTimer::start()?;
    loop {
        let (caller, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        counts.connections.fetch_add(1, Relaxed);
        let link = Link {
            timer: timer.clone(),
            delay,
            opened_ns: now_ns(),
            counts: counts.clone(),
        };
        let to = to.clone();
        tokio::spawn(async move {
            // Whatever ends it ends both sides of it: the peers see what they would see of a broken path.
            if let Err(error) = link.carry(caller, &to).await {
                tracing::debug!(%error, "a relayed connection broke");
            }
        });
    }
}

/// One relayed connection.
struct Link {
    timer: PreciseTimer,
    delay: Duration,
    opened_ns: u64,
    counts: Arc<Counts>,
}

impl Link {
    async fn carry(&self, caller: TcpStream, to: &str) -> std::io::Result<()> {
        let there_ns = after(self.opened_ns, self.delay);
        let back_ns = after(there_ns, self.delay);
        self.timer.sleep_until_ns(there_ns).await;
        let service = TcpStream::connect(to).await?;
        caller.set_nodelay(true)?;
        service.set_nodelay(true)?;
        let (from_caller, to_caller) = caller.into_split();
        let (from_service, to_service) = service.into_split();
        tokio::try_join!(
            self.pass(from_caller, to_service, back_ns, &self.counts.to_service),
            self.pass(from_service, to_caller, there_ns, &self.counts.to_caller),
        )?;
        Ok(())
    }

    /// Passes one direction on, its end included: each piece `delay` after it came, and none came before `open_ns`.
    async fn pass(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        open_ns: u64,
        passed: &AtomicU64,
    ) -> std::io::Result<()> {
        let (later, mut due) = mpsc::unbounded_channel::<(u64, Vec<u8>)>();
        let room = Semaphore::new(ROOM);
        let reading = async {
            let later = later;
            let mut buffer = vec![0; PIECE];
            loop {
                let length = from.read(&mut buffer).await?;
                let at = after(now_ns().max(open_ns), self.delay);
                // An empty piece is the end.
                let _ = later.send((at, buffer[..length].to_vec()));
                if length == 0 {
                    return Ok(());
                }
                let taken = room.acquire_many(length as u32).await;
                taken.expect("never closed").forget();
            }
        };
        let writing = async {
            while let Some((at, piece)) = due.recv().await {
                self.timer.sleep_until_ns(at).await;
                if piece.is_empty() {
                    return to.shutdown().await;
                }
                to.write_all(&piece).await?;
                passed.fetch_add(piece.len() as u64, Relaxed);
                room.add_permits(piece.len());
            }
            Ok(())
        };
        tokio::try_join!(reading, writing).map(drop)
    }
}

fn say(line: &impl Serialize) -> anyhow::Result<()> {
    let line = serde_json::to_string(line).context("a line could not be written as JSON")?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")
        .and_then(|()| stdout.flush())
        .context("nobody reads the relay's lines: standard output is closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(20);

    /// A relay in front of a listener of ours.
    async fn relayed(delay: Duration) -> (TcpListener, String, Arc<Counts>) {
        let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = service.local_addr().unwrap().to_string();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let counts = Arc::new(Counts::default());
        tokio::spawn(accept(listener, to, delay, counts.clone()));
        (service, address, counts)
    }

    async fn pair(service: &TcpListener, address: &str) -> (TcpStream, TcpStream) {
        let caller = TcpStream::connect(address).await.unwrap();
        let (callee, _) = service.accept().await.unwrap();
        (caller, callee)
    }

    #[tokio::test]
    async fn bytes_keep_their_order_both_ways_and_are_counted() {
        let (service, address, counts) = relayed(Duration::from_micros(500)).await;
        let (mut caller, mut callee) = pair(&service, &address).await;
        // Larger than any buffer on the way, so that both directions have to wait for room.
        let sent: Vec<u8> = (0..3 * ROOM).map(|i| (i % 251) as u8).collect();
        let expected = sent.clone();
        let echo = tokio::spawn(async move {
            let mut got = vec![0; expected.len()];
            callee.read_exact(&mut got).await.unwrap();
            assert!(got == expected, "what came is not what was sent");
            callee.write_all(&got[..1_000]).await.unwrap();
            callee
        });
        caller.write_all(&sent).await.unwrap();
        let mut back = vec![0; 1_000];
        caller.read_exact(&mut back).await.unwrap();
        assert_eq!(back, sent[..1_000]);
        drop(echo.await.unwrap());
        assert_eq!(
            caller.read(&mut back).await.unwrap(),
            0,
            "the end is passed on"
        );
        assert_eq!(counts.to_service.load(Relaxed), sent.len() as u64);
        assert_eq!(counts.to_caller.load(Relaxed), 1_000);
        assert_eq!(counts.connections.load(Relaxed), 1);
    }

    #[tokio::test]
    async fn no_byte_comes_before_its_delay_and_a_new_connection_waits_for_its_handshake() {
        let (service, address, _) = relayed(DELAY).await;
        let began = now_ns();
        let mut caller = TcpStream::connect(&address).await.unwrap();
        caller.write_all(b"a").await.unwrap();
        let (mut callee, _) = service.accept().await.unwrap();
        assert!(now_ns() >= after(began, DELAY), "the SYN came at once");
        let mut byte = [0];
        callee.read_exact(&mut byte).await.unwrap();
        assert!(
            now_ns() >= after(began, 3 * DELAY),
            "no handshake was waited for"
        );
        for turn in 0..3 {
            let sent = now_ns();
            let (from, to) = if turn % 2 == 0 {
                (&mut callee, &mut caller)
            } else {
                (&mut caller, &mut callee)
            };
            from.write_all(b"b").await.unwrap();
            to.read_exact(&mut byte).await.unwrap();
            assert!(now_ns() >= after(sent, DELAY), "turn {turn} came early");
        }
    }

    #[tokio::test]
    async fn the_end_of_one_direction_leaves_the_other_open() {
        let (service, address, _) = relayed(Duration::from_micros(500)).await;
        let (mut caller, mut callee) = pair(&service, &address).await;
        caller.write_all(b"question").await.unwrap();
        caller.shutdown().await.unwrap();
        let mut question = String::new();
        callee.read_to_string(&mut question).await.unwrap();
        callee.write_all(b"answer").await.unwrap();
        drop(callee);
        let mut answer = String::new();
        caller.read_to_string(&mut answer).await.unwrap();
        assert_eq!((&question[..], &answer[..]), ("question", "answer"));
    }

    #[tokio::test]
    async fn a_connection_whose_reader_sleeps_holds_back_no_other() {
        let (service, address, counts) = relayed(Duration::from_micros(500)).await;
        let (mut stuck, _unread) = pair(&service, &address).await;
        let filling = tokio::spawn(async move {
            let _ = stuck.write_all(&vec![0; 64 << 20]).await;
        });
        // Until the relay's own room for it is full, it takes what comes.
        while counts.to_service.load(Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        for _ in 0..50 {
            let (mut caller, mut callee) = pair(&service, &address).await;
            caller.write_all(b"x").await.unwrap();
            let mut byte = [0];
            callee.read_exact(&mut byte).await.unwrap();
            assert_eq!(&byte, b"x");
        }
        assert!(!filling.is_finished(), "the sleeper's bytes were swallowed");
        filling.abort();
    }

    #[tokio::test]
    async fn a_service_that_is_not_there_ends_the_callers_connection() {
        let (service, address, _) = relayed(Duration::from_micros(500)).await;
        drop(service);
        let mut caller = TcpStream::connect(&address).await.unwrap();
        let ended = caller.read(&mut [0]).await;
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    }
}
