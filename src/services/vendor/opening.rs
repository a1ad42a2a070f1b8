//! The school's word: what root does to let the vendor in, and to end that. The ledger first, then health, then the tunnel.

use std::{collections::BTreeSet, time::Duration};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use crate::{
    ledger::{new_salt, spool},
    services::{
        paths::Paths,
        socket::{self, AskError},
    },
    sys::{Clock as _, Commands, Files, RealClock},
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

async fn tell(paths: &Paths, path: &str, word: &impl serde::Serialize) -> Result<(), AskError> {
    let socket = paths.health_control_socket();
    socket::at_once(socket::tell::<serde_json::Value>(&socket, path, word)).await.map(drop)
}

/// Has health shut the door.
async fn shut_out(paths: &Paths) -> anyhow::Result<()> {
    let told = tell(paths, "/v1/vendor/end", &()).await;
    told.map_err(AskError::of_health).context("health has not noted that the vendor's access is over")
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Lets the vendor in.
///
/// # Errors
/// If the ledger, health or the tunnel does not take it. Nobody is let in then who was not before, but where health hangs: the error says so.
pub fn allow(paths: &Paths, files: &dyn Files, commands: &dyn Commands, order: &Order) -> anyhow::Result<()> {
    runtime()?.block_on(let_in(paths, files, commands, order))
}

async fn let_in(paths: &Paths, files: &dyn Files, commands: &dyn Commands, order: &Order) -> anyhow::Result<()> {
    let salt = new_salt().context("random bytes")?;
    let word = VendorAllow { until: order.until, by: order.by.clone(), reason: order.reason.clone(), salt };
    spool::leave(files, &paths.ledger_spool(), RealClock.wall(), super::allowed(&word)?)
        .context("the ledger does not take it, so nobody is let in")?;
    if let Err(e) = tell(paths, "/v1/vendor", &word).await {
        if !e.may_be_done() {
            return Err(e.of_health()).context("health has not taken it");
        }
        // What was allowed before ends with it: nobody knows which of them holds.
        let shut = shut_all(commands, &order.tunnel);
        let told = shut_out(paths).await;
        let ended: anyhow::Result<()> = shut.into_iter().chain([told]).collect();
        ended.context("the vendor may be let in all the same: `custodian vendor end` settles that")?;
        return Err(e.of_health()).context("the vendor's access is ended, because health has not taken it in time");
    }
    if let Some(tunnel) = &order.tunnel
        && let Err(e) = open(commands, tunnel, order.length)
    {
        let shut = shut(commands, tunnel);
        shut_out(paths).await?;
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
    let shut = shut_all(commands, tunnels);
    let told = runtime().map_err(Into::into).and_then(|runtime| runtime.block_on(shut_out(paths)));
    shut.into_iter().chain([told]).collect()
}

fn shut_all<'a>(commands: &dyn Commands, tunnels: impl IntoIterator<Item = &'a String>) -> Vec<anyhow::Result<()>> {
    tunnels.into_iter().map(|tunnel| shut(commands, tunnel)).collect()
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
    use std::{fs, future::pending, io};

    use axum::{Json, Router, routing::post};

    use super::*;
    use crate::{
        services::socket::{For, listen},
        sys::{FakeCommands, Output, RealFiles},
    };

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
        let whole = "health has not noted that the vendor's access is over: health does not answer at ";
        assert!(health.starts_with(whole), "{health}");
    }

    /// What comes of a permission that a health takes and never answers; `ends`: it answers to its end. With what was done to the tunnel.
    async fn late(ends: bool) -> (String, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(dir.path());
        let control = paths.health_control_socket();
        fs::create_dir(paths.run()).unwrap();
        fs::create_dir(control.parent().unwrap()).unwrap();
        let ended = move || async move {
            if !ends {
                pending::<()>().await;
            }
            Json(serde_json::json!({}))
        };
        let health = Router::new().route("/v1/vendor", post(pending::<Json<()>>)).route("/v1/vendor/end", post(ended));
        tokio::spawn(axum::serve(listen(&control, For::Owner).unwrap(), health).into_future());
        let fine = FakeCommands::new(|_: &str, _: &[&str]| Ok(Output { code: Some(0), ..Output::default() }));
        let order = Order {
            until: WallNs(7_200_000_000_000),
            length: Duration::from_hours(2),
            by: "Lan".into(),
            reason: "x".into(),
            tunnel: Some("t.service".into()),
        };
        let why = format!("{:#}", let_in(&paths, &RealFiles, &fine, &order).await.unwrap_err());
        assert_eq!(fs::read_dir(paths.ledger_spool()).unwrap().count(), 1, "the ledger knows of it");
        (why, fine.asked())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_answered_too_late_is_ended_or_said_to_hold_perhaps() {
        let (why, asked) = late(true).await;
        let whole = "the vendor's access is ended, because health has not taken it in time: health: no answer within 5 s: it hangs";
        assert_eq!(why, whole);
        assert_eq!(
            asked,
            ["systemctl stop t.service".to_owned(), format!("systemctl stop {}.timer", ending("t.service"))]
        );
        let (why, asked) = late(false).await;
        assert!(
            why.starts_with("the vendor may be let in all the same: `custodian vendor end` settles that: "),
            "{why}"
        );
        assert!(!asked.iter().any(|line| line.contains(" start ")), "{asked:?}");
    }
}
