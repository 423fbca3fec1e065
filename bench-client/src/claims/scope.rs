//! The scope that every verdict's sentence carries: language, network, cores, brokers, suite. What was measured
//! (payload, rate) is said by the claim itself.

use crate::results::Run;

/// The scope of a run, as far as the given cells reach: `Rust, loopback, 2 cores, RabbitMQ 3.10.8; quick suite`.
pub fn scope(run: &Run, cells: &[String]) -> String {
    let m = &run.manifest;
    let network = if m.network.is_empty() {
        "loopback"
    } else {
        &m.network
    };
    let mut words = vec!["Rust".to_string(), network.to_string()];
    if let Some(cores) = m.machine.get("cores") {
        words.push(format!("{cores} cores"));
    }
    for (transport, broker) in &m.brokers {
        if run
            .trials
            .iter()
            .any(|t| t.cell.transport == *transport && cells.contains(&t.cell.id))
        {
            words.push(broker.clone());
        }
    }
    if !m.suite.is_empty() {
        words.push(format!("{} suite", m.suite));
    }
    words.join(", ")
}
