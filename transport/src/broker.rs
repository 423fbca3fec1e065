//! What the two broker transports share: the names of one run's objects, what a consumed message must be before the
//! service sees it, and the counters of one end. It knows neither AMQP nor Kafka.

use crate::{Counters, Fanout, Origin, Reply, Settings, travel};
use anyhow::ensure;
use bench_proto::{Format, Kind, Message, Stamp};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};

/// Header that names why a message was dead-lettered.
pub(crate) const REASON: &str = "hopbench-reason";

/// `hopbench.<scope>.<what>`; `hopbench.<scope>` for the empty string.
pub(crate) fn name(scope: &str, what: &str) -> String {
    match what {
        "" => format!("hopbench.{scope}"),
        _ => format!("hopbench.{scope}.{what}"),
    }
}

/// The name of what each reader of a fan-out has to itself, `hopbench.<scope>.<reader>.<what>`; without a fan-out as [`name`].
pub(crate) fn own_name(settings: &Settings, what: &str) -> String {
    match &settings.fanout {
        Some(Fanout::Reader(reader)) => name(&format!("{}.{reader}", settings.scope), what),
        Some(Fanout::Publisher) | None => name(&settings.scope, what),
    }
}

/// Refuses a reply where many readers get one message.
pub(crate) fn check_fanout(settings: &Settings) -> anyhow::Result<()> {
    ensure!(
        settings.fanout.is_none() || settings.reply.is_none(),
        "a fan-out and a reply were asked for, and many readers would answer one call: publish, and await the confirm"
    );
    Ok(())
}

/// A consumed message as the broker's client library hands it over.
pub(crate) struct Consumed<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) content_type: Option<&'a str>,
    /// `order` or `blob`; an order where nothing says.
    pub(crate) kind: Option<&'a str>,
    pub(crate) stamp: Option<&'a [u8]>,
    /// Until when its caller waits, as the header says it.
    pub(crate) deadline: Option<&'a [u8]>,
    pub(crate) redelivered: bool,
}

/// Why a message never reached the service: a short stable name, and the sentence.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rejected {
    pub(crate) what: &'static str,
    pub(crate) reason: String,
}

impl Consumed<'_> {
    /// The request in it and the format it came in, or why there is none. A message without a content type is JSON if it starts with `{`,
    /// else protobuf: no order of the contract starts so in protobuf, and kcat sets no headers.
    pub(crate) fn request(&self, max_body: usize) -> Result<(Message, Origin, Format), Rejected> {
        if self.body.len() > max_body {
            return Err(Rejected {
                what: "oversized",
                reason: format!(
                    "the body has {} bytes, the limit is {max_body}",
                    self.body.len()
                ),
            });
        }
        let stamp = self.stamp.map(Stamp::from_bytes).transpose();
        let stamp = stamp.map_err(|error| Rejected {
            what: "bad stamp",
            reason: error.to_string(),
        })?;
        let deadline = travel::instant_of(self.deadline);
        let deadline_ns = deadline.map_err(|reason| Rejected {
            what: "bad deadline",
            reason,
        })?;
        let format = match self.content_type {
            Some(text) => Format::of_content_type(text).ok_or_else(|| Rejected {
                what: "content type",
                reason: format!(
                    "expected content type {} or {}, got {text:?}",
                    Format::Json.content_type(),
                    Format::Protobuf.content_type()
                ),
            })?,
            None if self.body.first() == Some(&b'{') => Format::Json,
            None => Format::Protobuf,
        };
        let kind = match self.kind {
            None | Some("order") => Kind::Order,
            Some("blob") => Kind::Blob,
            Some(other) => {
                return Err(Rejected {
                    what: "kind",
                    reason: format!("expected kind order or blob, got {other:?}"),
                });
            }
        };
        let message = format
            .decode_request(kind, self.body)
            .map_err(|error| Rejected {
                what: "malformed",
                reason: error.to_string(),
            })?;
        let origin = Origin {
            stamp,
            redelivered: self.redelivered,
            deadline_ns,
        };
        Ok((message, origin, format))
    }
}

/// What a kind is called in a message's metadata.
pub(crate) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Order => "order",
        Kind::Blob => "blob",
    }
}

/// Runs a handler; one that panics failed, and the consumer lives on.
pub(crate) async fn contained(handler: impl Future<Output = Reply>) -> Reply {
    use futures_util::FutureExt;
    AssertUnwindSafe(handler)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| Reply::Failed("the handler panicked".into()))
}

/// [`Counters`] that several tasks write.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) connects: AtomicU64,
    pub(crate) reconnects: AtomicU64,
    pub(crate) unknown: AtomicU64,
    pub(crate) late_confirms: AtomicU64,
    pub(crate) late_replies: AtomicU64,
    pub(crate) queue_full: AtomicU64,
}

impl Tally {
    pub(crate) fn read(&self) -> Counters {
        Counters {
            connects: self.connects.load(Ordering::Relaxed),
            reconnects: self.reconnects.load(Ordering::Relaxed),
            unknown: self.unknown.load(Ordering::Relaxed),
            late_confirms: self.late_confirms.load(Ordering::Relaxed),
            late_replies: self.late_replies.load(Ordering::Relaxed),
            queue_full: self.queue_full.load(Ordering::Relaxed),
            shared_requests: 0,
        }
    }
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
