//! The guarded outbound HTTP client that every part of the service shares.
//!
//! The policy is applied to the addresses that are connected to, at the moment of connecting: a name is resolved here,
//! forbidden addresses are dropped, and the connection goes to one of the rest, so no second resolution can slip in
//! between. Redirects are not followed and no proxy is used.

mod client;
mod errors;
mod peer;
mod policy;
mod tls;

pub use self::client::{HttpClient, RequestBody};
pub use self::policy::{NetworkPolicy, Refused, Scheme};
pub use self::tls::Authorities;
