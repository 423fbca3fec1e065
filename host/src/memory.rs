//! What processes hold and have written: resident memory and bytes towards the disk, as the kernel counts them.

use crate::Error;
use crate::cpu::{open_process, process_error};

/// What some processes hold now, and have written so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// Resident memory, bytes; a page that two of them share counts twice.
    pub resident: u64,
    /// Bytes written towards a disk since each began: those that dirtied the page cache, flushed or not.
    pub written: u64,
}

/// Reads all of these processes together. One that ended since they were listed counts nothing.
///
/// # Errors
/// A process belongs to somebody else, or /proc cannot be read.
pub fn held(pids: &[u32]) -> Result<Held, Error> {
    let mut all = Held::default();
    for &pid in pids {
        match of(pid) {
            Ok(one) => {
                all.resident += one.resident;
                all.written += one.written;
            }
            Err(Error::Vanished { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

fn of(pid: u32) -> Result<Held, Error> {
    let process = open_process(pid)?;
    let refused = |error| process_error(pid, error);
    let status = process.status().map_err(refused)?;
    let io = process.io().map_err(refused)?;
    Ok(Held {
        resident: status.vmrss.unwrap_or(0) * 1_024,
        written: io.write_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_holds_what_it_has_filled() {
        let pids = [std::process::id()];
        let before = held(&pids).unwrap();
        const MORE: usize = 64 << 20;
        let filled = vec![1_u8; MORE];
        let after = held(&pids).unwrap();
        assert!(before.resident > 0);
        assert!(
            after.resident >= before.resident + MORE as u64 / 2,
            "{before:?}, then {after:?} with {} bytes more",
            filled.len()
        );
    }

    #[test]
    fn a_process_that_is_gone_holds_nothing() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert_eq!(held(&[pid]).unwrap(), Held::default());
    }
}
