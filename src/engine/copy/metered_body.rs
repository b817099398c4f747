//! The body between a read and a write. Frames pass through one by one; they are counted, throttled, watched, and hashed if
//! nothing else proves them.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use md5::{Digest as _, Md5};
use tokio::time::Sleep;

use crate::engine::progress::Flow;
use crate::engine::rate_limit::Throttle;
use crate::error::{Error, ErrorKind, pluralize};
use crate::object::Body;

/// Whether to hash the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hashing {
    /// Something else proves the bytes.
    None,
    /// MD5, to be compared with the ETag of what was written.
    Md5,
}

/// What is known about a stream after it was sent.
#[derive(Clone, Debug, Default)]
pub struct StreamOutcome(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    error: Option<Error>,
    hash: Option<Md5>,
}

impl StreamOutcome {
    /// The error of the source, if the source ended the stream.
    pub fn take_error(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).error.take()
    }

    /// The MD5 of all bytes, if it was asked for.
    pub fn take_md5(&self) -> Option<[u8; 16]> {
        let hash = self.0.lock().unwrap_or_else(PoisonError::into_inner).hash.take();
        hash.map(|hash| hash.finalize().into())
    }
}

struct Metered {
    inner: Body,
    left: Option<u64>,
    throttle: Arc<Throttle>,
    flow: Flow,
    wait: Option<Pin<Box<Sleep>>>,
    hash: Option<Md5>,
    watch: StreamOutcome,
}

/// Wraps the body of a read of exactly `length` bytes, if that is known. Fewer or more bytes become an `Integrity` error.
pub fn metered(
    inner: Body,
    length: impl Into<Option<u64>>,
    throttle: &Arc<Throttle>,
    flow: Flow,
    hashing: Hashing,
) -> (Body, StreamOutcome) {
    let watch = StreamOutcome::default();
    let metered = Metered {
        inner,
        left: length.into(),
        throttle: Arc::clone(throttle),
        flow,
        // A body of one frame is never asked for a second, so it must wait before its frame. Otherwise small objects would have
        // no limit.
        wait: nap(throttle.remaining_wait(now())),
        hash: (hashing == Hashing::Md5).then(Md5::new),
        watch: watch.clone(),
    };
    (metered.boxed_unsync(), watch)
}

impl Metered {
    fn fail(&self, error: Error) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let twin = Error::new(error.kind(), error.message());
        self.watch.0.lock().unwrap_or_else(PoisonError::into_inner).error = Some(error);
        Poll::Ready(Some(Err(twin)))
    }

    fn hand_over_hash(&mut self) {
        if let Some(hash) = self.hash.take() {
            self.watch.0.lock().unwrap_or_else(PoisonError::into_inner).hash = Some(hash);
        }
    }
}

/// The clock that the timers use.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// A short part of a wait, so that a changed rate takes effect soon.
fn nap(wait: Duration) -> Option<Pin<Box<Sleep>>> {
    const LONGEST: Duration = Duration::from_millis(250);
    (wait > Duration::ZERO).then(|| Box::pin(tokio::time::sleep(wait.min(LONGEST))))
}

