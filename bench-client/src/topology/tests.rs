//! Topologies as users write them: read, refused, drawn, and told to the services.

mod fanout;

use super::*;
use crate::cell::Cell;

/// A checkout that awaits payment, publishes to the mailer, and whose payment asks a ledger.
pub(crate) fn checkout() -> Topology {
    Topology::from_json(
        r#"{
            "name": "checkout",
            "services": [
                {"name": "checkout", "workers": 8, "slow": "1ms"},
                {"name": "payment", "side_by_side": true},
                {"name": "ledger", "idempotent": true},
                {"name": "email", "slow": "5ms fail=1%"}
            ],
            "edges": [
                {"from": "checkout", "to": "payment", "transport": "grpc", "timeout": "500ms",
                 "guards": {"retries": 2, "bulkhead": 8}},
                {"from": "checkout", "to": "email", "transport": "queue", "way": "publish"},
                {"from": "payment", "to": "ledger", "transport": "stream", "way": "reply=topic"}
            ]
        }"#,
    )
    .expect("the test's own topology is one")
}

fn names(services: &[&Service]) -> Vec<String> {
    services
        .iter()
        .map(|service| service.name.clone())
        .collect()
}

#[test]
fn a_topology_comes_back_from_json_and_passes_its_check() {
    let topology = checkout();
    assert_eq!(topology.check(), Ok(()));
    let again = serde_json::to_string(&topology).unwrap();
    assert_eq!(Topology::from_json(&again).unwrap(), topology);
    assert_eq!(topology.entry().unwrap().name, "checkout");
    assert_eq!(
        topology.transports().into_iter().collect::<Vec<_>>(),
        [Transport::Grpc, Transport::Queue, Transport::Stream]
    );
}

#[test]
fn callers_come_before_those_whom_they_call_however_they_are_listed() {
    let mut topology = checkout();
    topology.services.reverse();
    let order = names(&topology.callers_first());
    let place = |name: &str| order.iter().position(|there| there == name).unwrap();
    assert_eq!(order[0], "checkout");
    for edge in &topology.edges {
        assert!(place(&edge.from) < place(&edge.to), "{order:?}");
    }
    assert_eq!(order.len(), 4);
}

#[test]
fn a_chain_has_one_edge_less_than_services() {
    for length in 1..=5 {
        let slow = "5ms".parse().unwrap();
        let chain = Topology::chain(format!("chain-{length}"), length, Transport::Rest, &slow);
        assert_eq!(chain.check(), Ok(()));
        assert_eq!(
            (chain.services.len(), chain.edges.len()),
            (length, length - 1)
        );
        let order: Vec<String> = (1..=length).map(|n| format!("s{n}")).collect();
        assert_eq!(names(&chain.callers_first()), order);
    }
}

#[test]
fn what_cannot_run_is_refused_with_a_sentence() {
    let refused = |change: &dyn Fn(&mut Topology), words: &str| {
        let mut topology = checkout();
        change(&mut topology);
        let error = topology.check().unwrap_err();
        assert!(error.contains(words), "{error} lacks {words:?}");
    };
    refused(&|t| t.name = "Check out".into(), "small letters");
    refused(&|t| t.services.clear(), "1 to 16 services");
    refused(&|t| t.services[0].name = "user".into(), "something else");
    refused(&|t| t.services[1].name = "ledger".into(), "two services");
    refused(&|t| t.services[0].workers = Some(0), "no workers");
    refused(
        &|t| t.services[0].durability = Some(Durability::Power),
        "none or process",
    );
    refused(&|t| t.edges[0].to = "stock".into(), "no service of it");
    refused(&|t| t.edges[0].to = "checkout".into(), "calls itself");
    refused(&|t| t.edges.push(t.edges[0].clone()), "two edges");
    refused(&|t| t.edges[0].way = Way::Publish, "expected awaited");
    refused(&|t| t.edges[1].way = Way::Awaited, "reply=direct");
    refused(
        &|t| t.edges[2].way = Way::Reply(ReplyVia::Direct),
        "reply=topic",
    );
    refused(
        &|t| t.edges[0].timeout = Some(Duration::ZERO),
        "no call end",
    );
    refused(&|t| t.edges[0].connections = Some(0), "1 to 10000");
    refused(&|t| t.edges[1].no_deadline = true, "(publish)");
    refused(
        &|t| (t.edges[0].transport, t.edges[0].no_deadline) = (Transport::Tcp, true),
        "over tcp (awaited)",
    );
    refused(&|t| t.edges[0].guards.bulkhead = Some(0), "no call through");
    refused(
        &|t| t.edges[0].guards.slow_after = Some(Duration::from_millis(100)),
        "is for a breaker",
    );
    refused(
        &|t| {
            let back = Edge::new("ledger", "payment", Transport::Rest);
            t.edges.push(back);
        },
        "in a circle among payment, ledger",
    );
    refused(
        &|t| t.edges.truncate(1),
        "3 are called by no other: checkout, ledger, email",
    );
}

