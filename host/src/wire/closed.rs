//! The last words of closed sockets. A closed socket answers no query, so short-lived connections are counted by
//! listening to the kernel's "destroyed" messages, which carry the final counters.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use netlink_packet_sock_diag::inet::InetResponse;
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};

use super::{Cookie, Counters, Snapshot, diag};
use crate::Error;

/// `SKNLGRP_INET_TCP_DESTROY` and `SKNLGRP_INET6_TCP_DESTROY` of linux/sock_diag.h.
const GROUPS: [u32; 2] = [1, 3];

/// Room for the messages of some ten thousand sockets that close at once.
const RECEIVE_BUFFER: usize = 16 * 1024 * 1024;

/// The final counters of sockets that closed while a [`DestroyListener`] listened.
#[derive(Debug, Clone, Default)]
pub struct ClosedSockets {
    /// Of sockets that the first snapshot had seen: their final counters.
    pub(super) known: HashMap<Cookie, Counters>,
    /// Of all others, by the port that they were connected to: a sum and a count, so that a million short
    /// connections take no more room than one.
    pub(super) new: BTreeMap<u16, (Counters, u64)>,
    /// The accepting ends of those, where they are on this machine: what they sent, and their number.
    pub(super) answered: BTreeMap<u16, (u64, u64)>,
    pub(super) errors: Vec<String>,
    /// Whether messages were lost, so that the figures are too low and the trial SUSPECT.
    pub incomplete: bool,
}

impl ClosedSockets {
    /// How many connections to `port` were opened and closed again while the listener listened.
    #[must_use]
    pub fn short_lived(&self, port: u16) -> u64 {
        self.new.get(&port).map_or(0, |(_, count)| *count)
    }

    /// How many connections, to whichever port, were opened and closed again while the listener listened.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.new.values().map(|(_, count)| count).sum()
    }

    /// Whether the accepting end of every connection that was opened and closed has closed too.
    #[must_use]
    pub fn has_both_ends(&self) -> bool {
        self.new
            .iter()
            .all(|(port, (_, count))| self.answers(*port, *count).is_some())
    }

    /// What the accepting ends of `count` connections to `port` sent, if as many have closed.
    fn answers(&self, port: u16, count: u64) -> Option<u64> {
        let (sent, ended) = self.answered.get(&port)?;
        (*ended == count).then_some(*sent)
    }

    /// The short connections by port. What they received is what their other ends sent, where those are known: a socket's
    /// own figure is a byte short where its peer closed long after it.
    pub(super) fn short(&self) -> impl Iterator<Item = (u16, Counters, u64)> {
        self.new.iter().map(|(&port, &(mut carried, count))| {
            if let Some(sent) = self.answers(port, count) {
                carried.received = sent;
            }
            (port, carried, count)
        })
    }

    fn lost(&mut self, why: impl std::fmt::Display) {
        if !self.incomplete {
            self.errors.push(format!(
                "every closed socket was expected to be reported, but some reports were lost ({why}): wire bytes \
                 are too low; open fewer connections per second, or raise net.core.rmem_max"
            ));
        }
        self.incomplete = true;
    }

    fn absorb(&mut self, ports: &[u16], seen: &HashSet<Cookie>, response: &InetResponse) {
        let Some(socket) = diag::socket_bytes(response) else {
            return;
        };
        if seen.contains(&socket.cookie) {
            self.known.insert(socket.cookie, socket.counters);
        } else if ports.contains(&socket.remote.port()) {
            let (sum, count) = self.new.entry(socket.remote.port()).or_default();
            *sum += socket.counters;
            *count += 1;
        } else if ports.contains(&socket.local.port()) {
            let (sent, count) = self.answered.entry(socket.local.port()).or_default();
            *sent += socket.counters.sent;
            *count += 1;
        }
    }
}

/// Listens, on a thread of its own, for TCP sockets being destroyed. Only for trials with short-lived
/// connections: while it runs, the kernel sends a message for every socket of the machine that closes.
pub struct DestroyListener {
    shared: Arc<Mutex<Shared>>,
    thread: Option<JoinHandle<()>>,
    /// Closing it wakes and ends the thread.
    alive: Option<io::PipeWriter>,
}

#[derive(Default)]
struct Shared {
    closed: ClosedSockets,
    seen: HashSet<Cookie>,
}

