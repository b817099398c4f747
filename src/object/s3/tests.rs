//! Tests of the client against scripted answers and against the sandbox.
