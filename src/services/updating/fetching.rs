//! Fetching because a person at the console asks: from a stick, or from the server that the site names.
//!
//! The console is root's and has many rights, and what comes from outside is nobody's: systemd-pull, which reads it and judges its signature,
//! runs in a unit that can write nothing but the folder of updates, as in `custodian-fetch.service`.

use std::{
    cell::RefCell,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use url::Url;

use super::{act_by, in_force};
use crate::{
    services::{
        paths::Paths,
        stick::{Stick, StickError},
    },
    sys::{Commands, Output, RealCommands},
    types::merkle::Hash,
    update::{Bring, Fetched, PULL, Source, UpdateError, Version},
};

/// The folder on a stick.
const FOLDER: &str = "update";
/// The list in it.
const LIST: &str = "SHA256SUMS";

/// systemd.exec(5), systemd.resource-control(5): what `custodian-fetch.service` has.
const CAGE: &[&str] = &[
    "--quiet",
    "--collect",
    "--wait",
    "--pipe",
    "--service-type=exec",
    "--description=custodian: fetches a version",
    "--setenv=LC_ALL=C.UTF-8",
    "--property=RuntimeMaxSec=3h",
    "--property=Nice=19",
    "--property=CPUSchedulingPolicy=idle",
    "--property=CPUWeight=idle",
    "--property=IOSchedulingClass=idle",
    "--property=IOWeight=10",
    "--property=OOMScoreAdjust=500",
    "--property=UMask=0077",
    "--property=InaccessiblePaths=-/var/lib/custodian/record -/var/lib/custodian/volumes -/var/lib/custodian/backups -/run/custodian",
    "--property=InaccessiblePaths=-/run/credstore -/etc/credstore -/etc/custodian",
    "--property=CapabilityBoundingSet=",
    "--property=DevicePolicy=closed",
    "--property=KeyringMode=private",
    "--property=LockPersonality=yes",
    "--property=MemoryDenyWriteExecute=yes",
    "--property=NoNewPrivileges=yes",
    "--property=PrivateDevices=yes",
    "--property=PrivateTmp=yes",
    "--property=ProtectClock=yes",
    "--property=ProtectControlGroups=yes",
    "--property=ProtectHome=yes",
    "--property=ProtectHostname=yes",
    "--property=ProtectKernelLogs=yes",
    "--property=ProtectKernelModules=yes",
    "--property=ProtectKernelTunables=yes",
    "--property=ProtectProc=invisible",
    "--property=ProtectSystem=strict",
    "--property=RestrictNamespaces=yes",
    "--property=RestrictRealtime=yes",
    "--property=RestrictSUIDSGID=yes",
    "--property=SystemCallArchitectures=native",
    "--property=SystemCallErrorNumber=EPERM",
    "--property=SystemCallFilter=@system-service",
    "--property=SystemCallFilter=~@privileged @resources",
];

/// Runs systemd-pull in its cage, and all else as it is.
struct Caged<'a> {
    commands: &'a dyn Commands,
    /// All that it may write to.
    updates: PathBuf,
}

impl Commands for Caged<'_> {
    fn run(&self, program: &str, args: &[&str], input: &[u8], limit: Duration) -> io::Result<Output> {
        if program != PULL {
            return self.commands.run(program, args, input, limit);
        }
        let writes = format!("--property=ReadWritePaths={}", self.updates.display());
        // What lies here already comes without a network.
        let network: &[&str] = if args.iter().any(|a| a.starts_with("file:")) {
            &["--property=PrivateNetwork=yes", "--property=RestrictAddressFamilies=AF_UNIX"]
        } else {
            &["--property=RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK"]
        };
        let args = [CAGE, network, &[&writes, "--", program], args].concat();
        self.commands.run("systemd-run", &args, input, limit)
    }
}

fn fetch(state: &Path, from: Source<'_>, again: Option<&Version>) -> anyhow::Result<Fetched> {
    let caged = Caged { commands: &RealCommands, updates: Paths::new(state).updates() };
    act_by(&caged, state, |updates| Ok(updates.fetch_from(from, again)?))
}

/// The server's folder that the site in force names.
pub fn server(state: &Path) -> Option<Url> {
    in_force(state)?.update_url().cloned()
}

