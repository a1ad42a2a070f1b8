//! Another version of the system: what is known of one, and what a person with the PIN does about it. `custodian update` does the same.

use std::io;

use super::{Console, manners};
use crate::{
    cli::update,
    console::Paint,
    services::updating::{self, Known},
    update::{Stage, Version},
};

/// What can be done about a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Consent,
    Install,
    Restart,
    Refuse,
}

impl Act {
    fn key(self) -> (char, &'static str) {
        match self {
            Self::Consent => ('c', "update_consent"),
            Self::Install => ('i', "update_install"),
            Self::Restart => ('i', "update_restart"),
            Self::Refuse => ('r', "update_refuse"),
        }
    }
}

/// Which version it is about, and what can be done now.
fn acts(known: &Known) -> Option<(Version, Vec<Act>)> {
    // Where no image runs nothing is updated as a whole.
    known.running.as_ref()?;
    let Some(candidate) = &known.state.candidate else {
        return known.state.fell_back().map(|version| (version.clone(), vec![Act::Refuse]));
    };
    let acts = match candidate.stage {
        Stage::Offered => vec![Act::Consent, Act::Refuse],
        Stage::Consented | Stage::Writing => vec![Act::Install, Act::Refuse],
        Stage::Applied => vec![Act::Restart, Act::Refuse],
        Stage::Trying => Vec::new(),
    };
    Some((candidate.version.clone(), acts))
}

impl Console<'_> {
    pub(super) fn updates(&mut self) -> io::Result<()> {
        let title = self.dialog.t("key_u", &[]);
        let known = match updating::known(&self.place.state) {
            Ok(known) => known,
            Err(e) => return self.dialog.read(&title, Paint::Bad, &format!("{e:#}"), &[]).map(|_| ()),
        };
        let (lang, shown) = manners(Some(self.dialog.lang), self.place.site().as_ref());
        let text = update::text(&known, lang, &shown);
        let about = acts(&known);
        let server = updating::server(&self.place.state).filter(|_| known.running.is_some());
        let acts = about.iter().flat_map(|(_, acts)| acts).map(|act| act.key());
        let sources = [
            known.running.is_some().then_some(('s', "update_stick")),
            server.is_some().then_some(('f', "update_server")),
        ];
        let keys = acts.chain(sources.into_iter().flatten()).map(|(key, words)| (key, self.dialog.t(words, &[])));
        let keys: Vec<(char, String)> = keys.collect();
        let Some(key) = self.dialog.read(&title, Paint::Title, &text, &keys)? else { return Ok(()) };
        match (key, server) {
            ('s', _) => return self.fetch_from_stick(),
            ('f', Some(server)) => return self.fetch_now(&server),
            _ => {}
        }
        let Some((version, acts)) = about else { return Ok(()) };
        let Some(act) = acts.into_iter().find(|act| act.key().0 == key) else { return Ok(()) };
        let values = [("version", version.as_str())];
        let mut reason = String::new();
        if matches!(act, Act::Consent | Act::Refuse) {
            while reason.trim().is_empty() {
                let ask = self.dialog.t("update_reason", &values);
                let Some(typed) = self.dialog.line(&title, &ask, false)? else { return Ok(()) };
                reason = typed;
            }
        }
        let why = self.dialog.t(&format!("{}_why", act.key().1), &values);
        if !self.dialog.pin(&self.place.state, &why)? {
            return Ok(());
        }
        self.dialog.say(&title, &why)?;
        let (paint, text) = match self.do_it(act, &version, reason) {
            Ok(()) => (Paint::Good, self.dialog.t("update_done", &values)),
            Err(e) => (Paint::Bad, format!("{e:#}")),
        };
        self.dialog.read(&title, paint, &text, &[]).map(|_| ())
    }

    fn do_it(&self, act: Act, version: &Version, reason: String) -> anyhow::Result<()> {
        let word = if reason.is_empty() { None } else { Some(updating::word(Some(reason))?) };
        updating::act(&self.place.state, |updates| {
            match (act, word) {
                (Act::Consent, Some(word)) => {
                    updates.consent(version, word)?;
                }
                (Act::Refuse, Some(word)) => updates.refuse(version, word)?,
                (Act::Install, _) => {
                    updates.apply()?;
                    updates.machine.reboot()?;
                }
                (Act::Restart, _) => updates.machine.reboot()?,
                (Act::Consent | Act::Refuse, None) => anyhow::bail!("a word wants a reason"),
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        lang::raw,
        types::{Lang, WallNs, merkle::Hash},
        update::{Candidate, Refusal, State, Why},
    };

    fn known(stage: Option<Stage>, fell_back: bool, image: bool) -> Known {
        let version = |v: &str| v.parse::<Version>().unwrap();
        let candidate = |stage| Candidate {
            version: version("0.4.0"),
            sums: Hash([7; 32]),
            offered: WallNs(0),
            stage,
            written_in: None,
            failures: 0,
        };
        let refusal = Refusal { version: version("0.3.0"), why: Why::FellBack, at: WallNs(0), known: false };
        let refused = if fell_back { vec![refusal] } else { Vec::new() };
        let state = State { candidate: stage.map(candidate), refused, ..State::default() };
        Known { state, running: image.then(|| version("0.1.0")), on_probation: false, entries: Vec::new() }
    }

    #[test]
    fn what_can_be_done_is_what_the_version_is_ready_for() {
        let acts = |stage, fell_back, image| acts(&known(stage, fell_back, image)).map(|(v, a)| (v.to_string(), a));
        let about = |acts: &[Act]| Some(("0.4.0".to_owned(), acts.to_vec()));
        assert_eq!(acts(Some(Stage::Offered), false, true), about(&[Act::Consent, Act::Refuse]));
        assert_eq!(acts(Some(Stage::Consented), false, true), about(&[Act::Install, Act::Refuse]));
        assert_eq!(acts(Some(Stage::Writing), false, true), about(&[Act::Install, Act::Refuse]));
        assert_eq!(acts(Some(Stage::Applied), false, true), about(&[Act::Restart, Act::Refuse]));
        assert_eq!(acts(Some(Stage::Trying), false, true), about(&[]));
        assert_eq!(acts(None, true, true), Some(("0.3.0".to_owned(), vec![Act::Refuse])));
        assert_eq!(acts(None, false, true), None);
        assert_eq!(acts(Some(Stage::Offered), false, false), None, "no image runs here");
        for act in [Act::Consent, Act::Install, Act::Restart, Act::Refuse] {
            for lang in Lang::ALL {
                let key = format!("console.{}", act.key().1);
                assert!(raw(lang, &key).is_some() && raw(lang, &format!("{key}_why")).is_some(), "{lang} {key}");
            }
        }
    }
}
