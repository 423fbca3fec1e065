//! Two services and a user, with accounts as they would tell them.

use super::*;
use crate::account::Observed;
use crate::fault::Fault;
use crate::load::series::Series;
use crate::load::{SpanPlan, SpanRecord};
use crate::meters::Usage;
use crate::service::Injected;
use crate::topology::{Edge, Service, Way};
use bench_proto::CallerLedger;
use bench_proto::control::Account;
use bench_transport::Transport;
use std::time::Duration;

/// So many orders attempted, these acknowledged, the rest failed.
fn record(attempted: u64, acknowledged: impl IntoIterator<Item = u64>) -> Record {
    let acknowledged: RoaringTreemap = acknowledged.into_iter().collect();
    let plan = SpanPlan {
        name: "measured".into(),
        start: Duration::ZERO,
        end: Duration::from_secs(1),
    };
    Record {
        start_ns: 0,
        end_ns: 1_000_000_000,
        spans: vec![SpanRecord {
            plan,
            planned: attempted,
            accept: portable::new(),
            service: portable::new(),
            refused: 0,
            failed: attempted - acknowledged.len(),
            timed_out: 0,
        }],
        lateness: portable::new(),
        backpressure: portable::new(),
        accepted_in_window: acknowledged.len(),
        open_at_end: 0,
        negative: 0,
        body_out: 0,
        body_in: 0,
        ledgers: vec![CallerLedger {
            attempted,
            failed: attempted - acknowledged.len(),
            acknowledged,
            ..CallerLedger::default()
        }],
        series: Series::for_window(Some(Duration::from_secs(1))),
        drained: true,
        thread_cpu_ns: 0,
        spun_ns: 0,
    }
}

/// A distribution of so many equal times.
fn times(count: u64, ns: u64) -> String {
    let mut histogram = portable::new();
    histogram.record_n(ns, count).unwrap();
    portable::encode(&histogram)
}

fn span(name: &str, planned_ns: u64, handler_ns: u64) -> SpanAccount {
    SpanAccount {
        name: name.into(),
        completed: 10,
        completion: times(10, handler_ns),
        handler: times(10, handler_ns),
        planned: times(10, planned_ns),
    }
}

/// A service to which these orders were delivered.
fn told(name: &str, delivered: impl IntoIterator<Item = u64>) -> ServiceAccount {
    let mut ledger = ServiceLedger::default();
    for sequence in delivered {
        ledger.record(0, sequence, sequence);
    }
    let mut account: Account = serde_json::from_value(serde_json::json!({
        "run": 1,
        "progress": {"delivered": 0, "completed": 0, "in_service": 0, "now_ns": 0, "cpu_ns": 0},
        "ledger": ledger.to_json(),
        "spans": [],
        "handler": "",
        "planned_handler": "",
        "completed_in_window": 0,
        "negative": 0,
        "unstamped": 0,
        "foreign": 0,
        "refused": {},
        "malformed": {},
        "failed": 0,
        "redelivered": 0,
    }))
    .expect("an account");
    account.spans = vec![span("measured", 5_000_000, 5_050_000)];
    ServiceAccount {
        name: name.into(),
        account: Some(account),
        died: false,
    }
}

fn calling(mut from: ServiceAccount, to: &str, calls: HopAccount) -> ServiceAccount {
    let account = from.account.as_mut().expect("it told something");
    account.hops.insert(to.into(), calls);
    from
}

fn cell() -> Cell {
    let slow = "5ms".parse().unwrap();
    Cell {
        topology: Some(Topology::chain("pair", 2, Transport::Rest, &slow)),
        ..Cell::new(Transport::Rest)
    }
}

fn joined(record: Record, services: Vec<ServiceAccount>, injected: Vec<Injected>) -> Joined {
    joined_in(&cell(), record, services, injected)
}

fn joined_in(
    cell: &Cell,
    record: Record,
    services: Vec<ServiceAccount>,
    injected: Vec<Injected>,
) -> Joined {
    join(&Material {
        cell,
        record,
        services,
        probe: None,
        observed: Observed::default(),
        usage: Usage::default(),
        broker: None,
        flushes: None,
        wire: Ok(BTreeMap::new()),
        wire_records_lost: false,
        in_force: BTreeMap::new(),
        pinned: true,
        planted: false,
        injected,
        zero_ns: 0,
    })
}

/// `s1` handled 0…9; two of its calls failed, so `s2` handled 0…7.
fn healthy() -> Vec<ServiceAccount> {
    let calls = HopAccount {
        calls: 10,
        attempts: 10,
        succeeded: 8,
        failed: BTreeMap::from([("connect".to_string(), 2)]),
        latency: times(10, 6_000_000),
        ..HopAccount::default()
    };
    vec![calling(told("s1", 0..10), "s2", calls), told("s2", 0..8)]
}

