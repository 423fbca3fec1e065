//! Who may be worked on now: at most so many records at once, and of one key only one at a time, in their order.
//! Pure; a key never waits for another key as long as there is room.

use std::collections::{HashMap, VecDeque};

/// Records held: in work, ready, or waiting for their key.
#[derive(Debug)]
pub(super) struct Turns<T> {
    limit: usize,
    running: usize,
    held: usize,
    ready: VecDeque<(Option<u64>, T)>,
    /// Keys with a record in work or ready, and what waits behind it.
    keys: HashMap<u64, VecDeque<T>>,
}

impl<T> Turns<T> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            running: 0,
            held: 0,
            ready: VecDeque::new(),
            keys: HashMap::new(),
        }
    }

    /// How many records are held.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Takes a record in; without a key it waits for nobody.
    pub(super) fn push(&mut self, key: Option<u64>, record: T) {
        self.held += 1;
        if let Some(key) = key {
            if let Some(waiting) = self.keys.get_mut(&key) {
                waiting.push_back(record);
                return;
            }
            self.keys.insert(key, VecDeque::new());
        }
        self.ready.push_back((key, record));
    }

    /// The next record to work on, if there is room and one may run.
    pub(super) fn next(&mut self) -> Option<(Option<u64>, T)> {
        if self.running == self.limit {
            return None;
        }
        let next = self.ready.pop_front()?;
        self.running += 1;
        Some(next)
    }

    /// A record of this key is done: the next of the same key is ready.
    pub(super) fn done(&mut self, key: Option<u64>) {
        self.running -= 1;
        self.held -= 1;
        let Some(key) = key else { return };
        match self.keys.get_mut(&key).and_then(VecDeque::pop_front) {
            Some(next) => self.ready.push_back((Some(key), next)),
            None => {
                self.keys.remove(&key);
            }
        }
    }

    /// Drops what is not in work.
    pub(super) fn drop_waiting(&mut self) {
        self.held = self.running;
        self.ready.clear();
        self.keys.values_mut().for_each(VecDeque::clear);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_runs_one_at_a_time_and_others_pass_it() {
        let mut turns = Turns::new(2);
        for (key, record) in [(1, "a1"), (1, "a2"), (2, "b1"), (3, "c1")] {
            turns.push(Some(key), record);
        }
        assert_eq!(turns.next(), Some((Some(1), "a1")));
        assert_eq!(turns.next(), Some((Some(2), "b1")));
        assert_eq!(turns.next(), None, "two are in work");
        turns.done(Some(2));
        assert_eq!(turns.next(), Some((Some(3), "c1")));
        turns.done(Some(1));
        assert_eq!(turns.next(), Some((Some(1), "a2")));
        turns.done(Some(3));
        turns.done(Some(1));
        assert_eq!((turns.held(), turns.next()), (0, None));
    }

    #[test]
    fn records_without_a_key_wait_for_nobody() {
        let mut turns = Turns::new(8);
        turns.push(None, 1);
        turns.push(None, 2);
        assert_eq!(turns.next(), Some((None, 1)));
        assert_eq!(turns.next(), Some((None, 2)));
    }

    #[test]
    fn what_is_dropped_is_only_what_waits() {
        let mut turns = Turns::new(1);
        turns.push(Some(1), "in work");
        turns.push(Some(1), "behind it");
        turns.push(Some(2), "ready");
        assert!(turns.next().is_some());
        turns.drop_waiting();
        assert_eq!(turns.held(), 1);
        turns.done(Some(1));
        assert_eq!((turns.held(), turns.next()), (0, None));
    }
}
