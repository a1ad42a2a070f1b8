//! A machine in memory that does what systemd's programs do: for tests.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use super::{
    machine::Machine,
    run::Updates,
    sums::{PARTS, SIGNATURE, SUMS, sha256},
    version::Version,
};
use crate::{
    sys::{Commands, FakeClock, FakeCommands, FakeFiles, Files as _, Output},
    types::WallNs,
};

/// The image's definitions.
pub(crate) const TRANSFERS: [(&str, &str); 3] = [
    ("10-root.transfer", include_str!("../../image/files/usr/lib/sysupdate.d/10-root.transfer")),
    ("20-verity.transfer", include_str!("../../image/files/usr/lib/sysupdate.d/20-verity.transfer")),
    ("30-kernel.transfer", include_str!("../../image/files/usr/lib/sysupdate.d/30-kernel.transfer")),
];

const LOADER: &str = "/efi/EFI/Linux";
/// An update directory that is called so in these tests.
pub(crate) const SOURCE: &str = "https://updates.example/";

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is something that a test turns on")]
struct Outside {
    /// The update directory's files.
    source: Vec<(String, Vec<u8>)>,
    /// Whether its signature is right.
    signed: bool,
    /// Whether this boot is counted.
    counted: bool,
    /// Whether writing fails half-way.
    writing_fails: bool,
    /// Whether the loader's partition cannot be found.
    blind: bool,
}

/// The machine. Its disk is in `files`.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) files: FakeFiles,
    pub(crate) clock: FakeClock,
    pub(crate) boot: Arc<Mutex<u32>>,
    pub(crate) free: u64,
    /// So much of it is taken while a version lies here.
    pub(crate) taken: u64,
    outside: Arc<Mutex<Outside>>,
}

fn version_of(name: &str) -> Option<&str> {
    name.strip_prefix("custodian_")?.strip_suffix(".efi")?.split('+').next()
}

impl World {
    /// A machine that runs a version, with the image's definitions, and nothing to update to.
    pub(crate) fn new(running: &str) -> Self {
        let files = FakeFiles::new();
        for dir in ["/usr", "/state", "/state/spool", "/sysupdate.d", "/efi", "/efi/EFI", LOADER, "/run", "/slots"]
            .map(Path::new)
        {
            files.make_dir(dir).unwrap();
        }
        for (name, text) in TRANSFERS {
            files.write(&Path::new("/sysupdate.d").join(name), text.as_bytes(), 0, None).unwrap();
        }
        let clock = FakeClock::at(WallNs(1_795_336_200_000_000_000));
        let world = Self { files, clock, boot: Arc::default(), free: 4 << 30, taken: 0, outside: Arc::default() };
        world.runs(running);
        world.entry(&format!("custodian_{running}.efi"));
        world
    }

    fn runs(&self, version: &str) {
        let text = format!("ID=custodian\nIMAGE_ID=custodian\nIMAGE_VERSION=\"{version}\"\n");
        self.files.write(Path::new("/usr/os-release"), text.as_bytes(), 0, None).unwrap();
    }

    fn entry(&self, name: &str) {
        self.files.write(&Path::new(LOADER).join(name), b"uki", 0, None).unwrap();
    }

    /// The version that runs.
    pub(crate) fn running(&self) -> String {
        let text = self.files.read(Path::new("/usr/os-release")).unwrap().unwrap();
        let text = String::from_utf8(text).unwrap();
        text.lines().find_map(|l| l.strip_prefix("IMAGE_VERSION=")).unwrap().trim_matches('"').to_owned()
    }

    pub(crate) fn entries(&self) -> Vec<String> {
        self.files.list(Path::new(LOADER)).unwrap()
    }

    /// What is in the slot that a version is in.
    pub(crate) fn slot(&self, version: &str) -> Option<Vec<u8>> {
        self.files.read(&Path::new("/slots").join(version)).unwrap()
    }

    /// Puts a version into the update directory, signed; `salt` makes it another one of the same name.
    pub(crate) fn publish(&self, version: &str, salt: &str) {
        let mut outside = self.outside.lock().unwrap();
        let parts =
            PARTS.map(|(end, _)| (format!("custodian_{version}{end}"), format!("{version}{end}{salt}").into_bytes()));
        let list = parts.each_ref().map(|(name, bytes)| format!("{}  {name}\n", sha256(bytes))).concat();
        outside.source = parts.into();
        outside.source.push((SUMS.into(), list.into_bytes()));
        outside.source.push((SIGNATURE.into(), b"signature".to_vec()));
        outside.signed = true;
    }

