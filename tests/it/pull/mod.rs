//! Health's pages behind a door, asked by clients that nobody of this project wrote.

mod hostile;
mod prometheus;

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::Arc,
    time::Duration,
};

use custodian::{
    health::{
        door::{Door, certificate},
        pages::{Reports, router},
    },
    site::{self, Secret},
    sys::{Clock as _, FakeClock, RealClock, RealFiles},
    types::{
        StreamKind,
        wire::health::{CameraHealth, Level, Machine, Report, StreamHealth},
    },
};
use tempfile::TempDir;
use tokio::{runtime::Runtime, sync::watch};

use crate::support::{free_address, wait_for};

const LIMIT: Duration = Duration::from_secs(20);
const TOKEN: &str = "correct horse battery staple";

/// Certificates of an authority that openssl made.
struct Authority {
    dir: TempDir,
}

fn openssl(dir: &Path, args: &str) -> String {
    let out = Command::new("openssl").current_dir(dir).args(args.split_whitespace()).output().unwrap();
    assert!(out.status.success(), "{args}: {out:?}");
    String::from_utf8(out.stdout).unwrap()
}

impl Authority {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        openssl(dir.path(), &format!("req -x509 {key} -subj /CN=school -days 9 -keyout ca.key -out ca.crt"));
        openssl(dir.path(), &format!("req {key} -subj /CN=client -keyout client.key -out client.csr"));
        std::fs::write(dir.path().join("client.ext"), "extendedKeyUsage=clientAuth\nbasicConstraints=CA:FALSE\n")
            .unwrap();
        let signs = "x509 -req -in client.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 9 -extfile client.ext";
        openssl(dir.path(), &format!("{signs} -out client.crt"));
        Self { dir }
    }

    fn pem(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("ca.crt")).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn curl(&self) -> [String; 4] {
        let path = |name| self.path(name).to_str().unwrap().to_owned();
        ["--cert".to_owned(), path("client.crt"), "--key".to_owned(), path("client.key")]
    }
}

/// A door on loopback, with a report behind it.
struct Running {
    listen: SocketAddr,
    folder: TempDir,
    open: watch::Sender<bool>,
    clock: FakeClock,
    certificate: watch::Receiver<Option<certificate::Presented>>,
    _reports: watch::Sender<Option<Arc<Report>>>,
    _runtime: Runtime,
}

fn report() -> Report {
    let at = RealClock.wall();
    let stream = StreamHealth {
        stream: StreamKind::Main,
        newest_committed: Some(at),
        age_seconds: None,
        gap_seconds_today: None,
        gap_seconds_day: None,
        gap_seconds_total: 0.0,
        lost_packets: None,
    };
    let camera = CameraHealth {
        number: 3,
        id: Some("gate".parse().unwrap()),
        name: None,
        required: true,
        streams: vec![stream],
        min_days: None,
        kept_days: None,
        clock_error: None,
    };
    Report {
        format: 1,
        at,
        recorder: None,
        version: "1".to_owned(),
        recording: None,
        level: Level::Ok,
        findings: Vec::new(),
        cameras: vec![camera],
        volumes: Vec::new(),
        machine: Machine::default(),
        generation: None,
        checkpoints: Vec::new(),
        silences: Vec::new(),
        cost_us: 0,
    }
}

impl Running {
    /// An open one.
    fn start(token: bool, authority: Option<&Authority>) -> Self {
        let running = Self::at(free_address(), token, authority);
        running.wait_until_open();
        running
    }

    fn at(listen: SocketAddr, token: bool, authority: Option<&Authority>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = FakeClock::at(RealClock.wall());
        let own = certificate::Own {
            folder: folder.path().join("doors"),
            name: "pull",
            warn: Duration::from_hours(21 * 24),
            files: Arc::new(RealFiles),
            clock: Arc::new(clock.clone()),
        };
        let site = site::Door {
            listen,
            token_secret: token.then(|| "door".parse().unwrap()),
            client_ca: authority.map(Authority::pem),
            tunnel: None,
        };
        let door = Door::new(&site, token.then(|| Secret::new(TOKEN)).as_ref(), own).unwrap();
        let certificate = door.presented();
        let (told, latest) = watch::channel(Some(Arc::new(report())));
        let every = watch::channel(Duration::from_mins(1)).1;
        let router = router(Reports { latest, every, clock: Arc::new(clock.clone()) });
        let (open, opened) = watch::channel(true);
        let runtime = Runtime::new().unwrap();
        runtime.spawn(door.run(router, opened));
        Self { listen, folder, open, clock, certificate, _reports: told, _runtime: runtime }
    }

