//! Advice on planted runs: what fits, what does not, and what nobody may say.

use super::*;
use crate::claims::fixture::{latency, planted};
use crate::results::Trial;
use std::collections::BTreeSet;

/// O3 at 2,000/s in class `process`, and nothing else.
fn needs() -> Needs {
    Needs {
        rate_per_s: 2_000.0,
        payload: weight("O3", 744.0, 290.0),
        needs_reply: false,
        durability: Durability::Process,
        ordering: Ordering::None,
        consumers: 1,
        outage: Duration::ZERO,
        max_p99: None,
    }
}

fn weight(name: &str, json: f64, protobuf: f64) -> Weight {
    Weight {
        name: name.into(),
        json,
        protobuf,
    }
}

/// The planted run with its ladder at these rates: p99 is 0.6 ms over REST, 1.2 over gRPC, 3 over RabbitMQ and 1.5 over
/// Kafka; an order costs 110 µs of CPU over the first two and 190 over the others.
fn at(rates: &[f64]) -> Run {
    let mut run = planted();
    let ladder: Vec<Trial> = of(&run, "ladder").cloned().collect();
    run.trials.retain(|trial| trial.experiment != "ladder");
    for rate in rates {
        for trial in &ladder {
            let mut trial = trial.clone();
            trial.cell.id = trial.cell.id.replace("r2000", &format!("r{rate}"));
            trial.cell.rate_per_s = Some(*rate);
            trial.throughput_per_s = *rate;
            run.trials.push(trial);
        }
    }
    run
}

fn of<'r>(run: &'r Run, experiment: &'r str) -> impl Iterator<Item = &'r Trial> {
    run.trials
        .iter()
        .filter(move |trial| trial.experiment == experiment)
}

/// Changes the ladder's trials of a transport.
fn change(run: &mut Run, transport: &str, change: impl Fn(&mut Trial)) {
    for trial in &mut run.trials {
        if trial.experiment == "ladder" && trial.cell.transport == transport {
            change(trial);
        }
    }
}

fn ask(run: &Run, needs: &Needs) -> Advice {
    let source = Source {
        name: "planted".into(),
        run,
    };
    advise(&[source], needs)
}

fn way<'a>(advice: &'a Advice, name: &str) -> &'a Way {
    let found = advice.ways.iter().find(|way| way.name == name);
    found.unwrap_or_else(|| panic!("{name} is not among {:?}", advice.ways))
}

fn why<'a>(advice: &'a Advice, name: &str, need: &str) -> &'a Reason {
    let way = way(advice, name);
    let found = way.reasons.iter().find(|reason| reason.need == need);
    found.unwrap_or_else(|| panic!("{need} is not among {:?}", way.reasons))
}

fn fits(advice: &Advice) -> Vec<(&str, Fit)> {
    let mut all: Vec<(&str, Fit)> = advice
        .ways
        .iter()
        .map(|w| (w.name.as_str(), w.fit))
        .collect();
    all.sort_by_key(|(name, _)| *name);
    all
}

use Fit::{DoesNotFit, Fits, Unknown};

#[test]
fn what_was_measured_at_this_very_rate_fits_and_is_ranked_by_its_cost() {
    let advice = ask(&at(&[2_000.0]), &needs());
    let ranked: Vec<(&str, Option<u32>, bool)> = advice
        .ways
        .iter()
        .map(|way| (way.name.as_str(), way.rank, way.tied))
        .collect();
    assert_eq!(
        ranked,
        [
            ("rest", Some(1), false),
            ("grpc", Some(2), true),
            ("queue", Some(3), false),
            ("stream", Some(4), true)
        ]
    );
    let Basis::Measured(figure) = &why(&advice, "queue", "cost").basis else {
        panic!("{advice:?}");
    };
    assert_eq!(
        (figure.run.as_str(), figure.cell.as_str()),
        ("planted", "queue-O3-r2000")
    );
    assert_eq!((figure.metric, figure.blocks), ("cpu_us_per_op", 6));
    assert!((figure.value - 190.0).abs() < 1e-9, "{figure:?}");
}

