//! Any bytes as site.toml and secrets.toml: parsing, checking, saying what is wrong.
#![no_main]

#[path = "../bodies/site.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::exercise(data));
