//! What a PC is made of, and how it is switched on.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::{
    Vm,
    console::Console,
    hand::{self, Hand},
    limit,
    qmp::Qmp,
    wait_for,
};
use crate::school::{CAMERAS_CARD, SCHOOL_CARD};

/// The serial number of the system disk, which is as small as may be.
pub const SYSTEM: &str = "SYSTEM";
const SYSTEM_SIZE: u64 = 8_000_000_000;
/// The disks for footage. Sparse files: one of these keeps four cameras' day, as guests of the other too.
const FOOTAGE: [(&str, u64); 2] = [("DATA1", 160_000_000_000), ("DATA2", 160_000_000_000)];

/// All disks: serial number and bytes.
pub fn disks() -> impl Iterator<Item = (&'static str, u64)> {
    [(SYSTEM, SYSTEM_SIZE)].into_iter().chain(FOOTAGE)
}

/// QEMU's name of the stick.
pub const STICK: &str = "the-stick";
const VARS: &str = "vars.fd";
const TPM: &str = "tpm";

/// A PC's lasting parts, files in a folder: disks, TPM, and the firmware's variables.
pub struct Pc {
    dir: PathBuf,
}

/// How a PC is switched on this time.
#[derive(Default)]
pub struct PowerOn<'a> {
    /// A USB stick, booted from first.
    pub stick: Option<&'a Path>,
    /// Another disk beside, `EXTRA` by its serial number.
    pub extra: Option<&'a Path>,
    /// More words on the kernel's command line; else those by which it speaks on its serial line too.
    pub words: &'a str,
    /// Without its TPM: these disks, in another machine.
    pub without_tpm: bool,
    /// On the network of the cameras: address and port there, and on this machine's loopback.
    pub cameras: Vec<(String, u16)>,
    /// On the school's network: the same.
    pub school: Vec<(String, u16)>,
    /// Ports of this machine's loopback that lead to ports of the PC, from the school's side.
    pub inwards: Vec<(u16, u16)>,
}

impl Pc {
    /// A new one: nothing is on its disks.
    pub fn new(dir: &Path) -> Self {
        let pc = Self { dir: dir.to_owned() };
        for (serial, size) in disks() {
            pc.disk(serial, |qemu_img, file| qemu_img.arg(file).arg(size.to_string()));
        }
        fs::copy("/usr/share/OVMF/OVMF_VARS_4M.fd", pc.path(VARS)).unwrap();
        fs::create_dir(pc.path(TPM)).unwrap();
        pc
    }