#[test]
fn a_need_that_a_way_cannot_meet_rules_it_out_whatever_was_measured() {
    let reply = Needs {
        needs_reply: true,
        ..needs()
    };
    let advice = ask(&at(&[2_000.0]), &reply);
    assert_eq!(
        fits(&advice),
        [
            ("grpc", Fits),
            ("queue", DoesNotFit),
            // Measured in no class but that of its own experiment.
            ("queue, reply direct", Unknown),
            ("queue, reply queue", Unknown),
            ("rest", Fits),
            ("stream", DoesNotFit),
            ("stream, reply topic", Unknown),
        ]
    );
    assert_eq!(why(&advice, "queue", "reply").basis, Basis::Construction);
    let memory = Needs {
        durability: Durability::Memory,
        ..needs()
    };
    assert_eq!(
        fits(&ask(&at(&[2_000.0]), &memory)),
        [
            ("grpc", DoesNotFit),
            ("queue", Unknown),
            ("rest", DoesNotFit),
            ("stream", DoesNotFit)
        ]
    );
}

#[test]
fn a_reply_over_a_broker_fits_where_it_was_measured() {
    let mut run = at(&[2_000.0]);
    for trial in &mut run.trials {
        trial.cell.durability = "none".into();
        if trial.cell.transport == "queue" && trial.experiment == "ladder" {
            trial.cell.factors.insert("reply".into(), "direct".into());
        }
    }
    let asked = Needs {
        needs_reply: true,
        durability: Durability::None,
        ..needs()
    };
    let advice = ask(&run, &asked);
    assert_eq!(way(&advice, "queue, reply direct").fit, Fits);
    assert_eq!(way(&advice, "queue, reply direct").rank, Some(3));
    assert_eq!(way(&advice, "queue, reply queue").fit, Unknown);
}

#[test]
fn outside_of_the_measured_rates_nothing_is_recommended() {
    let run = at(&[1_000.0, 4_000.0]);
    for (rate, says) in [
        (500.0, "the lowest rate that was measured is 1000/s"),
        (
            5_000.0,
            "the highest rate that was measured and sustained is 4000/s",
        ),
    ] {
        let advice = ask(
            &run,
            &Needs {
                rate_per_s: rate,
                ..needs()
            },
        );
        assert!(
            advice
                .ways
                .iter()
                .all(|way| way.fit == Unknown && way.rank.is_none())
        );
        let reason = why(&advice, "rest", "rate");
        assert!(reason.text.contains(says), "{reason:?}");
        assert_eq!(reason.basis, Basis::NotMeasured);
    }
    let advice = ask(
        &run,
        &Needs {
            rate_per_s: 3_000.0,
            ..needs()
        },
    );
    assert!(advice.ways.iter().all(|way| way.fit == Fits));
    let cell = |need| match &why(&advice, "rest", need).basis {
        Basis::Measured(figure) => figure.cell.clone(),
        other => panic!("{other:?}"),
    };
    // The rate above shows that it holds; the nearest one, what it costs.
    assert_eq!(
        (cell("rate").as_str(), cell("cost").as_str()),
        ("rest-O3-r4000", "rest-O3-r4000")
    );
    let advice = ask(
        &run,
        &Needs {
            rate_per_s: 1_500.0,
            ..needs()
        },
    );
    let Basis::Measured(figure) = &why(&advice, "rest", "cost").basis else {
        panic!("{advice:?}");
    };
    assert_eq!(figure.cell, "rest-O3-r1000");
}

