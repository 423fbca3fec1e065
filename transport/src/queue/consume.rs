//! The serving end of the queue: manual acknowledgement after the work, as many orders in work as the prefetch, and a
//! dead-letter queue for what the service did not take. It re-connects and consumes again after a cut. A request that
//! names where its reply goes is answered before its acknowledgement, and is no dead letter: its caller is told.

use super::replies::ReplyTo;
use super::route::Route;
use super::{Link, with_confirms};
use crate::broker::{Consumed, REASON, Tally, contained};
use crate::reply::Written;
use crate::{Listener, Reply, Service, Settings, travel};
use anyhow::Context;
use bench_proto::Stamp;
use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    BasicRejectOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Confirmation, Consumer};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

/// Serves the run's queue. Returns when the broker has registered every consumer; each has a connection of its own.
pub async fn serve<S: Service>(settings: &Settings, service: S) -> anyhow::Result<Listener> {
    let route = Route::new(settings)?;
    let queue = route.own_queue()?.clone();
    let server = Server {
        route: route.clone(),
        queue: queue.clone(),
        service,
        // Zero is AMQP's "without bound", which is what a consumer that sets nothing gets.
        prefetch: if settings.library_defaults {
            0
        } else {
            settings.prefetch.max(1)
        },
        max_body: settings.max_body,
        open: TaskTracker::new(),
    };
    let (stop, stopped) = watch::channel(false);
    let mut in_force = BTreeMap::new();
    // Dropped before its time, it ends those that it holds.
    let mut consumers = JoinSet::new();
    for _ in 0..settings.consumers.max(1) {
        let link = route.open("service").await?;
        let consumer = server
            .consume(&link.channel)
            .await
            .with_context(|| format!("RabbitMQ did not accept a consumer on {queue}"))?;
        in_force = route.in_force(&link);
        let running = server.clone().run(link, consumer, stopped.clone());
        consumers.spawn(server.open.track_future(running));
    }
    for (name, value) in [
        ("consumers", consumers.len().to_string()),
        (
            "prefetch",
            match server.prefetch {
                0 => "unset: without bound".to_string(),
                bound => bound.to_string(),
            },
        ),
        ("acknowledgement", "manual, after the work".to_string()),
        ("max-body", server.max_body.to_string()),
        ("dead-letter-queue", route.dead.to_string()),
    ] {
        in_force.insert(name.into(), value);
    }
    let task = tokio::spawn(async move { while consumers.join_next().await.is_some() {} });
    Ok(Listener::new(route.address(), in_force, stop, task).with_consumers(server.open))
}

/// Where refused orders of one channel go. lapin numbers a channel's confirms in the order of the calls: publishing takes turns.
struct DeadLetters {
    exchange: ShortString,
    turn: tokio::sync::Mutex<()>,
}

/// Where everything goes that a delivery leaves.
struct Out {
    /// Acknowledgements and dead letters.
    channel: Arc<Channel>,
    /// Replies, on a channel without confirms.
    replies: Channel,
    dead: DeadLetters,
}

#[derive(Clone)]
struct Server<S> {
    route: Route,
    /// The route's own.
    queue: ShortString,
    service: S,
    prefetch: u16,
    max_body: usize,
    /// Its consumers and their orders in work.
    open: TaskTracker,
}

