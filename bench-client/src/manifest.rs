//! Where, when and with what a run was made. Everything a reader needs to repeat it; no password, no path.

use crate::results::Manifest;
use crate::stack::{Broker, Brokers};
use bench_transport::Transport;
use std::collections::BTreeMap;

/// The libraries whose versions decide what is measured.
const LIBRARIES: [&str; 15] = [
    "axum",
    "flate2",
    "h2",
    "hdrhistogram",
    "hyper",
    "lapin",
    "prost",
    "rdkafka",
    "rdkafka-sys",
    "roaring",
    "serde_json",
    "tokio",
    "tonic",
    "tower",
    "zstd",
];

/// The manifest as far as it is known before the run; settings are added as they come into force.
pub fn begin(
    suite: &str,
    blocks: u32,
    seed: u64,
    placement: String,
    brokers: &Brokers,
    exclusive: bool,
) -> Manifest {
    let mut settings = brokers.settings.clone();
    settings.insert("stack".into(), brokers.kind.clone());
    settings.insert("compression".into(), "off".into());
    settings.insert("generator.scheduling".into(), scheduling());
    Manifest {
        time: jiff::Timestamp::now()
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string(),
        version: env!("CARGO_PKG_VERSION").into(),
        commit: option_env!("HOPBENCH_BUILD_COMMIT").map(str::to_string),
        dirty: option_env!("HOPBENCH_BUILD_DIRTY").map(|dirty| dirty == "true"),
        machine: machine(),
        brokers: [Transport::Queue, Transport::Stream]
            .into_iter()
            .filter_map(|transport| match brokers.of(transport)? {
                Broker::At { version, .. } => Some((transport.to_string(), version.clone())),
                Broker::Missing(_) => None,
            })
            .collect(),
        libraries: libraries(include_str!("../../Cargo.lock")),
        settings,
        suite: suite.into(),
        blocks,
        seed,
        placement,
        network: "loopback".into(),
        exclusive,
        warm_ups: Vec::new(),
    }
}

/// How soon a generator's thread gets its core when somebody else is on it.
fn scheduling() -> String {
    bench_host::scheduling::granted()
        .map_or_else(|error| error.to_string(), |granted| granted.to_string())
}

fn machine() -> BTreeMap<String, String> {
    let facts = bench_host::machine::Machine::read();
    let value = serde_json::to_value(&facts).unwrap_or_default();
    let mut flat = crate::account::flatten("machine", &value);
    flat.retain(|name, _| !name.ends_with("boot_id"));
    flat.into_iter()
        .map(|(name, value)| (name.trim_start_matches("machine.").to_string(), value))
        .collect()
}

fn libraries(lock: &str) -> BTreeMap<String, String> {
    let mut versions: BTreeMap<String, String> = BTreeMap::new();
    for package in lock.split("[[package]]") {
        let field = |name: &str| {
            package.lines().find_map(|line| {
                line.strip_prefix(name)?
                    .trim()
                    .strip_prefix("= ")
                    .map(|value| value.trim_matches('"').to_string())
            })
        };
        if let (Some(name), Some(version)) = (field("name"), field("version"))
            && LIBRARIES.contains(&name.as_str())
        {
            versions
                .entry(name)
                .and_modify(|there| *there = format!("{there}, {version}"))
                .or_insert(version);
        }
    }
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_library_that_decides_a_figure_is_named_with_its_version() {
        let found = libraries(include_str!("../../Cargo.lock"));
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            LIBRARIES.iter().collect::<Vec<_>>()
        );
    }
}
