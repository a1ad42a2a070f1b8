//! Cameras that misbehave, each a few lines of RTSP on loopback.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use super::{Credentials, Env, LiveEvent, LiveTap, Settings, StreamConfig, Supervisor, Transport, fake::FakeFootage};
use crate::{
    store::Footage,
    sys::RealClock,
    types::{CauseKind, GapBefore, StreamId, StreamKind, wire::StreamState},
};

/// Patience with a loaded machine.
const LIMIT: Duration = Duration::from_secs(30);
const SECRET: &str = "khong-ai-biet";

/// What a camera does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Accepts, and says nothing.
    Mute,
    /// Hangs up at once.
    HangsUp,
    /// Answers every request with this status.
    Status(&'static str),
    /// Asks for Basic, then answers 401 again, quoting what it was sent.
    Refuses,
    /// Sends what is no RTSP.
    Garbage,
    /// Offers no video.
    SoundOnly,
    /// Answers all up to PLAY, which it leaves unanswered.
    MuteAtPlay,
    /// Plays, and sends nothing.
    Silent,
    /// Plays sender reports only.
    ReportsOnly,
    /// Plays pictures without a key frame.
    NoKey,
    /// Plays so many pictures, then falls silent.
    Stalls(u32),
    /// Plays so many pictures, then hangs up.
    Drops(u32),
    /// Plays so many pictures, then garbage.
    GoesMad(u32),
    /// Plays for ever.
    Good,
}

async fn camera(manner: Manner) -> url::Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rtsp://{}/stream", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                // Whichever side hangs up: the conversation is over.
                let _ = converse(socket, manner).await;
            });
        }
    });
    url
}

async fn converse(mut socket: TcpStream, manner: Manner) -> std::io::Result<()> {
    match manner {
        Manner::Mute => std::future::pending::<()>().await,
        Manner::HangsUp => return Ok(()),
        Manner::Garbage => {
            socket.write_all(&[0x16, 0x03, 0x01, 0x02, 0, 1, 0, 1, 0xfc, 3, 3, b'\n', b'\r', b'\n']).await?;
            std::future::pending::<()>().await;
        }
        _ => {}
    }
    let (read, mut write) = socket.split();
    let mut lines = BufReader::new(read).lines();
    let (mut method, mut cseq, mut auth) = (String::new(), String::new(), String::new());
    while let Some(line) = lines.next_line().await? {
        if let Some((first, _)) = line.split_once(" rtsp://") {
            method = first.to_owned();
        } else if let Some(n) = line.strip_prefix("CSeq: ") {
            cseq = n.to_owned();
        } else if let Some(a) = line.strip_prefix("Authorization: ") {
            auth = a.to_owned();
        }
        if !line.is_empty() {
            continue;
        }
        let (status, extra) = match (manner, &*method) {
            (Manner::Status(status), _) => (status, String::new()),
            (Manner::Refuses, _) => {
                ("401 Unauthorized", format!("WWW-Authenticate: Basic realm=\"cam\"\r\nX-Seen: {SECRET} {auth}\r\n"))
            }
            (Manner::MuteAtPlay, "PLAY") => continue,
            (_, "DESCRIBE") => ("200 OK", description(manner)),
            (_, "SETUP") => {
                ("200 OK", "Session: 1234;timeout=60\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n".into())
            }
            (_, _) => ("200 OK", "Session: 1234;timeout=60\r\n".into()),
        };
        let end = if extra.ends_with("\r\n\r\n") || extra.contains("\r\n\r\nv=0") { "" } else { "\r\n" };
        write.write_all(format!("RTSP/1.0 {status}\r\nCSeq: {cseq}\r\n{extra}{end}").as_bytes()).await?;
        if method == "PLAY" {
            return play(write, manner).await;
        }
    }
    Ok(())
}

fn description(manner: Manner) -> String {
    let media = if manner == Manner::SoundOnly {
        "m=audio 0 RTP/AVP 0\r\na=control:a\r\n"
    } else {
        "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
         a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z2QADKyyAoP2AiAAAAMAIAAABQHihUk=,aOvDyyLA\r\na=control:v\r\n"
    };
    let sdp = format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\n{media}");
    format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}", sdp.len())
}

async fn play(mut write: tokio::net::tcp::WriteHalf<'_>, manner: Manner) -> std::io::Result<()> {
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    for n in 0u32.. {
        pace.tick().await;
        match manner {
            Manner::Silent => std::future::pending::<()>().await,
            Manner::Stalls(after) if n >= after => std::future::pending::<()>().await,
            Manner::Drops(after) if n >= after => return Ok(()),
            Manner::GoesMad(after) if n >= after => {
                write.write_all(b"\x00\xff\xfe this is no RTSP \r\n\r\n").await?;
                std::future::pending::<()>().await;
            }
            Manner::ReportsOnly => {
                // RFC 3550 section 6.4.1, without report blocks.
                let mut report = vec![0x80, 200, 0, 6];
                report.extend_from_slice(&[0, 0, 0, 7, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1]);
                interleave(&mut write, 1, &report).await?;
                continue;
            }
            _ => {}
        }
        let mut rtp = vec![0x80, 0xe0];
        rtp.extend_from_slice(&u16::try_from(n & 0xffff).unwrap().to_be_bytes());
        rtp.extend_from_slice(&(n * 900).to_be_bytes());
        rtp.extend_from_slice(&7u32.to_be_bytes());
        rtp.push(if n % 20 == 0 && manner != Manner::NoKey { 0x65 } else { 0x41 });
        rtp.extend_from_slice(&[0xaa; 100]);
        interleave(&mut write, 0, &rtp).await?;
    }
    Ok(())
}

