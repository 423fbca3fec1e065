//! The callers of all transports as one type: the place where a hop's transport becomes a caller. It knows no guard.

use super::Parcel;
use super::next::{Next, Way};
use bench_proto::Stamp;
use bench_transport::{
    CallResult, Caller, Fanout, Settings, Transport, grpc, queue, rest, stream, tcp,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// The caller's own deadline where the hop has no timeout: above what a call ever brings.
const NEVER: Duration = Duration::from_secs(2 * 3_600);

/// The connections to one hop. Dispatch is one branch per call; behind it everything is static.
pub(super) enum Wire {
    Tcp(tcp::TcpCaller),
    Rest(rest::RestCaller),
    Grpc(grpc::GrpcCaller),
    Queue(queue::QueueCaller),
    Stream(stream::StreamCaller),
}

impl Wire {
    /// Connects as the hop says; what it doesn't say is as the service's own listeners have it.
    pub(super) async fn connect(next: &Next, base: &Settings) -> anyhow::Result<Self> {
        let settings = Settings {
            target: next.target.clone(),
            scope: next.scope.clone(),
            format: next.format,
            http: next.http,
            connections: next.connections,
            deadline: next.guards.timeout.unwrap_or(NEVER),
            deadline_travels: next.deadline_travels,
            reply: match next.way {
                Way::Reply(via) => Some(via),
                Way::Awaited | Way::Published => None,
            },
            fanout: next.fanout.then_some(Fanout::Publisher),
            ..base.clone()
        };
        Ok(match next.transport {
            Transport::Tcp => Self::Tcp(tcp::connect(&settings).await?),
            Transport::Rest => Self::Rest(rest::connect(&settings).await?),
            Transport::Grpc => Self::Grpc(grpc::connect(&settings).await?),
            Transport::Queue => Self::Queue(queue::connect(&settings).await?),
            Transport::Stream => Self::Stream(stream::connect(&settings).await?),
        })
    }

    /// One attempt.
    pub(super) async fn call(
        &self,
        patience: Duration,
        parcel: &Parcel,
        stamp: Option<Stamp>,
    ) -> CallResult {
        match self {
            Self::Tcp(caller) => send(caller, patience, parcel, stamp).await,
            Self::Rest(caller) => send(caller, patience, parcel, stamp).await,
            Self::Grpc(caller) => send(caller, patience, parcel, stamp).await,
            Self::Queue(caller) => send(caller, patience, parcel, stamp).await,
            Self::Stream(caller) => send(caller, patience, parcel, stamp).await,
        }
    }

    pub(super) fn in_force(&self) -> BTreeMap<String, String> {
        match self {
            Self::Tcp(caller) => caller.in_force(),
            Self::Rest(caller) => caller.in_force(),
            Self::Grpc(caller) => caller.in_force(),
            Self::Queue(caller) => caller.in_force(),
            Self::Stream(caller) => caller.in_force(),
        }
    }
}

async fn send<C: Caller>(
    caller: &C,
    patience: Duration,
    parcel: &Parcel,
    stamp: Option<Stamp>,
) -> CallResult {
    let body = parcel.body(caller.format());
    let call = caller.call_within(Some(patience), parcel.kind, &parcel.key, body, stamp);
    call.await.result
}
