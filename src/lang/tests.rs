use std::{collections::BTreeSet, path::Path};

use super::*;

fn leaves(text: &str) -> usize {
    fn count(table: &toml::Table) -> usize {
        table.values().map(|v| v.as_table().map_or(1, count)).sum()
    }
    count(&text.parse::<toml::Table>().expect("a catalog is TOML"))
}

fn placeholders(text: &str) -> BTreeSet<&str> {
    text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)).collect()
}

#[test]
fn every_entry_of_a_catalog_is_a_text() {
    for (lang, text) in
        [(Lang::Vi, include_str!("vi.toml")), (Lang::Zh, include_str!("zh.toml")), (Lang::En, include_str!("en.toml"))]
    {
        assert_eq!(of(lang).len(), leaves(text), "{lang}");
        for (key, text) in of(lang) {
            assert!(!text.trim().is_empty(), "{lang} {key} is empty");
        }
    }
}

#[test]
fn the_three_catalogs_have_the_same_keys_and_placeholders() {
    let english = of(Lang::En);
    for lang in [Lang::Vi, Lang::Zh] {
        let keys = |c: &'static Catalog| c.keys().collect::<BTreeSet<_>>();
        let missing: Vec<_> = keys(english).difference(&keys(of(lang))).copied().collect();
        let extra: Vec<_> = keys(of(lang)).difference(&keys(english)).copied().collect();
        assert!(missing.is_empty() && extra.is_empty(), "{lang}.toml lacks {missing:?} and has besides {extra:?}");
        for (key, text) in english {
            assert_eq!(placeholders(text), placeholders(&of(lang)[key]), "placeholders of {key} in {lang}");
        }
    }
}

/// The key in what follows `t(`, if it is written out as the second argument.
fn key_of_call(rest: &str) -> Option<&str> {
    let (language, rest) = rest.split_once(',')?;
    let simple = language.chars().all(|c| c.is_alphanumeric() || "_.:() \n".contains(c));
    let key = rest.trim_start().strip_prefix('"')?.split_once('"')?.0;
    simple.then_some(key)
}

/// Keys that are put together at run time are checked where that is done.
#[test]
fn every_key_named_in_the_sources_exists() {
    fn walk(dir: &Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(dir).expect("src can be listed") {
            let path = entry.expect("src can be listed").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("lang/tests.rs") {
                let text = std::fs::read_to_string(&path).expect("a source is UTF-8");
                for (at, _) in text.match_indices("t(") {
                    let starts = !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
                    if let Some(key) = key_of_call(&text[at + 2..]).filter(|key| starts && key.contains('.')) {
                        found.push((path.display().to_string(), key.to_owned()));
                    }
                }
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    for (file, key) in found {
        assert!(of(Lang::En).contains_key(&key), "{file} asks for {key}, which no catalog has");
    }
}

#[test]
fn calls_are_recognised() {
    assert_eq!(key_of_call("self.lang, \"web.wall\", &[])"), Some("web.wall"));
    assert_eq!(key_of_call("\n    Lang::Vi,\n    \"web.wall\","), Some("web.wall"));
    assert_eq!(key_of_call("lang, key, &[(\"a\", b)])"), None);
}

#[test]
fn placeholders_are_filled_once() {
    assert_eq!(fill("{a} and {b}, {a}", &[("a", "{b}"), ("b", "2")]), "{b} and 2, {b}");
    assert_eq!(fill("{unknown} {", &[]), "{unknown} {");
    assert_eq!(fill("plain", &[("a", "1")]), "plain");
}

#[test]
fn a_text_is_found_in_each_language() {
    assert_eq!(t(Lang::Vi, "lang.name", &[]), "Tiếng Việt");
    assert_eq!(t(Lang::Zh, "lang.name", &[]), "中文");
    assert_eq!(t(Lang::En, "lang.name", &[]), "English");
    assert_eq!(t(Lang::En, "no.such.key", &[]), "no.such.key");
    assert_eq!(catalog_json(Lang::En, "lang."), serde_json::json!({ "name": "English" }));
}
