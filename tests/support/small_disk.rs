//! A disk of a few megabytes that a test can fill.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system in memory. It is mounted on a folder until this is dropped.
pub struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts a file system of this size on `folder`. If this process may not mount, this prints a note and returns `None`.
    /// Then the test must return. If `TEST_REQUIRE_ALL` is 1, the test fails instead.
    #[track_caller]
    pub fn on(folder: &Path, mebibytes: u32) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let size = format!("size={mebibytes}m,mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "oms-test"])
            .arg(folder)
            .status()
            .is_ok_and(|status| status.success());
        if mounted {
            return Some(Self {
                folder: folder.to_owned(),
            });
        }
        let all = std::env::var_os("TEST_REQUIRE_ALL").is_some_and(|value| value == "1");
        assert!(!all, "missing: the right to mount a small disk");
        let said = writeln!(
            std::io::stderr(),
            "SKIPPED: {}: missing the right to mount a small disk",
            std::thread::current().name().unwrap_or_default()
        );
        said.unwrap();
        None
    }

    /// Fills it to the last byte.
    pub fn fill(&self) {
        let mut file = File::create(self.filler()).unwrap();
        let mut piece = vec![7; 1 << 16];
        while !piece.is_empty() {
            match file.write(&piece) {
                Ok(written) if written > 0 => {}
                _ => piece.truncate(piece.len() / 2),
            }
        }
    }

    /// Frees the space again.
    pub fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A lazy unmount, because a process that is still ending may have files open.
        let ended = Command::new("umount").arg("-l").arg(&self.folder).status();
        assert!(ended.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}
