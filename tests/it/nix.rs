//! The flake and the NixOS modules, as far as they can be shown without nixpkgs: evaluated against the stand-in of tests/nix/, which nothing
//! can be built with. docs/design/nix.md says what that proves and what it does not.

mod image;
pub mod tree;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use serde_json::Value;
use tempfile::TempDir;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// One of Nix's programs with a store of its own, so that it needs neither root nor a daemon; nothing if it is not installed.
fn nix(program: &str, args: &[&str], at: &Path, store: &Path) -> Option<Output> {
    let out = Command::new(program)
        .args(args)
        .current_dir(at)
        .env("NIX_REMOTE", format!("local?root={}", store.display()))
        .env("HOME", store)
        .env_remove("NIX_PATH")
        .output();
    if out.is_err() {
        crate::support::lacking(&format!("{program} is not installed"));
    }
    out.ok()
}

/// What an expression of tests/nix/ comes to.
fn evaluated(args: &[&str]) -> Option<Result<String, String>> {
    let store = tempfile::tempdir().unwrap();
    let args: Vec<&str> = ["--eval", "--strict", "--json"].iter().chain(args).copied().collect();
    let out = nix("nix-instantiate", &args, root(), store.path())?;
    Some(if out.status.success() { Ok(text(&out.stdout)) } else { Err(text(&out.stderr)) })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What the modules come to: tests/nix/emit.nix.
pub fn emitted() -> Option<&'static Value> {
    static EMITTED: OnceLock<Option<Value>> = OnceLock::new();
    EMITTED.get_or_init(|| Some(serde_json::from_str(&evaluated(&["tests/nix/emit.nix"])?.unwrap()).unwrap())).as_ref()
}

/// A folder with those above it. It is no data disk's.
fn folder(path: &Path) {
    fs::DirBuilder::new().recursive(true).create(path).unwrap();
}

/// A file with the folders above it.
pub fn write(path: &Path, text: &str) {
    folder(path.parent().unwrap());
    fs::write(path, text).unwrap();
}

/// The files that the flake is of, elsewhere: a flake is taken as it lies there, and here lies whatever was built.
fn flake() -> TempDir {
    fn copy(from: &Path, to: &Path) {
        if from.is_dir() {
            folder(to);
            for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
                copy(&entry.path(), &to.join(entry.file_name()));
            }
        } else if let Ok(target) = fs::read_link(from) {
            std::os::unix::fs::symlink(target, to).unwrap();
        } else {
            fs::copy(from, to).unwrap();
        }
    }
    let dir = tempfile::tempdir().unwrap();
    for part in [
        "flake.nix",
        "flake.lock",
        "Cargo.toml",
        "Cargo.lock",
        "modules",
        "src",
        "image",
        "tests/nix",
        "tests/vm",
        "tests/bench",
    ] {
        folder(dir.path().join(part).parent().unwrap());
        copy(&root().join(part), &dir.path().join(part));
    }
    dir
}

/// `nix flake check` as docs/design/nix.md has it.
fn check(flake: &Path) -> Option<Output> {
    let store = tempfile::tempdir().unwrap();
    let args = "--extra-experimental-features nix-command --extra-experimental-features flakes flake check --no-build --offline \
                --no-write-lock-file --override-input nixpkgs path:./tests/nix path:.";
    nix("nix", &args.split_whitespace().collect::<Vec<_>>(), flake, store.path())
}

#[test]
fn the_flake_is_evaluated_whole() {
    let flake = flake();
    let Some(out) = check(flake.path()) else { return };
    assert!(out.status.success(), "{}", text(&out.stderr));

    // Each output is looked at: a mistake in any of them is one of the flake.
    for (file, right, wrong) in [
        ("flake.nix", "pkgs.cargo-nextest", "pkgs.cargo-nexttest"),
        ("flake.nix", "system.build.finalImage", "system.build.lastImage"),
        ("modules/appliance.nix", "./storage.nix", "./store.nix"),
        ("modules/package.nix", "../tests/bench", "../tests/benches"),
        ("modules/installer.nix", "repartConfig = {", "repartConfg = {"),
        ("tests/vm/nodes.nix", "firewall.allowedTCPPorts", "firewall.allowedTcpPorts"),
    ] {
        let path = flake.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(right), "{file}: {right}");
        fs::write(&path, text.replace(right, wrong)).unwrap();
        assert!(!check(flake.path()).unwrap().status.success(), "{file}: {wrong}");
        fs::write(&path, text).unwrap();
    }
    let odd = flake.path().join("modules/system/usr/lib/odd.d/custodian.conf");
    write(&odd, "");
    let said = text(&check(flake.path()).unwrap().stderr);
    assert!(said.contains("modules/system/usr/lib/odd.d/custodian.conf: NixOS has no place for it"), "{said}");
    fs::remove_file(odd).unwrap();
    assert!(check(flake.path()).unwrap().status.success());
}

#[test]
fn the_lock_is_of_what_the_flake_wants() {
    let lock: Value = serde_json::from_str(&fs::read_to_string(root().join("flake.lock")).unwrap()).unwrap();
    let nixpkgs = &lock["nodes"]["nixpkgs"];
    let wanted = format!("github:NixOS/nixpkgs/{}", nixpkgs["original"]["ref"].as_str().unwrap());
    assert!(fs::read_to_string(root().join("flake.nix")).unwrap().contains(&wanted), "{wanted}");
    assert_eq!(nixpkgs["locked"]["rev"].as_str().unwrap().len(), 40);
    assert!(nixpkgs["locked"]["narHash"].as_str().unwrap().starts_with("sha256-"));
}