    fn is_open(&self) -> bool {
        TcpStream::connect(self.listen).is_ok()
    }

    fn wait_until_open(&self) {
        wait_for("the door to open", LIMIT, || self.is_open().then_some(()));
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("doors").join(name)
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.listen)
    }

    /// curl that trusts the door's certificate; prints the body and, on a line of its own, the status.
    fn curl(&self, path: &str, args: &[impl AsRef<std::ffi::OsStr>]) -> Output {
        let mut command = Command::new("curl");
        command.args(["-sS", "--noproxy", "*", "--max-time", "15", "-w", "\n%{http_code}", "--cacert"]);
        command.arg(self.file("pull.crt")).args(args).arg(self.url(path)).output().unwrap()
    }

    /// The status that curl gets with the token.
    fn status(&self, path: &str) -> String {
        status(&self.curl(path, &["-H", &bearer(TOKEN)]))
    }
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

fn status(out: &Output) -> String {
    assert!(out.status.success(), "{out:?}");
    String::from_utf8_lossy(&out.stdout).lines().last().unwrap().to_owned()
}

#[test]
fn who_has_the_token_is_let_in_and_nobody_else() {
    let door = Running::start(true, None);
    let out = door.curl("/healthz", &["-H", &bearer(TOKEN), "-i"]);
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("cache-control: no-store\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\nok\n\n200"), "{text}");
    assert_eq!([door.status("/metrics"), door.status("/v1/cameras")], ["200", "404"]);

    let nothing: [&str; 0] = [];
    let out = door.curl("/healthz", &["-i"]);
    assert!(
        String::from_utf8_lossy(&out.stdout).contains("www-authenticate: Bearer realm=\"custodian\"\r\n"),
        "{out:?}"
    );
    let two = [bearer(TOKEN), bearer(TOKEN)];
    for (path, args) in [
        // What is not there is no different.
        ("/v1/cameras", vec![]),
        ("/metrics", vec!["-H", "Authorization: Bearer "]),
        ("/metrics", vec!["-H", "Authorization: Bearer correct horse"]),
        ("/metrics", vec!["-u", TOKEN]),
        ("/metrics", vec!["-H", &two[0], "-H", &two[1]]),
        ("/metrics?token=correct", vec!["-X", "POST", "-d", TOKEN]),
    ] {
        assert_eq!(status(&door.curl(path, &args)), "401", "{path} {args:?}");
    }

    // Without TLS, or with an old one, there is no answer.
    let plain =
        Command::new("curl").args(["-sS", "--noproxy", "*", &door.url("/healthz").replace("https", "http")]).output();
    assert!(!plain.unwrap().status.success());
    assert_eq!(door.curl("/healthz", &["--tls-max", "1.1"]).status.code(), Some(35));
    assert_eq!(status(&door.curl("/healthz", &["--tls-max", "1.2", "-H", &bearer(TOKEN)])), "200");
    // A client that does not know the certificate goes away.
    let stranger = Command::new("curl").args(["-sS", "--noproxy", "*", &door.url("/healthz")]).output().unwrap();
    assert_eq!(stranger.status.code(), Some(60), "{stranger:?}");
    // Whoever is told the name needs no address.
    let port = door.listen.port();
    let named = Command::new("curl")
        .args([
            "-sS",
            "--noproxy",
            "*",
            "--resolve",
            &format!("custodian:{port}:127.0.0.1"),
            "-H",
            &bearer(TOKEN),
            "--cacert",
        ])
        .arg(door.file("pull.crt"))
        .arg(format!("https://custodian:{port}/healthz"))
        .output()
        .unwrap();
    assert_eq!(named.stdout, b"ok\n");
    assert_eq!(status(&door.curl("/metrics", &nothing)), "401");
}

