//! `custodian apply` and its fellows as a user meets them, on folders of their own: units are written, systemd is not spoken to.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use custodian::types::wire::Status;
use nix::sys::signal::{Signal, kill};
use tempfile::TempDir;

use crate::support::{own::OwnCameras, wait_for};

/// A machine made of folders.
struct Machine {
    dir: TempDir,
}

const SECRETS: &str = "[credentials.viewer]\nusername = \"u\"\npassword = \"p\"\n";

fn site(name: &str, cameras: &[(&str, &str)], volume: &Path) -> String {
    let head = format!(
        "[site]\nname = \"{name}\"\ntimezone = \"Asia/Ho_Chi_Minh\"\nlanguage = \"en\"\n[area.y]\nname = \"Sân\"\n\
         kind = \"public\"\n[recorder.a]\n[[recorder.a.volume]]\nname = \"v1\"\npath = \"{}\"\n",
        volume.display()
    );
    let camera = |(id, url): &(&str, &str)| {
        format!(
            "[camera.{id}]\nname = \"{id}\"\narea = \"y\"\nmain = \"{url}\"\ncredentials = \"viewer\"\nbitrate = \"2 Mbit/s\"\n"
        )
    };
    cameras.iter().map(camera).fold(head, |all, one| all + one.as_str())
}

