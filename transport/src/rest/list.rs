//! Lists of orders: what a REST interface offers where gRPC offers streams. One request carries many orders, one
//! answer what became of each. Both halves are here; `client` and `server` own the connections.

use super::client::Inner;
use crate::net::{Desk, failed_here};
use crate::shared::{self, Basket, Call, Gather, Pending, entries, miscounted};
use crate::{CallResult, Failure, Service};
use bench_proto::{Format, PlacedList, PlacementList, among};
use bytes::Bytes;
use futures_util::stream::{self, TryStreamExt};
use http::StatusCode;
use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;

/// Gathers the orders of one caller into lists.
pub(super) type Lists = Rc<Gather<Basket>>;

/// Lists of `size` orders each.
pub(super) fn lists(size: usize, inner: &Rc<Inner>) -> Lists {
    let inner = inner.clone();
    Basket::gather(size, move |calls| {
        tokio::task::spawn_local(send(inner.clone(), calls));
    })
}

/// Sends one list and ends each of its calls.
async fn send(inner: Rc<Inner>, calls: Vec<Call>) {
    let body = among::list(inner.format, entries(&calls));
    let waiting: Vec<Pending> = calls.into_iter().map(|call| call.pending).collect();
    inner.meter().shared();
    waiting.iter().for_each(Pending::sent);
    let sent_ns = Cell::new(None);
    let exchange = inner.exchange(inner.list_request(body), None, &sent_ns);
    // The calls keep their deadlines themselves; the list is given up when the last of them has passed.
    let ended = tokio::time::timeout(inner.deadline.patience() * 2, exchange).await;
    for call in &waiting {
        call.sent_ns().set(sent_ns.get());
    }
    match ended {
        Ok(Ok((StatusCode::OK, body))) => settle(inner.format, waiting, &body),
        Ok(Ok((status, body))) => {
            end_all(waiting, |_| inner.refusal(status, &body));
        }
        Ok(Err(failure)) => end_all(waiting, |call| cut(&inner, call, &failure)),
        // Nobody waits any more.
        Err(_) => {}
    }
}

fn cut(inner: &Inner, call: &Pending, failure: &Failure) -> CallResult {
    if call.is_awaited() && call.sent_ns().get().is_some() {
        inner.meter().unknown(1);
    }
    CallResult::Failed(failure.clone())
}

fn end_all(waiting: Vec<Pending>, result: impl Fn(&Pending) -> CallResult) {
    for call in waiting {
        let result = result(&call);
        call.end(result, 0);
    }
}

/// What became of each order, in the list's order.
fn settle(format: Format, waiting: Vec<Pending>, body: &Bytes) {
    let list: PlacedList = match format.decode(body) {
        Ok(list) => list,
        Err(error) => {
            return end_all(waiting, |_| failed_here("answer", error.to_string()));
        }
    };
    if list.placed.len() != waiting.len() {
        let (orders, answers) = (waiting.len(), list.placed.len() as u64);
        return end_all(waiting, |_| miscounted(orders, answers));
    }
    let share = body.len() / waiting.len();
    // The first takes the remainder, so that the sum of the shares is exact.
    let mut body_in = body.len() - share * (waiting.len() - 1);
    for (call, placed) in waiting.into_iter().zip(list.placed) {
        call.placed(placed, std::mem::replace(&mut body_in, share));
    }
}

/// Reads a list whole, Stamps included, and works on its orders side by side. The error is a sentence and the short
/// name that the rejected are counted by; then nothing was worked on.
pub(super) async fn place<S: Service>(
    desk: &Desk<S>,
    format: Format,
    body: &[u8],
) -> Result<PlacedList, (&'static str, String)> {
    let list: PlacementList = format
        .decode(body)
        .map_err(|error| ("rest malformed", error.to_string()))?;
    shared::check_length(list.placements.len()).map_err(|text| ("rest list", text))?;
    let stamped = list.placements.into_iter().map(|placement| {
        let stamp = shared::stamp_of(&placement)?;
        Ok((placement, stamp))
    });
    let all: Result<Vec<_>, String> = stamped.collect();
    let all = all.map_err(|text| ("rest stamp", text))?;
    let all = stream::iter(all.into_iter().map(Ok::<_, Infallible>));
    let placed = shared::place_all(desk.clone(), all).try_collect().await;
    let Ok(placed) = placed;
    Ok(PlacedList { placed })
}
