//! A load for the API of `oms`: shows of a task, and starts that are refused because it runs, at a fixed rate.
//!
//! Requests are due at fixed times, whether or not those before them were answered, and an answer's time counts from when its
//! request was due. So a service that stalls cannot hide it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use super::floor::Done;

/// Connections.
const CONNECTIONS: u64 = 64;
/// Seconds and requests per second at most.
pub const MOST: (u64, u64) = (60, 20_000);

/// What is sent to whom.
#[derive(Clone)]
pub struct Load {
    /// `address:port` of the service.
    pub host: String,
    /// API token.
    pub token: String,
    /// Path of the task.
    pub path: String,
    /// Body of a start.
    pub start: String,
    /// Requests per second.
    pub rate: u64,
    /// Seconds.
    pub seconds: u64,
}

/// Times of answers in microseconds, and how often each status came.
#[derive(Default)]
struct Times {
    micros: Vec<u64>,
    statuses: BTreeMap<u16, u64>,
}

impl Times {
    fn add(&mut self, other: Self) {
        self.micros.extend(other.micros);
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
    }

    fn json(&mut self) -> String {
        self.micros.sort_unstable();
        let at = |part: f64| {
            let index = (self.micros.len() as f64 * part) as usize;
            let micros = self.micros.get(index.min(self.micros.len().saturating_sub(1)));
            micros.map_or(0.0, |micros| *micros as f64 / 1000.0)
        };
        let statuses: Vec<String> = self
            .statuses
            .iter()
            .map(|(s, count)| format!("\"{s}\":{count}"))
            .collect();
        format!(
            "{{\"requests\":{},\"p50_ms\":{:.2},\"p90_ms\":{:.2},\"p99_ms\":{:.2},\"max_ms\":{:.2},\"statuses\":{{{}}}}}",
            self.micros.len(),
            at(0.5),
            at(0.9),
            at(0.99),
            at(1.0),
            statuses.join(",")
        )
    }
}

/// One connection's share of the requests.
async fn share(load: Load, index: u64, begin: Instant) -> Done<[Times; 2]> {
    let stream = TcpStream::connect(&load.host).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let mut times = [Times::default(), Times::default()];
    for number in (index..load.rate * load.seconds).step_by(CONNECTIONS as usize) {
        let due = begin + Duration::from_secs_f64(number as f64 / load.rate as f64);
        sleep_until(due).await;
        // Each connection sends both kinds in turn.
        let kind = (number / CONNECTIONS % 2) as usize;
        let (method, body) = match kind {
            0 => (Method::GET, String::new()),
            _ => (Method::PUT, load.start.clone()),
        };
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = method;
        *request.uri_mut() = load.path.parse()?;
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_str(&load.host)?);
        headers.insert(
            HeaderName::from_static("x-auth-token"),
            HeaderValue::from_str(&load.token)?,
        );
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        sender.ready().await?;
        let answer = sender.send_request(request).await?;
        let status = answer.status().as_u16();
        answer.into_body().collect().await?;
        times[kind].micros.push(due.elapsed().as_micros() as u64);
        *times[kind].statuses.entry(status).or_default() += 1;
    }
    drop(sender);
    connection.await??;
    Ok(times)
}

/// Sends the load and returns what it met, as JSON.
pub async fn run(load: Load) -> Done<String> {
    let begin = Instant::now() + Duration::from_millis(100);
    let shares: Vec<_> = (0..CONNECTIONS)
        .map(|index| tokio::spawn(share(load.clone(), index, begin)))
        .collect();
    let mut all = [Times::default(), Times::default()];
    for share in shares {
        let [show, start] = share.await??;
        all[0].add(show);
        all[1].add(start);
    }
    let seconds = begin.elapsed().as_secs_f64();
    let [show, start] = &mut all;
    Ok(format!(
        "{{\"seconds\":{seconds:.2},\"show\":{},\"start\":{}}}",
        show.json(),
        start.json()
    ))
}
