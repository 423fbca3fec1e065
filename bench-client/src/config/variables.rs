//! Variables of the environment: those that say what a key of the file says, and the others, which the stack and the
//! programs read themselves.

use super::{BETWEEN, Key, PREFIX};
use figment::value::{Dict, Value};

/// A variable that is no key of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub about: &'static str,
    /// Whether its value is shown to nobody.
    pub secret: bool,
}

const fn open(name: &'static str, about: &'static str) -> Variable {
    Variable {
        name,
        about,
        secret: false,
    }
}

/// All that a user may set: for the stack, for the service, for tests, and what every program understands.
pub const VARIABLES: [Variable; 14] = [
    open(
        "HOPBENCH_AMQP_URL",
        "a RabbitMQ that runs already, amqp://user:password@host:port/%2f",
    ),
    open("HOPBENCH_AMQPS_URL", "the same over TLS, amqps://…"),
    open(
        "HOPBENCH_KAFKA_BROKERS",
        "a Kafka that runs already, host:port,…",
    ),
    open("HOPBENCH_KAFKA_TLS_BROKERS", "the same over TLS"),
    open(
        "HOPBENCH_TLS_CA",
        "file with the CA that the brokers' certificates are checked against",
    ),
    open(
        "HOPBENCH_NATIVE",
        "1: the stack takes native brokers even where a container engine answers",
    ),
    open(
        "HOPBENCH_BROKER_CPUS",
        "CPUs that the stack starts brokers on, as taskset takes them",
    ),
    open("HOPBENCH_KAFKA_HEAP", "heap of the stack's Kafka, 512m"),
    open(
        "HOPBENCH_SKIP_BROKERS",
        "1: tests and the stack do without brokers, and say so",
    ),
    open(
        "HOPBENCH_SERVER",
        "the bench-server program, where it is not beside bench-client",
    ),
    open("HOPBENCH_JOURNAL", "folder of the services' journals"),
    Variable {
        secret: true,
        ..open(
            "HOPBENCH_TOKEN",
            "token of a service's control port, for bench-server",
        )
    },
    open("RUST_LOG", "what is logged, instead of -q, -v and -vv"),
    open("NO_COLOR", "anything: no colours"),
];

/// The variables that are keys, by section and key. One whose two underscores are only one is refused, since it would say
/// nothing; every other variable is somebody else's.
pub(super) fn sections(variables: &[(String, String)], keys: &[Key]) -> Result<Dict, String> {
    let mut sections = Dict::new();
    for (name, value) in variables {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let Some((section, key)) = rest.split_once(BETWEEN) else {
            let alike = |key: &&Key| key.variable().replace(BETWEEN, "_") == *name;
            match keys.iter().find(alike) {
                Some(key) => {
                    return Err(format!(
                        "expected {}, got {name}; two underscores stand between section and key",
                        key.variable()
                    ));
                }
                None => continue,
            }
        };
        let section = section.to_lowercase();
        let key = key.to_lowercase().replace('_', "-");
        let entry = sections
            .entry(section)
            .or_insert_with(|| Value::from(Dict::new()));
        if let Value::Dict(_, entries) = entry {
            entries.insert(key, Value::from(value.as_str()));
        }
    }
    Ok(sections)
}

#[cfg(test)]
mod tests {
    use super::super::variable;
    use super::*;

    #[test]
    fn no_variable_of_the_stack_looks_like_a_key() {
        for variable in VARIABLES {
            assert!(!variable.name.contains(BETWEEN), "{}", variable.name);
            assert!(variable.about.len() > 5, "{}", variable.name);
        }
        assert_eq!(variable("load", "in-flight"), "HOPBENCH_LOAD__IN_FLIGHT");
    }
}
