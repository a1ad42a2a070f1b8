//! A machine with a real systemd: Debian's packages in a folder, booted as a container, with `custodian` as its program. It shares
//! this machine's network, so that cameras on loopback can be reached.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use super::wait_for;

/// What is in a machine.
struct System {
    /// Debian's release.
    release: &'static str,
    /// The folder it lies in.
    name: &'static str,
    /// What is in it besides Debian's minimal system.
    packages: &'static str,
}

/// The release with the C library that this machine's programs are linked to.
const PLAIN: System = System {
    release: "bookworm",
    name: "machine-bookworm",
    packages: "systemd,systemd-sysv,dbus,libpam-systemd,util-linux,procps",
};
/// The image's release, with what the image has for its network.
const WIRED: System = System {
    release: "trixie",
    name: "machine-trixie-network",
    packages: "systemd,systemd-sysv,dbus,libpam-systemd,util-linux,procps,udev,iproute2,systemd-resolved,nftables,chrony,usbguard",
};

/// The image's release, with what fetches and checks a version of it.
const UPDATED: System = System {
    release: "trixie",
    name: "machine-trixie-update",
    packages: "systemd,systemd-sysv,dbus,libpam-systemd,util-linux,procps,systemd-container,gpg,gpgv",
};

/// Whether such a machine can be had here; says so if not.
pub fn possible() -> bool {
    is_possible(&PLAIN)
}

/// The same for [`Machine::boot_wired`].
pub fn wired_possible() -> bool {
    is_possible(&WIRED)
}

/// The same for [`Machine::boot_updated`].
pub fn updated_possible() -> bool {
    is_possible(&UPDATED)
}

fn is_possible(system: &System) -> bool {
    let there = |program: &str| Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success());
    if !nix::unistd::geteuid().is_root() {
        super::not_possible("a machine with systemd takes root");
        return false;
    }
    let made = if there("systemd-nspawn") && there("debootstrap") {
        packages(system)
    } else {
        Err("it takes systemd-nspawn and debootstrap".to_owned())
    };
    if let Err(why) = &made {
        super::lacking(&format!("a machine with systemd: {why}"));
    }
    made.is_ok()
}

/// The folder with the packages, made once; or why they cannot be had.
fn packages(system: &System) -> Result<PathBuf, String> {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let root = cache.join(system.name);
    if !root.exists() {
        let made = tempfile::tempdir_in(cache).unwrap();
        let at = made.path().join("root");
        let mut command = Command::new("debootstrap");
        command.args(["--variant=minbase", "--include", system.packages, system.release]).arg(&at);
        let out = command.stdin(Stdio::null()).output().unwrap();
        if !out.status.success() {
            return Err(format!("{command:?}: {}", String::from_utf8_lossy(&out.stdout)));
        }
        // In one step, so that an interrupted one is not taken for whole.
        fs::rename(&at, &root).unwrap();
    }
    Ok(root)
}

/// A booted machine; gone when dropped.
pub struct Machine {
    outside: Child,
    /// Its first process.
    init: String,
    console: PathBuf,
}

impl Machine {
    /// Boots. `binds`: files and folders of this machine, and where they are seen in the other one. All else that is changed there
    /// is forgotten when it ends.
    pub fn boot(dir: &Path, binds: &[(PathBuf, &str)]) -> Self {
        Self::begin(&PLAIN, dir, binds, None)
    }

    /// Boots one in this network namespace (`ip netns`), whose links are its own to set up.
    pub fn boot_wired(dir: &Path, binds: &[(PathBuf, &str)], network: &str) -> Self {
        Self::begin(&WIRED, dir, binds, Some(network))
    }

    /// Boots one that can fetch versions of its system.
    pub fn boot_updated(dir: &Path, binds: &[(PathBuf, &str)]) -> Self {
        Self::begin(&UPDATED, dir, binds, None)
    }

    fn begin(system: &System, dir: &Path, binds: &[(PathBuf, &str)], network: Option<&str>) -> Self {
        let console = dir.join("console");
        let log = fs::File::create(&console).unwrap();
        let mut command = Command::new("systemd-nspawn");
        command.arg("--directory").arg(packages(system).unwrap());
        command.args(["--volatile=overlay", "--boot", "--register=no", "--keep-unit", "--quiet", "--console=pipe"]);
        for (here, there) in binds {
            command.arg(format!("--bind={}:{there}", here.display()));
        }
        if let Some(network) = network {
            command.arg(format!("--network-namespace-path=/run/netns/{network}"));
            command.arg("--capability=CAP_NET_ADMIN");
            command.env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "network");
        }
        let outside = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let pid = outside.id();
        let init = wait_for("the machine's first process", Duration::from_secs(30), || {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
            let init = children.split_whitespace().next()?.to_owned();
            // Before it is systemd, it is the one that prepares.
            fs::read_to_string(format!("/proc/{init}/comm")).ok().filter(|c| c.trim() == "systemd").map(|_| init)
        });
        let machine = Self { outside, init, console };
        wait_for("the machine to have booted", Duration::from_mins(1), || {
            let state = machine.command(&["systemctl", "is-system-running"]).output().unwrap();
            matches!(String::from_utf8_lossy(&state.stdout).trim(), "running" | "degraded").then_some(())
        });
        machine
    }

    fn command(&self, line: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args([
            "--target", &self.init, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd",
        ]);
        command.args(line).stdin(Stdio::null());
        command
    }

    /// What a command in it says, however it ends.
    pub fn try_run(&self, line: &[&str]) -> Output {
        self.command(line).output().unwrap()
    }

    /// What a command in it prints. It must end well.
    pub fn run(&self, line: &[&str]) -> String {
        let out = self.try_run(line);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(out.status.success(), "{line:?}: {}{}", text(&out.stdout), text(&out.stderr));
        text(&out.stdout)
    }

    /// Switches it off in order.
    pub fn power_off(mut self) {
        self.run(&["systemctl", "poweroff", "--no-block"]);
        wait_for("the machine to be off", Duration::from_mins(1), || self.outside.try_wait().unwrap());
    }

    /// Ends it as a power cut does.
    pub fn cut(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // With its first process all the others end. One that is off has none.
        if matches!(self.outside.try_wait(), Ok(Some(_))) {
            return;
        }
        let _ = Command::new("kill").args(["-KILL", &self.init]).status();
        let _ = self.outside.wait();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let journal = self.try_run(&["journalctl", "--no-pager", "-n", "80", "-u", "custodian-*"]);
            let console = fs::read_to_string(&self.console).unwrap_or_default();
            #[expect(clippy::print_stderr, reason = "beside the panic's message")]
            {
                eprintln!(
                    "the machine's journal:\n{}\nits console:\n{console}",
                    String::from_utf8_lossy(&journal.stdout)
                );
            }
        }
        self.end();
    }
}
