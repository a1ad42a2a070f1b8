//! Texts that nobody would write: nothing panics, nothing wrong goes unseen, no password is shown.

use proptest::prelude::*;

use super::{BASE, EXAMPLE, cases::CASES};
use crate::{
    site::{parse, secrets},
    types::Lang,
};

/// Everything that an error says, in every way that it can.
fn all_said(errors: &crate::site::Errors) -> String {
    let mut said = format!("{errors} {errors:#}");
    for lang in Lang::ALL {
        said += &errors.render(lang, true);
        said += &serde_json::to_string(&errors.reports(lang)).expect("reports are JSON");
    }
    said
}

#[derive(Debug, Clone)]
enum Change {
    Remove(usize, usize),
    Insert(usize, String),
    Copy(usize, usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let bit = prop_oneof![
        "[\\[\\]{}=.,#'\"\\\\\n\r\t ]{1,4}",
        "\\PC{1,6}",
        Just("[[camera]]".to_owned()),
        Just("\u{0}\u{1b}\u{202e}".to_owned()),
        Just("= { a = [".to_owned()),
    ];
    prop_oneof![
        (any::<usize>(), 1..40_usize).prop_map(|(at, n)| Change::Remove(at, n)),
        (any::<usize>(), bit).prop_map(|(at, text)| Change::Insert(at, text)),
        (any::<usize>(), 1..200_usize, any::<usize>()).prop_map(|(from, n, to)| Change::Copy(from, n, to)),
    ]
}

fn apply(text: &str, changes: &[Change]) -> String {
    changes.iter().fold(text.to_owned(), |text, change| {
        let chars: Vec<char> = text.chars().collect();
        let at = |n: usize| n % (chars.len() + 1);
        let part =
            |from: usize, to: usize| chars[from.min(chars.len())..to.min(chars.len())].iter().collect::<String>();
        match change {
            Change::Remove(from, n) => part(0, at(*from)) + &part(at(*from) + n, chars.len()),
            Change::Insert(to, new) => part(0, at(*to)) + new + &part(at(*to), chars.len()),
            Change::Copy(from, n, to) => {
                part(0, at(*to)) + &part(at(*from), at(*from) + n) + &part(at(*to), chars.len())
            }
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gives_a_site_or_errors(text in "\\PC{0,200}|([a-z_.]{0,8}[\\[\\]{}='\" \n]{0,3}){0,30}") {
        if let Err(errors) = parse(&text, "site.toml") {
            prop_assert!(errors.len() > 0);
            all_said(&errors);
        }
    }

    #[test]
    fn a_mutated_site_gives_a_site_or_errors_within_the_text(changes in prop::collection::vec(change(), 1..6)) {
        let text = apply(BASE, &changes);
        if let Err(errors) = parse(&text, "site.toml") {
            prop_assert!(errors.len() > 0);
            all_said(&errors);
            let lines = text.split('\n').count();
            for report in errors.reports(Lang::En) {
                prop_assert!(report.line <= lines && report.column >= 1, "{:?}", report);
            }
        }
    }

    #[test]
    fn no_error_shows_a_password(case in 0..CASES.len(), changes in prop::collection::vec(change(), 0..4)) {
        // The address is put in after the changes, so that they do not cut the password itself into harmless pieces.
        let text = apply(&super::cases::changed(&CASES[case]), &changes);
        let text = text
            .replace("rtsp://10.20.1.11/", "rtsp://admin:hunter2@10.20.1.11/")
            .replace("rtsp://10.20.1.12/", "rtsp://10.20.1.12/user=admin_password=hunter2_");
        if let Err(errors) = parse(&text, "site.toml") {
            prop_assert!(!all_said(&errors).contains("hunter2"), "{}", errors.render(Lang::En, false));
        }
    }

    #[test]
    fn no_error_shows_anything_of_the_secrets(changes in prop::collection::vec(change(), 1..5)) {
        let text = "[credentials.viewer]\nusername = \"hunter1\"\npassword = \"hunter2\"\n[secrets]\nkuma = \"hunter3\"\n";
        if let Err(errors) = secrets::parse(&apply(text, &changes), "secrets.toml") {
            prop_assert!(errors.len() > 0);
            // A secret that a mutation made a key's name would be shown, as a name; it takes an equals sign for that.
            let said = all_said(&errors);
            let as_name = errors.reports(Lang::En).iter().any(|r| r.key.contains("hunter") || r.message.contains("hunter"));
            prop_assert!(as_name || !said.contains("hunter"), "{}", said);
        }
    }
}

#[test]
fn a_slip_in_any_key_of_the_example_is_said_of_its_line() {
    let lines: Vec<&str> = EXAMPLE.lines().collect();
    let mut tried = 0;
    for (at, line) in lines.iter().enumerate() {
        let Some((key, value)) = line.split_once(" = ").filter(|(key, _)| !key.starts_with('#')) else { continue };
        tried += 1;
        // Every key in one part of the file is tried; of 64 equal cameras every eleventh line.
        if at > 400 && at % 11 != 0 {
            continue;
        }
        let slip = format!("{key}x = {value}");
        let text: String =
            lines.iter().enumerate().map(|(i, l)| if i == at { &slip } else { *l }.to_owned() + "\n").collect();
        let errors = parse(&text, "site.toml").expect_err("a slip").reports(Lang::En);
        let found = errors.iter().find(|r| r.code == "unknown-key").unwrap_or_else(|| panic!("{slip}: {errors:#?}"));
        assert_eq!((found.line, found.column), (at + 1, 1), "{slip}");
        assert_eq!(found.help, format!("Did you mean {key}?"));
    }
    assert!(tried > 700, "the example has {tried} keys");
}

#[test]
fn secrets_do_not_show_themselves() {
    let text = "[credentials.viewer]\nusername = \"hunter1\"\npassword = \"hunter2\"\n[secrets]\nkuma = \"hunter3\"\n";
    let secrets = secrets::parse(text, "secrets.toml").expect("right");
    let viewer = secrets.credentials(&"viewer".parse().expect("an id")).expect("there");
    assert_eq!((viewer.username.as_str(), viewer.password.reveal()), ("hunter1", "hunter2"));
    assert!(!format!("{secrets:?} {viewer:?} {} {:?}", viewer.password, viewer.password).contains("hunter"));
    for wrong in [
        "[credentials.viewer]\nusername = \"hunter1\"\n",
        "[credentials.viewer]\nusername = \"hunter1\"\npasswrod = \"hunter2\"\n",
        "[credentials.viewer]\nusername = \"hunter1\"\npassword = \"hunter2\n",
        "[credentials.viewer]\nusername = \"hunter1\"\npassword = hunter2\n",
        "[credentials.viewer]\nusername = \"hunter1\"\npassword = [\"hunter2\"]\n",
        "[credentials]\nviewer = \"hunter2\"\n",
        "[secrets]\nkuma = { x = \"hunter3\" }\n",
        "password = \"hunter2\"\n",
    ] {
        let said = all_said(&secrets::parse(wrong, "secrets.toml").expect_err(wrong));
        assert!(!said.contains("hunter"), "{wrong}: {said}");
    }
}
