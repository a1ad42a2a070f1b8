//! What is around the machine: four cameras, a monitor outside, and the school's files.

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    cameras::{Cameras, USER},
    vm::PowerOn,
};

/// The cameras' names.
pub const CAMERAS: [&str; 4] = ["cam00", "cam01", "cam02", "cam03"];
/// The volumes, and the serial numbers of their disks.
pub const VOLUMES: [(&str, &str); 2] = [("a1", "DATA1"), ("a2", "DATA2")];
/// The school's name, which is to be seen on no stolen disk.
pub const NAME: &str = "Trường mầm non Cầu Vồng 7319";
/// What the console asks for.
pub const PIN: &str = "271828";
/// The machine's cards on the two networks, by which the site knows them.
pub const SCHOOL_CARD: &str = "52:54:00:c0:57:01";
pub const CAMERAS_CARD: &str = "52:54:00:c0:57:02";
/// Where monitoring may ask, on the school's network.
pub const PULL_PORT: u16 = 9464;
const PULL_TOKEN: &str = "for-monitoring-0123456789";
const MONITOR: &str = "10.0.2.100";

/// Cameras and a monitor, on this machine's loopback.
pub struct School {
    pub cameras: Cameras,
    pub monitor: Monitor,
}

impl School {
    pub fn open() -> Self {
        Self { cameras: Cameras::start(CAMERAS.len(), &["h264.mp4"], &[]), monitor: Monitor::start() }
    }

    fn port(&self) -> u16 {
        let url = self.cameras.url(CAMERAS[0], false);
        url.parse::<url::Url>().unwrap().port().unwrap()
    }

    /// How a machine is plugged in here.
    pub fn power_on(&self) -> PowerOn<'static> {
        let at = |n: usize| (format!("10.20.1.{}:554", 11 + n), self.port());
        PowerOn {
            cameras: (0..CAMERAS.len()).map(at).collect(),
            school: vec![(format!("{MONITOR}:80"), self.monitor.port)],
            ..PowerOn::default()
        }
    }
}

/// site.toml, with the first so many cameras.
pub fn site(cameras: usize) -> String {
    let mut text = format!(
        "[site]\nid = \"hoa-huong-duong\"\nname = \"{NAME}\"\ntimezone = \"Asia/Ho_Chi_Minh\"\nlanguage = \"en\"\n\n\
         [retention]\nmin_days = 1\nmax_days = 2\n\n\
         [area.yard]\nname = \"Sân trường\"\nkind = \"public\"\n\n\
         [[health.push]]\nkind = \"http\"\nurl_secret = \"monitor\"\ninterval = \"10 s\"\n\n\
         [health.pull]\nlisten = \"0.0.0.0:{PULL_PORT}\"\ntoken_secret = \"pull\"\n\n\
         [recorder.a]\nunlock = \"tpm\"\n\n\
         [recorder.a.network]\nschool = {{ link = \"{SCHOOL_CARD}\" }}\n\
         cameras = {{ link = \"{CAMERAS_CARD}\", address = \"10.20.1.2/24\" }}\n"
    );
    for (volume, serial) in VOLUMES {
        let volume = format!("name = \"{volume}\"\ndisk = \"virtio-{serial}\"\nsize = \"160 GB\"\n");
        write!(text, "[[recorder.a.volume]]\n{volume}").unwrap();
    }
    for (n, name) in CAMERAS.iter().enumerate().take(cameras) {
        let camera = format!(
            "name = \"Camera {n}\"\narea = \"yard\"\nmain = \"rtsp://10.20.1.{}/{name}\"\ncredentials = \"viewer\"\n",
            11 + n
        );
        write!(text, "\n[camera.{name}]\n{camera}transport = \"tcp\"\nbitrate = \"2 Mbit/s\"\n").unwrap();
    }
    text
}

/// secrets.toml.
pub fn secrets() -> String {
    let (user, password) = USER;
    format!(
        "[credentials.viewer]\nusername = \"{user}\"\npassword = \"{password}\"\n\n\
         [secrets]\nmonitor = \"http://{MONITOR}/push\"\npull = \"{PULL_TOKEN}\"\n"
    )
}

/// A server that monitoring has outside the school. It takes what it is told.
pub struct Monitor {
    pub port: u16,
    told: Arc<Mutex<Vec<Value>>>,
}

impl Monitor {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, told) = (listener.local_addr().unwrap().port(), Arc::default());
        let monitor = Self { port, told: Arc::clone(&told) };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let told = Arc::clone(&told);
                thread::spawn(move || told.lock().unwrap().extend(answer(stream)));
            }
        });
        monitor
    }

    /// What it was told since this was asked last.
    pub fn told(&self) -> Vec<Value> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

/// Reads one request, and answers that it was taken.
fn answer(stream: TcpStream) -> Option<Value> {
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    let mut stream = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        match line.trim().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().ok()?,
            None if line.trim().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    write!(stream.get_mut(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok()?;
    serde_json::from_slice(&body).ok()
}

/// What a port of this machine's loopback answers to a GET, over TLS or not: the bytes that came, none if the connection was not taken or was closed.
pub fn answers(port: u16, request: &str) -> Vec<u8> {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return Vec::new() };
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answer = Vec::new();
    // A connection that is reset has said nothing, which is the answer.
    let _ = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_end(&mut answer).map(drop));
    answer
}

/// Writes a file of the stick's partition that Windows shows.
pub fn put_on_stick(stick: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let mut child = mtools(stick, "mcopy")
            .args(["-o", "-", &format!("::{name}")])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "mcopy {name}");
    }
}

/// The names of the files there.
pub fn files_on_stick(stick: &Path) -> Vec<String> {
    let out = mtools(stick, "mdir").args(["-b", "::"]).output().unwrap();
    assert!(out.status.success(), "mdir: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).lines().map(|l| l.trim_start_matches("::/").to_owned()).collect()
}

/// The text of one.
pub fn read_from_stick(stick: &Path, name: &str) -> String {
    let out = mtools(stick, "mcopy").args([&format!("::{name}"), "-"]).output().unwrap();
    assert!(out.status.success(), "mcopy {name}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn mtools(stick: &Path, program: &str) -> std::process::Command {
    let at = crate::image::partition(stick, "CUSTODIAN");
    let mut command = std::process::Command::new(program);
    command.arg("-i").arg(format!("{}@@{}", stick.display(), at.start));
    command
}
