//! Several machines: the servers that they share, and a network that fails.

mod cluster;
mod cuts;
mod freezes;
mod jetstream;
mod jetstream_login;
mod kills;
mod local_nats;
mod nats_client;
mod orders;
mod proxy;
mod queue;
mod tools;
mod walk;
