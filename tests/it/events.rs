//! What operators watch: the events of `types::event` against the log calls of the source, the catalogs in three languages, the table in
//! `docs/ref/journal.md`, and systemd's own reader of catalogs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use custodian::types::event::{ALL, Event, FIELDS, MESSAGE_ID};

use crate::layering::{sources, tokens};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A log call with key-values.
#[derive(Debug, PartialEq, Eq)]
struct Call {
    /// The macro's name.
    level: String,
    /// The constant that it gives as its id.
    event: Option<String>,
    /// The other keys.
    fields: BTreeSet<String>,
}

/// The tokens up to the bracket that closes what is open before them.
fn inside(tokens: &[String]) -> &[String] {
    let mut depth = 1;
    let end = tokens.iter().position(|t| {
        depth += match &**t {
            "(" | "[" | "{" => 1,
            ")" | "]" | "}" => -1,
            _ => 0,
        };
        depth == 0
    });
    &tokens[..end.unwrap_or(tokens.len())]
}

/// The parts between those separators that stand in no brackets.
fn split<'a>(tokens: &'a [String], separator: &str) -> Vec<&'a [String]> {
    let mut depth = 0;
    tokens
        .split(|t| {
            depth += match &**t {
                "(" | "[" | "{" => 1,
                ")" | "]" | "}" => -1,
                _ => 0,
            };
            depth == 0 && t == separator
        })
        .collect()
}

/// The log calls of a source, its tests left out.
fn calls(text: &str) -> Vec<Call> {
    let all = tokens(text);
    let tests: Vec<String> = tokens("#[cfg(test)] mod tests {");
    let all = all.windows(tests.len()).position(|w| w == tests).map_or(&all[..], |at| &all[..at]);
    let mut found = Vec::new();
    for (at, w) in all.windows(5).enumerate() {
        if !(w[0] == "log" && w[1] == "::" && w[3] == "!" && w[4] == "(") {
            continue;
        }
        let parts = split(inside(&all[at + 5..]), ";");
        let mut call = Call { level: w[2].clone(), event: None, fields: BTreeSet::new() };
        let pairs = if parts.len() == 2 { split(parts[0], ",") } else { Vec::new() };
        for pair in pairs.into_iter().filter(|p| p.len() > 1 && matches!(&*p[1], "=" | ":")) {
            if pair[0] == MESSAGE_ID {
                assert_eq!(pair[2..4], ["event", "::"], "{pair:?}: not `event::…`");
                call.event = Some(pair[4].clone());
            } else {
                call.fields.insert(pair[0].clone());
            }
        }
        found.push(call);
    }
    found
}

#[test]
fn log_calls_are_found_with_what_they_give() {
    let text = r#"
        // log::warn!(OLD = 1; "x");
        log::warn!("plain {x}; VOLUME = 1");
        log::error!(
            MESSAGE_ID = event::VOLUME_FAILED, VOLUME = f(|| { a; b }, c), CAUSE:% = why;
            "volume {volume}", other = 1
        );
        log::log!(level, lower = [1, 2]; "x");
        #[cfg(test)]
        mod tests { fn f() { log::info!(IN_TEST = 1; "x") } }
    "#;
    let set = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    let call = |level: &str, event: Option<&str>, fields| Call {
        level: level.into(),
        event: event.map(str::to_owned),
        fields: set(fields),
    };
    let expected = [
        call("warn", None, &[]),
        call("error", Some("VOLUME_FAILED"), &["VOLUME", "CAUSE"]),
        call("log", None, &["lower"]),
    ];
    assert_eq!(calls(text), expected);
}

fn all_calls() -> Vec<(String, Call)> {
    let outside_of_tests = |file: &String| !file.ends_with("tests.rs") && !file.contains("/tests/");
    let sources = sources().into_iter().filter(|(file, _)| outside_of_tests(file));
    sources.flat_map(|(file, text)| calls(&text).into_iter().map(move |call| (file.clone(), call))).collect()
}

/// What an event's calls give, all of them; and at which levels they speak.
#[derive(Debug, Default)]
struct Given {
    fields: BTreeSet<String>,
    levels: BTreeSet<String>,
}

fn given() -> BTreeMap<String, Given> {
    let mut all: BTreeMap<String, Given> = BTreeMap::new();
    for (_, call) in all_calls() {
        let Some(event) = call.event else { continue };
        let given = all.entry(event).or_insert_with(|| Given { fields: call.fields.clone(), ..Given::default() });
        given.fields = &given.fields & &call.fields;
        given.levels.insert(call.level);
    }
    all
}

