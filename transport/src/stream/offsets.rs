//! Which offset of each partition may be committed when records finish out of order: the highest one below which
//! nothing is unfinished. Pure; it knows no consumer.

use std::collections::{HashMap, VecDeque};

/// The records taken from the partitions that are assigned now.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    epoch: u64,
    partitions: HashMap<i32, Partition>,
}

#[derive(Debug)]
struct Partition {
    epoch: u64,
    /// Taken and not yet committable, ascending; true once finished. Offsets may have gaps.
    taken: VecDeque<(i64, bool)>,
}

/// One taken record. It is worth nothing once its partition was taken away, even if it is assigned again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) partition: i32,
    pub(super) offset: i64,
    epoch: u64,
}

impl Offsets {
    /// Starts anew with these partitions, whether or not they were tracked before.
    pub(super) fn assign(&mut self, partitions: impl IntoIterator<Item = i32>) {
        self.epoch += 1;
        for partition in partitions {
            let epoch = self.epoch;
            let taken = VecDeque::new();
            self.partitions
                .insert(partition, Partition { epoch, taken });
        }
    }

    /// Forgets these partitions and what was taken from them.
    pub(super) fn revoke(&mut self, partitions: impl IntoIterator<Item = i32>) {
        for partition in partitions {
            self.partitions.remove(&partition);
        }
    }

    /// How many partitions are assigned.
    pub(super) fn assigned(&self) -> usize {
        self.partitions.len()
    }

    /// Takes the next record of a partition; none if the partition is not assigned (any more) or the record does not
    /// come after the last one taken.
    pub(super) fn take(&mut self, partition: i32, offset: i64) -> Option<Ticket> {
        let known = self.partitions.get_mut(&partition)?;
        if known.taken.back().is_some_and(|(last, _)| *last >= offset) {
            return None;
        }
        known.taken.push_back((offset, false));
        Some(Ticket {
            partition,
            offset,
            epoch: known.epoch,
        })
    }

    /// Whether its partition is still assigned, since it was taken; else another consumer gets the record as well.
    pub(super) fn holds(&self, ticket: &Ticket) -> bool {
        let known = self.partitions.get(&ticket.partition);
        known.is_some_and(|known| known.epoch == ticket.epoch)
    }

    /// Finishes a record. Answers the highest offset below which all are finished, if it moved.
    pub(super) fn finish(&mut self, ticket: Ticket) -> Option<i64> {
        let known = self.partitions.get_mut(&ticket.partition)?;
        if known.epoch != ticket.epoch {
            return None;
        }
        let place = known
            .taken
            .binary_search_by_key(&ticket.offset, |(offset, _)| *offset)
            .ok()?;
        known.taken[place].1 = true;
        let mut highest = None;
        while let Some((offset, true)) = known.taken.front() {
            highest = Some(*offset);
            known.taken.pop_front();
        }
        highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn an_offset_waits_for_all_before_it() {
        let mut offsets = Offsets::default();
        offsets.assign([0]);
        let tickets: Vec<_> = [5, 6, 9].map(|at| offsets.take(0, at).unwrap()).into();
        assert_eq!(offsets.finish(tickets[2]), None);
        assert_eq!(offsets.finish(tickets[0]), Some(5));
        assert_eq!(offsets.finish(tickets[1]), Some(9));
    }

    #[test]
    fn a_ticket_of_an_earlier_assignment_commits_nothing() {
        let mut offsets = Offsets::default();
        offsets.assign([0, 1]);
        let before = offsets.take(0, 3).unwrap();
        let other = offsets.take(1, 3).unwrap();
        assert!(offsets.holds(&before));
        offsets.revoke([0]);
        assert!(!offsets.holds(&before) && offsets.holds(&other));
        assert_eq!((offsets.assigned(), offsets.finish(before)), (1, None));
        offsets.assign([0]);
        assert!(!offsets.holds(&before));
        let again = offsets.take(0, 3).unwrap();
        assert_eq!(offsets.finish(before), None);
        assert_eq!(offsets.finish(again), Some(3));
        assert_eq!(offsets.finish(other), Some(3));
        assert_eq!(offsets.take(2, 0), None, "partition 2 was never assigned");
    }

    proptest! {
        /// Against the definition: what may be committed is the end of the finished prefix of what was taken.
        #[test]
        fn what_may_be_committed_is_the_finished_prefix(
            gaps in prop::collection::vec(1i64..4, 1..60),
            order in any::<u64>(),
        ) {
            let taken: Vec<i64> = gaps.iter().scan(-1, |at, gap| { *at += gap; Some(*at) }).collect();
            let mut offsets = Offsets::default();
            offsets.assign([7]);
            let mut tickets: Vec<_> = taken.iter().map(|at| offsets.take(7, *at).unwrap()).collect();
            let (mut finished, mut committed, mut state) = (BTreeSet::new(), None, order);
            while !tickets.is_empty() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let ticket = tickets.swap_remove((state >> 33) as usize % tickets.len());
                finished.insert(ticket.offset);
                let prefix = taken.iter().take_while(|at| finished.contains(at)).last().copied();
                if let Some(moved) = offsets.finish(ticket) {
                    prop_assert!(Some(moved) > committed);
                    committed = Some(moved);
                }
                prop_assert_eq!(committed, prefix);
            }
            prop_assert_eq!(committed, taken.last().copied());
        }
    }
}
