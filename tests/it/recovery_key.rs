//! A machine that cannot open a volume of ours: `plan` says so, `apply` asks for the recovery key. The disk is a loop device with a
//! real LUKS2 header, and all that is asked of it goes to the real cryptsetup, but for opening and closing, which take device mapper: a
//! program in front of it tries the key in earnest, and then shows another loop device in the place of the mapping.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use sha2::{Digest as _, Sha256};

use crate::support::{lacking, loops::Loops, mounts};

const NAME: &str = "ata-X_1";
const MIB: u64 = 512;
const WRONG: &str = "cccjbcbj-dcdjecej-fcfjgcgj-hchjicij-jcjjkckj-lcljncnj-rcrjtctj-ucujvcvj";

fn possible() -> bool {
    let there = |tool: &str| Command::new("which").arg(tool).output().is_ok_and(|out| out.status.success());
    let tools = ["cryptsetup", "systemd-repart", "mkfs.xfs", "mkfs.ext4"];
    let missing: Vec<&str> = tools.into_iter().filter(|tool| !there(tool)).collect();
    if !missing.is_empty() {
        lacking(&format!("these programs are not installed: {missing:?}"));
    }
    mounts::possible() && missing.is_empty()
}

fn sh(script: &str) -> String {
    let out = Command::new("sh").args(["-ec", script]).output().unwrap();
    assert!(out.status.success(), "{script}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// Machines with one and the same disk, each of which sees it through our programs.
struct World {
    loops: Loops,
    partition: PathBuf,
    inside: PathBuf,
    stick: PathBuf,
    made: bool,
}

impl World {
    fn new() -> Self {
        let mut loops = Loops::new();
        let device = loops.disk(NAME, MIB, &[]);
        let inside = loops.disk("inside", MIB, &[]);
        let stick = loops.disk("stick", 16, &[]);
        let partition = format!("{}p1", device.display()).into();
        let made = fs::create_dir("/dev/disk").is_ok();
        let world = Self { loops, partition, inside, stick, made };
        fs::create_dir(world.path("bin")).unwrap();
        fs::create_dir(world.path("units")).unwrap();
        let (open, asked) = (world.path("open"), world.path("asked"));
        let (open, asked, inside) = (open.display(), asked.display(), world.inside.display());
        // The name of the mapping comes last. Keys are made cheap to try.
        world.program(
            "cryptsetup",
            &format!(
                "echo \"$*\" >> {asked}\ncase \"$*\" in\n*--test-passphrase*) exec $real \"$@\" ;;\n\
                 open*) [ ! -e {open} ] || exit 5\n\
                 $real $(printf '%s\\n' \"$@\" | grep -v -e ^custodian- -e ^--allow-discards) --test-passphrase || exit $?\n\
                 echo > {open} ;;\nclose*) rm {open} ;;\n\
                 luksFormat*|luksAddKey*) exec $real \"$@\" --pbkdf pbkdf2 --pbkdf-force-iterations 1000 ;;\n\
                 *) exec $real \"$@\" ;;\nesac"
            ),
        );
        // Not every kernel has FAT: the stick has another file system.
        for program in ["mount", "mkfs.xfs"] {
            world.program(
                program,
                &format!(
                    "case \"$*\" in */dev/mapper/*) [ -e {open} ] || exit 32 ;; esac\n\
                     exec $real $(printf '%s\\n' \"$@\" | sed -e s,^/dev/mapper/custodian-a1$,{inside}, \
                     -e s/^vfat$/ext4/ -e s/,dmask=0077,fmask=0177//)"
                ),
            );
        }
        let site = format!(
            "[site]\nid = \"school\"\nname = \"Trường\"\ntimezone = \"Asia/Ho_Chi_Minh\"\nlanguage = \"en\"\n\
             [recorder.a]\nunlock = \"usb-key\"\n[[recorder.a.volume]]\nname = \"a1\"\ndisk = \"{NAME}\"\n\
             size = \"{MIB} MiB\"\n[area.gate]\nname = \"Gate\"\nkind = \"public\"\n\
             [camera.gate-1]\nname = \"Gate\"\narea = \"gate\"\nmain = \"rtsp://192.0.2.1/x\"\n\
             bitrate = \"10 kbit/s\"\n"
        );
        fs::write(world.path("site.toml"), site).unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.loops.path().join(name)
    }

    /// Puts a program before the real one of that name.
    fn program(&self, name: &str, script: &str) {
        let real = sh(&format!("command -v {name}"));
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\nreal={real}\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// `custodian <args>` on such a machine.
    fn custodian(&self, args: &str) -> Command {
        let script = format!(
            "mount -t tmpfs none /dev/disk; ln -s {} /dev/disk/by-id; mount -t tmpfs none /run; PATH={}:$PATH; exec {} {args} \
             --site {}",
            self.path("by-id").display(),
            self.path("bin").display(),
            env!("CARGO_BIN_EXE_custodian"),
            self.path("site.toml").display(),
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec", &script]).stdin(Stdio::null());
        command
    }

    /// Exit code, output and errors.
    fn run(&self, args: &str) -> (i32, String, String) {
        let out = self.custodian(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
    }

    fn with_state(&self, command: &str) -> String {
        format!("{command} --state {}", self.path("state").display())
    }

    fn apply(&self, more: &str) -> String {
        format!("{} --unit-dir {} {more}", self.with_state("apply"), self.path("units").display())
    }

    /// A file with recovery keys.
    fn keys(&self, keys: &[&str]) -> String {
        let path = self.path("keys");
        fs::write(&path, keys.join("\n")).unwrap();
        path.display().to_string()
    }

    /// `apply` by somebody at a terminal, who answers each question with the next of these. What was asked and said, the exit code, and
    /// what the terminal showed.
    fn apply_asking(&self, answers: &[&str]) -> (i32, String, String) {
        let pty = nix::pty::openpty(None, None).unwrap();
        let mut command = self.custodian(&self.apply(""));
        command.stdin(Stdio::from(pty.slave)).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(command);
        let mut person = File::from(pty.master);
        let mut screen = person.try_clone().unwrap();
        let screen = thread::spawn(move || {
            let mut all = Vec::new();
            let mut bytes = [0; 256];
            // Ends with an error when the last who has it open is gone.
            while let Ok(n @ 1..) = screen.read(&mut bytes) {
                all.extend_from_slice(&bytes[..n]);
            }
            String::from_utf8_lossy(&all).into_owned()
        });
        let mut errors = child.stderr.take().unwrap();
        let (mut said, mut byte, mut answers) = (Vec::new(), [0], answers.iter());
        while errors.read(&mut byte).unwrap() == 1 {
            said.push(byte[0]);
            if said.ends_with(b"it is not shown: ") {
                let answer = answers.next().expect("no more questions than answers");
                person.write_all(format!("{answer}\n").as_bytes()).unwrap();
            }
        }
        assert_eq!(answers.count(), 0, "each was asked for");
        let code = child.wait().unwrap().code().unwrap();
        (code, String::from_utf8(said).unwrap(), screen.join().unwrap())
    }

    /// The header with its keys.
    fn header(&self) -> Vec<u8> {
        let mut header = vec![0; 16 << 20];
        File::open(&self.partition).unwrap().read_exact(&mut header).unwrap();
        Sha256::digest(&header).to_vec()
    }

    fn slots(&self) -> usize {
        let dump = sh(&format!("cryptsetup luksDump --dump-json-metadata {}", self.partition.display()));
        let dump: serde_json::Value = serde_json::from_str(&dump).unwrap();
        dump["keyslots"].as_object().unwrap().len()
    }

    fn is_open(&self) -> bool {
        self.path("open").exists()
    }

    /// Another stick than before, or none.
    fn new_stick(&self, label: &str) {
        sh(&format!("mkfs.ext4 -q -F -L {label} {}", self.stick.display()));
    }

    /// Does something on a file system.
    fn on(&self, device: &Path, work: impl FnOnce(&Path)) {
        let at = self.path("mnt");
        fs::create_dir(&at).unwrap();
        sh(&format!("mount {} {}", device.display(), at.display()));
        work(&at);
        sh(&format!("umount {}", at.display()));
        fs::remove_dir(&at).unwrap();
    }

    /// The disk is prepared on a machine with the stick of that time. The recovery key.
    fn prepare(&self) -> String {
        self.new_stick("CUSTODIAN");
        let init = format!("disk init {NAME}");
        let (code, _, said) = self.run(&init);
        assert_eq!(code, 3, "{said}");
        let token = said.split_whitespace().last().unwrap().to_owned();
        let mut key = String::new();
        self.on(&self.stick, |at| {
            let file = at.join("custodian.key");
            let (code, out, said) = self.run(&format!("{init} --token {token} --key-file {}", file.display()));
            assert_eq!(code, 0, "{said}");
            out.split_whitespace().find(|word| word.len() == 71).unwrap().clone_into(&mut key);
        });
        key
    }

    fn generation(&self) -> Option<PathBuf> {
        fs::read_link(self.path("state/current")).ok()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.made {
            let _ = fs::remove_dir("/dev/disk");
        }
    }
}

#[test]
fn loop_a_machine_that_cannot_open_a_volume_asks_for_its_recovery_key() {
    if !possible() {
        return;
    }
    let world = World::new();
    let key = world.prepare();
    let first = world.header();
    assert!(!world.is_open());

    // The machine is another one, the stick is the old one: it opens, and nobody is asked.
    let plan = world.with_state("plan");
    let (code, out, said) = world.run(&plan);
    assert!(code == 2 && !out.contains("open volume"), "{out}{said}");

    // The stick is lost too. Nothing is changed without the key, nor without a stick that could get one.
    world.new_stick("ELSE");
    let (code, out, said) = world.run(&plan);
    assert!(code == 2 && out.contains(&format!("open volume a1 (disk {NAME})")), "{out}{said}");
    let json: serde_json::Value = serde_json::from_str(&world.run(&format!("{plan} --json")).1).unwrap();
    assert_eq!(json["recover"], serde_json::json!([{ "volume": "a1", "disk": NAME }]));
    let (code, _, said) = world.run(&world.apply(""));
    assert!(
        code == 1 && said.contains("this machine cannot open it") && said.contains("--recovery-key FILE"),
        "{said}"
    );
    let (code, out, _) = world.run(&world.apply("--json"));
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &json["ok"], &json["why"]), (1, &false.into(), &"recovery-key-needed".into()));
    let (code, _, said) = world.run(&world.apply(&format!("--recovery-key {}", world.keys(&[&key]))));
    assert!(code == 1 && said.contains("label CUSTODIAN"), "{said}");

    // Wrong keys.
    world.new_stick("CUSTODIAN");
    let (code, _, said) = world.run(&world.apply(&format!("--recovery-key {}", world.keys(&[WRONG]))));
    assert!(code == 1 && said.contains("no recovery key that was given opens volume a1"), "{said}");
    let (code, _, said) = world.run(&world.apply(&format!("--recovery-key {}", world.keys(&["open sesame"]))));
    assert!(code == 1 && said.contains("line 1: a recovery key is eight groups") && !said.contains("sesame"), "{said}");
    let (code, said, screen) = world.apply_asking(&[WRONG, "open sesame", WRONG]);
    assert!(code == 1 && said.contains("no recovery key that was given opens volume a1"), "{said}");
    assert!(said.contains("That key does not open it. Tries left: 2"), "{said}");
    assert!(said.contains("That is no recovery key: it has eight groups of eight letters. Tries left: 1"), "{said}");
    assert!(!screen.contains("sesame") && !screen.contains(&WRONG[..8]), "{screen:?}");
    world.on(&world.stick, |at| assert!(!at.join("custodian.key").exists()));

    // Within it is another site's: somebody has changed the names.
    let marker = |from: &str, to: &str| {
        world.on(&world.inside, |at| {
            let path = at.join("custodian-volume.json");
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.contains(from), "{text}");
            fs::write(&path, text.replace(from, to)).unwrap();
        });
    };
    marker("\"school\"", "\"other\"");
    let (code, _, said) = world.run(&world.apply(&format!("--recovery-key {}", world.keys(&[WRONG, &key]))));
    assert!(code == 1 && said.contains("is not within: its marker names site \"other\""), "{said}");
    marker("\"other\"", "\"school\"");

    // In all of that nothing has changed.
    assert!(first == world.header() && !world.is_open() && world.slots() == 2);
    assert_eq!(world.generation(), None);

    // The right one, as somebody types it who has been wrong once.
    let (code, said, screen) = world.apply_asking(&[WRONG, &key.to_uppercase()]);
    assert_eq!(code, 0, "{said}");
    assert!(!screen.to_lowercase().contains(&key[..8]), "{screen:?}");
    assert!(world.is_open() && world.generation().is_some());
    assert_eq!(world.slots(), 3, "nothing was taken away, and the stick of this machine opens it");
    let file = world.path("custodian.key");
    world.on(&world.stick, |at| assert_eq!(fs::copy(at.join("custodian.key"), &file).unwrap(), 64));
    for key_file in [file.display().to_string(), world.keys(&[&key])] {
        let tried = "cryptsetup open --test-passphrase --type luks2 --key-file";
        sh(&format!("{tried} {key_file} {}", world.partition.display()));
    }
    let left = fs::read_dir(world.path("state/ledger-spool")).unwrap();
    let left: Vec<String> = left.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    assert!(left.iter().any(|text| text.contains("recovered") && text.contains(NAME)), "{left:?}");

    // From the next start on it opens by itself.
    fs::remove_file(world.path("open")).unwrap();
    let (code, out, said) = world.run(&plan);
    assert!(code == 0 && !out.contains("open volume"), "{out}{said}");

    // The stick of a machine that has all else is lost: nothing is to be changed, but whoever brings the key is heard.
    world.new_stick("CUSTODIAN");
    let now = world.generation();
    assert!(world.run(&world.apply("")).1.contains("Nothing to do"));
    let mut command = world.custodian(&world.apply("--recovery-key -"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{key}\n").as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    let said = String::from_utf8(out.stdout).unwrap();
    assert!(
        out.status.success() && said.contains("Volume a1 (disk ata-X_1) was opened with its recovery key"),
        "{said}"
    );
    assert!(world.is_open() && world.slots() == 4 && world.generation() == now);

    // No key was ever seen by who lists processes.
    let asked = fs::read_to_string(world.path("asked")).unwrap();
    assert!(asked.contains("luksAddKey") && !asked.contains(&key) && !asked.contains(WRONG), "{asked}");
}
