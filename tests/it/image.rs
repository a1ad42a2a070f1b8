//! The build of the image, as far as it can be shown without building one: parts of `image/parts`, called as `image/build` calls them.

use std::{fs, path::Path, process::Command};

use super::nix::{emitted, root};

/// What a piece of Python says that imports from `parts`; it must end well.
fn python(script: &str) -> String {
    let script = format!("import os, sys\nfrom pathlib import Path\nsys.path.insert(0, 'image')\n{script}");
    let out = Command::new("python3").args(["-B", "-c", &script]).current_dir(root()).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

#[test]
fn by_sudo_the_program_is_compiled_as_who_called() {
    let script = "
from parts import host
os.geteuid = lambda: 0
os.environ['SUDO_UID'] = '65534'
os.environ.pop('CARGO_HOME', None)
host.shutil.which = lambda name, path: path.split(':')[0] + '/' + name
how = host.cargo(['build'])
print(how['argv'], how['user'], how['env']['HOME'])
os.environ.pop('SUDO_UID')
print('user' in host.cargo(['build']))
try:
    host.output(['no-such-program'])
except host.Failed as e:
    print(e)
";
    let home = "import pwd\nprint(pwd.getpwuid(65534).pw_dir)";
    let home = python(home);
    assert_eq!(
        python(script),
        format!("['{home}/.cargo/bin/cargo', 'build'] 65534 {home}\nFalse\nno-such-program is missing")
    );
}

#[test]
fn what_is_kept_is_kept_by_the_tools_that_made_it() {
    let script = "
from parts import host, trees
trees.repository = lambda *of: Path('/repository')
trees.stage = lambda folder, name, inputs, make: folder / (name + '-' + host.digest(*inputs))
of = lambda tools: trees.tree(Path('/cache'), Path('/cache') / tools / 'tree', '', 'root')
print(of('tools-1') == of('tools-1'), of('tools-1') == of('tools-2'))
print(sorted(p.name for p in trees.THIS if p.is_file()))
";
    assert_eq!(python(script), "True False\n['host.py', 'packages.py', 'trees.py']");
}

#[test]
fn both_images_name_network_cards_alike_in_every_version() {
    let said = python("from parts.pack import CMDLINE\nprint(*(w for w in CMDLINE.split() if w.startswith('net.')))");
    assert_eq!(said, "net.naming_scheme=v257");
    let Some(emitted) = emitted() else { return };
    let kernel = emitted["appliance"]["kernel"].as_array().unwrap();
    assert!(kernel.iter().any(|word| word.as_str() == Some(&said)), "{kernel:?}");
}

#[test]
fn a_user_without_a_number_in_a_commit_stops_the_build() {
    let script = "
import tempfile
from parts import root
from parts.host import Failed
dir = Path(tempfile.mkdtemp())
for folder in ('usr/lib/sysusers.d', 'etc'):
    (dir / folder).mkdir(parents=True)
(dir / 'etc/passwd').write_text('root:x:0:0::/root:/bin/sh\\ncustodian-new:x:991:991::/:/bin/sh\\n')
(dir / 'etc/group').write_text('root:x:0:\\n')
before = root.USERS.read_text()
class Tools:
    def run(self, argv, log):
        log.write_text('')
try:
    root.users(dir, Tools(), dir)
except Failed as e:
    print(str(e).splitlines()[1:], root.USERS.read_text() == before)
";
    assert_eq!(python(script), "['u custodian-new 991'] True");
}

#[test]
fn lists_that_cannot_be_fetched_stop_the_build_of_the_lock() {
    // Nobody listens there.
    let script = "
import tempfile
from parts.host import Failed
from parts.packages import Apt
dir = Path(tempfile.mkdtemp())
(dir / 'lists').mkdir()
(dir / 'lists/old').write_text('')
sys.stderr = open(os.devnull, 'w')
for option in ('http', 'https'):
    os.environ.pop(option + '_proxy', None)
apt = Apt(dir, 'http://127.0.0.1:1/debian')
apt.options += ['-oAcquire::Retries=0', '-oAcquire::http::Proxy=DIRECT']
try:
    apt.update()
    print('went on')
except Failed:
    print('stopped', (dir / 'lists/old').exists())
";
    if Command::new("apt-get").arg("--version").output().is_err() {
        return crate::support::lacking("apt-get is not installed");
    }
    assert_eq!(python(script), "stopped False");
}

#[test]
fn a_version_that_is_built_can_be_installed() {
    let script = "
from parts.host import Failed
from parts.main import check_version
for version in sys.stdin.read().split():
    try:
        check_version(version)
        print(version)
    except Failed:
        pass
";
    let versions =
        ["0.2.0", "0.3.0~rc1", "1.1001", "1234567890123456789", "12345678901234567890", "1/2", "1-2", "x1", "v"];
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("versions"), versions.join("\n")).unwrap();
    let said = python(&script.replace("sys.stdin", &format!("open('{}')", dir.path().join("versions").display())));
    assert_eq!(said.lines().collect::<Vec<_>>(), versions[..4]);
    assert!(said.lines().all(|v| v.parse::<custodian::update::Version>().is_ok()));
    assert!(versions[4].parse::<custodian::update::Version>().is_err(), "the limit is the machine's");
}

