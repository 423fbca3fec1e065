//! One's own payload: the orders of a file, checked against the contract before anything starts, or messages of one's own
//! type as opaque bytes. It is data: it goes through the corpus that every payload class goes through, and an operation
//! does not know the difference.

mod fields;
mod orders;
#[cfg(test)]
mod tests;
pub mod types;

use bench_proto::{Corpus, Format, Kind, Message};
use std::fmt;
use std::path::Path;
use types::{Compiled, Typed};

/// The largest file that is read, bytes: every trial keeps its messages in memory.
const MOST_BYTES: u64 = 64 << 20;
/// The most messages that a file may hold.
const MOST_MESSAGES: usize = 65_536;
/// So many problems of a file are listed; the rest is counted.
const LISTED: usize = 20;

/// The payload that a file holds: one message at least.
#[derive(Clone)]
pub struct Own {
    name: String,
    file: String,
    digest: String,
    content: Content,
    /// Mean body as JSON and as protobuf, bytes.
    means: [f64; 2],
}

/// What a file holds.
#[derive(Clone)]
enum Content {
    Orders(Vec<Message>),
    Typed(Box<Typed>),
}

impl Own {
    /// Reads orders, one a line, or a single one. What is wrong with the file is told line by line and field by field,
    /// as far as a screen holds it.
    pub fn orders(path: &Path) -> Result<Self, String> {
        let (file, text) = read(path)?;
        let (messages, problems) = orders::parse(&text);
        let messages = checked(&file, messages, &problems)?;
        let digest = sha256(text.as_bytes());
        Ok(Self {
            name: name(&file, &digest),
            means: [Format::Json, Format::Protobuf].map(|format| mean_bytes(&messages, format)),
            file,
            digest,
            content: Content::Orders(messages),
        })
    }

    /// Reads messages of a type that a `.proto` file defines, each a line of proto3 JSON, or a single one.
    pub fn typed(proto: &Path, message: &str, payload: &Path) -> Result<Self, String> {
        let compiled = Compiled::new(proto, message)?;
        let (file, text) = read(payload)?;
        let (messages, problems) = compiled.parse(&text);
        let messages = checked(&file, messages, &problems)?;
        // Of another definition the same lines would be other messages.
        let digest = sha256(
            &[
                &compiled.definition[..],
                message.as_bytes(),
                text.as_bytes(),
            ]
            .concat(),
        );
        let typed = Typed::new(compiled, messages);
        Ok(Self {
            name: name(&file, &digest),
            means: [Format::Json, Format::Protobuf].map(|format| typed.mean_bytes(format)),
            file,
            digest,
            content: Content::Typed(Box::new(typed)),
        })
    }

    /// Orders, or blobs of another type.
    pub fn kind(&self) -> Kind {
        match self.content {
            Content::Orders(_) => Kind::Order,
            Content::Typed(_) => Kind::Blob,
        }
    }

    /// The messages of another type, where it is not orders.
    pub fn as_typed(&self) -> Option<&Typed> {
        match &self.content {
            Content::Orders(_) => None,
            Content::Typed(typed) => Some(typed),
        }
    }

    /// So many orders as a file of that name would hold them, for tests.
    #[cfg(test)]
    pub(crate) fn example(file: &str, count: usize) -> Self {
        let corpus = Corpus::first(bench_proto::PayloadClass::Order(2), 7, count);
        let bodies = corpus.messages().iter().map(|m| m.encode(Format::Json));
        let text: String = bodies
            .map(|b| format!("{}\n", String::from_utf8_lossy(&b)))
            .collect();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(file);
        std::fs::write(&path, text).expect("a file");
        Self::orders(&path).expect("orders of the corpus")
    }

    /// Its name in results, `file:orders.jsonl#1a2b3c4d`: files of one name and different content have different ones.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 in hexadecimal: of a file of orders as `sha256sum` prints it; of another type over its definition too.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Mean body as JSON and as protobuf, each order with an id of 36 characters, bytes; of another type without the blob
    /// that carries it.
    pub fn means(&self) -> [f64; 2] {
        self.means
    }

