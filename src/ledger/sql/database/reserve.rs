//! Space that is reserved beside the ledger for a full disk: a file that is removed when there is no other space.
//!
//! SQLite needs space for its log even to read and to delete. Without a reserve a process could not start on a full disk,
//! and nobody could delete the tasks that fill it.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Size of the reserve: enough for the log of some hundred changes.
const BYTES: usize = 1 << 20;
/// After a release, this many calls of [`Reserve::keep`] do nothing, because the released space is needed.
const CHANCES: u32 = 60;

/// The file.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    /// Calls of [`Self::keep`] that will still do nothing.
    skip: AtomicU32,
}

impl Reserve {
    /// The reserve of the ledger at `path`.
    pub(super) fn beside(path: &Path) -> Self {
        let mut name = path.as_os_str().to_owned();
        name.push(".reserve");
        Self {
            path: PathBuf::from(name),
            skip: AtomicU32::new(0),
        }
    }

    /// Removes the file. Returns whether that has freed space.
    pub(super) fn release(&self) -> bool {
        let had = fs::metadata(&self.path).is_ok_and(|file| file.len() > 0);
        let made = had && fs::remove_file(&self.path).is_ok();
        if made {
            self.skip.store(CHANCES, Ordering::Relaxed);
        }
        made
    }

    /// Creates the file if it does not exist and the disk has space for twice its size. A failure is no error, because a later
    /// call may succeed.
    pub(super) fn keep(&self) {
        let skip = self.skip.load(Ordering::Relaxed);
        self.skip.store(skip.saturating_sub(1), Ordering::Relaxed);
        if skip > 0 || self.path.exists() {
            return;
        }
        if let Err(error) = self.make() {
            tracing::debug!(%error, "cannot reserve space for a full disk");
            // The partly written file would take space that is needed.
            fs::remove_file(&self.path).unwrap_or_default();
            self.skip.store(CHANCES, Ordering::Relaxed);
        }
    }

    fn make(&self) -> std::io::Result<()> {
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.path)?;
        // Written, because a sparse file reserves no space. Twice the size, so that the reserve does not use the last space.
        file.write_all(&vec![0x5a; 2 * BYTES])?;
        file.set_len(BYTES as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_space_until_it_is_released() {
        let folder = tempfile::tempdir().unwrap();
        let reserve = Reserve::beside(&folder.path().join("oms.db"));
        assert!(!reserve.release());
        reserve.keep();
        reserve.keep();
        let file = folder.path().join("oms.db.reserve");
        assert_eq!(fs::metadata(&file).unwrap().len(), BYTES as u64);
        assert!(reserve.release() && !file.exists());
        assert!(!reserve.release());
        // The freed space stays free for a while.
        for _ in 0..CHANCES {
            reserve.keep();
            assert!(!file.exists());
        }
        reserve.keep();
        assert!(file.exists());
    }
}
