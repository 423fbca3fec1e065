//! tls-cost (ours): the same cell with TLS and without, per transport. CPU per order decides: at a fixed rate it is the
//! steadiest figure there is; latency and bytes stand beside it.

use super::combine::Judged;
use super::part::{self, Question, not_measured};
use super::rules::Rule;
use super::samples::{CellTrials, Metric, Paired, cells, is_base};
use super::{Combine, Judge, nothing_beside};
use crate::results::{Cell, Run, Trial};
use bench_stats::Estimate;

/// What is judged here.
pub const JUDGES: &[Judge] = &[Judge {
    claim: "tls-cost",
    parts: |run, rules| parts(run, rules[0]),
    combine: Combine::Cells("the transport"),
    beside: nothing_beside,
}];

/// The factor that tells the two arms apart.
const FACTOR: &str = "tls";

/// tls-cost: CPU per order of client, service and broker together, with TLS ÷ without.
pub fn parts(run: &Run, rule: Rule) -> Vec<Judged> {
    let all = cells(run, "tls");
    let pairs = pairs(&all);
    if pairs.is_empty() {
        let why = match run.skipped.first() {
            Some(skipped) => format!("{} was skipped: {}", skipped.transport, skipped.reason),
            None => "`tls` has no pair of cells with and without TLS in this run".into(),
        };
        return vec![not_measured("CPU per order", why)];
    }
    let metric = Metric::CpuPerOp;
    let value = |trial: &Trial| metric.of(trial);
    let judged = |(plain, tls): &(&CellTrials<'_>, &CellTrials<'_>)| {
        let transport = &plain.cell.transport;
        let says =
            |ratio: &str| format!("{transport}: an order costs {ratio} the CPU with TLS 1.3");
        let question = Question {
            name: format!("CPU per order, {transport}"),
            rule,
            metric,
            above: &value,
            below: &value,
            says: &says,
        };
        part::judge(run, &question, tls, plain)
    };
    pairs.iter().map(judged).collect()
}

/// What TLS adds to one transport. Pairs are plain, then TLS.
#[derive(Clone, Debug)]
pub struct Added {
    /// Over what.
    pub transport: String,
    /// CPU per order, mean over the kept blocks, µs.
    pub cpu_us: [Option<f64>; 2],
    /// Its ratio.
    pub cpu: Option<Estimate>,
    /// Ratio of accept p50.
    pub p50: Option<Estimate>,
    /// Ratio of accept p99.
    pub p99: Option<Estimate>,
    /// Bytes per order over every leg, both directions, mean over the kept blocks.
    pub wire: [Option<f64>; 2],
    /// Blocks with both.
    pub blocks: usize,
}

/// What TLS adds, transport by transport, in the order in which they first ran.
pub fn added(run: &Run) -> Vec<Added> {
    let all = cells(run, "tls");
    let row = |(plain, tls): (&CellTrials<'_>, &CellTrials<'_>)| {
        let paired = |metric: Metric| {
            Paired::of(
                tls,
                plain,
                |trial| metric.of(trial),
                |trial| metric.of(trial),
            )
        };
        let ratio = |metric| Estimate::of_ratios(&paired(metric).ratios(true));
        let both = [plain, tls];
        Added {
            transport: plain.cell.transport.clone(),
            cpu_us: both.map(|cell| mean(cell, Trial::cpu_us_per_op_total)),
            cpu: ratio(Metric::CpuPerOp),
            p50: ratio(Metric::AcceptP50),
            p99: ratio(Metric::AcceptP99),
            wire: both.map(|cell| mean(cell, wire)),
            blocks: paired(Metric::CpuPerOp).blocks.len(),
        }
    };
    pairs(&all).into_iter().map(row).collect()
}

fn wire(trial: &Trial) -> Option<f64> {
    let legs = trial.bytes.wire.values();
    let sum: f64 = legs.map(|leg| leg.sent + leg.received).sum();
    (sum > 0.0).then_some(sum)
}

