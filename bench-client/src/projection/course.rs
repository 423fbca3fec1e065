//! The course of a backlog over one event, as it is drawn.

use super::{Ask, Course, Event, MARK};
use crate::theory::{self, Corner, PerSecond, Stage, backlog, drain};

/// A course is drawn to its end, or for so many times the event's length.
const MOST_LENGTHS: u32 = 20;

/// From a little before the event until the backlog is gone.
pub(super) fn course(ask: &Ask, name: &str, event: Event) -> Course {
    let before = event.lasting / 10;
    let done = ask.done(event);
    let well = ask.capacity();
    let longest = event.lasting * MOST_LENGTHS;
    let after = match drain(backlog(ask.rate, done, event.lasting), ask.rate, well) {
        // A little longer than the drain, so that its end is seen.
        Some(drained) => drained.saturating_add(before).min(longest),
        None => event.lasting,
    };
    let stage = |lasting, done| Stage {
        lasting,
        arrivals: ask.rate,
        done,
    };
    // Whether the workers keep up before is not the event's doing: its backlog is counted from nothing.
    let calm = PerSecond(well.0.max(ask.rate.0));
    let corners = theory::course(&[
        stage(before, calm),
        stage(event.lasting, done),
        stage(after, well),
    ]);
    Course {
        name: name.into(),
        event_s: (before.as_secs_f64(), (before + event.lasting).as_secs_f64()),
        corners: corners
            .iter()
            .map(|Corner { at, waiting }| (at.as_secs_f64(), waiting.0))
            .collect(),
        kind: MARK,
    }
}
