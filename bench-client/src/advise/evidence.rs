//! What was measured of one way, and which of it is near enough to a question.

use super::{Candidate, Figure, Needs, Source};
use crate::claims::samples::{CellTrials, Metric, Sample, cells, experiments, is_base};
use crate::latency::{self, Minimum};
use crate::results::{Arrival, Cell, Percentile, Run};
use bench_stats::Estimate;
use bench_stats::estimate::LEVEL;

/// A payload whose encoded body is within this factor of another's stands for it, and so does the nearer of two that lie
/// on either side of it; every such figure says whose it is. A convention: O3 and O10 lie so far apart.
const NEAR: f64 = 2.0;

/// Factors of a cell that do not set it apart from the plain one: as they are matched, and those that have names of
/// their own here.
const MATCHED: [(&str, &str); 3] = [("linger_ms", "0"), ("partitions", "4"), ("prefetch", "100")];
const NAMED: [&str; 3] = ["reply", "payload_file", "payload_sha256"];

/// A measured cell.
#[derive(Clone, Debug)]
pub(super) struct Found<'r> {
    pub(super) source: &'r str,
    pub(super) run: &'r Run,
    pub(super) cell: CellTrials<'r>,
}

impl Found<'_> {
    /// Its rate; none in a closed loop.
    pub(super) fn rate(&self) -> f64 {
        self.cell.cell.rate_per_s.unwrap_or(f64::NAN)
    }

    /// Mean body that was sent, bytes.
    fn body(&self) -> Option<f64> {
        let sent: Option<Vec<f64>> = self.cell.kept().map(|t| t.bytes.body_out).collect();
        Estimate::of_values(&sent?).map(|mean| mean.point())
    }

    /// A figure over its blocks, in units of `divisor`; none where a block has too few samples for it.
    pub(super) fn figure(
        &self,
        metric: Metric,
        divisor: f64,
        unit: &'static str,
    ) -> Option<Figure> {
        let samples: Option<Vec<Sample>> = self.cell.kept().map(|t| metric.of(t)).collect();
        let samples = samples?;
        let values: Vec<f64> = samples.iter().map(|s| s.value / divisor).collect();
        let estimate = Estimate::of_ratios(&values)?;
        let ends = estimate.interval(LEVEL);
        let bound = samples.iter().any(|sample| sample.at_least);
        Some(Figure {
            low: ends.map(|(low, _)| low),
            high: ends.map(|(_, high)| high).filter(|_| !bound),
            ..self.point(metric.name(), estimate.point(), unit)
        })
    }

    /// Accept p99, ms: over blocks, or of all blocks' samples together where one alone has too few.
    pub(super) fn p99(&self) -> Option<Figure> {
        self.figure(Metric::AcceptP99, 1e6, "ms").or_else(|| {
            let all = self.cell.kept().map(|trial| &trial.accept_ns);
            let merged = latency::merge(all, Minimum::Merged)?;
            let p99 = crate::claims::samples::percentile(&merged, Percentile::P99)?;
            Some(self.point(Metric::AcceptP99.name(), p99.value / 1e6, "ms"))
        })
    }

    /// A figure without an interval.
    fn point(&self, metric: &'static str, value: f64, unit: &'static str) -> Figure {
        Figure {
            run: self.source.into(),
            cell: self.cell.cell.id.clone(),
            metric,
            value,
            low: None,
            high: None,
            unit,
            blocks: self.cell.kept().count() as u32,
        }
    }
}

/// Open loops of a way in the class that is asked for, nothing slow behind them and nothing tuned.
pub(super) fn open_loops<'r>(
    sources: &'r [Source<'r>],
    needs: &Needs,
    candidate: Candidate,
) -> Vec<Found<'r>> {
    find(sources, needs, candidate, |cell| {
        matches!(cell.arrival, Arrival::Constant | Arrival::Poisson) && cell.rate_per_s.is_some()
    })
}

/// Its closed loops: what it can carry at most.
pub(super) fn closed_loops<'r>(
    sources: &'r [Source<'r>],
    needs: &Needs,
    candidate: Candidate,
) -> Vec<Found<'r>> {
    find(sources, needs, candidate, |cell| {
        cell.arrival == Arrival::Closed
    })
}

fn find<'r>(
    sources: &'r [Source<'r>],
    needs: &Needs,
    candidate: Candidate,
    wanted: impl Fn(&Cell) -> bool,
) -> Vec<Found<'r>> {
    let reply = candidate.reply.map(|via| via.to_string());
    let is_it = |cell: &Cell| {
        cell.transport == candidate.transport.name()
            && cell.durability == needs.durability.name()
            && cell.factors.get("reply") == reply.as_ref()
            && is_plain(cell)
            && wanted(cell)
    };
    let mut found: Vec<Found<'r>> = Vec::new();
    for source in sources {
        for experiment in experiments(source.run) {
            for cell in cells(source.run, experiment) {
                let undisturbed = (cell.blocks.values())
                    .all(|trial| trial.phases.is_empty() && trial.faults.is_empty());
                // A cell that several experiments read is one piece of evidence.
                let there =
                    |f: &Found<'_>| f.source == source.name && f.cell.cell.id == cell.cell.id;
                if is_it(cell.cell)
                    && undisturbed
                    && cell.has_headline()
                    && !found.iter().any(there)
                {
                    found.push(Found {
                        source: &source.name,
                        run: source.run,
                        cell,
                    });
                }
            }
        }
    }
    found
}