#[test]
fn ids_are_128_bits_each_once() {
    for Event { name, id } in ALL {
        assert!(id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{name}: {id}");
    }
    assert_eq!(ALL.iter().map(|e| e.id).collect::<BTreeSet<_>>().len(), ALL.len());
}

#[test]
fn every_event_is_logged_and_every_field_is_known() {
    let names: BTreeSet<&str> = ALL.iter().map(|e| e.name).collect();
    let given = given();
    assert_eq!(given.keys().map(String::as_str).collect::<BTreeSet<_>>(), names, "events that are logged, and events");
    let known: BTreeSet<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
    let calls = all_calls();
    assert!(calls.len() > 100, "only {} log calls were found", calls.len());
    let unknown = |(file, call): &(String, Call)| -> Vec<String> {
        let unknown = call.fields.iter().filter(|f| !known.contains(f.as_str()));
        unknown.map(|f| format!("{file}: field {f} is not in types::event::FIELDS")).collect()
    };
    let wrong: Vec<String> = calls.iter().flat_map(unknown).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let used: BTreeSet<&str> = calls.iter().flat_map(|(_, call)| &call.fields).map(String::as_str).collect();
    assert_eq!(used, known, "fields that are given, and fields");
    let valid = |name: &&str| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') && !name.starts_with('_');
    assert!(known.iter().all(valid), "journald takes no other names, systemd.journal-fields(7)");
}

/// An entry of a catalog, <https://systemd.io/CATALOG>.
#[derive(Debug, Default, PartialEq, Eq)]
struct Entry {
    headers: BTreeMap<String, String>,
    body: String,
}

impl Entry {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The fields that it puts in.
    fn placeholders(&self) -> BTreeSet<String> {
        let text = format!("{}\n{}", self.header("Subject"), self.body);
        let field = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        text.split('@').skip(1).step_by(2).filter(field).map(str::to_owned).collect()
    }
}

fn catalog(language: &str) -> BTreeMap<String, Entry> {
    let path = catalogs().join(format!("custodian{language}.catalog"));
    let text = fs::read_to_string(&path).unwrap();
    let mut all = BTreeMap::new();
    for part in text.split("\n-- ").skip(1) {
        let (id, rest) = part.split_once('\n').unwrap();
        let (headers, body) = rest.split_once("\n\n").unwrap();
        let headers = headers.lines().map(|line| line.split_once(": ").unwrap());
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let entry = Entry { headers, body: body.trim().to_owned() };
        assert_eq!(entry.body.matches('@').count() % 2, 0, "{id}{language}: a field that does not end");
        assert_eq!(all.insert(id.to_owned(), entry), None, "{id} twice");
    }
    all
}

fn catalogs() -> PathBuf {
    root().join("modules/catalog")
}

const LANGUAGES: [&str; 3] = ["", ".vi", ".zh_CN"];

#[test]
fn the_catalogs_explain_every_event_in_three_languages() {
    let ids: BTreeSet<&str> = ALL.iter().map(|e| e.id).collect();
    let catalogs = LANGUAGES.map(catalog);
    for (catalog, language) in catalogs.iter().zip(LANGUAGES) {
        assert_eq!(catalog.keys().map(String::as_str).collect::<BTreeSet<_>>(), ids, "custodian{language}.catalog");
    }
    let given = given();
    for Event { name, id } in ALL {
        let [english, ..] = catalogs.each_ref().map(|c| &c[*id]);
        for (entry, language) in catalogs.each_ref().map(|c| &c[*id]).into_iter().zip(LANGUAGES) {
            let headers: Vec<&str> = entry.headers.keys().map(String::as_str).collect();
            assert_eq!(headers, ["Defined-By", "Subject", "Support"], "{name}{language}");
            assert!(entry.headers.values().all(|v| !v.trim().is_empty()), "{name}{language}");
            assert_eq!(entry.header("Defined-By"), "custodian", "{name}{language}");
            // What happened, and what is to be done.
            assert!(entry.body.split("\n\n").count() >= 2, "{name}{language}");
            assert_eq!(entry.placeholders(), english.placeholders(), "{name}{language}");
            assert!(language.is_empty() || entry.body != english.body, "{name}{language}");
            let missing = &entry.placeholders() - &given[*name].fields;
            assert!(missing.is_empty(), "{name}{language}: not every log call gives {missing:?}");
        }
    }
}

#[test]
fn the_table_of_events_is_true() {
    let text = fs::read_to_string(root().join("docs/ref/journal.md")).unwrap();
    let level = |level: &String| match &**level {
        "error" => "err",
        "warn" => "warning",
        "info" => "notice",
        // It depends.
        "log" => "err, warning",
        other => panic!("{other}: nobody watches that level"),
    };
    let given = given();
    let row = |Event { name, id }: &Event| {
        let Given { fields, levels } = &given[*name];
        let levels: Vec<&str> = levels.iter().map(level).collect();
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        format!("| `{name}` `{id}` | {} | {} | ", levels.join(", "), fields.join(", "))
    };
    let missing: Vec<String> = ALL
        .iter()
        .map(row)
        .filter(|row| !text.lines().any(|l| l.starts_with(row.as_str()) && l.len() > row.len() + 4))
        .collect();
    assert!(missing.is_empty(), "docs/ref/journal.md lacks a line that begins with\n{}", missing.join("\n"));
    let rows = |mark: &str| text.lines().filter(|l| l.starts_with(mark)).count();
    assert_eq!(rows("| `"), ALL.len() + FIELDS.len(), "lines of the tables");
    for (name, what) in FIELDS {
        assert!(text.contains(&format!("| `{name}` | {what} |")), "docs/ref/journal.md lacks {name}: {what}");
    }
}

#[expect(clippy::disallowed_methods, reason = "no data disk")]
fn make(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
}

/// A machine's folders with our catalogs, compiled; none if systemd's journalctl is not installed.
fn compiled() -> Option<tempfile::TempDir> {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("usr/lib/systemd/catalog");
    make(&place);
    for entry in fs::read_dir(catalogs()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, place.join(path.file_name().unwrap())).unwrap();
    }
    let (code, said) = journalctl(dir.path(), "C", &["--update-catalog"])?;
    assert_eq!((code, &*said), (Some(0), ""));
    Some(dir)
}

