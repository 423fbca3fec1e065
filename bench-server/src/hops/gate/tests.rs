use super::*;
use bench_host::clock::after;
use bench_transport::Failure;
use std::cell::{Cell, RefCell};
use std::future::ready;
use tokio::sync::Notify;

fn gate(options: &str) -> Gate {
    let next: Next = format!("stock=tcp:h:1{options}").parse().unwrap();
    Gate::new(&next)
}

fn failure() -> CallResult {
    CallResult::Failed(Failure {
        by_service: true,
        name: "broken".into(),
        text: "it is broken".into(),
    })
}

/// So many calls, one after the other, whose attempts all end like this.
async fn calls(gate: &Gate, calls: u64, result: fn() -> CallResult) -> Vec<String> {
    let mut sentences = Vec::new();
    for _ in 0..calls {
        let called = gate.call(None, |_| ready(result())).await;
        sentences.extend(called.err());
    }
    sentences
}

fn identity_holds(account: &HopAccount) {
    let failed: u64 = account.failed.values().sum();
    let turned_away = account.shed + account.refused_by_breaker;
    assert_eq!(
        account.calls,
        account.succeeded + failed + account.timed_out + turned_away,
        "{account:?}"
    );
    let out_of_time = account.failed.get(NO_TIME).copied().unwrap_or(0);
    assert_eq!(
        account.attempts,
        account.calls - turned_away - out_of_time + account.retried,
        "{account:?}"
    );
}

#[tokio::test]
async fn without_guards_each_call_is_one_attempt_and_ends_as_that_did() {
    let gate = gate("");
    assert!(
        calls(&gate, 3, || CallResult::Acknowledged(None))
            .await
            .is_empty()
    );
    let sentences = calls(&gate, 2, failure).await;
    assert!(
        sentences[0].contains("stock") && sentences[0].contains("it is broken"),
        "{sentences:?}"
    );
    let refused = calls(&gate, 1, || CallResult::Refused("no lines".into())).await;
    assert!(refused[0].contains("no lines"), "{refused:?}");
    let late = calls(&gate, 1, || CallResult::TimedOut).await;
    assert!(late[0].contains("timed out"), "{late:?}");
    let account = gate.account();
    identity_holds(&account);
    assert_eq!((account.calls, account.succeeded), (7, 3));
    assert_eq!((account.failed["broken"], account.failed[REFUSED]), (2, 1));
    assert_eq!((account.timed_out, account.retried), (1, 0));
}

#[tokio::test]
async fn a_failing_hop_is_tried_as_often_as_was_said_and_no_more() {
    let gate = gate(",retries=3");
    calls(&gate, 10, failure).await;
    calls(&gate, 5, || CallResult::TimedOut).await;
    calls(&gate, 2, || CallResult::Refused("no lines".into())).await;
    let account = gate.account();
    identity_holds(&account);
    assert_eq!((account.attempts, account.retried), (62, 45));
}

#[tokio::test]
async fn a_retry_that_succeeds_ends_its_call_well() {
    let gate = gate(",retries=3");
    let tries = Cell::new(0);
    let called = gate.call(None, |_| {
        tries.set(tries.get() + 1);
        ready(match tries.get() {
            1 | 2 => failure(),
            _ => CallResult::Acknowledged(None),
        })
    });
    assert_eq!(called.await, Ok(()));
    let account = gate.account();
    identity_holds(&account);
    assert_eq!((account.attempts, account.succeeded), (3, 1));
}

#[tokio::test]
async fn a_budget_allows_its_share_of_the_first_attempts_exactly() {
    for (options, retried) in [
        (",budget=10%", 10),
        (",budget=30%", 30),
        (",budget=0.5%", 0),
    ] {
        let gate = gate(&format!(",retries=3{options}"));
        calls(&gate, 100, failure).await;
        let account = gate.account();
        identity_holds(&account);
        assert_eq!(account.retried, retried, "{options}");
    }
}

#[tokio::test]
async fn a_budget_saves_up_no_more_than_ten_retries() {
    let gate = gate(",retries=1,budget=50%");
    calls(&gate, 1_000, || CallResult::Acknowledged(None)).await;
    calls(&gate, 15, failure).await;
    // Ten were saved up, and each of the fifteen brings half a retry.
    let account = gate.account();
    identity_holds(&account);
    assert_eq!(account.retried, 15);
    // Two are left, enough for four calls in a row; then every second one has its retry.
    calls(&gate, 100, failure).await;
    assert_eq!(gate.account().retried, 15 + 4 + 48);
}

#[tokio::test]
async fn the_bulkhead_turns_away_exactly_what_is_over_it_and_takes_the_next_after_an_end() {
    let gate = gate(",bulkhead=8");
    let open = Notify::new();
    let (way, opened) = (&gate, &open);
    let held = move || async move {
        way.call(None, move |_| async move {
            opened.notified().await;
            CallResult::Acknowledged(None)
        })
        .await
    };
    let mut inside: Vec<_> = (0..8).map(|_| Box::pin(held())).collect();
    for call in &mut inside {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending());
    }
    for _ in 0..5 {
        let why = held().await.unwrap_err();
        assert!(why.contains("bulkhead of 8"), "{why}");
    }
    open.notify_waiters();
    for call in inside {
        assert_eq!(call.await, Ok(()));
    }
    calls(&gate, 1, || CallResult::Acknowledged(None)).await;
    let account = gate.account();
    identity_holds(&account);
    assert_eq!((account.shed, account.succeeded), (5, 9));
}

