//! custodian: a video recorder for schools that keeps its promises.
#![doc = "See `docs/ARCHITECTURE.md`."]

pub mod capture;
pub mod cli;
pub mod demo;
pub mod lang;
pub mod retrieve;
pub mod services;
pub mod site;
pub mod store;
pub mod sys;
pub mod types;
pub mod web;