impl http_body::Body for Metered {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        while let Some(wait) = &mut this.wait {
            ready!(wait.as_mut().poll(cx));
            this.wait = nap(this.throttle.remaining_wait(now()));
        }
        let frame = match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
            None => {
                if let Some(left) = this.left.filter(|left| *left > 0) {
                    let text = format!("the source ended {} early", pluralize(left, "byte", "bytes"));
                    return this.fail(Error::new(ErrorKind::Integrity, text));
                }
                this.hand_over_hash();
                return Poll::Ready(None);
            }
            Some(Err(error)) => return this.fail(error),
            Some(Ok(frame)) => frame,
        };
        let Some(data) = frame.data_ref() else {
            return Poll::Ready(Some(Ok(frame)));
        };
        let length = data.len() as u64;
        if let Some(left) = this.left {
            let Some(left) = left.checked_sub(length) else {
                return this.fail(Error::new(
                    ErrorKind::Integrity,
                    "the source sent more bytes than announced",
                ));
            };
            this.left = Some(left);
        }
        this.flow.add(length);
        if let Some(hash) = &mut this.hash {
            hash.update(data);
        }
        // hyper stops polling a body of known length once it has all of it, so the hash must be ready by then.
        if this.left == Some(0) {
            this.hand_over_hash();
        }
        this.wait = nap(this.throttle.spend(data.len(), now()));
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map(SizeHint::with_exact).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::progress::Progress;
    use futures_util::stream;
    use http_body_util::StreamBody;

    fn body(frames: &[&'static str]) -> Body {
        let frames: Vec<Result<Frame<Bytes>, Error>> = frames
            .iter()
            .map(|f| Ok(Frame::data(Bytes::from_static(f.as_bytes()))))
            .collect();
        StreamBody::new(stream::iter(frames)).boxed_unsync()
    }

    async fn read(frames: &[&'static str], length: Option<u64>) -> (Result<Bytes, Error>, StreamOutcome) {
        let throttle = Arc::new(Throttle::new(None));
        let (metered, watch) = metered(
            body(frames),
            length,
            &throttle,
            super::Flow::uncounted(),
            Hashing::Md5,
        );
        (metered.collect().await.map(|c| c.to_bytes()), watch)
    }

    #[tokio::test]
    async fn exactly_the_announced_bytes_pass_and_are_hashed() {
        for length in [Some(3), None] {
            let (bytes, watch) = read(&["ab", "c"], length).await;
            assert_eq!(bytes.unwrap(), "abc");
            assert_eq!(
                hex::encode(watch.take_md5().unwrap()),
                "900150983cd24fb0d6963f7d28e17f72",
                "{length:?}"
            );
        }
    }

    #[tokio::test]
    async fn an_early_end_and_extra_bytes_are_errors_of_the_source() {
        for (frames, length) in [(&["ab"][..], 3), (&["abcd"][..], 3)] {
            let (bytes, watch) = read(frames, Some(length)).await;
            assert_eq!(bytes.unwrap_err().kind(), ErrorKind::Integrity);
            assert_eq!(watch.take_error().unwrap().kind(), ErrorKind::Integrity);
        }
    }

    /// A source that sends a frame of this many bytes every ten milliseconds, and counts how many bytes have passed.
    struct Flow {
        throttle: Arc<Throttle>,
        progress: Arc<Progress>,
        reading: tokio::task::JoinHandle<()>,
    }

    const FRAME: [u8; 1_000] = [7; 1_000];

    impl Flow {
        fn new(rate: Option<u64>) -> Self {
            let (throttle, progress) = (Arc::new(Throttle::new(rate)), Arc::new(Progress::default()));
            let frames = stream::unfold((), |()| async {
                tokio::time::sleep(Duration::from_millis(10)).await;
                Some((Ok(Frame::data(Bytes::from_static(&FRAME))), ()))
            });
            let endless = StreamBody::new(frames).boxed_unsync();
            let (mut body, _) = metered(endless, u64::MAX, &throttle, progress.read_again(), Hashing::None);
            let reading = tokio::spawn(async move { while body.frame().await.is_some() {} });
            Self {
                throttle,
                progress,
                reading,
            }
        }

        /// Bytes that pass in this number of seconds.
        async fn passes(&self, seconds: u64) -> u64 {
            let before = self.progress.bytes();
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            self.progress.bytes() - before
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_that_changes_while_a_body_streams_counts_within_a_second() {
        let flow = Flow::new(None);
        // One frame every ten milliseconds; the timers have a resolution of one millisecond.
        let free = flow.passes(1).await;
        assert!((80_000..=100_000).contains(&free), "{free}");
        // The rate is lowered: a burst of a quarter of a second, and a frame that was under way.
        flow.throttle.set(Some(10_000));
        let first = flow.passes(1).await;
        assert!(first <= 10_000 + 3_500, "{first}");
        let limited = flow.passes(10).await;
        assert!((90_000..=101_000).contains(&limited), "{limited}");
        // The rate is lowered so far that hours are owed, and then lifted.
        flow.throttle.set(Some(1));
        assert!(flow.passes(60).await <= 2_000);
        flow.throttle.set(None);
        let lifted = flow.passes(1).await;
        assert!(lifted >= 60_000, "{lifted}");
        flow.reading.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_of_one_frame_keep_to_the_rate_too() {
        let throttle = Arc::new(Throttle::new(Some(1_000)));
        let progress = Arc::new(Progress::default());
        let began = tokio::time::Instant::now();
        for _ in 0..40 {
            let frame = Ok(Frame::data(Bytes::from_static(&[0; 200])));
            let whole = StreamBody::new(stream::iter([frame])).boxed_unsync();
            let (mut body, _) = metered(whole, 200, &throttle, progress.read_again(), Hashing::None);
            // Like a connection, which reads what was announced and asks for no more.
            body.frame().await.unwrap().unwrap();
        }
        let took = began.elapsed();
        // 8,000 bytes. A burst of 250 bytes and the last 200 bytes cost no time.
        assert!(
            took >= Duration::from_millis(7_500) && took <= Duration::from_millis(8_200),
            "{took:?}"
        );
    }
}
