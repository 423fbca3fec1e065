//! What may stand in a producer's way beside a slow consumer, from the experiment `blocked`: a consumer that is stopped,
//! a queue that is full, a broker in memory alarm, and a client's own buffer that is full while the broker stands still.
//! Parts of producer-free.

use super::combine::Judged;
use super::outage::{p50, usual_error};
use super::part::{counted, not_measured};
use super::phase::{accept_in, never_fails_in};
use super::rules::Rule;
use super::samples::{CellTrials, Metric, cells, is_base};
use crate::results::{Cell, Phase, Run, Table, Value};

/// The experiment.
pub const EXPERIMENT: &str = "blocked";
/// The phase in which something stands in the way.
pub const BLOCKED: &str = "blocked";
/// The error of a publish that found the client's buffer full until its deadline.
const NO_ROOM: &str = "queue-full";
/// What the fault of a cell in memory alarm says.
const ALARM: &str = " alarm ";

/// What stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    Stopped,
    FullQueue,
    MemoryAlarm,
    FullBuffer,
}

impl Obstacle {
    const ALL: [Self; 4] = [
        Self::Stopped,
        Self::FullQueue,
        Self::MemoryAlarm,
        Self::FullBuffer,
    ];

    /// That of a cell of the experiment.
    fn of(cell: &Cell) -> Self {
        let fault = cell.factors.get("fault");
        if fault.is_some_and(|fault| fault.contains(ALARM)) {
            Self::MemoryAlarm
        } else if cell.factors.contains_key("queue_limit") {
            Self::FullQueue
        } else if cell.factors.contains_key("client_buffer") {
            Self::FullBuffer
        } else {
            Self::Stopped
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Stopped => "consumer stopped",
            Self::FullQueue => "full queue",
            Self::MemoryAlarm => "memory alarm",
            Self::FullBuffer => "full client buffer",
        }
    }

    /// The same in a sentence about the past.
    fn was(self) -> &'static str {
        match self {
            Self::Stopped => "the consumer was stopped",
            Self::FullQueue => "the consumer was stopped and the queue full",
            Self::MemoryAlarm => "the broker was in memory alarm",
            Self::FullBuffer => "the broker stood still and the client's buffer was full",
        }
    }
}

/// The parts of producer-free that this experiment decides.
pub fn parts(run: &Run, equal: Rule) -> Vec<Judged> {
    let all = Obstacle::ALL.into_iter();
    all.flat_map(|obstacle| of(run, obstacle, equal)).collect()
}

fn of(run: &Run, obstacle: Obstacle, equal: Rule) -> Vec<Judged> {
    let name = obstacle.name();
    let mut parts = Vec::new();
    for cell in in_order(&cells(run, EXPERIMENT)) {
        if Obstacle::of(cell.cell) != obstacle {
            continue;
        }
        let transport = &cell.cell.transport;
        let title = |what: &str| format!("{name}: {transport} {what}");
        // Where there is no room, it is refusals and deadlines that tell: quick refusals would even improve a percentile.
        if obstacle == Obstacle::Stopped {
            let is = "the consumer is stopped";
            for (metric, what) in [
                (Metric::AcceptP50, "accept p50"),
                (Metric::AcceptP99, "accept p99"),
            ] {
                let part = accept_in(run, cell, title(what), BLOCKED, is, metric, equal);
                parts.push(part);
            }
        }
        let title = title("publish never fails");
        parts.push(match obstacle {
            Obstacle::FullBuffer => finds_room(cell, title),
            _ => never_fails_in(cell, title, BLOCKED, obstacle.was()),
        });
    }
    if parts.is_empty() {
        let why = format!("{name}: `{EXPERIMENT}` was not run for it");
        parts.push(not_measured(name, why));
    }
    parts
}

/// Whether each publish found room in the client's buffer before its deadline. While its broker stands still none is
/// confirmed, whatever the buffer: those that never left the program are the buffer's doing.
fn finds_room(cell: &CellTrials<'_>, name: String) -> Judged {
    let no_room: u64 = cell
        .kept()
        .flat_map(|trial| &trial.seen)
        .filter(|seen| seen.error == NO_ROOM)
        .map(|seen| seen.count)
        .sum();
    let phases = cell.kept().flat_map(|trial| &trial.phases);
    let planned: u64 = phases
        .filter(|phase| phase.name == BLOCKED)
        .map(|phase| phase.planned)
        .sum();
    let was = Obstacle::FullBuffer.was();
    let transport = &cell.cell.transport;
    counted(cell, name, no_room, planned, |_| {
        format!(
            "{transport}: {no_room} of {planned} publishes found no room before their deadline while {was}"
        )
    })
}

