//! Ctrl-C in the middle of each experiment of the suite of faults, while what it does to a process or a broker stands: the
//! program ends by itself and says what it keeps, and no process, queue, topic, paused broker or alarm is left.

use super::support::{alone, beside_another, with_brokers};
use bench_client::results::Store;
use bench_client::stack::{self, Brokers};
use bench_host::cpu::with_descendants;
use bench_transport::Transport;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// How the name of everything of one trial begins: `run-` and sixteen digits.
const RUN: usize = "run-0123456789abcdef".len();

/// What must stand when Ctrl-C comes, beside orders that are placed.
#[derive(Clone, Copy)]
enum Fault {
    /// Nothing.
    None,
    /// A service was killed.
    Killed,
    /// A service is stopped.
    Stopped,
    /// Kafka is stopped.
    Paused,
    /// RabbitMQ was put in memory alarm.
    Alarmed,
}

/// A process, told from a later one of the same id by its start.
type Process = (u32, u64);

/// Its state and its start, from /proc; nothing where there is no such process.
fn stat(pid: u32) -> Option<(char, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let start = fields.get(19)?.parse().ok()?;
    Some((fields.first()?.chars().next()?, start))
}

/// A zombie is gone: nobody reaped it yet.
fn lives((pid, start): Process) -> bool {
    stat(pid).is_some_and(|(state, since)| since == start && !matches!(state, 'Z' | 'X'))
}

fn is_stopped(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state == 'T')
}

/// All processes of a broker; none where they cannot be seen.
fn family(transport: Transport) -> Vec<u32> {
    let pids = Brokers::find().pids(transport);
    with_descendants(&pids).expect("/proc can be read")
}

/// Looks until it finds something, for at most about a minute.
fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    for _ in 0..3_000 {
        let found = look();
        if found.is_some() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

/// The program, and every process that was seen below it, with its command line.
struct Watched {
    program: Child,
    seen: BTreeMap<Process, Vec<String>>,
}

impl Watched {
    fn start(arguments: &[&str], said: &Path) -> Self {
        let program = Command::new(env!("CARGO_BIN_EXE_bench-client"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(said).expect("a temporary file"))
            .spawn()
            .expect("it starts");
        Self {
            program,
            seen: BTreeMap::new(),
        }
    }

    fn look(&mut self) {
        let own = self.program.id();
        for pid in with_descendants(&[own]).expect("/proc can be read") {
            let Some((_, start)) = stat(pid).filter(|_| pid != own) else {
                continue;
            };
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words = self.seen.entry((pid, start)).or_default();
            // A zombie has none any more; and one that is about to become another program has still its parent's.
            if !line.is_empty() {
                let line = String::from_utf8_lossy(&line);
                *words = line.split('\0').map(str::to_string).collect();
            }
        }
    }

    /// Every service that was seen: of which run, which process, and its command line.
    fn services(&self) -> impl Iterator<Item = (&str, Process, &[String])> {
        self.seen.iter().filter_map(|(process, words)| {
            let flag = words.iter().position(|word| word == "--scope")?;
            let run = words.get(flag + 1)?.get(..RUN)?;
            Some((run, *process, &words[..]))
        })
    }

    /// Whether the program has its first generator: the services of a trial are ready, and it connects or places orders.
    fn places_orders(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.program.id()));
        threads.into_iter().flatten().flatten().any(|thread| {
            let name = std::fs::read_to_string(thread.path().join("comm"));
            name.is_ok_and(|name| name.trim_end() == "generator-0")
        })
    }

    /// Whether a trial is under way, over a broker if one is wanted, and the fault stands.
    fn stands(&self, fault: Fault, over_broker: bool) -> bool {
        let mut now = self.services().filter(|(_, process, _)| lives(*process));
        let Some((run, _, _)) = now.next() else {
            return false;
        };
        let of_run = || self.services().filter(move |(of, _, _)| *of == run);
        let takes_from_broker = |words: &[String]| {
            let mut words = words.iter();
            words.any(|word| word == "--queue" || word == "--stream")
        };
        if over_broker && !of_run().any(|(_, _, words)| takes_from_broker(words)) {
            return false;
        }
        let stands = match fault {
            Fault::None => true,
            Fault::Killed => of_run().any(|(_, process, _)| !lives(process)),
            Fault::Stopped => of_run().any(|(_, (pid, _), _)| is_stopped(pid)),
            Fault::Paused => family(Transport::Stream).into_iter().all(is_stopped),
            Fault::Alarmed => {
                let raises = |words: &[String]| {
                    let mut pairs = words.windows(2);
                    pairs.any(|pair| pair[0] == "alarm" && pair[1] == "on")
                };
                let mut raising = self.seen.iter().filter(|(_, words)| raises(words));
                let first = raising.next();
                first.is_some_and(|(process, _)| !lives(*process))
                    && raising.all(|(process, _)| !lives(*process))
            }
        };
        // Asked last: where a service was seen to end before, the trial was not over.
        stands && self.places_orders()
    }

    /// How the program ended, where it did.
    fn ended(&mut self) -> Option<ExitStatus> {
        self.program.try_wait().expect("it is our child")
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.program.id() as i32);
        kill(pid, signal).expect("it is our child");
    }

    /// Waits for its end, and goes on looking: what it starts to tidy up must end too.
    fn end(&mut self) -> Option<ExitStatus> {
        eventually(|| {
            self.look();
            self.ended()
        })
    }
}

