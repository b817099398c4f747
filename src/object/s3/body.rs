//! Bodies with a fixed length and a time limit: downloads from a store and uploads to one.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::task::AtomicWaker;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::error::{Error, ErrorKind, Result};
use crate::object::Body;
use crate::object::pace::{Limits, Meter};

/// The body of a response: exactly `left` more bytes, or all until its end, with limits on the time spent waiting for
/// them.
pub(in crate::object) struct Download<B = Incoming> {
    inner: B,
    left: Option<u64>,
    meter: Meter,
    /// Since when the consumer has waited for bytes. Time in which nobody asks for bytes does not count.
    waiting_since: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<B> Download<B> {
    pub fn new(inner: B, length: Option<u64>, limits: Limits) -> Self {
        Self {
            inner,
            left: length,
            meter: Meter::new(limits),
            waiting_since: None,
            alarm: None,
        }
    }

    /// Waits for the alarm. The timer is reset instead of created again, because creating timers costs more than
    /// reading the clock.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let due = since + self.meter.allowed();
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        loop {
            ready!(alarm.as_mut().poll(cx));
            if alarm.deadline() >= due {
                return Poll::Ready(self.meter.ended(BODY));
            }
            alarm.as_mut().reset(due);
        }
    }

    /// Records that the wait is over, if there was one.
    fn arrived(&mut self) {
        if let Some(since) = self.waiting_since.take() {
            self.meter.waited(since.elapsed());
        }
    }
}

/// The name of this wait in errors.
const BODY: &str = "the body from the store";

impl<B> HttpBody for Download<B>
where
    B: HttpBody<Data = Bytes, Error = hyper::Error> + Unpin,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        loop {
            let frame = match Pin::new(&mut self.inner).poll_frame(cx) {
                Poll::Pending => return self.poll_alarm(cx).map(|error| Some(Err(error))),
                Poll::Ready(frame) => frame,
            };
            self.arrived();
            return Poll::Ready(match frame {
                None if self.left.is_none_or(|left| left == 0) => None,
                None => Some(Err(truncated())),
                Some(Err(error)) => Some(Err(broken(error))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => match self.left.map(|left| left.checked_sub(data.len() as u64)) {
                        Some(None) => Some(Err(overlong())),
                        left => {
                            self.left = left.flatten();
                            self.meter.moved(data.len() as u64);
                            Some(Ok(Frame::data(data)))
                        }
                    },
                    // Trailers are not bytes of the object.
                    Err(_) => continue,
                },
            });
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left
            .map_or_else(|| self.inner.is_end_stream(), |left| left == 0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map(SizeHint::with_exact).unwrap_or_default()
    }
}

fn truncated() -> Error {
    Error::new(ErrorKind::Integrity, "the body ended before its announced length")
}

fn overlong() -> Error {
    Error::new(ErrorKind::Integrity, "the body is longer than announced")
}

fn broken(error: hyper::Error) -> Error {
    // The connection was closed properly, but within the body. A reset is another error.
    let early = std::error::Error::source(&error)
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|source| source.kind() == io::ErrorKind::UnexpectedEof);
    if early || error.is_incomplete_message() {
        return truncated().with_source(error);
    }
    Error::new(ErrorKind::Unavailable, "the connection broke within the body").with_source(error)
}

/// Reads a response into memory.
///
/// # Errors
/// `Integrity` if it has more than `limit` bytes, `Timeout` if it is slower than `limits` allow, `Unavailable` if the
/// connection breaks.
pub(super) async fn collect<B>(mut body: B, limit: usize, limits: Limits) -> Result<Bytes>
where
    B: HttpBody<Data = Bytes, Error = hyper::Error> + Unpin,
{
    let announced = body.size_hint().exact().unwrap_or(0);
    let too_long = || Error::new(ErrorKind::Integrity, "the store's answer is too long");
    let announced = usize::try_from(announced).map_err(|_| too_long())?;
    if announced > limit {
        return Err(too_long());
    }
    let mut all = BytesMut::new();
    let mut meter = Meter::new(limits);
    loop {
        let since = Instant::now();
        let frame = tokio::time::timeout(meter.allowed(), body.frame())
            .await
            .map_err(|_| meter.ended("the store's answer"))?;
        meter.waited(since.elapsed());
        let Some(frame) = frame else {
            return Ok(all.freeze());
        };
        let Ok(data) = frame.map_err(broken)?.into_data() else {
            continue;
        };
        meter.moved(data.len() as u64);
        if all.len() + data.len() > limit {
            return Err(too_long());
        }
        if all.is_empty() && data.len() == announced {
            return Ok(data);
        }
        if all.is_empty() {
            all.reserve(announced.max(data.len()));
        }
        all.extend_from_slice(&data);
    }
}

/// State that the two ends of an upload share: the request that waits for its response, and the body that the
/// connection reads.
#[derive(Debug)]
pub(super) struct Progress {
    flow: Mutex<Flow>,
    complete: AtomicBool,
    abandoned: AtomicBool,
    waker: AtomicWaker,
    error: Mutex<Option<Error>>,
}

