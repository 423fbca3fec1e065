//! Request and reply over RabbitMQ, both ends of the reply: by direct reply-to or through an exclusive queue. Replies are
//! transient and unconfirmed, so at-most-once: the caller's deadline is what ends a call whose reply was lost.

use super::flight::{Fate, Flight};
use crate::reply::{Arrived, Calls, Ticket, Written};
use crate::{CallResult, ReplyVia};
use anyhow::{Context, bail};
use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Consumer};
use std::sync::Arc;

/// The pseudo-queue of direct reply-to. The broker puts the real address into each request published on the same channel.
const DIRECT: &str = "amq.rabbitmq.reply-to";

/// Consumes the replies of a channel's requests; returns the address to write into them. The broker has registered the
/// consumer when it returns.
pub(super) async fn listen(
    channel: &Channel,
    via: ReplyVia,
    calls: Arc<Calls>,
) -> anyhow::Result<ShortString> {
    let address = match via {
        ReplyVia::Direct => ShortString::from(DIRECT),
        ReplyVia::Queue => {
            let options = QueueDeclareOptions {
                exclusive: true,
                auto_delete: true,
                ..Default::default()
            };
            let queue = channel
                .queue_declare(ShortString::default(), options, FieldTable::default())
                .await
                .context("RabbitMQ did not declare a reply queue")?;
            queue.name().clone()
        }
        ReplyVia::Topic => {
            bail!("a reply by topic was asked for, and that is Kafka's: use direct or queue")
        }
    };
    let options = BasicConsumeOptions {
        no_ack: true,
        ..Default::default()
    };
    let consumer = channel
        .basic_consume(
            address.clone(),
            ShortString::default(),
            options,
            FieldTable::default(),
        )
        .await
        .with_context(|| format!("RabbitMQ did not accept a consumer of replies on {address}"))?;
    tokio::spawn(hand_over(consumer, calls));
    Ok(address)
}

/// Hands every reply to its call, until the channel is cut.
async fn hand_over(mut consumer: Consumer, calls: Arc<Calls>) {
    while let Some(Ok(reply)) = consumer.next().await {
        let properties = &reply.properties;
        let id = properties.correlation_id().as_ref();
        let Some(id) = id.and_then(|id| id.as_str().parse().ok()) else {
            tracing::debug!("a reply without a correlation id of ours was dropped");
            continue;
        };
        let status = properties.kind().as_ref().map(ShortString::as_str);
        let arrived = Arrived::new(status, reply.data);
        calls.arrived(id, arrived);
    }
}

/// Waits for the reply. The confirm decides only where the broker did not take the request.
pub(super) async fn answered(flight: &mut Flight, ticket: &mut Ticket) -> Fate {
    let mut taken = false;
    loop {
        tokio::select! {
            biased;
            fate = &mut *flight, if !taken => match fate {
                Fate::Read(Ok(CallResult::Acknowledged(_))) => taken = true,
                Fate::Read(Err(_)) => return Fate::Cut,
                other => return other,
            },
            reply = ticket.reply() => {
                flight.outrun();
                return reply.map_or(Fate::Cut, Fate::Answered);
            }
        }
    }
}

/// Where a request wants its reply.
pub(super) struct ReplyTo {
    address: ShortString,
    correlation: Option<ShortString>,
}

impl ReplyTo {
    /// None where it wants none.
    pub(super) fn of(delivery: &Delivery) -> Option<Self> {
        let properties = &delivery.properties;
        Some(Self {
            address: properties.reply_to().clone()?,
            correlation: properties.correlation_id().clone(),
        })
    }

    /// Sends the reply. The first step queues the frames; a caller that is gone gets nothing.
    pub(super) fn send(self, channel: &Channel, reply: &Written) {
        let mut properties = BasicProperties::default()
            .with_content_type(reply.content_type.into())
            .with_type(reply.status.name().into())
            .with_delivery_mode(1);
        if let Some(correlation) = self.correlation {
            properties = properties.with_correlation_id(correlation);
        }
        let options = BasicPublishOptions::default();
        let exchange = ShortString::default();
        let publish =
            channel.basic_publish(exchange, self.address, options, &reply.body, properties);
        if let Some(Err(error)) = publish.now_or_never() {
            tracing::debug!("a reply was not sent: {error}");
        }
    }
}
