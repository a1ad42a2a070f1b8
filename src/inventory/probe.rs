//! Looking at the machine. A program that fails, lacks or hangs leaves its part unknown and, where people should know,
//! a line among the problems.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, ErrorKind},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use super::{
    Disk, Inventory, Link, Smart, around,
    blkid::{self, Look},
    content::{Edges, Mounted, Seen},
    footage,
    lsblk::{self, Block},
    model::NOT_ROOT,
    smart::{self, Answer},
    system::is_system,
};
use crate::{
    sys::{Commands, Output},
    types::ByteSize,
};

/// How long a program, or a disk that is read, may take. A disk that sleeps needs 10 s to wake up.
const LIMIT: Duration = Duration::from_secs(20);
/// How much is read at both ends of a disk.
const EDGE: usize = 1 << 20;

/// Where the kernel and udev show what there is, so that tests can show something else.
#[derive(Debug, Clone)]
pub struct Roots {
    /// Device nodes.
    pub dev: PathBuf,
    /// The disks' lasting names.
    pub by_id: PathBuf,
    /// sysfs.
    pub sys: PathBuf,
    /// The recorder's state folder: the disk that it lies on is the system's.
    pub state: PathBuf,
    /// Below this folder volumes are mounted.
    pub volumes: PathBuf,
}

impl Roots {
    /// The machine's own.
    pub fn new(state: &Path, volumes: &Path) -> Self {
        Self {
            dev: "/dev".into(),
            by_id: "/dev/disk/by-id".into(),
            sys: "/sys".into(),
            state: state.to_owned(),
            volumes: volumes.to_owned(),
        }
    }
}

/// How a disk is in use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Use {
    /// Its device node.
    pub device: PathBuf,
    /// The device nodes of its partitions.
    pub partitions: Vec<PathBuf>,
    /// Where it, a partition of it, or what is built on them is mounted; `[SWAP]` for swap.
    pub mounts: Vec<String>,
    /// What is built on it: mappings, RAID, LVM, by name.
    pub held_by: Vec<String>,
}

/// The inventory, and how the disks in it are in use.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// What there is.
    pub inventory: Inventory,
    uses: BTreeMap<String, Use>,
}

impl Survey {
    /// How a disk of the inventory is in use.
    pub fn use_of(&self, disk: &Disk) -> Option<&Use> {
        self.uses.get(&disk.name)
    }
}

/// The inventory alone.
pub fn probe(commands: &dyn Commands, roots: &Roots) -> Inventory {
    survey(commands, roots).inventory
}

/// Looks at everything. Without root much of it stays unknown.
pub fn survey(commands: &dyn Commands, roots: &Roots) -> Survey {
    let mut problems = Vec::new();
    let mut note = |what: &str, e: &dyn std::fmt::Display| problems.push(format!("{what}: {e}"));

    let listed = run(commands, "lsblk", &["--json", "--bytes", "--output", lsblk::COLUMNS])
        .and_then(|out| lsblk::parse(&out.stdout).map_err(io::Error::other));
    let blocks = listed.unwrap_or_else(|e| {
        note("disks cannot be listed", &e);
        Vec::new()
    });
    let mounts = match run(commands, "findmnt", &around::FINDMNT) {
        // It prints nothing and ends with 1 where nothing is mounted.
        Ok(out) if out.stdout.is_empty() => Ok(Vec::new()),
        Ok(out) => around::mounts(&out.stdout).map_err(io::Error::other),
        Err(e) => Err(e),
    };
    let mounts = mounts.unwrap_or_else(|e| {
        note("mounts cannot be listed", &e);
        Vec::new()
    });
    let units = match run(commands, "systemctl", &around::SYSTEMCTL) {
        Ok(out) if out.ok() => around::units(&out.stdout).unwrap_or_else(|e| {
            note("units cannot be listed", &e);
            Vec::new()
        }),
        // No systemd here.
        Ok(_) => Vec::new(),
        Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
        Err(e) => {
            note("units cannot be listed", &e);
            Vec::new()
        }
    };

    let names = by_id(&roots.by_id);
    let state = fs::canonicalize(&roots.state).unwrap_or_else(|_| roots.state.clone());
    let state_at =
        mounts.iter().map(|m| m.at.as_path()).filter(|at| state.starts_with(at)).max_by_key(|at| at.as_os_str().len());
    // A loop device is somebody's file, unless it was given a name as disks have.
    let disks: Vec<&Block> =
        blocks.iter().filter(|b| b.is_disk() && (b.kind != "loop" || names.contains_key(&b.kname))).collect();
    let mut found: Vec<(Disk, Use)> = thread::scope(|scope| {
        let looking: Vec<_> =
            disks.iter().map(|block| scope.spawn(|| disk(commands, roots, block, &names, state_at))).collect();
        looking.into_iter().filter_map(|t| t.join().ok()).collect()
    });
    if found.len() < disks.len() {
        note("disks", &"looking at one of them failed");
    }
    found.sort_by(|a, b| a.0.name.cmp(&b.0.name));

    let uses = found.iter().map(|(disk, used)| (disk.name.clone(), used.clone())).collect();
    let inventory = Inventory {
        host: fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned(),
        disks: found.into_iter().map(|(disk, _)| disk).collect(),
        mounts,
        units,
        links: links(commands, roots),
        problems,
    };
    Survey { inventory, uses }
}

pub(super) fn run(commands: &dyn Commands, program: &str, args: &[&str]) -> io::Result<Output> {
    commands.run(program, args, b"", LIMIT)
}

