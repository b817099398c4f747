//! What a task counts: each counter is declared once, and everything that goes through all of them is made from that.

/// Declares the counters. `NAMES` are the names of their fields, which are also those of their columns in the ledger.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// Counts of objects and bytes. As a task's counters all are ≥ 0; as the change of a commit they may be negative.
        ///
        /// Invariant of a task at rest: `listed = copied + skipped + gone + failed`.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[$doc])* pub $name: i64,)+
        }

        impl Counters {
            /// The names of the counters, in the order of their values in an array.
            pub const NAMES: [&'static str; 20] = [$(stringify!($name)),+];
        }

        impl From<Counters> for [i64; Counters::NAMES.len()] {
            fn from(counters: Counters) -> Self {
                [$(counters.$name),+]
            }
        }

        impl From<[i64; Counters::NAMES.len()]> for Counters {
            fn from([$($name),+]: [i64; Counters::NAMES.len()]) -> Self {
                Self { $($name),+ }
            }
        }

        impl std::ops::AddAssign for Counters {
            /// Saturates: a store may claim sizes whose sum no number can hold.
            fn add_assign(&mut self, other: Self) {
                $(self.$name = self.$name.saturating_add(other.$name);)+
            }
        }

        impl std::ops::Neg for Counters {
            type Output = Self;

            /// What takes these counts back.
            fn neg(self) -> Self {
                Self { $($name: self.$name.saturating_neg()),+ }
            }
        }
    };
}

counters! {
    /// Objects the source listed in scope.
    listed,
    /// Objects copied and proved.
    copied,
    /// Objects left as they are: identical at the target, or older than `migrate_since`.
    skipped,
    /// Objects deleted at the source between listing and reading.
    gone,
    /// Objects that could not be copied.
    failed,
    /// Bytes of the listed objects.
    bytes_listed,
    /// Bytes of the copied objects.
    bytes_copied,
    /// Bytes of the objects that need no more work: copied, skipped or gone.
    bytes_settled,
    /// Copies proved by the store's ETag: the target computed the hash that the source had.
    proved_etag,
    /// Copies proved by a checksum that was computed while streaming.
    proved_checksum,
    /// Copies proved by their length only.
    proved_size,
    /// Copies from which something was left out: tags, storage class or user metadata.
    metadata_lost,
    /// Copies without their tags.
    lost_tags,
    /// Copies that have another storage class than asked for.
    lost_storage_class,
    /// Copies without their user metadata, or without some of it.
    lost_user_metadata,
    /// Copies whose target refused their website redirect.
    lost_website_redirect,
    /// Copies of objects under a retention or a legal hold, which is not carried over.
    lost_object_lock,
    /// Copies of objects with a header that is not known, and not carried over.
    lost_other,
    /// Objects among `failed` that the task names and the source does not have.
    not_found,
    /// Bytes of objects that are not counted yet which the target has or is being sent: finished parts, running streams,
    /// and objects that wait for one before them.
    bytes_in_flight,
}

impl Counters {
    /// Objects that need no more work in this pass, or could not be copied.
    #[must_use]
    pub const fn settled(&self) -> i64 {
        self.copied
            .saturating_add(self.skipped)
            .saturating_add(self.gone)
            .saturating_add(self.failed)
    }

    /// Whether every listed object has exactly one end.
    #[must_use]
    pub const fn balanced(&self) -> bool {
        self.listed == self.copied + self.skipped + self.gone + self.failed
    }

    /// Bytes that have reached the target: those of the copied objects, and those in flight.
    #[must_use]
    pub const fn bytes_transferred(&self) -> i64 {
        self.bytes_copied.saturating_add(self.bytes_in_flight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_have_one_order() {
        let counters = Counters {
            lost_other: 7,
            ..Counters::default()
        };
        let values: [i64; 20] = counters.into();
        let named: Vec<_> = Counters::NAMES
            .into_iter()
            .zip(values)
            .filter(|(_, value)| *value != 0)
            .collect();
        assert_eq!(named, [("lost_other", 7)]);
        assert_eq!(Counters::from(values), counters);
    }

    #[test]
    fn what_is_added_and_taken_back_leaves_nothing() {
        let mut number = 0;
        let counters = Counters::from(std::array::from_fn(|_| {
            number += 1;
            number
        }));
        let mut sum = counters;
        sum += counters;
        assert_eq!((sum.listed, sum.bytes_in_flight), (2, 40));
        sum += -counters;
        assert_eq!(sum, counters);
        sum += -counters;
        assert_eq!(sum, Counters::default());
    }

    #[test]
    fn sums_that_no_number_can_hold_saturate() {
        let claimed = Counters {
            listed: 1,
            bytes_listed: 50 << 40,
            ..Counters::default()
        };
        let mut sum = Counters::default();
        for _ in 0..171_000 {
            sum += claimed;
        }
        assert_eq!((sum.listed, sum.bytes_listed), (171_000, i64::MAX));
        sum += -Counters {
            bytes_listed: i64::MIN,
            ..Counters::default()
        };
        assert_eq!(sum.bytes_listed, i64::MAX);
    }
}