fn killed() -> Vec<Injected> {
    let fault: Fault = "at 1s kill s2".parse().unwrap();
    vec![Injected { fault, at_ns: 1 }]
}

#[test]
fn orders_are_counted_by_the_set_of_services_that_they_reached() {
    // Twelve attempted; two never came anywhere.
    let joined = joined(record(12, 0..8), healthy(), vec![]);
    let of = |services: &[&str], orders| Reached {
        services: services.iter().map(ToString::to_string).collect(),
        orders,
    };
    assert_eq!(joined.problems, Vec::<String>::new());
    let mut reached = joined.reached;
    reached.sort_by_key(|one| one.services.len());
    assert_eq!(reached, [of(&[], 2), of(&["s1"], 2), of(&["s1", "s2"], 8)]);
}

#[test]
fn what_is_published_once_is_to_arrive_at_every_reader() {
    let read = |name: &str| Edge {
        way: Way::Publish,
        fanout: Some("placed".into()),
        ..Edge::new("s1", name, Transport::Queue)
    };
    let mut cell = cell();
    cell.topology = Some(Topology {
        name: "fan".into(),
        services: ["s1", "s2", "s3"].map(Service::named).into(),
        edges: ["s2", "s3"].map(read).into(),
    });
    let calls = HopAccount {
        calls: 10,
        attempts: 10,
        succeeded: 10,
        latency: times(10, 1_000_000),
        ..HopAccount::default()
    };
    // The second reader never got the last one.
    let services = vec![
        calling(told("s1", 0..10), "placed", calls),
        told("s2", 0..10),
        told("s3", 0..9),
    ];
    let joined = joined_in(&cell, record(10, 0..10), services, vec![]);
    let lost: Vec<Option<u64>> = joined.hops[1..]
        .iter()
        .map(|hop| hop.from["s1"].lost)
        .collect();
    assert_eq!(lost, [Some(0), Some(1)]);
    let [problem] = &joined.problems[..] else {
        panic!("one problem: {:?}", joined.problems)
    };
    assert!(problem.starts_with("'s3': 1 of 10 calls"), "{problem}");
}

/// Two readers of ten orders: `s2` from the start, and `s3`, which was ready halfway through the window.
fn with_a_late_reader(delivered: impl IntoIterator<Item = u64>, further: Vec<Injected>) -> Joined {
    let read = |name: &str| Edge {
        way: Way::Publish,
        fanout: Some("placed".into()),
        ..Edge::new("s1", name, Transport::Queue)
    };
    let mut cell = cell();
    let late = Service {
        joins_later: true,
        ..Service::named("s3")
    };
    cell.topology = Some(Topology {
        name: "fan".into(),
        services: vec![Service::named("s1"), Service::named("s2"), late],
        edges: ["s2", "s3"].map(read).into(),
    });
    let calls = HopAccount {
        calls: 10,
        attempts: 10,
        succeeded: 10,
        latency: times(10, 1_000_000),
        ..HopAccount::default()
    };
    let services = vec![
        calling(told("s1", 0..10), "placed", calls),
        told("s2", 0..10),
        told("s3", delivered),
    ];
    let fault: Fault = "at 300ms start s3".parse().unwrap();
    let at_ns = 500_000_000;
    let mut injected = vec![Injected { fault, at_ns }];
    injected.extend(further);
    joined_in(&cell, record(10, 0..10), services, injected)
}

#[test]
fn of_a_reader_that_joined_later_only_what_was_published_since_is_lost() {
    let lost = |joined: &Joined| (joined.hops[2].ledger.lost, joined.hops[2].from["s1"].lost);
    // While it joined an order may be its or not, and there may be gaps; from 5 on there may be none.
    for delivered in [vec![5, 6, 7, 8, 9], vec![3, 5, 6, 7, 8, 9]] {
        let found = with_a_late_reader(delivered, vec![]);
        assert_eq!(found.problems, Vec::<String>::new());
        assert_eq!(lost(&found), (Some(0), Some(0)));
        assert_eq!(found.hops[1].from["s1"].lost, Some(0));
    }
    for (delivered, gone) in [(vec![5, 6, 8, 9], 1), (vec![], 5), (vec![3, 4], 5)] {
        let found = with_a_late_reader(delivered, vec![]);
        assert_eq!(lost(&found), (Some(gone), Some(gone)));
        let [problem] = &found.problems[..] else {
            panic!("one problem: {:?}", found.problems)
        };
        let says = format!("'s3': {gone} of 10 calls");
        assert!(problem.starts_with(&says), "{problem}");
    }
    // Beside a fault that harms, it is a finding.
    let found = with_a_late_reader(vec![5, 6, 8, 9], killed());
    assert_eq!(
        (lost(&found).0, found.problems),
        (Some(1), Vec::<String>::new())
    );
}