impl Machine {
    fn new() -> Self {
        let machine = Self { dir: tempfile::tempdir().unwrap() };
        for dir in ["state", "units", "v1"] {
            fs::create_dir(machine.path(dir)).unwrap();
        }
        machine.secrets(SECRETS);
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn secrets(&self, text: &str) {
        fs::write(self.path("secrets.toml"), text).unwrap();
        fs::set_permissions(self.path("secrets.toml"), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn site(&self, name: &str, cameras: &[(&str, &str)]) {
        fs::write(self.path("site.toml"), site(name, cameras, &self.path("v1"))).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_custodian"));
        command.args(args).arg("--state").arg(self.path("state")).current_dir(self.dir.path()).stdin(Stdio::null());
        for name in ["LANG", "LC_ALL", "LC_MESSAGES", "CUSTODIAN_RECORDER"] {
            command.env_remove(name);
        }
        command
    }

    /// For commands that write units.
    fn run(&self, args: &[&str]) -> Output {
        self.command(args).arg("--unit-dir").arg(self.path("units")).output().unwrap()
    }

    fn ok(&self, args: &[&str]) -> String {
        let out = self.run(args);
        assert!(out.status.success(), "{args:?}: {}{}", text(&out.stdout), text(&out.stderr));
        text(&out.stdout)
    }

    fn refused(&self, args: &[&str]) -> String {
        let out = self.run(args);
        assert_eq!(out.status.code(), Some(1), "{args:?}: {}", text(&out.stdout));
        text(&out.stderr)
    }

    fn current(&self) -> Option<String> {
        let to = fs::read_link(self.path("state/current")).ok()?;
        Some(to.file_name().unwrap().to_str().unwrap().to_owned())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

const ONE: &[(&str, &str)] = &[("one", "rtsp://127.0.0.1:9/1")];
const TWO: &[(&str, &str)] = &[("one", "rtsp://127.0.0.1:9/1"), ("two", "rtsp://127.0.0.1:9/2")];

#[test]
fn a_school_applies_changes_goes_back_and_looks() {
    let machine = Machine::new();
    machine.site("first", ONE);
    assert!(machine.ok(&["apply"]).contains("Generation 1 is in force."));
    let drop_in = fs::read_to_string(machine.path("units/custodian-record.service.d/site.conf")).unwrap();
    assert!(drop_in.contains("CUSTODIAN_RECORDER=a\n"), "{drop_in}");
    assert!(machine.ok(&["apply"]).contains("Nothing to do: generation 1 is in force."));
    let kept = machine.path("state/current/secrets.toml");
    assert_eq!(fs::metadata(kept).unwrap().permissions().mode() & 0o777, 0o640);

    machine.site("second", TWO);
    let saved = machine.command(&["plan", "--out", "plan.json"]).output().unwrap();
    assert_eq!(saved.status.code(), Some(2), "{}", text(&saved.stderr));
    assert!(machine.ok(&["apply", "plan.json"]).contains("Generation 2 is in force."));
    let stale = machine.refused(&["apply", "plan.json"]);
    assert!(stale.contains("the generation in force") && !stale.contains("passwords"), "{stale}");

    // To take a camera away wants a reason, which is kept.
    machine.site("second", ONE);
    if nix::unistd::geteuid().is_root() {
        assert!(machine.refused(&["apply"]).contains("--reason"));
        assert!(machine.ok(&["apply", "--reason", "the gate is walled up"]).contains("Generation 3"));
        let meta = fs::read_to_string(machine.path("state/current/meta.json")).unwrap();
        assert!(meta.contains("\"reason\": \"the gate is walled up\""), "{meta}");
        machine.ok(&["rollback"]);
    } else {
        assert!(machine.refused(&["apply"]).contains("root"));
        assert!(machine.refused(&["apply", "--reason", "x"]).contains("root"));
        return;
    }
    machine.site("second", TWO);

    machine.secrets(&SECRETS.replace("\"p\"", "\"q\""));
    assert!(machine.ok(&["apply"]).contains("Generation 4"));
    let diff = |a: &str, b: &str| text(&machine.command(&["diff", a, b]).output().unwrap().stdout);
    assert!(diff("1", "2").contains("-name = \"first\"\n+name = \"second\"\n"), "{}", diff("1", "2"));
    assert!(diff("1", "2").contains("The passwords are the same."));
    assert!(
        diff("2", "4").ends_with("The site's file is the same.\nThe passwords have changed.\n"),
        "{}",
        diff("2", "4")
    );
    assert!(!diff("2", "4").contains("\"q\""));

    // Going back takes the second camera away.
    assert!(machine.refused(&["rollback", "--to", "1"]).contains("--reason"));
    let back = machine.ok(&["rollback", "--to", "1", "--reason", "it was better"]);
    assert!(back.contains("Generation 5 is in force."), "{back}");
    assert_eq!(diff("1", "5"), "The site's file is the same.\nThe passwords are the same.\n");
    assert!(machine.refused(&["rollback", "--to", "9"]).contains("no generation 9"));
    let listed = machine.command(&["generations", "--json"]).output().unwrap();
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let current: Vec<_> = listed.as_array().unwrap().iter().map(|g| g["current"].as_bool().unwrap()).collect();
    assert_eq!(current, [false, false, false, false, true]);
    let table = text(&machine.command(&["generations"]).output().unwrap().stdout);
    assert!(table.lines().any(|l| l.contains("in force")), "{table}");

    // At boot the unit folder is empty.
    fs::remove_dir_all(machine.path("units")).unwrap();
    fs::create_dir(machine.path("units")).unwrap();
    machine.ok(&["apply", "--activate"]);
    assert!(machine.path("units/custodian-record.service.d/site.conf").exists());
    assert!(machine.ok(&["confirm"]).contains("confirmed already"));
}

#[test]
fn what_is_wrong_changes_nothing() {
    let machine = Machine::new();
    let before = || fs::read_dir(machine.path("state/generations")).map_or(0, Iterator::count);
    machine.site("first", &[]);
    assert!(machine.refused(&["apply"]).contains("no camera"));
    machine.site("first", ONE);
    machine.secrets("[credentials.other]\nusername = \"u\"\npassword = \"p\"\n");
    machine.refused(&["apply"]);
    machine.secrets(SECRETS);
    fs::write(machine.path("plan.json"), "{}").unwrap();
    assert!(machine.refused(&["apply", "plan.json"]).contains("is no plan of this version"));
    assert!(machine.refused(&["apply", "--try", "5m"]).contains("no confirmed generation"));
    assert!(machine.refused(&["rollback"]).contains("no generation is in force"));
    assert!(machine.refused(&["confirm"]).contains("no generation is in force"));
    assert!(!machine.run(&["apply", "--try", "1s"]).status.success(), "too short to be confirmed");
    assert_eq!((before(), machine.current()), (0, None));
    assert!(machine.ok(&["apply", "--activate"]).contains("No site was applied"));

    machine.ok(&["apply"]);
    machine.site("second", TWO);
    // Nothing but systemd would end the trial.
    assert!(machine.refused(&["apply", "--try", "5m"]).contains("the trial was not begun"));
    assert_eq!((before(), machine.current().as_deref()), (1, Some("1")));
    let held = fs::File::open(machine.path("state/apply.lock")).unwrap();
    let held = nix::fcntl::Flock::lock(held, nix::fcntl::FlockArg::LockExclusiveNonblock).unwrap();
    assert!(machine.refused(&["apply"]).contains("is at work"));
    drop(held);
    assert_eq!((before(), machine.current().as_deref()), (1, Some("1")));
}

/// The real folders want systemd, and root. Which of the two is missed depends on who runs the tests, and where.
#[test]
fn a_saved_plan_that_was_edited_is_not_carried_out() {
    let machine = Machine::new();
    machine.site("first", ONE);
    let plan = machine.command(&["plan", "--offline", "--out", "plan.json"]).output().unwrap();
    assert_eq!(plan.status.code(), Some(2), "{}", text(&plan.stderr));
    let path = machine.path("plan.json");
    let saved = fs::read_to_string(&path).unwrap();
    let mut edited: serde_json::Value = serde_json::from_str(&saved).unwrap();
    let strange = serde_json::json!({ "do": "write-unit", "unit": "strange.service", "text": "[Service]\nExecStart=/bin/false\n" });
    edited["steps"].as_array_mut().unwrap().push(strange);
    fs::write(&path, edited.to_string()).unwrap();
    assert!(machine.refused(&["apply", "plan.json"]).contains("make the plan again"));
    assert_eq!(machine.current(), None);
    assert!(!machine.path("units/strange.service").exists());
    fs::write(&path, saved).unwrap();
    machine.ok(&["apply", "plan.json"]);
    assert_eq!(machine.current().as_deref(), Some("1"));
}

#[test]
fn the_machine_itself_is_left_alone_without_systemd() {
    if Path::new("/run/systemd/system").exists() {
        return;
    }
    let machine = Machine::new();
    machine.site("first", ONE);
    let out = machine.command(&["apply"]).output().unwrap();
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(1));
    assert!(said.contains("systemd") || said.contains("root"), "{said}");
    assert_eq!(machine.current(), None);
}

struct Recorder(Child);

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Machine {
    fn record(&self, manager: &Path) -> Recorder {
        let log = fs::File::create(self.path("log")).unwrap();
        let child = self
            .command(&["record", "--site", "state/current/site.toml", "--secrets", "state/current/secrets.toml"])
            .env("CUSTODIAN_RECORDER", "a")
            .env("NOTIFY_SOCKET", manager)
            .env("WATCHDOG_USEC", "300000")
            .stderr(log)
            .spawn()
            .unwrap();
        Recorder(child)
    }

    fn status(&self) -> Option<Status> {
        let out = self.command(&["status", "--json"]).output().unwrap();
        serde_json::from_slice(&out.stdout).ok()
    }

    fn gaps(&self, camera: &str) -> Vec<serde_json::Value> {
        let out = self.command(&["gaps", "--json", "--camera", camera]).output().unwrap();
        serde_json::from_slice(&out.stdout).unwrap_or_default()
    }
}

fn newest(status: &Status, camera: &str) -> Option<custodian::types::WallNs> {
    status.streams.iter().find(|s| s.camera.as_str() == camera)?.newest_committed
}

#[test]
fn a_recorder_follows_what_is_applied_and_feeds_its_watchdog() {
    let cameras = OwnCameras::start(3);
    let machine = Machine::new();
    let (user, password) = cameras.user();
    machine.secrets(&format!("[credentials.viewer]\nusername = \"{user}\"\npassword = \"{password}\"\n"));
    let urls = cameras.urls();
    let of = |n: usize| -> Vec<(&str, &str)> {
        cameras.names.iter().map(String::as_str).zip(urls.iter().map(String::as_str)).take(n).collect()
    };
    machine.site("first", &of(2));
    machine.ok(&["apply"]);
    let init = Command::new(env!("CARGO_BIN_EXE_custodian"))
        .args(["volume", "init"])
        .current_dir(machine.dir.path())
        .output()
        .unwrap();
    assert!(init.status.success(), "{}", text(&init.stderr));

    let manager = UnixDatagram::bind(machine.path("notify")).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut recorder = machine.record(&machine.path("notify"));
    let mut fed = 0;
    wait_for("three words from the watchdog", Duration::from_secs(20), || {
        let mut word = [0; 512];
        let n = manager.recv(&mut word).ok()?;
        fed += usize::from(word[..n].windows(10).any(|w| w == b"WATCHDOG=1"));
        (fed >= 3).then_some(())
    });
    let recorded = |names: &[String]| {
        wait_for("footage", Duration::from_mins(1), || {
            let status = machine.status()?;
            names.iter().all(|n| newest(&status, n).is_some()).then_some(())
        });
    };
    recorded(&cameras.names[..2]);
    let sockets = machine.path("state/run");
    let mode = |name: &str| fs::metadata(sockets.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("control.sock"), mode("status/status.sock")), (0o600, 0o660));

    // One camera more: it is recorded, and the others lose nothing.
    machine.site("second", &of(3));
    #[expect(clippy::disallowed_methods, reason = "how long a real process takes")]
    let began = Instant::now();
    let report: serde_json::Value = serde_json::from_str(&machine.ok(&["apply", "--json"])).unwrap();
    let took = began.elapsed();
    let step = |what: &str| {
        let steps = report["steps"].as_array().unwrap();
        steps.iter().find(|s| s["do"] == what).map(|s| s["outcome"].as_str().unwrap().to_owned())
    };
    // The name of the site is news for the pages, which nobody serves here.
    assert_eq!(step("reload").as_deref(), Some("changed"), "{report}");
    assert_eq!(step("restart").as_deref(), Some("not-needed"), "{report}");
    recorded(&cameras.names);
    for camera in &cameras.names[..2] {
        assert_eq!(machine.gaps(camera), Vec::<serde_json::Value>::new(), "{camera}");
    }
    assert!(took < Duration::from_secs(3), "{took:?}");

    // Away again; its footage stays, and the others go on.
    if !nix::unistd::geteuid().is_root() {
        // Only root may take a camera away.
        assert!(machine.refused(&["rollback", "--reason", "a test"]).contains("root"));
        return;
    }
    machine.ok(&["rollback", "--reason", "a test"]);
    wait_for("two cameras", Duration::from_secs(20), || (machine.status()?.streams.len() == 2).then_some(()));
    for camera in &cameras.names[..2] {
        assert_eq!(machine.gaps(camera), Vec::<serde_json::Value>::new(), "{camera}");
    }
    // Until here nobody has listened to the recorder's words: a service manager that hangs stops no recording.
    std::thread::spawn(move || while manager.recv(&mut [0; 512]).is_ok() {});
    let pid = nix::unistd::Pid::from_raw(recorder.0.id().try_into().unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    wait_for("its end", Duration::from_secs(20), || recorder.0.try_wait().unwrap());
}
