//! The image's transfer definitions (sysupdate.d(5)): judged before they are used, and pointed at the folder that was consented to.
//!
//! What they may write is the other slot's root and verity partitions, and a kernel image in the folder of the loader. A definition
//! that names anything else, the partition of the state say, is refused: so is every update then.

use std::path::{Path, PathBuf};

use super::error::{UpdateError, failed};
use crate::sys::Files;

/// Where the image has them.
pub const DEFINITIONS: &str = "/usr/lib/sysupdate.d";

/// What a definition writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The root file system of a slot.
    Root,
    /// Its verity partition.
    Verity,
    /// The unified kernel image.
    Kernel,
}

/// The last value of a key of a section.
fn value<'a>(text: &'a str, section: &str, key: &str) -> Option<&'a str> {
    let mut within = false;
    let mut found = None;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            within = name == section;
        } else if within
            && let Some((k, v)) = line.split_once('=')
            && k.trim() == key
        {
            found = Some(v.trim());
        }
    }
    found
}

/// What a definition writes, or why it must not be used.
pub fn judge(text: &str) -> Result<Target, &'static str> {
    let get = |section, key| value(text, section, key);
    // A line that goes on in the next one would be read otherwise here than there.
    if text.lines().any(|line| line.trim_end().ends_with('\\')) {
        return Err("a line ends with a backslash");
    }
    if get("Transfer", "ProtectVersion") != Some("%A") {
        return Err("[Transfer] must say ProtectVersion=%A: what runs is never overwritten");
    }
    if get("Transfer", "Verify").is_some_and(|v| v != "yes") {
        return Err("[Transfer] may say Verify=yes only");
    }
    if get("Source", "Type") != Some("url-file") {
        return Err("[Source] must say Type=url-file: only that has a signature");
    }
    if get("Target", "InstancesMax") != Some("2") {
        return Err("[Target] must say InstancesMax=2");
    }
    let pattern = get("Target", "MatchPattern").unwrap_or_default();
    let is_root = |t: &str| t == "root" || t.strip_prefix("root-").is_some_and(|arch| !arch.ends_with("verity"));
    let is_verity = |t: &str| t.strip_prefix("root-").is_some_and(|rest| rest == "verity" || rest.ends_with("-verity"));
    match (get("Target", "Type"), get("Target", "Path"), get("Target", "MatchPartitionType")) {
        (Some("partition"), Some("auto"), Some(t)) if is_root(t) && pattern == "custodian_@v" => Ok(Target::Root),
        (Some("partition"), Some("auto"), Some(t)) if is_verity(t) && pattern == "custodian_@v_verity" => {
            Ok(Target::Verity)
        }
        (Some("partition"), ..) => {
            Err("[Target] is a partition that is neither a root nor a verity slot of custodian's")
        }
        (Some("regular-file"), Some("/EFI/Linux"), None) => {
            let boot = matches!(get("Target", "PathRelativeTo"), Some("boot" | "esp"));
            let ours =
                pattern.split_whitespace().all(|p| p.starts_with("custodian_@v") && p.strip_suffix(".efi").is_some());
            if !boot || !ours || pattern.is_empty() {
                return Err("[Target] is no kernel image of custodian's in the loader's folder");
            }
            let counted = get("Target", "TriesLeft").and_then(|n| n.parse::<u8>().ok()).is_some_and(|n| n > 0);
            if counted {
                Ok(Target::Kernel)
            } else {
                Err("[Target] must say TriesLeft=3: a version that fails must not stay")
            }
        }
        _ => Err("[Target] is neither a slot nor a kernel image"),
    }
}

/// The same definition with another source.
fn with_source(text: &str, url: &str) -> String {
    let mut section = "";
    let mut lines = Vec::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with('[') {
            section = trimmed;
        }
        let is_path = trimmed.split_once('=').is_some_and(|(key, _)| key.trim() == "Path");
        if !(section == "[Source]" && is_path) {
            lines.push(line.to_owned());
        }
        if trimmed == "[Source]" {
            // A percent sign begins a specifier.
            lines.push(format!("Path={}", url.replace('%', "%%")));
        }
    }
    lines.join("\n") + "\n"
}

