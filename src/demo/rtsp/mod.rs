//! An RTSP 1.0 server as cameras have it (RFC 2326): TCP interleaved and UDP unicast, Basic and Digest.

mod auth;
mod message;
mod rtp;
mod sdp;
mod session;

pub use auth::Auth;
pub(crate) use auth::Gate;
pub(crate) use sdp::Description;
pub(crate) use session::serve;
