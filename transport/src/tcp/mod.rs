//! The tcp transport, the floor: a length prefix and nothing else, in order, pipelined. This file owns the frames;
//! `client` and `server` own the two ends.
//!
//! A request frame, integers big-endian; the prefix counts everything after itself:
//! ```text
//! length u32 | kind u8 (0 order, 1 blob) | flags u8 (bit 0 stamped, bit 1 JSON) | Stamp, 32 bytes, if stamped | body
//! ```
//! An answer frame, one per request and in their order:
//! ```text
//! length u32 | status u8 (0 answer, 1 refused, 2 failed, 3 rejected, 4 overloaded) | body: the encoded answer, else a sentence
//! ```
//! After a frame that cannot be read on from (too long, cut short, unknown kind or flags) the server answers
//! `rejected` and closes; a frame whose body or Stamp is malformed is answered `rejected` and the connection goes on.

mod client;
mod server;

pub use client::{TcpCaller, connect};
pub use server::serve;

/// What is left to the system where nobody matches the settings.
pub(crate) const LEFT_UNSET: crate::LeftUnset = crate::LeftUnset {
    caller: "Nagle: the system leaves it on",
    service: "Nagle: the system leaves it on",
};

use bench_proto::{Format, Kind, Stamp};
use bytes::{BufMut, BytesMut};

/// Bytes of the length prefix.
const PREFIX: usize = 4;
/// Kind and flags.
const REQUEST_HEAD: usize = 2;
/// The status.
const ANSWER_HEAD: usize = 1;

const STAMPED: u8 = 1;
const JSON: u8 = 2;

/// Bytes on the wire of a request with a body of so many bytes.
pub fn frame_len(body: usize, stamped: bool) -> usize {
    PREFIX + REQUEST_HEAD + if stamped { Stamp::LEN } else { 0 } + body
}

/// Bytes on the wire of an answer with a body of so many bytes.
pub fn answer_len(body: usize) -> usize {
    PREFIX + ANSWER_HEAD + body
}

/// How the service answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Answer = 0,
    Refused = 1,
    Failed = 2,
    Rejected = 3,
    Overloaded = 4,
}

/// A request as it stands in the input buffer.
#[derive(Debug, PartialEq)]
struct Request<'a> {
    kind: Kind,
    format: Format,
    stamp: Option<&'a [u8]>,
    body: &'a [u8],
}

/// Why a connection cannot be read on from: a short stable name and the sentence.
#[derive(Debug, PartialEq)]
struct Broken {
    name: &'static str,
    text: String,
}

impl Broken {
    fn new(name: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { name, text }
    }
}

/// Appends a request frame.
fn put_request(out: &mut BytesMut, kind: Kind, format: Format, stamp: Option<&Stamp>, body: &[u8]) {
    let length = frame_len(body.len(), stamp.is_some());
    out.reserve(length);
    out.put_u32((length - PREFIX) as u32);
    out.put_u8(match kind {
        Kind::Order => 0,
        Kind::Blob => 1,
    });
    let json = if format == Format::Json { JSON } else { 0 };
    out.put_u8(json | if stamp.is_some() { STAMPED } else { 0 });
    if let Some(stamp) = stamp {
        out.put_slice(&stamp.to_bytes());
    }
    out.put_slice(body);
}

/// Appends an answer frame.
fn put_answer(out: &mut BytesMut, status: Status, body: &[u8]) {
    let length = answer_len(body.len());
    out.reserve(length);
    out.put_u32((length - PREFIX) as u32);
    out.put_u8(status as u8);
    out.put_slice(body);
}

/// What the next frame holds after its prefix, once all of it is there.
fn frame(input: &[u8], limit: usize) -> Result<Option<&[u8]>, Broken> {
    let Some((prefix, rest)) = input.split_first_chunk::<PREFIX>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*prefix) as usize;
    if length > limit {
        return Err(Broken::new(
            "tcp oversized",
            format!("expected a frame of at most {limit} bytes, got one of {length}; send less"),
        ));
    }
    Ok(rest.get(..length))
}

/// Reads the request at the front of the input, if all of it is there; also how many bytes it takes.
fn take_request(input: &[u8], max_body: usize) -> Result<Option<(Request<'_>, usize)>, Broken> {
    let limit = REQUEST_HEAD + Stamp::LEN + max_body;
    let Some(frame) = frame(input, limit)? else {
        return Ok(None);
    };
    let used = PREFIX + frame.len();
    let [kind, flags, rest @ ..] = frame else {
        return Err(Broken::new(
            "tcp frame",
            "expected a kind and flags, got a shorter frame",
        ));
    };
    let kind = match kind {
        0 => Kind::Order,
        1 => Kind::Blob,
        other => {
            return Err(Broken::new(
                "tcp kind",
                format!("expected kind 0 (order) or 1 (blob), got {other}"),
            ));
        }
    };
    if flags & !(STAMPED | JSON) != 0 {
        return Err(Broken::new(
            "tcp flags",
            format!("expected flags of bit 0 (stamped) and bit 1 (JSON), got {flags:#010b}"),
        ));
    }
    let (stamp, body) = if flags & STAMPED == 0 {
        (None, rest)
    } else {
        let (stamp, body) = rest.split_at_checked(Stamp::LEN).ok_or_else(|| {
            Broken::new(
                "tcp frame",
                format!(
                    "expected a Stamp of {} bytes, got {}",
                    Stamp::LEN,
                    rest.len()
                ),
            )
        })?;
        (Some(stamp), body)
    };
    if body.len() > max_body {
        return Err(Broken::new(
            "tcp oversized",
            format!(
                "expected a body of at most {max_body} bytes, got {}; send less",
                body.len()
            ),
        ));
    }
    let format = if flags & JSON == 0 {
        Format::Protobuf
    } else {
        Format::Json
    };
    let request = Request {
        kind,
        format,
        stamp,
        body,
    };
    Ok(Some((request, used)))
}

