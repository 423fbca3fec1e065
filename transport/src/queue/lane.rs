//! One connection of the sending end for its life: what of it is in use, and the supervisor that re-connects and
//! declares anew. It publishes nothing.

use super::replies::listen;
use super::route::Route;
use super::{Link, with_confirms};
use crate::ReplyVia;
use crate::broker::Tally;
use crate::reply::Calls;
use anyhow::Context;
use lapin::Channel;
use lapin::types::ShortString;
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, watch};

/// A channel in use.
#[derive(Clone)]
pub(super) struct Wire {
    pub(super) channel: Arc<Channel>,
    /// Where its requests want their replies, if they want any.
    pub(super) reply_to: Option<ShortString>,
}

/// One connection as the calls see it.
pub(super) struct Lane {
    /// What is in use; none while disconnected.
    pub(super) wire: watch::Sender<Option<Wire>>,
    /// The calls that wait for a reply; none where a call ends with its confirm.
    pub(super) calls: Option<Arc<Calls>>,
    /// A call found the channel unusable: the supervisor looks again.
    pub(super) suspect: Notify,
    /// lapin numbers a channel's confirms in the order of the calls: publishing takes turns.
    pub(super) turn: Mutex<()>,
}

impl Lane {
    /// With nothing in use yet.
    pub(super) fn new(calls: Option<Arc<Calls>>) -> Self {
        Self {
            wire: watch::Sender::new(None),
            calls,
            suspect: Notify::new(),
            turn: Mutex::new(()),
        }
    }

    /// Makes an open connection ready for calls. Confirms are a setting of the channel: without them this class would
    /// silently weaken.
    pub(super) async fn use_channel(
        &self,
        channel: &Arc<Channel>,
        route: &Route,
        reply: Option<ReplyVia>,
    ) -> anyhow::Result<()> {
        if route.class.confirm {
            with_confirms(channel)
                .await
                .context("RabbitMQ refused publisher confirms")?;
        }
        let reply_to = match (reply, &self.calls) {
            (Some(via), Some(calls)) => Some(listen(channel, via, calls.clone()).await?),
            _ => None,
        };
        let channel = channel.clone();
        self.wire.send_replace(Some(Wire { channel, reply_to }));
        Ok(())
    }

    /// No call uses what was cut, and none waits for a reply that cannot come any more.
    fn cut(&self) {
        self.wire.send_replace(None);
        if let Some(calls) = &self.calls {
            calls.cut();
        }
    }
}

/// Owns one connection for the caller's life: notices the cut, backs off, connects and declares anew.
pub(super) async fn supervise(
    route: Route,
    mut link: Link,
    lane: Arc<Lane>,
    reply: Option<ReplyVia>,
    tally: Arc<Tally>,
) {
    loop {
        tokio::select! {
            () = link.cut() => {}
            () = lane.suspect.notified() => {
                if link.channel.status().connected() {
                    continue;
                }
            }
        }
        lane.cut();
        drop(link);
        link = loop {
            let next = route.reopen("publisher", &tally).await;
            match lane.use_channel(&next.channel, &route, reply).await {
                Ok(()) => break next,
                Err(error) => tracing::debug!("not ready after re-connecting: {error:#}"),
            }
        };
    }
}
