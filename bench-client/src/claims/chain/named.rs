//! Which chains there are, and the name of each one's topology.

use super::BROKERS;
use crate::results::Cell;
use bench_proto::slowness::Slowness;

/// What every service of a chain does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Fails one order in a hundred, and takes no time.
    Fail,
    /// Takes about 10 ms, with a smooth tail. Beside Kafka's JVM on its core a service wakes some 0.3 ms late, which one of
    /// 5 ms could not be off its plan. The ratio of tails is the same by formula; a published hop may add a quarter to the
    /// tail and is still called free, which of hops of 10 ms is twice as many ms.
    Smooth,
    /// Takes 1 ms, and rarely 100 ms. Rarely is one order in 200: a share of exactly 1 % would put the p99 of a single
    /// hop on the fence between the two, and chance would decide the claim.
    Spike,
    /// Takes the same 50 ms always.
    Floor,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Fail, Self::Smooth, Self::Spike, Self::Floor];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Smooth => "smooth",
            Self::Spike => "spike",
            Self::Floor => "floor",
        }
    }

    /// The same as slowness of each service.
    pub fn slowness(self) -> Slowness {
        let text = match self {
            Self::Fail => "none fail=1%",
            Self::Smooth => "lognormal(10ms,0.5)",
            Self::Spike => "1ms:199,100ms:1",
            Self::Floor => "50ms",
        };
        text.parse().expect("a constant in the slowness language")
    }
}

/// One chain of the experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Services that the caller waits for, one after the other.
    pub hops: usize,
    /// What each does.
    pub kind: Kind,
    /// One more service behind the last, published to over this transport.
    pub published: Option<&'static str>,
}

impl Chain {
    /// A chain without a published hop.
    pub fn of(hops: usize, kind: Kind) -> Self {
        Self {
            hops,
            kind,
            published: None,
        }
    }

    /// What its topology is called.
    pub fn name(self) -> String {
        let base = format!("chain-{}-{}", self.hops, self.kind.name());
        match self.published {
            Some(broker) => format!("{base}-and-{broker}"),
            None => base,
        }
    }

    /// The chain that a cell ran; none if it ran another topology, or none.
    pub fn in_cell(cell: &Cell) -> Option<Self> {
        let name = cell.factors.get("topology")?;
        let (base, broker) = match name.split_once("-and-") {
            Some((base, broker)) => (base, Some(broker)),
            None => (name.as_str(), None),
        };
        let (hops, kind) = base.strip_prefix("chain-")?.split_once('-')?;
        Some(Self {
            hops: hops.parse().ok()?,
            kind: Kind::ALL.into_iter().find(|known| known.name() == kind)?,
            published: match broker {
                Some(broker) => Some(BROKERS.into_iter().find(|known| *known == broker)?),
                None => None,
            },
        })
    }
}
