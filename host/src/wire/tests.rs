//! On real loopback connections: every figure is exact, since bytes, unlike time, are deterministic.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn pair(ip: IpAddr) -> (TcpListener, TcpStream, TcpStream) {
    let listener = TcpListener::bind((ip, 0)).unwrap();
    let caller = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (callee, _) = listener.accept().unwrap();
    (listener, caller, callee)
}

fn to(port: u16) -> [Leg; 1] {
    [leg("client→service", std::process::id(), port)]
}

fn leg(name: &str, pid: u32, remote_port: u16) -> Leg {
    Leg {
        name: name.into(),
        pid,
        remote_port,
    }
}

fn own() -> Snapshot {
    Snapshot::take(&[std::process::id()]).unwrap()
}

fn exchange(from: &mut TcpStream, to: &mut TcpStream, bytes: usize) {
    let sender = std::thread::spawn({
        let mut from = from.try_clone().unwrap();
        move || from.write_all(&vec![7; bytes]).unwrap()
    });
    to.read_exact(&mut vec![0; bytes]).unwrap();
    sender.join().unwrap();
}

fn a_known_exchange_is_counted_to_the_byte(ip: IpAddr) {
    let (listener, mut caller, mut callee) = pair(ip);
    let port = listener.local_addr().unwrap().port();
    exchange(&mut caller, &mut callee, 999);
    let before = own();
    for _ in 0..100 {
        exchange(&mut caller, &mut callee, 290);
        exchange(&mut callee, &mut caller, 47);
    }
    exchange(&mut caller, &mut callee, 3_000_000);
    let usage = own().since(&before, None, &to(port));
    assert_eq!(usage.errors, [""; 0]);
    let leg = usage.legs["client→service"];
    assert_eq!(leg.carried.sent, 100 * 290 + 3_000_000);
    assert_eq!(leg.carried.received, 100 * 47);
    assert_eq!((leg.open, leg.closed), (1, 0));
    assert!(leg.carried.segments_out >= 101 && leg.carried.segments_in >= 100);
    assert_eq!(usage.ambiguous, LegUsage::default());
}

#[test]
fn a_known_exchange_is_counted_to_the_byte_over_ipv4() {
    a_known_exchange_is_counted_to_the_byte(Ipv4Addr::LOCALHOST.into());
}

#[test]
fn a_known_exchange_is_counted_to_the_byte_over_ipv6() {
    a_known_exchange_is_counted_to_the_byte(Ipv6Addr::LOCALHOST.into());
}

#[test]
fn ipv4_inside_an_ipv6_socket_is_shown_as_ipv4() {
    let listener = TcpListener::bind("[::]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let _caller = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let _callee = listener.accept().unwrap();
    let snapshot = own();
    let local = |socket: &&SocketBytes| socket.local.port() == port;
    let callee = snapshot.sockets.values().find(local).unwrap();
    assert_eq!(callee.local.ip(), Ipv4Addr::LOCALHOST);
    assert_eq!(callee.remote.ip(), Ipv4Addr::LOCALHOST);
}

#[test]
fn the_peers_fin_is_not_a_byte() {
    let (listener, mut caller, mut callee) = pair(Ipv4Addr::LOCALHOST.into());
    let port = listener.local_addr().unwrap().port();
    let before = own();
    exchange(&mut callee, &mut caller, 47);
    callee.shutdown(Shutdown::Write).unwrap();
    assert_eq!(
        caller.read(&mut [0]).unwrap(),
        0,
        "the FIN was expected to have arrived"
    );
    let usage = own().since(&before, None, &to(port));
    assert_eq!(usage.legs["client→service"].carried.received, 47);
}

#[test]
fn a_leg_belongs_to_the_process_that_connects() {
    let (listener, mut caller, mut callee) = pair(Ipv4Addr::LOCALHOST.into());
    let port = listener.local_addr().unwrap().port();
    let before = own();
    exchange(&mut caller, &mut callee, 10);
    let own_leg = leg("client→broker", std::process::id(), port);
    let other_leg = leg("service→broker", 1, port);
    let usage = own().since(&before, None, &[own_leg, other_leg]);
    assert_eq!(usage.legs["client→broker"].carried.sent, 10);
    assert_eq!(usage.legs["service→broker"], LegUsage::default());
}

#[test]
fn a_connection_that_ends_unheard_is_an_error_and_not_a_zero() {
    let (listener, caller, callee) = pair(Ipv4Addr::LOCALHOST.into());
    let port = listener.local_addr().unwrap().port();
    let before = own();
    drop((caller, callee));
    let deadline = Instant::now() + PATIENCE;
    let gone = |snapshot: &Snapshot| {
        let to_port = |socket: &SocketBytes| socket.remote.port() == port;
        !snapshot.sockets.values().any(to_port)
    };
    let mut after = own();
    while !gone(&after) && Instant::now() < deadline {
        after = own();
    }
    let usage = after.since(&before, None, &to(port));
    assert_eq!(usage.errors.len(), 1, "{usage:?}");
    assert!(
        usage.errors[0].contains("was expected to stay open"),
        "{usage:?}"
    );
}

#[test]
fn a_process_that_is_gone_is_a_sentence() {
    let error = Snapshot::take(&[crate::cpu::tests::gone()]).unwrap_err();
    assert!(matches!(error, Error::Vanished { .. }), "{error}");
}

/// One order on a connection of its own, as HTTP without keep-alive does it; the caller closes first on every
/// other one.
fn short_exchange(listener: &TcpListener, turn: usize) {
    let mut caller = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut callee, _) = listener.accept().unwrap();
    exchange(&mut caller, &mut callee, 290);
    exchange(&mut callee, &mut caller, 47);
    let (first, mut second) = if turn.is_multiple_of(2) {
        (caller, callee)
    } else {
        (callee, caller)
    };
    drop(first);
    assert_eq!(second.read(&mut [0]).unwrap(), 0);
}

