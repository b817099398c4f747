//! A body with a time limit: it fails if its object takes too long in one piece ([`crate::engine::stream_speed`]).

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::time::Instant;

use crate::engine::stream_speed::is_too_slow;
use crate::error::{Error, ErrorKind};
use crate::object::Body;

/// The code of that error.
pub(in crate::engine) const TOO_SLOW: &str = "TooSlowInOnePiece";

struct TimeLimited {
    inner: Body,
    moved: u64,
    left: u64,
    began: Instant,
    allowed: Duration,
}

/// Wraps a body of `length` bytes. It ends with a `Timeout` error as soon as it is clear that the rest takes longer than
/// `allowed`.
pub(in crate::engine) fn time_limited(inner: Body, length: u64, allowed: Duration) -> Body {
    let limited = TimeLimited {
        inner,
        moved: 0,
        left: length,
        began: Instant::now(),
        allowed,
    };
    limited.boxed_unsync()
}

impl http_body::Body for TimeLimited {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            this.moved = this.moved.saturating_add(length);
            this.left = this.left.saturating_sub(length);
            if is_too_slow(this.moved, this.left, this.began.elapsed(), this.allowed) {
                let text = "one stream is too slow for the whole object";
                let error = Error::new(ErrorKind::Timeout, text).with_code(TOO_SLOW);
                return Poll::Ready(Some(Err(error)));
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::StreamBody;

    use super::*;

    /// Reads a body of ten frames, one of ten bytes each second. Returns after how many seconds it ended, and with which code.
    async fn read(allowed: u64) -> (u64, Option<String>) {
        let frames = stream::unfold(0, |sent| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            (sent < 10).then(|| (Ok(Frame::data(Bytes::from_static(&[0; 10]))), sent + 1))
        });
        let body = StreamBody::new(frames).boxed_unsync();
        let began = Instant::now();
        let read = time_limited(body, 100, Duration::from_secs(allowed))
            .collect()
            .await;
        let code = read.err().and_then(|error| error.code().map(str::to_owned));
        (began.elapsed().as_secs(), code)
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_fails_as_soon_as_the_rest_takes_too_long() {
        let too_slow = Some(TOO_SLOW.to_owned());
        assert_eq!(read(2).await, (2, too_slow.clone()), "8 seconds are left");
        assert_eq!(read(4).await, (4, too_slow), "6 seconds are left");
        assert_eq!(read(5).await, (11, None), "5 seconds are left");
        assert_eq!(read(60).await, (11, None));
    }
}