impl Drop for Watched {
    /// After a failed test: politely first, for it may have stopped a broker.
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.signal(Signal::SIGTERM);
            if self.end().is_none() {
                let _ = self.program.kill();
                let _ = self.program.wait();
            }
        }
    }
}

/// Names of Kafka's topics.
fn topics() -> Vec<String> {
    let brokers = Brokers::find();
    let address = brokers.address(Transport::Stream).expect("the stack is up");
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", address)
        .create()
        .expect("a client of Kafka");
    let metadata = admin
        .inner()
        .fetch_metadata(None, Duration::from_secs(30))
        .expect("Kafka answers");
    let topics = metadata.topics().iter();
    topics.map(|topic| topic.name().to_string()).collect()
}

/// What RabbitMQ says that it holds: queues and exchanges by name, and alarms.
fn held() -> String {
    let output = stack::command(&["holds"])
        .and_then(|mut command| Ok(command.output()?))
        .expect("the stack answers");
    let held = String::from_utf8_lossy(&output.stdout).into_owned();
    // Every RabbitMQ has this one.
    assert!(held.contains("amq.direct"), "{held} {output:?}");
    held
}

/// Nothing of these runs is on a broker, and no broker is stopped or in alarm.
fn brokers_are_as_before(runs: &BTreeSet<&str>) {
    for transport in [Transport::Queue, Transport::Stream] {
        for pid in family(transport) {
            assert!(
                !is_stopped(pid),
                "{transport}: process {pid} is still stopped"
            );
        }
    }
    let held = held();
    assert!(!held.contains("resource_limit"), "in alarm: {held}");
    for run in runs {
        assert!(!held.contains(run), "{run} is still on RabbitMQ: {held}");
    }
    let of_runs = |topic: &String| runs.iter().any(|run| topic.contains(run));
    // What is deleted is gone once each of Kafka's threads has heard of it.
    let gone = eventually(|| (!topics().iter().any(of_runs)).then_some(()));
    assert!(gone.is_some(), "of {runs:?} still on Kafka: {:?}", topics());
}

