//! From site.toml and secrets.toml to what capture records, at the start and at every reload.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use anyhow::Context as _;

use super::{Shared, hours, upkeep};
use crate::{
    capture::{Credentials, StreamConfig, Transport},
    plan,
    site::{self, Site, secrets::Secrets},
    store::Place,
    types::{CameraId, RecorderId, wire},
};

/// The files that say what to do.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub site: PathBuf,
    pub secrets: PathBuf,
}

impl Files {
    /// Reads both; nothing is taken from one if the other is wrong.
    pub(super) fn read(&self) -> anyhow::Result<(Site, Secrets)> {
        let site = site::load(&self.site)?;
        let needed = site.cameras().iter().any(|c| c.credentials.is_some());
        let secrets =
            if needed || self.secrets.exists() { site::secrets::load(&self.secrets)? } else { Secrets::default() };
        secrets.cover(&site)?;
        Ok((site, secrets))
    }
}

/// What is read of the plan that stands beside an applied site.
#[derive(Debug, serde::Deserialize)]
struct Laid {
    base: plan::Base,
    layout: plan::Layout,
}

/// Where each camera belongs: as the plan of this very site lays them, and as the site itself says.
pub(super) fn places(files: &Files, site: &Site) -> HashMap<CameraId, Place> {
    let path = files.site.with_file_name("plan.json");
    let laid = match std::fs::read(&path) {
        Ok(text) => serde_json::from_slice::<Laid>(&text).map_err(|e| e.to_string()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(String::new()),
        Err(e) => Err(e.to_string()),
    };
    let mut layout = plan::Layout::new();
    match laid {
        Ok(laid) if laid.base.site == plan::hex(&site.hash()) => {
            layout = laid.layout;
        }
        Ok(_) => {
            log::warn!(FILE:% = path.display(); "{} is the plan of another site.toml: cameras are laid on volumes without it", path.display());
        }
        Err(e) if e.is_empty() => {}
        Err(e) => log::warn!(FILE:% = path.display(), CAUSE:% = e; "{} is not used: {e}", path.display()),
    }
    let mut places = HashMap::new();
    for c in site.cameras() {
        let volumes = layout.remove(&c.id).unwrap_or_else(|| c.volume.clone().into_iter().collect());
        places.insert(c.id.clone(), Place { volumes, copies: c.copies });
    }
    places
}

/// Which recorder this is.
pub(in crate::services) fn recorder(site: &Site, wanted: Option<&RecorderId>) -> anyhow::Result<RecorderId> {
    let names = || site.recorders().map(|r| r.id.as_str()).collect::<Vec<_>>().join(", ");
    match wanted {
        Some(id) => {
            site.recorder(id).with_context(|| format!("the site has no recorder {id}: it has {}", names()))?;
            Ok(id.clone())
        }
        None if site.recorders().len() == 1 => {
            site.recorders().next().map(|r| r.id.clone()).context("the site has no recorder")
        }
        None => anyhow::bail!("the site has several recorders ({}): say which one this is with --recorder", names()),
    }
}

/// What capture is to do for this recorder's cameras.
pub(super) fn streams(site: &Site, secrets: &Secrets, recorder: &RecorderId) -> Vec<StreamConfig> {
    let one = |camera: &site::Camera| -> Vec<StreamConfig> {
        let credentials = camera
            .credentials
            .as_ref()
            .and_then(|name| secrets.credentials(name))
            .map(|c| Credentials { username: c.username.clone(), password: c.password.reveal().to_owned() });
        camera
            .streams()
            .map(|(kind, url, record)| StreamConfig {
                camera: camera.id.clone(),
                camera_name: camera.name.clone(),
                kind,
                url: url.clone(),
                credentials: credentials.clone(),
                transport: match camera.transport {
                    site::Transport::Tcp => Transport::Tcp,
                    site::Transport::Udp => Transport::Udp,
                },
                record,
                short: false,
            })
            .collect()
    };
    site.cameras_of(recorder).flat_map(one).collect()
}

/// Reads the files again and changes what must be changed.
pub(super) fn reload(shared: &Shared) -> anyhow::Result<wire::Reloaded> {
    let (site, secrets) = shared.files.read()?;
    site.recorder(&shared.recorder)
        .with_context(|| format!("recorder {} is not in {} any more", shared.recorder, shared.files.site.display()))?;
    // Before a camera's footage has its new name.
    shared.holds.follow(&site, &shared.recorder, shared.clock.wall());
    shared.store.lay(places(&shared.files, &site));
    let changes = hours::take_over(shared, &site, streams(&site, &secrets, &shared.recorder));
    let site = Arc::new(site);
    upkeep::expect_volumes(shared, &site);
    // Once a reload is answered nothing goes by the former rules.
    shared.holds.unsteadily(|| *shared.site.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = site);
    log::info!(
        "site read again: {} cameras added, {} removed, {} changed, {} untouched",
        changes.added.len(),
        changes.removed.len(),
        changes.changed.len(),
        changes.untouched
    );
    Ok(changes)
}