#[test]
fn each_service_is_held_against_the_user_and_against_who_calls_it() {
    let joined = joined(record(12, 0..8), healthy(), vec![]);
    let [s1, s2] = &joined.hops[..] else {
        panic!("two services: {:?}", joined.hops)
    };
    assert_eq!((s1.ledger.delivered, s1.ledger.lost), (Some(10), Some(0)));
    assert_eq!((s2.ledger.delivered, s2.ledger.lost), (Some(8), Some(0)));
    let calls = &s1.calls["s2"];
    assert_eq!(
        (calls.calls, calls.succeeded, calls.failed["connect"]),
        (10, 8, 2)
    );
    assert_eq!(calls.latency_ns.count, 10);
    assert!(calls.breaker_s.is_empty() && s2.calls.is_empty() && s1.from.is_empty());
    let expected = Sent {
        calls: 10,
        succeeded: 8,
        lost: Some(0),
        unknown_to_caller: Some(0),
    };
    assert_eq!(s2.from["s1"], expected);
}

#[test]
fn a_call_that_went_well_and_never_arrived_is_invalid_unless_a_fault_explains_it() {
    let mut services = healthy();
    services[1] = told("s2", 0..7);
    let found = joined(record(12, 0..8), services.clone(), vec![]);
    assert_eq!(
        found.problems,
        [
            "'s2': 1 of 8 calls that went well for 's1' were never delivered to it though no fault was injected"
        ]
    );
    assert_eq!(found.hops[1].from["s1"].lost, Some(1));
    assert_eq!(found.hops[1].ledger.lost, Some(1));
    let found = joined(record(12, 0..8), services, killed());
    assert_eq!(found.problems, Vec::<String>::new());
}

#[test]
fn orders_from_nowhere_and_calls_that_do_not_balance_are_invalid() {
    let mut services = healthy();
    services[1] = told("s2", (0..8).chain([11, 99]));
    let said = joined(record(12, 0..8), services, vec![])
        .problems
        .join("\n");
    assert!(
        said.contains("'s2': 1 orders were delivered to it that nobody attempted"),
        "{said}"
    );
    assert!(
        said.contains(
            "'s2': 2 orders were delivered to it that its only caller 's1' has not handled"
        ),
        "{said}"
    );
    let mut services = healthy();
    let hops = &mut services[0].account.as_mut().unwrap().hops;
    hops.get_mut("s2").unwrap().succeeded = 7;
    let said = joined(record(12, 0..8), services, vec![])
        .problems
        .join("\n");
    assert!(
        said.contains("'s1': its calls to 's2' do not balance: 10 orders needed one, and 9"),
        "{said}"
    );
}

#[test]
fn a_handler_that_misses_its_plan_is_named_with_its_phase() {
    let mut services = healthy();
    let spans = &mut services[1].account.as_mut().unwrap().spans;
    spans.push(span("slow", 200_000_000, 5_000_000));
    let found = joined(record(12, 0..8), services, vec![]);
    assert_eq!(
        found.problems.len(),
        2,
        "median and mean: {:?}",
        found.problems
    );
    assert!(
        found.problems[0].starts_with("'s2': in 'slow' the handler's median was 5"),
        "{:?}",
        found.problems
    );
    let phase = &found.hops[1].phases[0];
    assert_eq!((phase.name.as_str(), phase.completed), ("slow", 10));
    assert!(
        phase
            .planned_handler_ns
            .is_some_and(|ns| ns > 199e6 && ns < 201e6)
    );
}

#[test]
fn a_service_that_was_killed_has_no_delivery_side_and_no_orders_are_joined() {
    let mut services = healthy();
    services[1].died = true;
    let found = joined(record(12, 0..8), services, killed());
    let s2 = &found.hops[1];
    assert!(s2.died && s2.ledger.delivered.is_none() && s2.from["s1"].lost.is_none());
    assert_eq!(s2.completed, Some(10), "what its second life told is kept");
    assert!(found.reached.is_empty());
    assert_eq!(found.problems, Vec::<String>::new());
}

#[test]
fn a_single_service_has_no_hops() {
    let plain = Cell::new(Transport::Rest);
    let material = Material {
        cell: &plain,
        record: record(1, 0..1),
        services: vec![told("service", 0..1)],
        probe: None,
        observed: Observed::default(),
        usage: Usage::default(),
        broker: None,
        flushes: None,
        wire: Ok(BTreeMap::new()),
        wire_records_lost: false,
        in_force: BTreeMap::new(),
        pinned: true,
        planted: false,
        injected: vec![],
        zero_ns: 0,
    };
    let joined = join(&material);
    assert!(joined.hops.is_empty() && joined.reached.is_empty() && joined.problems.is_empty());
}
