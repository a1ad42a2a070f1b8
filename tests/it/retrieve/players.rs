//! HLS, judged by players that nobody here wrote.

use std::process::{Command, Output};

use custodian::types::{Cause, CauseKind, GapBefore};

use super::{router, span, with_sound};
use crate::footage::{Archive, EIGHT, SECOND, run};

/// Serves an archive on loopback for as long as it lives.
struct Server {
    base: String,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    fn start(archive: &Archive) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
        let router = router(archive.library());
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { base, _runtime: runtime }
    }

    fn playlist(&self, name: &str, from: i64, to: i64) -> String {
        format!("{}/v1/hls/gate-1/{name}.m3u8?{}", self.base, span(from, to))
    }
}

fn said(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

/// Pictures that ffmpeg decodes.
fn decoded(url: &str) -> usize {
    let out = Command::new("ffmpeg")
        .args([
            "-nostdin",
            "-v",
            "error",
            "-stats",
            "-i",
            url,
            "-map",
            "0:v",
            "-fps_mode",
            "passthrough",
            "-f",
            "framehash",
            "-",
        ])
        .output()
        .expect("ffmpeg runs");
    assert!(out.status.success(), "{}", said(&out));
    String::from_utf8_lossy(&out.stdout).lines().filter(|l| !l.starts_with('#')).count()
}

/// Two runs that adjoin, and one after a gap.
fn three_runs() -> (Archive, usize) {
    let media = with_sound(12, 0);
    let mut archive = Archive::new();
    archive.record(run(1, "gate-1", &media, EIGHT, None), &media, 4);
    archive.record(run(2, "gate-1", &media, EIGHT.offset(12 * SECOND), None), &media, 4);
    let before = GapBefore { since: EIGHT.offset(24 * SECOND), cause: Cause::new(CauseKind::Camera, "") };
    archive.record(run(3, "gate-1", &media, EIGHT.offset(60 * SECOND), Some(before)), &media, 4);
    (archive, 3 * media.frames())
}

#[test]
fn ffmpeg_plays_every_picture_across_runs() {
    let (archive, frames) = three_runs();
    let server = Server::start(&archive);
    assert_eq!(decoded(&server.playlist("main", -10, 100)), frames);
    assert_eq!(decoded(&server.playlist("index", -10, 100)), frames);
    // From the middle of a group of pictures: from its key frame at 2 s to the end of the fragment with second 9.
    assert_eq!(decoded(&server.playlist("main", 5, 9)), 8 * 25);
}

#[test]
fn mpv_plays_to_the_end() {
    let (archive, _) = three_runs();
    let server = Server::start(&archive);
    let out = Command::new("mpv")
        .args(["--no-config", "--vo=null", "--no-audio", "--untimed", "--no-terminal", "--log-file=/dev/stdout"])
        .arg(server.playlist("main", -10, 100))
        .output()
        .expect("mpv runs");
    let errors: Vec<String> = said(&out).lines().filter(|l| l.contains("][e][")).map(str::to_owned).collect();
    assert!(out.status.success() && errors.is_empty(), "{errors:#?}");
}
