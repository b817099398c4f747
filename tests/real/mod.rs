//! The whole program between two real S3 servers, judged by an independent client.

mod kill;
mod names;
mod seaweed;
