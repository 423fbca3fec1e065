//! What a publish costs its client: confirm round trip at 1 in flight, throughput and client CPU at 1, 32 and 256, for queue
//! and stream. No service consumes. Run with `--release`, HOPBENCH_AMQP_URL and HOPBENCH_KAFKA_BROKERS in the environment
//! (an address with a password is nobody's business on a command line).

use anyhow::Context;
use bench_host::clock::now_ns;
use bench_host::cpu::own_cpu_ns;
use bench_proto::{Corpus, Durability, Format, Kind, Message, PayloadClass, Stamp};
use bench_transport::{CallResult, Caller, Outcome, Settings, queue, stream};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use std::time::Duration;

const WARM_UP: Duration = Duration::from_secs(2);
const MEASURED: Duration = Duration::from_secs(4);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let address = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
    let amqp = address("HOPBENCH_AMQP_URL")?;
    let kafka = address("HOPBENCH_KAFKA_BROKERS")?;
    let settings = |target: &str| Settings {
        target: target.into(),
        scope: format!("example-{}", std::process::id()),
        durability: Durability::Process,
        ..Settings::default()
    };
    let (queued, streamed) = (settings(&amqp), settings(&kafka));
    println!(
        "transport  in flight     per s   p50 µs   p99 µs  client CPU µs/op  not acknowledged"
    );
    for in_flight in [1, 32, 256] {
        let caller = queue::connect(&queued).await?;
        measure("queue", &caller, in_flight).await?;
        drop(caller);
        queue::remove(&queued).await?;
        let caller = stream::connect(&streamed).await?;
        measure("stream", &caller, in_flight).await?;
        drop(caller);
        stream::remove(&streamed).await?;
    }
    Ok(())
}

async fn measure(name: &str, caller: &impl Caller, in_flight: usize) -> anyhow::Result<()> {
    let mut corpus = Corpus::new(PayloadClass::Order(3), 1);
    let (mut sequence, mut times, mut failed) = (0, Vec::new(), 0u64);
    let mut calls = FuturesUnordered::new();
    let begin = now_ns() + WARM_UP.as_nanos() as u64;
    let end = begin + MEASURED.as_nanos() as u64;
    let mut cpu_at_begin = None;
    loop {
        let now = now_ns();
        if now >= begin && cpu_at_begin.is_none() {
            cpu_at_begin = Some(own_cpu_ns());
        }
        while now < end && calls.len() < in_flight {
            let message = corpus.message(1, 0, sequence);
            let key = match message {
                Message::Order(order) => order.user_id.clone(),
                Message::Blob(_) => String::new(),
            };
            let planned_ns = now_ns();
            let stamp = Stamp {
                run: 1,
                producer: 0,
                sequence,
                planned_ns,
            };
            sequence += 1;
            let body = message.encode(Format::Protobuf);
            // Boxed, because the future's type names the key's lifetime though it does not hold the key.
            let call: LocalBoxFuture<'static, Outcome> =
                Box::pin(caller.call(Kind::Order, &key, body, Some(stamp)));
            calls.push(async move { (planned_ns, call.await) });
        }
        let Some((planned, outcome)) = calls.next().await else {
            break;
        };
        let ended = now_ns();
        match outcome.result {
            CallResult::Acknowledged(_) if (begin..end).contains(&ended) => {
                times.push(ended - planned)
            }
            CallResult::Acknowledged(_) => {}
            _ => failed += 1,
        }
    }
    let cpu = own_cpu_ns() - cpu_at_begin.context("the run was too short")?;
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize] as f64 / 1e3;
    let count = times.len() as f64;
    println!(
        "{name:9} {in_flight:10} {:9.0} {:8.0} {:8.0} {:17.1} {failed:17}",
        count / MEASURED.as_secs_f64(),
        at(0.5),
        at(0.99),
        cpu as f64 / 1e3 / count,
    );
    Ok(())
}
