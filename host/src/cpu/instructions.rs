//! Instructions that processes execute, where the processor's counters can be reached; in most virtual machines they
//! cannot, and then the reason is a sentence.

use perf_event::events::{Event, Hardware};
use perf_event::{Builder, Counter, ReadFormat};

/// Counts instructions of a group of processes, threads that they start meanwhile included.
pub struct Instructions {
    counters: Vec<Counter>,
}

impl std::fmt::Debug for Instructions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instructions")
            .field("threads", &self.counters.len())
            .finish()
    }
}

impl Instructions {
    /// Starts counting user-mode instructions of every thread of these processes; else why it cannot be done.
    pub fn of(pids: &[u32]) -> Result<Self, String> {
        Self::counting(&Hardware::INSTRUCTIONS, pids)
    }

    fn counting<E: Event + Clone>(event: &E, pids: &[u32]) -> Result<Self, String> {
        let mut counters = Vec::new();
        for pid in pids {
            let threads = procfs::process::Process::new(*pid as i32)
                .and_then(|process| process.tasks())
                .map_err(|error| {
                    format!("the threads of process {pid} could not be listed: {error}")
                })?;
            for thread in threads.flatten() {
                let counter = Builder::new(event.clone())
                    .observe_pid(thread.tid)
                    .any_cpu()
                    .inherit(true)
                    .read_format(ReadFormat::TOTAL_TIME_ENABLED | ReadFormat::TOTAL_TIME_RUNNING)
                    .enabled(true)
                    .build()
                    .map_err(|error| why(&error))?;
                counters.push(counter);
            }
        }
        Ok(Self { counters })
    }

    /// Counted so far. A counter that had to share the processor's few is scaled up by the time it was left out.
    pub fn read(&mut self) -> Result<u64, String> {
        let mut sum = 0.0;
        for counter in &mut self.counters {
            let read = counter
                .read_count_and_time()
                .map_err(|error| format!("an instruction counter could not be read: {error}"))?;
            if read.time_running > 0 {
                sum += read.count as f64 * read.time_enabled as f64 / read.time_running as f64;
            }
        }
        Ok(sum as u64)
    }
}

fn why(error: &std::io::Error) -> String {
    let meaning = match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            "perf_event_open is not allowed here: lower /proc/sys/kernel/perf_event_paranoid, or run as root"
        }
        _ => "this machine (or virtual machine) offers no instruction counter",
    };
    format!("{meaning} ({error})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use perf_event::events::Software;

    // The kernel's own clock goes the same way as the processor's counters, and is there on every machine.
    #[test]
    fn what_a_thread_uses_is_counted_also_when_it_started_later() {
        const BURNT: u64 = 20_000_000;
        let own = std::process::id();
        let mut counters = Instructions::counting(&Software::TASK_CLOCK, &[own]).unwrap();
        let before = counters.read().unwrap();
        let (burnt, is_burnt) = std::sync::mpsc::channel();
        let (end, may_end) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let began = super::super::thread_cpu_ns();
            while super::super::thread_cpu_ns() - began < BURNT {}
            burnt.send(nix::unistd::gettid()).unwrap();
            may_end.recv().unwrap();
        });
        let id = is_burnt.recv().unwrap();
        let used = counters.read().unwrap() - before;
        assert!(used >= BURNT, "20 ms of a thread that waits: {used} ns");

        // A join returns while the kernel still takes the thread down; its count is whole when it is gone.
        end.send(()).unwrap();
        thread.join().unwrap();
        while std::path::Path::new(&format!("/proc/self/task/{id}")).exists() {
            std::thread::yield_now();
        }
        let used = counters.read().unwrap() - before;
        assert!(used >= BURNT, "20 ms of a thread that ended: {used} ns");
    }

    #[test]
    fn where_there_are_none_the_reason_is_a_sentence() {
        match Instructions::of(&[std::process::id()]) {
            Ok(mut counters) => assert!(counters.read().unwrap() > 0),
            Err(reason) => assert!(
                reason.contains("counter") || reason.contains("allowed"),
                "{reason}"
            ),
        }
    }
}
