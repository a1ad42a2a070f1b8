//! install.toml: the answers of an installation that asks nobody.

use serde::Deserialize;

use super::{SheetCode, Then};
use crate::{
    disks::{NoPassphrase, Secret, Token},
    factors::Pin,
    types::{Lang, RecorderId},
};

/// The answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallFile {
    /// Which recorder of site.toml this machine becomes.
    pub recorder: RecorderId,
    /// The language of what is shown and written; the site's where none is named.
    pub language: Option<Lang>,
    /// The disk for the system.
    pub system: Named,
    /// Empty disks for footage.
    pub footage: Vec<Named>,
    /// What the console asks for before it changes something.
    pub pin: Pin,
    /// What opens the disks each day, with `unlock = "passphrase"`.
    pub passphrase: Option<Secret>,
    /// The code that opens the recovery sheet; without it one is made and shown.
    pub sheet_code: Option<SheetCode>,
    /// Whether the secrets go from the stick.
    pub wipe_secrets: bool,
    /// What comes when all is done.
    pub then: Then,
}

/// A disk, and that its facts were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its serial number.
    pub serial: String,
    /// The token that `custodian install --facts` shows for it.
    pub token: Token,
}

/// What is wrong with the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("install.toml, line {line}: {what}")]
pub struct Mistake {
    /// From 1.
    pub line: usize,
    /// In English, for who writes such files.
    pub what: String,
}

/// Has no `Debug`: there are secrets in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    recorder: toml::Spanned<String>,
    language: Option<toml::Spanned<String>>,
    pin: toml::Spanned<String>,
    passphrase: Option<toml::Spanned<String>>,
    sheet_code: Option<toml::Spanned<String>>,
    #[serde(default)]
    wipe_secrets: bool,
    #[serde(default)]
    then: Then,
    system: RawNamed,
    #[serde(default)]
    footage: Vec<RawNamed>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNamed {
    serial: String,
    token: toml::Spanned<String>,
}

/// Reads it. Its secrets are in no message.
///
/// # Errors
/// All that is wrong with it, by line.
pub fn parse(text: &str) -> Result<InstallFile, Vec<Mistake>> {
    let line = |at: usize| text.get(..at).unwrap_or(text).matches('\n').count() + 1;
    let raw: Raw = toml::from_str(text).map_err(|e| {
        let at = e.span().map_or(0, |span| span.start);
        vec![Mistake { line: line(at), what: without_values(e.message()) }]
    })?;
    let mut wrong = Vec::new();
    let mut miss = |at: usize, what: &str| wrong.push(Mistake { line: line(at), what: what.to_owned() });
    let recorder = raw.recorder.get_ref().parse::<RecorderId>().ok();
    if recorder.is_none() {
        miss(raw.recorder.span().start, "recorder: this is no name of a recorder");
    }
    let language = raw.language.as_ref().and_then(|l| {
        let lang = l.get_ref().parse::<Lang>().ok();
        if lang.is_none() {
            miss(l.span().start, "language: vi, zh or en");
        }
        lang
    });
    let mut named = |n: &RawNamed| {
        let token = n.token.get_ref().parse::<Token>().ok();
        if token.is_none() {
            miss(
                n.token.span().start,
                "token: four groups of four letters and digits, as custodian install --facts shows them",
            );
        }
        token.map(|token| Named { serial: n.serial.clone(), token })
    };
    let system = named(&raw.system);
    let footage: Vec<Option<Named>> = raw.footage.iter().map(&mut named).collect();
    let pin = Pin::choose(raw.pin.get_ref()).map_err(|e| miss(raw.pin.span().start, &format!("pin: {e}"))).ok();
    let sheet_code = raw.sheet_code.as_ref().and_then(|code| {
        let read = SheetCode::read(code.get_ref());
        if read.is_none() {
            miss(code.span().start, "sheet_code: four groups of four letters and digits");
        }
        read
    });
    let passphrase = raw.passphrase.as_ref().and_then(|text| {
        let read = Secret::passphrase(text.get_ref());
        read.map_err(|e: NoPassphrase| miss(text.span().start, &format!("passphrase: {e}"))).ok()
    });
    match (recorder, system, pin) {
        (Some(recorder), Some(system), Some(pin)) if wrong.is_empty() => Ok(InstallFile {
            recorder,
            language,
            system,
            footage: footage.into_iter().flatten().collect(),
            pin,
            passphrase,
            sheet_code,
            wipe_secrets: raw.wipe_secrets,
            then: raw.then,
        }),
        _ => {
            wrong.sort_by_key(|m| m.line);
            Err(wrong)
        }
    }
}

