//! Stands in for the faults where they are not compiled in: nothing goes wrong.

use http::Request;
use hyper::body::Incoming;
use s3s::HttpResponse;
use tokio_util::sync::CancellationToken;

use super::bucket::Store;
use super::operation::Call;

/// There is none.
pub(super) enum Fault {}

/// A plan without faults.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FaultPlan;

/// What becomes of a request with a fault.
#[expect(dead_code, reason = "there is no fault to decide so")]
pub(super) enum Before {
    Serve,
    Answer(HttpResponse),
    Lose,
}

impl FaultPlan {
    #[expect(clippy::unused_self, reason = "stands in for a plan")]
    pub(super) const fn draw(self, _: &Call) -> Option<Fault> {
        None
    }
}

pub(super) async fn before(fault: &Fault, _: &mut Request<Incoming>, _: &Call, _: &Store, _: &str) -> Before {
    match *fault {}
}

pub(super) fn after(fault: &Fault, _: HttpResponse, _: &CancellationToken) -> Option<HttpResponse> {
    match *fault {}
}
