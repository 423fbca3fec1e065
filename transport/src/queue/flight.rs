//! One publish on its way and what becomes of it: it is read to its confirm even when nobody waits for it any more.

use super::ROUTING_KEY;
use super::lane::Lane;
use crate::broker::{Tally, count};
use crate::reply::Arrived;
use crate::{CallResult, Failure};
use bytes::Bytes;
use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::sync::OwnedSemaphorePermit;

/// What is to be published, and on what.
pub(super) struct Publish {
    pub(super) channel: Arc<Channel>,
    pub(super) lane: Arc<Lane>,
    pub(super) exchange: ShortString,
    pub(super) options: BasicPublishOptions,
    pub(super) body: Bytes,
    pub(super) properties: BasicProperties,
    /// The place in the confirm window.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

/// What became of one publish.
pub(super) enum Fate {
    /// The channel refused it before anything was written; the window's permit comes back.
    NeverSent(Option<OwnedSemaphorePermit>),
    /// The confirm was read (what it says is judged at once: it can carry a whole returned message), or the connection
    /// was cut before it came.
    Read(lapin::Result<CallResult>),
    /// The reply came.
    Answered(Arrived),
    /// The way of the reply was cut before it came.
    Cut,
}

/// Publishes and reads the confirm. The permit is held until then, whoever still waits.
async fn fly(publish: Publish) -> Fate {
    let Publish {
        channel,
        lane,
        exchange,
        options,
        body,
        properties,
        permit,
    } = publish;
    let key = ROUTING_KEY.into();
    let mut publish = pin!(channel.basic_publish(exchange, key, options, &body, properties));
    // The first step numbers the confirm and queues the frames; only its refusal proves that nothing was sent.
    let first = poll_fn(|context| {
        let _turn = lane.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Poll::Ready(publish.as_mut().poll(context))
    })
    .await;
    let written = match first {
        Poll::Ready(Err(_)) => return Fate::NeverSent(permit),
        Poll::Ready(written) => written,
        Poll::Pending => publish.await,
    };
    Fate::Read(match written {
        Ok(confirm) => confirm.await.map(judge),
        Err(error) => Err(error),
    })
}

/// A publish under way. Dropped before its end (deadline passed, caller gone) it is read to its end in the background.
pub(super) struct Flight {
    rest: Option<Pin<Box<dyn Future<Output = Fate> + Send>>>,
    /// Where a confirm that came too late is counted; none once the confirm decides nothing.
    tally: Option<Arc<Tally>>,
}

impl Flight {
    pub(super) fn new(publish: Publish, tally: Arc<Tally>) -> Self {
        Self {
            rest: Some(Box::pin(fly(publish))),
            tally: Some(tally),
        }
    }

    /// The reply came before the confirm, and says more.
    pub(super) fn outrun(&mut self) {
        self.tally = None;
    }
}

impl Future for Flight {
    type Output = Fate;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Fate> {
        let rest = self.rest.as_mut().expect("not polled again after its end");
        let fate = ready!(rest.as_mut().poll(context));
        self.rest = None;
        Poll::Ready(fate)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let (Some(rest), Ok(runtime)) = (self.rest.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        let tally = self.tally.take();
        runtime.spawn(async move {
            if let (Fate::Read(Ok(_)), Some(tally)) = (rest.await, tally) {
                count(&tally.late_confirms);
            }
        });
    }
}

/// What a confirm says. lapin hands a returned message to the first confirm that follows it; the run has one queue,
/// so while it cannot be routed to, every confirm in sight stands for a returned message.
pub(super) fn judge(confirmation: Confirmation) -> CallResult {
    match confirmation {
        Confirmation::Ack(None) | Confirmation::NotRequested => CallResult::Acknowledged(None),
        Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => failed(
            "returned",
            format!("RabbitMQ returned the order: {}", returned.reply_text),
        ),
        Confirmation::Nack(None) => failed(
            "nack",
            "RabbitMQ did not take the order: its queue is full, or it could not be stored".into(),
        ),
    }
}

/// A failure on this side or on the way.
pub(super) fn failed(name: &str, text: String) -> CallResult {
    CallResult::Failed(Failure {
        by_service: false,
        name: name.into(),
        text,
    })
}
