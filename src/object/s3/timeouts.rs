//! How long a store, or a plain web server, may take. All these numbers are in this file.
//!
//! | what is waited for | limit |
//! |---|---|
//! | the head of a response, after the last byte of the request | 60 s, plus 1 s for each 4 KiB of an upload in transit (at most 256 s) |
//! | the head of the response to a copy inside the store, or to the completion of a multipart upload | 300 s |
//! | one more byte of a body or of a response | 60 s |
//! | room for one more byte of an upload | 60 s |
//! | a body in either direction | 512 bytes per second of waiting after 60 s of grace; so at most its length divided by that |
//! | a page of a listing | the same, because it may have any length |
//! | a response with another document: errors, tags, lists of uploads | the same, and 300 s in total |
//! | the document of a copy or completion, which stores keep alive with blanks | 300 s for each blank, and one hour in total |
//!
//! Only waiting for the other side counts. The time in which a bandwidth limit delays a body does not count, nor that
//! in which the other side of the copy is slow. A timeout is retried like any other. The S3 reference has no numbers.
//! With these, a line of half a megabit a second can feed 128 streams, and bodies that only drip are ended.

use std::time::Duration;

use crate::object::pace::{Limits, MinimumRate};

/// Most bytes of an uploaded body that may still be in transit after the connection has accepted the last byte.
const UNDER_WAY: u64 = 1 << 20;

/// Time limits of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the last byte of a request to the head of its response, and without progress within an upload.
    pub answer: Duration,
    /// The same for the completion of a multipart upload, which may join thousands of parts.
    pub complete: Duration,
    /// Without a byte of a response's body.
    pub stall: Duration,
    /// Minimum rate while waiting, in both directions.
    pub rate: MinimumRate,
    /// Bytes per second at which the rest of an uploaded body is assumed to arrive, in addition to `answer`.
    pub drain: u32,
    /// Longest total wait for a document.
    pub document: Duration,
    /// The same if the store works before it responds.
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
    /// Limits of a body that is read.
    #[must_use]
    pub const fn body(&self) -> Limits {
        Limits {
            stall: self.stall,
            rate: self.rate,
            longest: None,
        }
    }

    /// Limits of a body that is sent to the store.
    #[must_use]
    pub const fn upload(&self) -> Limits {
        Limits {
            stall: self.answer,
            rate: self.rate,
            longest: None,
        }
    }

    /// Time from the last byte of a body of `length` bytes to the head of the response.
    #[must_use]
    pub fn after_body(&self, length: u64) -> Duration {
        let under_way = length.min(UNDER_WAY);
        self.answer + Duration::from_secs(under_way.div_ceil(u64::from(self.drain.max(1))))
    }

    /// Limits of a document.
    #[must_use]
    pub const fn document(&self) -> Limits {
        Limits {
            stall: self.stall,
            rate: self.rate,
            longest: Some(self.document),
        }
    }

    /// Limits of a document that the store sends after a copy or a completion.
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
