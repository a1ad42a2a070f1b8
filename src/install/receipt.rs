//! The receipt: what was done, without secrets. On the stick as text for people and as JSON.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{Begun, Step};
use crate::{
    inventory::Disk,
    lang::t,
    types::{ByteSize, Lang, RecorderId, VolumeName, WallNs, merkle::Hash},
};

/// What was done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Receipt {
    /// Version of this structure.
    pub format: u16,
    /// The version that was installed.
    pub version: String,
    /// The school's id.
    pub site: String,
    /// Its name.
    pub school: String,
    /// SHA-256 of site.toml.
    pub site_sha256: String,
    /// The recorder.
    pub recorder: RecorderId,
    /// When.
    pub at: WallNs,
    /// What opens the disks each day.
    pub unlock: String,
    /// The system disk.
    pub system: DiskLine,
    /// SHA-256 of what was copied to it.
    pub copied: Copied,
    /// The disks for footage.
    pub footage: Vec<FootageLine>,
    /// SHA-256 of the recovery keys: by it a key on paper is known to be this one.
    pub recovery: Vec<Fingerprint>,
    /// The machine's own keys, whose and what: the ledger's, as verifiers take it, and SHA-256 of the certificate of each door of health, as
    /// openssl prints it.
    pub keys: Vec<(String, String)>,
    /// The steps, in their order, and whether each changed something; those that did not had been done before.
    pub steps: Vec<StepLine>,
}

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiskLine {
    /// Its name.
    pub by_id: String,
    /// Maker and model.
    pub model: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// Size.
    pub size: ByteSize,
}

impl DiskLine {
    /// Of a disk.
    pub fn of(by_id: &str, disk: &Disk) -> Self {
        Self { by_id: by_id.to_owned(), model: disk.model.clone(), serial: disk.serial.clone(), size: disk.size }
    }

    fn text(&self) -> String {
        let model = self.model.as_deref().unwrap_or("–");
        format!("{model}, {}, {} ({})", self.serial.as_deref().unwrap_or("–"), self.size, self.by_id)
    }
}

/// SHA-256 of what starts the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Copied {
    /// The root file system.
    pub root: Option<Hash>,
    /// Its verity.
    pub verity: Option<Hash>,
    /// Kernel, first programs and command line.
    pub uki: Option<Hash>,
}

/// A disk for footage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FootageLine {
    /// The volume.
    pub volume: VolumeName,
    /// The disk.
    pub disk: DiskLine,
    /// Whether it was kept with what was on it.
    pub kept: bool,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepLine {
    /// The step.
    #[serde(flatten)]
    pub step: Step,
    /// Whether it changed something.
    pub changed: bool,
}

/// A key's fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fingerprint {
    /// The volume; none: the state.
    pub volume: Option<VolumeName>,
    /// SHA-256 of the key as it is written, with its dashes.
    pub sha256: Hash,
}

/// The fingerprints of the keys.
pub fn fingerprints(begun: &Begun) -> Vec<Fingerprint> {
    let one = |volume, key: &String| Fingerprint { volume, sha256: Hash(Sha256::digest(key).into()) };
    let state = begun.state.iter().map(|key| one(None, key));
    state.chain(begun.volumes.iter().map(|(volume, key)| one(Some(volume.clone()), key))).collect()
}

impl Receipt {
    /// For people. `at`: the time as they write it.
    pub fn text(&self, at: &str, lang: Lang) -> String {
        let say = |key: &str, values: &[(&str, &str)]| t(lang, &format!("install.receipt_{key}"), values);
        let mut lines = vec![
            say("title", &[]),
            String::new(),
            say("school", &[("school", &self.school), ("site", &self.site)]),
            say("recorder", &[("recorder", self.recorder.as_str())]),
            say("at", &[("at", at)]),
            say("version", &[("version", &self.version)]),
            say("system", &[("disk", &self.system.text())]),
        ];
        for footage in &self.footage {
            let key = if footage.kept { "kept" } else { "prepared" };
            lines.push(say(key, &[("volume", footage.volume.as_str()), ("disk", &footage.disk.text())]));
        }
        lines.push(String::new());
        lines.extend(crate::lang::secrecy(lang, &self.unlock));
        lines.push(String::new());
        lines.push(say("site_hash", &[("hash", &self.site_sha256)]));
        let copied = [("root", self.copied.root), ("verity", self.copied.verity), ("uki", self.copied.uki)];
        lines.extend(copied.iter().filter_map(|(name, hash)| Some(format!("{name}: {}", hash.as_ref()?))));
        for key in &self.recovery {
            let of = key.volume.as_ref().map_or_else(|| say("state", &[]), ToString::to_string);
            lines.push(say("fingerprint", &[("of", &of), ("hash", &key.sha256.to_string())]));
        }
        lines.push(say("keys", &[]));
        lines.extend(self.keys.iter().map(|(whose, key)| format!("  {whose}: {key}")));
        lines.push(say("no_others", &[]));
        lines.push(String::new());
        for line in &self.steps {
            let outcome = say(if line.changed { "done" } else { "was_done" }, &[]);
            lines.push(format!("- {}: {outcome}", super::text::step(lang, &line.step)));
        }
        // As Windows' own editor wants it.
        lines.join("\r\n") + "\r\n"
    }
}
