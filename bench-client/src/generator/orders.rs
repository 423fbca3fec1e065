//! The operations of a generator: each encodes a fresh order, sends it, and verifies the answer by value.

use crate::fault::{MOST_SEEN, Seen, TIMEOUT};
use crate::load::{Ending, Operation, Outcome};
use bench_proto::format::Answer;
use bench_proto::{Corpus, Kind, Message, Receipt, Stamp, corpus::order_id};
use bench_transport::{CallResult, Caller};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The corpus with what each of its messages must be answered.
pub(super) struct Orders {
    corpus: RefCell<Corpus>,
    expected: Vec<Option<(i32, i64)>>,
    pub(super) wrong: RefCell<(u64, Option<String>)>,
    pub(super) failures: RefCell<BTreeMap<String, (u64, String)>>,
    /// Every error with its times, where a fault makes them worth keeping.
    pub(super) seen: Option<RefCell<Vec<Seen>>>,
}

/// One operation: encode, send, verify. All of it inside the clock.
pub(super) async fn place<C: Caller>(
    caller: C,
    orders: Rc<Orders>,
    run: u64,
    producer: u32,
    stamped: bool,
    operation: Operation,
) -> Outcome {
    let (kind, body_out, call) = {
        let mut corpus = orders.corpus.borrow_mut();
        let message = corpus.message(run, producer, operation.sequence);
        let body = message.encode(caller.format());
        let key = match message {
            Message::Order(order) => order.user_id.as_str(),
            Message::Blob(_) => "",
        };
        let stamp = stamped.then_some(Stamp {
            run,
            producer,
            sequence: operation.sequence,
            planned_ns: operation.planned_ns,
        });
        (
            message.kind(),
            body.len(),
            caller.call(message.kind(), key, body, stamp),
        )
    };
    let outcome = call.await;
    orders.see(&outcome.result, operation.planned_ns);
    let ending = match &outcome.result {
        CallResult::Acknowledged(answer) => {
            match orders.check(kind, answer.as_ref(), run, producer, operation.sequence) {
                Ok(()) => Ending::Acknowledged,
                Err(problem) => {
                    let mut wrong = orders.wrong.borrow_mut();
                    wrong.0 += 1;
                    wrong.1.get_or_insert(problem);
                    Ending::Failed { by_service: true }
                }
            }
        }
        CallResult::Refused(_) => Ending::Refused,
        CallResult::Failed(failure) => {
            orders
                .failures
                .borrow_mut()
                .entry(failure.name.clone())
                .or_insert_with(|| (0, failure.text.clone()))
                .0 += 1;
            Ending::Failed {
                by_service: failure.by_service,
            }
        }
        CallResult::TimedOut => Ending::TimedOut,
    };
    Outcome {
        sent_ns: outcome.sent_ns,
        ending,
        body_out,
        body_in: outcome.body_in,
    }
}

impl Orders {
    /// A corpus, with what each of its orders must be answered.
    pub(super) fn new(corpus: Corpus, keep_errors: bool) -> Self {
        let expected = corpus
            .messages()
            .iter()
            .map(|message| match message {
                Message::Order(order) => bench_proto::validate::validate(order)
                    .ok()
                    .map(|receipt| (receipt.lines, receipt.total_cents)),
                Message::Blob(_) => None,
            })
            .collect();
        Self {
            corpus: RefCell::new(corpus),
            expected,
            wrong: RefCell::default(),
            failures: RefCell::default(),
            seen: keep_errors.then(RefCell::default),
        }
    }

    fn see(&self, result: &CallResult, planned_ns: u64) {
        let Some(seen) = &self.seen else { return };
        let name = match result {
            CallResult::Failed(failure) => &failure.name,
            CallResult::TimedOut => TIMEOUT,
            CallResult::Acknowledged(_) | CallResult::Refused(_) => return,
        };
        let mut seen = seen.borrow_mut();
        if seen.len() < MOST_SEEN {
            seen.push(Seen {
                name: name.into(),
                planned_ns,
                seen_ns: bench_host::clock::now_ns(),
            });
        }
    }

    /// Whether the answer is the one that this very order must get. A broker's confirm carries none.
    fn check(
        &self,
        kind: Kind,
        answer: Option<&Answer>,
        run: u64,
        producer: u32,
        sequence: u64,
    ) -> Result<(), String> {
        match (kind, answer) {
            (_, None) => Ok(()),
            (Kind::Order, Some(Answer::Receipt(receipt))) => {
                let expected = self.expected[(sequence % self.expected.len() as u64) as usize];
                let id = order_id(run, producer, sequence);
                if receipt.order_id.as_bytes() == id
                    && expected == Some((receipt.lines, receipt.total_cents))
                {
                    Ok(())
                } else {
                    Err(wrong_receipt(receipt, &id, expected))
                }
            }
            (Kind::Blob, Some(Answer::Blob(blob))) => {
                match self.corpus.borrow_mut().message(run, producer, sequence) {
                    Message::Blob(sent) if sent == blob => Ok(()),
                    _ => Err(format!(
                        "the echo of blob {sequence} differs from what was sent"
                    )),
                }
            }
            (kind, Some(_)) => Err(format!(
                "an operation of kind {kind:?} was answered with the other kind's answer"
            )),
        }
    }
}

fn wrong_receipt(receipt: &Receipt, id: &[u8], expected: Option<(i32, i64)>) -> String {
    format!(
        "expected a receipt for order {} with (lines, cents) {expected:?}, got one for {} with ({}, {})",
        String::from_utf8_lossy(id),
        receipt.order_id,
        receipt.lines,
        receipt.total_cents
    )
}
