//! The service used from outside: by a browser, by generated clients, by a fuzzer, and as a process.

// A person starts a paused task in the Swagger UI.
mod browser;
// Clients that are generated from the document.
mod clients;
// The command line, its settings, and how it reports mistakes.
mod command;
// Files that run the service on several machines.
mod deploy;
// A full disk.
mod full;
// Requests of a fuzzer.
mod fuzz;
// Concurrent starts, and restarts of the process at any moment.
mod race;
mod restart;
// The commands of the README.
mod readme;
// Searches for secrets in everything that is written or sent.
mod secrets;
