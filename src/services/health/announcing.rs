//! Announcing work, for commands: the ledger hears of it before the service takes it.

use anyhow::{Context as _, bail};
use uuid::Uuid;

use super::state::new_salt;
use crate::{
    ledger::{Salted, SilenceChange, What, salt_of, spool},
    services::{
        paths::Paths,
        socket::{self, AskError},
    },
    sys::RealFiles,
    types::{
        CameraId, WallNs,
        wire::health::{Probe, Report, Silence, SilenceEnd, SilenceOrder},
    },
};

/// Nobody announces more at once.
pub use super::state::LONGEST;

/// Work that is to be announced.
#[derive(Debug, Clone)]
pub struct Work {
    /// From now on until when.
    pub span: (WallNs, WallNs),
    /// Which probes; none: all.
    pub probes: Vec<Probe>,
    /// Which cameras; none: all, and what is about no camera.
    pub cameras: Vec<CameraId>,
    /// Who announces it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Announces work. `report` is what the service says now.
///
/// # Errors
/// If the ledger cannot be told, or the service does not take it. Nothing is announced then.
pub async fn begin(paths: &Paths, report: &Report, work: Work) -> anyhow::Result<Silence> {
    let number = |id: &CameraId| {
        let camera = report.cameras.iter().find(|camera| camera.id.as_ref() == Some(id));
        camera
            .map(|camera| camera.number)
            .with_context(|| format!("there is no camera {id} here: nothing was announced"))
    };
    let (from, until) = work.span;
    let silence = Silence {
        id: Uuid::new_v4(),
        from,
        until,
        cameras: work.cameras.iter().map(number).collect::<anyhow::Result<_>>()?,
        probes: work.probes,
        by: work.by,
        reason: work.reason,
    };
    let order = SilenceOrder { silence, salt: new_salt()? };
    let say = |change, until, by: &str, reason: Option<&str>| {
        let salt = salt_of(&order.salt).context("the salt is none")?;
        let what = What::Silence {
            silence: order.silence.id,
            change,
            until,
            probes: order.silence.probes.iter().map(ToString::to_string).collect(),
            cameras: work.cameras.clone(),
            by: Some(Salted::new(&salt, by)),
            reason: reason.map(|reason| Salted::new(&salt, reason)),
        };
        let left = spool::leave(&RealFiles, &paths.ledger_spool(), from, what);
        left.context("the ledger cannot be told, so nothing was announced")
    };
    say(SilenceChange::Begun, until, &order.silence.by, Some(&order.silence.reason))?;
    let socket = paths.health_control_socket();
    let told: Result<serde_json::Value, AskError> = socket::at_once(socket::tell(&socket, "/v1/silence", &order)).await;
    if let Err(e) = told {
        say(SilenceChange::Ended, from, &order.silence.by, None)?;
        return Err(e.of_health()).context("nothing was announced");
    }
    Ok(order.silence)
}

/// Ends announced work by somebody's word: the one whose id begins so.
///
/// # Errors
/// If there is none, or several; if the ledger cannot be told, or the service does not take it.
pub async fn end(paths: &Paths, report: &Report, id: &str, by: String, now: WallNs) -> anyhow::Result<Silence> {
    let digits = id.replace('-', "").to_lowercase();
    let mut found = report.silences.iter().filter(|s| s.id.as_simple().to_string().starts_with(&digits));
    let silence = match (found.next(), found.next()) {
        (Some(silence), None) if digits.len() >= 4 => silence.clone(),
        (Some(_), Some(_)) => bail!("several begin with {id}: write more of the id"),
        (Some(_), None) => bail!("write at least four digits of the id"),
        (None, _) => bail!("no work {id} is announced: `custodian health silence --list` lists what is"),
    };
    let order = SilenceEnd { by, salt: new_salt()? };
    let camera = |number: &u32| report.cameras.iter().find(|c| c.number == *number).and_then(|c| c.id.clone());
    let what = What::Silence {
        silence: silence.id,
        change: SilenceChange::Ended,
        until: now,
        probes: silence.probes.iter().map(ToString::to_string).collect(),
        cameras: silence.cameras.iter().filter_map(camera).collect(),
        by: Some(Salted::new(&salt_of(&order.salt).context("the salt is none")?, &order.by)),
        reason: None,
    };
    spool::leave(&RealFiles, &paths.ledger_spool(), now, what)
        .context("the ledger cannot be told, so nothing was ended")?;
    let path = format!("/v1/silence/{}/end", silence.id);
    let socket = paths.health_control_socket();
    socket::at_once(socket::tell::<serde_json::Value>(&socket, &path, &order)).await.map_err(AskError::of_health)?;
    Ok(silence)
}