#[test]
fn a_rate_that_was_not_sustained_rules_a_way_out() {
    let mut run = at(&[1_000.0, 4_000.0]);
    change(&mut run, "queue", |trial| {
        if trial.cell.rate_per_s == Some(4_000.0) {
            trial.overloaded = Some("planted".into());
        }
    });
    let advice = ask(
        &run,
        &Needs {
            rate_per_s: 5_000.0,
            ..needs()
        },
    );
    assert_eq!(
        (way(&advice, "queue").fit, way(&advice, "rest").fit),
        (DoesNotFit, Unknown)
    );
    let reason = why(&advice, "queue", "rate");
    assert!(
        reason.text.contains("4000 orders/s were offered"),
        "{reason:?}"
    );
    // Between what held and what did not lies nothing that was measured.
    let advice = ask(
        &run,
        &Needs {
            rate_per_s: 2_000.0,
            ..needs()
        },
    );
    assert_eq!(
        (way(&advice, "queue").fit, way(&advice, "rest").fit),
        (Unknown, Fits)
    );
}

#[test]
fn another_payload_stands_for_the_one_asked_for_only_where_it_is_near_or_on_either_side() {
    let mut run = at(&[2_000.0]);
    let o10 = Needs {
        payload: weight("O10", 1_501.0, 513.0),
        ..needs()
    };
    let advice = ask(&run, &o10);
    // 290 and 513 bytes of protobuf are near; 744 and 1,501 of JSON are not.
    assert_eq!(
        fits(&advice),
        [
            ("grpc", Fits),
            ("queue", Fits),
            ("rest", Unknown),
            ("stream", Fits)
        ]
    );
    let text = &why(&advice, "grpc", "cost").text;
    assert!(text.contains("with O3, the nearest to O10"), "{text}");
    let larger: Vec<Trial> = of(&run, "ladder")
        .filter(|trial| trial.cell.transport == "rest")
        .cloned()
        .map(|mut trial| {
            trial.cell.payload = "O100".into();
            trial.cell.id = trial.cell.id.replace("O3", "O100");
            trial.bytes.body_out = Some(11_168.0);
            trial
        })
        .collect();
    run.trials.extend(larger);
    let advice = ask(&run, &o10);
    assert_eq!(
        way(&advice, "rest").fit,
        Fits,
        "O3 and O100 lie on either side"
    );
    let large = Needs {
        payload: weight("O1000", 107_960.0, 31_569.0),
        ..needs()
    };
    let advice = ask(&run, &large);
    assert!(advice.ways.iter().all(|way| way.fit == Unknown));
    let text = &why(&advice, "rest", "payload").text;
    assert!(text.starts_with("O100 is the nearest payload"), "{text}");
}

#[test]
fn a_class_that_was_not_measured_is_unknown() {
    let advice = ask(
        &at(&[2_000.0]),
        &Needs {
            durability: Durability::Power,
            ..needs()
        },
    );
    assert!(advice.ways.iter().all(|way| way.fit == Unknown));
    assert!(
        why(&advice, "grpc", "durability")
            .text
            .contains("class power")
    );
}

#[test]
fn a_bound_on_the_latency_is_held_against_the_interval() {
    let most = |ms| Needs {
        max_p99: Some(Duration::from_micros(ms)),
        ..needs()
    };
    let run = at(&[2_000.0]);
    for (us, expected) in [
        (
            2_000,
            [
                ("grpc", Fits),
                ("queue", DoesNotFit),
                ("rest", Fits),
                ("stream", Fits),
            ],
        ),
        // In the middle of Kafka's blocks.
        (
            1_515,
            [
                ("grpc", Fits),
                ("queue", DoesNotFit),
                ("rest", Fits),
                ("stream", Unknown),
            ],
        ),
        (
            300,
            [
                ("grpc", DoesNotFit),
                ("queue", DoesNotFit),
                ("rest", DoesNotFit),
                ("stream", DoesNotFit),
            ],
        ),
    ] {
        assert_eq!(fits(&ask(&run, &most(us))), expected, "{us} µs");
    }
    // Several calls wait for the slowest of them, and that was not measured.
    let three = Needs {
        consumers: 3,
        ..most(2_000)
    };
    let advice = ask(&run, &three);
    assert_eq!(way(&advice, "rest").fit, Unknown);
    assert!(why(&advice, "rest", "p99").text.contains("side by side"));
    assert_eq!(way(&advice, "stream").fit, Fits);
}

