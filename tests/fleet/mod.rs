//! Several machines: the servers that they share, and a network that fails.

mod jetstream;
mod jetstream_login;
mod local_nats;
mod nats_client;
mod proxy;
mod tools;
