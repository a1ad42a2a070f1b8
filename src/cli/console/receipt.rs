//! What a stick takes back to the office: what was done, for a file and for machines. Never a secret.

use std::path::Path;

use serde::Serialize;

use super::{Lang, Shown, t};
use crate::{
    apply::Report,
    cli::plan,
    plan::Plan,
    services::{
        console::{Print, prints},
        paths::Paths,
    },
    site::Site,
    sys::{Clock as _, RealClock},
    types::WallNs,
};

/// What is known before it is done.
pub(super) struct Paper {
    lang: Lang,
    recorder: String,
    site: String,
    plan: String,
}

/// docs/design/console.md.
#[derive(Debug, Serialize)]
struct Machine {
    format: u16,
    at: WallNs,
    recorder: String,
    version: &'static str,
    from: Option<u64>,
    generation: Option<u64>,
    /// SHA-256 of site.toml.
    site: String,
    kept: bool,
    keys: Vec<(String, String)>,
}

/// What was done.
pub(super) struct Receipt {
    text: String,
    machine: Machine,
    stem: String,
}

impl Paper {
    pub(super) fn new(of: &Plan, site: &Site, lang: Lang) -> Self {
        Self {
            lang,
            recorder: of.recorder.to_string(),
            site: of.base.site.clone(),
            plan: plan::as_text(of, site, false, lang, false),
        }
    }

    pub(super) fn of(self, report: &Report, said: &str, kept: bool, state: &Path, shown: &Shown) -> Receipt {
        let at = RealClock.wall();
        let keys = prints(&Paths::new(state)).into_iter().map(Print::pair);
        let machine = Machine {
            format: 1,
            at,
            recorder: self.recorder,
            version: env!("CARGO_PKG_VERSION"),
            from: report.from,
            generation: report.generation,
            site: self.site,
            kept,
            keys: keys.collect(),
        };
        let head = [
            ("recorder", &*machine.recorder),
            ("at", &*shown.second(at)),
            ("zone", shown.zone()),
            ("version", machine.version),
        ];
        let keys: Vec<String> = machine.keys.iter().map(|(whose, key)| format!("  {whose}: {key}")).collect();
        let parts = [
            t(self.lang, "console.receipt_head", &head),
            self.plan.trim_end().to_owned(),
            said.to_owned(),
            t(self.lang, "console.receipt_site", &[("digest", &machine.site)]),
            t(self.lang, "console.receipt_keys", &[]) + "\n" + &keys.join("\n"),
        ];
        // For the editor of any Windows PC.
        let text = parts.join("\n\n").replace('\n', "\r\n") + "\r\n";
        let time = at.timestamp().strftime("%Y%m%dT%H%M%SZ");
        let stem = format!("receipt-{}-{time}", machine.recorder);
        Receipt { text, machine, stem }
    }
}

impl Receipt {
    /// The one for people.
    pub(super) fn name(&self) -> String {
        format!("{}.txt", self.stem)
    }

    /// Both, by name.
    pub(super) fn files(&self) -> [(String, String); 2] {
        let json = serde_json::to_string_pretty(&self.machine).unwrap_or_default() + "\n";
        [(self.name(), format!("\u{feff}{}", self.text)), (format!("{}.json", self.stem), json)]
    }
}
