//! Bodies with a fixed length and a time limit: what comes from a store, and what goes to one.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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

/// The body of an answer: exactly `left` more bytes, or all until its end, with a limit on the time between two frames.
pub(in crate::object) struct Download {
    inner: Incoming,
    left: Option<u64>,
    stall: Duration,
    /// Since when the consumer waits in vain. Time in which nobody asks for bytes does not count.
    waiting_since: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Download {
    pub fn new(inner: Incoming, length: Option<u64>, stall: Duration) -> Self {
        Self {
            inner,
            left: length,
            stall,
            waiting_since: None,
            alarm: None,
        }
    }

    /// Waits for the alarm, which is set again rather than made anew: timers cost more than looking at the clock.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let due = since + self.stall;
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        loop {
            ready!(alarm.as_mut().poll(cx));
            if alarm.deadline() >= due {
                let text = format!("no bytes from the store for {} s", self.stall.as_secs());
                return Poll::Ready(Error::new(ErrorKind::Timeout, text));
            }
            alarm.as_mut().reset(due);
        }
    }
}

impl HttpBody for Download {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        loop {
            let frame = match Pin::new(&mut self.inner).poll_frame(cx) {
                Poll::Pending => return self.poll_alarm(cx).map(|error| Some(Err(error))),
                Poll::Ready(frame) => frame,
            };
            self.waiting_since = None;
            return Poll::Ready(match frame {
                None if self.left.is_none_or(|left| left == 0) => None,
                None => Some(Err(truncated())),
                Some(Err(error)) => Some(Err(broken(error))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => match self.left.map(|left| left.checked_sub(data.len() as u64)) {
                        Some(None) => Some(Err(overlong())),
                        left => {
                            self.left = left.flatten();
                            Some(Ok(Frame::data(data)))
                        }
                    },
                    // Trailers are no bytes of the object.
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
    // An orderly end of the connection within the body; a reset is an error of its own.
    let early = std::error::Error::source(&error)
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|source| source.kind() == io::ErrorKind::UnexpectedEof);
    if early || error.is_incomplete_message() {
        return truncated().with_source(error);
    }
    Error::new(ErrorKind::Unavailable, "the connection broke within the body").with_source(error)
}

/// Reads an answer into memory.
///
/// # Errors
/// `Integrity` when it has more than `limit` bytes, `Timeout` when nothing comes for `stall`, `Unavailable` when the
/// connection breaks.
pub(super) async fn collect(mut body: Incoming, limit: usize, stall: Duration) -> Result<Bytes> {
    let announced = body.size_hint().exact().unwrap_or(0);
    let too_long = || Error::new(ErrorKind::Integrity, "the store's answer is too long");
    let announced = usize::try_from(announced).map_err(|_| too_long())?;
    if announced > limit {
        return Err(too_long());
    }
    let mut all = BytesMut::new();
    loop {
        let frame = tokio::time::timeout(stall, body.frame()).await.map_err(|_| {
            let text = format!("no bytes from the store for {} s", stall.as_secs());
            Error::new(ErrorKind::Timeout, text)
        })?;
        let Some(frame) = frame else {
            return Ok(all.freeze());
        };
        let Ok(data) = frame.map_err(broken)?.into_data() else {
            continue;
        };
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

/// What the two ends of an upload know of each other: the request that waits for its answer, and the body that the
/// connection pulls.
#[derive(Debug)]
pub(super) struct Progress {
    start: Instant,
    /// Milliseconds after `start` of the last frame.
    last: AtomicU64,
    waits_for_source: AtomicBool,
    complete: AtomicBool,
    abandoned: AtomicBool,
    waker: AtomicWaker,
    error: Mutex<Option<Error>>,
}

impl Progress {
    /// When the last frame was handed over.
    pub fn last(&self) -> Instant {
        self.start + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }

    /// Whether the connection would take more bytes, but the source has none yet.
    pub fn waits_for_source(&self) -> bool {
        self.waits_for_source.load(Ordering::Relaxed)
    }

    /// Whether all bytes were handed over.
    pub fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    /// The error of the source that ended the upload, once.
    pub fn take_error(&self) -> Option<Error> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Tells the connection that nobody waits for the upload any more, so that it stops pulling.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
        self.waker.wake();
    }
}

/// The body of a request: exactly `left` more bytes of `inner`.
pub(super) struct Upload {
    inner: Body,
    left: u64,
    /// The last frame, until it is known that nothing follows it.
    held: Option<Bytes>,
    progress: Arc<Progress>,
}

impl Upload {
    pub fn new(inner: Body, length: u64) -> (Self, Arc<Progress>) {
        let progress = Arc::new(Progress {
            start: Instant::now(),
            last: AtomicU64::new(0),
            waits_for_source: AtomicBool::new(false),
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
        let millis = u64::try_from(self.progress.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.progress.last.store(millis, Ordering::Relaxed);
        if self.left == 0 {
            self.progress.complete.store(true, Ordering::Release);
        }
        Frame::data(data)
    }

    /// Records the error for the waiting request; the connection gets a copy without the cause.
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
        loop {
            let frame = match Pin::new(&mut self.inner).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    self.progress.waits_for_source.store(true, Ordering::Relaxed);
                    self.progress.waker.register(cx.waker());
                    if self.progress.abandoned.load(Ordering::Acquire) {
                        let error = Error::new(ErrorKind::Cancelled, "the upload was given up");
                        return Poll::Ready(Some(Err(error)));
                    }
                    return Poll::Pending;
                }
            };
            self.progress.waits_for_source.store(false, Ordering::Relaxed);
            if self.progress.abandoned.load(Ordering::Acquire) {
                let error = Error::new(ErrorKind::Cancelled, "the upload was given up");
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
            // The connection stops asking once it has the announced bytes, so the end must be seen before the last frame
            // is given away; otherwise a longer body would be stored cut off.
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
