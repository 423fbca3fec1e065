//! Which brokers there are: from the configuration and `HOPBENCH_*` variables, else from the file that `stack/stack`
//! leaves in `.hopbench/env`. It starts nothing.

use crate::cell::Cell;
use anyhow::Context;
use bench_transport::Transport;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Addresses from the configuration, by the variable that would say the same.
static CONFIGURED: OnceLock<BTreeMap<&'static str, String>> = OnceLock::new();

/// Takes broker addresses from the configuration, by the name of the variable that would say the same; they stand above
/// that variable. Only the first call counts: a process has one configuration.
pub fn configure(addresses: BTreeMap<&'static str, String>) {
    let _ = CONFIGURED.set(addresses);
}

/// One broker, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broker {
    /// It should be there.
    At {
        /// AMQP URL (with its password: never print it) or bootstrap servers.
        address: String,
        /// Its processes, where they can be seen.
        pids: Vec<u32>,
        /// Its cgroup (version 2), which tells its CPU where its processes cannot be seen.
        cgroup: Option<PathBuf>,
        /// Its name and version, such as `RabbitMQ 3.10.8`.
        version: String,
    },
    /// It is not, for this reason.
    Missing(String),
}

/// Both brokers and what else the stack says of itself.
#[derive(Clone, Debug)]
pub struct Brokers {
    rabbitmq: Broker,
    kafka: Broker,
    /// The same brokers over TLS.
    encrypted: BTreeMap<Transport, Broker>,
    /// File with the CA that the brokers' certificates are checked against; none: those that this machine believes.
    pub ca: Option<PathBuf>,
    /// `native`, `docker` or `external`.
    pub kind: String,
    /// Heap, arguments and the like, for the manifest.
    pub settings: BTreeMap<String, String>,
}

const HOW: &str = "start one with `make up`, or name one that exists";

impl Brokers {
    /// Reads configuration and environment, then the stack's file of the checkout that this program or the current folder
    /// lies in.
    pub fn find() -> Self {
        let file = state_file().and_then(|path| std::fs::read_to_string(path).ok());
        Self::from(file.as_deref().unwrap_or(""), |name| {
            let configured = CONFIGURED.get().and_then(|all| all.get(name)).cloned();
            configured.or_else(|| std::env::var(name).ok())
        })
    }

    fn from(file: &str, variable: impl Fn(&str) -> Option<String>) -> Self {
        let written: BTreeMap<String, String> = file.lines().filter_map(parse_line).collect();
        let external = |name: &str| variable(name).filter(|value| !value.is_empty());
        // An amqps address is no plaintext broker, whichever variable holds it.
        let plain = |name: &str| external(name).filter(|value| !value.starts_with("amqps://"));
        let over_tls = |name: &str| match name {
            "HOPBENCH_AMQPS_URL" => external(name).or_else(|| {
                external("HOPBENCH_AMQP_URL").filter(|value| value.starts_with("amqps://"))
            }),
            _ => external(name),
        };
        let only_tls =
            external("HOPBENCH_AMQP_URL").is_some() && plain("HOPBENCH_AMQP_URL").is_none();
        let found = |name: &str, address: &str, title: &str, value: Option<String>| match value {
            // A variable that repeats the stack's own address must not lose the process ids.
            Some(value) if written.get(address) != Some(&value) => Broker::At {
                address: value,
                pids: Vec::new(),
                cgroup: variable(&format!("HOPBENCH_{name}_CGROUP")).map(PathBuf::from),
                version: format!("{title} (external)"),
            },
            _ => match written.get(address).filter(|value| !value.is_empty()) {
                Some(value) => Broker::At {
                    address: value.clone(),
                    pids: written
                        .get(&format!("HOPBENCH_{name}_PIDS"))
                        .map(|pids| {
                            pids.split(',')
                                .filter_map(|pid| pid.trim().parse().ok())
                                .collect()
                        })
                        .unwrap_or_default(),
                    cgroup: written
                        .get(&format!("HOPBENCH_{name}_CGROUP"))
                        .map(PathBuf::from),
                    version: match written.get(&format!("HOPBENCH_{name}_VERSION")) {
                        Some(version) => format!("{title} {version}"),
                        None => title.to_string(),
                    },
                },
                None => Broker::Missing(
                    written
                        .get(&format!("HOPBENCH_{name}_REASON"))
                        .cloned()
                        .unwrap_or_else(|| {
                            format!("no {title} is running here; {HOW} in {address}")
                        }),
                ),
            },
        };
        let broker =
            |name: &str, address: &str, title: &str| found(name, address, title, plain(address));
        let rabbitmq = if only_tls {
            Broker::Missing(
                "HOPBENCH_AMQP_URL is an amqps:// address: only load with --tls runs over it"
                    .into(),
            )
        } else {
            broker("RABBITMQ", "HOPBENCH_AMQP_URL", "RabbitMQ")
        };
        let kafka = broker("KAFKA", "HOPBENCH_KAFKA_BROKERS", "Kafka");
        let encrypted = |name: &str, address: &str, title: &str| match found(
            name,
            address,
            title,
            over_tls(address),
        ) {
            Broker::Missing(_) => Broker::Missing(match written.get("HOPBENCH_TLS_REASON") {
                Some(reason) => format!("{title} has no TLS listener: {reason}"),
                None => {
                    format!("no {title} with a TLS listener is known here; name one in {address}")
                }
            }),
            there => there,
        };
        let encrypted = BTreeMap::from([
            (
                Transport::Queue,
                encrypted("RABBITMQ", "HOPBENCH_AMQPS_URL", "RabbitMQ"),
            ),
            (
                Transport::Stream,
                encrypted("KAFKA", "HOPBENCH_KAFKA_TLS_BROKERS", "Kafka"),
            ),
        ]);
        let any_elsewhere = ["HOPBENCH_AMQPS_URL", "HOPBENCH_KAFKA_TLS_BROKERS"]
            .iter()
            .any(|name| over_tls(name).is_some_and(|value| written.get(*name) != Some(&value)));
        // The stack's CA signs for nobody else's broker.
        let ca = external("HOPBENCH_TLS_CA").or_else(|| {
            written
                .get("HOPBENCH_TLS_CA")
                .filter(|_| !any_elsewhere)
                .cloned()
        });
        let private = |name: &str| {
            ["_URL", "_REASON", "_PIDS", "_CGROUP", "_CA"]
                .iter()
                .any(|end| name.ends_with(end))
        };
        Self {
            encrypted,
            ca: ca.map(PathBuf::from),
            rabbitmq,
            kafka,
            kind: written
                .get("HOPBENCH_STACK")
                .cloned()
                .unwrap_or_else(|| "external".into()),
            settings: written
                .into_iter()
                .filter(|(name, _)| !private(name))
                .map(|(name, value)| (name.trim_start_matches("HOPBENCH_").to_lowercase(), value))
                .collect(),
        }
    }

