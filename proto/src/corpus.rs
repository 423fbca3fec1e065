//! The payload classes and their seeded corpora: 1,024 distinct messages each. The corpus repeats, an order never
//! does: every operation writes a fresh `order_id` of fixed length before it is encoded. It knows no transport and
//! no format.

mod make;

use crate::{Kind, Message};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

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

/// The most lines that a class of orders may have: what the service accepts.
const MAX_LINES: u32 = crate::validate::MAX_LINES as u32;
/// The longest text or byte string of a class: under the service's default body limit of 4 MiB in either format.
const MAX_BLOB: u32 = 2 * 1024 * 1024;

impl PayloadClass {
    /// The classes that experiments use; any other number of lines, characters or bytes can be named too.
    pub const NAMED: [Self; 13] = [
        Self::Empty,
        Self::Text(64),
        Self::Text(1024),
        Self::Text(64 * 1024),
        Self::Order(1),
        Self::Order(3),
        Self::Order(10),
        Self::Order(100),
        Self::Order(1000),
        Self::Ints,
        Self::Doubles,
        Self::WholeDoubles,
        Self::Bytes(64 * 1024),
    ];

    /// Whether messages of the class are orders or blobs.
    pub fn kind(self) -> Kind {
        match self {
            Self::Order(_) => Kind::Order,
            _ => Kind::Blob,
        }
    }
}

impl fmt::Display for PayloadClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = |letter: char, size: u32| {
            if size.is_multiple_of(1024) {
                format!("{letter}{}K", size / 1024)
            } else {
                format!("{letter}{size}")
            }
        };
        f.pad(&match *self {
            Self::Empty => "E0".into(),
            Self::Text(length) => size('E', length),
            Self::Bytes(length) => size('B', length),
            Self::Order(lines) => format!("O{lines}"),
            Self::Ints => "N-int".into(),
            Self::Doubles => "N-dbl".into(),
            Self::WholeDoubles => "N-whole".into(),
        })
    }
}

impl FromStr for PayloadClass {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).ok_or_else(|| {
            format!(
                "expected a payload class, got '{text}'; there are E0, E64, E1K, E64K (a blob of that much text), \
                 O1, O3, O10, O100, O1000 or any O<n> (an order of 1 to {MAX_LINES} lines), \
                 N-int, N-dbl, N-whole (1,000 numbers) and B64K (bytes)"
            )
        })
    }
}

fn parse(text: &str) -> Option<PayloadClass> {
    match text {
        "E0" => return Some(PayloadClass::Empty),
        "N-int" => return Some(PayloadClass::Ints),
        "N-dbl" => return Some(PayloadClass::Doubles),
        "N-whole" => return Some(PayloadClass::WholeDoubles),
        _ => {}
    }
    let mut rest = text.chars();
    let letter = rest.next()?;
    let (digits, unit) = match rest.as_str().strip_suffix('K') {
        Some(digits) if letter != 'O' => (digits, 1024),
        _ => (rest.as_str(), 1),
    };
    // One spelling for each class, so that a class's name can be a key: no sign, no leading zero.
    if digits.starts_with('0') || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let size = digits.parse::<u32>().ok()?.checked_mul(unit)?;
    match letter {
        'E' if size <= MAX_BLOB => Some(PayloadClass::Text(size)),
        'B' if size <= MAX_BLOB => Some(PayloadClass::Bytes(size)),
        'O' if size <= MAX_LINES => Some(PayloadClass::Order(size)),
        _ => None,
    }
}

impl Serialize for PayloadClass {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PayloadClass {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// 1,024 distinct messages of one class (but for E0, of which there is only one).
#[derive(Clone, Debug)]
pub struct Corpus {
    messages: Vec<Message>,
}

impl Corpus {
    /// Messages per corpus.
    pub const SIZE: usize = 1_024;

    /// The corpus of a class; equal seeds give equal corpora.
    pub fn new(class: PayloadClass, seed: u64) -> Self {
        Self::first(class, seed, Self::SIZE)
    }

    /// Its first `count` messages alone (at least one, at most [`Corpus::SIZE`]): enough where a whole corpus of large
    /// messages would fill the memory.
    pub fn first(class: PayloadClass, seed: u64, count: usize) -> Self {
        Self {
            messages: make::messages(class, seed, count.clamp(1, Self::SIZE)),
        }
    }

    /// A corpus of other messages, in their order; none without a message.
    pub fn of(messages: Vec<Message>) -> Option<Self> {
        (!messages.is_empty()).then_some(Self { messages })
    }

    /// The messages as they were made, in their order.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The message of an operation: entry `sequence` modulo the corpus' length, with the order id of (run, producer, sequence) written into it in place.
    pub fn message(&mut self, run: u64, producer: u32, sequence: u64) -> &Message {
        let entry = (sequence % self.messages.len() as u64) as usize;
        let message = &mut self.messages[entry];
        if let Message::Order(order) = message {
            let id = order_id(run, producer, sequence);
            order.order_id.clear();
            order
                .order_id
                .push_str(std::str::from_utf8(&id).expect("an order id is ASCII"));
        }
        message
    }
}

/// Producers that [`order_id`] tells apart.
pub const MAX_PRODUCERS: u32 = 1 << 16;

/// The order id of an operation as UUID text: 36 characters, always, distinct for distinct (run, producer, sequence).
///
/// `rrrrrrrr-rrrr-rrrr-pppp-ssssssssssss`: all 64 bits of the run, the low 16 of the producer and the low 48 of the
/// sequence, in hexadecimal, highest digit first. A UUID has 128 bits, so producers from [`MAX_PRODUCERS`] and
/// sequences from 2^48 on (a million a second for nine years) would repeat.
pub fn order_id(run: u64, producer: u32, sequence: u64) -> [u8; 36] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let low = u64::from(producer as u16) << 48 | (sequence & 0xffff_ffff_ffff);
    let mut text = [b'-'; 36];
    let groups = [
        (0, 8, run >> 32),
        (9, 4, run >> 16),
        (14, 4, run),
        (19, 4, low >> 48),
        (24, 12, low),
    ];
    for (at, digits, value) in groups {
        for (i, character) in text[at..at + digits].iter_mut().enumerate() {
            *character = HEX[(value >> (4 * (digits - 1 - i)) & 0xf) as usize];
        }
    }
    text
}

#[cfg(test)]
mod tests;
