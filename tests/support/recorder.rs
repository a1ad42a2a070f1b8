//! A `custodian record` process on a site of its own.

use std::{
    cell::RefCell,
    fmt::Write as _,
    fs,
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use custodian::types::wire::{Fragments, Status, StreamState, Timeline};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use super::{
    cameras::{Cameras, USER},
    wait_for,
};

/// A directory with a site, its secrets, volumes and a recorder's state.
pub struct Site {
    dir: TempDir,
    /// Each volume's name, and where it is in the directory.
    volumes: Vec<(String, String)>,
    /// Of each camera: name, URL, and whether over UDP.
    cameras: RefCell<Vec<(String, String, bool)>>,
    copies: u32,
}

impl Site {
    /// A site of all cameras: every second one over UDP, every third one by Basic.
    pub fn new(cameras: &Cameras) -> Self {
        let camera = |(i, name): (usize, &String)| (name.clone(), cameras.url(name, i % 3 == 2), i % 2 == 1);
        Self::of(cameras.names.iter().enumerate().map(camera).collect(), USER)
    }

    /// A site of cameras: name, URL, and whether over UDP.
    fn of(cameras: Vec<(String, String, bool)>, user: (&str, &str)) -> Self {
        Self::prepared(cameras, user, |_| ())
    }

    /// The same, where something is done to its directory before its volumes are prepared.
    pub fn prepared(cameras: Vec<(String, String, bool)>, user: (&str, &str), prepare: impl FnOnce(&Self)) -> Self {
        Self::on(&[("v1", "v1"), ("v2", "v2")], cameras, user, prepare)
    }

    /// A site of cameras over TCP on these volumes: name, and where in the directory it is.
    pub fn of_cameras(cameras: &Cameras, volumes: &[(&str, &str)], prepare: impl FnOnce(&Self)) -> Self {
        let camera = |name: &String| (name.clone(), cameras.url(name, false), false);
        Self::on(volumes, cameras.names.iter().map(camera).collect(), USER, prepare)
    }

    fn on(
        volumes: &[(&str, &str)],
        cameras: Vec<(String, String, bool)>,
        (user, password): (&str, &str),
        prepare: impl FnOnce(&Self),
    ) -> Self {
        let volumes = volumes.iter().map(|(name, at)| ((*name).to_owned(), (*at).to_owned())).collect();
        let site = Self { cameras: RefCell::new(cameras), copies: 1, dir: tempfile::tempdir().unwrap(), volumes };
        for (_, at) in &site.volumes {
            let mut made = site.dir.path().to_owned();
            for part in at.split('/') {
                made.push(part);
                // Volumes may have one above them in common.
                let _ = fs::create_dir(&made);
            }
        }
        fs::create_dir(site.path("state")).unwrap();
        fs::create_dir(site.path("units")).unwrap();
        let secrets = site.path("secrets.toml");
        fs::write(&secrets, format!("[credentials.viewer]\nusername = \"{user}\"\npassword = \"{password}\"\n"))
            .unwrap();
        fs::set_permissions(&secrets, fs::Permissions::from_mode(0o600)).unwrap();
        site.write(|_| true);
        prepare(&site);
        finish(site.custodian(&["volume", "init"]));
        site
    }

    /// All over TCP: nothing can be lost on the way.
    pub fn over_tcp(mut self) -> Self {
        self.cameras.get_mut().iter_mut().for_each(|c| c.2 = false);
        self.write(|_| true);
        self
    }

    /// All footage on both volumes.
    pub fn with_copies(mut self) -> Self {
        self.copies = 2;
        self.write(|_| true);
        self
    }

    /// Another address for a camera, from the next site.toml on.
    pub fn readdress(&self, camera: &str, url: &str) {
        self.cameras.borrow_mut().iter_mut().filter(|c| c.0 == camera).for_each(|c| url.clone_into(&mut c.1));
    }

    /// Writes site.toml with those cameras that are wanted.
    pub fn write(&self, wanted: impl Fn(&str) -> bool) {
        let mut text = String::from(
            "[site]\nname = \"Trường thử nghiệm\"\ntimezone = \"Asia/Ho_Chi_Minh\"\nlanguage = \"vi\"\n\n\
             [area.yard]\nname = \"Sân trường\"\nkind = \"public\"\n\n[recorder.a]\n",
        );
        for (volume, at) in &self.volumes {
            let path = self.path(at);
            write!(text, "[[recorder.a.volume]]\nname = \"{volume}\"\npath = \"{}\"\n", path.display()).unwrap();
        }
        for (name, url, udp) in self.cameras.borrow().iter().filter(|c| wanted(&c.0)) {
            let transport = if *udp { "udp" } else { "tcp" };
            write!(
                text,
                "\n[camera.{name}]\nname = \"{name}\"\narea = \"yard\"\nmain = \"{url}\"\ncredentials = \"viewer\"\n\
                 transport = \"{transport}\"\nbitrate = \"2 Mbit/s\"\ncopies = {}\n",
                self.copies
            )
            .unwrap();
        }
        fs::write(self.path("site.toml"), text).unwrap();
    }

    /// Plans its cameras so that small disks, and those that share one, have room for a day of guests: else retention would not admit
    /// them.
    pub fn plan_small(&self) {
        let toml = fs::read_to_string(self.path("site.toml")).unwrap();
        fs::write(self.path("site.toml"), toml.replace("2 Mbit/s", "10 kbit/s")).unwrap();
    }

    /// Adds lines to the last camera of site.toml.
    pub fn add_to_last(&self, lines: &str) {
        let path = self.path("site.toml");
        fs::write(&path, fs::read_to_string(&path).unwrap() + lines).unwrap();
    }

    /// Something in its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// One of the recorder's sockets.
    fn socket(&self, name: &str) -> PathBuf {
        self.path(if name == "status.sock" { "state/run/status" } else { "state/run" }).join(name)
    }

    /// Where the footage of a camera may be.
    pub fn volumes(&self) -> Vec<PathBuf> {
        self.volumes.iter().map(|(name, at)| self.behind(name).unwrap_or_else(|| self.path(at))).collect()
    }

    /// What a volume shows that is shown through FUSE: looked at there, it is always there.
    fn behind(&self, volume: &str) -> Option<PathBuf> {
        Some(self.path("behind").join(volume)).filter(|b| b.is_dir())
    }

    /// The files of a camera on all volumes, by run; runs in order.
    pub fn runs(&self, camera: &str) -> Vec<Vec<PathBuf>> {
        let holds = |v: &PathBuf| v.join("footage").join(camera).is_dir();
        let mut runs = std::collections::BTreeMap::<String, Vec<PathBuf>>::new();
        for volume in self.volumes().iter().filter(|v| holds(v)) {
            for (run, files) in super::probe::runs(volume, camera) {
                runs.entry(run).or_default().extend(files);
            }
        }
        runs.into_values().collect()
    }

    pub fn custodian(&self, subcommand: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_custodian"));
        command.args(subcommand).arg("--site").arg(self.path("site.toml")).stdin(Stdio::null());
        command
    }

    fn command(&self, subcommand: &str) -> Command {
        let mut command = self.custodian(&[subcommand]);
        command.args(["--recorder", "a", "--state"]).arg(self.path("state"));
        command
    }

    /// What the recorder has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Runs `custodian hold`, in English.
    pub fn hold(&self, args: &[&str]) -> std::process::Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_custodian"));
        command.arg("hold").args(args).args(["--lang", "en", "--state"]).arg(self.path("state")).stdin(Stdio::null());
        command.output().unwrap()
    }

    /// What `custodian segments` or `gaps` lists as JSON, whenever it was.
    pub fn list(&self, what: &str) -> Vec<serde_json::Value> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_custodian"));
        command.args([what, "--json", "--state"]).arg(self.path("state"));
        serde_json::from_slice(&finish(command)).unwrap()
    }

    /// Makes the index anew from the volumes.
    pub fn reindex(&self) {
        finish(self.command("reindex"));
    }

    /// Puts site.toml in force, as `custodian apply` does it.
    pub fn apply(&self, more: &[&str]) {
        let mut command = self.command("apply");
        command.arg("--unit-dir").arg(self.path("units")).args(more);
        finish(command);
    }

    /// Starts the recorder.
    pub fn record(&self) -> Recorder<'_> {
        self.record_as(&self.path("site.toml"))
    }

    /// Starts the recorder on what is applied.
    pub fn record_applied(&self) -> Recorder<'_> {
        self.record_as(&self.path("state/current/site.toml"))
    }

    /// Starts the recorder under a service manager that listens at that socket and wants to hear within `limit` that it is alive.
    pub fn record_under(&self, manager: &std::path::Path, limit: Duration) -> Recorder<'_> {
        let words = [("NOTIFY_SOCKET", manager.into()), ("WATCHDOG_USEC", limit.as_micros().to_string().into())];
        self.start(&self.path("site.toml"), &words)
    }

    fn record_as(&self, file: &std::path::Path) -> Recorder<'_> {
        self.start(file, &[])
    }

    fn start(&self, file: &std::path::Path, environment: &[(&str, std::ffi::OsString)]) -> Recorder<'_> {
        let log = fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_custodian"))
            .args(["record", "--recorder", "a", "--site"])
            .arg(file)
            .arg("--state")
            .arg(self.path("state"))
            .envs(environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Recorder { child, site: self }
    }
}