async fn interleave(write: &mut tokio::net::tcp::WriteHalf<'_>, channel: u8, data: &[u8]) -> std::io::Result<()> {
    let len = u16::try_from(data.len()).unwrap().to_be_bytes();
    write.write_all(&[&[b'$', channel, len[0], len[1]], data].concat()).await
}

struct Bench {
    footage: Arc<FakeFootage>,
    supervisor: Supervisor,
    stream: StreamId,
}

impl Bench {
    fn new() -> Self {
        let footage = FakeFootage::new(&["a1"]);
        let ms = Duration::from_millis;
        let settings = Settings {
            connect: ms(400),
            describe: ms(200),
            setup: ms(400),
            play: ms(400),
            first_frame: ms(400),
            first_key: ms(800),
            silence: ms(400),
            backoff_min: ms(20),
            backoff_max: ms(100),
            fragment: ms(100),
            linger: ms(100),
            stale_sessions: ms(100),
            ..Settings::default()
        };
        let supervisor = Supervisor::start(Env {
            clock: Arc::new(RealClock),
            footage: footage.clone(),
            site: "test".into(),
            recorder: "a".parse().unwrap(),
            settings,
        })
        .unwrap();
        let stream = footage.stream_id(&"gate".parse().unwrap(), StreamKind::Main);
        Self { footage, supervisor, stream }
    }

    async fn gap(&self) -> GapBefore {
        until(|| self.footage.gap(self.stream)).await
    }
}

fn config(url: &url::Url) -> StreamConfig {
    StreamConfig {
        camera: "gate".parse().unwrap(),
        camera_name: "Cổng".into(),
        kind: StreamKind::Main,
        url: url.clone(),
        credentials: Some(Credentials { username: "viewer".into(), password: SECRET.into() }),
        transport: Transport::Tcp,
        record: true,
        short: false,
    }
}

async fn until<T>(mut ready: impl FnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(t) = ready() {
                return t;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, wait).await.expect("what is waited for comes")
}

#[tokio::test]
async fn every_fault_has_its_cause() {
    let cases = [
        (Manner::Mute, CauseKind::Timeout, "DESCRIBE"),
        (Manner::HangsUp, CauseKind::Camera, "DESCRIBE"),
        (Manner::Status("404 Not Found"), CauseKind::Camera, "404"),
        (Manner::Status("453 Not Enough Bandwidth"), CauseKind::Camera, "453"),
        (Manner::Status("403 Forbidden"), CauseKind::Credentials, "403"),
        (Manner::Refuses, CauseKind::Credentials, "401"),
        (Manner::Garbage, CauseKind::Protocol, "DESCRIBE"),
        (Manner::SoundOnly, CauseKind::NoVideo, "audio/pcmu"),
        (Manner::MuteAtPlay, CauseKind::Timeout, "PLAY"),
        (Manner::Silent, CauseKind::Timeout, "after PLAY"),
        (Manner::ReportsOnly, CauseKind::NoVideo, "after PLAY"),
        (Manner::NoKey, CauseKind::NoVideo, "key frame"),
    ];
    let check = |(manner, kind, says): (Manner, CauseKind, &'static str)| async move {
        let bench = Bench::new();
        bench.supervisor.set_streams(vec![config(&camera(manner).await)]);
        let gap = bench.gap().await;
        assert_eq!(gap.cause.kind, kind, "{manner:?}: {gap:?}");
        assert!(gap.cause.detail.contains(says), "{manner:?}: {gap:?}");
        assert!(!gap.cause.detail.contains(SECRET), "{manner:?}: {gap:?}");
        let status = until(|| bench.supervisor.status().pop().filter(|s| s.state == StreamState::Waiting)).await;
        assert!(status.cause.is_some());
        bench.supervisor.stop("test").await;
        assert!(bench.footage.runs().is_empty());
    };
    futures::future::join_all(cases.map(check)).await;
}

#[tokio::test]
async fn nobody_at_home_is_unreachable() {
    let bench = Bench::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rtsp://{}/", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    bench.supervisor.set_streams(vec![config(&url)]);
    assert_eq!(bench.gap().await.cause.kind, CauseKind::Unreachable);
    bench.supervisor.stop("test").await;
}