    /// A file of it.
    pub(crate) fn published(&self, name: &str) -> Option<Vec<u8>> {
        let outside = self.outside.lock().unwrap();
        outside.source.iter().find(|(n, _)| n == name).map(|(_, bytes)| bytes.clone())
    }

    pub(crate) fn sign(&self, right: bool) {
        self.outside.lock().unwrap().signed = right;
    }

    pub(crate) fn spoil(&self, end: &str) {
        let mut outside = self.outside.lock().unwrap();
        let file = outside.source.iter_mut().find(|(name, _)| name.ends_with(end)).unwrap();
        file.1.push(b'!');
    }

    /// The line breaks at this file.
    pub(crate) fn lose(&self, end: &str) {
        self.outside.lock().unwrap().source.retain(|(name, _)| !name.ends_with(end));
    }

    pub(crate) fn writing_fails(&self, fails: bool) {
        self.outside.lock().unwrap().writing_fails = fails;
    }

    /// The loader's partition cannot be found: as in a sandbox without its device, and early in a boot.
    pub(crate) fn blind(&self, blind: bool) {
        self.outside.lock().unwrap().blind = blind;
    }

    /// Starts an entry as the loader does: one that counts is counted down, also if it was at nothing already.
    fn start(&self, version: &Version, name: &str) {
        *self.boot.lock().unwrap() += 1;
        let counter =
            name.strip_suffix(".efi").and_then(|n| n.split_once('+')).map(|(_, c)| c.split_once('-').unwrap());
        if let Some((left, done)) = counter {
            let (left, done) = (left.parse::<u32>().unwrap().saturating_sub(1), done.parse::<u32>().unwrap() + 1);
            let now = format!("custodian_{version}+{left}-{done}.efi");
            // One that was at its end keeps its name but for the number of starts.
            self.files.rename(&Path::new(LOADER).join(name), &Path::new(LOADER).join(now)).unwrap();
        }
        self.outside.lock().unwrap().counted = counter.is_some();
    }

    /// Starts the machine again: the newest entry that has tries left. The machine may come up or not; if it does not, the watchdog starts it
    /// again.
    pub(crate) fn restart(&self, comes_up: impl Fn(&str) -> bool) {
        loop {
            let mut all: Vec<(bool, Version, String)> = self
                .entries()
                .into_iter()
                .map(|name| (!name.contains("+0-"), version_of(&name).unwrap().parse().unwrap(), name))
                .collect();
            all.sort();
            let (_, version, name) = all.pop().unwrap();
            self.start(&version, &name);
            if comes_up(version.as_str()) {
                self.runs(version.as_str());
                return;
            }
        }
    }

    /// Starts this version once, as by hand. Says whether the loader has it.
    pub(crate) fn restart_with(&self, version: &Version) -> bool {
        let Some(name) = self.entries().into_iter().find(|n| version_of(n) == Some(version.as_str())) else {
            return false;
        };
        self.start(version, &name);
        self.runs(version.as_str());
        true
    }

    /// systemd-bless-boot: the entry that runs does not count any more.
    pub(crate) fn bless(&self) {
        let running = self.running();
        for name in self.entries().iter().filter(|n| version_of(n) == Some(&*running) && n.contains('+')) {
            let (from, to) = (Path::new(LOADER).join(name), Path::new(LOADER).join(format!("custodian_{running}.efi")));
            self.files.rename(&from, &to).unwrap();
        }
        self.outside.lock().unwrap().counted = false;
    }

    fn pull(&self, args: &[&str]) -> io::Result<Output> {
        let failed = |text: &str| Ok(Output { code: Some(1), stdout: Vec::new(), stderr: text.into() });
        let &["raw", "--direct", verify, most, url, to] = args else { panic!("{args:?}") };
        let outside = self.outside.lock().unwrap();
        let found = match url.strip_prefix("file://") {
            Some(path) => self.files.read(Path::new(path))?,
            None => outside.source.iter().find(|(name, _)| url == format!("{SOURCE}{name}")).map(|(_, b)| b.clone()),
        };
        let Some(bytes) = found else { return failed("Failed to retrieve image file.") };
        // What was fetched so far lies there, right or wrong.
        self.files.write(Path::new(to), &bytes, 0, None)?;
        let most: u64 = most.strip_prefix("--size-max=").unwrap().parse().unwrap();
        let right = match verify.strip_prefix("--verify=").unwrap() {
            "no" => true,
            "signature" => outside.signed,
            hash => hash == sha256(&bytes).to_string(),
        };
        if right && bytes.len() as u64 <= most {
            Ok(Output { code: Some(0), ..Output::default() })
        } else {
            failed("DOWNLOAD INVALID")
        }
    }

