//! Any text as HTTP range, query, path or playlist name; any bytes as a fragment's head.
#![no_main]

#[path = "../bodies/range.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::exercise(data));
