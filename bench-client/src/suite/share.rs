//! Gives a cell that runs at a share of its own capacity its rate, from what the run has measured before it.

use crate::cell::Cell;
use crate::results::{Run, State};
use anyhow::{Context, ensure};

/// The cell as it is to run. The first trial of its closed loop that is not INVALID decides, for every block: so the rate is
/// the same in all of them, and in a run that is gone on with.
pub(super) fn settled(cell: &Cell, run: &Run) -> anyhow::Result<Cell> {
    let Some(id) = cell.capacity_id() else {
        return Ok(cell.clone());
    };
    let mut trials = run.trials.iter();
    let found = trials.find(|t| t.cell.id == id && t.validity.state != State::Invalid);
    let capacity = found
        .with_context(|| {
            format!("expected a capacity to run at a share of, got no trial of `{id}` that is not INVALID before this one; its trials say why")
        })?
        .throughput_per_s;
    ensure!(
        capacity >= 10.0,
        "expected a capacity to run at a share of, got {capacity} operations per second from `{id}`"
    );
    Ok(cell.at_share_of(capacity))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Share;
    use crate::load::{Arrival, Mode};
    use crate::results::{Trial, Validity};
    use bench_transport::Transport;

    fn share(percent: u32) -> Cell {
        let share = Share {
            percent,
            callers: 32,
            seed: 1,
        };
        Cell {
            share: Some(share),
            mode: share.closed_loop(),
            ..Cell::new(Transport::Grpc)
        }
    }

    fn carried(per_s: f64, block: u32, state: State) -> Trial {
        Trial {
            cell: Cell::new(Transport::Grpc).describe(),
            block,
            throughput_per_s: per_s,
            validity: Validity {
                state,
                ..Validity::default()
            },
            ..Trial::default()
        }
    }

    fn run(trials: &[Trial]) -> Run {
        Run {
            trials: trials.to_vec(),
            ..Run::default()
        }
    }

    fn at(rate: f64) -> Mode {
        Mode::Open(Arrival::poisson(rate, 1))
    }

    #[test]
    fn the_first_capacity_that_counts_decides_whatever_is_measured_later() {
        let mut trials = vec![
            carried(90_000.0, 0, State::Invalid),
            carried(20_000.0, 1, State::Valid),
        ];
        let first = settled(&share(70), &run(&trials)).unwrap();
        assert_eq!(first.mode, at(14_000.0));
        trials.push(carried(40_000.0, 2, State::Valid));
        trials.push(carried(50_000.0, 0, State::Valid));
        assert_eq!(settled(&share(70), &run(&trials)).unwrap(), first);
        assert_eq!(
            settled(&share(90), &run(&trials)).unwrap().mode,
            at(18_000.0)
        );
    }

    #[test]
    fn without_a_capacity_there_is_no_rate() {
        let bad = [carried(90_000.0, 0, State::Invalid)];
        let why = settled(&share(50), &run(&bad)).unwrap_err().to_string();
        assert!(why.contains("`grpc-O3-c32-none`"), "{why}");
        assert!(settled(&share(50), &run(&[carried(0.0, 0, State::Valid)])).is_err());
    }

    #[test]
    fn a_cell_without_a_share_stays_as_it_is() {
        let plain = Cell::new(Transport::Grpc);
        assert_eq!(settled(&plain, &Run::default()).unwrap(), plain);
    }
}
