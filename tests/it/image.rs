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
