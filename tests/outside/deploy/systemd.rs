//! systemd reads the units.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use super::{text, written};
use crate::support::rig::TIMEOUT;
use crate::support::tools::{Need, find, require, run, succeed};

#[tokio::test]
async fn systemd_accepts_the_units_and_finds_them_closed() {
    if require(&[Need::Systemd]).is_none() {
        return;
    }
    let folder = written().await;
    let mut units = Vec::new();
    for (name, instance) in [
        ("oms.service", "oms.service"),
        ("oms-worker@.service", "oms-worker@1.service"),
    ] {
        let unit = text(&folder, name);
        let credentials: BTreeSet<&str> = unit
            .lines()
            .filter_map(|line| line.strip_prefix("LoadCredential=")?.split_once(':'))
            .map(|(credential, _)| credential)
            .collect();
        let read: BTreeSet<&str> = unit
            .lines()
            .filter_map(|line| line.strip_prefix("Environment=OMS_")?.split_once("_FILE=%d/"))
            .map(|(_, credential)| credential)
            .collect();
        assert!(credentials.len() > 2, "{credentials:?}");
        assert_eq!(credentials, read, "{name}");
        // The program must be there.
        let here = unit.replace("/usr/local/bin/oms", env!("CARGO_BIN_EXE_oms"));
        assert_ne!(unit, here);
        let path = folder.path().join(instance);
        std::fs::write(&path, here).unwrap();
        units.push(path);
    }
    let analyze = |arguments: &[&str], units: &[PathBuf]| {
        let mut command = Command::new(find("systemd-analyze").unwrap());
        command.args(arguments).args(units);
        command
    };
    let ran = run(analyze(&["verify"], &units), TIMEOUT).await;
    let of_ours: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("oms")).collect();
    assert!(
        ran.status.success() && of_ours.is_empty(),
        "{of_ours:?}\n{}",
        ran.shown()
    );
    for unit in units {
        // The scale ends at 100. A service without any limit has 96.
        let arguments = ["security", "--offline=true", "--no-pager", "--threshold=15"];
        succeed(analyze(&arguments, &[unit]), TIMEOUT).await;
    }
}
