//! Bytes on the wire, as the kernel counted them on the TCP sockets of given processes, summed by *leg*: who
//! connected to which port. It knows no protocol and no role; the caller names the legs.
//!
//! A leg is read at its connecting end, where `sent` is what went to the listening end and `received` what came
//! back, so no byte counts twice. Read between quiescent points of a count-stopped trial: what is still under way
//! belongs to neither side.
//!
//! Which counters, and why: `sent` is `tcpi_bytes_sent − tcpi_bytes_retrans`, the stream bytes handed to the
//! network once. (`tcpi_bytes_acked` lags by the delayed ACK and counts SYN and FIN.) `received` is
//! `tcpi_bytes_received`, less the peer's FIN, which takes a place in the stream and so counts there as a byte; of
//! connections that were opened and closed meanwhile it is what their other ends sent, where those are on this machine.

mod closed;
mod diag;
mod headers;

pub use closed::{ClosedSockets, DestroyListener};
pub use headers::{HEADER_BYTES, MSS, headers_for};

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::ops::AddAssign;

use procfs::process::FDTarget;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::clock::now_ns;
use crate::cpu::{open_process, process_error};

/// What one socket, or several together, carried since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Stream bytes sent, each once.
    pub sent: u64,
    /// Stream bytes received.
    pub received: u64,
    /// Stream bytes sent again: on loopback a sign of trouble.
    pub resent: u64,
    /// Segments sent, pure ACKs included. Loopback's segments hold up to 64 kB: see [`headers_for`].
    pub segments_out: u64,
    /// Segments received, pure ACKs included.
    pub segments_in: u64,
}

impl Counters {
    /// What was carried since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            sent: self.sent.saturating_sub(earlier.sent),
            received: self.received.saturating_sub(earlier.received),
            resent: self.resent.saturating_sub(earlier.resent),
            segments_out: self.segments_out.saturating_sub(earlier.segments_out),
            segments_in: self.segments_in.saturating_sub(earlier.segments_in),
        }
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.received += other.received;
        self.resent += other.resent;
        self.segments_out += other.segments_out;
        self.segments_in += other.segments_in;
    }
}

/// The kernel's identity of a socket, never used again within a boot. (Ports are, and closed sockets have lost
/// their inode.)
pub type Cookie = u64;

/// One connected TCP socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketBytes {
    /// The socket's identity.
    pub cookie: Cookie,
    /// Its own address; an IPv4 address inside IPv6 is shown as IPv4.
    pub local: SocketAddr,
    /// Its peer's address, likewise.
    pub remote: SocketAddr,
    /// Its inode, as in /proc/PID/fd; 0 once its process has closed it.
    pub inode: u32,
    /// Its process, where that is one of those asked for.
    pub pid: Option<u32>,
    /// What it carried.
    pub counters: Counters,
}

/// All connected TCP sockets of some processes at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// When it was taken.
    pub at_ns: u64,
    /// The sockets: those of the processes asked for, and those that their process has closed already but that
    /// the kernel still serves.
    pub sockets: BTreeMap<Cookie, SocketBytes>,
}

impl Snapshot {
    /// Reads the sockets of these processes. They must share this process's network namespace; for the processes
    /// of a container read inside it.
    pub fn take(pids: &[u32]) -> Result<Self, Error> {
        // Owners before counters: a connection opened in between is seen by the next snapshot.
        let mut owners = HashMap::new();
        for &pid in pids {
            for inode in socket_inodes(pid)? {
                owners.entry(inode).or_insert(pid);
            }
        }
        let mut sockets = diag::connected_sockets()?;
        for socket in sockets.values_mut() {
            socket.pid = owners.get(&u64::from(socket.inode)).copied();
        }
        sockets.retain(|_, socket| socket.pid.is_some() || socket.inode == 0);
        Ok(Self {
            at_ns: now_ns(),
            sockets,
        })
    }

