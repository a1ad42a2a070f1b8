//! Capture against GStreamer's RTSP server, into a store in memory that checks what capture promises.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use custodian::{
    capture::{Credentials, Env, LiveEvent, Settings, StreamConfig, Supervisor, Transport, fake::FakeFootage},
    store::Footage,
    sys::RealClock,
    types::{CauseKind, Codec, StreamKind, wire::StreamState},
};
use serde_json::Value;

const USER: &str = "viewer";
const PASSWORD: &str = "mat-khau-cua-truong";
/// Patience with a loaded machine; nothing waits for it when all is well.
const LIMIT: Duration = Duration::from_mins(1);

struct Server {
    child: Child,
    control: BufReader<TcpStream>,
    port: u64,
    basic_port: u64,
}

impl Server {
    fn start(cameras: usize, clips: &[&str]) -> Self {
        let support = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support");
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clips");
        assert!(Command::new(support.join("clips")).arg(&dir).status().unwrap().success());
        let mut command = Command::new("/usr/bin/python3");
        command.arg(support.join("gst_camera.py")).args(["--cameras", &cameras.to_string()]);
        command.args(["--user", &format!("{USER}:{PASSWORD}")]);
        for clip in clips {
            command.arg("--clip").arg(dir.join(clip));
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ports: Value = serde_json::from_str(&line).unwrap();
        let port = |name: &str| ports[name].as_u64().unwrap();
        let control = TcpStream::connect(format!("127.0.0.1:{}", port("control_port"))).unwrap();
        Self { child, control: BufReader::new(control), port: port("port"), basic_port: port("basic_port") }
    }

    fn ask(&mut self, line: &str) -> Value {
        writeln!(self.control.get_mut(), "{line}").unwrap();
        let mut answer = String::new();
        self.control.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    /// What `key` is for the sessions of a camera that sent anything, oldest first.
    fn sessions(&mut self, camera: &str, key: &str) -> Vec<u64> {
        let all = self.ask("sessions");
        let all = all.as_array().unwrap();
        let own = all.iter().filter(|s| s["camera"] == camera && s["sent"].as_u64() > Some(1));
        own.map(|s| s[key].as_u64().unwrap()).collect()
    }

    fn config(&self, n: usize, transport: Transport, basic: bool) -> StreamConfig {
        let port = if basic { self.basic_port } else { self.port };
        StreamConfig {
            camera: format!("cam{n:02}").parse().unwrap(),
            camera_name: format!("Camera {n}"),
            kind: StreamKind::Main,
            url: format!("rtsp://127.0.0.1:{port}/cam{n:02}").parse().unwrap(),
            credentials: Some(Credentials { username: USER.into(), password: PASSWORD.into() }),
            transport,
            record: true,
            short: false,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn supervisor(footage: &Arc<FakeFootage>) -> Supervisor {
    Supervisor::start(Env {
        clock: Arc::new(RealClock),
        footage: footage.clone(),
        site: "Trường mầm non Hoa Hướng Dương".into(),
        recorder: "a".parse().unwrap(),
        settings: Settings::default(),
    })
    .unwrap()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(LIMIT, wait).await.is_ok(), "waited in vain for: {what}");
}

#[tokio::test]
async fn every_frame_sent_is_a_frame_stored() {
    let clips = ["h264-bframes.mp4", "h265-leading.mp4", "h264-aac.mp4", "h264-alaw.mov", "h265.mp4"];
    let mut server = Server::start(10, &clips);
    let footage = FakeFootage::new(&["a1"]);
    let supervisor = supervisor(&footage);
    let configs: Vec<_> =
        (0..10).map(|n| server.config(n, if n < 5 { Transport::Tcp } else { Transport::Udp }, n % 3 == 2)).collect();
    assert_eq!(supervisor.set_streams(configs.clone()).added.len(), 10);
    let mut tap = supervisor.live(&configs[0].camera, StreamKind::Main).unwrap();

    until("five seconds of every camera", || supervisor.status().iter().all(|s| s.frames >= 100)).await;
    server.ask("freeze all");
    let mut sent = Vec::new();
    for n in 0..10 {
        let counts = server.sessions(&format!("cam{n:02}"), "sent");
        assert_eq!(counts.len(), 1, "camera {n} had one session: {counts:?}");
        sent.push(counts[0]);
    }
    until("all that was sent", || supervisor.status().iter().zip(&sent).all(|(s, n)| s.frames >= *n)).await;
    let status = supervisor.status();
    supervisor.stop("a test").await;

    assert_eq!(footage.problems(), Vec::<String>::new());
    let runs = footage.runs();
    assert_eq!(runs.len(), 10, "one run per camera");
    for n in 0..10 {
        let camera = &configs[n].camera;
        let run = runs.iter().find(|r| r.run.stream.camera == *camera).unwrap();
        let leading = server.sessions(camera.as_str(), "leading")[0];
        let dropped: u64 = run.fragments.iter().map(|f| u64::from(f.dropped_frames)).sum();
        let stored = run.samples(0).count() as u64;
        assert_eq!(stored + dropped, sent[n], "{camera}: frames");
        assert_eq!(dropped, leading, "{camera}: only leading pictures are dropped");
        assert_eq!(
            run.fragments.iter().map(|f| f.lost_packets).sum::<u32>(),
            0,
            "{camera}: nothing is lost on loopback"
        );
        assert!(run.ended && run.run.before.is_none());

        // Shown in steps of 1/20 s without holes, whatever the order of decoding.
        let mut shown: Vec<i64> = run.samples(0).map(|s| i64::try_from(s.dts).unwrap() + i64::from(s.cts)).collect();
        shown.sort_unstable();
        // The end may fall between a picture and those that are shown before it.
        shown.truncate(shown.len() - 4);
        let steps: Vec<i64> = shown.windows(2).map(|w| w[1] - w[0]).filter(|d| (d - 4_500).abs() > 90).collect();
        assert!(steps.len() <= usize::from(leading > 0), "{camera}: {steps:?}");
        assert!(run.samples(0).all(|s| s.cts.abs() <= 3 * 4_500 + 90), "{camera}: decoding runs along showing");
        assert!(run.fragments.iter().all(|f| f.span.len_ns() <= 2_000_000_000), "{camera}: 2 s at most");

        let codec = run.run.tracks.get(1).map(|t| t.codec);
        assert_eq!(codec, [None, None, Some(Codec::Aac), Some(Codec::Pcma), None][n % 5], "{camera}");
        if codec.is_some() {
            let rate = f64::from(run.run.tracks[1].timescale);
            let heard: f64 = run.samples(1).map(|s| f64::from(s.duration) / rate).sum();
            let seen = stored as f64 / 20.0;
            assert!((heard - seen).abs() < 0.5, "{camera}: {heard} s of sound beside {seen} s of pictures");
        }
        assert_eq!(status[n].state, StreamState::Running);
        assert_eq!(status[n].size, Some((1280, 720)));
        assert!(status[n].codec.as_deref().unwrap().starts_with(if n % 5 == 1 || n % 5 == 4 {
            "hvc1"
        } else {
            "avc1"
        }));
        let gap = footage.gap(run.run.stream.id).unwrap();
        assert_eq!((gap.cause.kind, &*gap.cause.detail), (CauseKind::Stopped, "by a test"));
    }

    // The tap saw the same pictures, parameters first.
    let mut seen = Vec::new();
    while let Some(event) = tap.next().await {
        seen.push(event);
    }
    let first = seen.iter().position(|e| matches!(e, LiveEvent::Init(_)));
    let sample = seen.iter().position(|e| matches!(e, LiveEvent::Sample(_)));
    assert!(first.is_some() && first < sample);
    let LiveEvent::Sample(first) = &seen[sample.unwrap()] else { unreachable!() };
    assert!(first.key);
}

#[tokio::test]
async fn a_camera_that_drops_comes_back_and_a_wrong_password_is_said() {
    let mut server = Server::start(2, &["h264.mp4"]);
    let footage = FakeFootage::new(&["a1"]);
    let supervisor = supervisor(&footage);
    let mut wrong = server.config(1, Transport::Tcp, false);
    wrong.credentials = Some(Credentials { username: USER.into(), password: "sai-roi".into() });
    let good = server.config(0, Transport::Tcp, false);
    supervisor.set_streams(vec![good.clone(), wrong.clone()]);
    until("a stored second", || footage.runs().iter().any(|r| r.samples(0).count() > 20)).await;
    server.ask("drop cam00");
    until("a second run", || footage.runs().len() == 2).await;
    let runs = footage.runs();
    let before = runs[1].run.before.clone().unwrap();
    assert_eq!(before.cause.kind, CauseKind::Camera, "{before:?}");
    assert!(runs[0].fragments.last().unwrap().span.end < runs[1].run.start);

    let stream = footage.stream_id(&wrong.camera, StreamKind::Main);
    until("refused credentials", || footage.gap(stream).is_some()).await;
    let gap = footage.gap(stream).unwrap();
    assert_eq!(gap.cause.kind, CauseKind::Credentials, "{gap:?}");
    assert!(!gap.cause.detail.contains("sai-roi"));

    // The right password is used at once, and nobody else is touched.
    let reloaded = supervisor.set_streams(vec![good, server.config(1, Transport::Tcp, false)]);
    assert_eq!((reloaded.changed.len(), reloaded.untouched), (1, 1));
    until("the second camera", || footage.runs().iter().any(|r| r.run.stream.id == stream)).await;
    supervisor.stop("a test").await;
    assert_eq!(footage.problems(), Vec::<String>::new());
}
