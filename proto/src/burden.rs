//! A planted slower codec: fixed extra work at every encoding and decoding of one format, the same on every transport and
//! at both ends, so that a test can ask an analysis to find it where it lies and nowhere else. Nothing is planted
//! unless a hidden flag asks for it; then it costs one load of an atomic per body.

use crate::Format;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Which codec is slower, and by how much work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burden {
    /// The format whose codec is burdened.
    pub format: Format,
    /// Rounds of work per encoding or decoding (one is a few ns).
    pub rounds: u32,
}

/// How it is spelled within a plant: `codec=protobuf:10000`.
const KIND: &str = "codec=";

impl Burden {
    /// The burden among the parts of a plant such as `drop=1/100,codec=protobuf:10000`, if there is one.
    pub fn within(plant: &str) -> Result<Option<Self>, String> {
        plant
            .split(',')
            .find_map(|part| part.trim().strip_prefix(KIND))
            .map(str::parse)
            .transpose()
    }
}

impl FromStr for Burden {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "expected a format and rounds of work, such as codec=protobuf:10000; got `{KIND}{text}`"
            )
        };
        let (format, rounds) = text.split_once(':').ok_or_else(wrong)?;
        Ok(Self {
            format: format.parse().map_err(|_| wrong())?,
            rounds: rounds
                .parse()
                .ok()
                .filter(|rounds| *rounds > 0)
                .ok_or_else(wrong)?,
        })
    }
}

/// Rounds by format; one process, one burden.
static ROUNDS: [AtomicU32; 2] = [AtomicU32::new(0), AtomicU32::new(0)];
/// How often it was borne.
static BORNE: AtomicU64 = AtomicU64::new(0);

/// Burdens this whole process from now on; none takes the burden off.
pub fn plant(burden: Option<Burden>) {
    for rounds in &ROUNDS {
        rounds.store(0, Ordering::Relaxed);
    }
    if let Some(burden) = burden {
        ROUNDS[burden.format as usize].store(burden.rounds, Ordering::Relaxed);
    }
    forget();
}

/// How often the burden was borne since it was planted or forgotten; none where nothing is planted.
pub fn borne() -> Option<u64> {
    let planted = |rounds: &AtomicU32| rounds.load(Ordering::Relaxed) > 0;
    ROUNDS
        .iter()
        .any(planted)
        .then(|| BORNE.load(Ordering::Relaxed))
}

/// Counts from zero again.
pub fn forget() {
    BORNE.store(0, Ordering::Relaxed);
}

/// Does the extra work of one encoding or decoding, if there is any. [`Format`]'s own methods call it; so must whoever
/// encodes or decodes the contract's messages without them.
#[inline]
pub fn bear(format: Format) {
    let rounds = ROUNDS[format as usize].load(Ordering::Relaxed);
    if rounds > 0 {
        BORNE.fetch_add(1, Ordering::Relaxed);
        std::hint::black_box(work(rounds));
    }
}

/// So many dependent multiplications: the same instructions every time, and nothing that a compiler can foresee.
#[cold]
fn work(rounds: u32) -> u64 {
    // Knuth's MMIX generator.
    let step = |state: u64, _| {
        std::hint::black_box(state)
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407)
    };
    (0..rounds).fold(0, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_is_exactly_so_many_rounds() {
        assert_eq!(work(0), 0);
        assert_eq!(work(1), 1_442_695_040_888_963_407);
        let twice = 1_442_695_040_888_963_407_u64
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        assert_eq!(work(2), twice);
    }

    #[test]
    fn a_burden_is_read_from_among_other_plants_and_anything_else_is_refused() {
        let protobuf = Burden {
            format: Format::Protobuf,
            rounds: 10_000,
        };
        assert_eq!(Burden::within("codec=protobuf:10000"), Ok(Some(protobuf)));
        assert_eq!(
            Burden::within("drop=1/100, codec=protobuf:10000"),
            Ok(Some(protobuf))
        );
        assert_eq!(Burden::within("drop=1/100"), Ok(None));
        for text in [
            "",
            "protobuf",
            "xml:5",
            "json:0",
            "json:-1",
            "json:many",
            "json:5:5",
        ] {
            let error = Burden::within(&format!("codec={text}")).unwrap_err();
            assert!(error.contains("codec=protobuf:10000"), "{text}: {error}");
        }
    }
}
