//! Addresses as people write them: a host with its port, a list of Kafka brokers, an AMQP URL. Refused before anything
//! is opened; a password in one is shown to nobody.

/// Checks `host:port`.
pub fn host(text: &str) -> Result<(), String> {
    if is_host(text) {
        return Ok(());
    }
    Err(format!(
        "expected a host and its port such as 127.0.0.1:8080, got '{text}'"
    ))
}

/// Checks `host:port,…`, as Kafka's bootstrap servers are written.
pub fn hosts(text: &str) -> Result<(), String> {
    if text.split(',').all(|host| is_host(host.trim())) {
        return Ok(());
    }
    Err(format!(
        "expected brokers such as 127.0.0.1:9092,127.0.0.1:9093, got '{text}'"
    ))
}

/// Checks an AMQP URL. What came may hold a password, so it is shown without.
pub fn amqp_url(text: &str) -> Result<(), String> {
    let rest = text
        .strip_prefix("amqp://")
        .or(text.strip_prefix("amqps://"));
    if rest.is_some_and(|rest| !rest.is_empty()) {
        return Ok(());
    }
    Err(format!(
        "expected a URL such as amqp://user:password@127.0.0.1:5672/%2f, got '{}'",
        without_password(text)
    ))
}

/// The text with `…` for the password of a URL, if it is one that has it.
pub fn without_password(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    match rest.rsplit_once('@') {
        Some((user, host)) if user.contains(':') => {
            let name = user.split(':').next().unwrap_or_default();
            let scheme = match scheme {
                "" => String::new(),
                scheme => format!("{scheme}://"),
            };
            format!("{scheme}{name}:…@{host}")
        }
        _ => text.to_owned(),
    }
}

fn is_host(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty()
            && !host.contains(char::is_whitespace)
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_a_port_and_brokers_are_several_of_them() {
        for text in ["127.0.0.1:80", "[::1]:80", "localhost:65535"] {
            assert_eq!(host(text), Ok(()));
            assert_eq!(hosts(&format!("{text}, {text}")), Ok(()));
        }
        for text in ["", "here", ":80", "a:0", "a:70000", "a b:80", "a:80:"] {
            assert!(host(text).unwrap_err().contains("expected"), "{text}");
            assert!(hosts(text).is_err(), "{text}");
        }
        assert!(hosts("a:1,").is_err());
    }

    #[test]
    fn a_password_is_never_shown() {
        for (text, shown) in [
            ("amqp://me:secret@host:1/%2f", "amqp://me:…@host:1/%2f"),
            ("amqp://me:se:cr@et@host", "amqp://me:…@host"),
            ("me:secret@host", "me:…@host"),
            ("amqp://host:5672", "amqp://host:5672"),
            ("127.0.0.1:9092", "127.0.0.1:9092"),
            ("", ""),
        ] {
            assert_eq!(without_password(text), shown);
        }
        assert_eq!(amqp_url("amqps://me:secret@host"), Ok(()));
        let refused = amqp_url("http://me:secret@host").unwrap_err();
        assert!(
            refused.contains("http://me:…@host") && !refused.contains("secret"),
            "{refused}"
        );
        assert!(amqp_url("amqp://").is_err());
    }
}
