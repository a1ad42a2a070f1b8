//! Security updates that wait, where Debian's package manager keeps lists. The appliance has none: it
//! is updated as a whole.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    health::facts::{RootLook, Updates},
    services::{paths::Paths, updating::OS_RELEASE},
    sys::{Commands, Files},
    types::WallNs,
    update,
};

/// It works out what depends on what.
const LIMIT: Duration = Duration::from_mins(1);
/// Says what an upgrade would do, and does nothing.
const SIMULATE: [&str; 5] = ["--simulate", "--quiet=2", "--option", "Debug::NoLocking=true", "dist-upgrade"];

/// Where the package manager keeps what it knows.
pub struct Apt {
    /// Lists of packages, as they were fetched last.
    pub lists: PathBuf,
    /// What is installed.
    pub installed: PathBuf,
}

impl Apt {
    /// The machine's own.
    pub(super) fn new() -> Self {
        Self { lists: "/var/lib/apt/lists".into(), installed: "/var/lib/dpkg/status".into() }
    }

    /// What waits; none: that cannot be known here. It is worked out anew only where something has changed since `before`.
    pub(super) fn look(&self, commands: &dyn Commands, before: Option<&RootLook>) -> Option<Updates> {
        let names = fs::read_dir(&self.lists).ok()?.flatten().filter_map(|e| e.file_name().into_string().ok());
        if !names.into_iter().any(|name| name.ends_with("Release") || name.ends_with("_Packages")) {
            return None;
        }
        // What is fetched passes through that folder.
        let looked = changed(&self.lists).max(changed(&self.lists.join("partial")));
        if let Some(before) = before
            && let Some(updates) = &before.updates
            && !updates.failed
            && updates.looked == looked
            && changed(&self.installed).is_some_and(|at| at < before.at)
        {
            return Some(updates.clone());
        }
        let said = commands.run("apt-get", &SIMULATE, b"", LIMIT).ok().filter(crate::sys::Output::ok);
        // Lists being there, it can be known here: that it is not is a trouble, and asked again.
        let security = said.as_ref().map_or(0, |said| security(&String::from_utf8_lossy(&said.stdout)));
        Some(Updates { security, failed: said.is_none(), looked, offered: None, fell_back: None, left_behind: None })
    }
}

/// What is known of a system that is updated as a whole, where there is such a one. `source`: whether the site names a folder that is looked at.
pub(super) fn of_the_image(files: &dyn Files, state: &Path, source: bool, now: WallNs) -> Option<Updates> {
    let dir = Paths::new(state).updates();
    let failed =
        || Updates { security: 0, failed: true, looked: None, offered: None, fell_back: None, left_behind: None };
    if files.list(&dir).ok()?.iter().all(|name| name != update::FILE) {
        return None;
    }
    let Ok(known) = update::read(files, &dir) else { return Some(failed()) };
    let offered = known.waits().map(ToString::to_string);
    let fell_back = known.fell_back().map(ToString::to_string);
    let running = update::running(files, Path::new(OS_RELEASE)).ok();
    let left_behind = running.and_then(|running| known.left_behind(&running).map(ToString::to_string));
    // Versions that come on a stick nobody looks for: that none waits is not known.
    let looked = if source { known.looked } else { Some(now) };
    let told = source || offered.is_some() || fell_back.is_some() || left_behind.is_some();
    told.then_some(Updates { looked, offered, fell_back, left_behind, failed: false, ..failed() })
}

fn changed(path: &Path) -> Option<WallNs> {
    let meta = fs::metadata(path).ok()?;
    Some(WallNs(meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec())))
}

