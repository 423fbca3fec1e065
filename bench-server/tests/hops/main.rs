//! Services that call services, as real processes: what reaches which hop, what a failing or a stopped one does to its
//! callers, and what each guard turns away. Ledgers and counts judge; no time is asserted.

#[path = "../service/common/mod.rs"]
mod common;

mod brokers;
mod chain;
mod guards;

use bench_proto::control::{Account, HopAccount, Progress};
use bench_proto::ledger::Balance;
use bench_proto::{CallerLedger, Format, Message, Stamp};
use common::{Orders, Program, command, histogram, http, ledger, origin, reset};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Starts a service on free ports and a fresh run of it.
async fn start(flags: &[&str]) -> Program {
    let program = Program::start(flags);
    program.control().reset(&reset()).await;
    program
}

/// A service with one listener over REST, that calls these hops.
async fn calling(hops: &[String], more: &[&str]) -> Program {
    let mut flags = vec!["--rest", "127.0.0.1:0"];
    for hop in hops {
        flags.extend(["--next", hop]);
    }
    flags.extend(more);
    start(&flags).await
}

/// Places one order: status, and the sentence where it is no success.
async fn place(address: &str, sequence: u64, more: &[(&'static str, &str)]) -> (u16, String) {
    let Message::Order(order) = Orders::new().next(sequence) else {
        panic!("an order was expected");
    };
    let stamp = origin(sequence).stamp.unwrap().to_text();
    let mut headers = vec![
        ("content-type", "application/json".to_owned()),
        (Stamp::HEADER, String::from_utf8(stamp.to_vec()).unwrap()),
    ];
    headers.extend(
        more.iter()
            .map(|(name, value)| (*name, (*value).to_owned())),
    );
    let body = Format::Json.encode(&order);
    let (status, body) = http(address, "POST", "/v1/orders", &headers, body).await;
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// Places so many orders, one after the other; how many had each status.
async fn place_all(program: &Program, orders: u64) -> BTreeMap<u16, u64> {
    let mut statuses = BTreeMap::new();
    for sequence in 0..orders {
        let (status, _) = place(program.rest(), sequence, &[]).await;
        *statuses.entry(status).or_default() += 1;
    }
    statuses
}

/// Places an order on a task of its own.
fn placing(program: &Program, sequence: u64) -> JoinHandle<u16> {
    let address = program.rest().to_owned();
    tokio::spawn(async move { place(&address, sequence, &[]).await.0 })
}

/// Asks for the catalogue; the status.
async fn catalog(address: String) -> u16 {
    http(&address, "GET", "/v1/catalog", &[], "").await.0
}

async fn progress(program: &Program) -> Progress {
    let (_, progress) = program.control().call("GET", "/v1/progress", "").await;
    serde_json::from_value(progress).unwrap()
}

/// Waits until something is so of the account, and gives that. A guard against hanging ends it, no measurement.
async fn until(program: &Program, what: &str, so: impl Fn(&Account) -> bool) -> Account {
    let control = program.control();
    for _ in 0..3_000 {
        let account = control.account().await;
        if so(&account) {
            return account;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never came true: {what}");
}

/// Every call has ended once, and every attempt belongs to a call.
fn identities_hold(hop: &HopAccount) {
    let failed: u64 = hop.failed.values().sum();
    let turned_away = hop.shed + hop.refused_by_breaker;
    let ended = hop.succeeded + failed + hop.timed_out + turned_away;
    assert_eq!(hop.calls, ended, "{hop:?}");
    let untried = turned_away + hop.failed.get("deadline").copied().unwrap_or(0);
    assert_eq!(hop.attempts, hop.calls - untried + hop.retried, "{hop:?}");
    assert_eq!(histogram(&hop.latency).len(), hop.calls - untried);
}

/// Deliveries beyond the first of each order.
fn duplicated(account: &Account, orders: u64) -> u64 {
    let mut caller = CallerLedger {
        attempted: orders,
        ..CallerLedger::default()
    };
    caller.acknowledged.insert_range(0..orders);
    let balance = Balance::of(&[caller], Some(&ledger(account)));
    assert_eq!((balance.lost, balance.unexpected), (Some(0), Some(0)));
    balance.duplicated.unwrap()
}
