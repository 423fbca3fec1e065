//! A cell as results keep it.

use super::Cell;
use crate::load::{Arrival, Mode, Spacing};
use crate::results;
use bench_transport::{CallKind, Connecting, HttpVersion, Transport};
use std::collections::BTreeMap;
use std::time::Duration;

impl Cell {
    /// The cell as results keep it.
    pub fn describe(&self) -> results::Cell {
        let (in_flight, rate, arrival) = match &self.mode {
            // Its capacity is not known yet.
            Mode::Closed { .. } if self.share.is_some() => (None, None, results::Arrival::Poisson),
            Mode::Closed { callers, .. } => (Some(*callers as u32), None, results::Arrival::Closed),
            Mode::Open(arrival) => {
                let name = show_arrival(arrival).1;
                (None, open_rate(arrival), name)
            }
        };
        let open = rate.is_some() || arrival != results::Arrival::Closed;
        let mut factors = BTreeMap::new();
        let mut factor = |name: &str, value: String| {
            factors.insert(name.to_string(), value);
        };
        match self.transport {
            // The library's own values: said below as what was left unset.
            _ if self.library_defaults => {}
            Transport::Queue => factor("prefetch", self.prefetch.to_string()),
            Transport::Stream => {
                factor("prefetch", self.prefetch.to_string());
                factor("partitions", self.partitions.to_string());
                let linger = self.linger.as_secs_f64() * 1e3;
                factor("linger_ms", linger.to_string());
            }
            _ => {}
        }
        if self.consumers != 1 {
            factor("consumers", self.consumers.to_string());
        }
        if let Some(own) = &self.own {
            factor("payload_file", own.to_string());
            factor("payload_sha256", own.digest().into());
        }
        if self.kind != CallKind::Unary {
            factor("kind", self.kind.to_string());
        }
        if self.kind.gathers() {
            factor("batch", self.batch.to_string());
        }
        if self.connecting != Connecting::Kept {
            factor("connecting", self.connecting.to_string());
        }
        if self.library_defaults {
            let left = self.transport.left_unset();
            factor("settings", "library defaults".into());
            factor("unset by the caller", left.caller.into());
            factor("unset by the service", left.service.into());
        }
        if let Some(delay) = self.relay {
            factor("relay_us", delay.as_micros().to_string());
        }
        if let Some(most) = self.max_waiting {
            factor("max_waiting", most.to_string());
        }
        if let Some(limit) = self.queue_limit {
            factor("queue_limit", limit.to_string());
        }
        if let Some(most) = self.client_buffer {
            factor("client_buffer", most.to_string());
        }
        if let Mode::Open(Arrival::Rate { profile, .. }) = &self.mode
            && !profile.is_constant()
        {
            factor("rate", profile.to_string());
        }
        if let (Some(share), Some(id)) = (self.share, self.capacity_id()) {
            let percent = share.percent;
            factor(
                "share_of_capacity",
                format!("{percent} % of what {id} carried"),
            );
        }
        if let Some(via) = self.reply {
            factor("reply", via.to_string());
        }
        if !self.stamped {
            factor("stamped", "no".into());
        }
        if let Some(per_second) = self.probe {
            factor("probe", format!("{per_second}/s"));
        }
        if self.tls {
            factor("tls", "1.3".into());
        }
        if self.threads != 1 {
            factor("threads", self.threads.to_string());
        }
        if let Some(stall) = self.stall {
            factor(
                "stall",
                format!("{:?} after {:?}", stall.lasting, stall.after),
            );
        }
        if !self.faults.is_empty() {
            let all: Vec<String> = self.faults.iter().map(ToString::to_string).collect();
            factor("fault", all.join("; "));
        }
        for (name, value) in self.topology_factors() {
            factor(&name, value);
        }
        results::Cell {
            id: self.id(),
            transport: self.transport.to_string(),
            format: self.format.to_string(),
            payload: self.payload_name(),
            durability: self.durability.to_string(),
            arrival,
            in_flight,
            rate_per_s: rate,
            max_in_flight: open.then_some(self.max_in_flight as u32),
            http: (self.transport == Transport::Rest).then(|| match self.http {
                HttpVersion::H1 => "h1".to_string(),
                HttpVersion::H2 => "h2".to_string(),
            }),
            connections: Some(self.connections as u32),
            slow: self.slow.as_ref().map(ToString::to_string),
            workers: self.workers.map(|workers| workers as u32),
            timeout_ms: Some(self.timeout.as_millis() as u64),
            arm: self.arm.clone(),
            factors,
        }
    }
}

pub(super) fn show_arrival(arrival: &Arrival) -> (&'static str, results::Arrival) {
    match arrival {
        Arrival::Rate {
            spacing: Spacing::Even,
            profile,
        } if profile.is_constant() => ("r", results::Arrival::Constant),
        Arrival::Rate {
            spacing: Spacing::Poisson { .. },
            profile,
        } if profile.is_constant() => ("p", results::Arrival::Poisson),
        _ => ("plan", results::Arrival::Planned),
    }
}

fn open_rate(arrival: &Arrival) -> Option<f64> {
    match arrival {
        Arrival::Rate { profile, .. } => Some(profile.rate_at(Duration::ZERO)),
        Arrival::Trace(_) => None,
    }
}

pub(super) fn show_rate(arrival: &Arrival) -> String {
    match arrival {
        // A plan is told by its whole course.
        Arrival::Rate { profile, .. } => profile.to_string(),
        Arrival::Trace(_) => "trace".into(),
    }
}