    /// The broker that a transport needs; none for a sync transport.
    pub fn of(&self, transport: Transport) -> Option<&Broker> {
        match transport {
            Transport::Queue => Some(&self.rabbitmq),
            Transport::Stream => Some(&self.kafka),
            _ => None,
        }
    }

    /// The broker that a transport needs for TLS; none for a sync transport.
    pub fn encrypted(&self, transport: Transport) -> Option<&Broker> {
        self.encrypted.get(&transport)
    }

    /// Marks a broker's TLS listener as missing after it was tried.
    pub fn lose_encrypted(&mut self, transport: Transport, reason: String) {
        self.encrypted.insert(transport, Broker::Missing(reason));
    }

    /// Marks a broker as missing after it was tried.
    pub fn lose(&mut self, transport: Transport, reason: String) {
        match transport {
            Transport::Queue => self.rabbitmq = Broker::Missing(reason),
            Transport::Stream => self.kafka = Broker::Missing(reason),
            _ => {}
        }
    }

    /// Process ids of a transport's broker, its children included.
    pub fn pids(&self, transport: Transport) -> Vec<u32> {
        match self.of(transport) {
            Some(Broker::At { pids, .. }) => pids.clone(),
            _ => Vec::new(),
        }
    }

    /// Its cgroup, for where there are no process ids.
    pub fn cgroup(&self, transport: Transport) -> Option<&Path> {
        match self.of(transport)? {
            Broker::At { cgroup, .. } => cgroup.as_deref(),
            Broker::Missing(_) => None,
        }
    }

    /// Where the brokers are that a cell's orders go over. An error says why one cannot be had.
    ///
    /// # Errors
    /// A broker is missing, with its reason.
    pub fn addresses_for(&self, cell: &Cell) -> anyhow::Result<BTreeMap<Transport, String>> {
        let mut addresses = BTreeMap::new();
        for transport in cell.transports() {
            let broker = match cell.tls {
                true => self.encrypted(transport),
                false => self.of(transport),
            };
            match broker {
                None => {}
                Some(Broker::At { address, .. }) => {
                    addresses.insert(transport, address.clone());
                }
                Some(Broker::Missing(reason)) => anyhow::bail!("{transport} cannot run: {reason}"),
            }
        }
        Ok(addresses)
    }

    /// Where a transport's broker is.
    pub fn address(&self, transport: Transport) -> Option<&str> {
        match self.of(transport)? {
            Broker::At { address, .. } => Some(address),
            Broker::Missing(_) => None,
        }
    }
}

fn parse_line(line: &str) -> Option<(String, String)> {
    let (name, value) = line.trim().trim_start_matches("export ").split_once('=')?;
    let value = value.trim();
    let value = value
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
        .or_else(|| {
            value
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'))
        })
        .unwrap_or(value);
    Some((name.to_string(), value.replace("'\\''", "'")))
}

/// Where the stack of the checkout keeps its state, and native brokers their data.
pub fn folder() -> Option<PathBuf> {
    Some(state_file()?.parent()?.to_path_buf())
}

/// The program that looks after the brokers of the checkout that [`Brokers::find`] reads.
pub fn program() -> Option<PathBuf> {
    Some(folder()?.parent()?.join("stack/stack")).filter(|program| program.is_file())
}

