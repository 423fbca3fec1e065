//! The next hops of a service: it calls others for each order, over any transport, and waits for them while its worker
//! is held. Callers stay on one thread, so they live on a thread of their own and orders reach them through a channel.

mod breaker;
mod gate;
mod guards;
mod next;
mod wire;

pub use breaker::Trip;
pub use guards::Guards;
pub use next::{Next, Way, read_all};

use anyhow::Context;
use axum::body::Bytes;
use bench_proto::control::HopAccount;
use bench_proto::{Format, Kind, Message, Stamp};
use bench_transport::Settings;
use gate::Gate;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::LocalOptions;
use tokio::sync::{mpsc, oneshot};
use wire::Wire;

/// Until a hop is connected: broker clients set up topics and wait for their first reply.
const TO_CONNECT: Duration = Duration::from_secs(20);

/// The settings in force of each hop, by its name.
type InForce = BTreeMap<String, BTreeMap<String, String>>;

/// The next hops of one service, connected. Cheap to clone: all clones are one. The thread ends with the last of them.
#[derive(Clone)]
pub struct Hops {
    gates: Arc<[Arc<Gate>]>,
    formats: Formats,
    in_force: Arc<InForce>,
    errands: mpsc::UnboundedSender<Errand>,
}

impl fmt::Debug for Hops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.gates.iter().map(|gate| gate.name()))
            .finish()
    }
}

/// Which encodings the hops want.
#[derive(Clone, Copy, Default)]
struct Formats {
    json: bool,
    protobuf: bool,
}

/// An order as the hops get it, encoded once for all of them.
#[derive(Debug)]
pub(crate) struct Parcel {
    kind: Kind,
    key: String,
    json: Option<Bytes>,
    protobuf: Option<Bytes>,
}

impl Parcel {
    /// Its bytes in a format, which are there if a hop wants it.
    fn body(&self, format: Format) -> Bytes {
        let body = match format {
            Format::Json => &self.json,
            Format::Protobuf => &self.protobuf,
        };
        body.clone().unwrap_or_default()
    }
}

/// One order that wants to be carried to every hop.
struct Errand {
    parcel: Box<Parcel>,
    stamp: Option<Stamp>,
    deadline_ns: Option<u64>,
    done: oneshot::Sender<Result<(), String>>,
}

/// A hop on its thread.
struct Hop {
    gate: Arc<Gate>,
    wire: Wire,
}

impl Hops {
    /// Starts the thread and connects every hop; `base` says what the service's own listeners and its hops have in common.
    /// Fails with the name of the first hop that can't be reached.
    pub async fn start(
        hops: Vec<Next>,
        side_by_side: bool,
        base: &Settings,
    ) -> anyhow::Result<Self> {
        let gates: Arc<[Arc<Gate>]> = hops.iter().map(|next| Arc::new(Gate::new(next))).collect();
        let wants = |format| hops.iter().any(|next| next.format == format);
        let formats = Formats {
            json: wants(Format::Json),
            protobuf: wants(Format::Protobuf),
        };
        let (errands, taken) = mpsc::unbounded_channel();
        let (tell, told) = oneshot::channel();
        let (base, at_thread) = (base.clone(), gates.clone());
        std::thread::Builder::new()
            .name("hops".into())
            .spawn(move || {
                if let Err(error) = serve(hops, side_by_side, &base, &at_thread, taken, tell) {
                    tracing::error!("the thread of the next hops ended: {error:#}");
                }
            })
            .context("no thread for the next hops")?;
        let in_force = told
            .await
            .context("the thread of the next hops ended before it was ready")??;
        Ok(Self {
            gates,
            formats,
            in_force: Arc::new(in_force),
            errands,
        })
    }

    /// Settings in force of each hop, by its name, read back where they can be.
    pub fn in_force(&self) -> &BTreeMap<String, BTreeMap<String, String>> {
        &self.in_force
    }

    /// Encodes an order for the hops.
    pub(crate) fn pack(&self, message: &Message) -> Parcel {
        let key = match message {
            Message::Order(order) => order.user_id.clone(),
            Message::Blob(_) => String::new(),
        };
        let encoded = |wanted: bool, format| wanted.then(|| message.encode(format));
        Parcel {
            kind: message.kind(),
            key,
            json: encoded(self.formats.json, Format::Json),
            protobuf: encoded(self.formats.protobuf, Format::Protobuf),
        }
    }