#[test]
fn on_a_run_whose_a_a_pair_failed_no_latency_decides() {
    let mut run = at(&[2_000.0]);
    for trial in run
        .trials
        .iter_mut()
        .filter(|trial| trial.cell.arm.is_some())
    {
        trial.accept_ns = latency(5, 900_000, 2_700_000);
    }
    let bound = Needs {
        max_p99: Some(Duration::from_millis(20)),
        ..needs()
    };
    let advice = ask(&run, &bound);
    assert!(advice.ways.iter().all(|way| way.fit == Unknown));
    assert!(why(&advice, "rest", "p99").text.contains("A/A pair"));
    assert!(
        ask(&run, &needs()).ways.iter().all(|way| way.fit == Fits),
        "nothing was asked of it"
    );
}

#[test]
fn the_order_of_a_key_is_a_matter_of_what_was_counted() {
    let mut run = at(&[2_000.0]);
    change(&mut run, "queue", |trial| trial.ledger.reordered = Some(2));
    change(&mut run, "grpc", |trial| trial.ledger.reordered = None);
    let advice = ask(
        &run,
        &Needs {
            ordering: Ordering::Key,
            ..needs()
        },
    );
    assert_eq!(
        fits(&advice),
        [
            ("grpc", Unknown),
            ("queue", DoesNotFit),
            ("rest", Fits),
            ("stream", Fits)
        ]
    );
    let text = &why(&advice, "queue", "ordering").text;
    assert!(text.starts_with("12 of 30000 deliveries"), "{text}");
    assert_eq!(
        way(&ask(&run, &needs()), "queue").fit,
        Fits,
        "nobody asked for an order"
    );
}

#[test]
fn an_outage_is_for_brokers_and_its_backlog_is_projected_from_what_was_measured() {
    let mut run = at(&[2_000.0]);
    let away = Needs {
        outage: Duration::from_secs(600),
        ..needs()
    };
    let advice = ask(&run, &away);
    assert_eq!(
        fits(&advice),
        [
            ("grpc", DoesNotFit),
            ("queue", Fits),
            ("rest", DoesNotFit),
            ("stream", Fits)
        ]
    );
    let reason = why(&advice, "queue", "outage");
    let Basis::Projected(from) = &reason.basis else {
        panic!("{reason:?}");
    };
    assert_eq!((from.len(), from[0].cell.as_str()), (1, "queue-O3-c32"));
    for words in [
        "1200000 orders come in 10.0 min",
        "348 MB of bodies",
        "was not measured",
        "works them off in",
    ] {
        assert!(
            reason.text.contains(words),
            "{words} is not in {}",
            reason.text
        );
    }
    for trial in run
        .trials
        .iter_mut()
        .filter(|trial| trial.cell.id == "queue-O3-c32")
    {
        trial.throughput_per_s = 1_000.0;
    }
    let advice = ask(&run, &away);
    assert_eq!(way(&advice, "queue").fit, DoesNotFit);
    assert!(
        why(&advice, "queue", "outage")
            .text
            .contains("never catch up")
    );
}

#[test]
fn several_consumers_are_several_calls_and_one_publish() {
    let advice = ask(
        &at(&[2_000.0]),
        &Needs {
            consumers: 3,
            ..needs()
        },
    );
    let names: Vec<&str> = advice.ways.iter().map(|way| way.name.as_str()).collect();
    assert_eq!(
        names,
        ["queue", "stream", "rest", "grpc"],
        "three times 110 is more than 190"
    );
    assert!(matches!(
        why(&advice, "rest", "cost").basis,
        Basis::Projected(_)
    ));
    assert!((way(&advice, "rest").cost_us.unwrap().value - 330.0).abs() < 1e-9);
    assert!(
        why(&advice, "queue", "cost")
            .text
            .contains("what 3 cost was not measured")
    );
}

