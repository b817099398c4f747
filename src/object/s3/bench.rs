//! Access for the benchmarks of `tests/bench`: the signer, which nothing else calls from outside.

use http::HeaderMap;

use super::sign::{Signed, Signer};
use crate::error::Result;
use crate::object::metadata_signing::WhiteSpace;
use crate::secret::Credentials;
use crate::task::Clock;

/// Signs requests with streamed bodies.
#[derive(Debug)]
pub struct Signing(Signer);

impl Signing {
    /// A signer with these credentials.
    #[must_use]
    pub fn new(keys: &Credentials, region: &str, clock: Clock) -> Self {
        Self(Signer::new(keys.clone(), region.to_owned(), clock))
    }

    /// Adds the headers of a signature.
    ///
    /// # Errors
    /// Those of the signer.
    pub fn sign(&self, method: &str, url: &str, headers: &mut HeaderMap) -> Result<()> {
        let rule = WhiteSpace::Ascii;
        self.0
            .sign(method, url, headers, Signed::Unsigned, rule)
            .map(drop)
    }
}
