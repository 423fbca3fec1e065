//! How many bytes is each payload as JSON and as protobuf? By count over the whole corpus: nothing is timed.

use super::{Experiment, Group, Suite, no_tables};
use crate::results::SizeRow;
use bench_proto::{Corpus, Format, PayloadClass};

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "size",
    question: "How many bytes is each payload as JSON and as protobuf?",
    claims: &["size-3-10x"],
    groups: |_: Suite| Vec::<Group>::new(),
    blocks: |_| 0,
    analysis: no_tables,
};

/// The classes that are counted: orders of 1 … 1,000 lines decide; the others show where the ratio goes.
pub const CLASSES: [PayloadClass; 12] = [
    PayloadClass::Order(1),
    PayloadClass::Order(3),
    PayloadClass::Order(10),
    PayloadClass::Order(100),
    PayloadClass::Order(1_000),
    PayloadClass::Text(64),
    PayloadClass::Text(1_024),
    PayloadClass::Text(65_536),
    PayloadClass::Ints,
    PayloadClass::Doubles,
    PayloadClass::WholeDoubles,
    PayloadClass::Bytes(65_536),
];

/// Counts the encoded sizes of every class in both formats.
pub fn count(seed: u64, mut counted: impl FnMut(PayloadClass)) -> Vec<SizeRow> {
    let mut rows = Vec::new();
    for class in CLASSES {
        let mut corpus = Corpus::new(class, seed);
        for format in [Format::Json, Format::Protobuf] {
            let sizes: Vec<u64> = (0..Corpus::SIZE as u64)
                .map(|entry| corpus.message(0, 0, entry).encode(format).len() as u64)
                .collect();
            rows.push(SizeRow {
                payload: class.to_string(),
                format: format.to_string(),
                compression: None,
                messages: sizes.len() as u64,
                mean_bytes: sizes.iter().sum::<u64>() as f64 / sizes.len() as f64,
                min: sizes.iter().copied().min().unwrap_or(0),
                max: sizes.iter().copied().max().unwrap_or(0),
            });
        }
        counted(class);
    }
    rows
}
