//! What every plan keeps, and what the suites' own plans take.

use super::*;
use crate::experiment::{find, of_suite};
use std::collections::BTreeSet;

fn whole(suite: Suite) -> Plan {
    let experiments = of_suite(suite).unwrap();
    Plan::new(&experiments, suite, &Transport::ALL, None, 1)
}

fn quick() -> Plan {
    Plan::new(
        &of_suite(Suite::Quick).unwrap(),
        Suite::Quick,
        &Transport::ALL,
        None,
        1,
    )
}

#[test]
fn each_distinct_cell_runs_once_per_block() {
    let blocks = [whole(Suite::Quick).blocks, whole(Suite::Full).blocks].concat();
    for block in &blocks {
        let ids: Vec<String> = block.iter().map(|planned| planned.cell.id()).collect();
        assert_eq!(
            ids.len(),
            ids.iter().collect::<BTreeSet<_>>().len(),
            "{ids:?}"
        );
    }
    assert!(quick().blocks.len() >= 6);
}

#[test]
fn the_order_differs_between_blocks_and_comes_from_the_seed() {
    let (plan, again) = (quick(), quick());
    assert_eq!(plan, again);
    let ids = |block: &[Planned]| {
        block
            .iter()
            .map(|planned| planned.cell.id())
            .collect::<Vec<_>>()
    };
    assert_ne!(ids(&plan.blocks[0]), ids(&plan.blocks[1]));
    let other = Plan::new(
        &of_suite(Suite::Quick).unwrap(),
        Suite::Quick,
        &Transport::ALL,
        None,
        2,
    );
    assert_ne!(plan, other);
}

#[test]
fn arms_that_are_compared_run_next_to_each_other() {
    for block in &quick().blocks {
        let names: Vec<(String, String)> = block
            .iter()
            .map(|planned| (planned.experiment.clone(), planned.cell.payload.to_string()))
            .collect();
        let mut runs = names.clone();
        runs.dedup();
        assert_eq!(
            runs.len(),
            names.iter().collect::<BTreeSet<_>>().len(),
            "{names:?}"
        );
    }
}

#[test]
fn an_a_a_pair_stays_as_close_as_what_it_stands_for_however_many_experiments_share_its_cell() {
    for block in &whole(Suite::Full).blocks {
        let at = |id: &str| block.iter().position(|planned| planned.cell.id() == id);
        let base = "rest-O3-c32-none";
        let (first, second) = (at(base).unwrap(), at(&format!("{base}-A2")).unwrap());
        let compared = at("grpc-O3-c32-none").unwrap();
        // The bunch holds what `capacity` sets against each other at this depth, and no more.
        for other in [second, compared] {
            assert!(first.abs_diff(other) < 9, "{first} and {other}");
        }
    }
}

#[test]
fn a_share_of_a_capacity_runs_after_it_in_its_block() {
    let both = ["capacity", "ladder"].map(|name| find(name).unwrap());
    for experiments in [&both[..], &both[1..]] {
        let plan = Plan::new(experiments, Suite::Wide, &Transport::ALL, Some(3), 1);
        for block in &plan.blocks {
            let ids: Vec<String> = block.iter().map(|planned| planned.cell.id()).collect();
            let mut shares = 0;
            for (at, planned) in block.iter().enumerate() {
                if let Some(id) = planned.cell.capacity_id() {
                    assert!(ids[..at].contains(&id), "{id} before {}", ids[at]);
                    shares += 1;
                }
            }
            // Three of each transport.
            assert_eq!(shares, 15);
        }
    }
}

#[test]
fn a_cell_that_two_experiments_want_runs_once_for_both() {
    let capacity = find("capacity").unwrap();
    let twin = Experiment {
        name: "twin",
        ..*capacity
    };
    let both = Plan::new(
        &[capacity, &twin],
        Suite::Quick,
        &Transport::ALL,
        Some(1),
        1,
    );
    let alone = Plan::new(&[capacity], Suite::Quick, &Transport::ALL, Some(1), 1);
    assert_eq!(both.trials().count(), alone.trials().count());
    assert!(both.trials().all(|planned| planned.shared_with == ["twin"]));
}

#[test]
fn a_shared_cell_runs_for_each_experiment_in_as_many_blocks_as_that_one_asked_for() {
    let capacity = find("capacity").unwrap();
    let twin = Experiment {
        name: "twin",
        blocks: |_| 2,
        ..*capacity
    };
    let both = Plan::new(&[capacity, &twin], Suite::Quick, &Transport::ALL, None, 1);
    let shares: Vec<bool> = both
        .blocks
        .iter()
        .map(|block| block.iter().all(|planned| planned.shared_with == ["twin"]))
        .collect();
    assert_eq!(shares, [true, true, false, false, false, false]);
    assert!(
        both.trials()
            .all(|planned| planned.experiment == "capacity")
    );
}