impl<S: Service> Server<S> {
    async fn consume(&self, channel: &Channel) -> lapin::Result<Consumer> {
        // Confirms are for the dead letters: an order leaves the queue only when its dead letter is stored.
        with_confirms(channel).await?;
        let qos = BasicQosOptions { global: false };
        if self.prefetch > 0 {
            channel.basic_qos(self.prefetch, qos).await?;
        }
        channel
            .basic_consume(
                self.queue.clone(),
                ShortString::default(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await
    }

    async fn run(self, mut link: Link, mut consumer: Consumer, mut stopped: watch::Receiver<bool>) {
        let mut work = JoinSet::new();
        let tally = Tally::default();
        loop {
            if self
                .deliver(&mut link, &mut consumer, &mut work, &mut stopped)
                .await
                == Stopped
            {
                let cancel = BasicCancelOptions::default();
                let _ = link.channel.basic_cancel(consumer.tag(), cancel).await;
                while work.join_next().await.is_some() {}
                // The acknowledgements were written before this goodbye; what was prefetched goes back to the queue.
                link.close().await;
                return;
            }
            // What is in work finishes; its acknowledgement is void, so it will be delivered again.
            drop(link);
            (link, consumer) = loop {
                let next = tokio::select! {
                    next = self.route.reopen("service", &tally) => Some(next),
                    () = asked(&mut stopped) => None,
                };
                let Some(next) = next else {
                    while work.join_next().await.is_some() {}
                    return;
                };
                match self.consume(&next.channel).await {
                    Ok(consumer) => break (next, consumer),
                    Err(error) => tracing::debug!("no consumer after re-connecting: {error}"),
                }
            };
        }
    }

    /// Hands deliveries to the service until it is stopped or the connection is cut.
    async fn deliver(
        &self,
        link: &mut Link,
        consumer: &mut Consumer,
        work: &mut JoinSet<()>,
        stopped: &mut watch::Receiver<bool>,
    ) -> End {
        // Replies on the channel of the dead letters would each get a confirm that nobody wants.
        let Ok(replies) = link.connection.create_channel().await else {
            return Cut;
        };
        let out = Arc::new(Out {
            channel: link.channel.clone(),
            replies,
            dead: DeadLetters {
                exchange: self.route.dead.clone(),
                turn: tokio::sync::Mutex::new(()),
            },
        });
        loop {
            tokio::select! {
                biased;
                () = asked(stopped) => return Stopped,
                Some(_) = work.join_next(), if !work.is_empty() => {}
                delivery = consumer.next() => match delivery {
                    Some(Ok(delivery)) => {
                        let service = self.service.clone();
                        let handled = handle(service, out.clone(), self.max_body, delivery);
                        work.spawn(self.open.track_future(handled));
                    }
                    // Also when the queue was deleted under the consumer: it is declared again.
                    Some(Err(_)) | None => return Cut,
                },
                () = link.cut() => return Cut,
            }
        }
    }
}

#[derive(PartialEq)]
enum End {
    Stopped,
    Cut,
}
use End::{Cut, Stopped};

/// Waits until the listener is asked to stop (or nobody can ask any more).
async fn asked(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// One delivery from its bytes to its acknowledgement.
async fn handle<S: Service>(service: S, out: Arc<Out>, max_body: usize, delivery: Delivery) {
    let request = consumed(&delivery).request(max_body);
    let handled = match request {
        Ok((message, origin, format)) => {
            Ok((contained(service.handle(message, origin)).await, format))
        }
        Err(rejected) => {
            service.rejected(&format!("queue {}", rejected.what));
            Err(rejected)
        }
    };
    let channel = &out.channel;
    let stored = if let Some(reply_to) = ReplyTo::of(&delivery) {
        reply_to.send(&out.replies, &Written::of(handled));
        true
    } else {
        match handled {
            Ok((Reply::Done(_), _)) => true,
            Ok((Reply::Refused(reason) | Reply::Failed(reason) | Reply::Overloaded(reason), _)) => {
                bury(channel, &out.dead, &delivery, reason).await
            }
            Err(rejected) => bury(channel, &out.dead, &delivery, rejected.reason).await,
        }
    };
    // The first step queues the frame; whether it was written is the connection's concern, not this order's.
    if stored {
        let ack = channel.basic_ack(delivery.delivery_tag, BasicAckOptions::default());
        let _ = ack.now_or_never();
    } else {
        let options = BasicRejectOptions { requeue: false };
        let reject = channel.basic_reject(delivery.delivery_tag, options);
        let _ = reject.now_or_never();
    }
}

fn consumed(delivery: &Delivery) -> Consumed<'_> {
    let properties = &delivery.properties;
    let header = |name: &str| {
        let headers = properties.headers().as_ref()?;
        headers.inner().get(name).map(bytes_of)
    };
    Consumed {
        body: &delivery.data,
        content_type: properties.content_type().as_ref().map(ShortString::as_str),
        kind: properties.kind().as_ref().map(ShortString::as_str),
        stamp: header(Stamp::HEADER),
        deadline: header(travel::DEADLINE),
        redelivered: delivery.redelivered,
    }
}

fn bytes_of(value: &AMQPValue) -> &[u8] {
    match value {
        AMQPValue::ByteArray(bytes) => bytes.as_slice(),
        AMQPValue::LongString(text) => text.as_bytes(),
        // Present, but not bytes: an empty Stamp is a wrong one, and so is an empty deadline.
        _ => &[],
    }
}

/// Publishes the message to the dead-letter exchange with the reason in a header (a plain reject would leave only
/// RabbitMQ's `x-death`) and waits for the confirm. Where that fails the caller rejects, and the broker moves it.
async fn bury(channel: &Channel, dead: &DeadLetters, delivery: &Delivery, reason: String) -> bool {
    let mut headers = delivery.properties.headers().clone().unwrap_or_default();
    headers.insert(REASON.into(), AMQPValue::LongString(reason.into()));
    let properties = delivery
        .properties
        .clone()
        .with_headers(headers)
        .with_delivery_mode(2);
    let options = BasicPublishOptions {
        mandatory: true,
        immediate: false,
    };
    let key = delivery.routing_key.clone();
    let confirm = {
        let _turn = dead.turn.lock().await;
        let exchange = dead.exchange.clone();
        channel
            .basic_publish(exchange, key, options, &delivery.data, properties)
            .await
    };
    match confirm {
        Ok(confirm) => matches!(confirm.await, Ok(Confirmation::Ack(None))),
        Err(_) => false,
    }
}
