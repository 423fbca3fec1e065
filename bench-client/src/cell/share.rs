//! A cell at a share of its own capacity: its rate is known once the same cell ran in a closed loop.

use super::Cell;
use crate::load::{Arrival, Mode};
use std::time::Duration;

/// An open loop of Poisson arrivals at so much of what a closed loop of the same cell carried earlier in the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Percent of that capacity.
    pub percent: u32,
    /// Operations in flight in that closed loop.
    pub callers: usize,
    /// Equal seeds give equal arrivals.
    pub seed: u64,
}

impl Share {
    /// The closed loop that it is a share of.
    pub fn closed_loop(self) -> Mode {
        Mode::Closed {
            callers: self.callers,
            think: Duration::ZERO,
        }
    }
}

impl Cell {
    /// The id of the cell whose capacity decides this one's rate; none where its mode says all.
    pub fn capacity_id(&self) -> Option<String> {
        let closed = Self {
            share: None,
            mode: self.share?.closed_loop(),
            ..self.clone()
        };
        Some(closed.id())
    }

    /// The cell at its share of so many operations per second, in whole ones, and with the id that it had. The same cell
    /// where it has no share.
    pub fn at_share_of(&self, per_s: f64) -> Self {
        let Some(share) = self.share else {
            return self.clone();
        };
        let rate = (per_s * f64::from(share.percent) / 100.0).floor();
        Self {
            mode: Mode::Open(Arrival::poisson(rate, share.seed)),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results;
    use bench_transport::Transport;

    fn half() -> Cell {
        let share = Share {
            percent: 50,
            callers: 32,
            seed: 1,
        };
        Cell {
            share: Some(share),
            mode: share.closed_loop(),
            ..Cell::new(Transport::Rest)
        }
    }

    #[test]
    fn its_capacity_is_that_of_the_same_cell_in_a_closed_loop() {
        assert_eq!(half().capacity_id(), Some(Cell::new(Transport::Rest).id()));
        assert_eq!(Cell::new(Transport::Rest).capacity_id(), None);
    }

    #[test]
    fn once_the_capacity_is_known_it_has_a_rate_and_keeps_its_id() {
        let planned = half();
        let settled = planned.at_share_of(20_001.0);
        assert_eq!(settled.mode, Mode::Open(Arrival::poisson(10_000.0, 1)));
        assert_eq!(settled.id(), planned.id());
        let (before, after) = (planned.describe(), settled.describe());
        assert_eq!(
            (before.rate_per_s, after.rate_per_s),
            (None, Some(10_000.0))
        );
        for cell in [&before, &after] {
            assert_eq!(cell.arrival, results::Arrival::Poisson);
            assert_eq!(cell.in_flight, None);
            let share = &cell.factors["share_of_capacity"];
            assert_eq!(share, "50 % of what rest-O3-c32-none carried");
        }
    }
}
