//! Whatever text a parser of this program is given: it answers, never panics, and what it prints reads back as the same.
//! (Slowness, Stamps and bodies are asked the same where they live, in `proto`; frames in `transport`.)

use bench_client::config::{Key, Takes};
use bench_client::fault::Fault;
use bench_client::load::arrival::parse_trace;
use bench_client::load::{Arrival, Profile, Spacing};
use bench_client::{address, config, units};
use bench_proto::PayloadClass;
use proptest::prelude::*;
use std::time::Duration;

/// A refusal is a sentence for a person: it says what was expected.
fn is_a_sentence(said: &str) -> Result<(), TestCaseError> {
    prop_assert!(
        said.contains("expected") || said.contains("trace"),
        "{said}"
    );
    prop_assert!(!said.contains("Error"), "{said}");
    Ok(())
}

proptest! {
    #[test]
    fn a_duration_is_read_to_the_nanosecond(ns in 0..86_400_000_000_000_u64) {
        let text = format!("{ns}ns");
        prop_assert_eq!(units::parse_duration(&text), Ok(Duration::from_nanos(ns)));
    }

    #[test]
    fn a_duration_is_read_as_rust_prints_it(ns in 0..86_400_000_000_000_u64) {
        let duration = Duration::from_nanos(ns);
        prop_assert_eq!(units::parse_duration(&format!("{duration:?}")), Ok(duration));
    }

    #[test]
    fn no_text_is_more_than_a_refused_duration(text in "[0-9a-zµ. -]{0,12}|\\PC{0,20}") {
        match units::parse_duration(&text) {
            Ok(duration) => prop_assert!(duration <= Duration::from_secs(86_400)),
            Err(said) => is_a_sentence(&said)?,
        }
    }

    #[test]
    fn no_text_is_more_than_a_refused_rate(text in "[0-9.,:ms]{0,24}|\\PC{0,20}") {
        match text.parse::<Profile>() {
            Ok(profile) => {
                // What was accepted is a plan: it ascends, and does not stand still.
                for spacing in [Spacing::Even, Spacing::Poisson { seed: 1 }] {
                    let arrival = Arrival::Rate { profile: profile.clone(), spacing };
                    let offsets: Vec<u64> = arrival.offsets().take(200).collect();
                    prop_assert_eq!(offsets.len(), 200);
                    prop_assert!(offsets.is_sorted(), "{:?}", offsets);
                }
            }
            Err(said) => is_a_sentence(&said)?,
        }
    }

    #[test]
    fn no_text_is_more_than_a_refused_trace(text in "([0-9.a-z#]{0,8}\n){0,6}|\\PC{0,40}") {
        match parse_trace(&text) {
            Ok(arrival) => {
                let offsets: Vec<u64> = arrival.offsets().collect();
                prop_assert!(!offsets.is_empty() && offsets.is_sorted(), "{:?}", offsets);
            }
            Err(said) => is_a_sentence(&said)?,
        }
    }

    #[test]
    fn a_fault_reads_back_as_it_is_printed(ns in 0..86_400_000_000_000_u64) {
        let text = format!("at {:?} kill service", Duration::from_nanos(ns));
        let fault = text.parse::<Fault>().map_err(TestCaseError::fail)?;
        prop_assert_eq!(fault.to_string().parse::<Fault>(), Ok(fault));
    }

    #[test]
    fn no_text_is_more_than_a_refused_fault(
        text in "(at|for|every)? ?[0-9.]{0,4}(s|ms|h)? ?(kill|stop|pause)? ?(service|broker|relay)?|\\PC{0,30}"
    ) {
        match text.parse::<Fault>() {
            Ok(fault) => prop_assert_eq!(fault.to_string().parse::<Fault>(), Ok(fault)),
            Err(said) => is_a_sentence(&said)?,
        }
    }

    #[test]
    fn a_payload_class_reads_back_as_it_is_printed(text in "[EONB][0-9a-zK-]{0,7}|\\PC{0,10}") {
        match text.parse::<PayloadClass>() {
            Ok(class) => prop_assert_eq!(class.to_string().parse::<PayloadClass>(), Ok(class)),
            Err(said) => is_a_sentence(&said)?,
        }
    }

    #[test]
    fn no_address_shows_its_password(user in "[a-z]{1,5}", host in "[a-z]{1,5}", secret in "[0-9:@/]{1,12}") {
        // Letters around it, so that no part of the rest can look like it.
        let secret = format!("S{secret}S");
        let text = format!("amqp://{user}:{secret}@{host}:5672/%2f");
        let shown = address::without_password(&text);
        prop_assert!(!shown.contains('S'), "{shown}");
        prop_assert!(shown.contains(&user) && shown.contains(&host), "{shown}");
    }

    #[test]
    fn no_text_is_more_than_a_refused_configuration(
        file in "(\\[(load|run|x)\\]\n)?([a-z-]{1,6} ?= ?(\"[a-z0-9]{0,4}\"|[0-9.e-]{0,4}|true|\\[[0-9,]{0,5}\\]|\\{\\})\n){0,4}|\\PC{0,60}",
        variable in "HOPBENCH_[A-Z_]{0,12}",
        value in "\\PC{0,10}",
    ) {
        let keys = [("load", "rate", Takes::One), ("load", "tls", Takes::Switch), ("run", "of", Takes::Many)]
            .map(|(section, name, takes)| Key { section: section.into(), name: name.into(), takes });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hopbench.toml");
        std::fs::write(&path, &file).unwrap();
        match config::read(Some(&path), &[(variable, value)], &keys) {
            Ok(given) => {
                for given in given {
                    prop_assert!(keys.iter().any(|key| (&key.section, &key.name) == (&given.section, &given.name)));
                }
            }
            Err(said) => prop_assert!(said.contains("expected"), "{said}"),
        }
    }
}
