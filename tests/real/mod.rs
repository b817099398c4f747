//! The whole program between two real S3 servers. An independent client checks the result.

mod kill;
mod names;
mod seaweed;
