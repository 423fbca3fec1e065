//! What this machine has and lacks for measuring, and what that means for the numbers. [`look`] asks, through the same
//! code that a run's manifest and its trials use; [`judge()`] says what follows from the answers, and is pure.

mod judge;

pub use judge::{Finding, State, judge};

use crate::brokers;
use crate::service::{Launch, journal_root};
use crate::stack::{Broker, Brokers};
use bench_host::clock::{self, ClockCost};
use bench_host::cpu::{Instructions, MachineCpu, own_cpu_ns};
use bench_host::disk::SyncCost;
use bench_host::limits::Limits;
use bench_host::machine::Machine;
use bench_host::place::Placement;
use bench_host::scheduling::{self, Scheduling};
use bench_transport::Transport;
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// For how long others' use of the CPU is watched: /proc/stat counts in ticks of 10 ms.
const WATCHED: Duration = Duration::from_secs(1);
/// Enough for a median, and over in milliseconds.
const SYNCS: usize = 21;
/// An engine that has not answered by then does not run; the stack waits as long.
const ENGINE_PATIENCE: Duration = Duration::from_secs(5);

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    /// What the manifest of a run would say.
    pub machine: Machine,
    /// What a process may do here.
    pub limits: Limits,
    /// Which process a run would put on which core.
    pub placement: String,
    /// CPU that others used while nothing was asked of the machine, as a share of one core.
    pub foreign: Option<f64>,
    /// CPU that the hypervisor took meanwhile, as a share of one core.
    pub stolen: Option<f64>,
    /// The same since the machine was started.
    pub stolen_since_boot: Option<f64>,
    /// What the clock costs and tells apart.
    pub clock: ClockCost,
    /// Why timers cannot be precise, if so.
    pub timers: Option<String>,
    /// What a generator's thread is granted against others on its core, or why it cannot ask.
    pub scheduling: Result<Scheduling, String>,
    /// Why instructions cannot be counted, if so.
    pub instructions: Option<String>,
    /// What an fdatasync takes, where the services' journals lie.
    pub disk: Result<SyncCost, String>,
    /// Each way over a broker.
    pub brokers: Vec<Way>,
    /// Why there is no service to start, if so.
    pub service: Option<String>,
    /// Whether this runs inside a container.
    pub inside_container: bool,
    /// Whether a container engine answers.
    pub engine: bool,
    /// Whether the program was built without optimisation.
    pub unoptimised: bool,
    /// Whether the sources held changes when it was built; none where that is not known.
    pub changed: Option<bool>,
}

/// A transport that needs a broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Way {
    /// Its name, such as `queue over TLS`.
    pub name: String,
    /// The broker that answers, else why there is none.
    pub broker: Result<String, String>,
}

/// Asks the machine. It takes about a second, and more only where a broker or an engine does not answer; `note` is told
/// what is waited for.
pub async fn look(note: &dyn Fn(&str)) -> Facts {
    note("watching who uses the CPU, for a second");
    let own = own_cpu_ns();
    let before = MachineCpu::read().ok();
    tokio::time::sleep(WATCHED).await;
    let own = own_cpu_ns().saturating_sub(own);
    let now = MachineCpu::read().ok();
    let meanwhile = now.as_ref().zip(before.as_ref());
    let meanwhile = meanwhile.map(|(now, before)| now.since(before));
    note("asking the brokers");
    let brokers = ways().await;
    Facts {
        machine: Machine::read(),
        limits: Limits::read(),
        placement: Placement::for_this_machine(1)
            .map_or_else(|error| error.to_string(), |placement| placement.why),
        foreign: meanwhile
            .as_ref()
            .map(|usage| usage.foreign_share_of_a_core(own)),
        stolen: meanwhile
            .as_ref()
            .map(|usage| usage.steal_share_of_a_core()),
        stolen_since_boot: now.map(|now| now.since_boot().steal_share_of_a_core()),
        clock: clock::measure(),
        timers: bench_host::timer::minimal_timer_slack()
            .err()
            .map(|error| error.to_string()),
        scheduling: scheduling::granted().map_err(|error| error.to_string()),
        instructions: Instructions::of(&[std::process::id()]).err(),
        disk: SyncCost::measure(&journal_root(), SYNCS).map_err(|error| error.to_string()),
        brokers,
        service: Launch::find_program()
            .err()
            .map(|error| format!("{error:#}")),
        inside_container: ["/.dockerenv", "/run/.containerenv"]
            .iter()
            .any(|mark| Path::new(mark).exists()),
        engine: engine_answers().await,
        unoptimised: cfg!(debug_assertions),
        changed: option_env!("HOPBENCH_BUILD_DIRTY").map(|dirty| dirty == "true"),
    }
}

async fn ways() -> Vec<Way> {
    let mut brokers = Brokers::find();
    let wanted = [Transport::Queue, Transport::Stream];
    let (usable, _) = brokers::usable(&wanted, &mut brokers, |_| ()).await;
    // Each one's TLS listener is asked where its plain one answers.
    brokers::without_tls(&usable, &mut brokers, |_| ()).await;
    let way = |name: String, broker: Option<&Broker>| {
        Some(Way {
            name,
            broker: match broker? {
                Broker::At { version, .. } => Ok(version.clone()),
                Broker::Missing(reason) => Err(reason.clone()),
            },
        })
    };
    wanted
        .into_iter()
        .flat_map(|transport| {
            let over_tls = match usable.contains(&transport) {
                true => brokers.encrypted(transport),
                false => None,
            };
            [
                way(transport.to_string(), brokers.of(transport)),
                way(format!("{transport} over TLS"), over_tls),
            ]
        })
        .flatten()
        .collect()
}

async fn engine_answers() -> bool {
    let mut asking = tokio::process::Command::new("docker");
    asking
        .arg("info")
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true);
    let answer = tokio::time::timeout(ENGINE_PATIENCE, asking.status()).await;
    matches!(answer, Ok(Ok(status)) if status.success())
}
