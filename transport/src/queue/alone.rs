//! A publish on a connection of its own: opened, used once and closed. With everything else matched, or as the sources'
//! sample does it: the queue declared, the message sent to it over the default exchange, no confirm awaited, goodbye.

use super::flight::judge;
use super::route::{Class, Route};
use super::{ATTEMPT, Link, ROUTING_KEY, with_confirms};
use crate::CallResult;
use bench_host::clock::now_ns;
use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel};
use std::cell::Cell;

/// Publishes once: as the sample does where a queue to send to is named. `sent_ns` is set as the message is handed to the
/// open connection.
pub(super) async fn publish(
    route: &Route,
    as_written_to: Option<&ShortString>,
    body: &[u8],
    properties: BasicProperties,
    sent_ns: &Cell<Option<u64>>,
) -> Alone {
    let link = match route.dial("publisher of one").await {
        Ok(link) => link,
        Err(error) => return Alone::NoConnection(format!("{error:#}")),
    };
    let order = Order {
        body,
        properties,
        sent_ns,
    };
    let sent = match as_written_to {
        Some(queue) => order.declared(route, queue, &link.channel).await,
        None => order.confirmed(route, &link.channel).await,
    };
    // The sample waits for the goodbye too: the broker has read everything before it.
    let closed = close(link).await;
    match (sent, closed) {
        (Ok(result), true) => Alone::Read(result),
        (Ok(_), false) => Alone::Cut("RabbitMQ did not say goodbye".into()),
        (Err(error), _) => Alone::Cut(error.to_string()),
    }
}

/// How it ended.
pub(super) enum Alone {
    /// The broker took it, or said why not.
    Read(CallResult),
    /// Nothing was sent.
    NoConnection(String),
    /// The connection broke on the way: nobody knows.
    Cut(String),
}

struct Order<'a> {
    body: &'a [u8],
    properties: BasicProperties,
    sent_ns: &'a Cell<Option<u64>>,
}

impl Order<'_> {
    /// To the run's exchange, with the confirm that the durability class asks for.
    async fn confirmed(self, route: &Route, channel: &Channel) -> lapin::Result<CallResult> {
        let Class { confirm, .. } = route.class;
        if confirm {
            with_confirms(channel).await?;
        }
        let options = BasicPublishOptions {
            mandatory: confirm,
            immediate: false,
        };
        let (exchange, key) = (route.exchange.clone(), ROUTING_KEY.into());
        self.sent_ns.set(Some(now_ns()));
        let publish = channel.basic_publish(exchange, key, options, self.body, self.properties);
        Ok(judge(publish.await?.await?))
    }

    /// Straight to the queue, which is declared first; nothing is awaited.
    async fn declared(
        self,
        route: &Route,
        queue: &ShortString,
        channel: &Channel,
    ) -> lapin::Result<CallResult> {
        let (options, arguments) = route.orders_queue();
        channel
            .queue_declare(queue.clone(), options, arguments)
            .await?;
        let options = BasicPublishOptions::default();
        let default = ShortString::default();
        self.sent_ns.set(Some(now_ns()));
        let queue = queue.clone();
        let publish = channel.basic_publish(default, queue, options, self.body, self.properties);
        publish.await?;
        Ok(CallResult::Acknowledged(None))
    }
}

async fn close(link: Link) -> bool {
    let goodbye = link.connection.close(200, "done".into());
    let said = tokio::time::timeout(ATTEMPT, goodbye).await;
    matches!(said, Ok(Ok(())))
}
