use std::{fs, os::unix::fs::symlink, path::Path, sync::Mutex};

use super::*;
use crate::{
    install::{self, Step, Then},
    inventory::{PARTITION_TYPE, Roots},
    services::{
        disks::Machine,
        installing::{Accounts, Lock, Stick, Tell, Told},
    },
    site,
    sys::{FakeClock, FakeCommands, Output},
    types::WallNs,
};

const SITE: &str = "[site]\nname = \"A\"\nid = \"hoa\"\ntimezone = \"Asia/Ho_Chi_Minh\"\nlanguage = \"vi\"\n\
    [area.yard]\nname = \"B\"\nkind = \"public\"\n[recorder.a]\nunlock = \"tpm\"\n\
    [[recorder.a.volume]]\nname = \"a1\"\ndisk = \"ata-OLD\"\nsize = \"10 GB\"\n\
    [camera.gate]\nname = \"C\"\narea = \"yard\"\nmain = \"rtsp://192.0.2.1/1\"\n";
const LSBLK: &str = r#"{"blockdevices":[
 {"name":"nvme0n1","kname":"nvme0n1","type":"disk","size":10000000000,"serial":"S4EV","model":"Samsung","tran":"nvme"},
 {"name":"sdb","kname":"sdb","type":"disk","size":10000000000,"serial":"5QJ0","model":"WDC","tran":"sata",
  "children":[{"name":"sdb1","kname":"sdb1","type":"part","size":9000000000}]},
 {"name":"sdc","kname":"sdc","type":"disk","size":8000000000,"serial":"1","model":"Flash","tran":"usb","rm":true}]}"#;

/// What is there to be worked with.
struct Here<'a> {
    installer: Installer<'a>,
    wanted: Wanted,
    order: Order,
}

impl Here<'_> {
    fn recorder(&self) -> &Recorder {
        self.wanted.site.recorder(&"a".parse().unwrap()).unwrap()
    }
}

/// A machine with an empty disk, an encrypted volume, which opens by itself, and another stick, named so; and what cryptsetup was asked.
fn with<T>(unlock: &str, other_stick: &str, work: impl FnOnce(&Here<'_>) -> T) -> (T, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for folder in ["by-id", "sys"] {
        fs::create_dir(at(folder)).unwrap();
    }
    for (name, id) in [("nvme0n1", "nvme-SSD"), ("sdb", "ata-OLD"), ("sdc", "usb-OTHER")] {
        fs::File::create(at(name)).unwrap().set_len(10_000_000_000).unwrap();
        symlink(at(name), at("by-id").join(id)).unwrap();
    }
    let asked = Mutex::new(Vec::new());
    let commands = FakeCommands::new(|program, args| {
        let ok = |text: String| Ok(Output { code: Some(0), stdout: text.into(), stderr: String::new() });
        match program {
            "lsblk" => ok(LSBLK.to_owned()),
            "blkid" => match Path::new(args[3]).file_name().unwrap().to_str().unwrap() {
                "sdc" => ok(format!("ID_FS_TYPE=vfat\nID_FS_LABEL={other_stick}\n")),
                "sdb" => ok("ID_PART_TABLE_TYPE=gpt\n".to_owned()),
                "sdb1" => ok(format!(
                    "ID_FS_TYPE=crypto_LUKS\nID_FS_LABEL=a1\nID_FS_SUBSYSTEM=custodian:hoa\n\
                     ID_PART_ENTRY_TYPE={PARTITION_TYPE}\nID_PART_ENTRY_NAME=a1@hoa\n"
                )),
                _ => Ok(Output { code: Some(2), ..Output::default() }),
            },
            "cryptsetup" => {
                asked.lock().unwrap().push(args.join(" "));
                ok(String::new())
            }
            _ => Err(std::io::ErrorKind::NotFound.into()),
        }
    });
    let state = at("state");
    let roots =
        Roots { dev: dir.path().into(), by_id: at("by-id"), sys: at("sys"), ..Roots::new(&state, &at("volumes")) };
    let clock = FakeClock::at(WallNs(0));
    let stick = Stick { disk: "none".into(), root: at("root"), verity: at("verity"), uki: at("uki"), data: at("data") };
    let installer = Installer {
        machine: Machine { commands: &commands, roots, run: dir.path().into(), spool: None },
        stick: &stick,
        clock: &clock,
        version: "1.2.3".into(),
        loader: at("loader"),
        lock: Lock::at(at("lock")),
        accounts: Accounts::None,
    };
    let text = SITE.replace("tpm", unlock);
    let Ok(site) = site::parse(&text, "site.toml") else { panic!("the site is wrong") };
    let wanted = Wanted { site, text, secrets: None };
    let recorder = wanted.site.recorder(&"a".parse().unwrap()).unwrap();
    let looked = installer.look().unwrap();
    let view = install::look(&looked.survey, &looked.parted, &wanted.site, recorder);
    let Ok(token) = view.systems[0].token.clone() else { panic!("{:?}", view.systems[0]) };
    let order = Order {
        lang: crate::types::Lang::En,
        recorder: recorder.id.clone(),
        system: "nvme-SSD".into(),
        token,
        footage: Vec::new(),
        pin: crate::factors::Pin::choose("294173").unwrap(),
        passphrase: None,
        sheet_code: None,
        wipe_secrets: false,
        then: Then::Reboot,
        asked: true,
    };
    let done = work(&Here { installer, wanted, order });
    let asked = asked.lock().unwrap().clone();
    (done, asked)
}