#[test]
fn ones_own_payload_stands_for_every_class_and_equal_cells_run_once_for_all_who_asked() {
    let experiments = ["capacity", "payload"].map(|name| find(name).unwrap());
    let all = [Transport::Rest, Transport::Grpc];
    let plan = |experiments: &[&Experiment]| Plan::new(experiments, Suite::Quick, &all, Some(2), 1);
    let mut both = plan(&experiments);
    both.carry(&Arc::new(Own::example("orders.jsonl", 3)));
    for block in &both.blocks {
        let ids: BTreeSet<String> = block.iter().map(|planned| planned.cell.id()).collect();
        assert_eq!(ids.len(), block.len(), "{ids:?}");
        assert!(
            ids.iter().all(|id| id.contains("file:orders.jsonl#")),
            "{ids:?}"
        );
        // REST and gRPC with 32 in flight for both, and the twin that capacity alone has.
        let asked = |name: &str| {
            let wants = |p: &&Planned| {
                p.experiment == name || p.shared_with.iter().any(|other| other == name)
            };
            block.iter().filter(wants).count()
        };
        assert_eq!((asked("capacity"), asked("payload")), (3, 2));
    }
}

#[test]
fn on_a_disk_that_does_not_flush_only_class_power_is_left_out() {
    let durability = find("durability").unwrap();
    let mut plan = Plan::new(&[durability], Suite::Quick, &Transport::ALL, Some(1), 1);
    let all = plan.trials().count();
    assert_eq!(plan.with_power(), Transport::ALL);
    plan.without_power(Transport::Rest);
    assert_eq!(
        plan.with_power(),
        [
            Transport::Tcp,
            Transport::Grpc,
            Transport::Queue,
            Transport::Stream
        ]
    );
    assert_eq!(plan.trials().count(), all - 1);
}

#[test]
fn what_surviving_costs_is_measured_beside_the_same_transports_process() {
    let durability = find("durability").unwrap();
    let alone = Plan::new(&[durability], Suite::Full, &Transport::ALL, Some(3), 1);
    for part in alone.parts() {
        let transports: BTreeSet<&str> = part.iter().map(|p| p.cell.transport.name()).collect();
        assert_eq!(transports.len(), 1, "{transports:?}");
    }
    // Its `process` runs with the ladder's light rung, and the other classes join it there.
    for block in &whole(Suite::Full).blocks {
        let mine = |p: &&Planned| {
            let mut asked = std::iter::once(&p.experiment).chain(&p.shared_with);
            asked.any(|name| name == "durability")
        };
        let parts: BTreeSet<usize> = block.iter().filter(mine).map(|p| p.part).collect();
        assert!(parts.len() <= 1, "{parts:?}");
    }
}

#[test]
fn the_full_suite_fits_its_budget_with_time_to_warm_the_brokers_and_for_reruns() {
    let time = whole(Suite::Full).expected_time();
    assert!(
        time + Duration::from_secs(100) <= Suite::Full.budget(),
        "{time:?}"
    );
}

#[test]
fn the_faults_suite_fits_its_budget_with_a_minute_to_warm_the_brokers() {
    let time = whole(Suite::Faults).expected_time();
    assert!(
        time + Duration::from_secs(60) <= Suite::Faults.budget(),
        "{time:?}"
    );
}

#[test]
fn a_cell_runs_only_where_all_that_its_services_call_each_other_over_is_wanted() {
    let chain = find("chain").unwrap();
    let over = |transports: &[Transport]| {
        let plan = Plan::new(&[chain], Suite::Full, transports, Some(1), 1);
        plan.trials().count()
    };
    let (without, with_queue) = (
        over(&[Transport::Rest]),
        over(&[Transport::Rest, Transport::Queue]),
    );
    assert_eq!(with_queue, without + 1);
    let plan = Plan::new(&[chain], Suite::Full, &Transport::ALL, Some(1), 1);
    assert!(plan.transports().contains(&Transport::Stream));
}

#[test]
fn the_quick_suite_fits_its_budget_with_half_a_minute_to_warm_the_brokers() {
    let time = quick().expected_time();
    assert!(
        time + Duration::from_secs(30) <= Suite::Quick.budget(),
        "{time:?}"
    );
}