#[test]
fn what_would_write_to_var_in_rescue_mode_stops_the_build() {
    let script = "
import tempfile
from parts import rescue
from parts.host import Failed
root = Path(tempfile.mkdtemp())
units = root / 'usr/lib/systemd/system'
for folder in ('var/lib/systemd/linger', 'usr/lib/systemd/system/kept.service.d'):
    (root / folder).mkdir(parents=True)
(units / 'there.service').write_text('[Service]\\nStateDirectory=systemd/linger\\n')
(units / 'kept.service').write_text('[Service]\\nLogsDirectory=kept\\n')
(units / 'kept.service.d/20-image.conf').write_text('[Unit]\\nConditionKernelCommandLine=!custodian.rescue\\n')
rescue.check(root)
(units / 'new.service').write_text('[Service]\\nStateDirectory=systemd/linger new\\n')
try:
    rescue.check(root)
except Failed as e:
    print(str(e).splitlines()[1:])
";
    assert_eq!(python(script), "['new.service: /var/lib/systemd/linger, /var/lib/new']");
}

#[test]
fn var_is_as_the_command_line_says() {
    let made = |words: &str| {
        let dir = tempfile::tempdir().unwrap();
        let generator = root().join("image/files/usr/lib/systemd/system-generators/custodian-var");
        let text = std::fs::read_to_string(generator).unwrap();
        assert!(text.contains("/proc/cmdline"));
        let line = dir.path().join("cmdline");
        std::fs::write(&line, format!("{words}\n")).unwrap();
        let text = text.replace("/proc/cmdline", line.to_str().unwrap());
        let units = dir.path().join("units");
        std::fs::create_dir(&units).unwrap();
        let out = Command::new("sh").args(["-c", &text, "custodian-var"]).arg(&units).output().unwrap();
        assert!(out.status.success() && out.stderr.is_empty(), "{out:?}");
        super::nix::tree::below(&units)
    };
    assert!(made("roothash=0 ro custodian.rescued").is_empty());
    let install = made("roothash=0 custodian.install ro");
    assert!(install.keys().eq(["var.mount"]) && install["var.mount"].as_ref().unwrap().contains("size=25%%"));
    let rescue = made("roothash=0 ro custodian.rescue");
    let tmpfiles = "systemd-tmpfiles-setup.service.d/20-image.conf";
    assert!(rescue.keys().eq([tmpfiles]), "{rescue:?}");
    let line = "\nExecStart=systemd-tmpfiles --create --remove --boot --exclude-prefix=/dev --exclude-prefix=/var\n";
    assert!(rescue[tmpfiles].as_ref().unwrap().contains(line));
}

