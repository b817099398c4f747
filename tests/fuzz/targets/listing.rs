#![no_main]

#[expect(dead_code, reason = "each target has one body")]
#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::listing(data));