/// Runs a command to its end, which must be a good one; returns what it printed.
fn finish(mut command: Command) -> Vec<u8> {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let from = log.lines().count().saturating_sub(60);
            let last: Vec<&str> = log.lines().skip(from).collect();
            #[expect(clippy::print_stderr, reason = "beside the panic's message")]
            {
                eprintln!("the recorder's last words:\n{}", last.join("\n"));
            }
        }
    }
}

/// A running recorder; killed when dropped.
pub struct Recorder<'a> {
    child: Child,
    site: &'a Site,
}

impl Recorder<'_> {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits for the process to end by itself.
    pub fn wait(mut self, limit: Duration) -> ExitStatus {
        wait_for("the recorder's end", limit, || {
            let ended = self.child.try_wait().unwrap();
            ended.map(|status| (status, ()))
        })
        .0
    }

    /// What a socket answers to a GET; `None` while it doesn't, or if it refuses.
    pub fn try_get<T: DeserializeOwned>(&self, socket: &str, path: &str) -> Option<T> {
        let mut stream = UnixStream::connect(self.site.socket(socket)).ok()?;
        // HTTP/1.0: the answer is not chunked, and ends with the connection.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: recorder\r\n\r\n").ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let head = answer.windows(4).position(|w| w == b"\r\n\r\n")?;
        answer.starts_with(b"HTTP/1.0 200").then_some(())?;
        serde_json::from_slice(&answer[head + 4..]).ok()
    }

    /// Sends a GET and does not wait for the answer.
    pub fn ask_and_leave(&self, socket: &str, path: &str) -> UnixStream {
        let mut stream = UnixStream::connect(self.site.socket(socket)).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: recorder\r\n\r\n").unwrap();
        stream
    }

    /// Its state.
    pub fn status(&self) -> Option<Status> {
        self.try_get("status.sock", "/v1/status")
    }

    /// The cameras that it has footage of, or is to have.
    pub fn cameras(&self) -> Vec<String> {
        let cameras: Vec<custodian::types::wire::Camera> = self.try_get("media.sock", "/v1/cameras").expect("cameras");
        cameras.into_iter().map(|c| c.id.to_string()).collect()
    }

    /// What it has of a camera, whenever that was.
    pub fn timeline(&self, camera: &str) -> Timeline {
        let path = format!("/v1/timeline?camera={camera}&from=0&to={}", i64::MAX);
        self.try_get::<Vec<Timeline>>("media.sock", &path).and_then(|mut t| t.pop()).expect("a timeline")
    }

    /// The files of a camera, whenever they were written.
    pub fn fragments(&self, camera: &str) -> Fragments {
        let path = format!("/v1/fragments?camera={camera}&from=0&to={}", i64::MAX);
        self.try_get("media.sock", &path).expect("fragments")
    }

    /// Waits until these cameras run and have footage that a power cut would leave.
    pub fn wait_until_recording(&self, cameras: &[String]) -> Status {
        wait_for("all cameras to be recorded", Duration::from_mins(1), || {
            let status = self.status()?;
            let ready = |name: &String| {
                status.streams.iter().any(|s| {
                    s.camera.as_str() == name && s.state == StreamState::Running && s.newest_committed.is_some()
                })
            };
            cameras.iter().all(ready).then(|| status.clone())
        })
    }
}

impl Drop for Recorder<'_> {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
