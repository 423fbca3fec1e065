//! The sending end of the queue: publishes with the confirm awaited outside the send path and a bounded window, over
//! connections that `lane` keeps up. Where replies are asked for, a call ends with its reply. Where each call has a
//! connection of its own, none of this stands between: see `alone`.

use super::alone::{self, Alone};
use super::flight::{Fate, Flight, Publish, failed};
use super::lane::{Lane, Wire, supervise};
use super::replies::answered;
use super::route::Route;
use crate::broker::{Tally, count, kind_name};
use crate::reply::{Calls, Ticket};
use crate::{CallResult, Caller, Connecting, Counters, Outcome, ReplyVia, Settings, travel};
use anyhow::ensure;
use bench_host::clock::{after, now_ns};
use bench_proto::{Format, Kind, Stamp};
use bytes::Bytes;
use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

/// A refused call looks at its connection again after this, should the supervisor see no cut.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Publishes to the run's exchange. Clones share connections, window and counters.
#[derive(Clone, Debug)]
pub struct QueueCaller(Arc<Publisher>);

struct Publisher {
    format: Format,
    deadline: Duration,
    /// The deadline rides along, where a reply is awaited.
    deadline_travels: bool,
    connecting: Connecting,
    route: Route,
    exchange: ShortString,
    options: BasicPublishOptions,
    /// Ready but for the Stamp: of an order, of a blob.
    properties: [BasicProperties; 2],
    stamp_header: ShortString,
    window: Arc<Semaphore>,
    lanes: Vec<Arc<Lane>>,
    supervisors: Vec<tokio::task::JoinHandle<()>>,
    tally: Arc<Tally>,
    in_force: BTreeMap<String, String>,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher")
            .field("exchange", &self.exchange)
            .field("tally", &self.tally)
            .finish_non_exhaustive()
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        for supervisor in &self.supervisors {
            supervisor.abort();
        }
    }
}

/// Connects, declares the run's exchange and queues, and keeps `settings.connections` connections up.
pub async fn connect(settings: &Settings) -> anyhow::Result<QueueCaller> {
    let route = Route::new(settings)?;
    ensure!(
        settings.reply.is_none() || settings.connecting == Connecting::Kept,
        "a reply and a connection per call were asked for, and a reply comes back on the connection of its call: keep it"
    );
    ensure!(
        route.queue.is_some() || settings.connecting != Connecting::AsWritten,
        "a fan-out and the sources' sample were asked for, and the sample sends straight to one queue: keep connections, or open one per call"
    );
    let class = route.class;
    let tally = Arc::new(Tally::default());
    let mut lanes = Vec::new();
    let mut supervisors = Vec::new();
    let mut in_force = BTreeMap::new();
    let room = Arc::new(Semaphore::new(settings.window.max(1)));
    for _ in 0..settings.connections.max(1) {
        let link = route.open("publisher").await?;
        count(&tally.connects);
        in_force = route.in_force(&link);
        if settings.connecting != Connecting::Kept {
            // It has declared what is to be there and told what is in force; the calls open their own.
            link.close().await;
            break;
        }
        let calls = settings
            .reply
            .map(|_| Calls::new(room.clone(), tally.clone()));
        let lane = Arc::new(Lane::new(calls));
        lane.use_channel(&link.channel, &route, settings.reply)
            .await?;
        supervisors.push(tokio::spawn(supervise(
            route.clone(),
            link,
            lane.clone(),
            settings.reply,
            tally.clone(),
        )));
        lanes.push(lane);
    }
    for (name, value) in [
        ("connections", lanes.len().to_string()),
        ("connecting", settings.connecting.to_string()),
        ("window", settings.window.to_string()),
        ("deadline-ms", settings.deadline.as_millis().to_string()),
        ("mandatory", class.confirm.to_string()),
        ("content-type", settings.format.content_type().to_string()),
        ("compression", "none".to_string()),
        (
            "reply",
            settings.reply.map_or("none", ReplyVia::name).to_string(),
        ),
    ] {
        in_force.insert(name.into(), value);
    }
    if settings.connecting == Connecting::AsWritten {
        for name in ["confirms", "mandatory"] {
            in_force.insert(name.into(), "false, as in the sources' sample".into());
        }
    }
    let properties = [Kind::Order, Kind::Blob].map(|kind| {
        BasicProperties::default()
            .with_content_type(settings.format.content_type().into())
            .with_type(kind_name(kind).into())
            .with_delivery_mode(class.delivery_mode)
    });
    Ok(QueueCaller(Arc::new(Publisher {
        format: settings.format,
        deadline: settings.deadline,
        deadline_travels: settings.deadline_travels && settings.reply.is_some(),
        connecting: settings.connecting,
        exchange: route.exchange.clone(),
        route,
        options: BasicPublishOptions {
            mandatory: class.confirm,
            immediate: false,
        },
        properties,
        stamp_header: Stamp::HEADER.into(),
        window: Arc::new(Semaphore::new(settings.window.max(1))),
        lanes,
        supervisors,
        tally,
        in_force,
    })))
}

