//! A share of orders over blocks. Where one state decides hundreds of orders (a breaker that is open, a service that is full),
//! they are no independent draws, and it is the blocks that tell how far the share may be off.

use super::{Estimate, binomial};

/// Hits and orders of each block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    blocks: Vec<(u64, u64)>,
}

impl Shares {
    /// From the hits and the orders of each block; one without an order says nothing.
    pub fn of(blocks: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let blocks = blocks.into_iter().filter(|(_, of)| *of > 0);
        Self {
            blocks: blocks.collect(),
        }
    }

    /// Blocks with an order.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Hits and orders of all blocks together.
    pub fn total(&self) -> (u64, u64) {
        let hits = self.blocks.iter().map(|block| block.0).sum();
        let of = self.blocks.iter().map(|block| block.1).sum();
        (hits, of)
    }

    /// Student's t over the blocks' logits, never narrower than the exact interval of all orders. That one stands alone where
    /// every order went the same way, and with one block, which tells of no other. None without an order.
    pub fn interval(&self, level: f64) -> Option<(f64, f64)> {
        let (hits, of) = self.total();
        let (low, high) = binomial::interval(hits, of, level)?;
        let over_blocks = self.logits().and_then(|logits| logits.interval(level));
        let (least, most) =
            over_blocks.map_or((low, high), |(low, high)| (share(low), share(high)));
        Some((low.min(least), high.max(most)))
    }

    /// The two-sided p of "the share is `share`", from both and the larger of them. None as for the interval, and for a share
    /// that leaves nothing to chance.
    pub fn p_value(&self, share: f64) -> Option<f64> {
        let (hits, of) = self.total();
        let exact = binomial::p_value(hits, of, share)?;
        let null = (share / (1.0 - share)).ln();
        let over_blocks = self.logits().and_then(|logits| logits.p_differs(null));
        Some(over_blocks.map_or(exact, |p| p.max(exact)))
    }

    /// Half an order is added on either side: a block in which none or all were hit has a logit then.
    fn logits(&self) -> Option<Estimate> {
        let (hits, of) = self.total();
        if hits == 0 || hits == of {
            return None;
        }
        let logit = |(hits, of): &(u64, u64)| {
            let missed = of.saturating_sub(*hits) as f64;
            ((*hits as f64 + 0.5) / (missed + 0.5)).ln()
        };
        let logits: Vec<f64> = self.blocks.iter().map(logit).collect();
        Estimate::of_values(&logits)
    }
}

/// The share that has this logit.
fn share(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEVEL: f64 = 0.95;

    fn both(blocks: [(u64, u64); 3]) -> [(f64, f64); 2] {
        let shares = Shares::of(blocks);
        let (hits, of) = shares.total();
        let exact = binomial::interval(hits, of, LEVEL).unwrap();
        [shares.interval(LEVEL).unwrap(), exact]
    }

    #[test]
    fn blocks_that_differ_leave_more_open_than_their_orders_together() {
        let [(low, high), exact] = both([(100, 1_250), (200, 1_250), (294, 1_250)]);
        assert!(low < 0.5 * exact.0 && high > 1.5 * exact.1, "{low} {high}");
        // By hand: logits −2.438, −1.656, −1.178, mean −1.757, t(2) × their standard error 1.580.
        assert!((low - 0.0344).abs() < 0.001, "{low}");
        assert!((high - 0.4554).abs() < 0.002, "{high}");
    }

    #[test]
    fn blocks_alike_leave_as_much_open_as_their_orders_do() {
        for blocks in [[(149, 1_000); 3], [(1, 2_000); 3]] {
            let [found, exact] = both(blocks);
            assert!((found.0 - exact.0).abs() < 1e-9 && (found.1 - exact.1).abs() < 1e-9);
        }
    }

    #[test]
    fn where_every_order_went_the_same_way_the_exact_interval_stands() {
        for hits in [0, 1_250] {
            let [found, exact] = both([(hits, 1_250); 3]);
            assert_eq!(found, exact);
        }
        // One block of three in which some were hit is no certainty any more.
        let [(_, high), exact] = both([(0, 1_250), (0, 1_250), (30, 1_250)]);
        assert!(high > 2.0 * exact.1, "{high} {exact:?}");
    }

    #[test]
    fn one_block_has_the_interval_of_its_orders_and_none_has_no_interval() {
        let one = Shares::of([(0, 0), (5, 10)]);
        assert_eq!((one.blocks(), one.total()), (1, (5, 10)));
        assert_eq!(one.interval(LEVEL), binomial::interval(5, 10, LEVEL));
        assert_eq!(one.p_value(0.5), binomial::p_value(5, 10, 0.5));
        assert_eq!(Shares::of([(0, 0)]).interval(LEVEL), None);
        assert_eq!(Shares::default().p_value(0.5), None);
    }

    #[test]
    fn p_and_interval_say_the_same_of_a_share_over_blocks() {
        let shares = Shares::of([(100, 1_250), (200, 1_250), (294, 1_250)]);
        let (low, high) = shares.interval(LEVEL).unwrap();
        for share in [0.01, 0.03, 0.04, 0.1, 0.2, 0.4, 0.5, 0.9] {
            let inside = low < share && share < high;
            assert_eq!(shares.p_value(share).unwrap() > 0.05, inside, "{share}");
        }
    }
}
