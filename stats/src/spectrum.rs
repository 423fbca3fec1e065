//! A latency distribution on a coarse log scale: small enough to be copied and subtracted while a load runs, and what a
//! histogram is drawn from. Figures that are kept come from the fine one.

use hdrhistogram::Histogram;

/// Cells per doubling: each is an eighth wider than its floor at most.
const PER_OCTAVE: usize = 8;

/// 2^43 ns are two hours and a half.
const CELLS: usize = 43 * PER_OCTAVE;

/// Counts by latency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spectrum {
    counts: Vec<u64>,
}

/// Neighbouring cells drawn as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// The smallest latency in it, ns.
    pub from_ns: u64,
    /// Samples in it.
    pub count: u64,
}

impl Default for Spectrum {
    fn default() -> Self {
        Self {
            counts: vec![0; CELLS],
        }
    }
}

fn cell_of(ns: u64) -> usize {
    let ns = ns.max(1);
    let octave = ns.ilog2() as usize;
    // The three bits behind the first.
    let within = ((ns << 3) >> octave) as usize & (PER_OCTAVE - 1);
    (octave * PER_OCTAVE + within).min(CELLS - 1)
}

/// The smallest latency of a cell, ns.
fn floor_of(cell: usize) -> u64 {
    let (octave, within) = (cell / PER_OCTAVE, (cell % PER_OCTAVE) as u64);
    ((PER_OCTAVE as u64 + within) << octave) >> 3
}

impl Spectrum {
    /// Of a whole histogram.
    pub fn of(samples: &Histogram<u64>) -> Self {
        let mut spectrum = Self::default();
        for value in samples.iter_recorded() {
            spectrum.counts[cell_of(value.value_iterated_to())] += value.count_at_value();
        }
        spectrum
    }

    /// Adds another one's counts.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
    }

    /// What came since an earlier one of the same load.
    pub fn since(&self, earlier: &Self) -> Self {
        let pairs = self.counts.iter().zip(&earlier.counts);
        Self {
            counts: pairs.map(|(now, then)| now.saturating_sub(*then)).collect(),
        }
    }

    /// Samples in it.
    pub fn len(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `q`-quantile, ns, to within the width of a cell. None when there are no samples.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        let total = self.len();
        let rank = ((q * total as f64).ceil() as u64).max(1);
        let mut seen = 0;
        let cell = self.counts.iter().position(|count| {
            seen += count;
            total > 0 && seen >= rank
        })?;
        // The middle of the cell: what is above and below it is off by as much.
        Some((floor_of(cell) + floor_of(cell + 1)) / 2)
    }

    /// At most `most` bars of equal width on a log scale, from the first that holds a sample to the last.
    pub fn bars(&self, most: usize) -> Vec<Bar> {
        let holds = |count: &u64| *count > 0;
        let (Some(first), Some(last)) = (
            self.counts.iter().position(holds),
            self.counts.iter().rposition(holds),
        ) else {
            return Vec::new();
        };
        let mut width = 1;
        // Bars begin at multiples of their width, so that they stay where they are as samples join.
        while last / width - first / width + 1 > most.max(1) {
            width *= 2;
        }
        (first / width..=last / width)
            .map(|bar| {
                let cells = bar * width..((bar + 1) * width).min(CELLS);
                Bar {
                    from_ns: floor_of(bar * width).max(1),
                    count: self.counts[cells].iter().sum(),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram;
    use proptest::prelude::*;

    #[test]
    fn bars_hold_every_sample_are_as_many_as_there_is_room_for_and_stay_where_they_are() {
        let mut samples = histogram::new();
        samples.record_n(1_000, 10).unwrap();
        samples.record_n(1_000_000, 5).unwrap();
        let spectrum = Spectrum::of(&samples);
        for most in [1, 2, 7, 20, 1_000] {
            let bars = spectrum.bars(most);
            assert!(bars.len() <= most, "{most}");
            assert_eq!(bars.iter().map(|bar| bar.count).sum::<u64>(), 15);
            assert!(bars.is_sorted_by(|a, b| a.from_ns < b.from_ns));
        }
        let before = spectrum.bars(12);
        samples.record_n(900_000, 7).unwrap();
        let after = Spectrum::of(&samples).bars(12);
        let floors = |bars: &[Bar]| bars.iter().map(|bar| bar.from_ns).collect::<Vec<u64>>();
        assert_eq!(floors(&before), floors(&after));
        assert!(Spectrum::default().bars(5).is_empty());
    }

    #[test]
    fn what_came_since_is_what_was_added() {
        let mut samples = histogram::new();
        samples.record_n(1_000, 10).unwrap();
        let before = Spectrum::of(&samples);
        samples.record_n(50_000, 3).unwrap();
        let mut since = Spectrum::of(&samples).since(&before);
        assert_eq!(since.len(), 3);
        since.add(&before);
        assert_eq!(since, Spectrum::of(&samples));
        assert!(before.since(&before).is_empty());
        assert_eq!(Spectrum::default().quantile(0.5), None);
    }

    proptest! {
        #[test]
        fn a_value_lies_in_its_cell_and_cells_are_narrow(ns in 8u64..3_600_000_000_000) {
            let cell = cell_of(ns);
            let (floor, next) = (floor_of(cell), floor_of(cell + 1));
            prop_assert!(floor <= ns && ns < next, "{floor} <= {ns} < {next}");
            prop_assert!((next - floor) * 8 <= floor, "{floor}..{next} is wider than an eighth");
        }

        #[test]
        fn a_quantile_is_that_of_the_samples_to_a_tenth(v in prop::collection::vec(100u64..1_000_000_000, 1..200), q in 0.01f64..1.0) {
            let mut samples = histogram::new();
            for ns in &v {
                samples.record(*ns).unwrap();
            }
            let exact = histogram::quantile(&samples, 0, 0, q).unwrap().value() as f64;
            let coarse = Spectrum::of(&samples).quantile(q).unwrap() as f64;
            prop_assert!((coarse / exact - 1.0).abs() < 0.1, "{coarse} for {exact}");
        }
    }
}
