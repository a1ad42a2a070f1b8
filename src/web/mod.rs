//! The pages: a wall of live pictures, a single camera, playback.
//!
//! This module has neither footage nor a database. Everything it shows it asks of the recorder's `media.sock`
//! ([`crate::types::wire`]). The pages are plain HTML, CSS and ES modules that are compiled in; every text they show
//! comes from the `[web]` and `[cause]` sections of [`crate::lang`].
//!
//! Until people and grants exist, whoever reaches the server sees everything: it listens on loopback only
//! ([`loopback_only`]) and answers only requests that name a loopback host and come from no other site ([`guard`]).

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use crate::types::{Lang, WallNs};

mod assets;
mod guard;
mod live;
mod media;
mod pages;
mod router;
#[cfg(test)]
mod texts_tests;

pub use router::{ServeError, router, serve};

/// What the pages need to know. Cheap to clone.
#[derive(Clone)]
pub struct WebConfig {
    /// The recorder's `media.sock`. It need not exist yet.
    pub media_socket: PathBuf,
    /// The site's name, shown above the wall. May be empty.
    pub site: String,
    /// The site's time zone by its IANA name, `Asia/Ho_Chi_Minh`. Every time on the pages is in it.
    pub time_zone: String,
    /// The site's language; `None` to follow the browser's wish.
    pub language: Option<Lang>,
    /// The wall clock, so that pages can tell how far behind a picture is even where the browser's clock is wrong.
    pub clock: Arc<dyn Fn() -> WallNs + Send + Sync>,
}

impl std::fmt::Debug for WebConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebConfig").field("media_socket", &self.media_socket).finish_non_exhaustive()
    }
}

/// Why the server does not listen on an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} can be reached from other machines: until people and grants exist, whoever reaches the pages sees every camera, so they are served on loopback only; use 127.0.0.1 or [::1]"
)]
pub struct NotLoopback(pub SocketAddr);

/// Refuses every address that another machine could reach.
pub fn loopback_only(address: SocketAddr) -> Result<SocketAddr, NotLoopback> {
    if address.ip().to_canonical().is_loopback() { Ok(address) } else { Err(NotLoopback(address)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_listened_on() {
        for good in ["127.0.0.1:8080", "127.8.8.8:1", "[::1]:0", "[::ffff:127.0.0.1]:80"] {
            assert!(loopback_only(good.parse().expect("an address")).is_ok(), "{good}");
        }
        for bad in ["0.0.0.0:8080", "[::]:8080", "10.20.1.11:80", "[fe80::1]:80", "[::ffff:10.0.0.1]:80"] {
            let refused = loopback_only(bad.parse().expect("an address")).expect_err(bad);
            assert!(refused.to_string().contains("loopback only"), "{refused}");
        }
    }
}
