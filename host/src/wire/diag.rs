//! The kernel's answers about TCP sockets (sock_diag over netlink, `TCP_INFO`), turned into this crate's types.
//! It knows no process: that is the caller's join over the inode.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{
    AF_INET, AF_INET6, IPPROTO_TCP, TCP_CLOSE, TCP_CLOSE_WAIT, TCP_CLOSING, TCP_LAST_ACK,
};
use netlink_packet_sock_diag::inet::nlas::{Nla, TcpInfo};
use netlink_packet_sock_diag::inet::{
    ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags,
};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr as NetlinkAddr};

use super::{Cookie, Counters, SocketBytes};
use crate::Error;

/// More than the kernel ever puts into one answer of a dump (32 KiB).
const BUFFER: usize = 64 * 1024;

pub(super) fn refused(source: io::Error) -> Error {
    Error::Refused {
        what: "list the TCP sockets (sock_diag)".into(),
        source,
        advice: "load the kernel's tcp_diag module; without it wire bytes can't be counted",
    }
}

/// Every TCP socket of this network namespace that is, or was just, connected; with no process yet.
pub(super) fn connected_sockets() -> Result<BTreeMap<Cookie, SocketBytes>, Error> {
    let mut sockets = BTreeMap::new();
    for (family, any) in [
        (AF_INET, SocketId::new_v4()),
        (AF_INET6, SocketId::new_v6()),
    ] {
        dump(family, any, &mut |response| {
            if let Some(socket) = socket_bytes(response) {
                sockets.insert(socket.cookie, socket);
            }
        })?;
    }
    Ok(sockets)
}

fn dump(
    family: u8,
    socket_id: SocketId,
    each: &mut impl FnMut(&InetResponse),
) -> Result<(), Error> {
    let socket = Socket::new(NETLINK_SOCK_DIAG).map_err(refused)?;
    socket.connect(&NetlinkAddr::new(0, 0)).map_err(refused)?;
    // Neither listening nor half-open sockets, nor TIME_WAIT, which carries no counters any more.
    let states = StateFlags::ESTABLISHED
        | StateFlags::FIN_WAIT1
        | StateFlags::FIN_WAIT2
        | StateFlags::CLOSE_WAIT
        | StateFlags::LAST_ACK
        | StateFlags::CLOSING;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let request = InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::INFO,
        states,
        socket_id,
    };
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0).map_err(refused)?;
    let mut buffer = Vec::with_capacity(BUFFER);
    loop {
        buffer.clear();
        socket.recv(&mut buffer, 0).map_err(refused)?;
        if read_messages(&buffer, each)? {
            return Ok(());
        }
    }
}

/// Hands on each socket in a datagram of the kernel; whether it was the last of a dump.
pub(super) fn read_messages(
    mut datagram: &[u8],
    each: &mut impl FnMut(&InetResponse),
) -> Result<bool, Error> {
    while !datagram.is_empty() {
        let message =
            NetlinkMessage::<SockDiagMessage>::deserialize(datagram).map_err(|error| {
                Error::Unexpected {
                    what: "a sock_diag message with the TCP_INFO of Linux 5.4 or later".into(),
                    found: error.to_string(),
                }
            })?;
        match message.payload {
            NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                each(&response);
            }
            NetlinkPayload::Done(_) => return Ok(true),
            NetlinkPayload::Error(error) => return Err(refused(error.to_io())),
            _ => {}
        }
        // Messages are padded to four bytes; a length of 0 would never end.
        let length = (message.header.length as usize).next_multiple_of(4).max(4);
        datagram = datagram.get(length..).unwrap_or_default();
    }
    Ok(false)
}

/// One socket of an answer; `None` if it carries no `TCP_INFO` (not TCP, or too young).
pub(super) fn socket_bytes(response: &InetResponse) -> Option<SocketBytes> {
    let info = response.nlas.iter().find_map(|attribute| match attribute {
        Nla::TcpInfo(info) => Some(info),
        _ => None,
    })?;
    let id = &response.header.socket_id;
    let address = |ip: std::net::IpAddr, port| SocketAddr::new(ip.to_canonical(), port);
    Some(SocketBytes {
        cookie: Cookie::from_ne_bytes(id.cookie),
        local: address(id.source_address, id.source_port),
        remote: address(id.destination_address, id.destination_port),
        inode: response.header.inode,
        pid: None,
        counters: counters(info, response.header.state),
    })
}

fn counters(info: &TcpInfo, state: u8) -> Counters {
    // States that the peer's FIN leads to. A socket that is gone reports CLOSE: its peer's FIN arrived too, unless
    // the connection was reset, or the peer dallied with its own FIN beyond the delayed ACK of ours (the kernel lets go of
    // a closed socket in FIN_WAIT2). Nothing tells; then the figure is one byte short, and the other end's is asked.
    let finished = matches!(
        state,
        TCP_CLOSE_WAIT | TCP_LAST_ACK | TCP_CLOSING | TCP_CLOSE
    );
    Counters {
        sent: info.bytes_sent.saturating_sub(info.bytes_retrans),
        received: info.bytes_received.saturating_sub(u64::from(finished)),
        resent: info.bytes_retrans,
        segments_out: info.segs_out.into(),
        segments_in: info.segs_in.into(),
    }
}