    /// The messages as a corpus, for a caller that wants bodies in `format`.
    pub fn corpus(&self, format: Format) -> Corpus {
        let messages = match &self.content {
            Content::Orders(orders) => orders.clone(),
            Content::Typed(typed) => typed.blobs(format),
        };
        Corpus::of(messages).expect("a file without a message is refused")
    }
}

/// `file orders.jsonl, 12 orders, mean 744 bytes as json, 290 as protobuf`.
impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "file {}, {}, mean {:.0} bytes as json, {:.0} as protobuf",
            self.file,
            match &self.content {
                Content::Orders(orders) => counted(orders.len(), "order"),
                Content::Typed(typed) => typed.told(),
            },
            self.means[0],
            self.means[1]
        )
    }
}

/// Without the messages themselves: they may be many, and they are the user's.
impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Own")
            .field("name", &self.name)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// Equal files are equal payloads.
impl PartialEq for Own {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.digest) == (&other.name, &other.digest)
    }
}

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Problem {
    /// The line of the file, from 1.
    line: usize,
    /// Where in the line's message, such as `items[0].quantity`; empty for the whole of it.
    field: String,
    /// What was expected, and what came.
    sentence: String,
}

impl Problem {
    fn new(line: usize, field: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self {
            line,
            field: field.into(),
            sentence: sentence.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => write!(f, "line {}: {}", self.line, self.sentence),
            field => write!(f, "line {}, {field}: {}", self.line, self.sentence),
        }
    }
}

/// A file's name without its folders, and its text.
fn read(path: &Path) -> Result<(String, String), String> {
    let shown = path.display();
    let failed = |error: std::io::Error| {
        format!("{shown} could not be read ({error}); expected a file with one message a line")
    };
    let about = std::fs::metadata(path).map_err(failed)?;
    if !about.is_file() {
        return Err(format!(
            "{shown} is no plain file; expected one with one message a line"
        ));
    }
    if about.len() > MOST_BYTES {
        return Err(format!(
            "{shown} has {} bytes, and at most {MOST_BYTES} are kept in memory; a corpus is gone over again and again, so a sample of it will do",
            about.len()
        ));
    }
    let bytes = std::fs::read(path).map_err(failed)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{shown}, line {line}: expected UTF-8 text, got bytes that are none")
    })?;
    let file = path.file_name().unwrap_or_default();
    Ok((file.to_string_lossy().into_owned(), text))
}

/// The messages, if nothing is wrong with the file and there is one at least.
fn checked<T>(file: &str, messages: Vec<T>, problems: &[Problem]) -> Result<Vec<T>, String> {
    if !problems.is_empty() {
        let mut text = format!(
            "{file} has {}, and nothing was started:",
            counted(problems.len(), "problem")
        );
        for problem in problems.iter().take(LISTED) {
            text.push_str(&format!("\n  {problem}"));
        }
        if problems.len() > LISTED {
            text.push_str(&format!("\n  … and {} more", problems.len() - LISTED));
        }
        return Err(text);
    }
    match messages.len() {
        0 => Err(format!(
            "{file} holds nothing; expected one message a line, or a single one"
        )),
        n if n > MOST_MESSAGES => Err(format!(
            "{file} holds {n} messages, and at most {MOST_MESSAGES} are kept in memory; a corpus is gone over again and again, so a sample of it will do"
        )),
        _ => Ok(messages),
    }
}

/// Mean body in a format as it is sent, each order with an id of 36 characters, bytes.
fn mean_bytes(messages: &[Message], format: Format) -> f64 {
    let mut corpus = Corpus::of(messages.to_vec()).expect("a file without a message is refused");
    let sum: usize = (0..messages.len() as u64)
        .map(|entry| corpus.message(0, 0, entry).encode(format).len())
        .sum();
    sum as f64 / messages.len() as f64
}

fn counted(n: usize, what: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {what}{plural}")
}

/// A file's name as part of a cell's: without what a shell or a page would trip over, and with the digest's first digits.
fn name(file: &str, digest: &str) -> String {
    let plain: String = file
        .chars()
        .take(48)
        .map(|c| match c {
            c if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') => c,
            _ => '_',
        })
        .collect();
    format!("file:{plain}#{}", &digest[..8])
}

fn sha256(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    let digits = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}