/// Whether a cell is what somebody gets who tunes nothing: its own format, HTTP/1.1, one order a call.
fn is_plain(cell: &Cell) -> bool {
    let own = if cell.transport == "rest" {
        "json"
    } else {
        "protobuf"
    };
    let matched = |(name, value): (&String, &String)| {
        MATCHED.contains(&(name.as_str(), value.as_str())) || NAMED.contains(&name.as_str())
    };
    is_base(cell)
        && cell.is_timed()
        && cell.format == own
        && cell.http.as_deref() != Some("h2")
        && cell.slow.is_none()
        && cell.workers.is_none()
        && cell.factors.iter().all(matched)
}

/// Those of the cells whose payload is the one asked for, or stands for it; else why none does.
pub(super) fn near_payload<'r>(
    found: Vec<Found<'r>>,
    needs: &Needs,
) -> Result<Vec<Found<'r>>, String> {
    let asked = &needs.payload;
    let is_exact = |f: &Found<'_>| f.cell.cell.payload == asked.name;
    if found.iter().any(is_exact) {
        return Ok(found.into_iter().filter(is_exact).collect());
    }
    let wanted = |f: &Found<'_>| match f.cell.cell.format.as_str() {
        "json" => asked.json,
        _ => asked.protobuf,
    };
    // How many times larger each is, with its name.
    let ratios: Vec<(f64, &str)> = found
        .iter()
        .filter_map(|f| Some((f.body()? / wanted(f), f.cell.cell.payload.as_str())))
        .filter(|(ratio, _)| ratio.is_finite() && *ratio > 0.0)
        .collect();
    let distance = |ratio: f64| ratio.ln().abs();
    let nearest = ratios
        .iter()
        .min_by(|a, b| distance(a.0).total_cmp(&distance(b.0)));
    let Some((ratio, name)) = nearest.copied() else {
        return Err("no body of it was measured".into());
    };
    let between = ratios.iter().any(|(ratio, _)| *ratio < 1.0)
        && ratios.iter().any(|(ratio, _)| *ratio > 1.0);
    if distance(ratio) > NEAR.ln() && !between {
        return Err(format!(
            "{name} is the nearest payload that was measured, and its body is {} times that of {}",
            crate::claims::part::number(ratio),
            asked.name
        ));
    }
    let name = name.to_string();
    Ok(found
        .into_iter()
        .filter(|f| f.cell.cell.payload == name)
        .collect())
}

/// The measured rates on either side of the one that is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'a, 'r> {
    /// The highest sustained rate at or below it.
    pub(super) below: &'a Found<'r>,
    /// The lowest sustained rate at or above it.
    pub(super) above: &'a Found<'r>,
}

impl<'a, 'r> Around<'a, 'r> {
    /// The nearer one, in proportion.
    pub(super) fn nearest(&self, rate: f64) -> &'a Found<'r> {
        if rate / self.below.rate() <= self.above.rate() / rate {
            self.below
        } else {
            self.above
        }
    }
}

/// Why a rate is not among the measured ones.
#[derive(Debug)]
pub(super) enum Outside<'a, 'r> {
    /// It was offered, or less was, and not sustained.
    NotSustained(&'a Found<'r>),
    /// Nothing was measured there; the sentence says where.
    NotMeasured(String),
}

/// The measured rates around `rate`, all of one payload.
pub(super) fn around<'a, 'r>(
    found: &'a [Found<'r>],
    rate: f64,
) -> Result<Around<'a, 'r>, Outside<'a, 'r>> {
    let (held, lost): (Vec<&Found<'r>>, Vec<&Found<'r>>) =
        found.iter().partition(|f| f.cell.is_sustained());
    let lowest = |of: &[&'a Found<'r>]| -> Option<&'a Found<'r>> {
        of.iter()
            .copied()
            .min_by(|a, b| a.rate().total_cmp(&b.rate()))
    };
    let (below, above): (Vec<_>, Vec<_>) = (
        held.iter().copied().filter(|f| f.rate() <= rate).collect(),
        held.iter().copied().filter(|f| f.rate() >= rate).collect(),
    );
    let highest = below
        .iter()
        .copied()
        .max_by(|a, b| a.rate().total_cmp(&b.rate()));
    let collapsed = lowest(&lost).filter(|f| f.rate() <= rate);
    match (highest, lowest(&above), collapsed) {
        (Some(below), Some(above), _) => Ok(Around { below, above }),
        (_, None, Some(collapsed)) => Err(Outside::NotSustained(collapsed)),
        (None, Some(above), _) => Err(Outside::NotMeasured(format!(
            "the lowest rate that was measured is {:.0}/s",
            above.rate()
        ))),
        (Some(below), None, None) => Err(Outside::NotMeasured(format!(
            "the highest rate that was measured and sustained is {:.0}/s",
            below.rate()
        ))),
        (None, None, None) => Err(Outside::NotMeasured("no rate of it was sustained".into())),
    }
}
