//! Fan-outs as users write them, and readers that join later.

use super::*;

/// An order that two services read, published once.
fn fanned_out() -> Topology {
    let mut topology = checkout();
    topology.services.push(Service::named("analytics"));
    let read = Edge {
        fanout: Some("placed".into()),
        ..topology.edges[1].clone()
    };
    topology.edges[1] = read.clone();
    topology.edges.push(Edge {
        to: "analytics".into(),
        ..read
    });
    topology
}

#[test]
fn a_fan_out_is_published_once_and_each_reader_reads_it_under_its_own_name() {
    let topology = fanned_out();
    assert_eq!(topology.check(), Ok(()));
    let again = serde_json::to_string(&topology).unwrap();
    assert_eq!(Topology::from_json(&again).unwrap(), topology);
    let mut places = Places::new("run-1");
    places.listens("payment", Transport::Grpc, "127.0.0.1:7");
    let of = |name: &str| {
        let service = topology.service(name).unwrap();
        topology.arguments(service, &places).unwrap()
    };
    let calls = of("checkout");
    assert_eq!(calls.len(), 4, "{calls:?}");
    assert_eq!(
        calls[3],
        "placed=queue:env,publish,fanout,scope=run-1-placed,format=protobuf"
    );
    for name in ["email", "analytics"] {
        assert_eq!(of(name), ["--reader", name]);
        assert_eq!(places.scope_of(&topology, name), "run-1-placed");
    }
    assert_eq!(topology.broker_scopes(&places).len(), 2);
    let diagram = topology.diagram(Transport::Rest);
    for name in ["email", "analytics"] {
        let line = diagram.lines().find(|line| line.contains(name)).unwrap();
        assert!(line.contains("queue, publish, fan-out placed"), "{diagram}");
    }
}

#[test]
fn a_queue_limit_beside_a_fan_out_over_rabbitmq_is_refused() {
    let cell = |topology: Topology| Cell {
        topology: Some(topology),
        queue_limit: Some(5),
        durability: Durability::Process,
        ..Cell::new(Transport::Queue)
    };
    assert_eq!(check_cell(&cell(checkout())), Ok(()));
    let error = check_cell(&cell(fanned_out())).unwrap_err();
    assert!(
        error.contains("expected a queue limit or a fan-out"),
        "{error}"
    );
    let mut over_kafka = fanned_out();
    for edge in &mut over_kafka.edges {
        if edge.fanout.is_some() {
            edge.transport = Transport::Stream;
        }
    }
    assert_eq!(check_cell(&cell(over_kafka)), Ok(()));
}

#[test]
fn a_fan_out_that_is_no_single_message_is_refused() {
    let refused = |change: &dyn Fn(&mut Topology), words: &str| {
        let mut topology = fanned_out();
        change(&mut topology);
        let error = topology.check().unwrap_err();
        assert!(error.contains(words), "{error} lacks {words:?}");
    };
    let named = |t: &mut Topology, name: &str| {
        for edge in t.edges.iter_mut().filter(|edge| edge.fanout.is_some()) {
            edge.fanout = Some(name.into());
        }
    };
    refused(&|t| named(t, "Placed"), "small letters");
    refused(&|t| named(t, "ledger"), "a name of its own");
    refused(&|t| named(t, "kafka"), "a name of its own");
    refused(
        &|t| t.edges[1].way = Way::Reply(ReplyVia::Direct),
        "none of which answers",
    );
    refused(
        &|t| t.edges[3].timeout = Some(Duration::from_secs(1)),
        "is published once",
    );
    refused(
        &|t| t.edges[3].transport = Transport::Stream,
        "is published once",
    );
    refused(&|t| t.edges[3].from = "ledger".into(), "is published once");
    refused(
        &|t| {
            t.edges
                .push(Edge::new("payment", "analytics", Transport::Rest));
        },
        "not the only call of 'analytics'",
    );
}

#[test]
fn a_service_joins_later_only_where_another_reads_what_it_will_read() {
    let mut topology = fanned_out();
    topology.services[4].joins_later = true;
    assert_eq!(topology.check(), Ok(()));
    assert_ne!(topology.label(), fanned_out().label());
    let text = serde_json::to_string(&topology).unwrap();
    assert_eq!(text.matches("joins_later").count(), 1, "{text}");
    assert_eq!(Topology::from_json(&text).unwrap(), topology);
    let told = |name: &str| {
        let service = topology.service(name).unwrap();
        topology.arguments(service, &Places::new("run-1")).unwrap()
    };
    assert_eq!(
        told("analytics"),
        ["--reader", "analytics", "--from-latest"]
    );
    assert_eq!(told("email"), ["--reader", "email"]);
    let diagram = topology.diagram(Transport::Rest);
    assert!(diagram.contains("analytics (joins later)"), "{diagram}");
    // Awaited; published to it alone; called by nobody but the user; and when none is there from the start.
    for (services, of) in [
        (vec![1], checkout()),
        (vec![3], checkout()),
        (vec![0], checkout()),
        (vec![3, 4], fanned_out()),
    ] {
        let mut refused = of;
        for place in services {
            refused.services[place].joins_later = true;
        }
        let error = refused.check().unwrap_err();
        assert!(error.contains("reads from the start"), "{error}");
    }
}
