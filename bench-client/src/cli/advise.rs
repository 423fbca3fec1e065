//! `bench-client advise`: which transports fit, by what was measured.

use super::own::OwnArgs;
use super::{Exit, print, usage};
use crate::advise::{self, Needs, Ordering, Source, Weight};
use crate::own::Own;
use crate::results::Store;
use crate::{report, units};
use anyhow::Context;
use bench_proto::{Corpus, Durability, Format, PayloadClass};
use bench_usage::whole;
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where `run` leaves its folders.
const RESULTS: &str = "results";

/// Flags of `advise`.
#[derive(Debug, Args)]
#[command(after_help = "\
It recommends nothing that was not measured: outside of the measured rates, payloads and durability classes a transport is
unknown. Ranked by CPU per order of all processes. Exit status: 0, whatever fits.

Examples:
  bench-client advise --rate 2000 --payload O3 --needs-reply no
  bench-client advise --rate 5000 --payload O10 --needs-reply no --durability process --consumers 3 --outage 10m
  bench-client advise --rate 1000 --needs-reply yes --durability none --max-p99 20ms --from results/mine")]
pub(super) struct AdviseArgs {
    /// Orders per second
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: f64,
    /// Payload class, as in `load`
    #[arg(long, default_value = "O3", conflicts_with = "payload_file")]
    payload: PayloadClass,
    #[command(flatten)]
    own: OwnArgs,
    /// Whether the caller cannot go on without the service's answer
    #[arg(long, value_enum)]
    needs_reply: YesNo,
    /// What an accepted order must survive: none, memory, process (kill -9), power (power cut)
    #[arg(long, value_name = "CLASS", default_value = "process")]
    durability: Durability,
    /// Services that each get every order
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(1..=1_000_u32))]
    consumers: u32,
    /// For how long the service may be away without an order lost, such as 10m
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = units::parse_duration)]
    outage: Duration,
    /// The longest accept latency at 99 %, such as 20ms
    #[arg(long, value_name = "TIME", value_parser = units::parse_duration)]
    max_p99: Option<Duration>,
    /// Which order has to be kept
    #[arg(long, value_enum, default_value_t = Ordering::None)]
    ordering: Ordering,
    /// Folders that `run` wrote [default: the newest under results/]
    #[arg(long, value_name = "DIR", num_args = 1..)]
    from: Vec<PathBuf>,
    /// Print the advice as JSON
    #[arg(long)]
    json: bool,
}

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum YesNo {
    /// Yes.
    Yes,
    /// No.
    No,
}

impl AdviseArgs {
    pub(super) fn execute(self) -> anyhow::Result<Exit> {
        if self.max_p99.is_some_and(|most| most.is_zero()) {
            return Err(usage(
                "expected --max-p99 as a duration such as 20ms, got 0, which is met by nothing",
            ));
        }
        let needs = Needs {
            rate_per_s: self.rate,
            payload: match self.own.read()? {
                Some(own) => own_weight(&own),
                None => class_weight(self.payload),
            },
            needs_reply: self.needs_reply == YesNo::Yes,
            durability: self.durability,
            ordering: self.ordering,
            consumers: self.consumers,
            outage: self.outage,
            max_p99: self.max_p99,
        };
        let stores: Vec<Store> = if self.from.is_empty() {
            vec![newest(Path::new(RESULTS))?]
        } else {
            let open = |dir| Store::open(dir).map_err(anyhow::Error::from);
            self.from.iter().map(open).collect::<anyhow::Result<_>>()?
        };
        let sources: Vec<Source<'_>> = stores
            .iter()
            .map(|store| Source {
                name: store.dir().display().to_string(),
                run: store.run(),
            })
            .collect();
        let advice = advise::advise(&sources, &needs);
        if self.json {
            print(&(serde_json::to_string_pretty(&advice)? + "\n"))?;
        } else {
            print(&report::advice(&advice))?;
        }
        Ok(Exit::Done)
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let expected = "expected orders per second above 0 and at most 10,000,000, such as 5000";
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 1e7 => Ok(rate),
        Ok(_) => Err(format!(
            "{text} is outside of what can be asked; {expected}"
        )),
        Err(_) => Err(format!("'{text}' is no rate; {expected}")),
    }
}

/// What a class weighs, by its first messages.
fn class_weight(class: PayloadClass) -> Weight {
    const COUNTED: usize = 64;
    let corpus = Corpus::first(class, 1, COUNTED);
    let mean = |format| {
        let messages = corpus.messages();
        let sum: usize = messages.iter().map(|m| m.encode(format).len()).sum();
        sum as f64 / messages.len() as f64
    };
    Weight {
        name: class.to_string(),
        json: mean(Format::Json),
        protobuf: mean(Format::Protobuf),
    }
}

fn own_weight(own: &Own) -> Weight {
    let [json, protobuf] = own.means();
    Weight {
        name: own.name().into(),
        json,
        protobuf,
    }
}

/// The run that was begun last.
fn newest(results: &Path) -> anyhow::Result<Store> {
    let none = || {
        format!(
            "no run is under {}; run one (`make bench`), or name one with --from",
            results.display()
        )
    };
    let mut stores: Vec<Store> = std::fs::read_dir(results)
        .with_context(none)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("run.json").is_file())
        // One that this build cannot read is no newest one; named with --from, it is refused with its reason.
        .filter_map(|path| Store::open(path).ok())
        .collect();
    // RFC 3339 in UTC: text sorts as time does.
    stores.sort_by(|a, b| a.run().manifest.time.cmp(&b.run().manifest.time));
    stores.pop().with_context(none)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Manifest, Run};

    #[test]
    fn a_class_weighs_what_its_corpus_does() {
        let weight = class_weight(PayloadClass::Order(10));
        assert!((500.0..530.0).contains(&weight.protobuf), "{weight:?}");
        assert!((1_470.0..1_530.0).contains(&weight.json), "{weight:?}");
    }

    #[test]
    fn the_newest_run_is_the_one_that_was_begun_last_and_what_is_no_run_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        for (name, time) in [("a", "2026-02-01T00:00:00Z"), ("b", "2026-01-01T00:00:00Z")] {
            let run = Run {
                manifest: Manifest {
                    time: time.into(),
                    ..Manifest::default()
                },
                ..Run::default()
            };
            Store::create(folder.path().join(name), run).unwrap();
        }
        std::fs::create_dir(folder.path().join("c")).unwrap();
        std::fs::create_dir(folder.path().join("d")).unwrap();
        std::fs::write(folder.path().join("d/run.json"), "{}").unwrap();
        assert!(newest(folder.path()).unwrap().dir().ends_with("a"));
        let empty = tempfile::tempdir().unwrap();
        for path in [empty.path(), Path::new("no/such/folder")] {
            let error = format!("{:#}", newest(path).unwrap_err());
            assert!(error.contains("--from"), "{error}");
        }
    }

    #[test]
    fn a_rate_that_cannot_be_meant_is_refused() {
        assert_eq!(rate("5000"), Ok(5_000.0));
        for text in ["0", "-5", "fast", "1e9", "NaN", ""] {
            assert!(rate(text).unwrap_err().contains("such as 5000"), "{text}");
        }
    }
}
