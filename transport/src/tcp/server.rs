//! The serving end: handlers of one connection run side by side, answers leave in the order of their requests.

use super::{Broken, Request, Status, put_answer, take_request};
use crate::net::{self, Desk};
use crate::tls::{Door, SPEAKS_TLS, Stream};
use crate::{Listener, Origin, Reply, Service, Settings, Started};
use bench_proto::{Format, Stamp};
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

/// Requests of one connection that may be worked on or wait for their turn to be answered; the rest stays in the
/// socket, where it slows its sender down.
const PIPELINE: usize = 1_024;
/// Room that each read has at least.
const READ_ROOM: usize = 16 << 10;
/// How long a peer that sent a broken frame is given to read the answer to it.
const LINGER: Duration = Duration::from_secs(1);

/// Serves length-prefixed frames.
pub async fn serve<S: Service>(settings: &Settings, service: S) -> anyhow::Result<Listener> {
    let (listener, address) = net::bind("tcp", &settings.target).await?;
    let (stop, stopping) = watch::channel(false);
    let max_body = settings.max_body;
    let door = Door::new(settings, &[], |_| {
        let mut answer = BytesMut::new();
        put_answer(&mut answer, Status::Rejected, SPEAKS_TLS.as_bytes());
        answer.to_vec()
    })?;
    let nagle_left = settings.library_defaults;
    let mut in_force = net::named([
        ("tcp.nodelay", net::nodelay_in_force(nagle_left)),
        ("tcp.pipeline", PIPELINE.to_string()),
        ("compression", "off".into()),
        ("max_body", max_body.to_string()),
    ]);
    in_force.extend(door.in_force());
    let task = tokio::spawn(async move {
        let desk = Desk::new(service);
        let connections = TaskTracker::new();
        let mut stop = pin!(net::stopped(stopping.clone()));
        loop {
            let stream = tokio::select! {
                stream = net::accept(&listener, nagle_left) => stream,
                () = &mut stop => break,
            };
            let (desk, stopping, door) = (desk.clone(), stopping.clone(), door.clone());
            connections.spawn(async move {
                let rejected = |why| desk.rejected(&format!("tcp {why}"));
                let Some(stream) = door.open(stream, rejected).await else {
                    return;
                };
                if let Err(error) = converse(stream, &desk, max_body, stopping).await {
                    tracing::debug!(%error, "a tcp connection was cut");
                }
            });
        }
        drop(listener);
        desk.idle().await;
        connections.close();
        let _ = tokio::time::timeout(net::CLOSING_GRACE, connections.wait()).await;
    });
    Ok(Listener::new(address, in_force, stop, task))
}

/// An answer whose turn may not have come.
enum Pending {
    Ready(Status, Bytes),
    Running(JoinHandle<Reply>, Format),
}

/// One connection, from its first frame to its last answer.
async fn converse<S: Service>(
    mut stream: Stream,
    desk: &Desk<S>,
    max_body: usize,
    stopping: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut stop = pin!(net::stopped(stopping));
    let mut input = BytesMut::new();
    let mut output = BytesMut::new();
    let mut pending = VecDeque::new();
    let (mut reading, mut broken) = (true, false);
    loop {
        let full = take_requests(&mut input, &mut pending, desk, max_body).await;
        let full = full.unwrap_or_else(|fault| {
            desk.rejected(fault.name);
            pending.push_back(Pending::Ready(Status::Rejected, fault.text.into()));
            (reading, broken) = (false, true);
            input.clear();
            false
        });
        put_ready(&mut output, &mut pending).await;
        if !output.is_empty() {
            stream.write_all_buf(&mut output).await?;
            stream.flush().await?;
            if full {
                continue;
            }
        }
        if pending.is_empty() && !reading {
            break;
        }
        input.reserve(READ_ROOM);
        tokio::select! {
            biased;
            () = first_done(&mut pending), if !pending.is_empty() => {}
            read = stream.read_buf(&mut input), if reading && !full => if read? == 0 {
                reading = false;
                if !input.is_empty() {
                    input.clear();
                    broken = true;
                    desk.rejected("tcp truncated");
                    let text = "expected the rest of a frame, got the end of the connection";
                    pending.push_back(Pending::Ready(Status::Rejected, text.into()));
                }
            },
            () = &mut stop, if reading => {
                // What is only half here was not accepted.
                input.clear();
                reading = false;
            }
        }
    }
    stream.shutdown().await?;
    if broken {
        // Closing over unread bytes would reset the connection, and the peer would lose the answer.
        let mut rest = [0; 4_096];
        let drained = async { while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {} };
        let _ = tokio::time::timeout(LINGER, drained).await;
    }
    Ok(())
}

/// Starts every request that is all there. True if it had to stop because the pipeline is full.
async fn take_requests<S: Service>(
    input: &mut BytesMut,
    pending: &mut VecDeque<Pending>,
    desk: &Desk<S>,
    max_body: usize,
) -> Result<bool, Broken> {
    let mut taken = 0;
    let full = loop {
        if pending.len() >= PIPELINE {
            break true;
        }
        let Some((request, used)) = take_request(&input[taken..], max_body)? else {
            break false;
        };
        pending.push_back(begin(request, desk).await);
        taken += used;
    };
    input.advance(taken);
    Ok(full)
}

async fn begin<S: Service>(request: Request<'_>, desk: &Desk<S>) -> Pending {
    let rejected = |what: &str, text: String| {
        desk.rejected(what);
        Pending::Ready(Status::Rejected, text.into())
    };
    let stamp = match request.stamp.map(Stamp::from_bytes).transpose() {
        Ok(stamp) => stamp,
        Err(error) => return rejected("tcp stamp", error.to_string()),
    };
    let format = request.format;
    let message = match format.decode_request(request.kind, request.body) {
        Ok(message) => message,
        Err(error) => return rejected("tcp malformed", error.to_string()),
    };
    let origin = Origin {
        stamp,
        ..Origin::default()
    };
    match desk.start(message, origin).await {
        Started::Done(reply) => ready(reply.unwrap_or_else(net::panicked), format),
        Started::Running(task) => Pending::Running(task, format),
    }
}

fn ready(reply: Reply, format: Format) -> Pending {
    match reply {
        Reply::Done(answer) => Pending::Ready(Status::Answer, answer.encode(format)),
        Reply::Refused(text) => Pending::Ready(Status::Refused, text.into()),
        Reply::Failed(text) => Pending::Ready(Status::Failed, text.into()),
        Reply::Overloaded(text) => Pending::Ready(Status::Overloaded, text.into()),
    }
}

/// Appends the answers at the front that are ready.
async fn put_ready(output: &mut BytesMut, pending: &mut VecDeque<Pending>) {
    loop {
        match pending.front() {
            Some(Pending::Ready(..)) => {}
            Some(Pending::Running(task, _)) if task.is_finished() => first_done(pending).await,
            _ => return,
        }
        if let Some(Pending::Ready(status, body)) = pending.pop_front() {
            put_answer(output, status, &body);
        }
    }
}

/// Waits until the first answer is ready.
async fn first_done(pending: &mut VecDeque<Pending>) {
    if let Some(Pending::Running(task, format)) = pending.front_mut() {
        let (reply, format) = (task.await, *format);
        pending[0] = ready(reply.unwrap_or_else(|_| net::panicked()), format);
    }
}
