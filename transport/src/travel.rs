//! How a deadline travels with a call, so that nobody works on what nobody waits for any more. Where a request is
//! answered on its own connection it says the time that is left. A broker keeps a request for a while that nobody adds
//! up, so there it says the instant, on the clock that all processes of one host share (as the Stamp's).

use bench_host::clock::{after, now_ns};
use http::HeaderValue;
use http::header::{HeaderMap, HeaderName};
use std::time::Duration;

/// HTTP header: milliseconds that are left.
pub(crate) const TIMEOUT: &str = "hopbench-timeout-ms";
/// gRPC's own metadata for the same.
pub(crate) const GRPC_TIMEOUT: &str = "grpc-timeout";
/// Header of a message: the instant, nanoseconds of CLOCK_MONOTONIC in decimal digits.
pub(crate) const DEADLINE: &str = "hopbench-deadline-ns";

/// Nobody waits longer than a day.
const LONGEST: Duration = Duration::from_secs(86_400);

/// Says in a request's head what is left until `deadline_ns`, as of now.
pub(crate) fn say(headers: &mut HeaderMap, deadline_ns: Option<u64>) {
    let Some(deadline_ns) = deadline_ns else {
        return;
    };
    let text = timeout_text(left(deadline_ns));
    let mut value = HeaderValue::try_from(text).expect("digits and a dot are a header value");
    // HPACK then never indexes it: it differs in every request.
    value.set_sensitive(true);
    headers.insert(HeaderName::from_static(TIMEOUT), value);
}

/// What is left until an instant; nothing once it has passed.
pub(crate) fn left(deadline_ns: u64) -> Duration {
    Duration::from_nanos(deadline_ns.saturating_sub(now_ns()))
}

/// The instant by which a request of this head is to be answered, if it says so; it has come just now.
pub(crate) fn heard(headers: &HeaderMap) -> Result<Option<u64>, String> {
    let Some(value) = headers.get(TIMEOUT) else {
        return Ok(None);
    };
    let left = timeout_of(value.as_bytes())?;
    Ok(Some(after(now_ns(), left)))
}

/// The same of gRPC's metadata. What is no timeout is passed over, as gRPC libraries do.
pub(crate) fn heard_by_grpc(value: Option<&[u8]>) -> Option<u64> {
    let left = grpc_timeout_of(value?)?;
    Some(after(now_ns(), left))
}

/// The instant that a message's header names, if it has one.
pub(crate) fn instant_of(value: Option<&[u8]>) -> Result<Option<u64>, String> {
    let Some(value) = value else { return Ok(None) };
    let read = std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok());
    read.map(Some).ok_or_else(|| {
        format!(
            "expected {DEADLINE} as nanoseconds of CLOCK_MONOTONIC in decimal digits, got {:?}; leave it out to set no deadline",
            String::from_utf8_lossy(value)
        )
    })
}

fn timeout_text(left: Duration) -> String {
    format!("{:.3}", left.as_secs_f64() * 1e3)
}

fn timeout_of(value: &[u8]) -> Result<Duration, String> {
    let plain = |text: &&str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    let text = std::str::from_utf8(value).ok().filter(plain);
    let longest = LONGEST.as_secs_f64() * 1e3;
    text.and_then(|text| text.parse::<f64>().ok())
        .filter(|ms| (0.0..=longest).contains(ms))
        .map(|ms| Duration::from_secs_f64(ms / 1e3))
        .ok_or_else(|| {
            format!(
                "expected {TIMEOUT} as milliseconds from 0 to {longest}, such as 250 or 49.5, got {:?}; leave it out to set no deadline",
                String::from_utf8_lossy(value)
            )
        })
}

/// At most eight digits and a unit, as gRPC over HTTP/2 has it.
fn grpc_timeout_of(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3_600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_read_back_to_the_microsecond() {
        for left in [
            Duration::ZERO,
            Duration::from_micros(1),
            Duration::from_micros(49_731),
            Duration::from_secs(5),
            LONGEST,
        ] {
            assert_eq!(timeout_of(timeout_text(left).as_bytes()), Ok(left));
        }
    }

    #[test]
    fn what_is_no_timeout_is_answered_with_what_one_looks_like() {
        for text in [
            "", "soon", "-1", "NaN", "inf", "1e3", "1.2.3", "86400001", "5s",
        ] {
            let why = timeout_of(text.as_bytes()).unwrap_err();
            assert!(why.contains("49.5") && why.contains(text), "{why}");
        }
    }

    #[test]
    fn a_head_says_what_is_left_and_an_instant_that_has_passed_leaves_nothing() {
        let mut headers = HeaderMap::new();
        say(&mut headers, None);
        assert!(headers.is_empty());
        assert_eq!(heard(&headers), Ok(None));
        let deadline = after(now_ns(), Duration::from_secs(60));
        say(&mut headers, Some(deadline));
        let heard_ns = heard(&headers).unwrap().unwrap();
        // It goes by two readings of the clock, so it can only be later, and by less than the test takes.
        assert!(
            heard_ns + 1_000 >= deadline && heard_ns < after(deadline, Duration::from_secs(60))
        );
        say(&mut headers, Some(1));
        assert_eq!(headers[TIMEOUT], "0.000");
    }

    #[test]
    fn grpcs_own_words_are_read_and_others_passed_over() {
        for (text, left) in [
            ("5S", Duration::from_secs(5)),
            ("50000u", Duration::from_millis(50)),
            ("12345678n", Duration::from_nanos(12_345_678)),
            ("2H", Duration::from_secs(7_200)),
            ("3M", Duration::from_secs(180)),
            ("0m", Duration::ZERO),
        ] {
            assert_eq!(grpc_timeout_of(text.as_bytes()), Some(left), "{text}");
        }
        for text in ["", "S", "5", "5s", "123456789u", "-1S", "1.5S"] {
            assert_eq!(grpc_timeout_of(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn an_instant_is_digits() {
        assert_eq!(instant_of(None), Ok(None));
        assert_eq!(instant_of(Some(b"123")), Ok(Some(123)));
        for text in ["", "12a", "-1", "99999999999999999999999"] {
            let why = instant_of(Some(text.as_bytes())).unwrap_err();
            assert!(why.contains("CLOCK_MONOTONIC"), "{why}");
        }
    }
}
