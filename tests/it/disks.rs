//! Disks for real: loop devices are prepared, released and erased, and whatever speaks against it is refused. They take
//! root, and a kernel with XFS. Encrypted disks take device mapper, so their commands are tested one by one in `src/disks`.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use custodian::{
    disks::{DiskError, Refusal, Token, TokenError, Unlocking, Wanted},
    inventory::{Content, OurVolume, PARTITION_TYPE, SEAL},
    services::disks::{Machine, Sheet},
    store::volume,
    sys::{Commands, FakeClock, Output, RealClock, RealCommands, RealDisk},
    types::{ByteSize, WallNs},
};

use crate::support::{
    lacking,
    loops::{Loops, unmount},
    mounts,
};

const NAME: &str = "test-disk_1";
/// The smallest XFS is 300 MB; the images have holes.
const MIB: u64 = 512;

fn wanted() -> Wanted {
    Wanted { site: "school".into(), volume: "a1".parse().unwrap(), size: ByteSize(MIB << 20), removable: false }
}

fn possible() -> bool {
    let tools = ["lsblk", "blkid", "systemd-repart", "mkfs.xfs", "xfs_admin", "partx", "wipefs"];
    let there = |tool: &&str| Command::new("which").arg(tool).output().is_ok_and(|out| out.status.success());
    let missing: Vec<&str> = tools.into_iter().filter(|tool| !there(tool)).collect();
    if !missing.is_empty() {
        lacking(&format!("these programs are not installed: {missing:?}"));
    }
    mounts::possible() && missing.is_empty()
}

fn sheet(machine: &Machine<'_>) -> Sheet {
    machine.sheet(NAME, Some(&wanted())).unwrap()
}

fn init(machine: &Machine<'_>, token: &Token) -> anyhow::Result<()> {
    let clock = FakeClock::at(WallNs(1_795_336_198_000_000_000));
    let recovery = machine.init(NAME, &wanted(), token, Unlocking::None, &clock)?;
    assert!(recovery.is_none(), "what is not encrypted has no key");
    Ok(())
}

fn prepare(machine: &Machine<'_>) {
    init(machine, &sheet(machine).init.unwrap()).unwrap();
}

fn refused(result: anyhow::Result<()>) -> Refusal {
    result.unwrap_err().downcast().unwrap()
}

fn ours(sheet: &Sheet) -> &OurVolume {
    let Content::Ours(v) = &sheet.disk.content else { panic!("{:?}", sheet.disk.content) };
    v
}

fn first_partition(device: &Path) -> PathBuf {
    PathBuf::from(format!("{}p1", device.display()))
}

