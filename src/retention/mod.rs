//! Retention: how long footage is kept, and what is kept longer.

pub mod holds;
