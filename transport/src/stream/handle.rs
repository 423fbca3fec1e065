//! One record of the stream on its way through the service: done, answered where it asks for a reply, or a dead letter.

use super::KIND;
use super::replies::{Answers, asked};
use crate::broker::{Consumed, REASON, contained};
use crate::reply::Written;
use crate::{Reply, Service, travel};
use bench_proto::Stamp;
use rdkafka::Message as _;
use rdkafka::message::{Header, Headers, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use std::time::Duration;
use tokio::sync::watch;

/// Where everything goes that a record leaves.
pub(super) struct Out {
    pub(super) answers: Answers,
    pub(super) undertaker: FutureProducer,
    pub(super) dead: String,
    pub(super) stopped: watch::Receiver<bool>,
}

/// One record from its bytes to its end. False if it must be delivered again.
pub(super) async fn handle<S: Service>(
    service: S,
    max_body: usize,
    out: Out,
    record: OwnedMessage,
) -> bool {
    let header = |name: &str| {
        let headers = record.headers()?;
        headers
            .iter()
            .find(|header| header.key == name)
            .map(|header| header.value.unwrap_or_default())
    };
    let text = |name| header(name).map(|value| std::str::from_utf8(value).unwrap_or("not text"));
    let consumed = Consumed {
        body: record.payload().unwrap_or_default(),
        content_type: text("content-type"),
        kind: text(KIND),
        stamp: header(Stamp::HEADER),
        deadline: header(travel::DEADLINE),
        redelivered: false,
    };
    let handled = match consumed.request(max_body) {
        Ok((message, origin, format)) => {
            Ok((contained(service.handle(message, origin)).await, format))
        }
        Err(rejected) => {
            service.rejected(&format!("stream {}", rejected.what));
            Err(rejected)
        }
    };
    if let Some((topic, correlation)) = asked(&record) {
        let reply = Written::of(handled);
        out.answers.send(&topic, correlation.as_deref(), &reply);
        return true;
    }
    let reason = match handled {
        Ok((Reply::Done(_), _)) => return true,
        Ok((Reply::Refused(reason) | Reply::Failed(reason) | Reply::Overloaded(reason), _)) => {
            reason
        }
        Err(rejected) => rejected.reason,
    };
    bury(out.undertaker, &out.dead, out.stopped, &record, &reason).await
}

/// Produces the record to the dead-letter topic, key and headers kept, the reason in a header beside them. Tries
/// until Kafka has it: an order leaves its partition only when its dead letter is stored.
async fn bury(
    undertaker: FutureProducer,
    dead: &str,
    mut stopped: watch::Receiver<bool>,
    record: &OwnedMessage,
    reason: &str,
) -> bool {
    let headers = record.headers().cloned().unwrap_or_default();
    let headers = headers.insert(Header {
        key: REASON,
        value: Some(reason),
    });
    loop {
        let mut letter = FutureRecord::<[u8], [u8]>::to(dead).headers(headers.clone());
        if let Some(key) = record.key() {
            letter = letter.key(key);
        }
        if let Some(payload) = record.payload() {
            letter = letter.payload(payload);
        }
        let delivered = match undertaker.send_result(letter) {
            Ok(report) => matches!(report.await, Ok(Ok(_))),
            Err(_) => false,
        };
        if delivered {
            return true;
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
            _ = stopped.wait_for(|stop| *stop) => return false,
        }
    }
}
