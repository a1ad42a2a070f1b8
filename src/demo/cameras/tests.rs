//! The cameras against clients that nobody here wrote: retina and ffmpeg.

use std::{process::Stdio, time::Duration};

use futures::StreamExt;
use retina::{
    client::{
        Credentials, Demuxed, PlayOptions, Session, SessionOptions, SetupOptions, TcpTransportOptions, Transport,
        UdpTransportOptions,
    },
    codec::{CodecItem, FrameFormat, ParametersRef, VideoFrame},
};
use tokio::time::timeout;

use super::*;
use crate::demo::site;

const PATIENCE: Duration = Duration::from_secs(20);

async fn cameras(count: usize, options: ServerOptions) -> Server {
    Server::start(ServerOptions { cameras: site::cameras(count), password: "s3cret".into(), ..options }).await.unwrap()
}

fn id(text: &str) -> CameraId {
    text.parse().unwrap()
}

fn tcp() -> Transport {
    Transport::Tcp(TcpTransportOptions::default())
}

fn udp() -> Transport {
    Transport::Udp(UdpTransportOptions::default())
}

async fn play(url: &str, password: &str, transport: Transport) -> Result<Demuxed, retina::Error> {
    let creds = Credentials { username: "viewer".into(), password: password.into() };
    let mut session = Session::describe(url.parse().unwrap(), SessionOptions::default().creds(Some(creds))).await?;
    for i in 0..session.streams().len() {
        let options = SetupOptions::default().transport(transport.clone()).frame_format(FrameFormat::MP4);
        session.setup(i, options).await?;
    }
    session.play(PlayOptions::default()).await?.demuxed()
}

async fn item(session: &mut Demuxed) -> Result<CodecItem, String> {
    match timeout(PATIENCE, session.next()).await.expect("something comes, or the connection ends") {
        Some(item) => item.map_err(|e| e.to_string()),
        None => Err("closed".into()),
    }
}

async fn picture(session: &mut Demuxed) -> Result<VideoFrame, String> {
    loop {
        if let CodecItem::VideoFrame(frame) = item(session).await? {
            return Ok(frame);
        }
    }
}

fn size(session: &Demuxed) -> (u32, u32) {
    match session.streams()[0].parameters() {
        Some(ParametersRef::Video(v)) => v.pixel_dimensions(),
        other => panic!("{other:?}"),
    }
}

