//! How many small objects of a running task are copied at the same time, and why so many.

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

/// Why a task may have so many small objects in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

impl ConcurrencyReason {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Starting,
        Self::Growing,
        Self::Steady,
        Self::Near,
        Self::AtLimit,
        Self::LittleWork,
        Self::Slower,
        Self::Throttled,
    ];

    /// The name, for logs and for the ledger.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Growing => "growing",
            Self::Steady => "steady",
            Self::Near => "near",
            Self::AtLimit => "at_limit",
            Self::LittleWork => "little_work",
            Self::Slower => "slower",
            Self::Throttled => "throttled",
        }
    }

    /// The reason with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_name_of_its_own() {
        for reason in ConcurrencyReason::ALL {
            assert_eq!(ConcurrencyReason::from_name(reason.name()), Some(reason));
        }
        assert_eq!(ConcurrencyReason::from_name("fast"), None);
    }
}