fn sh(script: &str) {
    let out = Command::new("sh").args(["-ec", script]).output().unwrap();
    assert!(out.status.success(), "{script}: {}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn loop_the_life_of_a_disk() {
    if !possible() {
        return;
    }
    let mut loops = Loops::new();
    let device = loops.disk(NAME, MIB, &[]);
    let machine = loops.machine(&RealCommands);

    // Empty, wanted: init has a token, erase has nothing to do.
    let empty = sheet(&machine);
    assert_eq!(empty.disk.content, Content::Empty);
    assert_eq!(empty.erase, Err(Refusal::Empty));
    prepare(&machine);

    // What nobody of this project wrote says the same of it.
    let part = first_partition(&device);
    let seen = Command::new("blkid").args(["-p", "-o", "export"]).arg(&part).output().unwrap();
    let seen = String::from_utf8(seen.stdout).unwrap();
    for line in [
        "TYPE=xfs",
        &format!("LABEL={SEAL}"),
        &format!("PART_ENTRY_TYPE={PARTITION_TYPE}"),
        "PART_ENTRY_NAME=a1@school",
    ] {
        assert!(seen.lines().any(|l| l == line), "{line} in {seen}");
    }
    assert_eq!(fs::read_dir(loops.path().join("run")).unwrap().count(), 1, "nothing but the lock stays in /run");

    // Ours: neither init nor the old token.
    let full = sheet(&machine);
    assert_eq!(
        (ours(&full).site.as_str(), ours(&full).volume.as_str(), ours(&full).encrypted),
        ("school", "a1", false)
    );
    assert_eq!(full.footage.unwrap().days, 0);
    assert!(matches!(&full.init, Err(Refusal::Ours { .. })));
    assert!(matches!(refused(init(&machine, &empty.init.unwrap())), Refusal::Ours { .. }));

    // The store takes it for its volume; the inventory reads the store's marker.
    let at = loops.path().join("state/a1");
    fs::create_dir(&at).unwrap();
    sh(&format!("mount {} {}", part.display(), at.display()));
    let volume = volume::open(&RealDisk, &"a1".parse().unwrap(), &at, None).unwrap();
    assert!(volume.mount_point && volume.marker.site == "school");
    let day = at.join("footage/gate/main/2026-11-22");
    sh(&format!("mkdir -p {0}; touch -d @1795336198 {0}/x.mp4", day.display()));
    let mounted = sheet(&machine);
    assert_eq!((ours(&mounted).id, ours(&mounted).mounted.as_deref()), (Some(volume.marker.id), Some(at.as_path())));
    assert_eq!(ours(&mounted).newest, Some(WallNs(1_795_336_198_000_000_000)));

    // In use it is neither prepared nor erased, and a busy one is not released.
    assert_eq!(mounted.erase, Err(Refusal::Mounted { at: at.display().to_string() }));
    let open = fs::File::open(day.join("x.mp4")).unwrap();
    assert!(machine.release(NAME, &RealClock).unwrap_err().to_string().contains("busy"));
    drop(open);
    machine.release(NAME, &RealClock).unwrap();
    let free = sheet(&machine);
    assert_eq!(ours(&free).mounted, None);
    // Not mounted, its footage is seen all the same, and stands in the token.
    assert_eq!((free.footage.unwrap().days, ours(&free).newest), (1, ours(&mounted).newest));
    assert_eq!(
        refused(machine.erase(NAME, full.erase.as_ref().unwrap(), &RealClock)),
        Refusal::Token(TokenError::OtherContent),
        "a token from before the footage"
    );

    machine.erase(NAME, free.erase.as_ref().unwrap(), &RealClock).unwrap();
    let again = sheet(&machine);
    assert_eq!(again.disk.content, Content::Empty);
    assert!(!part.exists());
    assert_eq!(refused(machine.release(NAME, &RealClock)), Refusal::NotOurs);
    // And the way begins again.
    prepare(&machine);
    assert_eq!(sheet(&machine).footage.unwrap().days, 0);

    // Word was left for the ledger of each step: the second release was let through too, and failed on the open file.
    let spool = machine.spool.as_ref().unwrap();
    let mut left: Vec<String> = fs::read_dir(spool)
        .unwrap()
        .map(|file| serde_json::from_slice::<serde_json::Value>(&fs::read(file.unwrap().path()).unwrap()).unwrap())
        .map(|left| format!("{} {}", left["what"]["event"].as_str().unwrap(), left["what"]["volume"].as_str().unwrap()))
        .collect();
    left.sort();
    assert_eq!(left, ["erased a1", "prepared a1", "prepared a1", "released a1", "released a1"]);
    // Where no word can be left nothing is done.
    fs::remove_dir_all(spool).unwrap();
    fs::write(spool, "no folder").unwrap();
    let before = sheet(&machine);
    let failed = machine.erase(NAME, before.erase.as_ref().unwrap(), &RealClock).unwrap_err();
    assert!(failed.to_string().contains("nothing was done"), "{failed:#}");
    assert_eq!(sheet(&machine).disk.content, before.disk.content);
}

#[test]
fn loop_whatever_speaks_against_it() {
    if !possible() {
        return;
    }
    let mut loops = Loops::new();
    let device = loops.disk(NAME, MIB, &[]);
    let read_only = loops.disk("test-read-only", MIB, &["--read-only"]);
    let path = device.display();
    let machine = loops.machine(&RealCommands);
    let empty = sheet(&machine).init.unwrap();

    let too_small = Wanted { size: ByteSize((MIB << 20) * 100 / 98 + 1000), ..wanted() };
    assert!(matches!(machine.sheet(NAME, Some(&too_small)).unwrap().init, Err(Refusal::TooSmall { .. })));
    assert_eq!(machine.sheet(NAME, None).unwrap().init, Err(Refusal::NotInSite));
    assert!(matches!(refused(machine.sheet("no-such", None).map(|_| ())), Refusal::NoDisk { .. }));
    // One command at a time.
    let lock = fs::File::create(loops.path().join("run/custodian-disks.lock")).unwrap();
    let lock = nix::fcntl::Flock::lock(lock, nix::fcntl::FlockArg::LockExclusive).unwrap();
    assert!(format!("{:#}", init(&machine, &empty).unwrap_err()).contains("another command"));
    drop(lock);
    assert_eq!(machine.sheet("test-read-only", Some(&wanted())).unwrap().init, Err(Refusal::ReadOnly), "{read_only:?}");
    // Another disk's token, all else being equal.
    let other = loops.disk("test-other", MIB, &[]);
    let machine = loops.machine(&RealCommands);
    let others = machine.sheet("test-other", Some(&wanted())).unwrap().init.unwrap();
    assert_eq!(refused(init(&machine, &others)), Refusal::Token(TokenError::OtherDisk), "{other:?}");

    // A file system, its label, and what blkid does not know.
    sh(&format!("mkfs.ext4 -q -L Lehrer {path}"));
    let foreign = sheet(&machine);
    let Err(Refusal::Foreign { found }) = &foreign.init else { panic!("{:?}", foreign.init) };
    assert!(found.contains("ext4 \"Lehrer\""), "{found}");
    assert!(matches!(refused(init(&machine, &empty)), Refusal::Foreign { .. }));

    // Mounted.
    let at = loops.path().join("state/m");
    fs::create_dir(&at).unwrap();
    sh(&format!("mount {path} {}", at.display()));
    let mounted = Refusal::Mounted { at: at.display().to_string() };
    assert_eq!(refused(machine.erase(NAME, foreign.erase.as_ref().unwrap(), &RealClock)), mounted);
    assert_eq!(sheet(&machine).init, Err(mounted));
    unmount(&device);

    machine.erase(NAME, foreign.erase.as_ref().unwrap(), &RealClock).unwrap();
    assert_eq!(sheet(&machine).disk.content, Content::Empty);
    sh(&format!("printf x | dd of={path} bs=1 seek=700000 conv=notrunc status=none"));
    let data = sheet(&machine);
    assert_eq!(data.init, Err(Refusal::Foreign { found: "data of an unknown kind".into() }));
    machine.erase(NAME, &data.erase.unwrap(), &RealClock).unwrap();

    // A disk that is not in the listing as mounted, but held: the kernel says so.
    sh(&format!("mkswap -q {path}; swapon {path}"));
    let swap = sheet(&machine);
    sh(&format!("swapoff {path}"));
    assert_eq!(swap.init, Err(Refusal::System), "{:?}", swap.disk);
}

#[test]
fn loop_the_kernel_has_the_last_word() {
    if !possible() {
        return;
    }
    let mut loops = Loops::new();
    let device = loops.disk(NAME, MIB, &[]);
    let machine = loops.machine(&RealCommands);
    let token = sheet(&machine).init.unwrap();
    // Held in a way that no listing shows: a mount in another namespace looks the same.
    let held = fs::OpenOptions::new().read(true).custom_flags(nix::libc::O_EXCL).open(&device).unwrap();
    let busy = init(&machine, &token).unwrap_err();
    assert!(matches!(busy.downcast_ref(), Some(DiskError::Busy { .. })), "{busy:#}");
    assert_eq!(sheet(&machine).disk.content, Content::Empty);
    drop(held);
    init(&machine, &token).unwrap();
    assert_eq!(ours(&sheet(&machine)).volume.as_str(), "a1");
}

/// The command line in a mount namespace of its own, where our names stand for udev's.
struct Shell {
    by_id: PathBuf,
    site: PathBuf,
    made: bool,
}

impl Shell {
    fn new(loops: &Loops) -> Self {
        let site = loops.path().join("site.toml");
        let text = format!(
            "[site]\nid = \"school\"\nname = \"Trường\"\ntimezone = \"Asia/Ho_Chi_Minh\"\nlanguage = \"en\"\n\
             [recorder.a]\nunlock = \"none\"\n[[recorder.a.volume]]\nname = \"a1\"\ndisk = \"{NAME}\"\nsize = \"{MIB} MiB\"\n\
             [area.gate]\nname = \"Gate\"\nkind = \"public\"\n\
             [camera.gate-1]\nname = \"Gate\"\narea = \"gate\"\nmain = \"rtsp://192.0.2.1/x\"\n"
        );
        fs::write(&site, text).unwrap();
        // A machine without udev has no such folder to mount something on.
        let made = fs::create_dir("/dev/disk").is_ok();
        Self { by_id: loops.path().join("by-id"), site, made }
    }

    /// Exit code, output and errors of `custodian <args>`.
    fn run(&self, args: &str) -> (i32, String, String) {
        let script = format!(
            "mount -t tmpfs none /dev/disk; ln -s {} /dev/disk/by-id; mount -t tmpfs none /run; exec {} {args}",
            self.by_id.display(),
            env!("CARGO_BIN_EXE_custodian"),
        );
        let out = Command::new("unshare").args(["--mount", "sh", "-ec", &script]).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
    }

    /// The token that a refusal for want of one shows.
    fn token(&self, verb: &str) -> String {
        let (code, facts, said) = self.run(&format!("disk {verb}"));
        assert_eq!(code, 3, "{said}");
        assert!(facts.contains(NAME), "{facts}");
        said.split_whitespace().last().unwrap().to_owned()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if self.made {
            let _ = fs::remove_dir("/dev/disk");
        }
    }
}

#[test]
fn loop_from_the_command_line() {
    if !possible() {
        return;
    }
    let mut loops = Loops::new();
    loops.disk(NAME, MIB, &[]);
    let shell = Shell::new(&loops);
    let init = format!("init {NAME} --site {}", shell.site.display());

    let token = shell.token(&init);
    let (code, _, said) = shell.run(&format!("disk {init} --token 0000-0000-0000-0000"));
    assert!(code == 1 && said.contains("another disk"), "{code} {said}");
    let (code, _, said) = shell.run(&format!("disk {init} --token nonsense"));
    assert!(code == 1 && said.contains("four groups"), "{code} {said}");
    let (code, out, said) = shell.run(&format!("disk {init} --token {}", token.to_uppercase()));
    assert_eq!(code, 0, "{said}");
    assert!(out.contains("is volume a1 now") && !out.contains("Recovery key"), "{out}");
    assert!(out.contains("A stolen disk shows all its footage."), "{out}");

    let (code, json, _) = shell.run("inventory --json");
    let found: serde_json::Value = serde_json::from_str(&json).unwrap();
    let disks = found["disks"].as_array().unwrap();
    let disk = disks.iter().find(|d| d["by_id"][0] == NAME).unwrap();
    assert_eq!((code, &disk["content"]["state"], &disk["content"]["volume"]), (0, &"ours".into(), &"a1".into()));
    assert_eq!(found["fingerprint"].as_str().unwrap().len(), 64);

    let (code, json, _) = shell.run(&format!("disk facts {NAME} --json --site {}", shell.site.display()));
    let facts: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &facts["days_of_footage"]), (0, &0.into()));
    assert!(facts["init"]["refused"].as_str().unwrap().contains("a1"), "{facts}");
    assert_eq!(facts["erase"]["token"], shell.token(&format!("erase {NAME}")));

    assert_eq!(shell.run(&format!("disk release {NAME}")).0, 0);
    let erase = shell.token(&format!("erase {NAME}"));
    assert_eq!(shell.run(&format!("disk erase {NAME} --token {erase}")).0, 0);
    let (code, _, said) = shell.run(&format!("disk erase {NAME}"));
    assert!(code == 1 && said.contains("empty already"), "{said}");
    let (code, _, said) = shell.run("--lang zh disk release no-such-disk");
    assert!(code == 1 && said.contains("已拒绝"), "{said}");
}

