//! Several machines: the servers that they share, and a network that fails.

mod nats_client;
mod proxy;
mod tools;
