//! Requests to JetStream's own API, and what its refusals mean.

use async_nats::Request;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::link::Link;
use crate::error::{Error, ErrorKind, Result};

/// Name of the stream.
pub(super) const STREAM: &str = "OMS_WORK";
/// All subjects of the stream.
pub(super) const SUBJECTS: &str = "oms.work.>";
/// Requests to the API go to subjects that begin with this.
pub(super) const API: &str = "$JS.API.";

/// An answer of JetStream.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer<T> {
    Refused { error: Refusal },
    Done(T),
}

/// What JetStream answered instead of doing what it was asked.
#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    /// Its number for the reason.
    #[serde(rename = "err_code", default)]
    pub(super) code: u64,
    #[serde(rename = "code")]
    status: u16,
    #[serde(default)]
    description: String,
}

impl Refusal {
    /// No stream, consumer or message of this name.
    pub(super) fn is_not_found(&self) -> bool {
        self.status == 404
    }

    /// As an error of ours.
    pub(super) fn into_error(self) -> Error {
        let kind = match (self.code, self.status) {
            // Resources of the server, of the account, of the cluster; storage.
            (10_023 | 10_002 | 10_047 | 10_028, _) => ErrorKind::StorageFull,
            // Not enabled at all, or not for this account.
            (10_076 | 10_039, _) => ErrorKind::Unsupported,
            (_, 404) => ErrorKind::NotFound,
            (_, 401 | 403) => ErrorKind::PermissionDenied,
            (_, 400) => ErrorKind::Conflict,
            _ => ErrorKind::Unavailable,
        };
        Error::new(kind, format!("NATS: {}", self.description)).with_code(self.code.to_string())
    }

    /// As an error about an object whose settings the server refuses.
    pub(super) fn into_settings_error(self, what: &str) -> Error {
        let error = self.into_error();
        // The server has several numbers for this, and calls some of them its own failure.
        let kind = match error.kind() {
            ErrorKind::Unavailable if error.message().contains("can not") => ErrorKind::Conflict,
            kind => kind,
        };
        let text = match kind {
            ErrorKind::Conflict => format!(
                "the {what} cannot get the settings that oms needs ({}). It holds nothing that the ledger does not: \
                 delete it, and it is created again",
                error.message()
            ),
            _ => format!("the {what} cannot be set up: {}", error.message()),
        };
        let code = error.code().map(str::to_owned).unwrap_or_default();
        Error::new(kind, text).with_code(code)
    }
}

/// Reads an answer of JetStream.
pub(super) fn read<T: DeserializeOwned>(payload: &[u8]) -> Result<std::result::Result<T, Refusal>> {
    let answer = serde_json::from_slice::<Answer<T>>(payload);
    match answer.map_err(|error| Error::internal("an answer of NATS cannot be read").with_source(error))? {
        Answer::Done(answer) => Ok(Ok(answer)),
        Answer::Refused { error } => Ok(Err(error)),
    }
}

/// Sends a request to the API.
pub(super) async fn call<T: DeserializeOwned>(
    link: &Link,
    operation: &str,
    body: &impl Serialize,
) -> Result<std::result::Result<T, Refusal>> {
    let body = serde_json::to_vec(body)
        .map_err(|error| Error::internal("a request to NATS cannot be written").with_source(error))?;
    let request = Request::new().payload(body.into());
    let Some(answer) = link.request(format!("{API}{operation}"), request).await? else {
        let text = "JetStream is not enabled, or not ready yet";
        return Err(Error::new(ErrorKind::Unavailable, text));
    };
    read(&answer.payload)
}