/// Runs an experiment at its quick size until the fault stands in one of its trials, over a broker where one of the
/// transports is a broker's; then comes Ctrl-C.
fn interrupted(experiment: &str, transports: &str, fault: Fault) {
    let over_broker = ["queue", "stream"]
        .iter()
        .any(|broker| transports.contains(broker));
    let with_brokers = with_brokers();
    if over_broker && !with_brokers {
        return;
    }
    let unseen = |transport: &Transport| family(*transport).is_empty();
    if over_broker && [Transport::Queue, Transport::Stream].iter().any(unseen) {
        let brokers = Brokers::find();
        for transport in [Transport::Queue, Transport::Stream] {
            brokers.address(transport).expect("the stack is up");
        }
        eprintln!("skipped: the brokers' processes cannot be seen from here");
        return;
    }
    // Whoever stands in a broker's way stands in everybody's.
    let _seats = match fault {
        Fault::Paused | Fault::Alarmed => alone(),
        Fault::None | Fault::Killed | Fault::Stopped => beside_another(),
    };
    let folder = tempfile::tempdir().unwrap();
    let (out, said) = (folder.path().join("run"), folder.path().join("said"));
    let place = out.to_str().expect("a temporary folder has a plain name");
    let mut arguments = vec!["run", experiment, "--transport", transports];
    arguments.extend(["--blocks", "1", "--warm-up", "0s", "--reruns", "0"]);
    arguments.extend(["--quiet", "--out", place]);
    let mut watched = Watched::start(&arguments, &said);
    let what_it_said = || std::fs::read_to_string(&said).unwrap();
    let stood = eventually(|| {
        watched.look();
        let ended = watched.ended();
        assert!(
            ended.is_none(),
            "{experiment} ended before: {}",
            what_it_said()
        );
        watched.stands(fault, over_broker).then_some(())
    });
    assert!(stood.is_some(), "{experiment}: not within a minute");
    watched.signal(Signal::SIGINT);
    let status = watched.end();
    let said = what_it_said();
    let status = status.unwrap_or_else(|| panic!("{experiment} does not end: {said}"));
    assert_eq!(status.code(), Some(1), "{experiment}, {status}: {said}");
    let kept = Store::open(&out).expect("what is on the disk is whole");
    let kept = kept.run().trials.len();
    let rest = format!("`bench-client run --resume {place}` runs the rest");
    assert!(
        said.contains(&format!("interrupted; {kept} of ")) && said.contains(&rest),
        "{said}"
    );
    let files = std::fs::read_dir(&out).unwrap();
    assert_eq!(files.count(), 1, "no half-written file stays");
    for (process, words) in &watched.seen {
        let gone = eventually(|| (!lives(*process)).then_some(()));
        assert!(gone.is_some(), "{process:?} still lives: {words:?}");
    }
    if with_brokers && !unseen(&Transport::Queue) && !unseen(&Transport::Stream) {
        brokers_are_as_before(&watched.services().map(|(run, _, _)| run).collect());
    }
}

#[test]
fn slow_leaves_nothing() {
    interrupted("slow", "queue", Fault::None);
}

#[test]
fn outage_leaves_nothing_while_its_service_is_dead() {
    interrupted("outage", "rest,queue", Fault::Killed);
}

#[test]
fn consumers_leaves_nothing_while_its_service_is_stopped() {
    interrupted("consumers", "stream", Fault::Stopped);
}

#[test]
fn spike_leaves_nothing() {
    interrupted("spike", "queue", Fault::None);
}

#[test]
fn chain_leaves_nothing() {
    interrupted("chain", "rest,queue", Fault::None);
}

#[test]
fn fanout_leaves_nothing() {
    interrupted("fanout", "grpc,stream", Fault::None);
}

#[test]
fn guards_leaves_nothing() {
    interrupted("guards", "rest", Fault::None);
}

#[test]
fn hybrid_leaves_nothing_while_one_of_its_services_is_dead() {
    interrupted("hybrid", "grpc,stream", Fault::Killed);
}

#[test]
fn retries_leaves_nothing() {
    interrupted("retries", "rest,grpc", Fault::None);
}

#[test]
fn blocked_leaves_nothing_while_its_service_is_stopped() {
    interrupted("blocked", "queue", Fault::Stopped);
}

#[test]
fn blocked_leaves_no_broker_stopped() {
    interrupted("blocked", "stream", Fault::Paused);
}

#[test]
fn blocked_leaves_no_broker_in_alarm() {
    interrupted("blocked", "queue", Fault::Alarmed);
}