    fn sysupdate(&self, args: &[&str]) -> io::Result<Output> {
        let &[definitions, "--verify=yes", "update", version] = args else { panic!("{args:?}") };
        let dir = PathBuf::from(definitions.strip_prefix("--definitions=").unwrap());
        let text = self.files.read(&dir.join("10-root.transfer"))?.expect("definitions were written");
        let text = String::from_utf8(text).unwrap();
        let url = text.lines().find_map(|l| l.strip_prefix("Path=file://")).unwrap().to_owned();
        let from = Path::new(&url);
        let done = || Ok(Output { code: Some(0), ..Output::default() });
        let has_entry = self.entries().iter().any(|n| version_of(n) == Some(version));
        if has_entry && self.slot(version).is_some() {
            return done();
        }
        let root = self.files.read(&from.join(format!("custodian_{version}.root.raw")))?.expect("it lies there");
        let running = self.running();
        // The other slot makes room: what was in it is gone.
        for other in self.files.list(Path::new("/slots"))?.iter().filter(|v| **v != running) {
            self.files.remove(&Path::new("/slots").join(other))?;
        }
        for name in self.entries().iter().filter(|n| version_of(n) != Some(&*running)) {
            self.files.remove(&Path::new(LOADER).join(name))?;
        }
        if self.outside.lock().unwrap().writing_fails {
            return Ok(Output { code: Some(1), stdout: Vec::new(), stderr: "No space left on device".into() });
        }
        self.files.write(&Path::new("/slots").join(version), &root, 0, None)?;
        self.files.write(&Path::new(LOADER).join(format!("custodian_{version}+3-0.efi")), b"uki", 0, None)?;
        done()
    }

    fn answer(&self, program: &str, args: &[&str]) -> io::Result<Output> {
        let says = |text: &str| Ok(Output { code: Some(0), stdout: text.as_bytes().to_vec(), stderr: String::new() });
        match program.rsplit('/').next().unwrap() {
            "systemd-bless-boot" | "bootctl" if self.outside.lock().unwrap().blind => {
                Ok(Output { code: Some(1), stdout: Vec::new(), stderr: "Couldn't find $BOOT partition.".into() })
            }
            "systemd-bless-boot" => {
                says(if self.outside.lock().unwrap().counted { "indeterminate\n" } else { "clean\n" })
            }
            "bootctl" => says("/efi\n"),
            "systemctl" => says(""),
            "systemd-pull" => self.pull(args),
            "systemd-sysupdate" => self.sysupdate(args),
            other => panic!("{other}"),
        }
    }

    /// Does something with this machine's updates.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&Updates<'_>) -> T) -> T {
        let world = self.clone();
        let commands = FakeCommands::new(move |program, args: &[&str]| world.answer(program, args));
        let commands: &dyn Commands = &commands;
        let free = |dir: &Path| {
            let lies_here = self.files.list(&dir.join("offered")).is_ok_and(|names| !names.is_empty());
            Ok(self.free - if lies_here { self.taken } else { 0 })
        };
        let machine = Machine {
            commands,
            files: &self.files,
            os_release: "/usr/os-release".into(),
            boot: self.boot.lock().unwrap().to_string(),
            definitions: "/sysupdate.d".into(),
            run: "/run".into(),
        };
        act(&Updates {
            machine,
            files: &self.files,
            clock: &self.clock,
            free: &free,
            dir: "/state/updates".into(),
            spool: "/state/spool".into(),
            ledger: "/state/ledger".into(),
        })
    }

    /// Kinds of change that were left for the ledger, in order.
    pub(crate) fn told(&self) -> Vec<String> {
        let mut all: Vec<(i64, String)> = Vec::new();
        for (_, bytes) in self.files.all(Path::new("/state/spool")) {
            let left: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            all.push((left["at"].as_i64().unwrap(), left["what"]["change"].as_str().unwrap().to_owned()));
        }
        all.sort();
        all.into_iter().map(|(_, change)| change).collect()
    }
}
