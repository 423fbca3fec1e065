//! The sending end of the queue: publishes with the confirm awaited outside the send path, a bounded window, and one
//! supervisor per connection that re-connects and re-declares. A confirm is read even when nobody waits for it any more.
//! Where each call has a connection of its own, none of this stands between: see `alone`.

use super::alone::{self, Alone};
use super::{Link, ROUTING_KEY, Route, with_confirms};
use crate::broker::{Tally, count, kind_name};
use crate::{CallResult, Caller, Connecting, Counters, Failure, Outcome, Settings};
use anyhow::Context as _;
use bench_host::clock::now_ns;
use bench_proto::{Format, Kind, Stamp};
use bytes::Bytes;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout_at};

/// A refused call looks at its connection again after this, should the supervisor see no cut.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Publishes to the run's exchange. Clones share connections, window and counters.
#[derive(Clone, Debug)]
pub struct QueueCaller(Arc<Publisher>);

struct Publisher {
    format: Format,
    deadline: Duration,
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

/// One connection as the calls see it.
struct Lane {
    /// The channel in use; none while disconnected.
    channel: watch::Sender<Option<Arc<Channel>>>,
    /// A call found the channel unusable: the supervisor looks again.
    suspect: Notify,
    /// lapin numbers a channel's confirms in the order of the calls: publishing takes turns.
    turn: Mutex<()>,
}

/// Connects, declares the run's exchange and queues, and keeps `settings.connections` connections up.
pub async fn connect(settings: &Settings) -> anyhow::Result<QueueCaller> {
    let route = Route::new(settings)?;
    let class = route.class;
    let tally = Arc::new(Tally::default());
    let mut lanes = Vec::new();
    let mut supervisors = Vec::new();
    let mut in_force = BTreeMap::new();
    for _ in 0..settings.connections.max(1) {
        let link = open(&route).await?;
        count(&tally.connects);
        in_force = route.in_force(&link);
        if settings.connecting != Connecting::Kept {
            // It has declared what is to be there and told what is in force; the calls open their own.
            link.close().await;
            break;
        }
        let lane = Arc::new(Lane {
            channel: watch::Sender::new(Some(link.channel.clone())),
            suspect: Notify::new(),
            turn: Mutex::new(()),
        });
        supervisors.push(tokio::spawn(supervise(
            route.clone(),
            link,
            lane.clone(),
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

async fn open(route: &Route) -> anyhow::Result<Link> {
    let link = route.open("publisher").await?;
    if route.class.confirm {
        with_confirms(&link.channel)
            .await
            .context("RabbitMQ refused publisher confirms")?;
    }
    Ok(link)
}

/// Owns one connection for the caller's life: notices the cut, backs off, connects and declares anew.
async fn supervise(route: Route, mut link: Link, lane: Arc<Lane>, tally: Arc<Tally>) {
    loop {
        tokio::select! {
            () = link.cut() => {}
            () = lane.suspect.notified() => {
                if link.channel.status().connected() {
                    continue;
                }
            }
        }
        lane.channel.send_replace(None);
        drop(link);
        link = loop {
            let next = route.reopen("publisher", &tally).await;
            // Confirms are a setting of the channel: without them this class would silently weaken.
            if !route.class.confirm || with_confirms(&next.channel).await.is_ok() {
                break next;
            }
        };
        lane.channel.send_replace(Some(link.channel.clone()));
    }
}

impl Caller for QueueCaller {
    fn format(&self) -> Format {
        self.0.format
    }

    fn call(
        &self,
        kind: Kind,
        key: &str,
        body: Bytes,
        stamp: Option<Stamp>,
    ) -> impl Future<Output = Outcome> + 'static {
        let publisher = self.0.clone();
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
                Some(lane) => publisher.publish(lane, kind, body, stamp).await,
                None => publisher.publish_alone(kind, body, stamp).await,
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
    ) -> Outcome {
        let deadline = Instant::now() + self.deadline;
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
        loop {
            let channel = lane.channel.borrow().clone();
            let channel = match channel {
                Some(channel) => channel,
                None => {
                    let mut link = lane.channel.subscribe();
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
            let sent_ns = now_ns();
            let mut flight = Flight {
                rest: Some(Box::pin(fly(
                    channel.clone(),
                    lane.clone(),
                    self.exchange.clone(),
                    self.options,
                    body.clone(),
                    self.properties(kind, stamp),
                    permit.take(),
                ))),
                tally: self.tally.clone(),
            };
            let fate = timeout_at(deadline, &mut flight).await;
            let result = match fate {
                Ok(Fate::NeverSent(back)) => {
                    permit = back;
                    // Until the supervisor has looked, the same channel would refuse again.
                    let mut link = lane.channel.subscribe();
                    lane.suspect.notify_one();
                    let look = (Instant::now() + LOOK_AGAIN).min(deadline);
                    let _ = timeout_at(look, link.changed()).await;
                    if Instant::now() >= deadline {
                        return unsent("disconnected", "RabbitMQ was away until the deadline");
                    }
                    continue;
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
                body_in: 0,
            };
        }
    }

    /// On a connection of its own.
    async fn publish_alone(&self, kind: Kind, body: Bytes, stamp: Option<Stamp>) -> Outcome {
        let sent_ns = Cell::new(None);
        let as_written = self.connecting == Connecting::AsWritten;
        let properties = self.properties(kind, stamp);
        let publish = alone::publish(&self.route, as_written, &body, properties, &sent_ns);
        let result = match tokio::time::timeout(self.deadline, publish).await {
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

    fn properties(&self, kind: Kind, stamp: Option<Stamp>) -> BasicProperties {
        let properties = self.properties[(kind == Kind::Blob) as usize].clone();
        match stamp {
            None => properties,
            Some(stamp) => {
                let mut headers = FieldTable::default();
                let value = AMQPValue::ByteArray(stamp.to_bytes()[..].into());
                headers.insert(self.stamp_header.clone(), value);
                properties.with_headers(headers)
            }
        }
    }
}

/// What became of one publish.
enum Fate {
    /// The channel refused it before anything was written; the window's permit comes back.
    NeverSent(Option<OwnedSemaphorePermit>),
    /// The confirm was read (what it says is judged at once: it can carry a whole returned message), or the connection
    /// was cut before it came.
    Read(lapin::Result<CallResult>),
}

/// Publishes and reads the confirm. The permit is held until then, whoever still waits.
async fn fly(
    channel: Arc<Channel>,
    lane: Arc<Lane>,
    exchange: ShortString,
    options: BasicPublishOptions,
    body: Bytes,
    properties: BasicProperties,
    permit: Option<OwnedSemaphorePermit>,
) -> Fate {
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
struct Flight {
    rest: Option<Pin<Box<dyn Future<Output = Fate> + Send>>>,
    tally: Arc<Tally>,
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
        let tally = self.tally.clone();
        runtime.spawn(async move {
            if let Fate::Read(Ok(_)) = rest.await {
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
        Confirmation::Nack(None) => failed("nack", "RabbitMQ could not store the order".into()),
    }
}

fn failed(name: &str, text: String) -> CallResult {
    CallResult::Failed(Failure {
        by_service: false,
        name: name.into(),
        text,
    })
}

fn unsent(name: &str, text: &str) -> Outcome {
    Outcome {
        sent_ns: None,
        result: failed(name, text.into()),
        body_in: 0,
    }
}
