//! down-sync and down-async, from the experiment `outage`: checkout and the service behind it, which is killed and comes
//! back. Each cell is a topology whose name says over what checkout calls it.

use super::combine::Judged;
use super::part::{counted, not_measured, number, share};
use super::samples::{CellTrials, cells, is_base};
use super::{Combine, Judge, nothing_beside};
use crate::results::{Hop, HopPhase, Phase, Run, Sent, Table, Trial, Value};
use crate::stats::binomial;
use crate::stats::estimate::LEVEL;

/// What is judged here.
pub const JUDGES: &[Judge] = &[
    Judge {
        claim: "down-sync",
        parts: |run, _| SYNC.map(|over| goes_down(run, over)).into(),
        combine: Combine::AllOf,
        beside: nothing_beside,
    },
    Judge {
        claim: "down-async",
        parts: |run, _| BUFFERED.map(|over| loses_nothing(run, over)).into(),
        combine: Combine::AllOf,
        beside: still_sold,
    },
];

/// The experiment.
pub const EXPERIMENT: &str = "outage";
/// The phase in which the service behind is away.
pub const DOWN: &str = "outage";
/// The service that the user calls.
pub const CHECKOUT: &str = "checkout";
/// The one behind it.
pub const BEHIND: &str = "inventory";
/// Over what checkout waits for it.
const SYNC: [&str; 2] = ["rest", "grpc"];
/// Over what it publishes to it.
const BUFFERED: [&str; 2] = ["queue", "stream"];
/// "Down": of the orders planned in the outage at most this share succeeds. An order at each end of it may find the
/// service there.
pub const DOWN_SHARE: f64 = 0.01;

/// What the topology is called in which checkout calls over this.
pub fn topology(over: &str) -> String {
    format!("outage-{over}")
}

/// The cell of an experiment that ran the topology of this name.
pub(super) fn of_topology<'a, 'r>(
    all: &'a [CellTrials<'r>],
    name: &str,
) -> Option<&'a CellTrials<'r>> {
    all.iter().find(|cell| {
        is_base(cell.cell) && cell.cell.factors.get("topology").map(String::as_str) == Some(name)
    })
}

/// Why a cell is not there.
pub(super) fn missing(run: &Run, experiment: &str, over: &str) -> String {
    match run.skipped.iter().find(|s| s.transport == over) {
        Some(skipped) => format!("{over} was skipped: {}", skipped.reason),
        None => format!("`{experiment}` was not run over {over}"),
    }
}

pub(super) fn phase<'t>(trial: &'t Trial, name: &str) -> Option<&'t Phase> {
    trial.phases.iter().find(|phase| phase.name == name)
}

/// Orders planned in a phase that were answered well, and all of them; over the blocks that count.
pub(super) fn succeeded(cell: &CellTrials<'_>, name: &str) -> (u64, u64) {
    cell.kept()
        .filter_map(|trial| phase(trial, name))
        .fold((0, 0), |(well, of), phase| {
            (well + phase.acknowledged, of + phase.planned)
        })
}

/// What a service was sent by checkout: gone well by its count, and of these never delivered; none where a ledger could
/// not be read.
pub(super) fn published(cell: &CellTrials<'_>, to: &str) -> Option<(u64, u64)> {
    let sent = |trial: &Trial| -> Option<Sent> { hop(trial, to)?.from.get(CHECKOUT).cloned() };
    cell.kept().try_fold((0, 0), |(well, lost), trial| {
        let sent = sent(trial)?;
        Some((well + sent.succeeded, lost + sent.lost?))
    })
}

fn hop<'t>(trial: &'t Trial, name: &str) -> Option<&'t Hop> {
    trial.hops.iter().find(|hop| hop.service == name)
}

fn goes_down(run: &Run, over: &str) -> Judged {
    let all = cells(run, EXPERIMENT);
    let name = format!("{over}: checkout is down");
    let Some(cell) = of_topology(&all, &topology(over)) else {
        return not_measured(name, missing(run, EXPERIMENT, over));
    };
    let error = usual_error(cell).map_or(String::new(), |(error, waited)| {
        format!("; most others saw `{error}` after {} ms", number(waited))
    });
    share(
        cell,
        name,
        succeeded(cell, DOWN),
        0.0..=DOWN_SHARE,
        |found| format!("{over}: {found}, orders succeeded while {BEHIND} was away{error}"),
    )
}

