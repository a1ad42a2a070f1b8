//! The boot tests: the image on a PC that QEMU emulates, from the stick to footage. `tests/run --image` builds the image and runs them;
//! nothing else does.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![expect(unreachable_pub, reason = "one binary of many modules, of which nothing is seen from outside")]

mod booted;
#[expect(dead_code, reason = "the acceptance tests use all of it")]
#[path = "../support/cameras.rs"]
mod cameras;
mod image;
mod installed;
#[path = "../support/pictures.rs"]
mod pictures;
#[expect(dead_code, reason = "the acceptance tests use all of it")]
#[path = "../support/probe.rs"]
mod probe;
mod school;
mod screens;
mod vm;
