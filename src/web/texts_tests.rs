//! Scripts and shells show no text of their own: what people read is in the catalogs, and every key that is named exists.

use super::assets;
use crate::{
    lang,
    types::{CauseKind, Lang},
};

fn scripts() -> impl Iterator<Item = (&'static str, &'static str)> {
    assets::all().filter(|(name, _)| name.rsplit_once('.').is_some_and(|(_, kind)| kind == "js"))
}

#[test]
fn every_key_of_the_pages_is_used_and_every_key_used_exists() {
    let used = |key: &str| scripts().any(|(_, script)| script.contains(&format!("\"{key}\"")));
    let catalog = lang::catalog_json(Lang::En, "web.");
    let catalog = catalog.as_object().expect("an object");
    // Texts of the server itself.
    let others = ["noscript", "refused_host", "refused_origin", "serving"];
    let dead: Vec<_> = catalog.keys().filter(|key| !used(key) && !others.contains(&key.as_str())).collect();
    assert!(dead.is_empty(), "no page shows {dead:?}");
    for (name, script) in scripts() {
        for call in [" t(\"", "(t(\"", "[t(\""] {
            for (_, rest) in script.match_indices(call).map(|(at, _)| script.split_at(at + call.len())) {
                let key = rest.split('"').next().unwrap_or("");
                let known =
                    catalog.contains_key(key) || lang::raw(Lang::En, key).is_some_and(|_| key.starts_with("cause."));
                assert!(known, "{name} asks for {key}");
            }
        }
    }
}

#[test]
fn every_cause_has_its_words() {
    for kind in CauseKind::ALL {
        for language in Lang::ALL {
            let key = format!("cause.{kind}");
            assert!(lang::raw(language, &key).is_some(), "{language} lacks {key}");
        }
        assert!(
            scripts().any(|(name, script)| name == "gaps.js" && script.contains(kind.as_str())),
            "{kind} has no colour"
        );
    }
}

#[test]
fn scripts_and_shell_show_no_text_of_their_own() {
    for (name, script) in scripts() {
        for property in
            ["textContent: ", "textContent = ", "title: ", "title = ", "placeholder", "\"aria-label\": ", "alt: "]
        {
            for (_, rest) in script.match_indices(property).map(|(at, _)| script.split_at(at + property.len())) {
                let literal = rest.strip_prefix(['"', '`']).and_then(|r| r.split(['"', '`', '$']).next()).unwrap_or("");
                assert!(!literal.contains(char::is_alphabetic), "{name}: {property}{literal}");
            }
        }
        assert!(!script.contains("innerHTML") && !script.contains("insertAdjacentHTML"), "{name} parses text as HTML");
    }
    let outside: String = assets::SHELL.split('<').filter_map(|part| Some(part.split_once('>')?.1)).collect();
    let words: Vec<&str> = outside.split_whitespace().collect();
    assert_eq!(words, ["%SITE%", "%NOSCRIPT%"]);
    assert!(
        !assets::SHELL.contains("<style") && !assets::SHELL.contains(" style=") && !assets::SHELL.contains(" onload=")
    );
}