    /// What the legs carried since `earlier`. Without `closed` (of a [`DestroyListener`] that ran between the two
    /// snapshots) a connection that ended in between is missing, and says so.
    #[must_use]
    pub fn since(&self, earlier: &Self, closed: Option<&ClosedSockets>, legs: &[Leg]) -> WireUsage {
        let mut usage = WireUsage::for_legs(legs);
        for socket in self.sockets.values() {
            let before = earlier.sockets.get(&socket.cookie);
            // A socket that its process has closed meanwhile is still known from before.
            let pid = socket.pid.or_else(|| before.and_then(|before| before.pid));
            let carried = match before {
                Some(before) => socket.counters.since(&before.counters),
                None => socket.counters,
            };
            usage.add(legs, pid, socket.remote.port(), carried, 1, 0);
        }
        for (cookie, before) in &earlier.sockets {
            if self.sockets.contains_key(cookie) {
                continue;
            }
            match closed.and_then(|closed| closed.known.get(cookie)) {
                Some(last) => {
                    let carried = last.since(&before.counters);
                    usage.add(legs, before.pid, before.remote.port(), carried, 0, 1);
                }
                None => usage.miss(legs, before),
            }
        }
        if let Some(closed) = closed {
            for (port, carried, count) in closed.short() {
                usage.add(legs, None, port, carried, 0, count);
            }
            usage.errors.extend(closed.errors.iter().cloned());
        }
        usage
    }
}

/// One direction of connecting, with the caller's name for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// Such as "client→service".
    pub name: String,
    /// The process that connects.
    pub pid: u32,
    /// The port that it connects to.
    pub remote_port: u16,
}

/// What one leg carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegUsage {
    /// Bytes and segments, seen from the connecting end.
    pub carried: Counters,
    /// Connections open at the end.
    pub open: u64,
    /// Connections that ended in between.
    pub closed: u64,
}

/// What all legs carried between two snapshots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireUsage {
    /// By the legs' names, each there even if it carried nothing. Legs of the same name are summed.
    pub legs: BTreeMap<String, LegUsage>,
    /// Short-lived connections to a port that several processes connect to, which the kernel can't tell apart
    /// after their end.
    pub ambiguous: LegUsage,
    /// What could not be counted, as sentences; empty when the figures are whole.
    pub errors: Vec<String>,
}

impl WireUsage {
    fn for_legs(legs: &[Leg]) -> Self {
        Self {
            legs: legs
                .iter()
                .map(|leg| (leg.name.clone(), LegUsage::default()))
                .collect(),
            ..Self::default()
        }
    }

    fn add(
        &mut self,
        legs: &[Leg],
        pid: Option<u32>,
        port: u16,
        carried: Counters,
        open: u64,
        closed: u64,
    ) {
        let mut names = legs_of(legs, pid, port);
        let Some(name) = names.next() else { return };
        let usage = if names.any(|other| other != name) {
            &mut self.ambiguous
        } else {
            self.legs.entry(name.to_owned()).or_default()
        };
        usage.carried += carried;
        usage.open += open;
        usage.closed += closed;
    }

    fn miss(&mut self, legs: &[Leg], lost: &SocketBytes) {
        if let Some(name) = legs_of(legs, lost.pid, lost.remote.port()).next() {
            self.errors.push(format!(
                "the connection {} → {} of {name} was expected to stay open through the window, but it ended: what \
                 it carried in it is not counted; listen for closed sockets to count it",
                lost.local, lost.remote
            ));
        }
    }
}

/// The names of the legs that a socket may belong to: one, unless its process is unknown.
fn legs_of(legs: &[Leg], pid: Option<u32>, port: u16) -> impl Iterator<Item = &str> {
    let fits = move |leg: &&Leg| leg.remote_port == port && pid.is_none_or(|pid| pid == leg.pid);
    legs.iter().filter(fits).map(|leg| leg.name.as_str())
}

fn socket_inodes(pid: u32) -> Result<Vec<u64>, Error> {
    let descriptors = open_process(pid)?
        .fd()
        .map_err(|error| process_error(pid, error))?;
    // A descriptor that is closed while the list is read has no target any more.
    let socket = |descriptor: procfs::process::FDInfo| match descriptor.target {
        FDTarget::Socket(inode) => Some(inode),
        _ => None,
    };
    Ok(descriptors.flatten().filter_map(socket).collect())
}

#[cfg(test)]
mod tests;