/// How many of the packages that would be installed come from Debian's or Ubuntu's archive of security updates (apt-get(8), `--simulate`):
/// `Inst libssl3 [3.0.15-1] (3.0.17-1 Debian-Security:12/stable-security [amd64])`.
fn security(text: &str) -> u64 {
    text.lines().filter(|line| line.starts_with("Inst ") && line.to_ascii_lowercase().contains("-security")).count()
        as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sys::{FakeCommands, FakeFiles, Output},
        types::wire,
    };

    const SAID: &str = "Inst libssl3 [3.0.15-1~deb12u1] (3.0.17-1~deb12u2 Debian-Security:12/stable-security [amd64])\n\
                        Inst base-files [12.4] (12.4+deb12u11 Debian:12.11/stable [amd64])\n\
                        Conf libssl3 (3.0.17-1~deb12u2 Debian-Security:12/stable-security [amd64])\n\
                        Inst openssl [3.0.2] (3.0.2-0ubuntu1.19 Ubuntu:22.04/jammy-updates, Ubuntu:22.04/jammy-security [amd64])\n";

    fn seen(updates: Option<Updates>, at: WallNs) -> RootLook {
        RootLook {
            format: 1,
            at,
            disks: [].into(),
            generation: None::<wire::health::GenerationHealth>,
            drift: Vec::new(),
            backups: None,
            updates,
        }
    }

    #[test]
    fn updates_are_counted_where_there_are_lists_and_only_when_something_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let apt = Apt { lists: dir.path().join("lists"), installed: dir.path().join("status") };
        let commands =
            FakeCommands::new(|_, _: &[&str]| Ok(Output { code: Some(0), stdout: SAID.into(), stderr: String::new() }));
        assert_eq!(apt.look(&commands, None), None, "no package manager");
        fs::create_dir(&apt.lists).unwrap();
        fs::create_dir(apt.lists.join("partial")).unwrap();
        fs::write(&apt.installed, "x").unwrap();
        assert_eq!(apt.look(&commands, None), None, "it never fetched lists");
        assert!(commands.asked().is_empty());
        fs::write(apt.lists.join("mirror.example_debian_dists_bookworm_InRelease"), "x").unwrap();
        let first = apt.look(&commands, None).unwrap();
        assert_eq!((first.security, first.offered.clone(), first.looked.is_some()), (2, None, true));
        // Seen after all that had changed.
        let later = WallNs(changed(&apt.installed).unwrap().0 + 1);
        assert_eq!(apt.look(&commands, Some(&seen(Some(first.clone()), later))), Some(first.clone()));
        assert_eq!(commands.asked().len(), 1);
        // Packages were installed since.
        assert!(apt.look(&commands, Some(&seen(Some(first.clone()), WallNs(0)))).is_some());
        assert_eq!(commands.asked().len(), 2);
        // Lists were fetched since.
        let stale = Updates { looked: Some(WallNs(1)), ..first };
        assert!(apt.look(&commands, Some(&seen(Some(stale), later))).is_some());
        assert_eq!(commands.asked().len(), 3);
        let broken = FakeCommands::new(|_, _: &[&str]| Ok(Output { code: Some(100), ..Output::default() }));
        let failed = apt.look(&broken, None).unwrap();
        assert!(failed.failed, "that nothing waits is not known");
        let asked = commands.asked().len();
        let again = apt.look(&commands, Some(&seen(Some(failed), later))).unwrap();
        assert_eq!((again.failed, again.security, commands.asked().len()), (false, 2, asked + 1));
    }

    #[test]
    fn of_a_system_that_is_updated_as_a_whole_it_is_told_what_waits_for_whom() {
        let (files, state, now) = (FakeFiles::new(), Path::new("/state"), WallNs(9));
        files.make_dir(state).unwrap();
        files.make_dir(&state.join("updates")).unwrap();
        let look = |source| of_the_image(&files, state, source, now);
        assert_eq!((look(true), look(false)), (None, None), "it was never updated");
        let keep = |text: &str| files.write(&state.join("updates/state.json"), text.as_bytes(), 0, None).unwrap();
        let kept = |candidate: &str, refused: &str, looked: &str| {
            keep(&format!(
                r#"{{"format":1,"min_reader":1,"looked":{looked},"candidate":{candidate},"good":null,"refused":{refused},"notes":[]}}"#
            ));
        };
        let candidate =
            |stage: &str| format!(r#"{{"version":"0.2.0","sums":"{}","offered":1,"stage":"{stage}"}}"#, "0".repeat(64));
        kept("null", "[]", "5");
        assert_eq!(look(true).unwrap().looked, Some(WallNs(5)));
        assert_eq!(look(false), None, "what comes on a stick nobody looks for");
        kept(&candidate("offered"), "[]", "null");
        let seen = look(false).unwrap();
        assert_eq!((seen.offered.as_deref(), seen.looked, seen.failed), (Some("0.2.0"), Some(now), false));
        assert_eq!(look(true).unwrap().looked, None);
        kept(&candidate("consented"), "[]", "null");
        assert_eq!(look(false), None, "it waits for nobody");
        let refused = |known| format!(r#"[{{"version":"0.3.0","why":"fell-back","at":1,"known":{known}}}]"#);
        kept("null", &refused(false), "null");
        assert_eq!(look(false).unwrap().fell_back.as_deref(), Some("0.3.0"));
        kept("null", &refused(true), "null");
        assert_eq!(look(false), None);
        let good = |version: &str| {
            keep(&format!(
                r#"{{"format":1,"min_reader":1,"looked":null,"candidate":null,"good":{{"version":"{version}","at":1}},"refused":[],"notes":[]}}"#
            ));
        };
        good("0.3.0");
        assert_eq!(look(false), None, "which version runs is not known");
        files.make_dir(Path::new("/etc")).unwrap();
        files.write(Path::new(OS_RELEASE), b"IMAGE_VERSION=0.2.0\n", 0, None).unwrap();
        assert_eq!(look(false).unwrap().left_behind.as_deref(), Some("0.3.0"), "the loader does not start it any more");
        good("0.2.0");
        assert_eq!(look(false), None);
        keep("{");
        assert!(look(false).unwrap().failed, "that nothing waits is not known");
    }
}