#[test]
fn what_stands_apart_is_no_evidence_for_the_plain_way() {
    type Change = fn(&mut Trial);
    let apart: [(&str, Change); 8] = [
        ("slow behind it", |t| t.cell.slow = Some("5ms".into())),
        ("workers", |t| t.cell.workers = Some(8)),
        ("TLS", |t| {
            drop(t.cell.factors.insert("tls".into(), "1.3".into()))
        }),
        ("tuned", |t| {
            drop(t.cell.factors.insert("prefetch".into(), "1".into()))
        }),
        ("unstamped", |t| {
            drop(t.cell.factors.insert("stamped".into(), "no".into()))
        }),
        ("a second arm", |t| t.cell.arm = Some("A2".into())),
        ("a fault", |t| {
            t.faults.push(crate::results::Fault::default())
        }),
        ("INVALID", |t| {
            t.validity.state = crate::results::State::Invalid
        }),
    ];
    for (what, set) in apart {
        let mut run = at(&[2_000.0]);
        change(&mut run, "stream", set);
        let advice = ask(&run, &needs());
        assert_eq!(way(&advice, "stream").fit, Unknown, "{what}");
        assert_eq!(way(&advice, "queue").fit, Fits, "{what}");
    }
}

#[test]
fn without_a_run_everything_is_unknown() {
    let advice = advise(&[], &needs());
    assert_eq!(advice.ways.len(), 4);
    assert!(
        advice
            .ways
            .iter()
            .all(|way| way.fit == Unknown && way.rank.is_none())
    );
}

/// Whatever is asked for: what fits rests on cells that ran, and nothing that fits rests on what was not measured.
#[test]
fn it_never_goes_beyond_its_evidence() {
    let run = at(&[1_000.0, 4_000.0]);
    let cells: BTreeSet<&str> = run
        .trials
        .iter()
        .map(|trial| trial.cell.id.as_str())
        .collect();
    let mut fitting = 0;
    for rate_per_s in [10.0, 999.0, 1_000.0, 2_500.0, 4_000.0, 4_001.0, 1e6] {
        for payload in [
            weight("O3", 744.0, 290.0),
            weight("O10", 1_501.0, 513.0),
            weight("E0", 2.0, 0.0),
        ] {
            for durability in Durability::ALL {
                for (consumers, outage, needs_reply) in
                    [(1, 0, false), (3, 600, false), (1, 60, true)]
                {
                    let asked = Needs {
                        rate_per_s,
                        payload: payload.clone(),
                        durability,
                        consumers,
                        outage: Duration::from_secs(outage),
                        needs_reply,
                        max_p99: Some(Duration::from_millis(20)),
                        ordering: Ordering::Key,
                    };
                    for way in ask(&run, &asked).ways {
                        let measured = (1_000.0..=4_000.0).contains(&rate_per_s);
                        assert!(way.fit != Fits || measured, "{asked:?}: {way:?}");
                        assert_eq!(way.rank.is_some(), way.fit == Fits, "{way:?}");
                        if way.fit != Fits {
                            continue;
                        }
                        fitting += 1;
                        for reason in &way.reasons {
                            assert_ne!(reason.basis, Basis::NotMeasured, "{reason:?}");
                            let figures: &[Figure] = match &reason.basis {
                                Basis::Measured(figure) => std::slice::from_ref(figure),
                                Basis::Projected(figures) => figures,
                                Basis::Construction | Basis::NotMeasured => &[],
                            };
                            assert!(
                                figures.iter().all(|f| cells.contains(f.cell.as_str())),
                                "{reason:?}"
                            );
                        }
                    }
                }
            }
        }
    }
    assert!(fitting > 10, "{fitting}");
}
