//! Any bytes as a segment file: reading, scanning, verifying, recovering.
#![no_main]

#[path = "../bodies/segment.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::exercise(data));