#[test]
fn five_hundred_short_connections_are_counted_to_the_byte() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let destroyed = match DestroyListener::start(&[port]) {
        Ok(destroyed) => destroyed,
        Err(error) => {
            assert!(!nix::unistd::geteuid().is_root(), "as root: {error}");
            assert!(
                error.to_string().contains("run as root (CAP_NET_ADMIN)"),
                "{error}"
            );
            return;
        }
    };
    // Two connections that are older than the window: one that ends in it, one that stays.
    let connect = || {
        let caller = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (caller, listener.accept().unwrap().0)
    };
    let mut ends = connect();
    let mut stays = connect();
    exchange(&mut ends.0, &mut ends.1, 5_000);
    exchange(&mut stays.0, &mut stays.1, 6_000);
    let before = own();
    destroyed.begin(&before);

    exchange(&mut ends.0, &mut ends.1, 11);
    exchange(&mut stays.0, &mut stays.1, 13);
    drop(ends.0);
    assert_eq!(ends.1.read(&mut [0]).unwrap(), 0);
    drop(ends.1);
    for turn in 0..500 {
        short_exchange(&listener, turn);
    }

    let all = |closed: &ClosedSockets| {
        let callers = before
            .sockets
            .values()
            .filter(|socket| socket.remote.port() == port);
        let ended = callers.filter(|socket| closed.known.contains_key(&socket.cookie));
        closed.short_lived(port) == 500 && ended.count() == 1
    };
    let closed = destroyed.closed(all, PATIENCE);
    let usage = own().since(&before, Some(&closed), &to(port));
    assert_eq!(usage.errors, [""; 0]);
    assert!(!closed.incomplete);
    let leg = usage.legs["client→service"];
    assert_eq!(leg.carried.sent, 500 * 290 + 11 + 13);
    assert_eq!(leg.carried.received, 500 * 47);
    assert_eq!((leg.open, leg.closed), (1, 501));
}

#[test]
fn a_peer_that_closes_late_takes_no_byte_off() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let Ok(destroyed) = DestroyListener::start(&[port]) else {
        assert!(!nix::unistd::geteuid().is_root());
        return;
    };
    let before = own();
    destroyed.begin(&before);
    for _ in 0..5 {
        let mut caller = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut callee = listener.accept().unwrap().0;
        exchange(&mut caller, &mut callee, 290);
        exchange(&mut callee, &mut caller, 47);
        drop(caller);
        assert_eq!(callee.read(&mut [0]).unwrap(), 0);
        // Longer than the kernel puts off its ACK of the caller's FIN.
        std::thread::sleep(std::time::Duration::from_millis(300));
        drop(callee);
    }
    let all = |closed: &ClosedSockets| closed.short_lived(port) == 5 && closed.has_both_ends();
    let closed = destroyed.closed(all, PATIENCE);
    let usage = own().since(&before, Some(&closed), &to(port));
    let leg = usage.legs["client→service"];
    assert_eq!((leg.carried.sent, leg.carried.received), (5 * 290, 5 * 47));
}

#[test]
fn short_connections_to_a_port_that_two_legs_share_are_kept_apart_as_ambiguous() {
    let closed = ClosedSockets {
        new: [(
            5672,
            (
                Counters {
                    sent: 9,
                    ..Counters::default()
                },
                3,
            ),
        )]
        .into(),
        ..ClosedSockets::default()
    };
    let nothing = Snapshot {
        at_ns: 0,
        sockets: BTreeMap::new(),
    };
    let legs = [
        leg("client→broker", 1, 5672),
        leg("service→broker", 2, 5672),
    ];
    let usage = nothing.since(&nothing, Some(&closed), &legs);
    assert_eq!(
        (usage.ambiguous.carried.sent, usage.ambiguous.closed),
        (9, 3)
    );
    assert_eq!(usage.legs["client→broker"], LegUsage::default());
}
