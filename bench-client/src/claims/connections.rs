//! conn-cost, from the experiment `connections`, and as-written, from the experiment of that name: ways of connecting
//! over one transport against each other, everything else equal.

use super::combine::Judged;
use super::part::{self, Question, not_measured};
use super::rules::Rule;
use super::samples::{CellTrials, Metric, cells, is_base};
use super::{Combine, Judge, nothing_beside};
use crate::results::{Arrival, Cell, Run};

/// What is judged here.
pub const JUDGES: &[Judge] = &[
    Judge {
        claim: "conn-cost",
        parts: |run, rules| cost_parts(run, rules[0]),
        combine: Combine::AllOf,
        beside: nothing_beside,
    },
    Judge {
        claim: "as-written",
        parts: |run, rules| written_parts(run, rules[0]),
        combine: Combine::Cells("the transport"),
        beside: nothing_beside,
    },
];

/// What lies between caller and service.
#[derive(Clone, Copy)]
struct Way {
    relay: bool,
    tls: bool,
}

impl Way {
    const ALL: [Self; 4] = [
        Self {
            relay: false,
            tls: false,
        },
        Self {
            relay: true,
            tls: false,
        },
        Self {
            relay: false,
            tls: true,
        },
        Self {
            relay: true,
            tls: true,
        },
    ];

    fn name(self) -> String {
        let place = if self.relay {
            "0.5 ms away"
        } else {
            "loopback"
        };
        let tls = if self.tls { ", TLS" } else { "" };
        format!("{place}{tls}")
    }

    fn fits(self, cell: &Cell) -> bool {
        cell.factors.contains_key("relay_us") == self.relay
            && cell.factors.contains_key("tls") == self.tls
    }
}

/// conn-cost: accept p50 at an equal rate. A request on a new connection costs more than one on a kept pool; and
/// multiplexing takes off what the kept pool still pays.
pub fn cost_parts(run: &Run, rule: Rule) -> Vec<Judged> {
    let all = cells(run, "connections");
    let mut parts = Vec::new();
    for way in Way::ALL {
        let rest = |http: &str, connecting: Option<&str>, many: bool| {
            all.iter().find(|c| {
                let cell = c.cell;
                is_base(cell)
                    && cell.transport == "rest"
                    && cell.arrival != Arrival::Closed
                    && cell.http.as_deref() == Some(http)
                    && cell.factors.get("connecting").map(String::as_str) == connecting
                    && (cell.connections > Some(1)) == many
                    && way.fits(cell)
            })
        };
        let pool = rest("h1", None, true);
        let name = way.name();
        parts.push(compare(
            run,
            rule,
            Metric::AcceptP50,
            format!("new connection per request, {name}"),
            rest("h1", Some("per-call"), true).zip(pool),
            &|ratio| {
                format!(
                    "{name}: a new connection per request makes REST's accept p50 {ratio} that of its kept pool"
                )
            },
        ));
        parts.push(compare(
            run,
            rule,
            Metric::AcceptP50,
            format!("kept pool against one HTTP/2 connection, {name}"),
            pool.zip(rest("h2", None, false)),
            &|ratio| {
                format!(
                    "{name}: the kept pool's accept p50 is {ratio} that of one HTTP/2 connection"
                )
            },
        ));
    }
    parts
}

/// as-written: completed orders per second with 32 callers, matched ÷ as written, transport by transport.
pub fn written_parts(run: &Run, rule: Rule) -> Vec<Judged> {
    let all = cells(run, "as-written");
    let parts = ["rest", "queue", "stream"].map(|transport| {
        let find = |connecting: Option<&str>| {
            all.iter().find(|c| {
                is_base(c.cell)
                    && c.cell.transport == transport
                    && c.cell.factors.get("connecting").map(String::as_str) == connecting
            })
        };
        compare(
            run,
            rule,
            Metric::Throughput,
            transport.into(),
            find(None).zip(find(Some("as-written"))),
            &|ratio| {
                format!(
                    "{transport}: matched, it carries {ratio} the orders of the sources' sample"
                )
            },
        )
    });
    parts.into()
}

fn compare(
    run: &Run,
    rule: Rule,
    metric: Metric,
    name: String,
    pair: Option<(&CellTrials<'_>, &CellTrials<'_>)>,
    says: &dyn Fn(&str) -> String,
) -> Judged {
    let Some((above, below)) = pair else {
        let reason = format!("{name}: this run has no such pair of cells");
        return not_measured(name, reason);
    };
    let value = |t: &_| metric.of(t);
    let question = Question {
        name,
        rule,
        metric,
        above: &value,
        below: &value,
        says,
    };
    part::judge(run, &question, above, below)
}

#[cfg(test)]
mod tests {
    use super::super::{Claim, fixture, verdict};
    use super::*;
    use crate::results::Verdict::{self, Depends, Holds, Inconclusive, NotMeasured, Refuted};

