//! How long a store, or a plain web server, may take: the one place that has the numbers.
//!
//! | what is waited for | limit |
//! |---|---|
//! | the head of an answer, from the last byte of the request on | 60 s, and a second for each 4 KiB of an uploaded body (256 s at most), which may still be on its way |
//! | the head of the answer to a copy inside the store, or to the completion of an upload in parts | 300 s |
//! | one more byte of a body, or of an answer | 60 s |
//! | room for one more byte of an upload | 60 s |
//! | a body in either direction | 512 bytes for each second of waiting, after 60 s of grace; so at most its length divided by that |
//! | a page of a listing | the same: it may be as long as the store wants |
//! | an answer that is another document: errors, tags, lists of uploads | the same, and 300 s in all |
//! | the document of a copy or completion, which stores keep alive with blanks | 300 s for each blank, and an hour in all |
//!
//! Only waiting for the other side counts: neither the time in which a bandwidth limit holds a body back, nor that in which
//! the other side of the copy is slow. What is ended here is tried again like any timeout. The S3 reference names no
//! numbers; these let a line of half a megabit a second feed 128 streams, and end what drips.

use std::time::Duration;

use crate::object::pace::{Limits, MinimumRate};

/// Most bytes of an uploaded body that are thought to be on their way when the connection has taken the last one.
const UNDER_WAY: u64 = 1 << 20;

/// Time limits of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the last byte of a request to the head of its answer, and without progress within an upload.
    pub answer: Duration,
    /// The same for the completion of a multipart upload, which may join thousands of parts.
    pub complete: Duration,
    /// Without a byte of an answer's body.
    pub stall: Duration,
    /// Least bytes per second of waiting, in both directions.
    pub rate: MinimumRate,
    /// Bytes per second at which the rest of an uploaded body is waited for, beyond `answer`.
    pub drain: u32,
    /// Longest waiting for a document in all.
    pub document: Duration,
    /// The same where the store works meanwhile.
    pub work: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(60),
            complete: Duration::from_secs(300),
            stall: Duration::from_secs(60),
            rate: MinimumRate {
                bytes_per_second: 512,
                grace: Duration::from_secs(60),
            },
            drain: 4 << 10,
            document: Duration::from_secs(300),
            work: Duration::from_secs(3600),
        }
    }
}

impl Timeouts {
    /// Of a body that is read.
    #[must_use]
    pub const fn body(&self) -> Limits {
        Limits {
            stall: self.stall,
            rate: self.rate,
            longest: None,
        }
    }

    /// Of a body that the store takes.
    #[must_use]
    pub const fn upload(&self) -> Limits {
        Limits {
            stall: self.answer,
            rate: self.rate,
            longest: None,
        }
    }

    /// From the last byte of a body of `length` bytes to the head of the answer.
    #[must_use]
    pub fn after_body(&self, length: u64) -> Duration {
        let under_way = length.min(UNDER_WAY);
        self.answer + Duration::from_secs(under_way.div_ceil(u64::from(self.drain.max(1))))
    }

    /// Of a document.
    #[must_use]
    pub const fn document(&self) -> Limits {
        Limits {
            stall: self.stall,
            rate: self.rate,
            longest: Some(self.document),
        }
    }

    /// Of a document that comes after the store has copied or joined.
    #[must_use]
    pub fn work(&self) -> Limits {
        Limits {
            stall: self.complete.max(self.stall),
            rate: MinimumRate {
                bytes_per_second: 0,
                ..self.rate
            },
            longest: Some(self.work),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_body_is_waited_for_by_its_length() {
        let timeouts = Timeouts::default();
        for (length, seconds) in [(0, 60), (1, 61), (4096, 61), (1 << 20, 316), (1 << 40, 316)] {
            let wanted = Duration::from_secs(seconds);
            assert_eq!(timeouts.after_body(length), wanted, "{length}");
        }
    }
}
