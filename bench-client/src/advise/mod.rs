//! Which transports fit what is asked for, from results alone: first what a transport can and cannot do, then what was
//! measured nearest to the question. It is pure, and it never goes beyond its evidence: outside the measured rates,
//! payloads and durability classes a transport is *unknown*, and is not ranked.

mod evidence;
mod judge;
#[cfg(test)]
mod tests;

use crate::results::Run;
use bench_proto::Durability;
use bench_transport::{ReplyVia, Transport};
use serde::{Serialize, Serializer};
use std::time::Duration;

/// What is asked of a transport.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Needs {
    /// Orders per second.
    pub rate_per_s: f64,
    /// What an order weighs.
    pub payload: Weight,
    /// Whether the caller cannot go on without an answer of the service.
    pub needs_reply: bool,
    /// What an accepted order must survive.
    pub durability: Durability,
    /// Whether the orders of one key must be worked on in their order.
    pub ordering: Ordering,
    /// Services that each get every order.
    pub consumers: u32,
    /// For how long the service may be away without an order lost.
    #[serde(rename = "outage_s", serialize_with = "seconds")]
    pub outage: Duration,
    /// The longest accept latency (until the caller may go on) at 99 %.
    #[serde(rename = "max_p99_s", serialize_with = "maybe_seconds")]
    pub max_p99: Option<Duration>,
}

fn seconds<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(time.as_secs_f64())
}

fn maybe_seconds<S: Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs_f64()).serialize(to)
}

/// A payload by its name and the mean bodies of its formats, bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Weight {
    /// As results name it, such as `O10`.
    pub name: String,
    /// As JSON.
    pub json: f64,
    /// As protobuf.
    pub protobuf: f64,
}

/// Which order has to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Ordering {
    /// None.
    None,
    /// That of each key.
    Key,
}

/// A run and the name that reasons point to it by.
#[derive(Clone, Debug)]
pub struct Source<'r> {
    /// Such as its folder.
    pub name: String,
    /// The run.
    pub run: &'r Run,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Advice {
    /// What was asked for.
    pub needs: Needs,
    /// The runs it rests on.
    pub from: Vec<String>,
    /// Every way of carrying an order: those that fit by rank, then the unknown ones, then those that do not fit.
    pub ways: Vec<Way>,
    /// What to mind when reading it.
    pub cautions: Vec<String>,
}

/// One way of carrying an order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Way {
    /// `grpc`, `queue`, `queue, reply direct`, …
    pub name: String,
    /// Whether it fits.
    pub fit: Fit,
    /// 1 is the best of those that fit; none where it does not, or is not known to.
    pub rank: Option<u32>,
    /// Its cost and that of the one before it cannot be told apart.
    pub tied: bool,
    /// What it is ranked by: CPU of all processes per order, µs.
    pub cost_us: Option<Cost>,
    /// Why, need by need.
    pub reasons: Vec<Reason>,
}

/// Whether a way fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// Every need is met, as far as it was measured or is so by construction.
    Fits,
    /// Something that decides was not measured.
    Unknown,
    /// A need is not met.
    DoesNotFit,
}

/// CPU per order with its interval, µs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// The point.
    pub value: f64,
    /// Lower end of the 95 % interval.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
}

/// One need, whether it is met, and what says so.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reason {
    /// Which need: `reply`, `durability`, `payload`, `rate`, `ordering`, `p99`, `cost`, `consumers` or `outage`.
    pub need: &'static str,
    /// Whether it is met.
    pub met: Met,
    /// In words.
    pub text: String,
    /// On what it rests.
    pub basis: Basis,
}

/// Whether a need is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Met {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// Nothing measured says.
    Unknown,
}

/// On what a reason rests.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// On a figure of a cell.
    Measured(Figure),
    /// On arithmetic over figures of cells, or over what was asked for alone.
    Projected(Vec<Figure>),
    /// On how the transport works.
    Construction,
    /// On nothing: not measured.
    NotMeasured,
}

/// A figure of a measured cell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// The run.
    pub run: String,
    /// The cell's id in it.
    pub cell: String,
    /// What was measured.
    pub metric: &'static str,
    /// The value: a geometric mean over blocks.
    pub value: f64,
    /// Lower end of the 95 % interval; none with a single block.
    pub low: Option<f64>,
    /// Upper end; none with a single block, or where the value is a lower bound.
    pub high: Option<f64>,
    /// Unit of the three.
    pub unit: &'static str,
    /// Blocks it rests on.
    pub blocks: u32,
}

/// A way of carrying orders, as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Candidate {
    transport: Transport,
    reply: Option<ReplyVia>,
}

/// Every way that orders can go. The bare tcp floor is no transport that anybody would choose.
const WAYS: [Candidate; 7] = [
    Candidate::plain(Transport::Rest),
    Candidate::plain(Transport::Grpc),
    Candidate::plain(Transport::Queue),
    Candidate::plain(Transport::Stream),
    Candidate::answered(Transport::Queue, ReplyVia::Direct),
    Candidate::answered(Transport::Queue, ReplyVia::Queue),
    Candidate::answered(Transport::Stream, ReplyVia::Topic),
];

impl Candidate {
    const fn plain(transport: Transport) -> Self {
        Self {
            transport,
            reply: None,
        }
    }

    const fn answered(transport: Transport, via: ReplyVia) -> Self {
        Self {
            transport,
            reply: Some(via),
        }
    }

    fn name(self) -> String {
        match self.reply {
            Some(via) => format!("{}, reply {via}", self.transport),
            None => self.transport.to_string(),
        }
    }

    /// Whether the caller talks to the service itself.
    fn is_direct(self) -> bool {
        !self.transport.needs_broker()
    }
}

/// Ranks every way of carrying such orders by what these runs hold.
pub fn advise(sources: &[Source<'_>], needs: &Needs) -> Advice {
    // Nobody pays for a reply that nobody needs.
    let wanted = |way: &Candidate| needs.needs_reply || way.reply.is_none();
    let mut ways: Vec<Way> = WAYS
        .into_iter()
        .filter(wanted)
        .map(|candidate| judge::way(sources, needs, candidate))
        .collect();
    rank(&mut ways);
    Advice {
        needs: needs.clone(),
        from: sources.iter().map(|source| source.name.clone()).collect(),
        ways,
        cautions: judge::cautions(sources),
    }
}

/// Those that fit come first, the cheapest of them before the others.
fn rank(ways: &mut [Way]) {
    // Stable: where nothing decides, the order of the list stays.
    ways.sort_by(|a, b| {
        let cost = |way: &Way| way.cost_us.map_or(f64::INFINITY, |cost| cost.value);
        a.fit.cmp(&b.fit).then(cost(a).total_cmp(&cost(b)))
    });
    let mut before: Option<Cost> = None;
    let fitting = ways.iter_mut().filter(|way| way.fit == Fit::Fits);
    for (place, way) in fitting.enumerate() {
        way.rank = Some(place as u32 + 1);
        way.tied = before.zip(way.cost_us).is_some_and(|(a, b)| overlap(a, b));
        before = way.cost_us;
    }
}

/// Whether two costs cannot be told apart: their intervals meet, or one has none.
fn overlap(a: Cost, b: Cost) -> bool {
    match (a.low, a.high, b.low, b.high) {
        (Some(a_low), Some(a_high), Some(b_low), Some(b_high)) => {
            a_low <= b_high && b_low <= a_high
        }
        _ => true,
    }
}
