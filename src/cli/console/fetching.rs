//! A version from a stick, or from the server now: looked for, checked, and offered if a person with the PIN asks.

use std::{io, sync::mpsc, thread, time::Duration};

use anyhow::anyhow;
use url::Url;

use super::{Console, Dialog};
use crate::{
    console::Paint,
    services::{
        stick::{Stick, StickError},
        updating,
    },
    sys::{Clock as _, Key, Monotonic, RealClock, RealCommands},
    types::ByteSize,
    update::{Fetched, UpdateError, Version, Why},
};

/// How often it is said how far it has come.
const PACE: Duration = Duration::from_secs(1);

/// What came of it; nothing if the person has left.
type Looked = Option<anyhow::Result<Fetched>>;

/// Where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Stick,
    Server,
}

impl Console<'_> {
    /// From plugging in to pulling out.
    pub(super) fn fetch_from_stick(&mut self) -> io::Result<()> {
        let title = self.dialog.t("key_u", &[]);
        let ready = [('y', self.dialog.t("stick_ready", &[]))];
        let ask = self.dialog.t("update_stick_ask", &[]);
        if self.dialog.read(&title, Paint::Title, &ask, &ready)?.is_none() {
            return Ok(());
        }
        let why = self.dialog.t("update_stick_why", &[]);
        if !self.dialog.pin(&self.place.state, &why)? {
            return Ok(());
        }
        self.dialog.say(&title, &self.dialog.t("stick_reading", &[]))?;
        let said = match Stick::open(&RealCommands, &thread::sleep) {
            Ok(stick) => self.look(&title, Origin::Stick, &mut |console, again| console.copy(&title, &stick, again))?,
            Err(e) => Some((Paint::Bad, self.dialog.stick(&e))),
        };
        if let Some((paint, text)) = said {
            let out = self.dialog.t("stick_out", &[]);
            self.dialog.read(&title, paint, &format!("{text}\n\n{out}"), &[])?;
        }
        Ok(())
    }

    /// From the server that the site names, due or not.
    pub(super) fn fetch_now(&mut self, server: &Url) -> io::Result<()> {
        let title = self.dialog.t("key_u", &[]);
        let why = self.dialog.t("update_server_why", &[("server", server.as_str())]);
        if !self.dialog.pin(&self.place.state, &why)? {
            return Ok(());
        }
        let said = self.look(&title, Origin::Server, &mut |console, again| console.pull(&title, server, again))?;
        if let Some((paint, text)) = said {
            self.dialog.read(&title, paint, &text, &[])?;
        }
        Ok(())
    }

    /// Fetches, and once more if what is there was refused and a person wants it all the same. What is to be said; nothing if they left.
    fn look(
        &mut self,
        title: &str,
        from: Origin,
        fetch: &mut dyn FnMut(&mut Self, Option<&Version>) -> io::Result<Looked>,
    ) -> io::Result<Option<(Paint, String)>> {
        let mut again = None;
        loop {
            if updating::is_busy(&self.place.state) {
                return Ok(Some((Paint::Bad, self.dialog.t("busy", &[]))));
            }
            let e = match fetch(self, again.as_ref())? {
                None => return Ok(None),
                Some(Ok(Fetched { version, new })) => {
                    let key = if new { "update_offered" } else { "update_offered_already" };
                    return Ok(Some((Paint::Good, self.dialog.t(key, &[("version", version.as_str())]))));
                }
                Some(Err(e)) => e,
            };
            let text = self.dialog.not_fetched(&e, from);
            let Some(UpdateError::WasRefused { version, .. }) = e.downcast_ref() else {
                return Ok(Some((Paint::Bad, text)));
            };
            let values = [("version", version.as_str())];
            let keys = [('o', self.dialog.t("update_again", &[]))];
            if self.dialog.read(title, Paint::Warn, &text, &keys)?.is_none() {
                return Ok(None);
            }
            let why = self.dialog.t("update_again_why", &values);
            if !self.dialog.pin(&self.place.state, &why)? {
                return Ok(None);
            }
            again = Some(version.clone());
        }
    }

    /// From the stick. It is broken off by Escape: a stick that is in is one that somebody waits for.
    fn copy(&mut self, title: &str, stick: &Stick<'_>, again: Option<&Version>) -> io::Result<Looked> {
        let state = self.place.state.clone();
        let dialog = &mut self.dialog;
        let (mut last, mut gone): (Option<Monotonic>, io::Result<()>) = (None, Ok(()));
        let fetched = updating::fetch_from_stick(&state, stick, again, &mut |file, done| {
            let now = RealClock.monotonic();
            if last.is_some_and(|last| now.since(last) < PACE) {
                return true;
            }
            last = Some(now);
            let done = ByteSize(done).to_string();
            let text = dialog.t("update_copying", &[("file", file), ("done", &done)]);
            match dialog.say(title, &text).and_then(|()| dialog.terminal.key(Duration::ZERO)) {
                Ok(key) => key != Some(Key::Escape),
                Err(e) => {
                    gone = Err(e);
                    false
                }
            }
        });
        gone.map(|()| Some(fetched))
    }

    /// From the server. Whoever does not want to wait leaves, and it goes on.
    fn pull(&mut self, title: &str, server: &Url, again: Option<&Version>) -> io::Result<Looked> {
        let (send, result) = mpsc::channel();
        let (state, server, again) = (self.place.state.clone(), server.clone(), again.cloned());
        thread::spawn(move || {
            let fetched = updating::fetch_now(&state, &server, again.as_ref());
            if let Err(e) = &fetched {
                log::warn!("what was to be fetched from {server} now is not here: {e:#}");
            }
            // An error: nobody waits for it any more.
            let _ = send.send(fetched);
        });
        loop {
            match result.try_recv() {
                Ok(fetched) => return Ok(Some(fetched)),
                Err(mpsc::TryRecvError::Disconnected) => return Ok(Some(Err(anyhow!("it ended without a word")))),
                Err(mpsc::TryRecvError::Empty) => {}
            }
            let done = ByteSize(updating::fetched_so_far(&self.place.state)).to_string();
            self.dialog.say(title, &self.dialog.t("update_fetching", &[("done", &done)]))?;
            if self.dialog.terminal.key(PACE)? == Some(Key::Escape) {
                return Ok(None);
            }
        }
    }
}

