//! Simulated cameras and a ready site.
//!
//! [`cameras`] speak RTSP (RFC 2326) with Digest, on loopback, with pictures that are drawn and coded here: no other
//! program and no device is needed. [`site`] writes the `site.toml` that goes with them.

pub mod cameras;
mod h264;
mod rtsp;
mod scene;
pub mod site;