/// An answer as it stands in the input buffer, and how many bytes it takes there.
type Answered<'a> = (Status, &'a [u8], usize);

/// Reads the answer at the front of the input, if all of it is there; also how many bytes it takes.
fn take_answer(input: &[u8], limit: usize) -> Result<Option<Answered<'_>>, Broken> {
    let Some(frame) = frame(input, limit)? else {
        return Ok(None);
    };
    let [status, body @ ..] = frame else {
        return Err(Broken::new(
            "tcp frame",
            "expected a status, got an empty frame",
        ));
    };
    let status = match status {
        0 => Status::Answer,
        1 => Status::Refused,
        2 => Status::Failed,
        3 => Status::Rejected,
        4 => Status::Overloaded,
        other => {
            return Err(Broken::new(
                "tcp status",
                format!("expected a status of 0 to 4, got {other}"),
            ));
        }
    };
    Ok(Some((status, body, PREFIX + frame.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const STAMP: Stamp = Stamp {
        run: 1,
        producer: 2,
        sequence: 3,
        planned_ns: 4,
    };

    fn request(format: Format, stamp: Option<&Stamp>, body: &[u8]) -> BytesMut {
        let mut out = BytesMut::new();
        put_request(&mut out, Kind::Blob, format, stamp, body);
        out
    }

    #[test]
    fn a_request_frame_is_as_long_as_the_arithmetic_says_and_reads_back() {
        for stamp in [None, Some(&STAMP)] {
            for format in [Format::Json, Format::Protobuf] {
                let wire = request(format, stamp, b"body");
                assert_eq!(wire.len(), frame_len(4, stamp.is_some()));
                let (read, used) = take_request(&wire, 4).unwrap().unwrap();
                assert_eq!(used, wire.len());
                assert_eq!((read.kind, read.format), (Kind::Blob, format));
                assert_eq!(read.body, b"body");
                assert_eq!(
                    read.stamp,
                    stamp.map(Stamp::to_bytes).as_ref().map(|s| &s[..])
                );
            }
        }
    }

    #[test]
    fn an_answer_frame_is_as_long_as_the_arithmetic_says_and_reads_back() {
        let mut wire = BytesMut::new();
        put_answer(&mut wire, Status::Refused, b"no");
        assert_eq!(wire.len(), answer_len(2));
        let (status, body, used) = take_answer(&wire, 100).unwrap().unwrap();
        assert_eq!(
            (status, body, used),
            (Status::Refused, &b"no"[..], wire.len())
        );
    }

    #[test]
    fn a_frame_that_is_not_all_there_yet_is_waited_for_at_every_length() {
        let wire = request(Format::Json, Some(&STAMP), b"body");
        for length in 0..wire.len() {
            assert_eq!(
                take_request(&wire[..length], 4).unwrap(),
                None,
                "{length} bytes"
            );
        }
    }

    #[test]
    fn frames_that_cannot_be_read_on_from_are_named() {
        let name = |wire: &[u8]| take_request(wire, 100).unwrap_err().name;
        assert_eq!(name(&[0xff, 0xff, 0xff, 0xff]), "tcp oversized");
        assert_eq!(
            name(&request(Format::Json, None, &[0; 101])),
            "tcp oversized"
        );
        assert_eq!(name(&[0, 0, 0, 1, 0]), "tcp frame");
        assert_eq!(name(&[0, 0, 0, 3, 0, STAMPED, 0]), "tcp frame");
        assert_eq!(name(&[0, 0, 0, 2, 9, 0]), "tcp kind");
        assert_eq!(name(&[0, 0, 0, 2, 0, 4]), "tcp flags");
    }

    proptest! {
        #[test]
        fn every_request_reads_back_whatever_stands_behind_it(
            order: bool,
            json: bool,
            stamped: bool,
            body in vec(any::<u8>(), 0..60),
            behind in vec(any::<u8>(), 0..20),
        ) {
            let kind = if order { Kind::Order } else { Kind::Blob };
            let format = if json { Format::Json } else { Format::Protobuf };
            let stamp = stamped.then_some(&STAMP);
            let mut wire = BytesMut::new();
            put_request(&mut wire, kind, format, stamp, &body);
            let length = wire.len();
            wire.extend_from_slice(&behind);
            let (read, used) = take_request(&wire, 60).unwrap().unwrap();
            prop_assert_eq!((used, read.kind, read.format), (length, kind, format));
            prop_assert_eq!(read.body, &body[..]);
            prop_assert_eq!(read.stamp.is_some(), stamped);
        }

        #[test]
        fn no_bytes_are_more_than_a_broken_frame(
            mut bytes in vec(any::<u8>(), 0..120),
            believable: bool,
        ) {
            // A prefix drawn like the rest would nearly always be too long.
            if believable {
                bytes.iter_mut().take(3).for_each(|byte| *byte = 0);
            }
            match take_request(&bytes, 60) {
                Ok(Some((request, used))) => {
                    prop_assert!(used <= bytes.len() && request.body.len() <= 60);
                }
                Ok(None) => {}
                Err(broken) => prop_assert!(broken.text.contains("expected"), "{}", broken.text),
            }
            match take_answer(&bytes, 60) {
                Ok(Some((_, body, used))) => {
                    prop_assert!(used <= bytes.len());
                    prop_assert_eq!(used, answer_len(body.len()));
                }
                Ok(None) => {}
                Err(broken) => prop_assert!(broken.text.contains("expected"), "{}", broken.text),
            }
        }
    }
}
