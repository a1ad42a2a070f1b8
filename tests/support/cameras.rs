//! The server of `tests/support/gst_camera.py`.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde::Deserialize;
use serde_json::Value;

/// User name and password of all cameras.
pub const USER: (&str, &str) = ("viewer", "hoa-huong-duong-2026");

/// What the server says of one session.
#[derive(Debug, Clone, Deserialize)]
pub struct Session {
    pub camera: String,
    pub clip: String,
    pub playing: bool,
    /// Pictures that went out since PLAY.
    pub sent: usize,
    pub audio_sent: usize,
    /// Pictures among `sent` whose packets were dropped on purpose, and those packets.
    pub lost: usize,
    pub lost_packets: u64,
    /// Pictures at the session's start that nobody can decode (they refer to a time before it).
    pub leading: usize,
    /// Wall time of PLAY.
    pub played_ns: i64,
}

#[derive(Debug, Deserialize)]
struct Ports {
    port: u16,
    basic_port: u16,
    control_port: u16,
}

/// A running server. Ends with it.
pub struct Cameras {
    child: Child,
    control: BufReader<TcpStream>,
    /// `cam00` and so on.
    pub names: Vec<String>,
    ports: Ports,
}

impl Cameras {
    /// Starts `count` cameras that play the clips in turn.
    pub fn start(count: usize, clips: &[&str], more: &[&str]) -> Self {
        let dir = clip_dir();
        let mut command = Command::new("/usr/bin/python3");
        command.arg(support().join("gst_camera.py"));
        for clip in clips {
            command.arg("--clip").arg(dir.join(clip));
        }
        let user = format!("{}:{}", USER.0, USER.1);
        command.args(["--cameras", &count.to_string(), "--user", &user]).args(more);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ports: Ports = serde_json::from_str(&line).unwrap();
        let control = BufReader::new(TcpStream::connect(("127.0.0.1", ports.control_port)).unwrap());
        Self { child, control, names: (0..count).map(|i| format!("cam{i:02}")).collect(), ports }
    }

    /// The URL of a camera, at the server that asks for Digest, or at the one that asks for Basic.
    pub fn url(&self, camera: &str, basic: bool) -> String {
        let port = if basic { self.ports.basic_port } else { self.ports.port };
        format!("rtsp://127.0.0.1:{port}/{camera}")
    }

    /// Sends a control line and returns the answer.
    pub fn ask(&mut self, line: &str) -> Value {
        writeln!(self.control.get_mut(), "{line}").unwrap();
        let mut answer = String::new();
        self.control.read_line(&mut answer).unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert!(answer.get("error").is_none(), "{line}: {answer}");
        answer
    }

    /// All sessions that reached PLAY, by camera and time.
    pub fn sessions(&mut self) -> Vec<Session> {
        let mut sessions: Vec<Session> = serde_json::from_value(self.ask("sessions")).unwrap();
        sessions.retain(|s| s.played_ns > 0);
        sessions.sort_by(|a, b| (&a.camera, a.played_ns).cmp(&(&b.camera, b.played_ns)));
        sessions
    }

    /// The only session of each camera; panics if one has had none, or several.
    pub fn only_sessions(&mut self) -> Vec<Session> {
        let sessions = self.sessions();
        let cameras: Vec<&str> = sessions.iter().map(|s| &*s.camera).collect();
        assert_eq!(cameras, self.names, "one session per camera");
        sessions
    }

    /// Whether every camera is being played, by one session, and has sent at least so many pictures.
    pub fn all_sent(&mut self, pictures: usize) -> bool {
        let names = self.names.clone();
        let sessions = self.sessions();
        names.iter().all(|n| sessions.iter().any(|s| s.camera == *n && s.playing && s.sent >= pictures))
    }
}

impl Drop for Cameras {
    fn drop(&mut self) {
        // The process may be gone already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn support() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support")
}

/// The clips, made once and kept among the build output.
pub fn clip_dir() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clips");
    let made = Command::new(support().join("clips")).arg(&dir).status().unwrap();
    assert!(made.success(), "tests/support/clips failed");
    dir
}