/// What stands where something else is expected may be a secret without its quotes.
fn without_values(message: &str) -> String {
    match message.split_once(", expected ") {
        Some((found, "a string")) if found.starts_with("invalid type") => "expected a text in quotes".to_owned(),
        Some((found, expected)) if found.starts_with("invalid ") => format!("expected {expected}"),
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "recorder = \"a\"\nlanguage = \"vi\"\npin = \"294173\"\nwipe_secrets = true\nthen = \"poweroff\"\n\
                        [system]\nserial = \"S1\"\ntoken = \"etjx-5zwc-n8fr-6g4d\"\n\
                        [[footage]]\nserial = \"F1\"\ntoken = \"ETJX 5zwc n8fr 6g4d\"\n";

    #[test]
    fn the_answers_are_read() {
        let file = parse(GOOD).unwrap();
        assert_eq!((file.recorder.as_str(), file.language, file.then), ("a", Some(Lang::Vi), Then::Poweroff));
        assert_eq!(file.system.token, file.footage[0].token);
        assert!(file.wipe_secrets && file.sheet_code.is_none());
    }

    #[test]
    fn the_example_wants_a_pin_and_a_code_of_ones_own_and_is_right_else() {
        let text = include_str!("../../image/stick/install.example.toml");
        let wrong: Vec<String> = parse(text).unwrap_err().into_iter().map(|m| m.what).collect();
        assert!(wrong.len() == 2 && wrong[0].starts_with("pin") && wrong[1].starts_with("sheet_code"), "{wrong:?}");
        let text =
            text.replace("pin = \"\"", "pin = \"294173\"").replace("code = \"\"", "code = \"etjx-5zwc-n8fr-6g4d\"");
        let file = parse(&text).unwrap();
        assert_eq!((file.footage.len(), file.then), (1, Then::Reboot));
    }

    #[test]
    fn all_mistakes_have_their_lines_and_no_secret_is_told() {
        let lines = |text: &str| parse(text).unwrap_err().iter().map(|m| m.line).collect::<Vec<_>>();
        let bad = GOOD.replace("\"vi\"", "\"fr\"").replace("294173", "29a173").replace("n8fr-6g4d", "n8fr");
        assert_eq!(lines(&bad), [2, 3, 8]);
        let said = format!("{:?}", parse(&bad).unwrap_err());
        assert!(!said.contains("29a173"), "{said}");
        assert_eq!(lines(&GOOD.replace("then = \"poweroff\"", "thn = 1")), [5]);
        assert_eq!(lines(&GOOD.replace("pin = \"294173\"\n", "")), [1]);
        assert_eq!(lines(&GOOD.replace("294173", "111111")), [3]);
        for what in ["pin", "passphrase", "sheet_code"] {
            let bare = format!("{what} = 20262027\n{}", GOOD.replace("pin = \"294173\"\n", ""));
            let said = format!("{:?}", parse(&bare).unwrap_err());
            assert!(said.contains("line: 1") && said.contains("quotes") && !said.contains("2026"), "{said}");
        }
        let said = format!("{:?}", parse(&GOOD.replace("pin = \"294173\"", "pin = \"294173")).unwrap_err());
        assert!(!said.contains("294173"), "{said}");
        let text = format!("passphrase = \"open sesame\"\n{GOOD}");
        let said = format!("{:?}", parse(&text).unwrap());
        assert!(!said.contains("sesame"), "{said}");
    }

    #[test]
    fn a_passphrase_is_what_any_keyboard_has() {
        let passphrase = |text: &str| parse(&format!("passphrase = \"{text}\"\n{GOOD}"));
        for good in ["open sesame", "12345678", "~!@#$%^&*()"] {
            assert!(passphrase(good).is_ok(), "{good}");
        }
        for bad in ["1234567", "芝麻开门", "mật khẩu của tôi", " 12345678", "12345678 ", "1234\\t5678", ""] {
            assert_eq!(passphrase(bad).unwrap_err()[0].line, 1, "{bad}");
        }
    }
}
