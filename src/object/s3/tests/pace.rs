//! Slow bodies in both directions, on a clock that the test moves. No sockets are used, so the clock is exact.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use http_body::Body as _;
use tokio::time::{Instant, sleep};

use super::*;
use crate::object::pace::Limits;
use crate::object::s3::body::{Download, Upload, collect};

const SECOND: Duration = Duration::from_secs(1);

/// Pieces of `bytes` bytes, each after a pause.
fn drip<E: Send + 'static>(
    pause: Duration,
    bytes: usize,
    pieces: usize,
) -> impl http_body::Body<Data = Bytes, Error = E> + Send + Unpin {
    let pieces = stream::unfold(0, move |n| async move {
        if n == pieces {
            return None;
        }
        sleep(pause).await;
        Some((Ok(Frame::data(Bytes::from(vec![b'x'; bytes]))), n + 1))
    });
    StreamBody::new(Box::pin(pieces))
}

fn limits() -> Limits {
    Timeouts::default().body()
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_ended_and_a_slow_one_is_not() {
    for (what, pause, bytes, ended) in [
        ("a byte every five seconds", 5 * SECOND, 1, true),
        ("a byte every second", SECOND, 1, true),
        ("half of the least rate", SECOND, 256, true),
        ("silence", 61 * SECOND, 1 << 20, true),
        ("the least rate", SECOND, 520, false),
        ("packets far apart", 50 * SECOND, 52 * 512, false),
    ] {
        let began = Instant::now();
        let mut read = Download::new(drip(pause, bytes, 600), None, limits());
        let mut error = None;
        while let Some(frame) = read.frame().await {
            if let Err(failed) = frame {
                error = Some(failed);
                break;
            }
        }
        let took = began.elapsed();
        match error {
            Some(error) => {
                assert_eq!(error.kind(), ErrorKind::Timeout, "{what}");
                assert!(ended, "{what}: {error}");
                assert!(took <= 125 * SECOND, "{what}: only after {took:?}");
            }
            None => assert!(!ended, "{what}: it came to its end after {took:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn time_in_which_nobody_asks_does_not_count() {
    // As with a bandwidth limit, or a slow target: a small piece is read every five minutes.
    let mut read = Download::new(drip(SECOND / 100, 10, 50), Some(500), limits());
    for _ in 0..50 {
        sleep(300 * SECOND).await;
        let frame = read.frame().await.unwrap().unwrap();
        assert_eq!(frame.data_ref().unwrap().len(), 10);
    }
    assert!(read.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_document_has_an_end_however_fast_it_is() {
    let document = Timeouts::default().document();
    let began = Instant::now();
    let error = collect(drip(SECOND, 10_000, 10_000), 1 << 30, document)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.message(), "the store's answer: not complete after 300 s");
    assert!(began.elapsed() <= 301 * SECOND);
    let slow = collect(drip(SECOND, 600, 299), 1 << 30, document).await.unwrap();
    assert_eq!(slow.len(), 299 * 600);
    // A store that completes an upload sends a byte from time to time.
    let work = Timeouts::default().work();
    let blanks = collect(drip(100 * SECOND, 1, 30), 1 << 10, work).await.unwrap();
    assert_eq!(blanks.len(), 30);
    let error = collect(drip(100 * SECOND, 1, 40), 1 << 10, work)
        .await
        .unwrap_err();
    assert_eq!(error.message(), "the store's answer: not complete after 3600 s");
}

/// Whether a store that accepts one frame of a body after each pause is reported as overdue before it has all of them.
async fn overdue(pause: Duration, body: Body, length: u64) -> bool {
    let timeouts = Timeouts::default();
    let (mut upload, progress) = Upload::new(body, length, timeouts.upload());
    loop {
        let next = async {
            sleep(pause).await;
            poll_fn(|cx| Pin::new(&mut upload).poll_frame(cx)).await
        };
        tokio::pin!(next);
        let frame = loop {
            // Waits like the request that has this body.
            let due = progress.due(Instant::now(), timeouts.answer);
            if let Ok(frame) = tokio::time::timeout_at(due, next.as_mut()).await {
                break frame;
            }
            if progress.due(due, timeouts.answer) <= due {
                let error = progress.overdue(timeouts.answer);
                assert_eq!(error.kind(), ErrorKind::Timeout);
                return true;
            }
        };
        match frame {
            None => return false,
            Some(frame) => drop(frame.unwrap()),
        }
        if progress.is_complete() {
            return false;
        }
    }
}

fn ready(bytes: usize, pieces: usize) -> Body {
    let pieces = (0..pieces).map(move |_| Ok(Frame::data(Bytes::from(vec![b'x'; bytes]))));
    StreamBody::new(stream::iter(pieces)).boxed_unsync()
}

#[tokio::test(start_paused = true)]
async fn a_store_that_takes_a_body_by_the_byte_is_ended() {
    assert!(
        overdue(5 * SECOND, ready(1, 1_000), 1_000).await,
        "a byte every five seconds"
    );
    assert!(overdue(61 * SECOND, ready(1 << 20, 9), 9 << 20).await, "silence");
    let slow = overdue(30 * SECOND, ready(16 << 10, 100), 1_600 << 10).await;
    assert!(!slow, "a slow line");
}

#[tokio::test(start_paused = true)]
async fn a_slow_source_does_not_end_an_upload() {
    // The store accepts everything at once. The source, or a bandwidth limit, gives a byte every five seconds, or
    // nothing for an hour.
    for (pause, pieces) in [(5 * SECOND, 500), (3_600 * SECOND, 3)] {
        let source = drip::<Error>(pause, 1, pieces).boxed_unsync();
        let ended = overdue(Duration::ZERO, source, pieces as u64).await;
        assert!(!ended, "{pause:?}");
    }
}
