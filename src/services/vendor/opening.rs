//! The school's word: what root does to let the vendor in, and to end that. The ledger first, then health, then the tunnel.

use std::{collections::BTreeSet, time::Duration};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use crate::{
    ledger::spool,
    services::{
        paths::Paths,
        socket::{self, AskError},
    },
    sys::{Clock as _, Commands, Files, RealClock, random},
    types::{WallNs, wire::health::VendorAllow},
};

/// How long the service manager may take.
const LIMIT: Duration = Duration::from_secs(30);
/// The unit that ends the tunnel when the time is over, by the time since boot.
const END: &str = "custodian-vendor-end";

/// What is allowed.
#[derive(Debug, Clone)]
pub struct Order {
    /// Until when.
    pub until: WallNs,
    /// For how long.
    pub length: Duration,
    /// Who allows it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The unit that makes the tunnel.
    pub tunnel: Option<String>,
}

fn tell(paths: &Paths, path: &str, word: &impl serde::Serialize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let socket = paths.health_control_socket();
    let told = runtime.block_on(socket::at_once(socket::tell::<serde_json::Value>(&socket, path, word)));
    told.map_err(AskError::of_health).context("health has not taken it")?;
    Ok(())
}

/// Lets the vendor in.
///
/// # Errors
/// If the ledger, health or the tunnel does not take it. Nobody is let in then.
pub fn allow(paths: &Paths, files: &dyn Files, commands: &dyn Commands, order: &Order) -> anyhow::Result<()> {
    let salt = format!("{:032x}", u128::from_be_bytes(random().context("random bytes")?));
    let word = VendorAllow { until: order.until, by: order.by.clone(), reason: order.reason.clone(), salt };
    spool::leave(files, &paths.ledger_spool(), RealClock.wall(), super::allowed(&word)?)
        .context("the ledger does not take it, so nobody is let in")?;
    if let Err(e) = tell(paths, "/v1/vendor", &word) {
        // What is answered too late may have been done.
        if matches!(e.downcast_ref(), Some(AskError::Slow(_))) {
            tell(paths, "/v1/vendor/end", &())
                .context("whether the vendor is let in is not known: `custodian vendor end`")?;
        }
        return Err(e);
    }
    if let Some(tunnel) = &order.tunnel
        && let Err(e) = open(commands, tunnel, order.length)
    {
        let shut = shut(commands, tunnel);
        tell(paths, "/v1/vendor/end", &())?;
        shut?;
        return Err(e.context("there is no tunnel, so nobody is let in"));
    }
    Ok(())
}

/// Ends it.
///
/// # Errors
/// If a tunnel does not stop, or health cannot note it; it shuts the door all the same.
pub fn end(paths: &Paths, commands: &dyn Commands, tunnels: &BTreeSet<String>) -> anyhow::Result<()> {
    // The tunnels go down whatever health says.
    let shut: Vec<_> = tunnels.iter().map(|tunnel| shut(commands, tunnel)).collect();
    let told = tell(paths, "/v1/vendor/end", &()).context("health has not noted that the vendor's access is over");
    shut.into_iter().chain([told]).collect()
}

fn run(commands: &dyn Commands, program: &str, args: &[&str]) -> anyhow::Result<()> {
    let out = commands.run(program, args, b"", LIMIT)?;
    anyhow::ensure!(out.ok(), "{program} {}: {}", args.join(" "), out.stderr);
    Ok(())
}

/// The unit that ends this tunnel: each has its own, so that another one is not kept from ending. It does not say the tunnel's name, which
/// may be the school's.
fn ending(tunnel: &str) -> String {
    let digest = Sha256::digest(tunnel);
    format!("{END}-{:08x}", u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]))
}

/// Its end is arranged before it is begun.
fn open(commands: &dyn Commands, tunnel: &str, length: Duration) -> anyhow::Result<()> {
    let unit = ending(tunnel);
    // One that was allowed before, for another time.
    let _ = run(commands, "systemctl", &["stop", &format!("{unit}.timer")]);
    let (after, unit) = (format!("--on-active={}s", length.as_secs()), format!("--unit={unit}"));
    let describe = "--description=ends the vendor's tunnel";
    run(commands, "systemd-run", &["--quiet", "--collect", &unit, describe, &after, "systemctl", "stop", tunnel])?;
    run(commands, "systemctl", &["start", tunnel])
}

/// Its timer goes last: it is what ends a tunnel that does not stop now.
fn shut(commands: &dyn Commands, tunnel: &str) -> anyhow::Result<()> {
    run(commands, "systemctl", &["stop", tunnel]).with_context(|| format!("the tunnel {tunnel} does not stop"))?;
    // There is none where its time was over already.
    if let Err(e) = run(commands, "systemctl", &["stop", &format!("{}.timer", ending(tunnel))]) {
        log::debug!("{e:#}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::sys::{FakeCommands, Output};

    #[test]
    fn the_end_of_a_tunnel_is_arranged_before_it_begins() {
        let unit = ending("wg-quick@vendor.service");
        assert!(unit != ending("wg-quick@other.service") && unit.starts_with("custodian-vendor-end-"), "{unit}");
        let fine = FakeCommands::new(|_: &str, _: &[&str]| Ok(Output { code: Some(0), ..Output::default() }));
        open(&fine, "wg-quick@vendor.service", Duration::from_hours(2)).unwrap();
        assert_eq!(
            fine.asked(),
            [
                format!("systemctl stop {unit}.timer"),
                format!(
                    "systemd-run --quiet --collect --unit={unit} --description=ends the vendor's tunnel --on-active=7200s systemctl stop wg-quick@vendor.service"
                ),
                "systemctl start wg-quick@vendor.service".into(),
            ]
        );
        let none = FakeCommands::new(|program: &str, _: &[&str]| match program {
            "systemd-run" => Err(io::Error::new(io::ErrorKind::NotFound, "no systemd-run")),
            _ => Ok(Output { code: Some(0), ..Output::default() }),
        });
        assert!(open(&none, "t.service", Duration::from_hours(2)).is_err());
        assert!(!none.asked().iter().any(|line| line.contains(" start ")), "no end, no tunnel");
    }

    #[test]
    fn a_tunnel_that_does_not_stop_keeps_its_timer_and_the_others_stop() {
        let stuck = FakeCommands::new(|_: &str, args: &[&str]| {
            Ok(Output { code: Some(i32::from(args.contains(&"a.service"))), ..Output::default() })
        });
        let (dir, both) = (tempfile::tempdir().unwrap(), BTreeSet::from(["a.service".into(), "b.service".into()]));
        // Health does not run.
        let why = end(&Paths::new(dir.path()), &stuck, &both).unwrap_err().to_string();
        assert_eq!(why, "the tunnel a.service does not stop");
        let timer = format!("systemctl stop {}.timer", ending("b.service"));
        assert_eq!(stuck.asked(), ["systemctl stop a.service", "systemctl stop b.service", &*timer]);
        let health = format!("{:#}", end(&Paths::new(dir.path()), &stuck, &BTreeSet::new()).unwrap_err());
        let whole = "health has not noted that the vendor's access is over: health has not taken it: health does not answer at ";
        assert!(health.starts_with(whole), "{health}");
    }
}