#[tokio::test]
async fn the_breaker_opens_with_its_share_and_the_refused_calls_make_no_attempt() {
    let gate = gate(",breaker=50%/20/60m");
    calls(&gate, 10, || CallResult::Acknowledged(None)).await;
    let sentences = calls(&gate, 90, failure).await;
    assert!(sentences[89].contains("breaker is open"), "{sentences:?}");
    let account = gate.account();
    identity_holds(&account);
    assert_eq!((account.attempts, account.refused_by_breaker), (20, 80));
    assert_eq!(account.failed["broken"], 10);
    assert_eq!(account.breaker_ns.half_open, 0);
}

#[tokio::test]
async fn slow_attempts_open_a_breaker_that_is_told_of_them_and_no_other() {
    for (told, attempts, refused) in [(",slow-after=1us", 20, 10), ("", 30, 0)] {
        let gate = gate(&format!(",breaker=50%/20/60m{told}"));
        let slow = |_: Duration| async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            CallResult::Acknowledged(None)
        };
        for _ in 0..30 {
            let _ = gate.call(None, slow).await;
        }
        let account = gate.account();
        identity_holds(&account);
        assert_eq!(
            (account.succeeded, account.refused_by_breaker),
            (attempts, refused),
            "{told}"
        );
    }
}

#[tokio::test]
async fn a_retry_that_the_breaker_refuses_leaves_the_call_as_it_was() {
    let gate = gate(",retries=9,breaker=100%/4/60m");
    calls(&gate, 2, failure).await;
    let account = gate.account();
    identity_holds(&account);
    assert_eq!((account.attempts, account.retried), (4, 3));
    assert_eq!(account.failed["broken"], 1);
    assert_eq!(account.refused_by_breaker, 1);
}

#[tokio::test]
async fn an_attempt_has_the_timeout_or_what_is_left_of_the_orders_deadline() {
    let gate = gate(",timeout=10s");
    let told = RefCell::new(Vec::new());
    let attempt = |patience: Duration| {
        told.borrow_mut().push(patience);
        ready(CallResult::Acknowledged(None))
    };
    gate.call(None, attempt).await.unwrap();
    let far = after(now_ns(), Duration::from_secs(60));
    gate.call(Some(far), attempt).await.unwrap();
    let near = after(now_ns(), Duration::from_secs(5));
    gate.call(Some(near), attempt).await.unwrap();
    let why = gate.call(Some(1), attempt).await.unwrap_err();
    assert!(why.contains("deadline had passed"), "{why}");
    let told = told.take();
    assert_eq!(told[..2], [Duration::from_secs(10); 2]);
    assert!(told.len() == 3 && told[2] <= Duration::from_secs(5));
    let account = gate.account();
    identity_holds(&account);
    assert_eq!(account.failed[NO_TIME], 1);
}

#[tokio::test]
async fn a_pause_that_outlasts_the_deadline_is_not_made() {
    let gate = gate(",retries=100,backoff=60m..60m");
    let deadline = after(now_ns(), Duration::from_secs(1));
    // Its pauses are drawn from an hour. One that falls into the second that is left only lets it try once more.
    let why = gate.call(Some(deadline), |_| ready(failure())).await;
    assert!(why.unwrap_err().contains("it is broken"));
    identity_holds(&gate.account());
}

#[test]
fn the_bound_of_the_pause_doubles_up_to_the_longest() {
    let ms = Duration::from_millis;
    let bounds: Vec<_> = (1..=5).map(|made| bound(ms(10), ms(100), made)).collect();
    assert_eq!(bounds, [ms(10), ms(20), ms(40), ms(80), ms(100)]);
    assert_eq!(bound(ms(10), ms(100), u32::MAX), ms(100));
    let gate = gate(",retries=9,backoff=10ms..1s");
    for made in 1..100 {
        assert!(gate.pause(made) <= ms(1_000));
    }
}

#[tokio::test]
async fn a_reset_forgets_the_counts_and_closes_the_breaker_and_stragglers_are_not_entered() {
    let gate = gate(",breaker=100%/2/60m");
    let open = Notify::new();
    let opened = &open;
    let mut straggler = Box::pin(gate.call(None, move |_| async move {
        opened.notified().await;
        failure()
    }));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(straggler.as_mut().poll(&mut context).is_pending());
    calls(&gate, 3, failure).await;
    assert_eq!(gate.account().refused_by_breaker, 1);
    gate.reset();
    open.notify_waiters();
    assert!(straggler.await.is_err());
    let fresh = gate.account();
    assert_eq!((fresh.calls, fresh.attempts), (0, 0));
    calls(&gate, 1, || CallResult::Acknowledged(None)).await;
    assert_eq!(gate.account().succeeded, 1);
}
