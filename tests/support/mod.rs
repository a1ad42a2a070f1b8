//! What the acceptance tests share: cameras of `GStreamer`'s RTSP server, a recorder process on a site made for them, and
//! readers of what it stored that nobody of this project wrote.

pub mod cameras;
pub mod container;
pub mod judge;
pub mod loops;
pub mod mounts;
pub mod netns;
pub mod own;
pub mod passthrough;
pub mod probe;
pub mod recorder;
pub mod school;
pub mod trixie;
pub mod watch;

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

/// An address of loopback at which somebody can listen, and nobody does. Until this process ends nobody else is given its port: a socket keeps
/// it that does not listen, which keeps nobody away who asks for that port by its number.
pub fn free_address() -> SocketAddr {
    let keeps = tokio::net::TcpSocket::new_v4().unwrap();
    keeps.set_reuseaddr(true).unwrap();
    keeps.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = keeps.local_addr().unwrap();
    std::mem::forget(keeps);
    address
}

/// Waits until `ready` has something to say, looking every 20 ms. Panics after `limit`, naming what was waited for.
pub fn wait_for<T>(what: &str, limit: Duration, mut ready: impl FnMut() -> Option<T>) -> T {
    #[expect(clippy::disallowed_methods, reason = "a limit on a real process, by real time")]
    let now = Instant::now;
    let start = now();
    loop {
        if let Some(t) = ready() {
            return t;
        }
        assert!(now() - start < limit, "waited {limit:?} for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
