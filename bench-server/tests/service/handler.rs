//! The one handler, without any transport: what it answers, what it records, and how slow it is.

use crate::common::{Orders, RUN, histogram, ledger, origin, place, reset, service, service_with};
use bench_host::clock::now_ns;
use bench_proto::control::{Reset, Span};
use bench_proto::format::Answer;
use bench_proto::{Blob, CallerLedger, Message, Stamp};
use bench_proto::{ledger::Balance, validate::validate};
use bench_transport::{Origin, Reply, Service};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

fn broken(mut message: Message) -> Message {
    if let Message::Order(order) = &mut message {
        order.items[0].quantity += 1;
    }
    message
}

#[tokio::test]
async fn an_order_is_answered_with_its_receipt_and_a_blob_with_itself() {
    let service = service("");
    let message = Orders::new().next(0);
    let Message::Order(order) = message.clone() else {
        panic!("an order was expected");
    };
    match service.handle(message, Origin::default()).await {
        Reply::Done(Answer::Receipt(receipt)) => {
            assert_eq!(receipt, validate(&order).unwrap());
            assert_eq!(receipt.order_id, order.order_id);
            assert_eq!(receipt.lines, 3);
        }
        other => panic!("a receipt was expected, got {other:?}"),
    }
    let blob = Blob {
        payload: "echo".into(),
        ints: vec![-1, 2],
        ..Blob::default()
    };
    match service
        .handle(Message::Blob(blob.clone()), Origin::default())
        .await
    {
        Reply::Done(Answer::Blob(echo)) => assert_eq!(echo, blob),
        other => panic!("the blob was expected, got {other:?}"),
    }
}

#[tokio::test]
async fn a_handler_without_slowness_is_done_at_its_first_poll() {
    let service = service("");
    service.reset(&reset(), None);
    let mut handling = pin!(service.handle(Orders::new().next(0), origin(0)));
    let first = handling
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(first, Poll::Ready(Reply::Done(_))));
    assert_eq!(service.progress().delivered, 1);
}

#[tokio::test]
async fn an_order_whose_lines_do_not_sum_up_is_refused_and_counted_by_reason() {
    let service = service("");
    service.reset(&reset(), None);
    let mut orders = Orders::new();
    for sequence in 0..30 {
        let message = orders.next(sequence);
        let message = if sequence < 10 {
            broken(message)
        } else {
            message
        };
        let reply = service.handle(message, origin(sequence)).await;
        assert_eq!(
            matches!(reply, Reply::Refused(_)),
            sequence < 10,
            "{reply:?}"
        );
    }
    let (account, _) = service.account();
    assert_eq!(account.refused.values().sum::<u64>(), 10);
    assert_eq!(account.refused.len(), 1);
    // Refused orders were delivered, but they are no completed work.
    assert_eq!(account.progress.delivered, 30);
    assert_eq!(account.progress.completed, 30);
    assert_eq!(account.spans[0].completed, 20);
    assert_eq!(histogram(&account.spans[0].completion).len(), 20);
    assert_eq!(histogram(&account.handler).len(), 30);
}

#[tokio::test]
async fn the_failure_share_fails_the_same_orders_on_every_run_of_one_seed() {
    let mut failed = Vec::new();
    for _ in 0..2 {
        let service = service("fail=20%");
        service.reset(&reset(), None);
        let mut orders = Orders::new();
        let mut which = Vec::new();
        for sequence in 0..1_000 {
            let handling = service.handle(orders.next(sequence), origin(sequence));
            if matches!(handling.await, Reply::Failed(_)) {
                which.push(sequence);
            }
        }
        let (account, _) = service.account();
        assert_eq!(account.failed, which.len() as u64);
        assert_eq!(account.spans[0].completed, 1_000 - account.failed);
        failed.push(which);
    }
    assert_eq!(failed[0], failed[1]);
    // Seeded, so this is exact and not a matter of luck: 20 % ± 6 standard deviations.
    assert!(
        (124..=276).contains(&failed[0].len()),
        "{}",
        failed[0].len()
    );
}