    /// Another one that is as this one now; what is done to it leaves this one as it is.
    pub fn copy(&self, dir: &Path) -> Self {
        let pc = Self { dir: dir.to_owned() };
        for (serial, _) in disks() {
            pc.disk(serial, |qemu_img, file| qemu_img.args(["-F", "qcow2", "-b"]).arg(self.file(serial)).arg(file));
        }
        fs::copy(self.path(VARS), pc.path(VARS)).unwrap();
        fs::create_dir(pc.path(TPM)).unwrap();
        for file in fs::read_dir(self.path(TPM)).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), pc.path(TPM).join(file.file_name())).unwrap();
        }
        pc
    }

    /// One whose parts lie in that folder already.
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The file that is one of its disks, by the disk's serial number; qcow2.
    pub fn file(&self, serial: &str) -> PathBuf {
        self.path(&format!("{serial}.qcow2"))
    }

    fn disk(&self, serial: &str, how: impl FnOnce(&mut Command, PathBuf) -> &mut Command) {
        let mut command = Command::new("qemu-img");
        how(command.args(["create", "-q", "-f", "qcow2"]), self.file(serial));
        finish(command);
    }

    /// Changes one byte of a disk, at so many bytes from its beginning.
    pub fn change_byte(&self, serial: &str, at: u64) {
        let file = self.file(serial).display().to_string();
        let io = |command: String| {
            let mut qemu_io = Command::new("qemu-io");
            qemu_io.args(["-f", "qcow2", "-c", &command, &file]);
            finish(qemu_io)
        };
        // `00000400:  e2 e1 f5 e0 …`
        let said = io(format!("read -v {at} 1"));
        let byte = said.split_once(":  ").and_then(|(_, rest)| u8::from_str_radix(rest.get(..2)?, 16).ok());
        let other = !byte.unwrap_or_else(|| panic!("no byte in {said}"));
        io(format!("write -P {other:#04x} {at} 1"));
    }

    /// Everything that is on a disk, as a file of that name; holes where nothing was written.
    pub fn raw(&self, serial: &str) -> PathBuf {
        let raw = self.path(&format!("{serial}.raw"));
        let mut command = Command::new("qemu-img");
        command.args(["convert", "-q", "-O", "raw"]).arg(self.file(serial)).arg(&raw);
        finish(command);
        raw
    }

    /// Switches it on.
    pub fn start(&self, how: &PowerOn) -> Vm {
        let sockets = tempfile::tempdir().unwrap();
        let socket = |name: &str| sockets.path().join(name);
        let tpm = (!how.without_tpm).then(|| self.start_tpm(&socket("tpm.sock")));
        let mut command = Command::new("qemu-system-x86_64");
        command.args([
            "-machine",
            "q35",
            "-cpu",
            "max",
            "-accel",
            "tcg,thread=multi,tb-size=512",
            "-smp",
            "2",
            "-m",
            "2048",
        ]);
        // What the machine takes its id from.
        command.args(["-uuid", "6f1c7a30-93a4-4b1e-9a52-0d2c3b4a5e6f"]);
        command.args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-device",
            "VGA",
            "-serial",
            "stdio",
            "-device",
            "virtio-rng-pci",
        ]);
        command.arg("-qmp").arg(format!("unix:{},server=on,wait=off", socket("qmp.sock").display()));
        command.arg("-drive").arg("if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd");
        command.arg("-drive").arg(format!("if=pflash,format=raw,file={}", self.path(VARS).display()));
        command.args(["-device", "qemu-xhci,id=usb", "-device", "usb-kbd"]);
        command
            .arg("-chardev")
            .arg(format!("socket,id=hand,path={},server=on,wait=off", socket("hand.sock").display()));
        command.args(["-device", "virtio-serial-pci", "-device"]);
        command.arg(format!("virtserialport,chardev=hand,name={}", hand::PORT)).args(hand::credentials());
        let words = if how.words.is_empty() { "console=tty0 console=ttyS0 systemd.show_status=yes" } else { how.words };
        command.arg("-smbios").arg(format!("type=11,value=io.systemd.stub.kernel-cmdline-extra={words}"));
        if tpm.is_some() {
            command.arg("-chardev").arg(format!("socket,id=tpm,path={}", socket("tpm.sock").display()));
            command.args(["-tpmdev", "emulator,id=tpm,chardev=tpm", "-device", "tpm-crb,tpmdev=tpm"]);
        }
        for (n, (serial, _)) in disks().enumerate() {
            let boot = if n == 0 { ",bootindex=2" } else { "" };
            attach(&mut command, &self.file(serial), "qcow2", serial, &format!("virtio-blk-pci{boot}"));
        }
        if let Some(extra) = how.extra {
            attach(&mut command, extra, "raw", "EXTRA", "virtio-blk-pci");
        }
        if let Some(stick) = how.stick {
            attach(
                &mut command,
                stick,
                "raw",
                "STICK",
                &format!("usb-storage,bus=usb.0,removable=on,bootindex=1,id={STICK}"),
            );
        }
        network(
            &mut command,
            "school",
            "10.0.2.0/24,host=10.0.2.2,dhcpstart=10.0.2.15",
            SCHOOL_CARD,
            &how.school,
            &how.inwards,
        );
        network(
            &mut command,
            "cameras",
            "10.20.1.0/24,host=10.20.1.254,dhcpstart=10.20.1.100",
            CAMERAS_CARD,
            &how.cameras,
            &[],
        );

        let log = fs::File::options().create(true).append(true).open(self.path("qemu.log")).unwrap();
        let mut qemu = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let console = Console::read(qemu.stdout.take().unwrap(), &self.path("console.log"));
        // If QEMU refuses its arguments, the sockets never come; what it said is told.
        let alive = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            (Hand::connect(&socket("hand.sock")), Qmp::connect(&socket("qmp.sock")))
        }));
        let Ok((hand, qmp)) = alive else {
            panic!("{command:?}: {}", fs::read_to_string(self.path("qemu.log")).unwrap_or_default())
        };
        Vm { qemu, tpm, qmp, hand, console, dir: self.dir.clone() }
    }

    /// The TPM of this machine, as a program of its own. It ends with QEMU.
    fn start_tpm(&self, socket: &Path) -> Child {
        let mut command = Command::new("swtpm");
        command.args(["socket", "--tpm2", "--terminate", "--tpmstate"]);
        command.arg(format!("dir={}", self.path(TPM).display()));
        command.arg("--ctrl").arg(format!("type=unixio,path={}", socket.display()));
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        wait_for("the TPM's socket", limit(30), || socket.exists().then_some(()));
        child
    }
}

/// A disk of the machine.
fn attach(command: &mut Command, file: &Path, format: &str, serial: &str, device: &str) {
    let id = serial.to_lowercase();
    // What the machine has flushed is in the file, and what it has not may be lost: as with a disk that loses power.
    command.arg("-drive");
    command.arg(format!("id={id},if=none,format={format},cache=writeback,discard=unmap,file={}", file.display()));
    command.arg("-device").arg(format!("{device},drive={id},serial={serial}"));
}

/// A network without a way further: what answers on it is a process of this machine, by its port.
fn network(command: &mut Command, id: &str, net: &str, mac: &str, outwards: &[(String, u16)], inwards: &[(u16, u16)]) {
    let mut netdev = format!("user,id={id},ipv6=off,net={net}");
    for (there, here) in outwards {
        write!(netdev, ",guestfwd=tcp:{there}-cmd:socat - TCP:127.0.0.1:{here}").unwrap();
    }
    for (here, there) in inwards {
        write!(netdev, ",hostfwd=tcp:127.0.0.1:{here}-:{there}").unwrap();
    }
    command.arg("-netdev").arg(netdev);
    command.arg("-device").arg(format!("virtio-net-pci,netdev={id},mac={mac},romfile="));
}

fn finish(mut command: Command) -> String {
    let out = command.stdin(Stdio::null()).output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}