/// What journalctl says of a machine, in the words of a locale.
fn journalctl(machine: &Path, locale: &str, args: &[&str]) -> Option<(Option<i32>, String)> {
    let mut command = Command::new("journalctl");
    command.arg(format!("--root={}", machine.display())).args(args);
    command.env("LC_ALL", locale).env("LOCPATH", machine.join("locale"));
    let Ok(out) = command.output() else {
        crate::support::lacking("journalctl is not installed");
        return None;
    };
    Some((out.status.code(), String::from_utf8([out.stdout, out.stderr].concat()).unwrap()))
}

#[test]
fn systemd_reads_the_catalogs() {
    let Some(machine) = compiled() else { return };
    let (code, list) = journalctl(machine.path(), "C", &["--list-catalog"]).unwrap();
    let listed: BTreeSet<&str> = list.lines().filter_map(|l| l.split_once(" custodian: ")).map(|(id, _)| id).collect();
    assert_eq!((code, listed), (Some(0), ALL.iter().map(|e| e.id).collect()));

    // The locale decides: its language and country first, then its language. Which locales there are, the machine decides; here they are
    // made of the one that is always there.
    let known = ["/usr/lib/locale/C.utf8", "/usr/lib/locale/C.UTF-8"].map(PathBuf::from);
    let Some(plain) = known.into_iter().find(|p| p.is_dir()) else { return };
    for locale in ["vi_VN", "zh_CN", "fr_FR"] {
        let place = machine.path().join("locale").join(format!("{locale}.utf8"));
        let mut copy = Command::new("cp");
        make(place.parent().unwrap());
        assert!(copy.arg("-r").arg(&plain).arg(&place).status().unwrap().success());
    }
    for (locale, language) in [("vi_VN", ".vi"), ("zh_CN", ".zh_CN"), ("fr_FR", ""), ("C", "")] {
        let locale = if locale == "C" { locale.to_owned() } else { format!("{locale}.UTF-8") };
        let entries = catalog(language);
        for Event { name, id } in ALL {
            let (code, said) = journalctl(machine.path(), &locale, &["--dump-catalog", id]).unwrap();
            let entry = &entries[*id];
            assert_eq!(code, Some(0), "{name}: {said}");
            for part in [entry.header("Subject"), entry.header("Support"), &entry.body] {
                assert!(said.contains(part), "{name} in {locale}: {said}");
            }
        }
    }
}