#[test]
fn the_certificate_is_what_it_says() {
    let door = Running::start(true, None);
    let shown = door.certificate.borrow().clone().unwrap();
    assert_eq!(shown.file, door.file("pull.crt"));
    let folder = door.folder.path().join("doors");
    let text = openssl(&folder, "x509 -in pull.crt -noout -fingerprint -sha256 -text -checkend 283824000");
    assert!(text.contains(&format!("sha256 Fingerprint={}", shown.fingerprint)), "{text}");
    assert!(
        text.contains("DNS:custodian, IP Address:127.0.0.1") && text.contains("TLS Web Server Authentication"),
        "{text}"
    );
    let mode = |name| std::fs::metadata(door.file(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("pull.key"), mode("pull.crt")), (0o600, 0o644));

    let client = |args: &str| {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &door.listen.to_string(), "-CAfile"]).arg(door.file("pull.crt"));
        let out = command.args(args.split_whitespace()).stdin(Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned()
    };
    let text = client("-verify_return_error -verify_hostname custodian -alpn h2,http/1.1");
    assert!(text.contains("ALPN protocol: http/1.1") && text.contains("Verify return code: 0 (ok)"), "{text}");
    assert!(text.contains("TLSv1.3") && !text.contains("Session-ID:"), "nothing is resumed: {text}");
    assert!(!client("-alpn h2").contains("ALPN protocol"), "no other protocol");
}

#[test]
fn a_certificate_of_the_schools_authority_is_let_in() {
    let (school, stranger) = (Authority::new(), Authority::new());
    let door = Running::start(false, Some(&school));
    assert_eq!(status(&door.curl("/healthz", &school.curl())), "200");
    let nothing: [&str; 0] = [];
    for version in ["1.2", "1.3"] {
        for mut args in [Vec::new(), stranger.curl().to_vec()] {
            args.extend(["--tls-max".to_owned(), version.to_owned()]);
            let out = door.curl("/healthz", &args);
            assert!(matches!(out.status.code(), Some(35 | 55 | 56 | 98)), "{out:?}");
            assert_eq!(out.stdout, b"\n000");
        }
    }
    drop(door);
    // Both are wanted where both are named.
    let door = Running::start(true, Some(&school));
    assert_eq!(status(&door.curl("/healthz", &school.curl())), "401");
    assert_eq!(
        status(&door.curl("/healthz", &[&school.curl()[..], &["-H".to_owned(), bearer(TOKEN)]].concat())),
        "200"
    );
    assert!(!door.curl("/healthz", &["-H", &bearer(TOKEN)]).status.success());
    assert!(!door.curl("/healthz", &nothing).status.success());
}

#[test]
fn a_door_opens_and_shuts_when_it_is_told() {
    let door = Running::start(true, None);
    // A connection that waits for its next request.
    let mut held = Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", &door.listen.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    // It says so once the handshake is done.
    std::io::BufRead::read_line(&mut std::io::BufReader::new(held.stderr.as_mut().unwrap()), &mut line).unwrap();
    assert!(held.try_wait().unwrap().is_none(), "{line}");
    let first = door.certificate.borrow().clone();
    door.open.send_replace(false);
    wait_for("the door to shut", LIMIT, || (!door.is_open()).then_some(()));
    wait_for("the connection to be cut", Duration::from_secs(5), || held.try_wait().unwrap());
    door.open.send_replace(true);
    door.wait_until_open();
    assert_eq!(door.status("/healthz"), "200");
    assert_eq!(*door.certificate.borrow(), first);
}

#[test]
fn an_address_that_is_not_there_yet_is_waited_for() {
    let taken = TcpListener::bind(free_address()).unwrap();
    let door = Running::at(taken.local_addr().unwrap(), true, None);
    // It was tried: the certificate comes first.
    wait_for("the certificate", LIMIT, || door.certificate.borrow().clone());
    drop(taken);
    wait_for("an answer", LIMIT, || door.is_open().then_some(()));
    assert_eq!(door.status("/healthz"), "200");
}

#[test]
fn guessing_is_ended() {
    let door = Running::start(true, None);
    let wrong = bearer("guess");
    for _ in 0..10 {
        assert_eq!(status(&door.curl("/healthz", &["-H", &wrong])), "401");
    }
    let out = door.curl("/healthz", &["-i", "-H", &bearer(TOKEN)]);
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(text.contains("429 Too Many Requests\r\n") && text.contains("retry-after: 61\r\n"), "{text}");
    // Another address has done nothing.
    let other = ["--interface", "127.0.0.2", "-H", &bearer(TOKEN)];
    assert_eq!(status(&door.curl("/healthz", &other)), "200");
    door.clock.advance(Duration::from_mins(1));
    assert_eq!(door.status("/healthz"), "200");
}
