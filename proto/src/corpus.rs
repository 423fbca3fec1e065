//! The payload classes and their seeded corpora: 1,024 distinct messages each. The corpus repeats, an order never
//! does: every operation writes a fresh `order_id` of fixed length before it is encoded.

use crate::{Kind, Message};

/// A named class of payloads: E0 E64 E1K E64K, O1 … O1000 (orders of that many lines), N-int N-dbl N-whole, B64K.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PayloadClass {
    /// An empty blob.
    Empty,
    /// A blob of one random string of so many characters (E64, E1K, E64K).
    Text(u32),
    /// An order of so many lines.
    Order(u32),
    /// 1,000 small sint32 (N-int).
    Ints,
    /// 1,000 doubles (N-dbl).
    Doubles,
    /// 1,000 whole-number doubles (N-whole).
    WholeDoubles,
    /// A blob of so many random bytes (B64K).
    Bytes(u32),
}

impl PayloadClass {
    /// Whether messages of the class are orders or blobs.
    pub fn kind(self) -> Kind {
        todo!()
    }
}

/// 1,024 distinct messages of one class.
#[derive(Clone, Debug)]
pub struct Corpus {
    messages: Vec<Message>,
}

impl Corpus {
    /// Messages per corpus.
    pub const SIZE: usize = 1_024;

    /// The corpus of a class; equal seeds give equal corpora.
    pub fn new(_class: PayloadClass, _seed: u64) -> Self {
        todo!()
    }

    /// The message of an operation: entry `sequence mod 1,024`, with the order id of (run, producer, sequence) written into it in place.
    pub fn message(&mut self, _run: u64, _producer: u32, _sequence: u64) -> &Message {
        let _ = &self.messages;
        todo!()
    }
}

/// The order id of an operation as UUID text: 36 characters, always, distinct for distinct (run, producer, sequence).
pub fn order_id(_run: u64, _producer: u32, _sequence: u64) -> [u8; 36] {
    todo!()
}