/// The system's programs, until the power goes at the nth that changes a disk.
struct Cut {
    left: AtomicUsize,
}

impl Commands for Cut {
    fn run(&self, program: &str, args: &[&str], input: &[u8], limit: Duration) -> io::Result<Output> {
        let looks = matches!(program, "lsblk" | "blkid" | "findmnt" | "systemctl" | "ip" | "smartctl");
        if !looks && self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_err() {
            return Err(io::Error::other("the power is gone"));
        }
        RealCommands.run(program, args, input, limit)
    }
}

/// Cuts a work short before each of its commands in turn, until it ends well. Says how many that took.
fn at_each_step(mut work: impl FnMut(&Cut) -> anyhow::Result<()>, mut after: impl FnMut(usize)) -> usize {
    for n in 0.. {
        let cut = Cut { left: AtomicUsize::new(n) };
        if work(&cut).is_ok() {
            return n;
        }
        after(n);
    }
    unreachable!()
}

#[test]
fn loop_cut_short_at_any_step_it_is_never_ours() {
    if !possible() {
        return;
    }
    let mut loops = Loops::new();
    let device = loops.disk(NAME, MIB, &[]);
    let loops = loops;
    let machine = loops.machine(&RealCommands);
    let mut states = Vec::new();
    let steps = at_each_step(
        |cut| {
            // What looks first uses all programs; the cut comes with the first that changes something.
            let token = sheet(&machine).init.unwrap();
            init(&loops.machine(cut), &token)
        },
        |_| {
            unmount(&device);
            let left = sheet(&machine);
            match left.disk.content {
                Content::Empty => states.push("empty"),
                Content::Foreign { found } => {
                    // A kernel that reads no GPT by itself shows the table alone until partx has told it.
                    let unfinished = found.iter().any(|l| l.starts_with("unfinished custodian volume"));
                    assert!(unfinished || found[0].starts_with("gpt"), "{found:?}");
                    states.push(if unfinished { "unfinished" } else { "gpt" });
                    // Erase takes it back, also cut short at any step.
                    at_each_step(
                        |cut| match sheet(&machine).erase {
                            Ok(token) => loops.machine(cut).erase(NAME, &token, &RealClock),
                            Err(Refusal::Empty) => Ok(()),
                            Err(e) => Err(e.into()),
                        },
                        |_| assert!(!matches!(sheet(&machine).disk.content, Content::Ours(_))),
                    );
                    assert_eq!(sheet(&machine).disk.content, Content::Empty);
                }
                other => panic!("{other:?}"),
            }
        },
    );
    assert_eq!(ours(&sheet(&machine)).volume.as_str(), "a1");
    // repart, partx, udevadm, mkfs, mount, umount, seal.
    assert!(steps >= 6 && states.len() == steps, "{steps} {states:?}");
    assert_eq!(states[0], "empty");
    assert!(states[1..].contains(&"unfinished"), "{states:?}");
}