#[test]
fn a_key_is_whole_and_the_image_knows_what_it_is_signed_with() {
    if ["gpg", "openssl"].iter().any(|p| Command::new(p).arg("--version").output().is_err()) {
        return crate::support::lacking("gpg or openssl is not installed");
    }
    let script = "
import subprocess, tempfile
from parts import keys
from parts.host import Failed
class Tools:
    cut = ''
    def run(self, argv, cwd='/'):
        argv = [str(a) for a in argv if a != '-quiet']
        if self.cut and self.cut in argv[-1]:
            argv = ['bash', '-c', 'exit 1']
        if subprocess.run(argv, cwd=cwd, stdout=subprocess.DEVNULL).returncode:
            raise Failed(argv[0])
keys.say = lambda text: None
tools, dir = Tools(), Path(tempfile.mkdtemp())
one, other, update = dir / 'one', dir / 'other', dir / 'update'
update.mkdir()
(update / 'custodian_1.efi').write_text('1')
tools.cut = '--export >'
try:
    keys.keys(one, tools)
except Failed:
    print('cut', (one / 'update.gpg').exists())
tools.cut = ''
(one / 'update.gpg.new').write_text('')
mine, others = keys.keys(one, tools), keys.keys(other, tools)
print([p.stat().st_size > 100 for p in mine], [oct(p.stat().st_mode & 0o777) for p in mine], sorted(p.name for p in one.iterdir()))
keys.sums(tools, mine[2], mine[3], update, 0)
try:
    keys.sums(tools, mine[2], others[3], update, 0)
except Failed as e:
    print('refused', '--new-ring' in str(e))
keys.sums(tools, mine[2], None, update, 0)
both = dir / 'both.gpg'
both.write_bytes(mine[3].read_bytes() + others[3].read_bytes())
keys.sums(tools, mine[2], both, update, 0)
";
    let said = "cut False\n[True, True, True, True] ['0o600', '0o644', '0o600', '0o644'] \
                ['pcr.pem', 'pcr.pub.pem', 'update.gpg', 'update.secret.asc']\nrefused True";
    assert_eq!(python(script), said);
}

#[test]
fn an_archive_of_debian_is_a_mirror_too() {
    let script = "
import tempfile
from parts.packages import ARCHIVE, Apt, HEAD, LOCK, archives, as_of
print(*archives('https://archive.example/debian/20261126T120000Z/'))
print(*archives('http://mirror.example/debian'))
dir = Path(tempfile.mkdtemp())
for name, date in (('a_InRelease', 'Wed, 25 Nov 2026 23:59:59 UTC'), ('b_Release', 'Thu, 26 Nov 2026 02:30:00 UTC'), ('c_Packages', 'Fri, 27 Nov 2026 00:00:00 UTC')):
    (dir / name).write_text(f'Origin: Debian\\nDate: {date}\\n')
print(as_of(dir))
ages = lambda mirror, **more: [o for o in Apt(dir / 'apt', mirror, **more).options if 'Valid-Until' in o]
print(ages('http://mirror.example/debian'), ages('http://mirror.example/debian', locked=True), ages('http://x.example/debian/20261126T120000Z'))
head = LOCK.read_text().split('as of ')
print(head[0] == HEAD.split('as of ')[0], bool(ARCHIVE.fullmatch('http://x/debian/' + head[1][:16])))
";
    let said = python(script);
    let lines: Vec<&str> = said.lines().collect();
    let archive = "https://archive.example/";
    assert_eq!(lines[0], format!("{archive}debian/20261126T120000Z/ {archive}debian-security/20261126T120000Z"));
    assert_eq!(lines[1], "http://mirror.example/debian http://mirror.example/debian-security");
    assert_eq!(lines[2], "20261126T023000Z");
    let option = "-oAcquire::Check-Valid-Until=";
    assert_eq!(lines[3], format!("['{option}true'] ['{option}false'] ['{option}false']"));
    assert_eq!(lines[4], "True True", "image/packages.lock says of when it is");
}

