//! The machine's side of an update: systemd's own programs, the loader's entries, the release that runs.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    error::{UpdateError, failed},
    state::{Facts, Trial, Tries},
    version::Version,
};
use crate::sys::{Commands, Files, Output};

/// Fetches a file and checks it: systemd-importd's own helper, by which systemd-sysupdate fetches, too.
pub const PULL: &str = "/usr/lib/systemd/systemd-pull";
const SYSUPDATE: &str = "/usr/lib/systemd/systemd-sysupdate";
const BLESS: &str = "/usr/lib/systemd/systemd-bless-boot";
/// Where the loader says which entry it has counted down: <https://systemd.io/BOOT_LOADER_INTERFACE/>. Nobody has to find its partition for that.
const COUNTED: &str = "/sys/firmware/efi/efivars/LoaderBootCountPath-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// A slow line, and a GiB.
const LONG: Duration = Duration::from_hours(3);
const SHORT: Duration = Duration::from_secs(30);

/// What is asked, and told.
pub struct Machine<'a> {
    /// Runs programs.
    pub commands: &'a dyn Commands,
    /// Reads and removes entries of the loader.
    pub files: &'a dyn Files,
    /// The release that runs: os-release(5).
    pub os_release: PathBuf,
    /// Which boot this is.
    pub boot: String,
    /// The image's transfer definitions.
    pub definitions: PathBuf,
    /// A folder of root's that the next boot does not see.
    pub run: PathBuf,
}

/// An entry of the loader: a unified kernel image, with its counter (UAPI.1, "Automatic Boot Assessment").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its file name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// How often it will be started.
    pub tries: Tries,
}

/// `custodian_0.2.0+2-1.efi`
fn entry(name: &str) -> Option<Entry> {
    let rest = name.strip_prefix("custodian_")?.strip_suffix(".efi")?;
    let (version, tries) = match rest.split_once('+') {
        None => (rest, Tries::NotCounted),
        Some((version, counter)) => {
            let left = counter.split_once('-').map_or(counter, |(left, _)| left);
            (version, Tries::Left(left.parse().ok()?))
        }
    };
    Some(Entry { name: name.to_owned(), version: version.parse().ok()?, tries })
}

/// The version that runs, by os-release(5).
pub fn running(files: &dyn Files, os_release: &Path) -> Result<Version, UpdateError> {
    let none = || UpdateError::NoImage(os_release.to_owned());
    let bytes = files.read(os_release).map_err(failed("cannot read", os_release))?;
    let text = String::from_utf8(bytes.ok_or_else(none)?).map_err(|_| none())?;
    let line = text.lines().find_map(|l| l.strip_prefix("IMAGE_VERSION="));
    line.and_then(|v| v.trim().trim_matches(['"', '\'']).parse().ok()).ok_or_else(none)
}

