//! The queue transport: RabbitMQ through lapin. This file owns an open connection, and what is done to the run's queues
//! from outside a run; `route` names and declares them; `publish` and `consume` are its two ends.

mod alone;
mod consume;
mod flight;
mod lane;
mod publish;
mod replies;
mod route;
mod tls;

pub use consume::serve;
pub use publish::{QueueCaller, connect};

use crate::tls::Negotiated;
use crate::{LeftUnset, Settings};
use anyhow::Context;
use futures_util::{Stream, StreamExt};
use lapin::options::{
    ConfirmSelectOptions, ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Event};
use route::Route;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// What is left to lapin and RabbitMQ where nobody matches the settings.
pub(crate) const LEFT_UNSET: LeftUnset = LeftUnset {
    caller: "nothing: lapin turns Nagle off by itself, and the confirm belongs to the durability class",
    service: "prefetch: RabbitMQ then pushes without bound",
};

/// Routing key of the run's one queue.
const ROUTING_KEY: &str = "orders";
/// One attempt to connect and declare; a port that accepts and says nothing must not hold a supervisor.
const ATTEMPT: Duration = Duration::from_secs(5);

/// An open connection, its one channel, and what the broker says about them.
struct Link {
    connection: Connection,
    channel: Arc<Channel>,
    events: Pin<Box<dyn Stream<Item = Event> + Send>>,
    /// What the TLS handshake came to, where there was one.
    negotiated: Option<Negotiated>,
}

impl Link {
    /// Waits until connection or channel is cut.
    async fn cut(&mut self) {
        while let Some(event) = self.events.next().await {
            match event {
                Event::Error(error) => {
                    tracing::debug!("the connection to RabbitMQ was cut: {error}");
                    return;
                }
                Event::ConnectionBlocked(why) => {
                    tracing::warn!("RabbitMQ blocks publishers: {why}")
                }
                _ => {}
            }
        }
    }

    /// Says goodbye; what was written before is delivered first.
    async fn close(self) {
        let goodbye = self.connection.close(200, "done".into());
        let _ = tokio::time::timeout(ATTEMPT, goodbye).await;
    }
}

/// Declares the run's exchanges and queues ahead of its clock.
pub async fn prepare(settings: &Settings) -> anyhow::Result<()> {
    Route::new(settings)?.open("prepare").await?.close().await;
    Ok(())
}

/// Deletes the run's exchanges and queues with everything in them; what is not there is no fault.
pub async fn remove(settings: &Settings) -> anyhow::Result<()> {
    let route = Route::new(settings)?;
    let link = route.dial("remove").await?;
    for queue in route.queue.iter().chain([&route.dead]) {
        link.channel
            .queue_delete(queue.clone(), QueueDeleteOptions::default())
            .await
            .with_context(|| format!("could not delete queue {queue}"))?;
    }
    for exchange in [&route.exchange, &route.dead] {
        link.channel
            .exchange_delete(exchange.clone(), ExchangeDeleteOptions::default())
            .await
            .with_context(|| format!("could not delete exchange {exchange}"))?;
    }
    link.close().await;
    Ok(())
}

/// Messages that wait in the queue. Those handed to a consumer and not yet acknowledged (at most its prefetch) are not
/// in it: AMQP does not tell them; the service's own count of orders in work does.
pub async fn backlog(settings: &Settings) -> anyhow::Result<u64> {
    let route = Route::new(settings)?;
    let name = route.own_queue()?;
    let link = route.dial("backlog").await?;
    let passive = QueueDeclareOptions {
        passive: true,
        ..Default::default()
    };
    let queue = link
        .channel
        .queue_declare(name.clone(), passive, FieldTable::default())
        .await
        .with_context(|| format!("queue {name} is not there: prepare the scope first"))?;
    let ready = queue.message_count().into();
    link.close().await;
    Ok(ready)
}

/// Switches a channel to publisher confirms.
async fn with_confirms(channel: &Channel) -> lapin::Result<()> {
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await
}
