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
pub mod pictures;
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

/// Says that something is not tested, because programs or packages are missing. `tests/run` brings them, so in CI that is a failure: whole
/// suites would pass there without having run.
pub fn lacking(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "NOT TESTED, though this is CI: {what}");
    not_possible(what);
}

/// Says that something is not tested, because of who runs the tests, or because the kernel does not let it be done. A machine for CI may be such
/// a one: a container without loop devices, FUSE or network namespaces.
#[expect(clippy::print_stderr, reason = "a test that is not run should say so")]
pub fn not_possible(what: &str) {
    eprintln!("NOT TESTED: {what}");
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
