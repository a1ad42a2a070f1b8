//! The services that fetch and write versions, in their sandboxes under a real systemd, with Debian's systemd-pull and gpg and a server over TLS:
//! on which days they fail, and on which they do not.

use std::{
    fmt::Write as _,
    fs,
    io::BufRead as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use custodian::types::merkle::Hash;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::support::{
    container::{Machine, updated_possible},
    wait_for,
};

const FETCH: &str = "custodian-fetch.service";
const WRITE: &str = "custodian-update.service";

/// Serves a folder, and says at which port.
const SERVER: &str = "
import http.server, os, ssl, sys
os.chdir(sys.argv[1])
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
";

/// A vendor's server, and what a machine has of its own.
struct World {
    dir: tempfile::TempDir,
    server: Child,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in ["state", "state/current", "source", "keys", "other-keys"] {
            fs::create_dir(at(folder)).unwrap();
        }
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        fs::write(at("cert.pem"), made.cert.pem()).unwrap();
        fs::write(at("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let mut server = Command::new("python3");
        server.args(["-c", SERVER]).args([at("source"), at("cert.pem"), at("key.pem")]);
        let mut server = server.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut port = String::new();
        std::io::BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let world = Self { dir, server };
        for keys in ["keys", "other-keys"] {
            world.gpg(keys, &["--passphrase", "", "--quick-gen-key", "custodian's test", "ed25519", "sign", "never"]);
        }
        world.gpg("keys", &["--output", &world.at("ring.gpg").display().to_string(), "--export"]);
        fs::write(world.at("os-release"), "ID=custodian\nIMAGE_ID=custodian\nIMAGE_VERSION=0.1.0\n").unwrap();
        world.site(port.trim());
        world
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The site in force, with the vendor's server at this port.
    fn site(&self, port: &str) {
        let text = format!(
            "[site]\nid = \"school\"\nname = \"x\"\ntimezone = \"Asia/Ho_Chi_Minh\"\nlanguage = \"en\"\n[area.y]\nname = \"S\"\n\
             kind = \"public\"\n[recorder.a]\nunlock = \"none\"\n[[recorder.a.volume]]\nname = \"v1\"\npath = \"/srv/v1\"\n\
             [camera.k]\narea = \"y\"\nname = \"k\"\nbitrate = \"2 Mbit/s\"\nmain = \"rtsp://127.0.0.1/x\"\n\
             [update]\nurl = \"https://127.0.0.1:{port}/\"\n"
        );
        fs::write(self.at("state/current/site.toml"), text).unwrap();
    }

    fn gpg(&self, keys: &str, args: &[&str]) {
        use std::os::unix::fs::PermissionsExt as _;
        let home = self.at(keys);
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
        let out =
            Command::new("gpg").arg("--homedir").arg(&home).args(["--batch", "--quiet"]).args(args).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    /// Fills the update directory, signed with these keys.
    fn publish(&self, version: &str, keys: &str) {
        let source = self.at("source");
        for old in fs::read_dir(&source).unwrap() {
            fs::remove_file(old.unwrap().path()).unwrap();
        }
        let mut list = String::new();
        for end in [".root.raw", ".verity.raw", ".efi"] {
            let (name, bytes) = (format!("custodian_{version}{end}"), format!("{version}{end}"));
            writeln!(list, "{}  {name}", Hash(Sha256::digest(&bytes).into())).unwrap();
            fs::write(source.join(name), bytes).unwrap();
        }
        fs::write(source.join("SHA256SUMS"), list).unwrap();
        let [to, of] = ["source/SHA256SUMS.gpg", "source/SHA256SUMS"].map(|name| self.at(name).display().to_string());
        self.gpg(keys, &["--detach-sign", "--output", &to, &of]);
    }

    fn boot(&self) -> Machine {
        let tree = Path::new(env!("CARGO_MANIFEST_DIR"));
        let units = tree.join("modules/units");
        let mut binds: Vec<(PathBuf, String)> = vec![
            (env!("CARGO_BIN_EXE_custodian").into(), "/usr/bin/custodian".into()),
            (self.at("state"), "/var/lib/custodian".into()),
            (self.at("os-release"), "/usr/lib/os-release".into()),
            (self.at("cert.pem"), "/etc/ssl/certs/ca-certificates.crt".into()),
            (self.at("ring.gpg"), "/usr/lib/systemd/import-pubring.gpg".into()),
            (tree.join("image/files/usr/lib/sysupdate.d"), "/usr/lib/sysupdate.d".into()),
            (units.join("sysusers.d/custodian.conf"), "/usr/lib/sysusers.d/custodian.conf".into()),
            (units.join("tmpfiles.d/custodian.conf"), "/usr/lib/tmpfiles.d/custodian.conf".into()),
        ];
        binds.extend([FETCH, WRITE].map(|unit| (units.join(unit), format!("/etc/systemd/system/{unit}"))));
        let binds: Vec<(PathBuf, &str)> = binds.iter().map(|(here, there)| (here.clone(), there.as_str())).collect();
        Machine::boot_updated(self.dir.path(), &binds)
    }

    /// What is remembered.
    fn kept(&self) -> Value {
        let text = fs::read(self.at("state/updates/state.json")).unwrap_or_else(|_| b"{}".to_vec());
        serde_json::from_slice(&text).unwrap()
    }
}

/// Whether a service, started now, ends well.
fn ends_well(machine: &Machine, unit: &str) -> bool {
    machine.try_run(&["systemctl", "start", unit]).status.success()
}

fn says(machine: &Machine, unit: &str) -> String {
    machine.run(&["journalctl", "--no-pager", "--output=cat", "--unit", unit])
}

#[test]
fn fetching_and_writing_fail_on_days_on_which_something_is_wrong_only() {
    if !updated_possible() {
        return;
    }
    let world = World::new();
    let port = fs::read_to_string(world.at("state/current/site.toml")).unwrap();
    let machine = world.boot();

    // The line is down: nobody listens there.
    world.site("1");
    assert!(ends_well(&machine, FETCH), "{}", says(&machine, FETCH));
    assert!(says(&machine, FETCH).contains("nothing is fetched: it cannot be fetched"), "{}", says(&machine, FETCH));
    assert_eq!(world.kept()["looked"], Value::Null, "it is tried again at the next run");
    fs::write(world.at("state/current/site.toml"), port).unwrap();

    // A forgery is no ordinary day.
    world.publish("0.2.0", "other-keys");
    assert!(!ends_well(&machine, FETCH), "{}", says(&machine, FETCH));
    assert_eq!(world.kept()["looked"], Value::Null);

    // What is on the server runs already.
    world.publish("0.1.0", "keys");
    assert!(ends_well(&machine, FETCH), "{}", says(&machine, FETCH));
    assert!(says(&machine, FETCH).contains("0.1.0 is no newer than 0.1.0"), "{}", says(&machine, FETCH));
    assert!(world.kept()["looked"].is_i64(), "{}", world.kept());

    // What is newer comes, through the sandbox, once a look is due again.
    fs::remove_file(world.at("state/updates/state.json")).unwrap();
    world.publish("0.2.0", "keys");
    assert!(ends_well(&machine, FETCH), "{}", says(&machine, FETCH));
    assert_eq!(
        (&world.kept()["candidate"]["version"], &world.kept()["candidate"]["stage"]),
        (&"0.2.0".into(), &"offered".into())
    );
    assert_eq!(fs::read(world.at("state/updates/offered/custodian_0.2.0.efi")).unwrap(), b"0.2.0.efi");
    assert!(ends_well(&machine, WRITE), "nobody has consented: {}", says(&machine, WRITE));

    // Somebody else is at work.
    let lock = "/var/lib/custodian/updates/lock";
    machine.run(&["systemd-run", "--unit=at-work", "flock", lock, "sleep", "infinity"]);
    wait_for("the lock to be held", Duration::from_secs(20), || {
        (!machine.try_run(&["flock", "--nonblock", lock, "true"]).status.success()).then_some(())
    });
    assert!(ends_well(&machine, WRITE), "{}", says(&machine, WRITE));
    assert!(says(&machine, WRITE).contains("another command is at work"), "{}", says(&machine, WRITE));
}