/// That program and what it is to do.
///
/// # Errors
/// There is none: the brokers are not those of a checkout.
pub fn command(words: &[&str]) -> anyhow::Result<Command> {
    let program = program().context(
        "expected stack/stack beside the .hopbench folder that names the brokers; use brokers of `make up`",
    )?;
    let mut command = Command::new(program);
    command
        .args(words)
        // `stack run` hands its own addresses down; to the stack they would look like somebody else's brokers.
        .env_remove("HOPBENCH_AMQP_URL")
        .env_remove("HOPBENCH_KAFKA_BROKERS");
    Ok(command)
}

fn state_file() -> Option<PathBuf> {
    let here = std::env::current_dir().ok();
    let program = std::env::current_exe().ok();
    [here, program].into_iter().flatten().find_map(|start| {
        start
            .ancestors()
            .map(|folder| folder.join(".hopbench/env"))
            .find(|file| Path::is_file(file))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "HOPBENCH_STACK=native\nHOPBENCH_AMQP_URL=amqp://u:p@127.0.0.1:5\nHOPBENCH_RABBITMQ_PIDS=1,2\n\
                        HOPBENCH_RABBITMQ_VERSION=3.10.8\nHOPBENCH_KAFKA_REASON='no java; it'\\''s missing'\n";

    #[test]
    fn the_stacks_file_names_brokers_processes_and_reasons() {
        let brokers = Brokers::from(FILE, |_| None);
        assert_eq!(brokers.pids(Transport::Queue), [1, 2]);
        assert_eq!(
            brokers.of(Transport::Stream),
            Some(&Broker::Missing("no java; it's missing".into()))
        );
        assert_eq!(brokers.of(Transport::Rest), None);
        assert!(
            !brokers.settings.values().any(|value| value.contains("u:p")),
            "no password reaches the manifest"
        );
    }

    #[test]
    fn a_variable_names_another_broker_and_its_processes_are_then_unknown() {
        let other =
            |name: &str| (name == "HOPBENCH_AMQP_URL").then(|| "amqp://elsewhere".to_string());
        let brokers = Brokers::from(FILE, other);
        assert_eq!(brokers.address(Transport::Queue), Some("amqp://elsewhere"));
        assert!(brokers.pids(Transport::Queue).is_empty());
        let same = |name: &str| {
            (name == "HOPBENCH_AMQP_URL").then(|| "amqp://u:p@127.0.0.1:5".to_string())
        };
        assert_eq!(Brokers::from(FILE, same).pids(Transport::Queue), [1, 2]);
    }

    #[test]
    fn a_container_whose_processes_are_hidden_is_known_by_its_cgroup() {
        let hidden = "HOPBENCH_AMQP_URL=amqp://u:p@127.0.0.1:5\nHOPBENCH_RABBITMQ_CGROUP=/sys/fs/cgroup/docker/1\n";
        let brokers = Brokers::from(hidden, |_| None);
        let cgroup = Path::new("/sys/fs/cgroup/docker/1");
        assert_eq!(brokers.cgroup(Transport::Queue), Some(cgroup));
        assert!(!brokers.settings.contains_key("rabbitmq_cgroup"));
        assert_eq!(brokers.cgroup(Transport::Stream), None);
    }

    #[test]
    fn an_amqps_address_is_for_tls_alone_and_another_brokers_ca_is_not_the_stacks() {
        let other =
            |name: &str| (name == "HOPBENCH_AMQP_URL").then(|| "amqps://elsewhere".to_string());
        let file =
            format!("{FILE}HOPBENCH_AMQPS_URL=amqps://u:p@127.0.0.1:6\nHOPBENCH_TLS_CA=/ca\n");
        let at = |broker: Option<&Broker>| match broker {
            Some(Broker::At { address, pids, .. }) => (address.clone(), pids.clone()),
            other => panic!("expected a broker, got {other:?}"),
        };
        let stack = Brokers::from(&file, |_| None);
        let own = ("amqps://u:p@127.0.0.1:6".to_string(), vec![1, 2]);
        assert_eq!(at(stack.encrypted(Transport::Queue)), own);
        assert_eq!(stack.ca, Some(PathBuf::from("/ca")));
        assert!(!stack.settings.values().any(|value| value == "/ca"));
        let elsewhere = Brokers::from(&file, other);
        let there = ("amqps://elsewhere".to_string(), Vec::new());
        assert_eq!(at(elsewhere.encrypted(Transport::Queue)), there);
        assert_eq!(elsewhere.address(Transport::Queue), None);
        assert_eq!(elsewhere.ca, None);
    }

    #[test]
    fn without_file_and_variables_the_reason_says_what_to_do() {
        let Some(Broker::Missing(reason)) =
            Brokers::from("", |_| None).of(Transport::Queue).cloned()
        else {
            panic!("there is no broker")
        };
        assert!(reason.contains("make up") && reason.contains("HOPBENCH_AMQP_URL"));
    }
}
