//! The image from Debian packages and the NixOS appliance carry the same: what image/build lays over the packages' files is laid here into a
//! folder, and compared with what the modules come to.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use super::{
    emitted, root, text,
    tree::{as_in_debian, below, units_of},
};

/// The tree of image/build, before there is anything of Debian's in it: by image/parts/root.py itself.
fn laid() -> BTreeMap<String, Option<String>> {
    let dir = tempfile::tempdir().unwrap();
    let (tree, file) = (dir.path().join("tree"), dir.path().join("file"));
    fs::create_dir(&tree).unwrap();
    fs::write(&file, "").unwrap();
    let script = "import sys; from pathlib import Path; sys.path.insert(0, 'image'); sys.dont_write_bytecode = True; \
                  from parts.root import link, overlay; a = [*map(Path, sys.argv[1:])]; overlay(*a); link(a[0])";
    let out =
        Command::new("python3").args(["-c", script]).args([&tree, &file, &file]).current_dir(root()).output().unwrap();
    assert!(out.status.success(), "{}", text(&out.stderr));
    below(&tree)
}

/// Those below a folder, its name taken off.
fn from(laid: &BTreeMap<String, Option<String>>, folder: &str) -> BTreeMap<String, String> {
    let inside = laid.iter().filter_map(|(n, t)| Some((n.strip_prefix(folder)?.to_owned(), t.clone()?)));
    inside.collect()
}

#[test]
fn both_images_carry_the_same_units_users_folders_and_policy() {
    let Some(emitted) = emitted() else { return };
    let laid = laid();
    // Its own: how Debian's partitions are mounted and its services started. NixOS says these otherwise.
    let own = below(&root().join("image/files"));
    let shared: BTreeMap<_, _> = laid.into_iter().filter(|(n, _)| !own.contains_key(n)).collect();

    let system = "usr/lib/systemd/system/";
    let nixos = units_of(emitted, "appliance").into_iter();
    let nixos: BTreeMap<_, _> = nixos.map(|(n, t)| (n.replace("chronyd.service", "chrony.service"), t)).collect();
    let debian = from(&shared, system);
    assert!(debian.len() >= 15, "{:?}", debian.keys());
    assert_eq!(debian.keys().collect::<Vec<_>>(), nixos.keys().collect::<Vec<_>>());
    assert_eq!(debian, nixos);

    let folders = emitted["appliance"]["tmpfiles"].as_object().unwrap().iter();
    let name = |n: &str| n.strip_prefix("/lib/tmpfiles.d/").unwrap().to_owned();
    let nixos: BTreeMap<_, _> = folders.map(|(n, t)| (name(n), as_in_debian(emitted, t.as_str().unwrap()))).collect();
    assert_eq!(from(&shared, "usr/lib/tmpfiles.d/"), nixos);

    let users = from(&shared, "usr/lib/sysusers.d/");
    let lock = fs::read_to_string(root().join("image/users.lock")).unwrap();
    let (mut here, mut numbers) = (Vec::new(), Vec::new());
    for line in users.values().flat_map(|t| t.lines()).filter(|l| l.starts_with(['u', 'g'])) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let locked = lock.lines().find_map(|l| l.strip_prefix(&format!("{} {} ", words[0], words[1])));
        let number = if words[2] == "-" {
            locked.unwrap_or_else(|| panic!("image/users.lock has no {}", words[1]))
        } else {
            words[2]
        };
        here.push(words[1].to_owned());
        numbers.push(number.parse::<u64>().unwrap());
        let (list, key) = if words[0] == "u" { ("users", "uid") } else { ("groups", "gid") };
        assert_eq!(emitted["appliance"][list][words[1]][key], *numbers.last().unwrap(), "{line}");
    }
    numbers.sort_unstable();
    assert!(numbers.windows(2).all(|w| w[0] != w[1]), "two have one number: {numbers:?}");
    let groups = emitted["appliance"]["groups"].as_object().unwrap();
    here.sort();
    assert_eq!(groups.keys().cloned().collect::<Vec<_>>(), here);

    // What is named by its path, the packet filter's rules among it, is one folder, which the store has as it is.
    let data = Path::new("modules/system/usr/lib/custodian");
    assert!(from(&shared, "usr/lib/custodian/").keys().any(|n| n == "firewall.nft"));
    assert_eq!(from(&shared, "usr/lib/custodian/"), from(&below(&root().join(data)), ""));
    assert_eq!(from(&shared, "usr/lib/systemd/catalog/"), from(&below(&root().join("modules/catalog")), ""));

    // Settings of the system, whichever folder they lie in.
    let etc = emitted["appliance"]["etc"].as_object().unwrap();
    let mut compared = 0;
    for (name, text) in &shared {
        let place = name.strip_prefix("etc/").or(name.strip_prefix("usr/lib/"));
        if let (Some(place), Some(text)) = (place, text)
            && let Some(nixos) = etc.get(place)
        {
            let text = text.strip_prefix("link to ").unwrap_or(text);
            assert_eq!(as_in_debian(emitted, nixos.as_str().unwrap()), text, "{name}");
            compared += 1;
        }
    }
    // The two links into the state partition among them.
    assert_eq!(compared, etc.len(), "{:?}", etc.keys());
    let masked = shared.iter().filter(|(n, t)| t.is_none() && n.starts_with("etc/systemd/system/")).count();
    assert_eq!(emitted["appliance"]["suppressed"].as_array().unwrap().len() + 1, masked);
}
