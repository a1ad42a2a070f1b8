//! The health service, and what root does for it.

pub mod look;
pub mod prepare;