    /// Carries an order to the hops. The error is a sentence that names the hop that failed.
    pub(crate) async fn call(
        &self,
        parcel: Box<Parcel>,
        stamp: Option<Stamp>,
        deadline_ns: Option<u64>,
    ) -> Result<(), String> {
        let (done, ended) = oneshot::channel();
        let errand = Errand {
            parcel,
            stamp,
            deadline_ns,
            done,
        };
        let gone = || "the thread that calls the next hops is gone".to_owned();
        self.errands.send(errand).map_err(|_| gone())?;
        ended.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Forgets the last run.
    pub(crate) fn reset(&self) {
        self.gates.iter().for_each(|gate| gate.reset());
    }

    /// What became of the calls since the last reset, by hop.
    pub(crate) fn account(&self) -> BTreeMap<String, HopAccount> {
        let entry = |gate: &Arc<Gate>| (gate.name().to_owned(), gate.account());
        self.gates.iter().map(entry).collect()
    }
}

/// The thread: connects, says what is in force, and carries orders until nobody can send any more.
fn serve(
    hops: Vec<Next>,
    side_by_side: bool,
    base: &Settings,
    gates: &[Arc<Gate>],
    mut errands: mpsc::UnboundedReceiver<Errand>,
    tell: oneshot::Sender<anyhow::Result<InForce>>,
) -> anyhow::Result<()> {
    bench_host::timer::minimal_timer_slack()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    runtime.block_on(async move {
        let mut connected = Vec::new();
        let mut in_force = InForce::new();
        for (next, gate) in hops.iter().zip(gates) {
            let wire = match connect(next, base).await {
                Ok(wire) => wire,
                Err(error) => {
                    let _ = tell.send(Err(error));
                    return;
                }
            };
            let mut settings = wire.in_force();
            settings.extend(next.in_force());
            in_force.insert(next.name.clone(), settings);
            connected.push(Rc::new(Hop {
                gate: gate.clone(),
                wire,
            }));
        }
        let connected: Rc<[Rc<Hop>]> = connected.into();
        if tell.send(Ok(in_force)).is_err() {
            return;
        }
        while let Some(errand) = errands.recv().await {
            let connected = connected.clone();
            tokio::task::spawn_local(run(connected, side_by_side, errand));
        }
    });
    Ok(())
}

async fn connect(next: &Next, base: &Settings) -> anyhow::Result<Wire> {
    let name = &next.name;
    match tokio::time::timeout(TO_CONNECT, Wire::connect(next, base)).await {
        Ok(connected) => connected.with_context(|| format!("next hop `{name}` is not there")),
        Err(_) => anyhow::bail!(
            "next hop `{name}` did not answer within {TO_CONNECT:?}; start it before the service that calls it"
        ),
    }
}

async fn run(hops: Rc<[Rc<Hop>]>, side_by_side: bool, errand: Errand) {
    let Errand {
        parcel,
        stamp,
        deadline_ns,
        done,
    } = errand;
    let parcel: Rc<Parcel> = parcel.into();
    let call = |hop: &Rc<Hop>| {
        let (hop, parcel) = (hop.clone(), parcel.clone());
        async move { hop.call(&parcel, stamp, deadline_ns).await }
    };
    let mut ended = Ok(());
    if side_by_side {
        let calls: Vec<_> = hops
            .iter()
            .map(|hop| tokio::task::spawn_local(call(hop)))
            .collect();
        // All are waited for; the first in order that failed is the one that is named.
        for called in calls {
            let called = called.await;
            let called = called.unwrap_or_else(|_| Err("the call of a next hop panicked".into()));
            ended = ended.and(called);
        }
    } else {
        for hop in hops.iter() {
            ended = call(hop).await;
            if ended.is_err() {
                break;
            }
        }
    }
    // Who doesn't wait any more has gone with its listener.
    let _ = done.send(ended);
}

impl Hop {
    async fn call(
        &self,
        parcel: &Parcel,
        stamp: Option<Stamp>,
        deadline_ns: Option<u64>,
    ) -> Result<(), String> {
        let attempt = |patience| self.wire.call(patience, parcel, stamp);
        self.gate.call(deadline_ns, attempt).await
    }
}