#[tokio::test]
async fn a_slow_handler_takes_at_least_what_was_planned() {
    let service = service("1ms");
    service.reset(&reset(), None);
    place(&service, 50).await;
    let (account, _) = service.account();
    let handler = histogram(&account.handler);
    let planned = histogram(&account.planned_handler);
    assert_eq!((handler.len(), planned.len()), (50, 50));
    assert!(handler.min() >= planned.lowest_equivalent(1_000_000));
    assert_eq!(planned.min(), planned.lowest_equivalent(1_000_000));
    assert_eq!(planned.max(), planned.highest_equivalent(1_000_000));
}

#[tokio::test]
async fn a_spinning_handler_burns_the_processor_time_that_it_was_told_to() {
    let service = service("spin(2ms)");
    service.reset(&reset(), None);
    let before = bench_host::cpu::thread_cpu_ns();
    place(&service, 20).await;
    let (account, _) = service.account();
    assert!(histogram(&account.handler).min() >= 1_990_000);
    // The clock that bounds a spin goes on while another process has the core, so only the order is certain.
    assert!(bench_host::cpu::thread_cpu_ns() > before);
}

#[tokio::test]
async fn slowness_changes_from_the_next_order_on() {
    let service = service("fail=100%");
    service.reset(&reset(), None);
    let mut orders = Orders::new();
    let reply = service.handle(orders.next(0), origin(0)).await;
    assert!(matches!(reply, Reply::Failed(_)));
    service.slow("fail=0%".parse().unwrap());
    let reply = service.handle(orders.next(1), origin(1)).await;
    assert!(matches!(reply, Reply::Done(_)));
    assert_eq!(service.account().0.failed, 1);
}

#[tokio::test]
async fn the_phase_is_the_one_of_the_moment_when_the_work_begins() {
    let service = service("0s..1s fail=100%; 1s.. fail=0%");
    let mut orders = Orders::new();
    // A run that starts in an hour is in its first phase; one that started with the machine is in its last.
    for (start_ns, fails) in [(now_ns() + 3_600_000_000_000, true), (0, false)] {
        let reset = Reset {
            start_ns,
            ..reset()
        };
        service.reset(&reset, None);
        let reply = service.handle(orders.next(0), origin(0)).await;
        assert_eq!(matches!(reply, Reply::Failed(_)), fails);
    }
}

#[tokio::test]
async fn an_order_beyond_the_queue_is_turned_away_at_once_counted_apart_and_in_no_ledger() {
    let service = service_with("60m workers=1", |options| options.max_waiting = Some(2));
    service.reset(&reset(), None);
    let mut orders = Orders::new();
    let _waiting: Vec<_> = (0..3)
        .map(|sequence| tokio::spawn(service.handle(orders.next(sequence), origin(sequence))))
        .collect();
    while service.progress().in_service < 3 || service.sleeping() < 1 {
        tokio::task::yield_now().await;
    }
    for sequence in 3..8 {
        let reply = service.handle(orders.next(sequence), origin(sequence));
        assert!(matches!(reply.await, Reply::Overloaded(_)));
    }
    let (account, _) = service.account();
    assert_eq!((account.shed, account.failed), (5, 0));
    assert_eq!(account.progress.delivered, 0);
    assert_eq!(account.progress.in_service, 3);
    // Another run's order is not counted as this one's.
    let mut other = origin(9);
    other.stamp.as_mut().unwrap().run += 1;
    service.handle(orders.next(9), other).await;
    let (account, _) = service.account();
    assert_eq!((account.shed, account.foreign), (5, 1));
}

