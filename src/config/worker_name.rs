//! The name of a worker, for people: in logs, and where workers are listed.

use crate::error::{Error, Result};

const LONGEST: usize = 128;

/// Whether a character may be in a name. It stays readable in every log and table.
const fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '@')
}

/// Checks a name that the operator chose.
///
/// # Errors
/// `InvalidArgument` that names the setting.
pub(super) fn check(name: &str) -> Result<()> {
    if (1..=LONGEST).contains(&name.len()) && name.chars().all(is_allowed) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "worker_name must have 1 to {LONGEST} characters: letters, digits and . _ - : @"
    )))
}

/// The name of this process: its host and its number.
pub(super) fn of_this_process() -> String {
    from(&gethostname::gethostname().to_string_lossy(), std::process::id())
}

/// A valid name, whatever the host is called.
fn from(host: &str, process: u32) -> String {
    let end = format!("-{process}");
    let host: String = host
        .chars()
        .filter(|c| is_allowed(*c))
        .take(LONGEST - end.len())
        .collect();
    if host.is_empty() {
        format!("worker{end}")
    } else {
        host + &end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_readable_word() {
        for fine in ["a", "node-7.lab:2", "oms-worker@1", &"x".repeat(LONGEST)] {
            check(fine).unwrap();
        }
        for wrong in ["", "a b", "a\n", "näme", "a/b", &"x".repeat(LONGEST + 1)] {
            let error = check(wrong).unwrap_err();
            assert!(error.message().starts_with("worker_name must"), "{error}");
        }
    }

    #[test]
    fn every_host_gives_a_name() {
        for (host, wanted) in [
            ("node.lab", "node.lab-7".to_owned()),
            ("", "worker-7".to_owned()),
            ("näme x", "nmex-7".to_owned()),
            (&"x".repeat(300), "x".repeat(LONGEST - 2) + "-7"),
        ] {
            let name = from(host, 7);
            assert_eq!(name, wanted);
            check(&name).unwrap();
        }
        check(&of_this_process()).unwrap();
    }
}
