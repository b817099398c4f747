//! Bodies that end too early, never, or late, or that differ from the stored bytes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body::Frame;
use http_body_util::{BodyStream, StreamBody};
use s3s::{Body, StdError};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

/// How long to wait before a reset, so that the client can read the bytes before it: a reset discards unread bytes.
const GRACE: Duration = Duration::from_millis(30);

/// What happens after the last byte that is sent.
#[derive(Debug)]
pub(super) enum End {
    /// The body ends.
    Finish,
    /// Nothing more is sent, for as long as the client waits.
    Stall,
    /// The connection is reset through this token.
    Reset(CancellationToken),
}

/// A body after white space that is sent in pieces, each after a pause.
pub(super) fn after_white_space(inner: Body, pieces: u32, pause: Duration) -> Body {
    let white = stream::iter(0..pieces).then(move |_| async move {
        tokio::time::sleep(pause).await;
        Ok(Frame::data(Bytes::from_static(b" \n")))
    });
    Body::http_body_unsync(StreamBody::new(white.chain(BodyStream::new(inner))))
}

/// A body that is changed while it is sent.
pub(super) struct FaultBody {
    inner: Body,
    /// Bytes that may still be sent.
    pass: u64,
    /// Bytes sent so far.
    passed: u64,
    /// Zeros to send after the end of the body itself.
    fill: u64,
    flip: Option<u64>,
    end: End,
    grace: Option<Pin<Box<Sleep>>>,
}

impl FaultBody {
    /// Sends the whole body and ends as it does.
    pub(super) const fn new(inner: Body) -> Self {
        Self {
            inner,
            pass: u64::MAX,
            passed: 0,
            fill: 0,
            flip: None,
            end: End::Finish,
            grace: None,
        }
    }

    /// Sends only `pass` bytes, and then does `end`.
    pub(super) fn cut(inner: Body, pass: u64, end: End) -> Self {
        Self {
            pass,
            end,
            ..Self::new(inner)
        }
    }

    /// Sends `fill` zeros after the body.
    pub(super) const fn fill(mut self, fill: u64) -> Self {
        self.fill = fill;
        self
    }

    /// Flips the bits of the byte at `at`.
    pub(super) const fn flip(mut self, at: u64) -> Self {
        self.flip = Some(at);
        self
    }

    pub(super) fn boxed(self) -> Body {
        Body::http_body_unsync(self)
    }

    fn let_through(&mut self, mut data: Bytes) -> Bytes {
        data.truncate(usize::try_from(self.pass).unwrap_or(usize::MAX));
        let flip = self
            .flip
            .and_then(|at| at.checked_sub(self.passed))
            .and_then(|at| usize::try_from(at).ok());
        if let Some(at) = flip.filter(|at| *at < data.len()) {
            let mut changed = data.to_vec();
            changed[at] ^= 0xff;
            data = changed.into();
        }
        self.passed += data.len() as u64;
        self.pass -= data.len() as u64;
        data
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        match &self.end {
            End::Finish => Poll::Ready(None),
            End::Stall => Poll::Pending,
            End::Reset(reset) => {
                let grace = self
                    .grace
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep(GRACE)));
                ready!(grace.as_mut().poll(cx));
                reset.cancel();
                Poll::Pending
            }
        }
    }
}

impl http_body::Body for FaultBody {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = &mut *self;
        while this.pass > 0 {
            match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    return Poll::Ready(Some(Ok(Frame::data(this.let_through(data)))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => break,
            }
        }
        if this.fill > 0 {
            let size = this.fill.min(64 * 1024);
            this.fill -= size;
            return Poll::Ready(Some(Ok(Frame::data(
                vec![0; usize::try_from(size).unwrap_or(0)].into(),
            ))));
        }
        this.poll_end(cx)
    }
}