/// Which side is being waited for.
#[derive(Debug)]
struct Flow {
    waiting: Waiting,
    /// Since when the store has been waited for.
    since: Instant,
    meter: Meter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    /// The store: it has bytes to accept.
    Store,
    /// The source of the body: a bandwidth limit, or the other side of the copy.
    Source,
    /// The store: it has been given all bytes.
    Answer,
}

impl Progress {
    fn flow(&self) -> MutexGuard<'_, Flow> {
        self.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Deadline for progress of the store, as of `now`. From the last byte to its response it has the time `answer`.
    pub fn due(&self, now: Instant, answer: Duration) -> Instant {
        let flow = self.flow();
        match flow.waiting {
            Waiting::Source => now + answer,
            Waiting::Store => flow.since + flow.meter.allowed(),
            Waiting::Answer => flow.since + answer,
        }
    }

    /// The error of a store that missed that deadline.
    pub fn overdue(&self, answer: Duration) -> Error {
        let flow = self.flow();
        match flow.waiting {
            Waiting::Store => flow.meter.ended("the store does not take the body"),
            Waiting::Source | Waiting::Answer => {
                let text = format!("no answer from the store for {} s", answer.as_secs());
                Error::new(ErrorKind::Timeout, text)
            }
        }
    }

    /// The connection asks for more, so it has passed on what it had.
    fn asked(&self) {
        let mut flow = self.flow();
        if flow.waiting == Waiting::Store {
            let waited = flow.since.elapsed();
            flow.meter.waited(waited);
            flow.since += waited;
        }
    }

    fn waits_for_source(&self) {
        self.flow().waiting = Waiting::Source;
    }

    fn handed_over(&self, bytes: usize, then: Waiting) {
        let mut flow = self.flow();
        flow.meter.moved(bytes as u64);
        flow.waiting = then;
        flow.since = Instant::now();
    }

    /// Whether all bytes were handed over.
    pub fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    /// The error of the source that ended the upload, once.
    pub fn take_error(&self) -> Option<Error> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Tells the connection that nobody waits for the upload any more, so that it stops reading.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
        self.waker.wake();
    }
}

/// The body of a request: exactly `left` more bytes of `inner`.
pub(super) struct Upload {
    inner: Body,
    left: u64,
    /// The last frame, held back until it is known that nothing follows it.
    held: Option<Bytes>,
    progress: Arc<Progress>,
}

impl Upload {
    /// `limits` apply to the time in which the store accepts no bytes.
    pub fn new(inner: Body, length: u64, limits: Limits) -> (Self, Arc<Progress>) {
        let progress = Arc::new(Progress {
            flow: Mutex::new(Flow {
                waiting: if length == 0 {
                    Waiting::Answer
                } else {
                    Waiting::Store
                },
                since: Instant::now(),
                meter: Meter::new(limits),
            }),
            complete: AtomicBool::new(length == 0),
            abandoned: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            error: Mutex::new(None),
        });
        let upload = Self {
            inner,
            left: length,
            held: None,
            progress: progress.clone(),
        };
        (upload, progress)
    }

    fn hand_over(&self, data: Bytes) -> Frame<Bytes> {
        if self.left == 0 {
            self.progress.handed_over(data.len(), Waiting::Answer);
            self.progress.complete.store(true, Ordering::Release);
        } else {
            self.progress.handed_over(data.len(), Waiting::Store);
        }
        Frame::data(data)
    }

    /// Records the error for the waiting request. The connection gets a copy without the cause.
    fn fail(&self, error: Error) -> Error {
        let shown = Error::new(error.kind(), error.message());
        *self.progress.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        shown
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        self.progress.asked();
        loop {
            let frame = match Pin::new(&mut self.inner).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    self.progress.waits_for_source();
                    self.progress.waker.register(cx.waker());
                    if self.progress.abandoned.load(Ordering::Acquire) {
                        let error = Error::new(ErrorKind::Cancelled, "the upload was aborted");
                        return Poll::Ready(Some(Err(error)));
                    }
                    return Poll::Pending;
                }
            };
            if self.progress.abandoned.load(Ordering::Acquire) {
                let error = Error::new(ErrorKind::Cancelled, "the upload was aborted");
                return Poll::Ready(Some(Err(error)));
            }
            let data = match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => continue,
                    Ok(data) => data,
                    Err(_) => continue,
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(self.fail(error)))),
                None if self.left > 0 => return Poll::Ready(Some(Err(self.fail(truncated())))),
                None => {
                    let last = self.held.take();
                    return Poll::Ready(last.map(|data| Ok(self.hand_over(data))));
                }
            };
            let Some(left) = self.left.checked_sub(data.len() as u64) else {
                return Poll::Ready(Some(Err(self.fail(overlong()))));
            };
            self.left = left;
            if left > 0 || self.inner.is_end_stream() {
                return Poll::Ready(Some(Ok(self.hand_over(data))));
            }
            // The connection stops reading once it has the announced bytes. So the end must be seen before the last
            // frame is handed over. Otherwise a body that is too long would be stored truncated.
            self.held = Some(data);
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0 && self.held.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left + self.held.as_ref().map_or(0, |data| data.len() as u64))
    }
}
