//! How many small objects of a running task are copied at the same time, and why so many.

use strum::{EnumString, IntoStaticStr, VariantArray};

use super::names::stored_by_name;

/// The concurrency of a running task, as it was a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concurrency {
    /// Small objects that may be in flight at the same time.
    pub allowed: u32,
    /// Small objects in flight.
    pub in_flight: u32,
    /// Why no more and no fewer are allowed.
    pub reason: ConcurrencyReason,
}

/// Why a task may have so many small objects in flight. The names stand in the ledger and in logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum ConcurrencyReason {
    /// The first objects are measured.
    Starting,
    /// More objects at a time let more of them finish.
    Growing,
    /// More objects at a time would only wait for each other.
    Steady,
    /// Objects take so little time that more of them at a time would not help.
    Near,
    /// The user's number of threads, the bound of the process or its memory allows no more.
    AtLimit,
    /// No object waits: there is not enough to copy.
    LittleWork,
    /// The object stores have become slower.
    Slower,
    /// An object store asked for fewer requests.
    Throttled,
}

stored_by_name!(ConcurrencyReason);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_the_names_that_ledgers_have() {
        let names: Vec<&str> = ConcurrencyReason::ALL
            .iter()
            .map(|reason| reason.name())
            .collect();
        let known = [
            "starting",
            "growing",
            "steady",
            "near",
            "at_limit",
            "little_work",
            "slower",
            "throttled",
        ];
        assert_eq!(names, known);
        assert_eq!(ConcurrencyReason::from_name("fast"), None);
    }
}