/// Judges the definitions in `from`, and writes them to the new folder `to`, with a source of their own.
pub(super) fn prepare(files: &dyn Files, from: &Path, to: &Path, url: &str) -> Result<(), UpdateError> {
    let names: Vec<String> = files.list(from).map_err(failed("cannot list", from))?;
    let mut found: Vec<(Target, String, String)> = Vec::new();
    for name in names {
        let file: PathBuf = from.join(&name);
        let wrong = |what| UpdateError::Transfer { file: file.clone(), what };
        // Optional features and drop-ins would change what is judged here.
        if !name.ends_with(".transfer") {
            return Err(wrong("nothing but .transfer files may lie beside the definitions"));
        }
        let bytes = files.read(&file).map_err(failed("cannot read", &file))?.unwrap_or_default();
        let text = String::from_utf8(bytes).map_err(|_| wrong("it is no text"))?;
        let target = judge(&text).map_err(wrong)?;
        found.push((target, name.clone(), with_source(&text, url)));
    }
    found.sort();
    if found.iter().map(|(target, ..)| *target).collect::<Vec<_>>() != [Target::Root, Target::Verity, Target::Kernel] {
        let what = "there must be three definitions: the root slot, the verity slot, the kernel image";
        return Err(UpdateError::Transfer { file: from.to_owned(), what });
    }
    files.remove_dir(to).map_err(failed("cannot remove", to))?;
    files.make_dir(to).map_err(failed("cannot make", to))?;
    for (_, name, text) in found {
        let file = to.join(name);
        files.write(&file, text.as_bytes(), 0o600, None).map_err(failed("cannot write", &file))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{sys::FakeFiles, update::testing::TRANSFERS};

    #[test]
    fn only_slots_and_kernel_images_are_targets() {
        let [root, verity, kernel] = TRANSFERS.map(|(_, text)| text);
        assert_eq!([root, verity, kernel].map(judge), [Ok(Target::Root), Ok(Target::Verity), Ok(Target::Kernel)]);
        let with = |text: &str, from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            judge(&text.replace(from, to))
        };
        assert_eq!(with(root, "=root\n", "=root-x86-64\n"), Ok(Target::Root));
        assert_eq!(with(verity, "=root-verity\n", "=root-x86-64-verity\n"), Ok(Target::Verity));
        for (text, from, to) in [
            (root, "=root\n", "=linux-generic\n"),
            (root, "=root\n", "=var\n"),
            (root, "=root\n", "=esp\n"),
            (root, "=root\n", "=root-x86-64-verity\n"),
            (root, "MatchPattern=custodian_@v\n", "MatchPattern=custodian-@v\n"),
            (root, "Path=auto", "Path=/dev/sdb"),
            (root, "Type=partition", "Type=regular-file"),
            (root, "Type=url-file", "Type=regular-file"),
            (root, "ProtectVersion=%A", "ProtectVersion=0"),
            (root, "Verify=yes", "Verify=no"),
            (root, "Verify=yes", "Verify=yes\nVerify=no"),
            (root, "InstancesMax=2", "InstancesMax=1"),
            (root, "InstancesMax=2", "InstancesMax=2\n[Target]\nMatchPartitionType=linux-generic"),
            (root, "Path=auto", "Path=auto\\"),
            (kernel, "Path=/EFI/Linux", "Path=/var/lib/custodian"),
            (kernel, "PathRelativeTo=boot", "PathRelativeTo=root"),
            (kernel, "TriesLeft=3", "TriesLeft=0"),
            (kernel, "TriesLeft=3", ""),
            (kernel, "custodian_@v.efi", "@v.efi"),
        ] {
            assert!(with(text, from, to).is_err(), "{to}");
        }
    }

    #[test]
    fn definitions_get_another_source_and_nothing_else() {
        let files = FakeFiles::new();
        let (from, to) = (Path::new("/sysupdate.d"), Path::new("/run"));
        let lay = |all: &[(&str, &str)]| {
            files.remove_dir(from).unwrap();
            files.make_dir(from).unwrap();
            for (name, text) in all {
                files.write(&from.join(name), text.as_bytes(), 0, None).unwrap();
            }
        };
        lay(&TRANSFERS);
        prepare(&files, from, to, "file:///a%20b/").unwrap();
        for (name, text) in TRANSFERS {
            let now = String::from_utf8(files.read(&to.join(name)).unwrap().unwrap()).unwrap();
            assert_eq!(value(&now, "Source", "Path"), Some("file:///a%%20b/"));
            assert_eq!(judge(&now), judge(text));
            let rest = |t: &str| t.lines().filter(|l| !l.starts_with("Path=")).map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(rest(&now), rest(text));
            let target = |t: &str| value(t, "Target", "Path").map(str::to_owned);
            assert_eq!(target(&now), target(text));
        }
        let refused = |all: &[(&str, &str)]| {
            lay(all);
            matches!(prepare(&files, from, to, "file:///x/"), Err(UpdateError::Transfer { .. }))
        };
        assert!(refused(&TRANSFERS[..2]) && refused(&[]), "one is missing");
        assert!(refused(&[&TRANSFERS[..], &[("40-more.transfer", TRANSFERS[0].1)]].concat()), "one too many");
        assert!(refused(&[&TRANSFERS[..], &[("x.feature", "")]].concat()), "what changes what they mean");
    }
}