#[tokio::test]
async fn no_more_orders_are_worked_on_at_once_than_there_are_workers() {
    let service = service("60m workers=3");
    service.reset(&reset(), None);
    let mut orders = Orders::new();
    let tasks: Vec<_> = (0..20)
        .map(|sequence| tokio::spawn(service.handle(orders.next(sequence), origin(sequence))))
        .collect();
    while service.progress().in_service < 20 {
        tokio::task::yield_now().await;
    }
    // A planned hour is asleep in the timer for each order that has a worker; the others wait for one.
    assert_eq!(service.sleeping(), 3);
    tasks[0].abort();
    tasks[1].abort();
    while service.progress().in_service > 18 || service.sleeping() < 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(service.sleeping(), 3);
    service.slow("60m workers=5".parse().unwrap());
    while service.sleeping() < 5 {
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await;
    assert_eq!((service.sleeping(), service.workers()), (5, Some(5)));
    for task in &tasks {
        task.abort();
    }
    while service.progress().in_service > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(service.sleeping(), 0);
}

#[tokio::test]
async fn completions_are_sorted_into_the_spans_that_hold_their_planned_instant() {
    let service = service("");
    let now = now_ns();
    let span = |name: &str, start_ns, end_ns| Span {
        name: name.into(),
        start_ns,
        end_ns,
    };
    let (past, middle) = (now - 2_000_000, now - 1_000_000);
    let reset = Reset {
        spans: vec![
            span("measured", past, now),
            span("early", past, middle),
            span("late", middle, now),
            span("never", now + 3_600_000_000_000, u64::MAX),
        ],
        ..reset()
    };
    service.reset(&reset, None);
    let mut orders = Orders::new();
    let planned = [past, middle - 1, middle, now - 1, now, past - 1];
    for (sequence, planned_ns) in (0..).zip(planned) {
        let mut origin = origin(sequence);
        origin.stamp.as_mut().unwrap().planned_ns = planned_ns;
        service.handle(orders.next(sequence), origin).await;
    }
    let (account, _) = service.account();
    let completed: Vec<u64> = account.spans.iter().map(|span| span.completed).collect();
    assert_eq!(completed, [4, 2, 2, 0]);
    assert!(histogram(&account.spans[1].completion).min() >= 1_000_000 / 1_000 * 999);
    assert_eq!(account.handler, account.spans[0].handler);
    // All ended after the window, so nothing was completed inside it by the clock.
    assert_eq!(account.completed_in_window, 0);
    assert_eq!(account.progress.delivered, 6);
}

#[tokio::test]
async fn an_order_that_ends_before_it_was_planned_is_counted_as_a_clock_fault() {
    let service = service("");
    service.reset(&reset(), None);
    let mut origin = origin(0);
    origin.stamp.as_mut().unwrap().planned_ns = now_ns() + 3_600_000_000_000;
    service.handle(Orders::new().next(0), origin).await;
    let (account, _) = service.account();
    assert_eq!((account.negative, account.spans[0].completed), (1, 1));
    assert_eq!(histogram(&account.spans[0].completion).len(), 0);
}

#[tokio::test]
async fn orders_without_a_stamp_or_of_another_run_are_served_and_counted_apart() {
    let service = service("");
    service.reset(&reset(), None);
    let mut orders = Orders::new();
    for sequence in 0..3 {
        let reply = service
            .handle(orders.next(sequence), Origin::default())
            .await;
        assert!(matches!(reply, Reply::Done(_)));
    }
    let foreign = Origin {
        stamp: Some(Stamp {
            run: RUN + 1,
            producer: 0,
            sequence: 0,
            planned_ns: now_ns(),
        }),
        ..Origin::default()
    };
    assert!(matches!(
        service.handle(orders.next(3), foreign).await,
        Reply::Done(_)
    ));
    let (account, _) = service.account();
    assert_eq!((account.unstamped, account.foreign), (3, 1));
    assert_eq!(
        (account.progress.delivered, account.progress.completed),
        (0, 3)
    );
    assert_eq!(account.completed_in_window, 3);
    assert_eq!(ledger(&account).delivered(), 0);
}

#[tokio::test]
async fn a_redelivered_order_is_a_duplicate_and_no_second_completion() {
    let service = service("");
    service.reset(&reset(), None);
    place(&service, 10).await;
    let again = Origin {
        redelivered: true,
        ..origin(4)
    };
    service.handle(Orders::new().next(4), again).await;
    let (account, _) = service.account();
    assert_eq!(account.redelivered, 1);
    assert_eq!(
        (account.progress.delivered, account.progress.completed),
        (10, 11)
    );
    assert_eq!(
        (account.spans[0].completed, account.completed_in_window),
        (10, 10)
    );
    let mut caller = CallerLedger {
        attempted: 10,
        ..CallerLedger::default()
    };
    caller.acknowledged.insert_range(0..10);
    let balance = Balance::of(&[caller], Some(&ledger(&account)));
    assert_eq!((balance.lost, balance.duplicated), (Some(0), Some(1)));
}

#[tokio::test]
async fn an_order_past_its_deadline_is_not_started_and_is_in_no_ledger() {
    let service = service("");
    service.reset(&reset(), None);
    let mut orders = Orders::new();
    let until = |deadline_ns, sequence| Origin {
        deadline_ns: Some(deadline_ns),
        ..origin(sequence)
    };
    for sequence in 0..3 {
        let late = service.handle(orders.next(sequence), until(now_ns(), sequence));
        let reply = late.await;
        assert!(
            matches!(&reply, Reply::Failed(why) if why.contains("not started")),
            "{reply:?}"
        );
    }
    let in_time = service.handle(orders.next(3), until(u64::MAX, 3));
    assert!(matches!(in_time.await, Reply::Done(_)));
    let (account, _) = service.account();
    assert_eq!((account.expired, account.failed), (3, 0));
    assert_eq!(ledger(&account).delivered(), 1);
    assert_eq!(account.progress.completed, 1);
}

#[tokio::test]
async fn an_order_that_comes_twice_at_once_has_one_effect_in_an_idempotent_service() {
    for (idempotent, repeated) in [(true, 0), (false, 1)] {
        let service = service_with("5ms", |options| options.idempotent = idempotent);
        service.reset(&reset(), None);
        let first = service.handle(Orders::new().next(0), origin(0));
        let second = service.handle(Orders::new().next(0), origin(0));
        let (first, second) = tokio::join!(first, second);
        assert!(matches!((first, second), (Reply::Done(_), Reply::Done(_))));
        let (account, _) = service.account();
        let effects = account.effects;
        assert_eq!((effects.applied, effects.repeated), (1, repeated));
        assert_eq!(account.progress.delivered, 1);
    }
}

#[tokio::test]
async fn a_reset_forgets_the_last_run_whole() {
    let service = service("");
    service.reset(&reset(), None);
    place(&service, 10).await;
    service.rejected("rest malformed");
    assert_eq!(service.account().0.malformed["rest malformed"], 1);
    service.reset(
        &Reset {
            run: RUN + 1,
            ..reset()
        },
        None,
    );
    place(&service, 10).await;
    let (account, _) = service.account();
    assert_eq!(account.run, RUN + 1);
    assert_eq!((account.progress.delivered, account.foreign), (0, 10));
    assert!(account.malformed.is_empty());
    assert_eq!(account.spans[0].completed, 0);
}

#[tokio::test]
async fn planted_faults_are_found_by_the_balance_to_the_exact_count() {
    let service = service_with("", |options| {
        options.plant = Some("drop=1/100,double=1/50,swap=1/40".parse().unwrap());
    });
    service.reset(&reset(), None);
    place(&service, 5_000).await;
    let (account, planted) = service.account();
    let planted = planted.unwrap();
    let mut caller = CallerLedger {
        attempted: 5_000,
        ..CallerLedger::default()
    };
    caller.acknowledged.insert_range(0..5_000);
    let balance = Balance::of(&[caller], Some(&ledger(&account)));
    assert_eq!(planted.dropped, 50);
    assert!(
        planted.doubled >= 99 && planted.swapped > 100,
        "{planted:?}"
    );
    assert_eq!(balance.lost, Some(planted.dropped));
    assert_eq!(balance.duplicated, Some(planted.doubled));
    assert_eq!(balance.reordered, Some(planted.swapped));
    assert_eq!(balance.unexpected, Some(0));
    assert_eq!(account.progress.completed, 5_000);
}
