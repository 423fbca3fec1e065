//! How late the timers fire on this machine, and what a spin buys at what cost in CPU:
//! `cargo run -p bench-host --example lateness --release [SECONDS]`. One thread, pinned, on an otherwise idle runtime.

use std::time::Duration;

use bench_host::clock::{after, now_ns};
use bench_host::cpu::{MachineCpu, thread_cpu_ns};
use bench_host::place::{Placement, pin_thread};
use bench_host::timer::{AbsoluteTimer, PreciseTimer, minimal_timer_slack};
use tokio::time::{Instant, sleep_until};

#[derive(Clone, Copy)]
enum Way {
    Timerfd,
    TimerfdAndSpin,
    ManySleepers,
    TokioSleep,
}

const WAYS: [(&str, Way); 4] = [
    ("timerfd", Way::Timerfd),
    ("timerfd + spin", Way::TimerfdAndSpin),
    ("PreciseTimer", Way::ManySleepers),
    ("tokio sleep", Way::TokioSleep),
];

/// Runs that count, and how many are made: those count in which all others used the least CPU.
const RUNS: usize = 5;
const TRIES: usize = 9;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds: u64 = std::env::args().nth(1).map_or(Ok(1), |text| text.parse())?;
    minimal_timer_slack()?;
    let scheduling = bench_host::scheduling::hasten()?;
    let placement = Placement::for_this_machine(1)?;
    if let Some(cpus) = &placement.client {
        pin_thread(cpus)?;
    }
    println!("clock: {:?}", bench_host::clock::measure());
    println!("placement: {}", placement.why);
    println!("scheduling: {scheduling}");
    println!(
        "| timer | rate/s | p50 µs | p99 µs | p99.9 µs | max µs | CPU of a core | others' CPU |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (name, way) in WAYS {
        for rate in [1_000, 5_000, 10_000, 20_000] {
            let mut runs = Vec::new();
            for _ in 0..TRIES {
                let before = MachineCpu::read()?;
                let (run, ours_ns) = pace(way, rate, seconds).await?;
                let machine = MachineCpu::read()?.since(&before);
                runs.push((machine.foreign_share_of_a_core(ours_ns), run));
            }
            runs.sort_by(|a, b| a.0.total_cmp(&b.0));
            runs.truncate(RUNS);
            let foreign = 100.0 * runs[RUNS - 1].0;
            // Column by column the median of the quietest runs.
            let median = |column: usize| {
                let mut values: Vec<f64> = runs.iter().map(|(_, run)| run[column]).collect();
                values.sort_by(f64::total_cmp);
                values[RUNS / 2]
            };
            let [p50, p99, p999, max, cpu] = std::array::from_fn(median);
            println!(
                "| {name} | {rate} | {p50:.1} | {p99:.1} | {p999:.1} | {max:.1} | {cpu:.1} % | {foreign:.0} % |"
            );
        }
    }
    Ok(())
}

/// One run: p50, p99, p99.9 and maximum of lateness in µs, the CPU in percent of a core; and that CPU in ns.
async fn pace(
    way: Way,
    rate: u64,
    seconds: u64,
) -> Result<([f64; 5], u64), Box<dyn std::error::Error>> {
    let period = Duration::from_nanos(1_000_000_000 / rate);
    let spin = Duration::from_micros(50).min(period / 4);
    let mut timer = AbsoluteTimer::new()?;
    let many = PreciseTimer::start()?;
    let mut late = Vec::with_capacity((rate * seconds) as usize);
    let lead = Duration::from_millis(10);
    let (start, tokio_start) = (after(now_ns(), lead), Instant::now() + lead);
    let cpu = thread_cpu_ns();
    for i in 0..rate * seconds {
        let offset = i * 1_000_000_000 / rate;
        let at = start + offset;
        match way {
            Way::Timerfd => timer.until(at).await,
            Way::TimerfdAndSpin => timer.until_spinning(at, spin).await,
            Way::ManySleepers => many.sleep_until_ns(at).await,
            Way::TokioSleep => sleep_until(tokio_start + Duration::from_nanos(offset)).await,
        }
        late.push(now_ns().saturating_sub(at));
    }
    let used = thread_cpu_ns() - cpu;
    let share = 100.0 * used as f64 / (now_ns() - start) as f64;
    late.sort_unstable();
    let at = |part: f64| late[((late.len() - 1) as f64 * part) as usize] as f64 / 1e3;
    Ok(([at(0.5), at(0.99), at(0.999), at(1.0), share], used))
}
