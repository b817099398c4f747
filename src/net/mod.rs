//! The guarded outbound HTTP client that every part of the service shares.
//!
//! The policy is applied to the addresses at the time of connecting. A name is resolved here, forbidden addresses are
//! dropped, and the connection goes to one of the rest. So there is no second resolution that could give another
//! address. Redirects are not followed and no proxy is used.

mod client;
mod errors;
mod peer;
mod policy;
mod tls;

pub use self::client::{HttpClient, RequestBody};
pub use self::policy::{NetworkPolicy, Refused, Scheme};
pub use self::tls::Authorities;
