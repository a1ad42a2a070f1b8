//! Recovery keys that are typed at the console, for volumes that this machine cannot open.

use anyhow::Context as _;

use super::{Dialog, t};
use crate::{disks::RecoveryKey, plan::Recover, services::recovering::Keys, types::VolumeName};

/// How often one may be wrong.
const TRIES: usize = 3;

pub(super) struct Asked<'a, 'b> {
    dialog: &'a mut Dialog<'b>,
    /// The volume that was asked for last, and how often.
    last: Option<(VolumeName, usize)>,
}

impl<'a, 'b> Asked<'a, 'b> {
    pub(super) fn new(dialog: &'a mut Dialog<'b>) -> Self {
        Self { dialog, last: None }
    }
}

impl Keys for Asked<'_, '_> {
    fn next(&mut self, wanted: &Recover) -> anyhow::Result<Option<RecoveryKey>> {
        let lang = self.dialog.lang;
        let mut tries = self.last.take().filter(|(of, _)| *of == wanted.volume).map_or(0, |(_, n)| n);
        let values = [("volume", wanted.volume.as_str()), ("disk", wanted.disk.as_str())];
        let ask = t(lang, "apply.recovery_ask", &values);
        let mut wrong = "apply.recovery_wrong";
        while tries < TRIES {
            let before =
                if tries == 0 { String::new() } else { t(lang, wrong, &[("left", &(TRIES - tries).to_string())]) };
            let title = self.dialog.t("recovery_title", &[]);
            let typed = self.dialog.line(&title, format!("{before}\n{ask}").trim_start(), true);
            let Some(typed) = typed.context("no recovery key could be read")? else { return Ok(None) };
            tries += 1;
            match typed.parse() {
                Ok(key) => {
                    self.last = Some((wanted.volume.clone(), tries));
                    return Ok(Some(key));
                }
                Err(_) => wrong = "apply.recovery_malformed",
            }
        }
        Ok(None)
    }
}