impl Caller for QueueCaller {
    fn format(&self) -> Format {
        self.0.format
    }

    fn call_within(
        &self,
        patience: Option<Duration>,
        kind: Kind,
        key: &str,
        body: Bytes,
        stamp: Option<Stamp>,
    ) -> impl Future<Output = Outcome> + 'static {
        let publisher = self.0.clone();
        let patience = patience.unwrap_or(publisher.deadline);
        // A key stays on one connection, so that its orders stay in order.
        let lane = match publisher.lanes.len() {
            0 | 1 => 0,
            lanes => {
                let hasher = BuildHasherDefault::<DefaultHasher>::default();
                (hasher.hash_one(key) % lanes as u64) as usize
            }
        };
        async move {
            match publisher.lanes.get(lane) {
                Some(lane) => publisher.publish(lane, kind, body, stamp, patience).await,
                None => publisher.publish_alone(kind, body, stamp, patience).await,
            }
        }
    }

    fn counters(&self) -> Counters {
        self.0.tally.read()
    }

    fn in_force(&self) -> BTreeMap<String, String> {
        self.0.in_force.clone()
    }
}

impl Publisher {
    async fn publish(
        &self,
        lane: &Arc<Lane>,
        kind: Kind,
        body: Bytes,
        stamp: Option<Stamp>,
        patience: Duration,
    ) -> Outcome {
        let deadline = Instant::now() + patience;
        let travels = self.deadline_travels;
        let deadline_ns = travels.then(|| after(now_ns(), patience));
        let permit = match self.window.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => match timeout_at(deadline, self.window.clone().acquire_owned()).await {
                Ok(Ok(permit)) => permit,
                _ => {
                    return unsent(
                        "window",
                        "the confirm window did not open before the deadline",
                    );
                }
            },
        };
        let mut permit = Some(permit);
        let mut ticket = match &lane.calls {
            None => None,
            Some(calls) => match calls.ask(deadline).await {
                None => {
                    return unsent(
                        "window",
                        "no reply made room for the call before the deadline",
                    );
                }
                ticket => ticket,
            },
        };
        loop {
            let wire = lane.wire.borrow().clone();
            let Wire { channel, reply_to } = match wire {
                Some(wire) => wire,
                None => {
                    let mut link = lane.wire.subscribe();
                    match timeout_at(deadline, link.wait_for(Option::is_some)).await {
                        Ok(_) => continue,
                        Err(_) => {
                            return unsent(
                                "disconnected",
                                "RabbitMQ was away until the deadline; the order was never sent",
                            );
                        }
                    }
                }
            };
            let mut properties = self.properties(kind, stamp, deadline_ns);
            if let (Some(ticket), Some(address)) = (&mut ticket, reply_to) {
                let id = ticket.expect().to_string();
                properties = properties
                    .with_reply_to(address)
                    .with_correlation_id(id.into());
            }
            let sent_ns = now_ns();
            let publish = Publish {
                channel,
                lane: lane.clone(),
                exchange: self.exchange.clone(),
                options: self.options,
                body: body.clone(),
                properties,
                permit: permit.take(),
            };
            let mut flight = Flight::new(publish, self.tally.clone());
            let fate = timeout_at(deadline, end(&mut flight, ticket.as_mut())).await;
            let mut body_in = 0;
            let result = match fate {
                Ok(Fate::NeverSent(back)) => {
                    permit = back;
                    // Until the supervisor has looked, the same channel would refuse again.
                    let mut link = lane.wire.subscribe();
                    lane.suspect.notify_one();
                    let look = (Instant::now() + LOOK_AGAIN).min(deadline);
                    let _ = timeout_at(look, link.changed()).await;
                    if Instant::now() >= deadline {
                        return unsent("disconnected", "RabbitMQ was away until the deadline");
                    }
                    continue;
                }
                Ok(Fate::Answered(reply)) => {
                    body_in = reply.body.len();
                    reply.result(kind, self.format)
                }
                Ok(Fate::Cut) => {
                    lane.suspect.notify_one();
                    count(&self.tally.unknown);
                    failed(
                        "closed",
                        "the connection to RabbitMQ was cut before the reply, which is lost".into(),
                    )
                }
                Ok(Fate::Read(Ok(result))) => result,
                Ok(Fate::Read(Err(error))) => {
                    tracing::debug!("pending when the connection was cut: {error}");
                    lane.suspect.notify_one();
                    count(&self.tally.unknown);
                    CallResult::TimedOut
                }
                Err(_) => {
                    count(&self.tally.unknown);
                    CallResult::TimedOut
                }
            };
            return Outcome {
                sent_ns: Some(sent_ns),
                result,
                body_in,
            };
        }
    }

    /// On a connection of its own.
    async fn publish_alone(
        &self,
        kind: Kind,
        body: Bytes,
        stamp: Option<Stamp>,
        patience: Duration,
    ) -> Outcome {
        let sent_ns = Cell::new(None);
        let as_written_to = match self.connecting {
            Connecting::AsWritten => self.route.queue.as_ref(),
            Connecting::Kept | Connecting::PerCall => None,
        };
        let properties = self.properties(kind, stamp, None);
        let publish = alone::publish(&self.route, as_written_to, &body, properties, &sent_ns);
        let result = match tokio::time::timeout(patience, publish).await {
            Ok(Alone::Read(result)) => result,
            Ok(Alone::NoConnection(text)) => return unsent("connect", &text),
            Ok(Alone::Cut(text)) if sent_ns.get().is_none() => return unsent("closed", &text),
            Ok(Alone::Cut(_)) | Err(_) => {
                count(&self.tally.unknown);
                CallResult::TimedOut
            }
        };
        count(&self.tally.connects);
        Outcome {
            sent_ns: sent_ns.get(),
            result,
            body_in: 0,
        }
    }

    fn properties(
        &self,
        kind: Kind,
        stamp: Option<Stamp>,
        deadline_ns: Option<u64>,
    ) -> BasicProperties {
        let properties = self.properties[(kind == Kind::Blob) as usize].clone();
        if stamp.is_none() && deadline_ns.is_none() {
            return properties;
        }
        let mut headers = FieldTable::default();
        if let Some(stamp) = stamp {
            let value = AMQPValue::ByteArray(stamp.to_bytes()[..].into());
            headers.insert(self.stamp_header.clone(), value);
        }
        if let Some(deadline_ns) = deadline_ns {
            let value = AMQPValue::LongString(deadline_ns.to_string().into());
            headers.insert(travel::DEADLINE.into(), value);
        }
        properties.with_headers(headers)
    }
}

/// Waits for what ends a call: its confirm, or its reply.
async fn end(flight: &mut Flight, ticket: Option<&mut Ticket>) -> Fate {
    match ticket {
        None => flight.await,
        Some(ticket) => answered(flight, ticket).await,
    }
}

fn unsent(name: &str, text: &str) -> Outcome {
    Outcome {
        sent_ns: None,
        result: failed(name, text.into()),
        body_in: 0,
    }
}
