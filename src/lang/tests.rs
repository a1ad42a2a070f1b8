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

/// One thing has one word, on screens and in papers: language, what is not said, what is said instead.
const NOT_SAID: [(&str, &str, &str); 13] = [
    ("en", "recovery code", "recovery key"),
    ("en", "usb drive", "stick"),
    ("vi", "đầu ghi", "máy ghi hình"),
    ("vi", "máy ghi này", "máy ghi hình"),
    ("vi", "biên nhận", "biên bản"),
    ("vi", "tờ khôi phục", "phiếu khôi phục"),
    ("zh", "摄像头", "摄像机"),
    ("zh", "记录仪", "录像机"),
    ("zh", "需要查看", "需要留意"),
    ("zh", "领导密码", "领导密封码"),
    ("zh", "写入日志", "写入账本"),
    ("zh", "记入日志", "记入账本"),
    ("zh", "日志条目", "账本条目"),
];

#[test]
fn one_thing_has_one_word() {
    let read = |file: &str| {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
        // "Begin to record" has the letters of another word for a recorder.
        text.expect(file).to_lowercase().replace("bắt đầu ghi", "")
    };
    for (lang, wrong, right) in NOT_SAID {
        let catalog = match lang {
            "vi" => ".vi",
            "zh" => ".zh_CN",
            _ => "",
        };
        let screens = format!("src/lang/{lang}.toml");
        assert!(read(&screens).contains(right), "{screens}: nothing says {right}");
        let files = [
            screens,
            format!("docs/guide/install.{lang}.md"),
            format!("docs/guide/vendor.{lang}.md"),
            format!("image/stick/READ-ME.{lang}.txt"),
            format!("modules/catalog/custodian{catalog}.catalog"),
        ];
        for file in files {
            assert!(!read(&file).contains(wrong), "{file}: {right}, not {wrong}");
        }
    }
}

/// Where the English text speaks of one of these, the others do.
const SAID: [(&str, &str, &str); 4] = [
    ("ledger", "sổ", "账本"),
    ("sealed code", "mã niêm phong", "密封码"),
    ("recovery key", "khóa khôi phục", "恢复密钥"),
    ("stick", "usb", "u 盘"),
];

#[test]
fn what_has_a_name_has_it_in_every_language() {
    for (english, vi, zh) in SAID {
        // Not where it is a word of a command.
        let plain = |t: &str| t.to_lowercase().replace("custodian ledger", "").replace("ledger prove", "");
        let plain = |t: &str| plain(t).replace("ledger show", "").replace("ledger verify", "");
        let keys: Vec<_> = of(Lang::En).iter().filter(|(_, t)| plain(t).contains(english)).map(|(k, _)| k).collect();
        assert!(keys.len() > 2, "{english}: {keys:?}");
        for key in keys {
            for (lang, word) in [(Lang::Vi, vi), (Lang::Zh, zh)] {
                assert!(of(lang)[key].to_lowercase().contains(word), "{key} in {lang}: {word}");
            }
        }
    }
}
