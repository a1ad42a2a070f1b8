//! Rules about the source itself: who may import whom (the table in `src/lib.rs`), how long a file may be, and what
//! must not stand in the repository.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files below `dir` with one of the extensions, build output left out.
fn files(dir: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            if !matches!(&*name, "target" | ".git" | "node_modules" | "corpus" | "artifacts") {
                files(&path, extensions, found);
            }
        } else if extensions.is_empty() || extensions.iter().any(|e| name.ends_with(e)) {
            found.push(path);
        }
    }
}

pub fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    files(&root().join("src"), &[".rs"], &mut found);
    found.sort();
    let relative = |p: &Path| p.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
    found.iter().map(|p| (relative(p), fs::read_to_string(p).unwrap())).collect()
}

/// What the table allows a module to import.
#[derive(Debug, PartialEq, Eq)]
enum Allowed {
    Everything,
    Only(BTreeSet<String>),
}

/// Reads the table: the lines `//! module → module module` of lib.rs's documentation.
fn table(lib: &str) -> BTreeMap<String, Allowed> {
    let row = |line: &str| {
        let (module, to) = line.strip_prefix("//! ")?.split_once('→')?;
        let allowed = match to.trim() {
            "everything" => Allowed::Everything,
            "nothing" => Allowed::Only(BTreeSet::new()),
            names => Allowed::Only(names.split_whitespace().map(str::to_owned).collect()),
        };
        Some((module.trim().to_owned(), allowed))
    };
    lib.lines().filter_map(row).collect()
}

/// Identifiers and punctuation of Rust text, without comments, strings and characters.
pub fn tokens(text: &str) -> Vec<String> {
    let c: Vec<char> = text.chars().collect();
    let at = |i: usize| c.get(i).copied().unwrap_or('\0');
    let word = |ch: char| ch.is_alphanumeric() || ch == '_';
    let (mut out, mut i) = (Vec::new(), 0);
    while i < c.len() {
        match c[i] {
            '/' if at(i + 1) == '/' => i += c[i..].iter().take_while(|c| **c != '\n').count(),
            '/' if at(i + 1) == '*' => {
                let mut depth = 0;
                loop {
                    match (at(i), at(i + 1)) {
                        ('/', '*') => (depth, i) = (depth + 1, i + 2),
                        ('*', '/') => (depth, i) = (depth - 1, i + 2),
                        _ => i += 1,
                    }
                    if depth == 0 || i >= c.len() {
                        break;
                    }
                }
            }
            'r' if at(i + 1) == '"' || at(i + 1) == '#' && matches!(at(i + 2), '"' | '#') => {
                let hashes = c[i + 1..].iter().take_while(|c| **c == '#').count();
                let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
                i += 2 + hashes;
                i += c[i..].windows(end.len()).take_while(|w| *w != end).count() + end.len();
            }
            '"' => {
                i += 1;
                while i < c.len() && c[i] != '"' {
                    i += if c[i] == '\\' { 2 } else { 1 };
                }
                i += 1;
            }
            // A character; a lifetime has no closing quote so near.
            '\'' if at(i + 1) == '\\' => i += 3 + c[i + 3..].iter().take_while(|c| **c != '\'').count(),
            '\'' if at(i + 2) == '\'' => i += 3,
            ch if word(ch) => {
                let len = c[i..].iter().take_while(|c| word(**c)).count();
                out.push(c[i..i + len].iter().collect());
                i += len;
            }
            ':' if at(i + 1) == ':' => {
                out.push("::".to_owned());
                i += 2;
            }
            ch => {
                if !ch.is_whitespace() {
                    out.push(ch.to_string());
                }
                i += 1;
            }
        }
    }
    out
}

/// Where `super` leads from: the module path of a file below `src`.
fn module_path(file: &str) -> Vec<String> {
    let path = file.strip_prefix("src/").unwrap_or(file).trim_end_matches(".rs");
    let mut parts: Vec<String> = path.split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|p| p == "mod" || p == "lib") {
        parts.pop();
    }
    parts
}

/// The top-level modules that a file names through `crate::` or enough `super::`.
fn imports(file: &str, text: &str) -> BTreeSet<String> {
    let path = module_path(file);
    let tokens = tokens(text);
    let is = |i: usize, s: &str| tokens.get(i).is_some_and(|t| t == s);
    // Brace depths at which inline modules began.
    let (mut depth, mut inline, mut found) = (0, Vec::new(), BTreeSet::new());
    let mut i = 0;
    while i < tokens.len() {
        match &*tokens[i] {
            "mod" if is(i + 2, "{") => {
                inline.push(depth);
                (depth, i) = (depth + 1, i + 3);
                continue;
            }
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                inline.pop_if(|d| *d == depth);
            }
            "crate" if is(i + 1, "::") => i = names(&tokens, i + 2, &mut found),
            "super" if is(i + 1, "::") => {
                let mut ups = 1;
                while is(i + 2 * ups, "super") && is(i + 2 * ups + 1, "::") {
                    ups += 1;
                }
                if ups == path.len() + inline.len() {
                    i = names(&tokens, i + 2 * ups, &mut found);
                } else {
                    i += 2 * ups;
                }
                continue;
            }
            _ => {}
        }
        i += 1;
    }
    found
}

