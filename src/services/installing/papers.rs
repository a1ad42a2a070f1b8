//! What is left on the stick: recovery sheet and receipt.

use std::fs::File;

use anyhow::Context as _;

use super::{Installer, Looked};
use crate::{
    install::{
        Begun, Footage, How, Order, Receipt, SheetCode,
        receipt::{Copied, DiskLine, FootageLine, StepLine, fingerprints},
        sheet,
    },
    services::planning::Wanted,
    site::Recorder,
    sys::{Files as _, RealFiles},
    types::WallNs,
};

impl Installer<'_> {
    /// Writes a file to the stick, whole or not at all as far as FAT can.
    fn onto_stick(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.stick.data.join(name);
        RealFiles.write(&path, bytes, 0o600, None).with_context(|| format!("{name} cannot be written to the stick"))?;
        Ok(nix::unistd::syncfs(File::open(&self.stick.data)?)?)
    }

    /// A name that no file on the stick has.
    pub(super) fn free_name(&self, base: &str, extension: &str) -> String {
        let mut name = format!("{base}.{extension}");
        for n in 2.. {
            if !self.stick.data.join(&name).exists() {
                break;
            }
            name = format!("{base}-{n}.{extension}");
        }
        name
    }

    /// Writes the recovery sheet. Gives what opens it.
    pub(super) fn sheet(&self, name: &str, wanted: &Wanted, order: &Order, begun: &Begun) -> anyhow::Result<SheetCode> {
        let code = match &order.sheet_code {
            Some(code) => code.clone(),
            None => SheetCode::make()?,
        };
        let at = shown(self.clock.wall(), wanted);
        let heading = sheet::Heading {
            site: wanted.site.name(),
            recorder: order.recorder.as_str(),
            at: &at,
            disk: &order.system,
        };
        let page = sheet::page(heading, &sheet::rows(begun, order.lang), &code, order.lang)?;
        self.onto_stick(name, page.as_bytes())?;
        Ok(code)
    }

    /// Writes the receipt. Gives its name.
    #[expect(clippy::too_many_arguments, reason = "it says all that there is to say")]
    pub(super) fn receipt(
        &self,
        looked: &Looked,
        wanted: &Wanted,
        recorder: &Recorder,
        order: &Order,
        copied: Copied,
        begun: &Begun,
        keys: &[(String, String)],
        steps: Vec<StepLine>,
    ) -> anyhow::Result<String> {
        let line = |by_id: &str| {
            let disk = looked.survey.inventory.disk(by_id).with_context(|| format!("disk {by_id} is gone"))?;
            anyhow::Ok(DiskLine::of(by_id, disk))
        };
        let footage =
            |f: &Footage| Ok(FootageLine { volume: f.volume.clone(), disk: line(&f.by_id)?, kept: f.how == How::Keep });
        let receipt = Receipt {
            format: 1,
            version: self.version.clone(),
            site: wanted.site.id().to_owned(),
            school: wanted.site.name().to_owned(),
            site_sha256: crate::plan::digest(&wanted.text),
            recorder: order.recorder.clone(),
            at: self.clock.wall(),
            unlock: recorder.unlock.as_str().to_owned(),
            system: line(&order.system)?,
            copied,
            footage: order.footage.iter().map(footage).collect::<anyhow::Result<_>>()?,
            recovery: fingerprints(begun),
            keys: keys.to_vec(),
            steps,
        };
        let text = receipt.text(&shown(receipt.at, wanted), order.lang);
        let json = serde_json::to_string_pretty(&receipt)? + "\n";
        let name = format!("receipt-{}-{}", order.recorder, stamp(receipt.at));
        self.onto_stick(&format!("{name}.json"), json.as_bytes())?;
        let name = format!("{name}.txt");
        self.onto_stick(&name, text.as_bytes())?;
        Ok(name)
    }
}

/// A time in the name of a file.
pub(super) fn stamp(at: WallNs) -> String {
    at.timestamp().strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn shown(at: WallNs, wanted: &Wanted) -> String {
    let zone = wanted.site.timezone();
    let name = zone.iana_name().unwrap_or("UTC");
    format!("{} ({name})", at.timestamp().to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S"))
}