/// The disks' lasting names by the kernel's names.
pub(super) fn by_id(dir: &Path) -> BTreeMap<String, Vec<String>> {
    let mut names = BTreeMap::<String, Vec<String>>::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(target) = fs::canonicalize(entry.path()) else { continue };
        if let (Some(kernel), Ok(name)) = (target.file_name().and_then(|n| n.to_str()), entry.file_name().into_string())
        {
            names.entry(kernel.to_owned()).or_default().push(name);
        }
    }
    names.values_mut().for_each(|all| all.sort());
    names
}

fn disk(
    commands: &dyn Commands,
    roots: &Roots,
    block: &Block,
    names: &BTreeMap<String, Vec<String>>,
    state_at: Option<&Path>,
) -> (Disk, Use) {
    let node = |b: &Block| roots.dev.join(&b.kname);
    let look = |b: &Block| look(commands, &node(b));
    let mounts: Vec<String> = block.tree().iter().flat_map(|b| b.mounted()).map(str::to_owned).collect();
    let system = is_system(block, &roots.volumes, state_at);
    let seen = Seen {
        disk: block,
        whole: look(block),
        parts: block.partitions().map(look).collect(),
        edges: edges(node(block), block.size),
        // Of the system's file systems nothing is wanted.
        mounted: mounts.iter().filter(|at| !system && at.starts_with('/')).map(|at| mounted(at)).collect(),
    };
    let maker = block.vendor.as_deref().filter(|vendor| *vendor != "ATA");
    let model: Vec<&str> = maker.into_iter().chain(block.model.as_deref()).collect();
    let disk = Disk {
        name: block.kname.clone(),
        by_id: names.get(&block.kname).cloned().unwrap_or_default(),
        serial: block.serial.clone(),
        wwn: block.wwn.clone(),
        model: Some(model.join(" ")).filter(|m| !m.is_empty()),
        size: ByteSize(block.size),
        transport: block.tran.clone().or_else(|| (block.kind == "loop").then(|| "loop".to_owned())),
        removable: block.rm || block.hotplug,
        read_only: block.ro,
        system,
        content: seen.content(),
        smart: health(commands, &node(block)),
    };
    let used = Use {
        device: node(block),
        partitions: block.partitions().map(node).collect(),
        mounts,
        held_by: block.holders().iter().map(|b| b.name.clone()).collect(),
    };
    (disk, used)
}

pub(super) fn look(commands: &dyn Commands, device: &Path) -> Look {
    let device = device.display().to_string();
    let args: Vec<&str> = blkid::ARGS.into_iter().chain([device.as_str()]).collect();
    match run(commands, "blkid", &args) {
        Ok(out) => blkid::parse(&out),
        Err(e) => Look::Failed(e.to_string()),
    }
}

pub(super) fn ask_health(commands: &dyn Commands, device: &Path) -> Answer {
    let device = device.display().to_string();
    let args: Vec<&str> = smart::ARGS.into_iter().chain([device.as_str()]).collect();
    // Its exit code says what is wrong with the disk, and the JSON says it better.
    run(commands, "smartctl", &args).map_or(Answer::Failed, |said| smart::answer(&said.stdout))
}

fn health(commands: &dyn Commands, device: &Path) -> Option<Smart> {
    if let Answer::Told(smart) = ask_health(commands, device) { Some(smart) } else { None }
}

/// Runs what may hang with a dying disk, and gives up on it after a while.
fn within<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || send.send(work()));
    receive.recv_timeout(LIMIT).ok()
}

fn mounted(at: &str) -> Mounted {
    let at = PathBuf::from(at);
    let root = at.clone();
    let found = within(move || {
        let marker = footage::marker(&root);
        let newest = marker.as_ref().and_then(|_| footage::newest(&root));
        (marker, newest)
    });
    let (marker, newest) = found.unwrap_or_default();
    Mounted { at, marker, newest }
}

/// Reads both ends of a disk.
fn edges(device: PathBuf, size: u64) -> Edges {
    let read = move || -> io::Result<bool> {
        let file = File::open(device)?;
        let len = EDGE.min(usize::try_from(size).unwrap_or(EDGE));
        let mut bytes = vec![0; len];
        for at in [0, size.saturating_sub(len as u64)] {
            file.read_exact_at(&mut bytes, at)?;
            if bytes.iter().any(|b| *b != 0) {
                return Ok(false);
            }
        }
        Ok(true)
    };
    match within(read) {
        Some(Ok(true)) => Edges::Zero,
        Some(Ok(false)) => Edges::Data,
        // Root may be refused too, by a sandbox: that is another errno (EPERM).
        Some(Err(e)) if e.raw_os_error() == Some(nix::libc::EACCES) => Edges::Failed(NOT_ROOT.to_owned()),
        Some(Err(e)) => Edges::Failed(e.to_string()),
        None => Edges::Failed(format!("reading it took longer than {} s", LIMIT.as_secs())),
    }
}

fn links(commands: &dyn Commands, roots: &Roots) -> Vec<Link> {
    let net = roots.sys.join("class/net");
    let addresses = run(commands, "ip", &["--json", "address"]).ok();
    let mut addresses = addresses.and_then(|out| around::addresses(&out.stdout).ok()).unwrap_or_default();
    let mut links: Vec<Link> = fs::read_dir(&net)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok().filter(|name| name != "lo")?;
            let read = |what: &str| Some(fs::read_to_string(entry.path().join(what)).ok()?.trim().to_owned());
            let addresses = addresses.remove(&name).unwrap_or_default();
            // Of those without hardware only the ones in use.
            let shown = entry.path().join("device").exists() || !addresses.is_empty();
            shown.then(|| around::link(&name, read, addresses))
        })
        .collect();
    links.sort_by(|a, b| a.name.cmp(&b.name));
    links
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