fn mean(cell: &CellTrials<'_>, value: impl Fn(&Trial) -> Option<f64>) -> Option<f64> {
    let values: Vec<f64> = cell.kept().filter_map(value).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Cells that differ in TLS alone: plain, then TLS.
fn pairs<'a, 'r>(all: &'a [CellTrials<'r>]) -> Vec<(&'a CellTrials<'r>, &'a CellTrials<'r>)> {
    let stripped = |cell: &Cell| {
        let mut cell = cell.clone();
        cell.id = String::new();
        cell.factors.remove(FACTOR);
        cell
    };
    let encrypted = |cell: &Cell| cell.factors.contains_key(FACTOR);
    let plain = all
        .iter()
        .filter(|trials| is_base(trials.cell) && !encrypted(trials.cell));
    let partner = |plain: &'a CellTrials<'r>| {
        let alike = |other: &&CellTrials<'r>| {
            encrypted(other.cell) && stripped(other.cell) == stripped(plain.cell)
        };
        Some((plain, all.iter().find(alike)?))
    };
    plain.filter_map(partner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::fixture;
    use crate::claims::rules::Rule::Effect;
    use crate::results::{Verdict, WireLeg};

    /// Six blocks; with TLS an order of `rest` costs three times the CPU, one of `tcp` a tenth more.
    fn planted() -> Run {
        let mut run = Run::default();
        for block in 0..fixture::BLOCKS {
            for (arm, (transport, times)) in [("tcp", 1.1), ("rest", 3.0)].into_iter().enumerate() {
                for tls in [false, true] {
                    let mut cell = fixture::cell(transport, "O3");
                    let mut times_cpu = 1.0;
                    if tls {
                        cell.factors.insert("tls".into(), "1.3".into());
                        times_cpu = times;
                    }
                    let latency = (100_000.0, 300_000.0);
                    let cpu = [10.0 * times_cpu, 20.0 * times_cpu, 0.0];
                    let mut trial = fixture::open(cell, arm as u32, block, latency, latency, cpu);
                    trial.experiment = "tls".into();
                    trial.cell.id = format!("{transport}-{tls}");
                    let leg = WireLeg {
                        sent: if tls { 122.0 } else { 100.0 },
                        received: 50.0,
                        headers_computed: None,
                    };
                    trial.bytes.wire = [("client_service".to_string(), leg)].into();
                    run.trials.push(trial);
                }
            }
        }
        run
    }

    #[test]
    fn a_transport_whose_cpu_doubles_holds_and_one_that_hardly_notices_refutes() {
        let parts = parts(&planted(), Effect(2.0));
        let verdicts: Vec<_> = parts
            .iter()
            .map(|judged| (judged.part.name.as_str(), judged.part.verdict))
            .collect();
        assert_eq!(
            verdicts,
            [
                ("CPU per order, tcp", Verdict::Refuted),
                ("CPU per order, rest", Verdict::Holds),
            ],
            "{parts:?}"
        );
        assert!(parts[1].part.reason.contains("with TLS 1.3"));
    }

    #[test]
    fn the_table_holds_what_was_planted() {
        let added = added(&planted());
        assert_eq!(added.len(), 2);
        let rest = &added[1];
        assert_eq!((rest.transport.as_str(), rest.blocks), ("rest", 6));
        assert!(
            (rest.cpu.as_ref().unwrap().point() - 3.0).abs() < 0.1,
            "{rest:?}"
        );
        assert!(
            (rest.p50.as_ref().unwrap().point() - 1.0).abs() < 0.05,
            "{rest:?}"
        );
        assert_eq!(rest.wire, [Some(150.0), Some(172.0)]);
    }

    #[test]
    fn without_cells_with_tls_nothing_is_claimed() {
        let mut run = planted();
        run.trials.retain(|trial| trial.cell.factors.is_empty());
        let parts = parts(&run, Effect(2.0));
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0].part.verdict, Verdict::NotMeasured);
        assert!(added(&run).is_empty());
    }
}
