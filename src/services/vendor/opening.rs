//! The school's word: what root does to let the vendor in, and to end that. The ledger first, then health, then the tunnel.

use std::time::Duration;

use anyhow::Context as _;

use crate::{
    ledger::spool,
    services::{paths::Paths, socket},
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
    told.context("health has not taken it")?;
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
    tell(paths, "/v1/vendor", &word)?;
    if let Some(tunnel) = &order.tunnel
        && let Err(e) = open(commands, tunnel, order.length)
    {
        tell(paths, "/v1/vendor/end", &())?;
        shut(commands, tunnel);
        return Err(e.context("there is no tunnel, so nobody is let in"));
    }
    Ok(())
}

/// Ends it.
///
/// # Errors
/// If health cannot note it; it shuts the door all the same.
pub fn end(paths: &Paths, commands: &dyn Commands, tunnel: Option<&str>) -> anyhow::Result<()> {
    // The tunnel goes down whatever health says.
    tunnel.into_iter().for_each(|tunnel| shut(commands, tunnel));
    tell(paths, "/v1/vendor/end", &())
}

fn run(commands: &dyn Commands, program: &str, args: &[&str]) -> anyhow::Result<()> {
    let out = commands.run(program, args, b"", LIMIT)?;
    anyhow::ensure!(out.ok(), "{program} {}: {}", args.join(" "), out.stderr);
    Ok(())
}

/// Its end is arranged before it is begun.
fn open(commands: &dyn Commands, tunnel: &str, length: Duration) -> anyhow::Result<()> {
    // One that was allowed before, for another time.
    let timer = format!("{END}.timer");
    let _ = run(commands, "systemctl", &["stop", &timer]);
    let after = format!("--on-active={}s", length.as_secs());
    let unit = format!("--unit={END}");
    run(commands, "systemd-run", &["--quiet", "--collect", &unit, &after, "systemctl", "stop", tunnel])?;
    run(commands, "systemctl", &["start", tunnel])
}

fn shut(commands: &dyn Commands, tunnel: &str) {
    for unit in [tunnel, &format!("{END}.timer")] {
        if let Err(e) = run(commands, "systemctl", &["stop", unit]) {
            log::warn!("{unit} does not stop: {e:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::sys::{FakeCommands, Output};

    #[test]
    fn the_end_of_a_tunnel_is_arranged_before_it_begins() {
        let fine = FakeCommands::new(|_: &str, _: &[&str]| Ok(Output { code: Some(0), ..Output::default() }));
        open(&fine, "wg-quick@vendor.service", Duration::from_hours(2)).unwrap();
        assert_eq!(
            fine.asked(),
            [
                "systemctl stop custodian-vendor-end.timer",
                "systemd-run --quiet --collect --unit=custodian-vendor-end --on-active=7200s systemctl stop wg-quick@vendor.service",
                "systemctl start wg-quick@vendor.service",
            ]
        );
        let none = FakeCommands::new(|program: &str, _: &[&str]| match program {
            "systemd-run" => Err(io::Error::new(io::ErrorKind::NotFound, "no systemd-run")),
            _ => Ok(Output { code: Some(0), ..Output::default() }),
        });
        assert!(open(&none, "t.service", Duration::from_hours(2)).is_err());
        assert!(!none.asked().iter().any(|line| line.contains(" start ")), "no end, no tunnel");
    }
}