/// Waits until the stream's figures are as wanted.
async fn stats(server: &Server, camera: &str, kind: StreamKind, wanted: impl Fn(&StreamStats) -> bool) -> StreamStats {
    let camera = id(camera);
    timeout(PATIENCE, async {
        loop {
            let all = server.stats();
            let one = all.iter().find(|s| s.camera == camera && s.kind == kind).unwrap();
            if wanted(one) {
                return one.clone();
            }
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the figures become what is wanted")
}

async fn frames_are_whole(transport: Transport, auth: Auth) {
    let server = cameras(2, ServerOptions { auth, ..Default::default() }).await;
    let mut session = play(&server.url(&id("playground-1"), StreamKind::Main), "s3cret", transport).await.unwrap();
    assert_eq!(size(&session), (1280, 720));
    let mut times = Vec::new();
    let mut reports = 0;
    while times.len() < 80 || reports == 0 {
        match item(&mut session).await.unwrap() {
            CodecItem::VideoFrame(frame) => {
                assert_eq!((frame.loss(), frame.is_random_access_point()), (0, times.len() % 30 == 0));
                times.push(frame.timestamp().timestamp());
            }
            CodecItem::Rtcp(rtcp) => {
                let report = rtcp.pkts().find_map(|p| p.as_sender_report().ok().flatten()).expect("a sender report");
                let unix = f64::from(u32::try_from(report.ntp_timestamp().0 >> 32).unwrap()) - 2_208_988_800.0;
                assert!((unix - RealClock.wall().0 as f64 / 1e9).abs() < 5.0, "{unix}");
                reports += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(times.windows(2).all(|t| (5_999..=6_001).contains(&(t[1] - t[0]))), "15 pictures a second: {times:?}");
    // Nothing is sent any more; what was sent is what came.
    server.set_fault(&id("playground-1"), Some(Fault::Stall)).unwrap();
    let mut got = times.len() as u64;
    while got < stats(&server, "playground-1", StreamKind::Main, |s| s.sent == s.made).await.sent {
        picture(&mut session).await.unwrap();
        got += 1;
    }
    server.stop().await;
}

#[tokio::test]
async fn retina_gets_every_frame_over_tcp() {
    frames_are_whole(tcp(), Auth::Digest).await;
}

#[tokio::test]
async fn retina_gets_every_frame_over_udp() {
    frames_are_whole(udp(), Auth::DigestQop).await;
}

#[tokio::test]
async fn sound_comes_beside_the_pictures() {
    let server = cameras(1, ServerOptions { auth: Auth::Basic, ..Default::default() }).await;
    let mut session = play(&server.url(&id("gate-1"), StreamKind::Main), "s3cret", tcp()).await.unwrap();
    let mut sound = 0;
    while sound < 30 {
        if let CodecItem::AudioFrame(frame) = item(&mut session).await.unwrap() {
            assert_eq!((frame.data().len(), frame.loss()), (320, 0));
            sound += 1;
        }
    }
    let sub = play(&server.url(&id("gate-1"), StreamKind::Sub), "s3cret", tcp()).await.unwrap();
    assert_eq!((sub.streams().len(), size(&sub)), (1, (640, 360)));
}

#[tokio::test]
async fn only_the_password_lets_in_and_nothing_else_is_there() {
    let server = cameras(1, ServerOptions::default()).await;
    let url = server.url(&id("gate-1"), StreamKind::Main);
    assert!(play(&url, "wrong", tcp()).await.err().unwrap().to_string().contains("401"));
    assert!(play(&format!("{url}x"), "s3cret", tcp()).await.err().unwrap().to_string().contains("404"));
    server.set_fault(&id("gate-1"), Some(Fault::RefuseCredentials)).unwrap();
    assert!(play(&url, "s3cret", tcp()).await.err().unwrap().to_string().contains("401"));
    server.set_fault(&id("gate-1"), None).unwrap();
    let mut session = play(&url, "s3cret", tcp()).await.unwrap();
    picture(&mut session).await.unwrap();
    // An open session ends, too.
    server.set_fault(&id("gate-1"), Some(Fault::RefuseCredentials)).unwrap();
    while picture(&mut session).await.is_ok() {}
    assert_eq!(server.set_fault(&id("nobody"), None), Err(UnknownCamera(id("nobody"))));
}

#[tokio::test]
async fn a_dropped_camera_is_gone_and_others_are_not() {
    let server = cameras(2, ServerOptions::default()).await;
    let [mut bad, mut good] = [
        play(&server.url(&id("gate-1"), StreamKind::Sub), "s3cret", tcp()).await.unwrap(),
        play(&server.url(&id("playground-1"), StreamKind::Sub), "s3cret", tcp()).await.unwrap(),
    ];
    picture(&mut bad).await.unwrap();
    server.set_fault(&id("gate-1"), Some(Fault::Drop)).unwrap();
    while picture(&mut bad).await.is_ok() {}
    assert!(play(&server.url(&id("gate-1"), StreamKind::Sub), "s3cret", tcp()).await.is_err());
    for _ in 0..10 {
        picture(&mut good).await.unwrap();
    }
    assert_eq!(stats(&server, "gate-1", StreamKind::Sub, |s| s.playing == 0).await.plays, 1);
}

#[tokio::test]
async fn a_mute_camera_says_nothing() {
    let server = cameras(1, ServerOptions::default()).await;
    let url = server.url(&id("gate-1"), StreamKind::Main);
    let mut session = play(&url, "s3cret", tcp()).await.unwrap();
    picture(&mut session).await.unwrap();
    server.set_fault(&id("gate-1"), Some(Fault::Mute)).unwrap();
    let silence = Duration::from_millis(600);
    let fell_silent = async { while timeout(silence, session.next()).await.is_ok() {} };
    timeout(PATIENCE, fell_silent).await.expect("the open session falls silent");
    assert!(timeout(silence, play(&url, "s3cret", tcp())).await.is_err(), "no answer, no error");
}

#[tokio::test]
async fn a_change_of_size_comes_in_mid_stream() {
    let server = cameras(1, ServerOptions::default()).await;
    let mut session = play(&server.url(&id("gate-1"), StreamKind::Main), "s3cret", tcp()).await.unwrap();
    picture(&mut session).await.unwrap();
    assert_eq!(size(&session), (1280, 720));
    server.set_fault(&id("gate-1"), Some(Fault::Resolution)).unwrap();
    for wanted in [(640, 360), (1280, 720)] {
        loop {
            let frame = picture(&mut session).await.unwrap();
            assert_eq!(frame.loss(), 0);
            if frame.has_new_parameters() {
                assert!(frame.is_random_access_point());
                break;
            }
        }
        assert_eq!(size(&session), wanted);
    }
}

#[tokio::test]
async fn a_slow_client_is_dropped_and_blocks_nobody() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let rate = Some(BitRate(40_000_000));
    let options = ServerOptions { auth: Auth::None, main_rate: rate, main_fps: 25, replay: true, ..Default::default() };
    let server = cameras(1, options).await;
    let url = server.url(&id("gate-1"), StreamKind::Main);
    let mut lazy = TcpStream::connect(server.addr()).await.unwrap();
    let mut answer = [0; 4096];
    let setup = format!("SETUP {url}/trackID=1 RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n\r\n");
    lazy.write_all(setup.as_bytes()).await.unwrap();
    let len = lazy.read(&mut answer).await.unwrap();
    let text = String::from_utf8_lossy(&answer[..len]).into_owned();
    let session = text.split("Session: ").nth(1).and_then(|s| s.split(';').next()).expect("a session");
    let request = format!("PLAY {url} RTSP/1.0\r\nCSeq: 2\r\nSession: {session}\r\n\r\n");
    lazy.write_all(request.as_bytes()).await.unwrap();
    // The lazy one never reads; another one gets all.
    let mut good = play(&url, "s3cret", tcp()).await.unwrap();
    let mut frames = 0;
    while !server.stats().iter().any(|s| s.slow > 0) {
        picture(&mut good).await.unwrap();
        frames += 1;
        assert!(frames < 2_000, "the lazy client is dropped");
    }
    assert_eq!(server.stats().iter().map(|s| s.slow).sum::<u64>(), 1);
    picture(&mut good).await.unwrap();
}

#[tokio::test]
async fn ffmpeg_plays_without_a_word() {
    let server = cameras(3, ServerOptions::default()).await;
    for (camera, transport) in [("gate-1", "tcp"), ("playground-1", "udp"), ("corridor-1", "tcp")] {
        let url = server.url(&id(camera), StreamKind::Main).replace("rtsp://", "rtsp://viewer:s3cret@");
        let out = tokio::task::spawn_blocking(move || {
            std::process::Command::new("ffmpeg")
                .args([
                    "-v",
                    "error",
                    "-rtsp_transport",
                    transport,
                    "-i",
                    &url,
                    "-t",
                    "3",
                    "-map",
                    "0:v",
                    "-f",
                    "null",
                    "-",
                ])
                .stdin(Stdio::null())
                .output()
        });
        let out = timeout(PATIENCE, out).await.expect("ffmpeg comes to an end").unwrap().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success() && said.is_empty(), "{camera} over {transport}: {said}");
    }
}
