//! The journal that makes an answered order survive: `process` appends to the page cache before the answer, `power`
//! also waits for a group-commit fdatasync. It knows bytes and a file, no order and no clock.

use bench_proto::{Durability, Stamp};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use tokio::sync::oneshot;

/// Name of the file inside the journal's folder.
pub const FILE: &str = "orders.journal";

/// One entry as it was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The order's identity, if it carried one.
    pub stamp: Option<Stamp>,
    /// The encoded answer.
    pub answer: Vec<u8>,
}

/// An append-only journal, shared by all listeners.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    flusher: Option<std::thread::JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Debug)]
struct State {
    file: File,
    /// One buffer for all entries, so that an append costs one write and no allocation.
    buffer: Vec<u8>,
    /// Appends that wait for the next flush.
    waiting: Vec<oneshot::Sender<bool>>,
    /// After a failed write or flush nobody knows what is on the disk: every later append fails too.
    broken: Option<String>,
    closing: bool,
}

/// A journalled answer that is not yet as durable as promised.
#[derive(Debug)]
pub enum Appended {
    /// It is.
    Done,
    /// It will be when the flush that covers it has ended.
    Flushing(oneshot::Receiver<bool>),
}

impl Journal {
    /// Opens the journal that a durability class asks for in `folder`; none for the classes without one. What an
    /// earlier process left whole stays; a torn last entry, never answered, is cut off.
    pub fn open(folder: &Path, durability: Durability) -> io::Result<Option<Self>> {
        let flushes = match durability {
            Durability::None | Durability::Memory => return Ok(None),
            Durability::Process => false,
            Durability::Power => true,
        };
        std::fs::create_dir_all(folder)?;
        let path = folder.join(FILE);
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(&path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let whole = parse(&bytes).1;
        file.set_len(whole as u64)?;
        file.seek(SeekFrom::End(0))?;
        if flushes {
            file.sync_all()?;
            // The folder too, or a power cut could lose the file's name.
            File::open(folder)?.sync_all()?;
        }
        let shared = Arc::new(Shared {
            path,
            state: Mutex::new(State {
                file,
                buffer: Vec::with_capacity(4_096),
                waiting: Vec::new(),
                broken: None,
                closing: false,
            }),
            work: Condvar::new(),
        });
        let flusher = if flushes {
            let shared = shared.clone();
            let thread = std::thread::Builder::new().name("journal".into());
            Some(thread.spawn(move || shared.flush_groups())?)
        } else {
            None
        };
        Ok(Some(Self { shared, flusher }))
    }

    /// Where the journal is.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Appends one entry to the page cache. The answer may go out only after [`Appended::durable`].
    pub fn append(&self, stamp: Option<&Stamp>, answer: &[u8]) -> Result<Appended, String> {
        let mut state = self.shared.lock();
        if let Some(reason) = &state.broken {
            return Err(reason.clone());
        }
        let State { file, buffer, .. } = &mut *state;
        buffer.clear();
        write_entry(buffer, stamp, answer);
        if let Err(error) = file.write_all(buffer) {
            let reason = format!(
                "the journal {} could not be written ({error}); free space or give another folder with --journal, then restart",
                self.shared.path.display()
            );
            state.broken = Some(reason.clone());
            return Err(reason);
        }
        if self.flusher.is_none() {
            return Ok(Appended::Done);
        }
        let (sender, receiver) = oneshot::channel();
        state.waiting.push(sender);
        drop(state);
        self.shared.work.notify_one();
        Ok(Appended::Flushing(receiver))
    }

    /// Why the journal no longer takes entries, if it doesn't.
    pub fn broken(&self) -> Option<String> {
        self.shared.lock().broken.clone()
    }
}

impl Appended {
    /// Waits until the entry survives what its class promises; false if the flush failed.
    pub async fn durable(self) -> bool {
        match self {
            Appended::Done => true,
            Appended::Flushing(flushed) => flushed.await.unwrap_or(false),
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_one();
        if let Some(flusher) = self.flusher.take() {
            let _ = flusher.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// Group commit: everything appended while one flush runs is released together by the next one.
    fn flush_groups(&self) {
        let mut state = self.lock();
        let file = match state.file.try_clone() {
            Ok(file) => file,
            Err(error) => {
                state.broken = Some(format!("the journal's file cannot be shared: {error}"));
                state.waiting.clear();
                return;
            }
        };
        let mut group = Vec::new();
        loop {
            while state.waiting.is_empty() {
                if state.closing {
                    return;
                }
                state = self
                    .work
                    .wait(state)
                    .expect("no holder of this lock panics");
            }
            std::mem::swap(&mut group, &mut state.waiting);
            drop(state);
            let flushed = file.sync_data();
            state = self.lock();
            if let Err(error) = &flushed {
                state.broken = Some(format!(
                    "the journal {} could not be flushed ({error}): what is on the disk is unknown; restart the service",
                    self.path.display()
                ));
                state.waiting.clear();
            }
            drop(state);
            for waiter in group.drain(..) {
                let _ = waiter.send(flushed.is_ok());
            }
            state = self.lock();
        }
    }
}

/// An entry: length of the rest (4 bytes, little-endian), 1 and the Stamp or 0, the answer.
fn write_entry(buffer: &mut Vec<u8>, stamp: Option<&Stamp>, answer: &[u8]) {
    let identity = stamp.map_or(0, |_| Stamp::LEN);
    let length = u32::try_from(1 + identity + answer.len()).expect("answers are far below 4 GiB");
    buffer.extend_from_slice(&length.to_le_bytes());
    match stamp {
        Some(stamp) => {
            buffer.push(1);
            buffer.extend_from_slice(&stamp.to_bytes());
        }
        None => buffer.push(0),
    }
    buffer.extend_from_slice(answer);
}

/// Reads all whole entries of a journal file; a torn last one was never answered and is left out.
pub fn read(path: &Path) -> io::Result<Vec<Entry>> {
    Ok(parse(&std::fs::read(path)?).0)
}

/// The whole entries at the beginning of `bytes`, and how many bytes they take.
fn parse(bytes: &[u8]) -> (Vec<Entry>, usize) {
    let mut entries = Vec::new();
    let mut at = 0;
    while let Some((entry, length)) = first_entry(&bytes[at..]) {
        entries.push(entry);
        at += length;
    }
    (entries, at)
}

fn first_entry(bytes: &[u8]) -> Option<(Entry, usize)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let (flag, body) = rest.get(..length)?.split_first()?;
    let (stamp, answer) = match flag {
        0 => (None, body),
        1 => {
            let (stamp, answer) = body.split_at_checked(Stamp::LEN)?;
            (Some(Stamp::from_bytes(stamp).ok()?), answer)
        }
        _ => return None,
    };
    let answer = answer.to_vec();
    Some((Entry { stamp, answer }, 4 + length))
}