impl Machine<'_> {
    fn run(&self, what: &'static str, program: &str, args: &[&str], limit: Duration) -> Result<Output, UpdateError> {
        let failed = |said: String| UpdateError::Program { what, said };
        let out = self.commands.run(program, args, b"", limit).map_err(|e| failed(e.to_string()))?;
        // Of what they say the last lines say why.
        let lines: Vec<&str> = out.stderr.lines().filter(|l| !l.is_empty() && *l != "Exiting.").collect();
        let last = lines[lines.len().saturating_sub(3)..].join("; ");
        if out.ok() { Ok(out) } else { Err(failed(last)) }
    }

    /// The version that runs.
    pub fn running(&self) -> Result<Version, UpdateError> {
        running(self.files, &self.os_release)
    }

    /// Whether the loader counts this boot and was not told yet that it is a good one. A program that fails has not said that it does not:
    /// early in a boot the loader's partition is not there yet, and in a sandbox it never is.
    pub fn trial(&self) -> Trial {
        match self.commands.run(BLESS, &["status"], b"", SHORT) {
            Ok(out) if out.ok() => match out.stdout.trim_ascii() {
                // Later versions have a word of their own for the last try.
                b"indeterminate" | b"dirty" => Trial::Counted,
                b"clean" | b"good" | b"bad" => Trial::NotCounted,
                _ => Trial::Unknown,
            },
            _ => Trial::Unknown,
        }
    }

    /// Whether the loader has counted this boot, whatever was decided since.
    pub fn was_counted(&self) -> bool {
        self.files.read(Path::new(COUNTED)).is_ok_and(|found| found.is_some())
    }

    /// The folder with the loader's entries.
    fn loader(&self) -> Result<PathBuf, UpdateError> {
        let out = self.run("the loader's partition is not there", "bootctl", &["--print-boot-path"], SHORT)?;
        let at = String::from_utf8_lossy(&out.stdout).trim().to_owned();
        Ok(Path::new(&at).join("EFI/Linux"))
    }

    /// The loader's entries for custodian, the newest first.
    pub fn entries(&self) -> Result<Vec<Entry>, UpdateError> {
        let loader = self.loader()?;
        let names = self.files.list(&loader).map_err(failed("cannot list", &loader))?;
        let mut all: Vec<Entry> = names.iter().filter_map(|name| entry(name)).collect();
        all.sort_by(|a, b| b.version.cmp(&a.version));
        Ok(all)
    }

    /// Takes the entry of a version away, so that it is never started. Fine if there is none.
    pub fn drop_entry(&self, version: &Version) -> Result<(), UpdateError> {
        let loader = self.loader()?;
        for entry in self.entries()?.iter().filter(|entry| entry.version == *version) {
            let path = loader.join(&entry.name);
            self.files.remove(&path).map_err(failed("cannot remove", &path))?;
        }
        Ok(())
    }

    /// What there is to know, `candidate` being the version that may come.
    pub fn facts(&self, candidate: Option<&Version>) -> Result<Facts, UpdateError> {
        let running = self.running()?;
        // Where it does not matter nobody has to find the loader's partition.
        let tries = match candidate {
            Some(version) if *version != running => {
                self.entries()?.iter().find(|e| e.version == *version).map_or(Tries::NoEntry, |e| e.tries)
            }
            _ => Tries::NoEntry,
        };
        // The loader is asked of a version that is to prove itself only.
        let trial = if candidate == Some(&running) { self.trial() } else { Trial::Unknown };
        Ok(Facts { running, boot: self.boot.clone(), trial, tries })
    }

    /// Fetches a file. `verify` is `signature`, `no`, or a hash.
    pub(super) fn pull(&self, url: &str, to: &Path, verify: &str, most: u64) -> Result<(), UpdateError> {
        let (verify, most) = (format!("--verify={verify}"), format!("--size-max={most}"));
        let to = to.display().to_string();
        match self.run("", PULL, &["raw", "--direct", &verify, &most, url, &to], LONG) {
            Err(UpdateError::Program { said, .. }) => Err(UpdateError::NotFetched { said }),
            other => other.map(|_| ()),
        }
    }

    /// Checks the signature of a file that lies beside it, and leaves what was checked in `to`.
    pub(super) fn check(&self, folder: &Path, file: &str, to: &Path, most: u64) -> Result<(), UpdateError> {
        match self.pull(&format!("{}{file}", folder_url(folder)?), to, "signature", most) {
            Err(UpdateError::NotFetched { said }) => Err(UpdateError::NotSigned { said }),
            other => other,
        }
    }

    /// Writes a version from a folder to the slot that is not in use.
    pub(super) fn write(&self, version: &Version, from: &Path) -> Result<(), UpdateError> {
        let definitions = self.run.join("sysupdate.d");
        super::transfers::prepare(self.files, &self.definitions, &definitions, &folder_url(from)?)?;
        let definitions = format!("--definitions={}", definitions.display());
        let args = [&*definitions, "--verify=yes", "update", version.as_str()];
        self.run("it cannot be written", SYSUPDATE, &args, LONG).map(|_| ())
    }

    /// Lets another version start next, once; the one after it is as it was.
    pub fn start_next(&self, entry: &Entry) -> Result<(), UpdateError> {
        let out = self.run("the loader does not say what it has", "bootctl", &["list", "--json=short"], SHORT)?;
        let none = || UpdateError::Program { what: "the loader does not have it", said: entry.name.clone() };
        let id = loader_id(&out.stdout, &entry.version).ok_or_else(none)?;
        self.run("the loader does not take it", "bootctl", &["set-oneshot", &id], SHORT).map(|_| ())
    }

    /// Starts the machine again.
    pub fn reboot(&self) -> Result<(), UpdateError> {
        self.run("it does not restart", "systemctl", &["reboot"], SHORT).map(|_| ())
    }
}

