//! Recovery keys for `custodian apply`: from a file, or typed by a person.

use std::{
    io::{self, IsTerminal as _},
    path::Path,
    process::ExitCode,
};

use anyhow::Context as _;

use super::{disk::from_file, print, print_error};
use crate::{
    disks::RecoveryKey,
    lang::t,
    plan::Recover,
    services::recovering::{Keys, RecoveryError},
    sys::ask_hidden,
    types::{Lang, VolumeName},
};

/// How often a person may try for one volume.
const TRIES: usize = 3;

/// Those of a file, one a line, in any order: each is tried on each volume.
#[derive(Debug)]
pub(super) struct Given {
    keys: Vec<RecoveryKey>,
    next: Option<(VolumeName, usize)>,
}

impl Given {
    /// Reads them; `-` is standard input.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let keys = Self::parse(&from_file(path)?);
        Ok(Self { keys: keys.with_context(|| format!("{}", path.display()))?, next: None })
    }

    fn parse(text: &[u8]) -> anyhow::Result<Vec<RecoveryKey>> {
        let text = String::from_utf8_lossy(text);
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        // The line is not repeated: it may be a key with one letter too many.
        let key = |(n, line): (usize, &str)| line.parse().with_context(|| format!("line {}", n + 1));
        let keys: Vec<RecoveryKey> = lines.map(key).collect::<anyhow::Result<_>>()?;
        anyhow::ensure!(!keys.is_empty(), "there is no recovery key in it");
        Ok(keys)
    }
}

/// The how many-th time it is that a volume's key is wanted.
fn count(next: &mut Option<(VolumeName, usize)>, volume: &VolumeName) -> usize {
    let n = next.take().filter(|(of, _)| of == volume).map_or(0, |(_, n)| n + 1);
    *next = Some((volume.clone(), n));
    n
}

impl Keys for Given {
    fn next(&mut self, wanted: &Recover) -> anyhow::Result<Option<RecoveryKey>> {
        Ok(self.keys.get(count(&mut self.next, &wanted.volume)).cloned())
    }
}

/// Typed at the terminal, and not shown there.
#[derive(Debug)]
pub(super) struct Asked {
    lang: Lang,
    next: Option<(VolumeName, usize)>,
}

impl Asked {
    /// Whether there is somebody to be asked.
    pub(super) fn possible() -> bool {
        io::stdin().is_terminal()
    }

    pub(super) fn new(lang: Lang) -> Self {
        Self { lang, next: None }
    }
}

impl Keys for Asked {
    fn next(&mut self, wanted: &Recover) -> anyhow::Result<Option<RecoveryKey>> {
        let values = [("volume", wanted.volume.as_str()), ("disk", wanted.disk.as_str())];
        let mut wrong = "apply.recovery_wrong";
        loop {
            let n = count(&mut self.next, &wanted.volume);
            let left = TRIES.saturating_sub(n);
            if n > 0 && left > 0 {
                print_error(&t(self.lang, wrong, &[("left", &left.to_string())]));
            }
            if left == 0 {
                return Ok(None);
            }
            let prompt = t(self.lang, "apply.recovery_ask", &values);
            let typed = ask_hidden(&io::stdin(), &prompt).context("no recovery key could be read")?;
            // The end of input: nobody is there any more.
            let Some(typed) = typed else { return Ok(None) };
            match typed.parse() {
                Ok(key) => return Ok(Some(key)),
                Err(_) => wrong = "apply.recovery_malformed",
            }
        }
    }
}

/// What could not be recovered, in a word for machines and in the language of the school.
pub(super) fn in_words(e: &RecoveryError, lang: Lang) -> (&'static str, String) {
    let say = |key: &str, at: &Recover, more: &[(&str, &str)]| {
        let values = [&[("volume", at.volume.as_str()), ("disk", at.disk.as_str())], more].concat();
        t(lang, &format!("apply.recovery_{key}"), &values)
    };
    match e {
        RecoveryError::NoKeys(volumes) => {
            let lines: Vec<String> = volumes.iter().map(|at| say("needed", at, &[])).collect();
            ("recovery-key-needed", format!("{}\n{}", lines.join("\n"), t(lang, "apply.recovery_how", &[])))
        }
        RecoveryError::Wrong(at) => ("recovery-key-wrong", say("refused", at, &[])),
        RecoveryError::Other { at, found } => ("other-volume", say("other", at, &[("found", found)])),
        RecoveryError::NoStick => {
            let values = [("label", crate::plan::KEY_LABEL)];
            ("no-usb-key", t(lang, "apply.recovery_stick", &values))
        }
    }
}

/// Says so.
pub(super) fn refused(e: anyhow::Error, json: bool, lang: Lang) -> anyhow::Result<ExitCode> {
    let Some(known) = e.downcast_ref() else { return Err(e) };
    let (why, message) = in_words(known, lang);
    if json {
        print(&serde_json::to_string_pretty(&serde_json::json!({ "ok": false, "why": why, "message": message }))?);
    } else {
        print_error(&message);
    }
    Ok(ExitCode::FAILURE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "cccjbcbj-dcdjecej-fcfjgcgj-hchjicij-jcjjkckj-lcljncnj-rcrjtctj-ucujvcvj";

    #[test]
    fn each_key_of_a_file_is_tried_on_each_volume() {
        let b = A.replace("cccj", "bbbb");
        let keys = Given::parse(format!("\n{A}\n  {}\n\n", b.replace('-', " ")).as_bytes()).unwrap();
        let mut given = Given { keys, next: None };
        let volume = |name: &str| Recover { volume: name.parse().unwrap(), disk: "ata-X".into() };
        for name in ["a1", "a2"] {
            let tried = [(); 3].map(|()| given.next(&volume(name)).unwrap().map(|key| key.reveal()));
            assert_eq!(tried, [Some(A.to_owned()), Some(b.clone()), None], "{name}");
        }
        let said = format!("{:#}", Given::parse(format!("{A}\nopen sesame\n").as_bytes()).unwrap_err());
        assert!(said.starts_with("line 2: a recovery key is eight groups") && !said.contains("sesame"), "{said}");
        assert!(Given::parse(b"\n\n").is_err());
    }
}
