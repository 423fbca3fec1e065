//! A topology in lines: the services as a tree from the user on, each call with its transport and what is waited for.
//! A service that several others call is drawn where it comes first and named again where it comes later.

use super::{Edge, Service, Topology};
use bench_transport::Transport;
use std::collections::BTreeSet;
use std::fmt::Write;

impl Topology {
    /// The diagram, a line per call; the user calls over this transport.
    pub fn diagram(&self, user: Transport) -> String {
        let mut lines = String::new();
        let Some(entry) = self.entry() else {
            return lines;
        };
        let _ = writeln!(lines, "user");
        let _ = writeln!(lines, "└─ {user} → {}", show(entry));
        let mut drawn = BTreeSet::from([entry.name.as_str()]);
        self.draw(&entry.name, "   ", &mut drawn, &mut lines);
        lines
    }

    fn draw<'t>(
        &'t self,
        from: &'t str,
        indent: &str,
        drawn: &mut BTreeSet<&'t str>,
        lines: &mut String,
    ) {
        let calls: Vec<&Edge> = self.calls_of(from).collect();
        for (place, edge) in calls.iter().enumerate() {
            let last = place + 1 == calls.len();
            let (branch, below) = if last {
                ("└─", "   ")
            } else {
                ("├─", "│  ")
            };
            let Some(callee) = self.service(&edge.to) else {
                continue;
            };
            let first_time = drawn.insert(&callee.name);
            let what = if first_time {
                show(callee)
            } else {
                format!("{} (above)", callee.name)
            };
            let _ = writeln!(lines, "{indent}{branch} {} → {what}", call(edge));
            if first_time {
                self.draw(&callee.name, &format!("{indent}{below}"), drawn, lines);
            }
        }
    }
}

/// A service with what it is told.
fn show(service: &Service) -> String {
    let mut words = Vec::new();
    words.extend(service.slow.as_ref().map(ToString::to_string));
    words.extend(service.workers.map(|n| format!("{n} workers")));
    words.extend(
        service
            .durability
            .map(|class| format!("durability {class}")),
    );
    words.extend(
        service
            .side_by_side
            .then(|| "calls side by side".to_string()),
    );
    words.extend(service.idempotent.then(|| "idempotent".to_string()));
    words.extend(service.joins_later.then(|| "joins later".to_string()));
    if words.is_empty() {
        return service.name.clone();
    }
    format!("{} ({})", service.name, words.join("; "))
}

/// A call with its way and its guards.
fn call(edge: &Edge) -> String {
    let mut words = vec![edge.transport.to_string()];
    if !edge.way.is_awaited() {
        words.push(edge.way.to_string());
    }
    words.extend(edge.fanout.iter().map(|name| format!("fan-out {name}")));
    words.extend(edge.timeout.map(|timeout| format!("timeout {timeout:?}")));
    words.extend(edge.guards.options());
    words.extend(edge.no_deadline.then(|| "no deadline".to_string()));
    words.join(", ")
}