/// What the loader calls the entry of a version, by `bootctl list --json=short`: without its counter, perhaps with a profile. Rescue mode is
/// another profile of the same image, and not meant.
fn loader_id(list: &[u8], version: &Version) -> Option<String> {
    let all: Vec<serde_json::Value> = serde_json::from_slice(list).ok()?;
    let ids = all.iter().filter_map(|one| one["id"].as_str());
    let mut ours = ids.filter(|id| {
        let (file, profile) = id.split_once('@').unwrap_or((id, ""));
        profile != "rescue" && entry(file).is_some_and(|e| e.version == *version)
    });
    ours.next().map(str::to_owned)
}

/// A folder as a URL.
///
/// # Errors
/// If it is not named from the root.
pub fn folder_url(folder: &Path) -> Result<String, UpdateError> {
    let none = || UpdateError::Program { what: "a folder is named from the root", said: folder.display().to_string() };
    Ok(url::Url::from_directory_path(folder).map_err(|()| none())?.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{FakeCommands, FakeFiles};

    #[test]
    fn the_loaders_name_of_a_version_is_not_that_of_its_rescue_mode() {
        let list = serde_json::json!([
            { "type": "type2", "id": "custodian_0.2.0.efi@rescue" },
            { "type": "type2", "id": "custodian_0.2.0.efi@main", "triesLeft": 2 },
            { "type": "type2", "id": "custodian_0.1.0.efi" },
            { "type": "auto", "id": "auto-reboot-to-firmware-setup" },
        ]);
        let id = |v: &str| loader_id(list.to_string().as_bytes(), &v.parse().unwrap());
        assert_eq!(id("0.2.0").as_deref(), Some("custodian_0.2.0.efi@main"));
        assert_eq!(id("0.1.0").as_deref(), Some("custodian_0.1.0.efi"));
        assert_eq!((id("0.2"), loader_id(b"x", &"0.1.0".parse().unwrap())), (None, None));
    }

    #[test]
    fn only_a_loader_that_says_so_does_not_count() {
        let trial = |code, said: &'static str| {
            let commands = FakeCommands::new(move |program, args: &[&str]| {
                assert_eq!((program, args), (BLESS, &["status"][..]));
                Ok(Output { code, stdout: said.into(), ..Output::default() })
            });
            let machine = Machine {
                commands: &commands,
                files: &FakeFiles::new(),
                os_release: PathBuf::new(),
                boot: String::new(),
                definitions: PathBuf::new(),
                run: PathBuf::new(),
            };
            machine.trial()
        };
        for said in ["clean\n", "good\n", "bad\n"] {
            assert_eq!(trial(Some(0), said), Trial::NotCounted, "{said}");
        }
        for said in ["indeterminate\n", "dirty\n"] {
            assert_eq!(trial(Some(0), said), Trial::Counted, "{said}");
        }
        for (code, said) in [(Some(1), ""), (Some(1), "clean\n"), (None, ""), (Some(0), ""), (Some(0), "unheard-of\n")]
        {
            assert_eq!(trial(code, said), Trial::Unknown, "{code:?} {said}");
        }
    }

    #[test]
    fn entries_have_versions_and_counters() {
        let of = |name| entry(name).map(|e| (e.version.to_string(), e.tries));
        let some = |version: &str, tries| Some((version.to_owned(), tries));
        assert_eq!(of("custodian_0.2.0.efi"), some("0.2.0", Tries::NotCounted));
        assert_eq!(of("custodian_0.2.0+3-0.efi"), some("0.2.0", Tries::Left(3)));
        assert_eq!(of("custodian_0.2.0+0-3.efi"), some("0.2.0", Tries::Left(0)));
        assert_eq!(of("custodian_0.2.0~rc1+2.efi"), some("0.2.0~rc1", Tries::Left(2)));
        for none in ["debian_1.efi", "custodian_.efi", "custodian_1.efi.old", "custodian_1+x.efi", ".#x"] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