fn wanted_keys(unlock: &str) -> (anyhow::Result<Vec<Recover>>, Vec<String>) {
    with(unlock, KEY_LABEL, |here| here.installer.wanted_keys(&here.wanted, here.recorder(), &here.order))
}

#[test]
fn a_volume_that_the_tpm_opens_wants_its_recovery_key_all_the_same() {
    let (keys, asked) = wanted_keys("tpm");
    assert_eq!(keys.unwrap(), [Recover { volume: "a1".parse().unwrap(), disk: "ata-OLD".into() }]);
    assert!(asked.is_empty(), "what the TPM says is of no matter: {asked:?}");
}

#[test]
fn a_second_key_stick_is_pulled_out_first() {
    let (keys, _) = wanted_keys("usb-key");
    assert!(matches!(keys.unwrap_err().downcast_ref(), Some(Refusal::TwoSticks(disk)) if disk == "sdc"));
}

/// Says nothing.
struct Silent;

impl Tell for Silent {
    fn begins(&mut self, _: &Step, _: usize, _: usize) {}
    fn copied(&mut self, _: u64, _: u64) {}
    fn ended(&mut self, _: &Step, _: bool) {}
    fn told(&mut self, _: &Told<'_>) -> anyhow::Result<bool> {
        panic!("nothing comes so far")
    }
}

/// Begins with a file in the place of the key, beside a volume that is kept or none; gives what came of it, and the file. No table can be written.
fn begun_with(key: &[u8], kept: bool) -> (anyhow::Error, Vec<u8>) {
    let begin = |here: &Here<'_>| {
        let stick = here.installer.stick;
        fs::create_dir(&stick.data).unwrap();
        for file in [&stick.uki, &here.installer.loader] {
            fs::write(file, "starts").unwrap();
        }
        let path = stick.data.join(KEY_FILE);
        fs::write(&path, key).unwrap();
        let mut order = here.order.clone();
        let volume = Footage { volume: "a1".parse().unwrap(), by_id: "ata-OLD".into(), how: How::Keep };
        order.footage.extend(kept.then_some(volume));
        let e = here.installer.carry_out(&here.wanted, &order, &[], &mut Silent).unwrap_err();
        (e, fs::read(path).unwrap_or_default())
    };
    with("usb-key", "PHOTOS", begin).0
}

#[test]
fn a_key_that_a_power_cut_has_left_too_short_makes_way_where_nothing_depends_on_it() {
    for short in [&b""[..], &[7; 31]] {
        let (e, key) = begun_with(short, false);
        assert!(format!("{e:#}").contains("step 1") && key.len() == 64, "{e:#}: {key:?}");
        // What is kept may have been opened by it, whatever it was.
        let (e, key) = begun_with(short, true);
        assert!(matches!(e.downcast_ref(), Some(Refusal::ShortKey)), "{e:#}");
        assert_eq!(key, short);
    }
    // One that is long enough stays, and so do disks that it opens.
    for kept in [false, true] {
        let (e, key) = begun_with(&[7; 32], kept);
        assert!(format!("{e:#}").contains("step 1"), "{e:#}");
        assert_eq!(key, [7; 32]);
    }
}