/// Fetches from there, due or not.
///
/// # Errors
/// If it cannot be reached, is not signed, and the like.
pub fn fetch_now(state: &Path, from: &Url, again: Option<&Version>) -> anyhow::Result<Fetched> {
    fetch(state, Source::Url(from.as_str()), again)
}

/// How many bytes have come of what is being fetched.
pub fn fetched_so_far(state: &Path) -> u64 {
    let files = fs::read_dir(Paths::new(state).updates().join("new")).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).filter(fs::Metadata::is_file).map(|meta| meta.len()).sum()
}

/// Is told which file has come how far, and says whether to go on.
pub type Tell<'a> = &'a mut dyn FnMut(&str, u64) -> bool;

/// Fetches from the folder `update` of a stick. `tell` hears which file has come how far, and says whether to go on.
///
/// # Errors
/// As from a server; and what is wrong with the stick, as [`UpdateError::Brought`].
pub fn fetch_from_stick(
    state: &Path,
    stick: &Stick<'_>,
    again: Option<&Version>,
    tell: Tell<'_>,
) -> anyhow::Result<Fetched> {
    fetch(state, Source::Brought(&OnStick::new(stick, tell)), again)
}

/// The update directory on a stick.
pub struct OnStick<'a, 'b> {
    stick: &'a Stick<'b>,
    tell: RefCell<Tell<'a>>,
}

impl<'a, 'b> OnStick<'a, 'b> {
    /// The one of this stick.
    pub fn new(stick: &'a Stick<'b>, tell: Tell<'a>) -> Self {
        Self { stick, tell: RefCell::new(tell) }
    }
}

impl Bring for OnStick<'_, '_> {
    fn bring(&self, name: &str, to: &Path, most: u64) -> Result<Hash, UpdateError> {
        let mut tell = self.tell.borrow_mut();
        let copied = self.stick.copy(&format!("{FOLDER}/{name}"), to, most, &mut |done| tell(name, done));
        copied.map_err(|e| {
            let e = match e {
                StickError::Lacks(_) if name == LIST => StickError::NoUpdate,
                e => e,
            };
            UpdateError::Brought(Box::new(e))
        })
    }

    fn name(&self) -> String {
        format!("the stick's folder {FOLDER}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::FakeCommands;

    #[test]
    fn what_reads_what_comes_from_outside_can_write_updates_and_nothing_else() {
        let fake = FakeCommands::new(|_: &str, _: &[&str]| Ok(Output { code: Some(0), ..Output::default() }));
        let caged = Caged { commands: &fake, updates: "/state/updates".into() };
        caged.run(PULL, &["raw", "file:///state/updates/x", "/state/updates/y"], b"", Duration::ZERO).unwrap();
        caged.run(PULL, &["raw", "https://updates.example/x", "/state/updates/y"], b"", Duration::ZERO).unwrap();
        caged.run("bootctl", &["list"], b"", Duration::ZERO).unwrap();
        let asked = fake.asked();
        let end =
            |from: &str| format!(" --property=ReadWritePaths=/state/updates -- {PULL} raw {from} /state/updates/y");
        for (line, from) in asked.iter().zip(["file:///state/updates/x", "https://updates.example/x"]) {
            assert!(line.starts_with("systemd-run --quiet ") && line.ends_with(&end(from)), "{line}");
            for property in ["ProtectSystem=strict", "CapabilityBoundingSet=", "PrivateDevices=yes"] {
                assert!(line.contains(&format!("--property={property} ")), "{property}");
            }
            assert_eq!(line.contains("PrivateNetwork=yes"), from.starts_with("file:"), "{line}");
        }
        assert_eq!(asked[2], "bootctl list");
    }

    /// The transient unit and the one that looks by itself are the same cage.
    #[test]
    fn the_cage_is_that_of_the_service() {
        let unit = include_str!("../../../modules/units/custodian-fetch.service");
        let own = ["Type=", "ExecStart=", "TimeoutStartSec=", "ReadWritePaths=", "SupplementaryGroups=", "Ambient"];
        let service = unit.split("[Service]\n").nth(1).unwrap();
        for line in service.lines().filter(|l| l.contains('=') && !l.starts_with('#')) {
            let is_own = own.iter().any(|name| line.starts_with(name)) || line.starts_with("RestrictAddressFamilies=");
            assert!(is_own || CAGE.contains(&&*format!("--property={line}")), "{line}");
        }
    }
}