impl DestroyListener {
    /// Starts to listen for sockets that were connected to one of `ports`. Some kernels and
    /// containers allow that to root (CAP_NET_ADMIN) only.
    pub fn start(ports: &[u16]) -> Result<Self, Error> {
        let refused = |source: io::Error| Error::Refused {
            what: "report closed TCP sockets (netlink group SKNLGRP_INET_TCP_DESTROY)".into(),
            source,
            advice: "run as root (CAP_NET_ADMIN) to count short-lived connections, or keep connections alive",
        };
        let mut socket = Socket::new(NETLINK_SOCK_DIAG).map_err(refused)?;
        socket.bind(&SocketAddr::new(0, 0)).map_err(refused)?;
        for group in GROUPS {
            socket.add_membership(group).map_err(refused)?;
        }
        socket.set_non_blocking(true).map_err(refused)?;
        if setsockopt(&socket, RcvBufForce, &RECEIVE_BUFFER).is_err() {
            socket
                .set_rx_buf_sz(RECEIVE_BUFFER as i32)
                .map_err(refused)?;
        }
        let (stop, alive) = io::pipe().map_err(refused)?;
        let shared = Arc::<Mutex<Shared>>::default();
        let thread = std::thread::Builder::new()
            .name("closed-sockets".into())
            .spawn({
                let shared = Arc::clone(&shared);
                let ports = ports.to_vec();
                move || listen(&socket, &stop, &ports, &shared)
            })
            .map_err(refused)?;
        Ok(Self {
            shared,
            thread: Some(thread),
            alive: Some(alive),
        })
    }

    /// Begins a window at this snapshot: forgets what closed before, and remembers which sockets were open, so
    /// that what they had carried by then can be taken off. Call it at a quiescent point.
    pub fn begin(&self, snapshot: &Snapshot) {
        let mut shared = lock(&self.shared);
        shared.closed = ClosedSockets::default();
        shared.seen = snapshot.sockets.keys().copied().collect();
    }

    /// What closed since the window began. The kernel reports from a queue of its own, so this waits until
    /// `enough` is content or `patience` is over; give `|_| true` to take what is there.
    pub fn closed(
        &self,
        enough: impl Fn(&ClosedSockets) -> bool,
        patience: Duration,
    ) -> ClosedSockets {
        let until = Instant::now() + patience;
        loop {
            let closed = lock(&self.shared).closed.clone();
            if enough(&closed) || closed.incomplete || Instant::now() >= until {
                return closed;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for DestroyListener {
    fn drop(&mut self) {
        self.alive.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // Sums and inserts only: a poisoned lock hides nothing half done.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen(socket: &Socket, stop: &io::PipeReader, ports: &[u16], shared: &Mutex<Shared>) {
    let mut buffer = Vec::with_capacity(64 * 1024);
    loop {
        let mut ready = [
            PollFd::new(socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(stop.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut ready, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return lock(shared).closed.lost(errno),
        }
        let stopping = ready[1].any().unwrap_or(false);
        loop {
            buffer.clear();
            let received = socket.recv(&mut buffer, 0);
            if matches!(&received, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
                break;
            }
            lock(shared).take_in(received.map(|_| buffer.as_slice()), ports);
        }
        if stopping {
            return;
        }
    }
}

impl Shared {
    fn take_in(&mut self, received: io::Result<&[u8]>, ports: &[u16]) {
        let Self { closed, seen } = self;
        match received {
            Ok(datagram) => {
                let mut each = |response: &InetResponse| closed.absorb(ports, seen, response);
                if let Err(error) = diag::read_messages(datagram, &mut each) {
                    closed.lost(error);
                }
            }
            // ENOBUFS: the kernel dropped messages because this socket's buffer was full.
            Err(error) => closed.lost(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_buffer_marks_the_figures_as_incomplete_and_says_so_once() {
        let mut shared = Shared::default();
        for _ in 0..3 {
            let full = io::Error::from_raw_os_error(Errno::ENOBUFS as i32);
            shared.take_in(Err(full), &[4001]);
        }
        assert!(shared.closed.incomplete);
        assert_eq!(shared.closed.errors.len(), 1);
        assert!(shared.closed.errors[0].contains("some reports were lost"));
    }

    #[test]
    fn a_message_that_is_no_message_marks_the_figures_as_incomplete() {
        let mut shared = Shared::default();
        shared.take_in(Ok(&[7; 40]), &[4001]);
        assert!(shared.closed.incomplete);
    }
}
