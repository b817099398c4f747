//! The service as others use it: a browser, generated clients, a fuzzer, and the program itself.

// Start of a paused task by a person in the Swagger UI.
mod browser;
// What clients generated from the document are good for.
mod clients;
// The command line, its settings and its mistakes.
mod command;
// A disk that takes no more.
mod full;
// Requests that nobody thought of.
mod fuzz;
// Ends of the process at any moment, and what the next one makes of it.
mod race;
mod restart;
// The commands of the README, as a reader pastes them.
mod readme;
// Canaries in everything that is written or answered.
mod secrets;