#[test]
fn mistakes_are_told() {
    let names = "builtins.mapAttrs (_: c: c.says or null) (import ./tests/nix/wrong.nix)";
    let Some(cases) = evaluated(&["--expr", names]) else { return };
    let cases: std::collections::BTreeMap<String, Option<String>> = serde_json::from_str(&cases.unwrap()).unwrap();
    assert!(cases.len() > 10, "{cases:?}");
    for (name, says) in cases {
        match (evaluated(&["tests/nix/wrong.nix", "-A", &format!("{name}.config")]).unwrap(), says) {
            (Ok(value), None) => assert_eq!(value.trim(), "true", "{name}"),
            (Err(said), Some(says)) => assert!(said.contains(&says), "{name} is to say {says:?}, and says {said}"),
            (other, says) => panic!("{name} is to say {says:?}: {other:?}"),
        }
    }
}

/// The list of NixOS' options is one that people review: in order, each once, each with where it stands, none that nobody needs.
#[test]
fn options_of_nixos_are_reviewed() {
    let list = fs::read_to_string(root().join("tests/nix/nixos-options.txt")).unwrap();
    let options: Vec<Vec<&str>> = list
        .lines()
        .filter(|l| !l.starts_with(['#']) && !l.starts_with("module "))
        .map(|l| l.split_whitespace().collect())
        .collect();
    assert!(options.len() > 50);
    assert!(options.is_sorted_by(|a, b| a[0] < b[0]), "not in order, or twice");
    let mut files: Vec<PathBuf> = vec!["flake.nix".into(), "tests/nix/defaults.nix".into()];
    for folder in ["modules", "tests/vm"] {
        let inside = fs::read_dir(root().join(folder)).unwrap().map(|e| e.unwrap().path());
        files.extend(inside.filter(|p| p.extension().is_some_and(|e| e == "nix")));
    }
    let nix: String = files.iter().map(|f| fs::read_to_string(root().join(f)).unwrap()).collect();
    for option in options {
        let file = option.last().unwrap();
        assert!(file.starts_with("nixos/") && Path::new(file).extension().is_some_and(|e| e == "nix"), "{option:?}");
        let word = option[0].split('.').rfind(|w| !w.starts_with(['<', '['])).unwrap();
        let words = |w: &str| nix.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').any(|n| n == w);
        // They come from [Install], by name.
        assert!(
            words(word) || ["requiredBy", "upheldBy", "aliases"].contains(&word),
            "nobody sets or reads {}",
            option[0]
        );
    }
}

#[test]
fn the_package_is_that_of_cargo() {
    let Some(emitted) = emitted() else { return };
    assert_eq!(emitted["package"]["name"], concat!("custodian-", env!("CARGO_PKG_VERSION")));
    // What the package sets when it is built, the program asks for.
    let source: String = super::layering::sources().into_iter().map(|(_, text)| text).collect();
    assert_eq!(emitted["formatter"], "nixfmt");
    assert_eq!(emitted["modules"].as_object().unwrap().len(), 5);
    for name in emitted["package"]["env"].as_object().unwrap().keys() {
        assert!(source.contains(&format!("option_env!(\"{name}\")")), "{name}");
    }
    // What goes into the program from elsewhere than src/ must be in the package's source.
    let package = fs::read_to_string(root().join("modules/package.nix")).unwrap();
    let taken: Vec<&str> = package.lines().filter_map(|l| l.trim().strip_prefix("../")).collect();
    let mut from_elsewhere = 0;
    for (file, text) in super::layering::sources().iter().filter(|(file, _)| !file.contains("test")) {
        let code = text.split("#[cfg(test)]").next().unwrap();
        for included in code.split("include_str!(\"").skip(1).chain(code.split("include_bytes!(\"").skip(1)) {
            let up = "../".repeat(file.matches('/').count());
            let Some(path) = included.split('"').next().unwrap().strip_prefix(&up) else { continue };
            assert!(taken.iter().any(|t| path == *t || path.starts_with(&format!("{t}/"))), "{file}: {path}");
            from_elsewhere += 1;
        }
    }
    assert!(from_elsewhere > 0, "nothing was looked at");
}

#[test]
fn sites_of_the_modules_and_tests_are_right() {
    let site = fs::read_to_string(root().join("tests/vm/site.toml")).unwrap();
    assert!(custodian::site::parse(&site, "site.toml").is_ok());
    let Some(emitted) = emitted() else { return };
    let settings = emitted["settings"].as_object().unwrap();
    // As it is written: what is empty is left out.
    let said: serde_json::Map<_, _> =
        settings.clone().into_iter().filter(|(_, v)| !v.is_null() && *v != serde_json::json!({})).collect();
    let text = toml::to_string(&said).unwrap();
    let Ok(site) = custodian::site::parse(&text, "site.toml") else { panic!("not right: {text}") };
    assert_eq!(site.cameras().len(), 1);
}

#[test]
fn scripts_of_the_virtual_machines_are_python() {
    let Some(emitted) = emitted() else { return };
    let scripts = emitted["scripts"].as_object().unwrap();
    assert!(scripts.len() >= 3, "{:?}", scripts.keys());
    for (name, script) in scripts {
        let read = "import ast, sys; ast.parse(sys.argv[1])";
        let out = Command::new("python3").args(["-c", read, script.as_str().unwrap()]).output().unwrap();
        assert!(out.status.success(), "{name}: {}", text(&out.stderr));
    }
    let camera = fs::read_to_string(root().join("tests/vm/camera.py")).unwrap();
    let out =
        Command::new("python3").args(["-c", "import ast, sys; ast.parse(sys.argv[1])", &camera]).output().unwrap();
    assert!(out.status.success(), "{}", text(&out.stderr));
}