#[test]
fn what_is_no_topology_is_answered_with_one() {
    for (text, words) in [
        ("", "expected a topology such as"),
        (r#"{"name":"x","services":[],"edge":[]}"#, "unknown field"),
        (
            r#"{"name":"x","services":[{"name":"a","slow":"soon"}]}"#,
            "soon",
        ),
        (
            r#"{"name":"x","services":[],"edges":[{"from":"a","to":"b","transport":"queue","way":"shout"}]}"#,
            "nothing that a call waits for",
        ),
    ] {
        let error = Topology::from_json(text).unwrap_err();
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn a_cell_asks_for_nothing_that_its_services_do_otherwise() {
    let cell = Cell {
        durability: Durability::Process,
        topology: Some(checkout()),
        ..Cell::new(Transport::Rest)
    };
    assert_eq!(check_cell(&cell), Ok(()));
    let refused = |cell: Cell, words: &str| {
        let error = check_cell(&cell).unwrap_err();
        assert!(error.contains(words), "{error}");
    };
    refused(
        Cell {
            workers: Some(1),
            ..cell.clone()
        },
        "belong to its services",
    );
    refused(
        Cell {
            tls: true,
            ..cell.clone()
        },
        "leave TLS out",
    );
    let mut other = cell.clone();
    other.topology.as_mut().unwrap().services[3].durability = Some(Durability::None);
    refused(other, "share a broker's queue");
    let mut other = Cell {
        transport: Transport::Queue,
        ..cell
    };
    other.topology.as_mut().unwrap().services[0].durability = Some(Durability::None);
    refused(other, "the user reaches 'checkout' over a broker");
}

#[test]
fn the_diagram_shows_each_call_once_from_the_user_on() {
    assert_eq!(
        checkout().diagram(Transport::Rest),
        "user\n\
         └─ rest → checkout (1ms; 8 workers)\n   \
            ├─ grpc, timeout 500ms, retries=2, bulkhead=8 → payment (calls side by side)\n   \
            │  └─ stream, reply=topic → ledger (idempotent)\n   \
            └─ queue, publish → email (5ms fail=1%)\n"
    );
    let mut twice = checkout();
    twice
        .edges
        .push(Edge::new("email", "ledger", Transport::Tcp));
    let diagram = twice.diagram(Transport::Rest);
    assert!(diagram.contains("tcp → ledger (above)"), "{diagram}");
}

#[test]
fn a_service_is_told_its_calls_with_place_scope_format_and_guards() {
    let topology = checkout();
    let mut places = Places::new("run-1");
    let of =
        |name: &str, places: &Places| topology.arguments(topology.service(name).unwrap(), places);
    let error = of("checkout", &places).unwrap_err();
    assert!(
        error.contains("'payment' was expected to run before"),
        "{error}"
    );
    places.listens("payment", Transport::Grpc, "127.0.0.1:7");
    assert_eq!(
        of("checkout", &places).unwrap(),
        [
            "--next",
            "payment=grpc:127.0.0.1:7,format=protobuf,timeout=500ms,retries=2,bulkhead=8",
            "--next",
            "email=queue:env,publish,scope=run-1-email,format=protobuf",
        ]
    );
    assert_eq!(
        of("payment", &places).unwrap(),
        [
            "--next",
            "ledger=stream:env,reply=topic,scope=run-1-ledger,format=protobuf",
            "--next-side-by-side",
        ]
    );
    assert_eq!(of("ledger", &places).unwrap(), ["--idempotent"]);
    assert_eq!(of("email", &places).unwrap(), Vec::<String>::new());
    assert_eq!(places.scope_of(&topology, "checkout"), "run-1");
    let scopes: Vec<_> = topology.broker_scopes(&places).into_iter().collect();
    assert_eq!(
        scopes,
        [
            (Transport::Queue, "run-1-email".to_string()),
            (Transport::Stream, "run-1-ledger".to_string()),
        ]
    );
    let on = |name: &str| topology.listens_on(topology.service(name).unwrap(), Transport::Rest);
    assert_eq!(on("checkout"), BTreeSet::from([Transport::Rest]));
    assert_eq!(on("email"), BTreeSet::from([Transport::Queue]));
}

#[test]
fn a_deadline_that_does_not_travel_is_said_to_the_caller_and_in_the_diagram() {
    let json = r#"{"name":"pair","services":[{"name":"a"},{"name":"b"}],
        "edges":[{"from":"a","to":"b","transport":"grpc","timeout":"250ms","no_deadline":true}]}"#;
    let topology = Topology::from_json(json).unwrap();
    assert_eq!(topology.check(), Ok(()));
    let again = serde_json::to_string(&topology).unwrap();
    assert_eq!(Topology::from_json(&again).unwrap(), topology);
    let mut places = Places::new("run-1");
    places.listens("b", Transport::Grpc, "127.0.0.1:7");
    assert_eq!(
        topology
            .arguments(topology.service("a").unwrap(), &places)
            .unwrap(),
        [
            "--next",
            "b=grpc:127.0.0.1:7,format=protobuf,timeout=250ms,no-deadline"
        ]
    );
    let diagram = topology.diagram(Transport::Rest);
    assert!(
        diagram.contains("grpc, timeout 250ms, no deadline → b"),
        "{diagram}"
    );
    let mut travels = topology.clone();
    travels.edges[0].no_deadline = false;
    assert_ne!(topology.label(), travels.label());
    let text = serde_json::to_string(&travels).unwrap();
    assert!(!text.contains("no_deadline"), "{text}");
}

#[test]
fn topologies_that_differ_have_different_labels_and_services_different_draws() {
    let (one, mut other) = (checkout(), checkout());
    assert_eq!(one.label(), checkout().label());
    other.services[3].slow = Some("6ms".parse().unwrap());
    assert_ne!(one.label(), other.label());
    assert!(one.label().starts_with("checkout-"));
    let seeds: BTreeSet<u64> = one
        .services
        .iter()
        .map(|service| one.seed_of(&service.name, 1))
        .collect();
    assert_eq!(seeds.len(), one.services.len());
}