    const US: f64 = 1_000.0;

    fn claim(id: &str) -> &'static Claim {
        Claim::find(id).unwrap()
    }

    /// Six blocks of the three REST cells of a way, by their accept p50 in µs.
    fn way(run: &mut Run, way: Way, per_call: f64, pool: f64, one_h2: f64) {
        let cells = [
            (per_call, "h1", 32, Some("per-call")),
            (pool, "h1", 32, None),
            (one_h2, "h2", 1, None),
        ];
        for block in 0..fixture::BLOCKS {
            for (arm, (p50, http, connections, connecting)) in cells.into_iter().enumerate() {
                let mut cell = fixture::cell("rest", "O3");
                cell.http = Some(http.into());
                cell.connections = Some(connections);
                let mut set = |name: &str, value: &str| {
                    cell.factors.insert(name.into(), value.into());
                };
                if let Some(connecting) = connecting {
                    set("connecting", connecting);
                }
                if way.relay {
                    set("relay_us", "500");
                }
                if way.tls {
                    set("tls", "1.3");
                }
                let both = (p50 * US, 3.0 * p50 * US);
                let mut trial = fixture::open(cell, arm as u32, block, both, both, [1.0; 3]);
                trial.experiment = "connections".into();
                trial.cell.id = format!("{http}-{connecting:?}-{}", way.name());
                run.trials.push(trial);
            }
        }
    }

    fn parts(run: &Run) -> Vec<Verdict> {
        let parts = cost_parts(run, Rule::Effect(1.1));
        parts.iter().map(|judged| judged.part.verdict).collect()
    }

    #[test]
    fn keeping_connections_may_help_where_multiplexing_does_not_and_then_the_claim_is_refuted() {
        let mut run = Run::default();
        for each in Way::ALL {
            way(&mut run, each, 300.0, 100.0, 130.0);
        }
        assert_eq!(
            parts(&run),
            [
                Holds, Refuted, Holds, Refuted, Holds, Refuted, Holds, Refuted
            ]
        );
        let row = verdict(claim("conn-cost"), &run);
        assert_eq!(row.verdict, Refuted, "{}", row.reason);
        assert!(row.reason.contains("0.5 ms away, TLS"), "{}", row.reason);
    }

    #[test]
    fn it_holds_only_where_every_way_holds_and_was_measured() {
        let mut run = Run::default();
        for each in &Way::ALL[..2] {
            way(&mut run, *each, 300.0, 100.0, 50.0);
        }
        let missing = [NotMeasured; 4];
        assert_eq!(parts(&run), [[Holds; 4], missing].concat());
        assert_eq!(verdict(claim("conn-cost"), &run).verdict, Inconclusive);
        for each in &Way::ALL[2..] {
            way(&mut run, *each, 300.0, 100.0, 50.0);
        }
        assert_eq!(verdict(claim("conn-cost"), &run).verdict, Holds);
    }

    fn written(run: &mut Run, transport: &str, matched: f64, as_written: f64) {
        for block in 0..fixture::BLOCKS {
            for (arm, (per_s, connecting)) in [(matched, None), (as_written, Some("as-written"))]
                .into_iter()
                .enumerate()
            {
                let mut cell = fixture::cell(transport, "O3");
                if let Some(connecting) = connecting {
                    cell.factors.insert("connecting".into(), connecting.into());
                }
                let mut trial = fixture::closed(cell, arm as u32, block, per_s, [1.0; 3]);
                trial.experiment = "as-written".into();
                trial.cell.id = format!("{transport}-{connecting:?}");
                run.trials.push(trial);
            }
        }
    }

    #[test]
    fn as_written_depends_on_the_transport_where_one_sample_costs_and_another_does_not() {
        let mut run = Run::default();
        written(&mut run, "rest", 40_000.0, 10_000.0);
        written(&mut run, "queue", 10_000.0, 100.0);
        written(&mut run, "stream", 50_000.0, 45_000.0);
        let row = verdict(claim("as-written"), &run);
        assert_eq!(row.verdict, Depends, "{}", row.reason);
        assert!(row.reason.contains("the transport"), "{}", row.reason);
        run.trials.retain(|trial| trial.cell.transport != "stream");
        // What is missing keeps the whole from holding.
        assert_eq!(verdict(claim("as-written"), &run).verdict, Inconclusive);
        written(&mut run, "stream", 50_000.0, 5_000.0);
        assert_eq!(verdict(claim("as-written"), &run).verdict, Holds);
    }

    #[test]
    fn a_run_without_the_experiments_says_that_they_were_not_measured() {
        for id in ["conn-cost", "as-written"] {
            assert_eq!(verdict(claim(id), &Run::default()).verdict, NotMeasured);
        }
    }
}
