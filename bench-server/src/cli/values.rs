//! What a flag's value may be. Every refusal is a sentence, and none shows a password.

use super::{Address, ControlAt, Resolved};
use bench_host::place::Cpus;
use std::net::{SocketAddr, ToSocketAddrs};

pub(super) fn address(text: &str) -> Result<Address, String> {
    let expected = "expected an address such as 127.0.0.1:8080 or 127.0.0.1:0";
    let resolved: Vec<SocketAddr> = text
        .to_socket_addrs()
        .map_err(|error| format!("{expected}; {error}"))?
        .collect();
    if resolved.is_empty() {
        return Err(format!("{expected}; this name has no address"));
    }
    Ok(Address {
        text: text.to_owned(),
        resolved,
    })
}

pub(super) fn resolved(text: &str) -> Result<Resolved, String> {
    address(text).map(|address| address.resolved.into())
}

pub(super) fn some_address(text: &str) -> Result<String, String> {
    address(text).map(|address| address.text)
}

pub(super) fn address_or_off(text: &str) -> Result<ControlAt, String> {
    match text {
        "off" => Ok(ControlAt::Off),
        _ => address(text).map(ControlAt::Address),
    }
}

/// The value itself, or for `env` what the variable holds.
fn or_environment(text: &str, variable: &str) -> Result<String, String> {
    match text {
        "env" => std::env::var(variable)
            .ok()
            .filter(|value| !value.is_empty())
            .ok_or_else(|| {
                format!("expected a value in {variable}, where `env` takes it from; it is not set")
            }),
        _ => Ok(text.to_owned()),
    }
}

pub(crate) fn amqp_url(text: &str) -> Result<String, String> {
    let url = or_environment(text, "HOPBENCH_AMQP_URL")?;
    let rest = url.strip_prefix("amqp://").or(url.strip_prefix("amqps://"));
    match rest {
        Some(rest) if !rest.is_empty() => Ok(url),
        // What came may hold a password: it is not repeated.
        _ => Err("expected a URL such as amqp://user:password@127.0.0.1:5672/%2f, or env".into()),
    }
}

pub(crate) fn brokers(text: &str) -> Result<String, String> {
    let list = or_environment(text, "HOPBENCH_KAFKA_BROKERS")?;
    let well_formed = |broker: &str| {
        broker.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0)
        })
    };
    if list.split(',').all(|broker| well_formed(broker.trim())) {
        return Ok(list);
    }
    Err(format!(
        "expected brokers such as 127.0.0.1:9092,127.0.0.1:9093, or env; got `{list}`"
    ))
}

pub(crate) fn scope(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=100).contains(&text.len()) && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    Err("expected 1 to 100 letters, digits, dots, dashes or underscores, as Kafka's topic names allow".into())
}

pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        // More than a million would only be a mistyped "unbounded".
        Ok(count @ 1..=1_000_000) => Ok(count),
        _ => Err("expected a number from 1 to 1000000; leave the flag out for no bound".into()),
    }
}

pub(super) fn size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "kB" => 1_000,
        "MB" => 1_000_000,
        _ => 0,
    };
    // A GiB is beyond what any of the transports carries in one message.
    match digits
        .parse::<usize>()
        .ok()
        .and_then(|n| n.checked_mul(factor))
    {
        Some(bytes) if (1..=1 << 30).contains(&bytes) => Ok(bytes),
        _ => Err("expected a size from 1B to 1024MiB, such as 64KiB, 4MiB or 4000000".into()),
    }
}

pub(super) fn cpus(text: &str) -> Result<Cpus, String> {
    let wrong = || format!("expected CPUs such as 0 or 0,2-3; got `{text}`");
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: usize = first.trim().parse().map_err(|_| wrong())?;
        let last: usize = last.trim().parse().map_err(|_| wrong())?;
        // The kernel's own limit on CPU numbers in common builds.
        if first > last || last >= 8_192 {
            return Err(wrong());
        }
        cpus.extend(first..=last);
    }
    Ok(cpus.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in [
            ("1", 1),
            ("64KiB", 65_536),
            ("4MiB", 4 << 20),
            ("3kB", 3_000),
        ] {
            assert_eq!(size(text), Ok(bytes));
        }
        for text in [
            "",
            "0",
            "MiB",
            "4 MiB",
            "4GiB",
            "2000MiB",
            "-1",
            "99999999999999999999MiB",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn cpus_are_read_as_lists_and_ranges() {
        assert_eq!(cpus("0").unwrap().to_string(), "0");
        assert_eq!(cpus("4,0,2-3").unwrap().to_string(), "0,2-4");
        for text in ["", "a", "3-1", "0,", "9999999"] {
            assert!(cpus(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_needs_its_port_and_says_whether_others_can_reach_it() {
        assert!(address("127.0.0.1:0").unwrap().is_loopback());
        assert!(address("[::1]:80").unwrap().is_loopback());
        assert!(!address("0.0.0.0:80").unwrap().is_loopback());
        for text in ["", "127.0.0.1", "127.0.0.1:99999", ":80:"] {
            assert!(address(text).unwrap_err().contains("expected an address"));
        }
    }

    #[test]
    fn a_refused_url_never_shows_its_password() {
        let error = amqp_url("http://me:secret@host").unwrap_err();
        assert!(!error.contains("secret"));
    }

    #[test]
    fn brokers_are_host_and_port_each() {
        assert!(brokers("127.0.0.1:9092,[::1]:9093").is_ok());
        for text in ["", "localhost", "a:0", "a:1,", ":9092"] {
            assert!(brokers(text).is_err(), "{text}");
        }
    }
}
