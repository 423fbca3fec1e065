//! A cell's name: equal in every block, distinct for distinct cells.

use super::Cell;
use super::describe::{show_arrival, show_rate};
use crate::load::Mode;
use bench_transport::CallKind;

impl Cell {
    /// Names the cell: equal in every block, distinct for distinct cells. Defaults are left out.
    pub fn id(&self) -> String {
        let plain = Self::new(self.transport);
        let mut id = format!("{}-{}", self.transport, self.payload_name());
        let mut add = |text: String| {
            id.push('-');
            id.push_str(&text);
        };
        if self.http != plain.http {
            add("h2".into());
        }
        if self.format != plain.format {
            add(self.format.to_string());
        }
        match self.kind {
            CallKind::Unary => {}
            kind if kind.gathers() => add(format!("{kind}{}", self.batch)),
            kind => add(kind.to_string()),
        }
        match &self.mode {
            // Before its rate is known and afterwards.
            _ if self.share.is_some() => {}
            Mode::Closed { callers, think } if think.is_zero() => add(format!("c{callers}")),
            Mode::Closed { callers, think } => add(format!("c{callers}+{}ms", think.as_millis())),
            Mode::Open(arrival) => {
                add(format!("{}{}", show_arrival(arrival).0, show_rate(arrival)))
            }
        }
        if let Some(share) = self.share {
            add(format!("share{}ofc{}", share.percent, share.callers));
        }
        if self.connections != plain.connections {
            add(format!("x{}", self.connections));
        }
        if self.connecting != plain.connecting {
            add(self.connecting.to_string());
        }
        if self.library_defaults {
            add("defaults".into());
        }
        if let Some(delay) = self.relay {
            add(format!("relay{}us", delay.as_micros()));
        }
        add(self.durability.to_string());
        if let Some(slow) = &self.slow {
            add(format!("slow[{slow}]"));
        }
        if let Some(workers) = self.workers {
            add(format!("w{workers}"));
        }
        if let Some(most) = self.max_waiting {
            add(format!("wait{most}"));
        }
        if let Some(limit) = self.queue_limit {
            add(format!("limit{limit}"));
        }
        if let Some(most) = self.client_buffer {
            add(format!("buffer{most}"));
        }
        for (name, mine, default) in [
            (
                "prefetch",
                u64::from(self.prefetch),
                u64::from(plain.prefetch),
            ),
            (
                "consumers",
                u64::from(self.consumers),
                u64::from(plain.consumers),
            ),
            (
                "partitions",
                self.partitions as u64,
                plain.partitions as u64,
            ),
            ("linger_us", self.linger.as_micros() as u64, 0),
            ("mif", self.max_in_flight as u64, plain.max_in_flight as u64),
            ("threads", u64::from(self.threads), 1),
        ] {
            if mine != default {
                add(format!("{name}{mine}"));
            }
        }
        if let Some(via) = self.reply {
            add(format!("reply-{via}"));
        }
        if !self.stamped {
            add("unstamped".into());
        }
        if let Some(per_second) = self.probe {
            add(format!("probe{per_second}"));
        }
        if self.tls {
            add("tls".into());
        }
        if let Some(stall) = self.stall {
            add(format!("stall{}ms", stall.lasting.as_millis()));
        }
        for fault in &self.faults {
            add(format!("fault[{fault}]"));
        }
        if let Some(topology) = &self.topology {
            add(topology.label());
        }
        if let Some(arm) = &self.arm {
            add(arm.clone());
        }
        id
    }
}