#[test]
fn a_program_says_what_made_it_and_runs_with_the_images_c_library() {
    if ["readelf", "strip"].iter().any(|p| Command::new(p).arg("--version").output().is_err()) {
        return crate::support::lacking("binutils is not installed");
    }
    let script = "
from parts import program
from parts.host import Failed
given = Path(os.environ['PROGRAM'])
program.check(given)
print(any(c.startswith('rustc version ') for c in program.made_with(given)), program.made_with(given)[-1].startswith('strip: '))
real = program.readelf
program.readelf = lambda p, *what: real(p, *what).replace('Name: GLIBC_2.34  Flags: none', 'Name: GLIBC_2.999  Flags: WEAK')
program.check(given)
program.readelf = lambda p, *what: real(p, *what).replace('Name: GLIBC_2.34  Flags: none', 'Name: GLIBC_2.999  Flags: none')
for wrong in (given, Path('/etc/hostname')):
    try:
        program.check(wrong)
    except Failed as e:
        print('2.999' in str(e))
";
    let script = format!("os.environ['PROGRAM'] = '{}'\n{script}", env!("CARGO_BIN_EXE_custodian"));
    assert_eq!(python(&script), "True True\nTrue\nFalse");
}

/// What the initrd does when a version cannot be started, on a folder that stands for the firmware's variables.
#[test]
fn an_initrd_that_cannot_start_a_good_version_asks_the_loader_for_the_other_one() {
    const VENDOR: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
    const ONE_SHOT: &str = "LoaderEntryOneShot";
    let variable = |dir: &Path, name: &str| dir.join(format!("{name}-{VENDOR}"));
    let value = |texts: &[&str]| {
        let units = texts.iter().flat_map(|text| text.encode_utf16().chain([0]));
        [vec![7, 0, 0, 0], units.flat_map(u16::to_le_bytes).collect()].concat()
    };
    // What the loader has selected, what it has, and which other variables there are; what the script says and asks for.
    let asked = |selected: &str, entries: &[&str], others: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        if !selected.is_empty() {
            fs::write(variable(dir.path(), "LoaderEntrySelected"), value(&[selected])).unwrap();
        }
        fs::write(variable(dir.path(), "LoaderEntries"), value(entries)).unwrap();
        for other in others {
            fs::write(variable(dir.path(), other), value(&["x"])).unwrap();
        }
        let script = root().join("image/initrd-files/usr/lib/custodian/other-version");
        let out = Command::new("sh").arg(script).arg(dir.path()).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let written = fs::read(variable(dir.path(), ONE_SHOT)).ok();
        (String::from_utf8(out.stdout).unwrap().trim().to_owned(), written)
    };
    let both = ["custodian_0.2.0.efi@main", "custodian_0.2.0.efi@rescue", "custodian_0.1.0~rc1.efi@main", "auto-efi"];
    let wants = |version: &str, id: &str| (version.to_owned(), Some(value(&[id])));
    let nothing = (String::new(), None);
    assert_eq!(asked(both[0], &both, &[]), wants("0.1.0~rc1", both[2]));
    assert_eq!(asked(both[1], &both, &[]), wants("0.1.0~rc1", both[2]));
    assert_eq!(asked(both[2], &both, &[]), wants("0.2.0", both[0]));
    let plain = ["custodian_0.2.0.efi", "custodian_0.1.0.efi"];
    assert_eq!(asked(plain[0], &plain, &[]), wants("0.1.0", plain[1]));
    // Where the loader counts, it goes back by itself; the stick has no loader; a slot may be empty, or another system's.
    assert_eq!(asked(both[0], &both, &["LoaderBootCountPath"]), nothing);
    assert_eq!(asked("", &both, &[]), nothing);
    assert_eq!(asked(both[0], &both[..2], &[]), nothing);
    assert_eq!(asked(both[0], &[both[0], "ubuntu-\u{1ec7}.efi", "debian.conf"], &[]), nothing);
    assert_eq!(asked("debian.conf", &both, &[]), nothing);
    // What somebody else has asked for stays.
    assert_eq!(asked(both[0], &both, &[ONE_SHOT]), (String::new(), Some(value(&["x"]))));
}