/// The experiment's cells by transport and obstacle, in whatever order they ran.
fn in_order<'a, 'r>(all: &'a [CellTrials<'r>]) -> Vec<&'a CellTrials<'r>> {
    let mut cells: Vec<_> = all.iter().filter(|cell| is_base(cell.cell)).collect();
    cells.sort_by_key(|cell| {
        let obstacle = Obstacle::of(cell.cell) as u8;
        (obstacle, cell.cell.transport.clone())
    });
    cells
}

/// What the producer felt, cell by cell.
pub fn tables(run: &Run) -> Vec<Table> {
    let columns = [
        ("in the way", ""),
        ("transport", ""),
        ("planned meanwhile", ""),
        ("confirmed", ""),
        ("failed or refused", ""),
        ("timed out", ""),
        ("most frequent error", ""),
        ("its callers waited", "ms"),
        ("accept p50 before", "ms"),
        ("accept p50 meanwhile, of all planned", "ms"),
    ];
    let title = "What stood in the producer's way, and what it felt";
    let mut table = Table::new(EXPERIMENT, title, &columns).with_note(
        "Counted over the blocks that count. A publish that a full queue refuses (nack) fails at once; one to a broker in \
         memory alarm waits in its connection, which the broker no longer reads (timeout); one that finds the client's \
         buffer full waits for room until its deadline (queue-full). Of all planned: who failed or timed out \
         ranks at the deadline or above; a percentile that falls among them is a lower bound.",
    );
    for cell in in_order(&cells(run, EXPERIMENT)) {
        let phases: Vec<&Phase> = cell
            .kept()
            .flat_map(|trial| &trial.phases)
            .filter(|phase| phase.name == BLOCKED)
            .collect();
        let sum = |read: fn(&Phase) -> u64| {
            let all: u64 = phases.iter().map(|phase| read(phase)).sum();
            Value::number(all as f64)
        };
        let error = usual_error(cell);
        table.push(vec![
            Obstacle::of(cell.cell).name().into(),
            cell.cell.transport.as_str().into(),
            sum(|phase| phase.planned),
            sum(|phase| phase.acknowledged),
            sum(|phase| phase.failed + phase.refused),
            sum(|phase| phase.timed_out),
            error
                .as_ref()
                .map_or_else(|| "none".into(), |(error, _)| error.as_str().into()),
            Value::maybe(error.as_ref().map(|(_, waited)| *waited), "no error"),
            p50(cell, "before"),
            p50(cell, BLOCKED),
        ]);
    }
    vec![table]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::fixture;
    use crate::results::{SeenError, Trial, Verdict, VerdictRow};

    /// Before, an accept takes 1 ms; of the thousand orders meanwhile so many are not confirmed.
    fn trial(transport: &str, factor: Option<&str>, block: u32, unconfirmed: u64) -> Trial {
        let mut trial = fixture::slow(transport, block, 1_000_000, 1_010_000, unconfirmed);
        trial.experiment = EXPERIMENT.into();
        trial.cell.id = format!("{transport}-blocked-{}", factor.unwrap_or("stopped"));
        trial.cell.slow = None;
        let factors = &mut trial.cell.factors;
        factors.extend(factor.map(|name| {
            let value = match name {
                "fault" => "at 2s alarm rabbitmq; at 5s clear rabbitmq",
                _ => "50",
            };
            (name.to_string(), value.to_string())
        }));
        trial.phases[1].name = BLOCKED.into();
        if factor == Some("client_buffer") {
            // The others that were not confirmed left the program.
            trial.seen = vec![SeenError {
                error: NO_ROOM.into(),
                count: unconfirmed - 50,
                ..SeenError::default()
            }];
        }
        trial
    }

    fn planted() -> Run {
        let mut run = fixture::planted();
        for block in 0..3 {
            run.trials.extend([
                trial("queue", None, block, 0),
                trial("stream", None, block, 0),
                trial("queue", Some("queue_limit"), block, 900),
                trial("queue", Some("fault"), block, 700),
                trial("stream", Some("client_buffer"), block, 400),
            ]);
        }
        run
    }

    fn verdict(run: &Run) -> VerdictRow {
        super::super::judge(run)
            .into_iter()
            .find(|row| row.claim == "producer-free")
            .unwrap()
    }

    fn part(row: &VerdictRow, name: &str) -> (Verdict, String) {
        let found = row.parts.iter().find(|part| part.name == name);
        let found = found.unwrap_or_else(|| panic!("no {name} in {row:?}"));
        (found.verdict, found.reason.clone())
    }

    #[test]
    fn a_stopped_consumer_is_not_felt_and_what_is_full_refutes() {
        let row = verdict(&planted());
        assert_eq!(row.verdict, Verdict::Refuted, "{row:?}");
        for transport in ["queue", "stream"] {
            for what in ["accept p50", "accept p99", "publish never fails"] {
                let name = format!("consumer stopped: {transport} {what}");
                assert_eq!(part(&row, &name).0, Verdict::Holds, "{name}");
            }
        }
        for (name, words) in [
            (
                "full queue: queue publish never fails",
                "2700 of 3000 publishes were not confirmed while the consumer was stopped and the queue full",
            ),
            (
                "memory alarm: queue publish never fails",
                "2100 of 3000 publishes were not confirmed while the broker was in memory alarm",
            ),
            (
                "full client buffer: stream publish never fails",
                "1050 of 3000 publishes found no room before their deadline while the broker stood still",
            ),
        ] {
            let (found, reason) = part(&row, name);
            assert_eq!(found, Verdict::Refuted, "{name}");
            assert!(reason.contains(words), "{reason}");
        }
    }

    #[test]
    fn an_alarm_in_which_every_publish_is_confirmed_holds_and_one_without_cell_is_not_measured() {
        let name = "memory alarm: queue publish never fails";
        let mut run = planted();
        for trial in &mut run.trials {
            if trial.cell.factors.contains_key("fault") {
                trial.phases[1].acknowledged = trial.phases[1].planned;
            }
        }
        assert_eq!(part(&verdict(&run), name).0, Verdict::Holds);
        run.trials
            .retain(|trial| !trial.cell.factors.contains_key("fault"));
        let (found, reason) = part(&verdict(&run), "memory alarm");
        assert_eq!(found, Verdict::NotMeasured);
        assert!(reason.contains("`blocked` was not run for it"), "{reason}");
    }

    #[test]
    fn one_publish_that_fails_while_the_consumer_is_stopped_refutes() {
        let mut run = planted();
        run.trials.retain(|trial| {
            let factors = &trial.cell.factors;
            ["queue_limit", "fault", "client_buffer"]
                .iter()
                .all(|name| !factors.contains_key(*name))
        });
        assert_eq!(verdict(&run).verdict, Verdict::Inconclusive);
        let stopped = run
            .trials
            .iter_mut()
            .find(|trial| trial.cell.id == "stream-blocked-stopped");
        stopped.unwrap().phases[1].acknowledged -= 1;
        let row = verdict(&run);
        assert_eq!(row.verdict, Verdict::Refuted, "{row:?}");
        let (_, reason) = part(&row, "consumer stopped: stream publish never fails");
        assert!(reason.contains("1 of 3000"), "{reason}");
    }

    #[test]
    fn the_table_has_a_row_for_each_cell_in_the_order_of_the_parts() {
        let table = &tables(&planted())[0];
        let first: Vec<(&Value, &Value)> =
            table.rows.iter().map(|row| (&row[0], &row[4])).collect();
        let row = |name: &str, failed: f64| (Value::from(name), Value::Number(failed));
        let expected = [
            row("consumer stopped", 0.0),
            row("consumer stopped", 0.0),
            row("full queue", 0.0),
            row("memory alarm", 0.0),
            row("full client buffer", 0.0),
        ];
        let expected: Vec<_> = expected.iter().map(|(a, b)| (a, b)).collect();
        assert_eq!(first, expected);
        // The fixture's unconfirmed orders timed out.
        assert_eq!(table.rows[2][5], Value::Number(2_700.0));
        assert_eq!(table.rows[3][5], Value::Number(2_100.0));
        assert_eq!(table.rows[4][3], Value::Number(1_800.0));
    }
}