fn loses_nothing(run: &Run, over: &str) -> Judged {
    let all = cells(run, EXPERIMENT);
    let name = format!("{over} loses nothing");
    let Some(cell) = of_topology(&all, &topology(over)) else {
        return not_measured(name, missing(run, EXPERIMENT, over));
    };
    let Some((well, lost)) = published(cell, BEHIND) else {
        return not_measured(name, format!("{over}: a ledger could not be read"));
    };
    counted(cell, name, lost, well, |bound| match lost {
        0 => format!(
            "{over}: of {well} confirmed orders none was lost over the kill (a share of ≤ {} at 95 % may be), {}",
            number(bound),
            longest(cell).map_or("their completion is unknown".into(), |s| format!(
                "the last of the outage done {} s after it was planned",
                number(s)
            ))
        ),
        _ => format!("{over}: {lost} of {well} confirmed orders were never delivered"),
    })
}

/// What checkout sold meanwhile.
fn still_sold(run: &Run) -> String {
    let all = cells(run, EXPERIMENT);
    let said: Vec<String> = BUFFERED
        .iter()
        .filter_map(|over| {
            let (well, of) = succeeded(of_topology(&all, &topology(over))?, DOWN);
            Some(format!("{over} took {well} of {of} orders"))
        })
        .collect();
    match said.is_empty() {
        true => String::new(),
        false => format!(" While {BEHIND} was away, {}.", said.join(" and ")),
    }
}

/// The error that most callers saw, and what its callers waited for it, ms.
pub(super) fn usual_error(cell: &CellTrials<'_>) -> Option<(String, f64)> {
    let seen = cell.kept().flat_map(|trial| &trial.seen);
    let most = seen.max_by_key(|seen| seen.count)?;
    Some((most.error.clone(), most.waited_median_s * 1e3))
}

/// The outage's orders at the service behind.
fn late<'a>(cell: &'a CellTrials<'_>) -> impl Iterator<Item = &'a HopPhase> {
    cell.kept()
        .filter_map(|trial| hop(trial, BEHIND))
        .flat_map(|hop| &hop.phases)
        .filter(|phase| phase.name == DOWN)
}

/// The longest that an order planned in the outage took until the service behind had done it, seconds.
fn longest(cell: &CellTrials<'_>) -> Option<f64> {
    let most = late(cell).filter_map(|phase| phase.completion_ns.max);
    most.max().map(|ns| ns as f64 / 1e9)
}

/// Who could check out, and what became of the orders behind, in this order.
pub fn tables(run: &Run) -> Vec<Table> {
    let all = cells(run, EXPERIMENT);
    vec![checkouts(EXPERIMENT, &all), orders_behind(&all)]
}