#[tokio::test]
async fn what_came_before_a_fault_is_stored_and_the_camera_is_tried_again() {
    let cases = [
        (Manner::Stalls(50), CauseKind::Timeout),
        (Manner::Drops(50), CauseKind::Camera),
        (Manner::GoesMad(50), CauseKind::Protocol),
    ];
    let check = |(manner, kind): (Manner, CauseKind)| async move {
        let bench = Bench::new();
        bench.supervisor.set_streams(vec![config(&camera(manner).await)]);
        let runs = until(|| Some(bench.footage.runs()).filter(|r| r.len() >= 2)).await;
        assert_eq!(runs[0].samples(0).count(), 50, "{manner:?}");
        let before = runs[1].run.before.clone().unwrap();
        assert_eq!(before.cause.kind, kind, "{manner:?}: {before:?}");
        bench.supervisor.stop("test").await;
        assert_eq!(bench.footage.problems(), Vec::<String>::new(), "{manner:?}");
    };
    futures::future::join_all(cases.map(check)).await;
}

async fn first_key(tap: &mut LiveTap) {
    loop {
        if let LiveEvent::Sample(s) = tap.next().await.unwrap() {
            assert!(s.key, "a tap begins with a key frame");
            return;
        }
    }
}

#[tokio::test]
async fn what_is_not_recorded_is_fetched_while_somebody_watches() {
    let bench = Bench::new();
    let url = camera(Manner::Good).await;
    let watched = StreamConfig { record: false, ..config(&url) };
    bench.supervisor.set_streams(vec![watched.clone()]);
    let state = || bench.supervisor.status()[0].state;
    until(|| (state() == StreamState::Idle).then_some(())).await;
    let mut tap = bench.supervisor.live(&watched.camera, watched.kind).unwrap();
    first_key(&mut tap).await;
    // The next one begins with what is kept.
    let mut other = bench.supervisor.live(&watched.camera, watched.kind).unwrap();
    first_key(&mut other).await;
    drop(tap);
    drop(other);
    until(|| (state() == StreamState::Idle).then_some(())).await;
    assert!(bench.footage.runs().is_empty() && bench.footage.gap_history().is_empty());
    assert!(bench.supervisor.live(&"nobody".parse().unwrap(), StreamKind::Main).is_none());
    bench.supervisor.stop("test").await;
}

#[tokio::test]
async fn a_slow_watcher_is_moved_to_a_key_frame_and_holds_up_nobody() {
    let bench = Bench::new();
    bench.supervisor.set_streams(vec![config(&camera(Manner::Good).await)]);
    let mut tap = bench.supervisor.live(&"gate".parse().unwrap(), StreamKind::Main).unwrap();
    first_key(&mut tap).await;
    // Not read while more comes than is kept.
    until(|| bench.footage.runs().first().filter(|r| r.samples(0).count() > 330).map(|_| ())).await;
    let mut last = None;
    for _ in 0..300 {
        if let LiveEvent::Sample(s) = tap.next().await.unwrap() {
            assert!(s.key || last.is_some_and(|l: u64| l < s.dts && s.dts <= l + 900 + 900), "{last:?} {}", s.dts);
            last = Some(s.dts);
        }
    }
    bench.supervisor.stop("test").await;
}

#[tokio::test]
async fn a_changed_site_touches_only_what_changed() {
    let bench = Bench::new();
    let url = camera(Manner::Good).await;
    let named = |name: &str| StreamConfig { camera: name.parse().unwrap(), ..config(&url) };
    let mut all = vec![named("gate"), named("yard"), named("hall")];
    bench.supervisor.set_streams(all.clone());
    let run_of = |name: &'static str| {
        let footage = bench.footage.clone();
        move || footage.runs().into_iter().rfind(|r| r.run.stream.camera.as_str() == name)
    };
    let gate = until(run_of("gate")).await.run.id;
    let yard = until(run_of("yard")).await.run.id;
    until(run_of("hall")).await;

    all[0].camera_name = "another name".into();
    all[1].credentials = None;
    let reloaded = bench.supervisor.set_streams(vec![all[0].clone(), all[1].clone(), named("roof")]);
    let ids = |names: &[crate::types::CameraId]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(ids(&reloaded.added), ["roof"]);
    assert_eq!(ids(&reloaded.removed), ["hall"]);
    assert_eq!(ids(&reloaded.changed), ["yard"]);
    assert_eq!(reloaded.untouched, 1);
    until(run_of("roof")).await;
    let again = until(|| run_of("yard")().filter(|r| r.run.id != yard)).await;
    assert_eq!(again.run.before.clone().unwrap().cause.kind, CauseKind::Site);
    assert_eq!(run_of("gate")().unwrap().run.id, gate, "one run all along");
    assert_eq!(bench.supervisor.status()[0].name, "another name");
    let hall = bench.footage.stream_id(&"hall".parse().unwrap(), StreamKind::Main);
    let gap = until(|| bench.footage.gap(hall)).await;
    assert_eq!(gap.cause.kind, CauseKind::Site);
    bench.supervisor.stop("test").await;
    assert_eq!(bench.footage.problems(), Vec::<String>::new());
    assert!(bench.footage.runs().iter().all(|r| r.ended));
}
