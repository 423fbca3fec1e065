//! Goodput phase by phase with what it cost, and what the formulas say beside it.

use super::*;
use crate::results::{SeriesBin, Table, Value};
use bench_stats::estimate::LEVEL;

/// From this share of orders on goodput is back.
const BACK: f64 = 0.99;
/// Up to this share it is away.
const AWAY: f64 = 0.01;

/// The policies by what became of their orders, and beside theory, in this order.
pub fn tables(run: &Run) -> Vec<Table> {
    let all = cells(run, EXPERIMENT);
    vec![by_phase(&all), beside_theory(&all)]
}

/// Every policy with a block that counts, in the order of every table.
fn each<'a, 'r>(
    all: &'a [CellTrials<'r>],
) -> impl Iterator<Item = (&'static str, Policy, &'a CellTrials<'r>)> {
    SYNC.into_iter()
        .flat_map(|over| Policy::ALL.map(|policy| (over, policy)))
        .filter_map(move |(over, policy)| {
            let cell = find(all, over, policy)?;
            cell.kept().next()?;
            Some((over, policy, cell))
        })
}

fn estimated(estimate: Option<Estimate>, scale: f64, why_not: &str) -> Value {
    let Some(found) = estimate else {
        return Value::missing(why_not);
    };
    let ends = found.interval(LEVEL);
    Value::interval(
        scale * found.point(),
        ends.map(|(low, high)| (scale * low, scale * high)),
    )
}

/// Goodput in a phase, percent.
fn share(cell: &CellTrials<'_>, name: &str) -> Value {
    let found = over_blocks(cell, |trial| goodput(trial, name));
    estimated(found, 100.0, "a block has no such phase")
}

fn by_phase(all: &[CellTrials<'_>]) -> Table {
    let columns = [
        ("policy", ""),
        ("transport", ""),
        ("goodput before", "%"),
        ("goodput while slow", "%"),
        ("goodput after", "%"),
        ("goodput later", "%"),
        ("attempts per order", ""),
        ("times applied again", ""),
        ("not started, its deadline past", ""),
    ];
    let title = "What became of the orders by how their calls were tried again";
    let mut table = Table::new(EXPERIMENT, title, &columns).with_note(
        "Goodput: of the orders planned in the phase, those that were acknowledged; the mean over blocks with its 95 % interval. \
         Attempts of checkout at the service behind it ÷ orders that needed it, over the whole window. Applied again: how often the \
         service worked on an order to a good end that it had done already; with an idempotency key it answers without the \
         work. Counts are sums over the blocks that count.",
    );
    for (over, policy, cell) in each(all) {
        let unread = "the service's account could not be read";
        let count = |read: fn(&Trial) -> Option<u64>| {
            Value::maybe(total(cell, read).map(|count| count as f64), unread)
        };
        let mut row: Vec<Value> = vec![policy.words().into(), over.into()];
        row.extend(PHASES.map(|name| share(cell, name)));
        row.extend([
            estimated(over_blocks(cell, amplification), 1.0, unread),
            count(applied_again),
            count(|trial| Some(service(trial, BEHIND)?.expired)),
        ]);
        table.push(row);
    }
    table
}

/// From the slowness's end to the last error that a caller saw in the window, seconds; none where they went on to its end.
fn last_error(trial: &Trial) -> Option<f64> {
    let well_again = phase(trial, SLOW)?.end_s;
    let over = trial.phases.last()?.end_s;
    let failing = |bin: &&SeriesBin| bin.start_s < over && bin.errors > 0;
    let Some(last) = trial.series.iter().rfind(failing) else {
        return Some(0.0);
    };
    let ended = last.start_s + last.width_s;
    // A bin's end is a sum of rounded numbers.
    (ended + 0.5 * last.width_s < over).then(|| (ended - well_again).max(0.0))
}

fn beside_theory(all: &[CellTrials<'_>]) -> Table {
    let columns = [
        ("policy", ""),
        ("transport", ""),
        ("λ", "1/s"),
        ("work per order while calls fail", ""),
        ("λ × that", "1/s"),
        ("μ when well", "1/s"),
        ("by formula goodput", ""),
        ("its backlog gone after", "s"),
        ("measured: it", ""),
        ("last error after", "s"),
    ];
    let title = "Does goodput come back once the slowness is over? Theory beside what was measured";
    let (well, ill) = (
        capacity(WORKERS as u64, WORK).0,
        capacity(WORKERS as u64, SLOW_WORK).0,
    );
    let mut table = Table::new(EXPERIMENT, title, &columns).with_note(format!(
        "μ is {WORKERS} workers ÷ {} ms, {} ms while slow ({ill}/s). While every attempt comes too late, an order brings the \
         service behind as much work as it has attempts, or once where a key tells it that it has done it; where λ times that \
         is above μ = {well}/s the backlog goes on growing though its cause is gone, else it is gone after \
         (λ·work − μ slow)·T ÷ (μ − λ·work). Both times count from the end of the slowness; errors cease before the backlog does, as soon as it is worth less than a timeout. Back: at \
         least {} % of the orders of the phase `{LATER}`; away: at most {} %. Of attempts that are dropped when their time is \
         up no formula here tells.",
        WORK.as_millis(),
        SLOW_WORK.as_millis(),
        100.0 * BACK,
        100.0 * AWAY,
    ));
    for (over, policy, cell) in each(all) {
        let trial = cell.kept().next();
        let slow = trial.and_then(|trial| phase(trial, SLOW));
        let (Some(rate), Some(slow)) = (cell.cell.rate_per_s, slow) else {
            continue;
        };
        let lasting = Duration::from_secs_f64((slow.end_s - slow.start_s).max(0.0));
        let (foretold, gone) = match policy.outlook(PerSecond(rate), lasting) {
            Outlook::ComesBack(after) => ("comes back", Value::number(after.as_secs_f64())),
            Outlook::StaysAway => ("stays away", Value::missing("never")),
            Outlook::Unknown => ("no formula", Value::missing("no formula")),
        };
        let work = policy.work_per_order();
        let last = over_blocks(cell, last_error);
        table.push(vec![
            policy.words().into(),
            over.into(),
            Value::number(rate),
            Value::maybe(work, "no formula"),
            Value::maybe(work.map(|work| rate * work), "no formula"),
            Value::number(well),
            foretold.into(),
            gone,
            what_came(cell).into(),
            estimated(last, 1.0, "in a block they went on to its end"),
        ]);
    }
    table
}

/// Whether goodput was back in the last phase, in words.
fn what_came(cell: &CellTrials<'_>) -> &'static str {
    match over_blocks(cell, |trial| goodput(trial, LATER)).map(|found| found.point()) {
        None => "is unknown",
        Some(share) if share >= BACK => "came back",
        Some(share) if share <= AWAY => "stayed away",
        Some(_) => "came back in part",
    }
}
