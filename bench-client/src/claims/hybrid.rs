//! hybrid, from the experiment of that name: checkout with everything called and waited for, against payment called and
//! the rest published, while inventory is away. Each cell is a topology whose name says which of the two it is.

use super::combine::Judged;
use super::outage::{
    DOWN, DOWN_SHARE, checkouts, missing, of_median_block, of_topology, published, succeeded,
};
use super::part::{counted, not_measured, number, share};
use super::samples::{CellTrials, cells, is_base};
use super::{Combine, Judge, nothing_beside};
use crate::results::{Percentile, Run, Table, Value};

/// What is judged here.
pub const JUDGES: &[Judge] = &[Judge {
    claim: "hybrid",
    parts: |run, _| parts(run),
    combine: Combine::AllOf,
    beside: nothing_beside,
}];

/// The experiment.
pub const EXPERIMENT: &str = "hybrid";
/// The topology in which everything is waited for.
pub const ALL_SYNC: &str = "all-sync";
/// What checkout always waits for.
pub const NOW: &str = "payment";
/// What can be done later.
pub const LATER: [&str; 3] = ["inventory", "email", "analytics"];
/// The one that is killed.
pub const AWAY: &str = LATER[0];
const BROKERS: [&str; 2] = ["queue", "stream"];
/// "Survives": of the orders planned in the outage at least this share is sold.
const SURVIVES: f64 = 0.99;

/// The topology in which the rest is published over this.
pub fn over(broker: &str) -> String {
    format!("hybrid-{broker}")
}

fn parts(run: &Run) -> Vec<Judged> {
    let all = cells(run, EXPERIMENT);
    let mut parts = vec![goes_down(run, &all)];
    for broker in BROKERS {
        let names = [
            format!("{broker}: checkout survives"),
            format!("{broker}: the rest is done later"),
        ];
        let Some(cell) = of_topology(&all, &over(broker)) else {
            let why = missing(run, EXPERIMENT, broker);
            parts.extend(names.map(|name| not_measured(name, why.as_str())));
            continue;
        };
        let [survives, later] = names;
        let sold = succeeded(cell, DOWN);
        parts.push(share(cell, survives, &sold, SURVIVES..=1.0, |found| {
            format!(
                "with the rest published over {broker}: {found}, orders succeeded while {AWAY} was away{}",
                p99(cell)
            )
        }));
        parts.push(done_later(cell, later, broker));
    }
    parts
}