/// Who could check out while a service was away; for every experiment with that phase.
pub(super) fn checkouts(experiment: &str, all: &[CellTrials<'_>]) -> Table {
    let columns = [
        ("topology", ""),
        ("planned in the outage", ""),
        ("succeeded", ""),
        ("share", "%"),
        ("most frequent error", ""),
        ("its callers waited", "ms"),
        ("accept p50 before", "ms"),
        ("accept p50 in the outage, of all planned", "ms"),
    ];
    let title = "Who could check out while the service behind was away";
    let mut table = Table::new(experiment, title, &columns).with_note(
        "The share has its exact 95 % interval. Of all planned: whoever failed or timed out ranks at the deadline or above; \
         a percentile that falls among them is a lower bound.",
    );
    for cell in all.iter().filter(|cell| is_base(cell.cell)) {
        let (well, of) = succeeded(cell, DOWN);
        let percent = |share: f64| 100.0 * share;
        let ends = binomial::interval(well, of, LEVEL);
        let error = usual_error(cell);
        let name = cell.cell.factors.get("topology").cloned();
        table.push(vec![
            name.unwrap_or_default().into(),
            Value::number(of as f64),
            Value::number(well as f64),
            Value::interval(
                percent(well as f64 / of.max(1) as f64),
                ends.map(|(low, high)| (percent(low), percent(high))),
            ),
            error
                .as_ref()
                .map_or_else(|| "none".into(), |(error, _)| error.as_str().into()),
            Value::maybe(error.as_ref().map(|(_, waited)| *waited), "no error"),
            p50(cell, "before"),
            p50(cell, DOWN),
        ]);
    }
    table
}

/// A phase's accept p50 over the blocks that count, ms: the median block, since one that timed out is a bound.
pub(super) fn p50(cell: &CellTrials<'_>, name: &str) -> Value {
    let mut found: Vec<(u64, bool)> = cell
        .kept()
        .filter_map(|trial| phase(trial, name))
        .filter_map(|phase| {
            let bound = phase
                .accept_ns
                .at_least
                .contains(&crate::results::Percentile::P50);
            Some((phase.accept_ns.p50?, bound))
        })
        .collect();
    found.sort_unstable();
    match found.get(found.len() / 2) {
        None => Value::missing("too few samples"),
        Some((ns, true)) => {
            let ms = *ns as f64 / 1e6;
            Value::interval(ms, Some((ms, f64::INFINITY)))
        }
        Some((ns, false)) => Value::number(*ns as f64 / 1e6),
    }
}

fn orders_behind(all: &[CellTrials<'_>]) -> Table {
    let columns = [
        ("topology", ""),
        ("calls that went well", ""),
        ("never delivered", ""),
        ("delivered twice or more", ""),
        ("delivered, though checkout was told otherwise", ""),
        ("completed of the outage's", ""),
        ("the longest of them", "s"),
        ("λ·T", ""),
    ];
    let title = "What became of the orders at the service that was killed";
    let mut table = Table::new(EXPERIMENT, title, &columns).with_note(
        "Counted over the blocks that count. Over a broker the orders planned in the outage wait, λ·T of them in the mean \
        , and the longest waits at least as long as the service is away; over a sync transport they \
         were never sent. What its first life answered, the service read back from its journal.",
    );
    for cell in all.iter().filter(|cell| is_base(cell.cell)) {
        let unread = "a ledger could not be read";
        let ledger = |read: fn(&Hop) -> Option<u64>| {
            let counts: Option<u64> = cell.kept().map(|trial| read(hop(trial, BEHIND)?)).sum();
            Value::maybe(counts.map(|count| count as f64), unread)
        };
        let sent = published(cell, BEHIND);
        let done: u64 = late(cell).map(|phase| phase.completed).sum();
        let waiting = cell.kept().filter_map(|trial| phase(trial, DOWN));
        let planned: Vec<f64> = waiting.map(|phase| phase.planned as f64).collect();
        let mean = planned.iter().sum::<f64>() / planned.len().max(1) as f64;
        let name = cell.cell.factors.get("topology").cloned();
        table.push(vec![
            name.unwrap_or_default().into(),
            Value::maybe(sent.map(|(well, _)| well as f64), unread),
            Value::maybe(sent.map(|(_, lost)| lost as f64), unread),
            ledger(|hop| hop.ledger.duplicated),
            ledger(|hop| hop.ledger.recovered),
            Value::number(done as f64),
            Value::maybe(longest(cell), "none of them was completed"),
            Value::number(mean),
        ]);
    }
    table
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::claims::fixture;
    use crate::results::{Latency, SeenError, Verdict, When};

    /// A second before, ten away, three after, at 200/s; of the ten so many orders succeed.
    pub(crate) fn trial(experiment: &str, name: &str, block: u32, well: u64) -> Trial {
        let mut trial = fixture::slow("rest", block, 1_000_000, 1_000_000, 0);
        trial.experiment = experiment.into();
        trial.cell.id = name.into();
        trial.cell.slow = None;
        trial.cell.factors.insert("topology".into(), name.into());
        let edges = [
            ("before", 0.0, 1.0, 200),
            (DOWN, 1.0, 11.0, 2_000),
            ("after", 11.0, 14.0, 600),
        ];
        for (phase, (name, start_s, end_s, planned)) in trial.phases.iter_mut().zip(edges) {
            phase.name = name.into();
            (phase.start_s, phase.end_s, phase.planned) = (start_s, end_s, planned);
            phase.acknowledged = planned;
        }
        trial.phases[1].acknowledged = well;
        trial.phases[1].failed = 2_000 - well;
        trial.hops = vec![hop_of(BEHIND, well)];
        if well < 2_000 {
            trial.seen = vec![SeenError {
                error: "status-500".into(),
                calls: When::After,
                count: 2_000 - well,
                first_s: 0.001,
                median_s: 5.0,
                last_s: 10.0,
                waited_median_s: 0.002,
                waited_most_s: 0.6,
            }];
        }
        trial
    }

    pub(crate) fn hop_of(service: &str, of_outage: u64) -> Hop {
        let mut hop = Hop {
            service: service.into(),
            phases: vec![HopPhase {
                name: DOWN.into(),
                completed: of_outage,
                completion_ns: Latency {
                    max: Some(11_500_000_000),
                    ..Latency::default()
                },
                ..HopPhase::default()
            }],
            ..Hop::default()
        };
        hop.ledger.duplicated = Some(0);
        hop.ledger.recovered = Some(0);
        let sent = Sent {
            calls: 2_800,
            succeeded: 800 + of_outage,
            lost: Some(0),
            unknown_to_caller: Some(0),
        };
        hop.from.insert(CHECKOUT.into(), sent);
        hop
    }

    fn planted() -> Run {
        let mut run = fixture::planted();
        for block in 0..3 {
            for over in SYNC {
                run.trials
                    .push(trial(EXPERIMENT, &topology(over), block, 1));
            }
            for over in BUFFERED {
                let whole = trial(EXPERIMENT, &topology(over), block, 2_000);
                run.trials.push(whole);
            }
        }
        run
    }

    fn verdict(run: &Run, claim: &str) -> crate::results::VerdictRow {
        super::super::judge(run)
            .into_iter()
            .find(|row| row.claim == claim)
            .unwrap()
    }

    #[test]
    fn nobody_checks_out_over_a_sync_hop_and_a_broker_loses_nothing() {
        let run = planted();
        let down = verdict(&run, "down-sync");
        assert_eq!(down.verdict, Verdict::Holds, "{down:?}");
        assert!(
            down.reason.contains("`status-500` after 2.00 ms"),
            "{}",
            down.reason
        );
        let kept = verdict(&run, "down-async");
        assert_eq!(kept.verdict, Verdict::Holds, "{kept:?}");
        for words in ["queue took 6000 of 6000", "done 11.5 s after"] {
            assert!(kept.reason.contains(words), "{}", kept.reason);
        }
    }

    #[test]
    fn a_checkout_that_goes_on_refutes_the_one_and_a_lost_order_the_other() {
        let mut run = planted();
        for trial in &mut run.trials {
            if trial.cell.id == topology("grpc") {
                trial.phases[1].acknowledged = 1_900;
            }
        }
        assert_eq!(verdict(&run, "down-sync").verdict, Verdict::Refuted);
        let mut run = planted();
        let trial = run
            .trials
            .iter_mut()
            .find(|trial| trial.cell.id == topology("stream"));
        let sent = trial.unwrap().hops[0].from.get_mut(CHECKOUT).unwrap();
        sent.lost = Some(1);
        let row = verdict(&run, "down-async");
        assert_eq!(row.verdict, Verdict::Refuted, "{row:?}");
        assert!(row.reason.contains("1 of 8400 confirmed"), "{}", row.reason);
    }

    #[test]
    fn what_was_not_run_is_not_measured() {
        let run = fixture::planted();
        for claim in ["down-sync", "down-async"] {
            assert_eq!(verdict(&run, claim).verdict, Verdict::NotMeasured);
        }
    }

    #[test]
    fn the_tables_have_a_row_for_each_way() {
        let run = planted();
        for table in tables(&run) {
            assert_eq!(table.rows.len(), 4, "{}", table.title);
        }
    }
}
