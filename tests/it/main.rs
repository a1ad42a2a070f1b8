//! The integration tests: one binary, a module per subject.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod capture;
mod layering;