fn goes_down(run: &Run, all: &[CellTrials<'_>]) -> Judged {
    let name = format!("{ALL_SYNC}: checkout is down");
    match of_topology(all, ALL_SYNC) {
        None => not_measured(name, missing(run, EXPERIMENT, "grpc")),
        Some(cell) => share(
            cell,
            name,
            &succeeded(cell, DOWN),
            0.0..=DOWN_SHARE,
            |found| {
                format!(
                    "with everything waited for: {found}, orders succeeded while {AWAY} was away{}",
                    p99(cell)
                )
            },
        ),
    }
}

/// What checkout took meanwhile over all that were planned, in words: it stands beside the share and decides nothing.
fn p99(cell: &CellTrials<'_>) -> String {
    let Some(sample) = of_median_block(cell, DOWN, Percentile::P99) else {
        return "; too few for an accept p99".into();
    };
    let bound = if sample.at_least { "at least " } else { "" };
    let ms = number(sample.value / 1e6);
    format!("; accept p99 of all planned {bound}{ms} ms")
}

/// Confirmed for all that comes later, and of these never delivered; none where a ledger could not be read.
fn rest(cell: &CellTrials<'_>) -> Option<(u64, u64)> {
    LATER.iter().try_fold((0, 0), |(well, lost), to| {
        let (more, gone) = published(cell, to)?;
        Some((well + more, lost + gone))
    })
}

fn done_later(cell: &CellTrials<'_>, name: String, broker: &str) -> Judged {
    let Some((well, lost)) = rest(cell) else {
        return not_measured(name, format!("{broker}: a ledger could not be read"));
    };
    counted(cell, name, lost, well, |bound| match lost {
        0 => format!(
            "{broker}: each of {well} confirmed messages for {} was delivered (a share of ≤ {} at 95 % may be lost)",
            LATER.join(", "),
            number(bound)
        ),
        _ => format!("{broker}: {lost} of {well} confirmed messages were never delivered"),
    })
}

/// Who could check out, and what became of the rest, in this order.
pub fn tables(run: &Run) -> Vec<Table> {
    let all = cells(run, EXPERIMENT);
    let mut later = Table::new(
        EXPERIMENT,
        "What became of everything but the payment",
        &[
            ("topology", ""),
            ("calls that went well", ""),
            ("never delivered", ""),
            ("longest completion of the outage's", "s"),
        ],
    )
    .with_note(
        "Inventory, email and analytics together. The longest is from the user's planned instant until the last of them had \
         worked on an order planned in the outage.",
    );
    for cell in all.iter().filter(|cell| is_base(cell.cell)) {
        let unread = "a ledger could not be read";
        let of_all = rest(cell);
        let most = cell
            .kept()
            .flat_map(|trial| &trial.hops)
            .filter(|hop| LATER.contains(&hop.service.as_str()))
            .flat_map(|hop| &hop.phases)
            .filter(|phase| phase.name == DOWN)
            .filter_map(|phase| phase.completion_ns.max)
            .max();
        let name = cell.cell.factors.get("topology").cloned();
        later.push(vec![
            name.unwrap_or_default().into(),
            Value::maybe(of_all.map(|(well, _)| well as f64), unread),
            Value::maybe(of_all.map(|(_, lost)| lost as f64), unread),
            Value::maybe(most.map(|ns| ns as f64 / 1e9), "none of them was completed"),
        ]);
    }
    vec![checkouts(EXPERIMENT, &all), later]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::fixture;
    use crate::claims::outage::tests::{hop_of, trial};
    use crate::results::Verdict;

    fn planted() -> Run {
        let mut run = fixture::planted();
        for block in 0..3 {
            let names = [
                (ALL_SYNC.to_string(), 0),
                (over("queue"), 2_000),
                (over("stream"), 1_999),
            ];
            for (name, well) in names {
                let mut trial = trial(EXPERIMENT, &name, block, well);
                trial.hops = LATER.map(|to| hop_of(to, well)).into();
                run.trials.push(trial);
            }
        }
        run
    }

    fn verdict(run: &Run) -> crate::results::VerdictRow {
        super::super::judge(run)
            .into_iter()
            .find(|row| row.claim == "hybrid")
            .unwrap()
    }

    #[test]
    fn it_holds_where_checkout_goes_on_and_the_rest_comes_later() {
        let row = verdict(&planted());
        assert_eq!(row.verdict, Verdict::Holds, "{row:?}");
        assert_eq!(row.parts.len(), 5);
    }

    #[test]
    fn the_p99_of_checkout_is_said_and_stands_in_its_table_with_what_is_no_figure() {
        let in_the_outage = |change: fn(&mut crate::results::Latency)| {
            let mut run = planted();
            for trial in &mut run.trials {
                if trial.cell.id == over("queue") {
                    change(&mut trial.phases[1].accept_ns);
                }
            }
            let reason = verdict(&run).parts[1].reason.clone();
            let table = tables(&run).swap_remove(0);
            assert!(
                table
                    .rows
                    .iter()
                    .all(|row| row.len() == table.columns.len())
            );
            let column = table.columns.len() - 1;
            assert!(table.columns[column].name.starts_with("accept p99"));
            let name = Value::from(over("queue"));
            let row = table.rows.iter().find(|row| row[0] == name).unwrap();
            (reason, row[column].clone())
        };
        let (reason, shown) = in_the_outage(|_| ());
        assert!(reason.contains("accept p99 of all planned 2.0"), "{reason}");
        assert!(matches!(shown, Value::Number(ms) if (2.0..2.1).contains(&ms)));
        let (reason, shown) = in_the_outage(|accept| accept.at_least = vec![Percentile::P99]);
        assert!(reason.contains("planned at least 2.0"), "{reason}");
        assert!(matches!(shown, Value::Interval { high: None, .. }));
        let (reason, shown) = in_the_outage(|accept| accept.p99 = None);
        assert!(reason.contains("too few for an accept p99"), "{reason}");
        assert!(matches!(shown, Value::Missing(_)));
    }

    #[test]
    fn each_part_refutes_alone() {
        let spoil = |name: &str, change: fn(&mut crate::results::Trial)| {
            let mut run = planted();
            for trial in run.trials.iter_mut().filter(|trial| trial.cell.id == name) {
                change(trial);
            }
            verdict(&run).verdict
        };
        let sells = |trial: &mut crate::results::Trial| trial.phases[1].acknowledged = 1_000;
        assert_eq!(spoil(ALL_SYNC, sells), Verdict::Refuted);
        assert_eq!(spoil(&over("queue"), sells), Verdict::Refuted);
        let loses = |trial: &mut crate::results::Trial| {
            for sent in trial.hops[2].from.values_mut() {
                sent.lost = Some(3);
            }
        };
        assert_eq!(spoil(&over("stream"), loses), Verdict::Refuted);
    }

    #[test]
    fn a_ledger_that_could_not_be_read_is_said() {
        let mut run = planted();
        for trial in &mut run.trials {
            trial.hops.clear();
        }
        let row = verdict(&run);
        assert_ne!(row.verdict, Verdict::Holds);
        assert!(row.reason.contains("Not measured"), "{}", row.reason);
        for table in tables(&run) {
            assert_eq!(table.rows.len(), 3, "{}", table.title);
        }
    }
}
