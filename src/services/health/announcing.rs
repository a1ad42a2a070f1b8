//! Announcing work, for commands: the ledger hears of it before the service takes it.

use std::path::Path;

use anyhow::{Context as _, bail};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    ledger::{Salted, SilenceChange, What, new_salt, salt_of, spool},
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
/// If the ledger cannot be told, or the service does not take it. Nothing is announced then, but where the service hangs: the error says so.
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
    let order = SilenceOrder { silence, salt: new_salt().context("random bytes")? };
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
    let Err(e) = tell(&socket, "/v1/silence", &order).await else { return Ok(order.silence) };
    if e.may_be_done() {
        let id = order.silence.id;
        let word = SilenceEnd { by: order.silence.by.clone(), salt: order.salt.clone() };
        if tell(&socket, &format!("/v1/silence/{id}/end"), &word).await.is_err() {
            let id = &id.as_simple().to_string()[..8];
            let why = format!("it may be announced all the same: `custodian health silence --end {id}` settles that");
            return Err(e.of_health()).context(why);
        }
    }
    say(SilenceChange::Ended, from, &order.silence.by, None)?;
    Err(e.of_health()).context("nothing was announced")
}

async fn tell(socket: &Path, path: &str, word: &impl Serialize) -> Result<(), AskError> {
    socket::at_once(socket::tell::<serde_json::Value>(socket, path, word)).await.map(drop)
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
    let order = SilenceEnd { by, salt: new_salt().context("random bytes")? };
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
    tell(&socket, &path, &order).await.map_err(AskError::of_health)?;
    Ok(silence)
}

#[cfg(test)]
mod tests {
    use std::{fs, future::pending};

    use axum::{Json, Router, routing::post};

    use super::*;
    use crate::{
        services::socket::{For, listen},
        types::wire::health::Machine,
    };

    /// What comes of an announcement that a health takes and never answers; `ends`: it answers to its end. With what the ledger hears.
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
        let health =
            Router::new().route("/v1/silence", post(pending::<Json<()>>)).route("/v1/silence/{id}/end", post(ended));
        tokio::spawn(axum::serve(listen(&control, For::Owner).unwrap(), health).into_future());
        let report = serde_json::json!({
            "format": 1, "at": 0, "recorder": null, "version": "", "recording": null, "level": "ok", "findings": [],
            "cameras": [], "volumes": [], "machine": Machine::default(), "generation": null, "checkpoints": [],
            "silences": [], "cost_us": 0,
        });
        let report: Report = serde_json::from_value(report).unwrap();
        let span = (WallNs(0), WallNs(3_600_000_000_000));
        let work = Work { span, probes: Vec::new(), cameras: Vec::new(), by: "Lan".into(), reason: "x".into() };
        let why = format!("{:#}", begin(&paths, &report, work).await.unwrap_err());
        let left = fs::read_dir(paths.ledger_spool()).unwrap().map(|e| fs::read(e.unwrap().path()).unwrap());
        let change = |text: Vec<u8>| {
            let left: serde_json::Value = serde_json::from_slice(&text).unwrap();
            left["what"]["change"].as_str().unwrap().to_owned()
        };
        let mut heard: Vec<String> = left.map(change).collect();
        heard.sort();
        (why, heard)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_answered_too_late_is_ended_or_said_to_hold_perhaps() {
        let (why, heard) = late(true).await;
        assert_eq!(why, "nothing was announced: health: no answer within 5 s: it hangs");
        assert_eq!(heard, ["begun", "ended"]);
        let (why, heard) = late(false).await;
        assert!(why.starts_with("it may be announced all the same: `custodian health silence --end "), "{why}");
        assert_eq!(heard, ["begun"], "nobody knows that it has ended");
    }
}
