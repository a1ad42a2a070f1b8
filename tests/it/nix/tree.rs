//! What NixOS is given of modules/units, modules/system and modules/catalog is what lies there, all of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
    process::Command,
};

use serde_json::Value;

use super::{emitted, evaluated, root, text};

/// Files and links below a folder, by their names from there; a mask, which is a link to /dev/null, has no text.
pub fn below(folder: &Path) -> BTreeMap<String, Option<String>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(below(&path).into_iter().map(|(n, t)| (format!("{name}/{n}"), t)));
        } else if kind.is_symlink() {
            let to = fs::read_link(&path).unwrap();
            found.insert(name, (to != Path::new("/dev/null")).then(|| format!("link to {}", to.display())));
        } else {
            found.insert(name, Some(fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

/// The files of modules/units that systemd reads as units, drop-ins included.
pub fn units() -> BTreeMap<String, String> {
    let all = below(&root().join("modules/units")).into_iter();
    let is_unit = |n: &str| !n.starts_with("sysusers.d/") && !n.starts_with("tmpfiles.d/") && !n.ends_with(".preset");
    all.filter(|(n, _)| is_unit(n)).map(|(n, t)| (n, t.unwrap())).collect()
}

/// An emitted text with Debian's paths again.
pub fn as_in_debian(emitted: &Value, said: &str) -> String {
    let paths = emitted["paths"].as_object().unwrap();
    let mut said = said.to_owned();
    for (debian, here) in paths {
        said = said.replace(here.as_str().unwrap(), debian);
    }
    said
}

/// Units of a system, with Debian's paths.
pub fn units_of(emitted: &Value, system: &str) -> BTreeMap<String, String> {
    let units = emitted[system]["units"].as_object().unwrap().iter();
    let name = |n: &str| n.strip_prefix("/lib/systemd/system/").unwrap().to_owned();
    units.map(|(n, t)| (name(n), as_in_debian(emitted, t.as_str().unwrap()))).collect()
}

/// What [Install] of each unit says, by directive.
fn installed(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let section = text.lines().skip_while(|l| *l != "[Install]").skip(1).take_while(|l| !l.starts_with('['));
    for line in section.filter(|l| !l.starts_with('#')) {
        if let Some((key, value)) = line.split_once('=') {
            found.entry(key).or_default().extend(value.split_whitespace());
        }
    }
    found
}

/// What a preset makes of a unit; systemd.preset(5): the first line that fits holds, and what none speaks of is enabled.
fn is_enabled(unit: &str) -> bool {
    let presets = below(&root().join("modules/units")).into_iter().filter(|(n, _)| n.ends_with(".preset"));
    for line in presets.flat_map(|(_, t)| t.unwrap().lines().map(str::to_owned).collect::<Vec<_>>()) {
        let Some((verdict, name)) = line.split_once(' ') else { continue };
        if name == unit || name.strip_suffix('*').is_some_and(|start| unit.starts_with(start)) {
            return verdict == "enable";
        }
    }
    true
}

#[test]
fn units_are_those_of_the_folder() {
    let Some(emitted) = emitted() else { return };
    let mut given = units_of(emitted, "appliance");
    for (name, text) in units() {
        assert_eq!(given.remove(&name), Some(text), "{name}");
    }
    // The rest are drop-ins of the system's policy.
    let policy = below(&root().join("modules/system"));
    for (name, text) in given {
        let debian = name.replace("chronyd.service", "chrony.service");
        assert_eq!(policy.get(&format!("usr/lib/systemd/system/{debian}")), Some(&Some(text)), "{name}");
    }
    // On a machine that is more than a recorder there are the services alone.
    let (host, all) = (units_of(emitted, "host"), units());
    assert!(host.len() >= 11 && host.iter().all(|(n, t)| all.get(n) == Some(t)), "{:?}", host.keys());
    assert!(
        host.keys().all(|n| !n.contains("firewall") && !n.contains("console") && !n.contains('/')),
        "{:?}",
        host.keys()
    );
    assert_eq!(emitted["nothing"]["units"], serde_json::json!({}));
}

#[test]
fn what_install_says_nixos_is_told() {
    let Some(emitted) = emitted() else { return };
    let mut links = 0;
    for (name, text) in units() {
        let system = &emitted["appliance"];
        let told = name.strip_suffix(".service").map_or(&system["links"][&name], |n| &system["services"][n]);
        let attributes =
            [("WantedBy", "wantedBy"), ("RequiredBy", "requiredBy"), ("UpheldBy", "upheldBy"), ("Alias", "aliases")];
        let installed = if is_enabled(&name) { installed(&text) } else { BTreeMap::new() };
        for (directive, attribute) in attributes {
            let said: Vec<&str> = installed.get(directive).cloned().unwrap_or_default();
            let told: Vec<&str> =
                told[attribute].as_array().into_iter().flatten().map(|v| v.as_str().unwrap()).collect();
            assert_eq!(told, said, "{name}: {directive}");
            links += said.len();
        }
        // Programs are found by name.
        let services = system["services"].as_object().unwrap();
        if let Some(service) = name.strip_suffix(".service") {
            assert!(services[service]["path"].as_array().unwrap().len() > 5, "{name}");
        }
    }
    assert!(links >= 7, "{links}");
}

#[test]
fn users_and_folders_are_those_of_the_folder() {
    let lines = |file: &str| -> Vec<Vec<String>> {
        let text = fs::read_to_string(root().join("modules/units").join(file)).unwrap();
        let words = |l: &str| l.split_whitespace().map(str::to_owned).collect();
        text.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).map(words).collect()
    };
    // What is left open here image/users.lock says; image.rs compares the numbers.
    let users = lines("sysusers.d/custodian.conf");
    let Some(emitted) = emitted() else { return };
    for system in ["appliance", "host"] {
        let system = &emitted[system];
        let (given, groups) = (system["users"].as_object().unwrap(), system["groups"].as_object().unwrap());
        let of = |kind: &str| users.iter().filter(|l| l[0] == kind).cloned().collect::<Vec<_>>();
        assert_eq!(given.len(), of("u").len());
        for line in of("u") {
            assert_eq!(given[&line[1]]["group"], line[1]);
            assert_eq!(given[&line[1]]["uid"], groups[&line[1]]["gid"]);
        }
        assert_eq!(groups.len(), of("u").len() + of("g").len());
        for line in of("u").into_iter().chain(of("g")) {
            assert!(groups[&line[1]]["gid"].as_u64().is_some_and(|n| (100..1000).contains(&n)), "{line:?}");
            let members: Vec<Value> =
                of("m").into_iter().filter(|m| m[2] == line[1]).map(|m| m[1].clone().into()).collect();
            assert_eq!(groups[&line[1]]["members"], Value::from(members), "{line:?}");
        }
    }
    let folders = fs::read_to_string(root().join("modules/units/tmpfiles.d/custodian.conf")).unwrap();
    for system in ["appliance", "host"] {
        let given = emitted[system]["tmpfiles"]["/lib/tmpfiles.d/custodian.conf"].as_str().unwrap();
        assert_eq!(as_in_debian(emitted, given), folders);
    }
}

/// Each file of the policy has one place on NixOS, and says there what it says in Debian.
#[test]
fn policy_is_that_of_the_folder() {
    let Some(emitted) = emitted() else { return };
    let system = &emitted["appliance"];
    let said = |value: &Value| value.as_str().map(|s| as_in_debian(emitted, s));
    let names = |list: &str| -> BTreeSet<String> {
        system[list].as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
    };
    let (suppressed, generators) = (names("suppressed"), names("generators"));
    let policy = below(&root().join("modules/system"));
    assert!(policy.len() > 10, "{:?}", policy.keys());
    for (name, text) in policy {
        let (folder, file) = name.rsplit_once('/').unwrap_or(("", &name));
        let here = match (folder, text.is_none()) {
            // It is read by people.
            ("", false) => continue,
            // Named by its path; its folder is in the store as it is.
            (f, false) if f.starts_with("usr/lib/custodian") => continue,
            ("etc/systemd/system-generators", true) => {
                assert!(generators.contains(file), "{name}");
                continue;
            }
            ("etc/systemd/system", true) => {
                // This one NixOS makes itself; it leads to a target that does nothing.
                assert!(suppressed.contains(file) || file == "ctrl-alt-del.target", "{name}");
                continue;
            }
            ("etc/chrony", false) => said(&system["chrony"]),
            ("usr/lib/tmpfiles.d", false) => said(&system["tmpfiles"][format!("/lib/tmpfiles.d/{file}")]),
            (f, false) if f.starts_with("usr/lib/systemd/system/") => {
                let unit = f.strip_prefix("usr/lib/systemd/system/").unwrap().replace("chrony.", "chronyd.");
                units_of(emitted, "appliance").get(&format!("{unit}/{file}")).cloned()
            }
            (f, false) => {
                let place = f.strip_prefix("usr/lib/").or(f.strip_prefix("etc/")).unwrap();
                said(&system["etc"][format!("{place}/{file}")])
            }
            (_, true) => panic!("{name} masks nothing that NixOS knows"),
        };
        assert_eq!(here, text, "{name}");
    }
    // What the drop-in gives chronyd in Debian.
    let flags: Vec<&str> = system["chronyd"].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
    let drop_in = &units_of(emitted, "appliance")["chronyd.service.d/custodian.conf"];
    assert!(drop_in.contains(&format!("\nEnvironment=\"DAEMON_OPTS={}\"\n", flags.join(" "))), "{flags:?} {drop_in}");
    // Nothing is allowed besides, and nothing is said twice.
    assert_eq!(emitted["host"]["etc"], serde_json::json!({}));
    assert_eq!(emitted["host"]["suppressed"], serde_json::json!([]));
}

/// The units as NixOS writes them, with this build's program in the place of the package's.
#[test]
fn systemd_finds_nothing_wrong_with_them() {
    let Some(emitted) = emitted() else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    let mut write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        super::write(&path, &text.replace("/usr/bin/custodian", env!("CARGO_BIN_EXE_custodian")));
        if !name.contains('/') {
            files.push(path);
        }
    };
    for (name, text) in units_of(emitted, "host") {
        write(&name, &text);
        if let Some(service) = name.strip_suffix(".service") {
            let path = &emitted["host"]["services"][service]["path"];
            let path: Vec<String> =
                path.as_array().unwrap().iter().map(|p| format!("/nix/store/x-{}/bin", p.as_str().unwrap())).collect();
            write(&format!("{name}.d/overrides.conf"), &format!("[Service]\nEnvironment=PATH={}\n", path.join(":")));
        }
    }
    let site = &emitted["host"]["services"]["custodian-site"];
    let mut unit = format!("[Unit]\nDescription={}\n", site["description"].as_str().unwrap());
    for (key, list) in [("After", "after"), ("Before", "before")] {
        let names: Vec<&str> = site[list].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
        writeln!(unit, "{key}={}", names.join(" ")).unwrap();
    }
    unit += "[Service]\n";
    for (key, value) in site["serviceConfig"].as_object().unwrap() {
        writeln!(unit, "{key}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)).unwrap();
    }
    write("custodian-site.service", &as_in_debian(emitted, &unit));
    let Ok(out) = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(&files).env("LC_ALL", "C").output()
    else {
        return crate::support::lacking("systemd-analyze is not installed");
    };
    assert_eq!((out.status.code(), text(&out.stderr).trim()), (Some(0), ""));
}

/// What tree.nix does not understand, it refuses: nothing is left out in silence.
#[test]
fn what_nixos_has_no_place_for_is_refused() {
    let unit = "[Service]\nExecStart=/usr/bin/custodian web\n[Install]\nWantedBy=multi-user.target\n";
    let users = "u custodian-web 552 \"custodian: serves the pages\" -\n";
    let tree = |files: &[(&str, &str)], asked: &str| {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            super::write(&dir.path().join(name), text);
        }
        let expression = format!(
            "(import ./modules/tree.nix {{ lib = import ./tests/nix/lib.nix; root = {}; \
             paths.\"/usr/bin/custodian\" = \"/store/custodian\"; }}).{asked}",
            dir.path().display(),
        );
        evaluated(&["--expr", &expression])
    };
    let a = ("units/a.service", unit);
    let Some(right) = tree(&[a], "units") else { return };
    assert!(right.unwrap().contains("ExecStart=/store/custodian web"));
    let told = |files: &[(&str, &str)], asked: &str| tree(files, asked).unwrap();
    let preset = ("units/90-a.preset", "# Two\nenable b.*\ndisable a.service\n");
    assert_eq!(told(&[a], "install").unwrap().trim(), r#"{"a.service":{"wantedBy":["multi-user.target"]}}"#);
    assert_eq!(told(&[a, preset], "install").unwrap().trim(), "{}");
    assert!(told(&[a, ("units/sysusers.d/a.conf", users)], "users").unwrap().contains("552"));

    let also = unit.replace("WantedBy=multi-user.target", "Also=b.service");
    let sh = unit.replace("/usr/bin/custodian web", "/bin/sh -c true");
    let without = users.replace("552", "-").replace("-web", "-wob");
    for (files, asked, says) in [
        (vec![a, ("units/notes.txt", "")], "units", "notes.txt is no unit"),
        (vec![("units/a.service", sh.as_str())], "units", "NixOS has no such path: ExecStart=/bin/sh -c true"),
        (vec![("units/a.service", also.as_str())], "install", "NixOS has nothing for Also=b.service"),
        (
            vec![a, ("units/sysusers.d/a.conf", without.as_str())],
            "users",
            "image/users.lock: custodian-wob has no number",
        ),
        (vec![a, ("units/sysusers.d/a.conf", "r - 500-900\n")], "users", "not understood: r - 500-900"),
        (vec![a, ("system/etc/a.conf", "run=/usr/bin/a\n")], "system", "NixOS has no such path: run=/usr/bin/a"),
    ] {
        let said = told(&files, asked).unwrap_err();
        assert!(said.contains(says), "{says:?}: {said}");
    }
}
