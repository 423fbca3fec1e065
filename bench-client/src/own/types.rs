//! Messages of one's own type: a `.proto` compiled here, without `protoc`, and lines of proto3 JSON read into messages that
//! are known by their description alone. Their codecs are *dynamic*: slower than generated code, and labelled so.

use super::orders::{documents, no_json};
use super::{Problem, counted};
use bench_proto::{Blob, Format, Message};
use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use std::path::Path;

/// A type as it was compiled.
pub(super) struct Compiled {
    descriptor: MessageDescriptor,
    /// Its file and all that it imports, encoded: part of the payload's digest.
    pub(super) definition: Vec<u8>,
}

impl Compiled {
    /// Compiles a file; what it imports is looked for beside it.
    pub(super) fn new(proto: &Path, message: &str) -> Result<Self, String> {
        let shown = proto.display();
        let beside = proto
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let beside = beside.unwrap_or(Path::new("."));
        let compile = || -> Result<protox::Compiler, protox::Error> {
            let mut compiler = protox::Compiler::new([beside])?;
            compiler.include_imports(true).open_file(proto)?;
            Ok(compiler)
        };
        let compiler = compile().map_err(|error| {
            // Its `Debug` says file, line and column.
            format!(
                "{shown} could not be compiled: {error:?}; its imports are looked for beside it"
            )
        })?;
        let pool = compiler.descriptor_pool();
        let descriptor = pool.get_message_by_name(message).ok_or_else(|| {
            let known: Vec<String> = pool
                .all_messages()
                .map(|message| message.full_name().to_string())
                .filter(|name| !name.starts_with("google.protobuf."))
                .collect();
            format!(
                "{shown} defines no message '{message}'; expected its full name, one of: {}",
                known.join(", ")
            )
        })?;
        Ok(Self {
            descriptor,
            definition: compiler.encode_file_descriptor_set(),
        })
    }

    /// Every message of a file, and every problem.
    pub(super) fn parse(&self, text: &str) -> (Vec<DynamicMessage>, Vec<Problem>) {
        let (mut messages, mut problems) = (Vec::new(), Vec::new());
        for (line, document) in documents(text) {
            match self.message(line, document) {
                Ok(message) => messages.push(message),
                Err(problem) => problems.push(problem),
            }
        }
        (messages, problems)
    }

    fn message(&self, line: usize, text: &str) -> Result<DynamicMessage, Problem> {
        let name = self.descriptor.full_name();
        let mut reader = serde_json::Deserializer::from_str(text);
        let mut track = serde_path_to_error::Track::new();
        let tracked = serde_path_to_error::Deserializer::new(&mut reader, &mut track);
        let message = match DynamicMessage::deserialize(self.descriptor.clone(), tracked) {
            Ok(message) => message,
            Err(error) if error.is_data() => {
                let path = track.path().to_string();
                let said = error.to_string();
                let cause = said.split(" at line ").next().unwrap_or_default();
                let sentence = format!(
                    "expected a {name} as proto3 JSON, got at column {}: {cause}",
                    error.column()
                );
                let line = line + error.line().saturating_sub(1);
                return Err(Problem::new(line, path.trim_start_matches('.'), sentence));
            }
            Err(error) => return Err(no_json(line, &error)),
        };
        reader.end().map_err(|error| no_json(line, &error))?;
        let most = bench_transport::Settings::default().max_body;
        let carried = blob(Format::Json, &encode(&message, Format::Json)).encode(Format::Json);
        if carried.len() > most {
            let sentence = format!(
                "expected a message of at most {most} bytes as it is carried, which is what the service takes, got {}",
                carried.len()
            );
            return Err(Problem::new(line, "", sentence));
        }
        Ok(message)
    }
}

/// Messages of one type, and their bodies in both formats.
#[derive(Clone)]
pub struct Typed {
    descriptor: MessageDescriptor,
    messages: Vec<DynamicMessage>,
    json: Vec<Bytes>,
    protobuf: Vec<Bytes>,
}

impl Typed {
    /// `messages` is not empty.
    pub(super) fn new(compiled: Compiled, messages: Vec<DynamicMessage>) -> Self {
        let bodies = |format| messages.iter().map(|m| encode(m, format)).collect();
        Self {
            descriptor: compiled.descriptor,
            json: bodies(Format::Json),
            protobuf: bodies(Format::Protobuf),
            messages,
        }
    }

    /// The messages, in the file's order.
    pub fn messages(&self) -> &[DynamicMessage] {
        &self.messages
    }

    /// Their bodies in a format, in the same order.
    pub fn bodies(&self, format: Format) -> &[Bytes] {
        match format {
            Format::Json => &self.json,
            Format::Protobuf => &self.protobuf,
        }
    }

    /// Reads a body back; it is one of [`Typed::bodies`], so anything else is a fault of the codec.
    pub fn decode(&self, format: Format, body: &[u8]) -> DynamicMessage {
        let descriptor = self.descriptor.clone();
        match format {
            Format::Json => {
                let mut reader = serde_json::Deserializer::from_slice(body);
                DynamicMessage::deserialize(descriptor, &mut reader)
                    .expect("what was just encoded decodes")
            }
            Format::Protobuf => {
                DynamicMessage::decode(descriptor, body).expect("what was just encoded decodes")
            }
        }
    }

    /// Each body in a blob, as a transport of this format carries it.
    pub(super) fn blobs(&self, format: Format) -> Vec<Message> {
        let carried = self.bodies(format).iter();
        carried.map(|body| blob(format, body)).collect()
    }

    /// `12 messages of shop.v1.Cart (dynamic, carried as opaque bytes)`.
    pub(super) fn told(&self) -> String {
        format!(
            "{} of {} (dynamic, carried as opaque bytes)",
            counted(self.messages.len(), "message"),
            self.descriptor.full_name()
        )
    }

    pub(super) fn mean_bytes(&self, format: Format) -> f64 {
        let bodies = self.bodies(format);
        let sum: usize = bodies.iter().map(Bytes::len).sum();
        sum as f64 / bodies.len() as f64
    }
}

/// A message in a format: the proto3 JSON mapping, or protobuf.
pub fn encode(message: &DynamicMessage, format: Format) -> Bytes {
    match format {
        Format::Json => serde_json::to_vec(message)
            .expect("a message has string keys only and a Vec takes every byte")
            .into(),
        Format::Protobuf => message.encode_to_vec().into(),
    }
}

/// JSON is carried as text, whose quotes JSON escapes once more; protobuf as bytes.
fn blob(format: Format, body: &[u8]) -> Message {
    Message::Blob(match format {
        Format::Json => Blob {
            payload: String::from_utf8_lossy(body).into_owned(),
            ..Blob::default()
        },
        Format::Protobuf => Blob {
            data: body.to_vec(),
            ..Blob::default()
        },
    })
}
