//! The service manager, by systemctl's exit codes.

use std::{io, time::Duration};

use super::Outcome;
use crate::{plan::is_mount, sys::Commands};

/// Why the service manager did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ManagerError {
    /// It said no.
    #[error("{command}: {why}")]
    Refused {
        /// What it was asked.
        command: String,
        /// What it said.
        why: String,
    },
    /// It could not be asked.
    #[error("the service manager could not be asked")]
    Away(#[from] io::Error),
}

/// Starts and stops units. Each call says whether it changed something.
pub trait Manager: Send + Sync {
    /// Reads all units again.
    fn reload_manager(&self) -> Result<Outcome, ManagerError>;
    /// Starts a unit, and waits for it or not.
    fn start(&self, unit: &str, wait: bool) -> Result<Outcome, ManagerError>;
    /// Stops a unit.
    fn stop(&self, unit: &str) -> Result<Outcome, ManagerError>;
    /// Stops and starts a unit.
    fn restart(&self, unit: &str) -> Result<Outcome, ManagerError>;
    /// Lets a unit read its files again; starts it if it does not run.
    fn reload(&self, unit: &str) -> Result<Outcome, ManagerError>;
    /// Lets a service of the system's take its files up, if it runs.
    fn refresh(&self, unit: &str) -> Result<Outcome, ManagerError> {
        self.reload(unit)
    }
    /// Sees to it that a generation's trial is looked at after that time.
    fn arm(&self, generation: u64, after: Duration) -> Result<(), ManagerError>;
    /// Takes that back. No error if there is nothing.
    fn disarm(&self, generation: u64) -> Result<(), ManagerError>;
}

/// systemd, by its command-line tools.
pub struct Systemctl<'a> {
    commands: &'a dyn Commands,
    /// What a trial's timer runs.
    expire: Vec<String>,
}

/// Longest time for a unit to start or stop: the recorder writes what it has, a disk may be slow to show up.
const LIMIT: Duration = Duration::from_mins(4);
/// For a mount: then nobody waits any longer, but systemd goes on with it. A disk may be replaying its log, or wait for a passphrase.
const MOUNT: Duration = Duration::from_secs(30);
/// For what systemd answers by itself.
const SHORT: Duration = Duration::from_secs(30);

impl<'a> Systemctl<'a> {
    /// `expire` is the command line that takes back a trial whose time has run out.
    pub fn new(commands: &'a dyn Commands, expire: Vec<String>) -> Self {
        Self { commands, expire }
    }

    fn ask(&self, program: &str, args: &[&str], limit: Duration) -> Result<(), ManagerError> {
        let out = self.commands.run(program, args, &[], limit)?;
        if out.ok() {
            return Ok(());
        }
        let code = out.code.map_or_else(|| "ended by a signal".to_owned(), |c| format!("exit code {c}"));
        let why = if out.stderr.is_empty() { code } else { out.stderr };
        Err(ManagerError::Refused { command: format!("{program} {}", args.join(" ")), why })
    }

    /// `active`, `activating`, `inactive`, …; systemctl prints it whatever its exit code.
    fn state(&self, unit: &str) -> Result<String, ManagerError> {
        let out = self.commands.run("systemctl", &["is-active", unit], &[], SHORT)?;
        Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
    }

    /// Whether there is nothing to stop. One that is starting is stopped too.
    fn is_down(&self, unit: &str) -> Result<bool, ManagerError> {
        Ok(matches!(&*self.state(unit)?, "inactive" | "failed" | "unknown"))
    }
}

fn timer(generation: u64) -> String {
    format!("custodian-trial-{generation}")
}