impl Dialog<'_> {
    /// Why no version is offered now, and what to do.
    fn not_fetched(&self, e: &anyhow::Error, from: Origin) -> String {
        let say = |key: &str, values: &[(&str, &str)]| self.t(&format!("update_{key}"), values);
        let text = match e.downcast_ref::<UpdateError>() {
            Some(UpdateError::NotSigned { said }) => say("not_signed", &[("why", said)]),
            Some(UpdateError::NotNewer { found, than }) => {
                say("not_newer", &[("found", found.as_str()), ("than", than.as_str())])
            }
            Some(UpdateError::WasRefused { version, why: Why::Person }) => {
                say("was_refused", &[("version", version.as_str())])
            }
            Some(UpdateError::WasRefused { version, why: Why::FellBack }) => {
                say("was_tried", &[("version", version.as_str())])
            }
            Some(UpdateError::UnderWay { version }) => say("under_way", &[("version", version.as_str())]),
            Some(UpdateError::NoVersion { .. }) => say("no_version", &[]),
            Some(UpdateError::Room { free, wanted, .. }) => {
                let (free, wanted) = (ByteSize(*free).to_string(), ByteSize(*wanted).to_string());
                say("no_room", &[("free", &free), ("wanted", &wanted)])
            }
            Some(UpdateError::Spoilt { file }) => say("spoilt", &[("file", file)]),
            Some(UpdateError::Brought(e)) => match e.downcast_ref::<StickError>() {
                Some(e) => self.stick(e),
                None => e.to_string(),
            },
            Some(UpdateError::NotFetched { said } | UpdateError::Program { said, .. }) => {
                say(if from == Origin::Stick { "not_checked" } else { "not_fetched" }, &[("why", said)])
            }
            _ => format!("{e:#}"),
        };
        // A stick is looked at without giving anything up for it.
        if from == Origin::Stick { format!("{text}\n\n{}", say("kept", &[])) } else { text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{sys::FakeTerminal, types::Lang};

    #[test]
    fn everything_that_can_go_wrong_has_words() {
        let version = || "0.4.0".parse::<Version>().unwrap();
        let brought = |e: StickError| UpdateError::Brought(Box::new(e));
        for lang in Lang::ALL {
            let mut all = std::collections::BTreeSet::new();
            let errors = [
                UpdateError::NotSigned { said: "x".into() },
                UpdateError::NotNewer { found: version(), than: version() },
                UpdateError::WasRefused { version: version(), why: Why::Person },
                UpdateError::WasRefused { version: version(), why: Why::FellBack },
                UpdateError::UnderWay { version: version() },
                UpdateError::NoVersion { place: "x".into() },
                UpdateError::Room { dir: "/x".into(), free: 5_000_000, wanted: 1_900_000_000 },
                UpdateError::Spoilt { file: "custodian_0.4.0.efi".into() },
                UpdateError::NotFetched { said: "x".into() },
                brought(StickError::NoUpdate),
                brought(StickError::Lacks("custodian_0.4.0.efi".into())),
                brought(StickError::Longer("custodian_0.4.0.efi".into())),
                brought(StickError::Here("x".into())),
                brought(StickError::Left),
                brought(StickError::Gone("x".into())),
            ];
            let mut terminal = FakeTerminal::typing("");
            let dialog = Dialog { terminal: &mut terminal, lang };
            for e in errors {
                let said = format!("{e:?}");
                let e = anyhow::Error::new(e);
                let words = [Origin::Stick, Origin::Server].map(|from| dialog.not_fetched(&e, from));
                for text in &words {
                    assert!(!text.contains("console.") && !text.contains('{'), "{lang} {said}: {text}");
                }
                let [stick, server] = words;
                assert!(stick.ends_with(&dialog.t("update_kept", &[])) && !server.contains("update_kept"));
                assert!(all.insert(server), "{lang} {said} is told from the others");
            }
        }
    }
}
