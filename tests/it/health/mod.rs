//! The health service beside a recorder that works, dies, hangs, loses a camera or a volume, or never starts: processes as on an appliance.

mod endpoints;
mod silences;
mod states;
mod vendor;

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    time::Duration,
};

use custodian::{
    ledger::{self, Entry, View, What},
    sys::{Clock as _, RealClock, RealFiles},
    types::{
        WallNs,
        wire::health::{Finding, Level, Probe, Report},
    },
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::de::DeserializeOwned;

use crate::support::{recorder::Site, wait_for};

const SOON: Duration = Duration::from_secs(40);
/// How often it is looked.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long a recorder that hangs is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// What the machine that tests run on is like is its own affair. Nobody takes checkpoints here, which is said.
const MACHINE: [Probe; 5] = [Probe::SystemDisk, Probe::Memory, Probe::Load, Probe::Temperature, Probe::Witness];

/// What is added to site.toml.
const HEALTH: &str =
    "\n[health]\ninterval = \"5 s\"\n[health.warn]\nnewest = \"12 s\"\n[health.fail]\nnewest = \"20 s\"\n";

fn now() -> WallNs {
    RealClock.wall()
}

/// A `custodian health --serve` process; killed when dropped.
struct Health<'a> {
    child: Child,
    site: &'a Site,
}

/// A service manager and a time service with whom all is well, and root's look at a machine that is as it should be.
fn well(site: &Site) -> PathBuf {
    let programs = site.path("programs");
    if programs.exists() {
        return programs;
    }
    fs::create_dir(&programs).unwrap();
    for (name, script) in [
        ("systemctl", "#!/bin/sh\nexit 0\n"),
        ("timedatectl", "#!/bin/sh\ncase $1 in show) echo yes;; *) echo '  Offset: +1.5ms';; esac\n"),
        ("chronyc", "#!/bin/sh\nexit 1\n"),
    ] {
        fs::write(programs.join(name), script).unwrap();
        fs::set_permissions(programs.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let look = serde_json::json!({
        "format": 1, "at": now(), "disks": {}, "drift": [], "backups": null, "updates": null,
        "generation": { "number": 1, "confirmed": true, "trial_until": null, "site": "0123456789abcdef" },
    });
    for dir in ["state/run", "state/run/look"] {
        let _ = fs::create_dir(site.path(dir));
    }
    fs::write(site.path("state/run/look/look.json"), look.to_string()).unwrap();
    programs
}

impl<'a> Health<'a> {
    fn start(site: &'a Site) -> Self {
        let toml = fs::read_to_string(site.path("site.toml")).unwrap();
        if !toml.contains("[health]") {
            site.add_to_last(HEALTH);
        }
        let path = format!("{}:{}", well(site).display(), std::env::var("PATH").unwrap());
        let log = fs::File::options().create(true).append(true).open(site.path("log")).unwrap();
        let mut command = site.custodian(&["health", "--serve", "--recorder", "a"]);
        command.arg("--state").arg(site.path("state")).env("PATH", path).env_remove("CREDENTIALS_DIRECTORY");
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Self { child, site }
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        let mut stream = UnixStream::connect(self.site.path("state/run/health/health.sock")).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: health\r\n\r\n").ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let head = answer.windows(4).position(|w| w == b"\r\n\r\n")?;
        answer.starts_with(b"HTTP/1.0 200").then_some(())?;
        serde_json::from_slice(&answer[head + 4..]).ok()
    }

    fn report(&self) -> Option<Report> {
        self.get("/v1/report")
    }

    /// Waits for a report in which it is so.
    fn wait_for(&self, what: &str, is_so: impl Fn(&Report) -> bool) -> Report {
        let mut last = None;
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for(what, SOON, || {
                last = self.report();
                last.clone().filter(|report| is_so(report))
            })
        }));
        found.unwrap_or_else(|_| panic!("waited for {what}: {:#?}", last.map(|report| troubles(&report))))
    }

    /// Waits until all is as it should be.
    fn wait_until_well(&self) -> Report {
        let seen = |report: &Report| {
            report.cameras.iter().flat_map(|c| &c.streams).all(|stream| stream.newest_committed.is_some())
        };
        self.wait_for("all to be well", |r| r.recording.is_some() && seen(r) && troubles(r).is_empty())
    }

    /// Waits for a finding that begins within two looks of `since`.
    fn sees(&self, since: WallNs, probe: Probe, code: &str, level: Level) -> Report {
        let is = |f: &Finding| f.probe == probe && f.code == code && f.level == level;
        let report = self.wait_for(&format!("{probe} {code}"), |report| report.findings.iter().any(is));
        // A look begins when the one before is an interval old, and takes its time where the recorder hangs.
        let limit = 2 * (INTERVAL + PATIENCE) + Duration::from_secs(2);
        let begun = report.findings.iter().find(|f| is(f)).unwrap().since;
        assert!(begun < since + limit, "{probe} {code}: {} s late", begun.since(since) / 1_000_000_000);
        report
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap())
    }

    /// Ends it as the service manager does.
    fn stop(mut self) {
        kill(self.pid(), Signal::SIGTERM).unwrap();
        let ended = wait_for("the end of health", Duration::from_secs(5), || self.child.try_wait().unwrap());
        assert!(ended.success());
    }

    /// Memory that is its own. The program, which tests have with all that debuggers want, it has in common with the recorder.
    fn memory(&self) -> u64 {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id())).unwrap();
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss_Anon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Health<'_> {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is not as it should be, apart from the machine.
fn troubles(report: &Report) -> Vec<String> {
    let all = report.findings.iter().filter(|f| f.level > Level::Ok && !MACHINE.contains(&f.probe));
    all.map(|f| format!("{} {} {}", f.probe, f.code, f.level)).collect()
}

/// Runs `custodian health`, in English.
fn custodian_health(site: &Site, args: &[&str]) -> Output {
    custodian_health_in("en", site, args)
}

fn custodian_health_in(lang: &str, site: &Site, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_custodian"));
    command.arg("health").args(args).args(["--lang", lang, "--state"]).arg(site.path("state"));
    command.stdin(Stdio::null()).output().unwrap()
}

/// What health has told the ledger so far, and has been taken up: of one kind.
fn entries(site: &Site, kind: &str) -> Vec<What> {
    let public = ledger::public(&site.path("state/ledger"));
    let Ok(verifier) = ledger::verifier(&RealFiles, &public) else { return Vec::new() };
    let Ok(view) = View::open(Arc::new(RealFiles), public, &verifier) else { return Vec::new() };
    let all = view.records(0..view.size()).filter_map(|record| record.ok()?.entry().ok());
    all.map(|entry: Entry| entry.what).filter(|what| what.kind() == kind).collect()
}