impl Manager for Systemctl<'_> {
    fn reload_manager(&self) -> Result<Outcome, ManagerError> {
        self.ask("systemctl", &["daemon-reload"], LIMIT).map(|()| Outcome::Changed)
    }

    fn start(&self, unit: &str, wait: bool) -> Result<Outcome, ManagerError> {
        if self.state(unit)? == "active" {
            return Ok(Outcome::AsItWas);
        }
        let args: &[&str] = if wait { &["start", unit] } else { &["start", "--no-block", unit] };
        let limit = if is_mount(unit) { MOUNT } else { LIMIT };
        self.ask("systemctl", args, limit).map(|()| Outcome::Changed)
    }

    fn stop(&self, unit: &str) -> Result<Outcome, ManagerError> {
        if self.is_down(unit)? {
            return Ok(Outcome::AsItWas);
        }
        self.ask("systemctl", &["stop", unit], LIMIT).map(|()| Outcome::Changed)
    }

    fn restart(&self, unit: &str) -> Result<Outcome, ManagerError> {
        self.ask("systemctl", &["restart", unit], LIMIT).map(|()| Outcome::Changed)
    }

    fn reload(&self, unit: &str) -> Result<Outcome, ManagerError> {
        self.ask("systemctl", &["reload-or-restart", unit], LIMIT).map(|()| Outcome::Changed)
    }

    fn refresh(&self, unit: &str) -> Result<Outcome, ManagerError> {
        // One that has failed, perhaps by what it was given before, is tried again. One that is not there is not missed.
        if matches!(&*self.state(unit)?, "inactive" | "unknown") {
            return Ok(Outcome::NotNeeded);
        }
        self.reload(unit)
    }

    fn arm(&self, generation: u64, after: Duration) -> Result<(), ManagerError> {
        // One that a cut left behind.
        self.disarm(generation)?;
        let unit = format!("--unit={}", timer(generation));
        // Whole seconds, and one more: it must not come before the time has run out.
        let after = format!("--on-active={}s", after.as_secs() + 1);
        let mut args = vec!["--quiet", "--collect", &unit, &after, "--timer-property=AccuracySec=1s", "--"];
        args.extend(self.expire.iter().map(String::as_str));
        self.ask("systemd-run", &args, SHORT)
    }

    fn disarm(&self, generation: u64) -> Result<(), ManagerError> {
        let unit = format!("{}.timer", timer(generation));
        if self.is_down(&unit)? {
            return Ok(());
        }
        self.ask("systemctl", &["stop", &unit], SHORT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{FakeCommands, Output};

    #[test]
    fn systemd_is_asked_by_exit_codes() {
        let commands = FakeCommands::new(|_, args: &[&str]| {
            let (code, stdout, stderr) = match args {
                ["is-active", "up.mount"] => (0, "active\n", ""),
                ["is-active", "slow.mount"] => (3, "activating\n", ""),
                ["is-active", "chronyd.service"] => (3, "failed\n", ""),
                ["is-active", ..] => (3, "inactive\n", ""),
                ["reload-or-restart", ..] => (1, "", "Job failed."),
                _ => (0, "", ""),
            };
            Ok(Output { code: Some(code), stdout: stdout.into(), stderr: stderr.into() })
        });
        let systemd =
            Systemctl::new(&commands, vec!["/usr/bin/custodian".into(), "rollback".into(), "--expired".into()]);
        assert_eq!(systemd.start("up.mount", true).unwrap(), Outcome::AsItWas);
        assert_eq!(systemd.start("down.mount", false).unwrap(), Outcome::Changed);
        assert_eq!(systemd.stop("down.mount").unwrap(), Outcome::AsItWas);
        assert_eq!(systemd.stop("slow.mount").unwrap(), Outcome::Changed);
        let refused = systemd.reload("custodian-record.service").unwrap_err();
        assert_eq!(refused.to_string(), "systemctl reload-or-restart custodian-record.service: Job failed.");
        assert_eq!(systemd.refresh("usbguard.service").unwrap(), Outcome::NotNeeded);
        assert!(systemd.refresh("chronyd.service").is_err(), "one that has failed is tried again");
        systemd.arm(7, Duration::from_mins(5)).unwrap();
        systemd.disarm(7).unwrap();
        assert_eq!(
            commands.asked(),
            [
                "systemctl is-active up.mount",
                "systemctl is-active down.mount",
                "systemctl start --no-block down.mount",
                "systemctl is-active down.mount",
                "systemctl is-active slow.mount",
                "systemctl stop slow.mount",
                "systemctl reload-or-restart custodian-record.service",
                "systemctl is-active usbguard.service",
                "systemctl is-active chronyd.service",
                "systemctl reload-or-restart chronyd.service",
                "systemctl is-active custodian-trial-7.timer",
                "systemd-run --quiet --collect --unit=custodian-trial-7 --on-active=301s --timer-property=AccuracySec=1s -- \
                 /usr/bin/custodian rollback --expired",
                "systemctl is-active custodian-trial-7.timer",
            ]
        );
    }
}