/// The name at `i`, or the first names of the paths of a group there. Returns where it stopped, before any brace that
/// the caller has to count.
fn names(tokens: &[String], i: usize, found: &mut BTreeSet<String>) -> usize {
    if tokens.get(i).is_none_or(|t| t != "{") {
        found.extend(tokens.get(i).cloned());
        return i;
    }
    let (mut depth, mut first) = (0, false);
    for (at, token) in tokens.iter().enumerate().skip(i) {
        match &**token {
            "{" => {
                depth += 1;
                first = depth == 1;
            }
            "}" if depth == 1 => return at + 1,
            "}" => depth -= 1,
            "," => first = depth == 1,
            name if first => {
                found.insert(name.to_owned());
                first = false;
            }
            _ => {}
        }
    }
    tokens.len()
}

/// What is wrong with a file's imports.
fn forbidden_imports(table: &BTreeMap<String, Allowed>, file: &str, text: &str) -> Vec<String> {
    let module = module_path(file).first().cloned().unwrap_or_default();
    let Some(allowed) = table.get(&module) else {
        return vec![format!("{file}: module {module} is not in the table of src/lib.rs")];
    };
    let Allowed::Only(allowed) = allowed else { return Vec::new() };
    imports(file, text)
        .into_iter()
        .filter(|to| *to != module && table.contains_key(to) && !allowed.contains(to))
        .map(|to| format!("{file}: {module} may not import {to}"))
        .collect()
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let sources = sources();
    let lib = &sources.iter().find(|(f, _)| f == "src/lib.rs").unwrap().1;
    let table = table(lib);
    let modules: BTreeSet<&str> = lib.lines().filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert_eq!(table.keys().map(String::as_str).collect::<BTreeSet<_>>(), modules, "table and modules of src/lib.rs");
    let wrong: Vec<String> = sources
        .iter()
        .filter(|(f, _)| f != "src/lib.rs" && f != "src/main.rs")
        .flat_map(|(f, text)| forbidden_imports(&table, f, text))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn forbidden_imports_are_found() {
    let table =
        table("//! types → nothing\n//! sys → types\n//! web → types lang\n//! lang → types\n//! cli → everything");
    let wrong = |file: &str, text: &str| !forbidden_imports(&table, file, text).is_empty();
    assert!(wrong("src/sys/a.rs", "use crate::web::X;"));
    assert!(wrong("src/sys/a.rs", "use crate::{types::{A, B}, web};"));
    assert!(wrong("src/sys/a.rs", "use crate::{types, r#type, web::{self, X}};"));
    assert!(wrong("src/sys/a.rs", "fn f() { crate::web::x() }"));
    assert!(wrong("src/sys/a.rs", "use super::super::web::X;"));
    assert!(wrong("src/sys/mod.rs", "use super::web;"));
    assert!(wrong("src/sys/mod.rs", "mod tests { use super::super::web; }"));
    assert!(wrong("src/sys/mod.rs", "mod tests { fn f() {} } use super::web;"));
    assert!(wrong("src/sys/a.rs", "const A: char = '\"'; use crate::web; // \""));
    assert!(wrong("src/novel/mod.rs", ""));
    assert!(!wrong("src/sys/a.rs", "use crate::types::web; // crate::web\nconst A: &str = \"crate::web\";"));
    assert!(!wrong("src/sys/a.rs", "use super::web; const A: &str = r#\"\"crate::web\"#;"));
    assert!(!wrong("src/sys/mod.rs", "mod tests { use super::web; fn f<'a>(_: &'a u8) {} }"));
    assert!(!wrong("src/sys/a.rs", "/* crate::web */ use crate::{types::{web, A}, sys};"));
    assert!(!wrong("src/cli/a.rs", "use crate::web;"));
}

/// Sources that decide: what they say depends on what they are told and on nothing else.
const PURE: [&str; 13] = [
    "src/plan/",
    "src/retention/policy/",
    "src/retention/forecast/",
    "src/retention/kept",
    "src/retention/holds/charge/",
    "src/retention/holds/hold.rs",
    "src/retention/holds/set.rs",
    "src/store/format/",
    "src/health/judge/",
    "src/health/report.rs",
    "src/health/silence.rs",
    "src/health/steady/",
    "src/health/text/",
];

/// Modules that a source imports though it is to decide by what it is told alone.
fn impure(file: &str, text: &str) -> Vec<String> {
    let decides = PURE.iter().any(|dir| file.starts_with(dir));
    let machine =
        |to: &String| matches!(&**to, "sys" | "inventory") && !(file.starts_with("src/plan/") && *to == "inventory");
    imports(file, text)
        .into_iter()
        .filter(machine)
        .filter(|_| decides)
        .map(|to| format!("{file} imports {to}"))
        .collect()
}

#[test]
fn what_decides_never_asks_the_machine() {
    assert_eq!(impure("src/retention/policy/a.rs", "use crate::sys::Clock;").len(), 1);
    assert_eq!(impure("src/plan/a.rs", "use crate::{types, sys};").len(), 1);
    assert!(impure("src/services/a.rs", "use crate::sys::Clock;").is_empty());
    let sources = sources();
    let wrong: Vec<String> = sources.iter().flat_map(|(file, text)| impure(file, text)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for dir in PURE {
        assert!(sources.iter().any(|(file, _)| file.starts_with(dir)), "{dir}");
    }
}

/// Programs that change what is on a disk. blkid and lsblk only look.
const CHANGE_DISKS: [&str; 9] =
    ["mkfs", "mkswap", "wipefs", "blkdiscard", "sgdisk", "sfdisk", "systemd-repart", "cryptsetup", "xfs_admin"];

/// Which of them a source names in a text, outside of `src/disks`.
fn disk_changes(file: &str, text: &str) -> Vec<String> {
    let named = |program: &&&str| text.contains(&format!("\"{program}"));
    let elsewhere = !file.starts_with("src/disks/") && !file.ends_with("tests.rs");
    CHANGE_DISKS.iter().filter(named).filter(|_| elsewhere).map(|p| format!("{file}: runs {p}")).collect()
}

#[test]
fn only_one_module_changes_disks() {
    assert_eq!(disk_changes("src/plan/a.rs", "run(\"mkfs.xfs\", &[])").len(), 1);
    assert_eq!(disk_changes("src/apply/a.rs", "Command::new(\"cryptsetup\")").len(), 1);
    assert!(disk_changes("src/disks/a.rs", "run(\"mkfs.xfs\")").is_empty());
    let sources = sources();
    let wrong: Vec<String> = sources.iter().flat_map(|(file, text)| disk_changes(file, text)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // All of them stand where they are looked for, or the test looks for nothing.
    let disks: String = sources.iter().filter(|(f, _)| f.starts_with("src/disks/")).map(|(_, t)| t.as_str()).collect();
    for program in ["mkfs.xfs", "wipefs", "systemd-repart", "cryptsetup", "xfs_admin"] {
        assert!(disks.contains(&format!("\"{program}\"")), "{program}");
    }
}

/// Longest file of Rust, and of main.
const LONGEST: usize = 500;
const LONGEST_MAIN: usize = 40;

#[test]
fn files_are_short() {
    let mut all = Vec::new();
    for dir in ["src", "tests"] {
        files(&root().join(dir), &[".rs", ".py"], &mut all);
    }
    let wrong: Vec<String> = all
        .iter()
        .filter_map(|path| {
            let lines = fs::read_to_string(path).unwrap().lines().count();
            let most = if path.ends_with("src/main.rs") { LONGEST_MAIN } else { LONGEST };
            (lines > most).then(|| format!("{}: {lines} lines, at most {most} are allowed", path.display()))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Words that tie a text to the machine where it was written, put together here so that they don't stand here.
fn local_words() -> Vec<String> {
    let [slash, dot] = ["/", "."];
    let mut words: Vec<String> = ["root", "work"].map(|dir| format!("{slash}{dir}{slash}")).into();
    words.extend(["internal", "corp", "lan"].map(|tld| format!("{dot}{tld}{slash}")));
    words
}

fn local_words_in(text: &str) -> Vec<String> {
    // Not as part of a longer path such as https://host/work/.
    let begins = |at: usize| !text[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '}'));
    let found = |word: &String| text.match_indices(word.as_str()).any(|(at, _)| !word.starts_with('/') || begins(at));
    local_words().into_iter().filter(found).collect()
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    assert_eq!(local_words_in(&format!("see {}x", local_words()[1])).len(), 1);
    assert_eq!(local_words_in(&format!("https://mirror{}x", local_words()[2])).len(), 1);
    assert!(local_words_in(&format!("a{}x", local_words()[1])).is_empty());
    let mut all = Vec::new();
    files(root(), &[], &mut all);
    let wrong: Vec<String> = all
        .iter()
        .filter(|path| path.file_name().is_some_and(|n| n != ".git"))
        .filter_map(|path| Some((path, String::from_utf8(fs::read(path).ok()?).ok()?)))
        .flat_map(|(path, text)| {
            local_words_in(&text).into_iter().map(move |word| format!("{}: {word}", path.display()))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
