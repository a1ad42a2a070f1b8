//! What takes the kernel's device mapper, which this machine's kernel may not have and the image's has: a disk beneath a volume that fails, drops,
//! or delays (dm-error, dm-flakey, dm-delay), and LUKS as `custodian disk` makes it, opened in each way.

use custodian::types::wire::VolumeStatus;

use super::{SECOND, gaps, segments, status, wait_until_recording, wait_until_well};
use crate::{
    installed::installed,
    school::{CAMERAS, School},
    vm::{PowerOn, Vm},
};

const VOLUME: &str = "/var/lib/custodian/volumes/a1";

/// Puts a mapping that can be exchanged beneath the volume a1: between its partition and LUKS.
fn put_beneath(vm: &mut Vm) {
    vm.run(&format!(
        "set -e; modprobe --all dm-flakey dm-delay
         part=$(readlink --canonicalize /dev/disk/by-id/virtio-DATA1-part1)
         systemctl stop custodian-record.service
         systemctl stop var-lib-custodian-volumes-a1.mount custodian-unlock-a1.service
         dmsetup create beneath --table \"0 $(blockdev --getsz $part) linear $part 0\"
         systemd-cryptsetup attach custodian-a1 /dev/mapper/beneath none luks,discard,tpm2-device=auto
         mount -t xfs -o nodev,nosuid,noexec,noatime /dev/mapper/custodian-a1 {VOLUME}
         systemctl start custodian-record.service"
    ));
}

/// Exchanges it while it is in use. `PART` stands for the partition.
fn exchange(vm: &mut Vm, target: &str) {
    let target = target.replace("PART", "$part");
    vm.run(&format!(
        "set -e; part=$(readlink --canonicalize /dev/disk/by-id/virtio-DATA1-part1)
         dmsetup suspend --nolockfs --noflush beneath
         dmsetup load beneath --table \"0 $(blockdev --getsz $part) {target}\"
         dmsetup resume beneath; dmsetup table beneath >&2"
    ));
}

/// Waits until a1 has failed and all cameras are recorded on the other one.
fn wait_until_away(vm: &mut Vm) -> String {
    let problem = vm.wait("the volume to have failed", 60, |vm| {
        let status = status(vm)?;
        status.volumes.iter().find(|v| v.name.as_str() == "a1" && !v.healthy)?.problem.clone()
    });
    let status = wait_until_recording(vm, &CAMERAS);
    assert!(status.streams.iter().all(|s| s.volume.as_ref().is_some_and(|v| v.as_str() == "a2")), "{status:?}");
    problem
}

/// Waits until it is well, and has new footage. A camera goes home where its segment ends, which may take five minutes, or when the recorder starts.
fn wait_until_home(vm: &mut Vm) {
    let healthy = |v: &VolumeStatus| v.name.as_str() == "a1" && v.healthy;
    vm.wait("the volume to be well", 60, |vm| status(vm)?.volumes.iter().any(healthy).then_some(()));
    vm.run("systemctl restart custodian-record.service");
    let since = wait_until_recording(vm, &CAMERAS).now.0;
    vm.wait("the volume to have new footage", 60, |vm| {
        status(vm)?.volumes.iter().any(|v| healthy(v) && v.committed.is_some_and(|c| c.0 > since)).then_some(())
    });
}

/// What XFS has shut down is mounted again, as a disk that was pulled and comes back.
fn mount_again(vm: &mut Vm) {
    vm.run(&format!(
        "umount --lazy {VOLUME}; mount -t xfs -o nodev,nosuid,noexec,noatime /dev/mapper/custodian-a1 {VOLUME}"
    ));
}

#[test]
fn a_disk_that_fails_drops_or_delays_costs_its_own_seconds() {
    let school = School::open();
    let (pc, _folder) = installed("mapper");
    let mut vm = pc.start(&school.power_on());
    vm.wait_for_boot();
    wait_until_recording(&mut vm, &CAMERAS);
    put_beneath(&mut vm);
    wait_until_home(&mut vm);
    let at = |vm: &mut Vm| status(vm).unwrap().now.0;
    let first = at(&mut vm);

    // 300 ms for each piece: slow, and not failed.
    exchange(&mut vm, "delay PART 0 300");
    let slow = at(&mut vm);
    vm.wait("footage on the slow disk", 120, |vm| {
        CAMERAS.iter().all(|c| segments(vm, c).last().is_some_and(|s| s.end - slow > 10 * SECOND)).then_some(())
    });
    let volumes = status(&mut vm).unwrap().volumes;
    assert!(volumes.iter().all(|v| v.healthy), "{volumes:?}");
    // 8 s: as good as dead.
    exchange(&mut vm, "delay PART 0 8000");
    assert!(wait_until_away(&mut vm).contains("has taken more than 3 s"));
    exchange(&mut vm, "linear PART 0");
    wait_until_home(&mut vm);

    // Each write fails, and each reading goes well.
    exchange(&mut vm, "flakey PART 0 0 3600 1 error_writes");
    wait_until_away(&mut vm);
    exchange(&mut vm, "linear PART 0");
    mount_again(&mut vm);
    wait_until_home(&mut vm);

    // Nothing goes well.
    exchange(&mut vm, "error");
    wait_until_away(&mut vm);
    exchange(&mut vm, "linear PART 0");
    mount_again(&mut vm);
    wait_until_home(&mut vm);

    // Each gap is closed and explained; the other volume's footage between is whole.
    for camera in CAMERAS {
        let since: Vec<_> = gaps(&mut vm, camera).into_iter().filter(|g| g.start > first).collect();
        assert!(since.iter().all(|g| g.end.is_some() && g.cause["kind"].is_string()), "{camera}: {since:?}");
        let of_disks = since.iter().filter(|g| g.cause["kind"] != "restart");
        let missing: i64 = of_disks.map(|g| g.end.unwrap() - g.start).sum();
        assert!(missing < 60 * SECOND, "{camera}: {} s are missing", missing / SECOND);
    }
    vm.cut();
}

/// A site of another recorder, with one disk.
fn site(unlock: &str) -> String {
    format!(
        "[site]\nid = \"other\"\nname = \"Other\"\ntimezone = \"Asia/Ho_Chi_Minh\"\nlanguage = \"en\"\n[retention]\nmin_days = 1\nmax_days = 2\n\
         [area.yard]\nname = \"Yard\"\nkind = \"public\"\n[recorder.b]\nunlock = \"{unlock}\"\n\
         [[recorder.b.volume]]\nname = \"b1\"\ndisk = \"virtio-EXTRA\"\nsize = \"4 GB\"\n\
         [camera.c]\nname = \"C\"\narea = \"yard\"\nmain = \"rtsp://10.20.1.99/c\"\n"
    )
}

#[test]
fn encrypted_disks_open_by_their_keys_and_by_no_other() {
    let (pc, folder) = installed("luks");
    let extra = folder.path().join("extra");
    std::fs::File::create(&extra).unwrap().set_len(4_000_000_000).unwrap();
    let mut vm = pc.start(&PowerOn { extra: Some(&extra), ..PowerOn::default() });
    vm.wait_for_boot();
    wait_until_well(&mut vm);
    let part = "/dev/disk/by-id/virtio-EXTRA-part1";
    // Without what a TPM gives, which otherwise is tried first and opens whatever the key is.
    let opens = |vm: &mut Vm, how: &str| {
        let how = how.replace("KEY", "--disable-external-tokens --key-file");
        vm.ended(&format!("cryptsetup open --test-passphrase --type luks2 {how} {part}")).code == 0
    };
    vm.run("mkdir --mode=700 /run/luks; head -c 64 /dev/urandom >/run/luks/custodian.key; printf 'mot cau dai' >/run/luks/words; printf wrong-words >/run/luks/wrong");
    for (unlock, given, daily) in [
        ("passphrase", "--passphrase-file /run/luks/words", "KEY /run/luks/words"),
        ("usb-key", "--key-file /run/luks/custodian.key", "KEY /run/luks/custodian.key"),
        ("tpm", "", "--token-only --token-type systemd-tpm2"),
    ] {
        vm.put("/run/luks/site.toml", site(unlock).as_bytes());
        let token = |vm: &mut Vm, verb: &str| -> String {
            let facts: serde_json::Value =
                vm.json("custodian disk facts virtio-EXTRA --site /run/luks/site.toml --json");
            facts[verb]["token"].as_str().unwrap_or_else(|| panic!("no token for {verb}: {facts}")).to_owned()
        };
        let init = token(&mut vm, "init");
        let said = vm.run(&format!(
            "custodian disk init virtio-EXTRA --token {init} --site /run/luks/site.toml {given} --lang en 2>&1"
        ));
        // 256 bits as systemd writes them: eight groups of eight letters.
        let recovery = said.split_whitespace().find(|w| w.len() == 71 && w.split('-').all(|g| g.len() == 8));
        vm.put("/run/luks/recovery", recovery.unwrap_or_else(|| panic!("no recovery key: {said}")).as_bytes());
        assert!(opens(&mut vm, daily), "{unlock}: by what opens it daily");
        assert!(opens(&mut vm, "KEY /run/luks/recovery"), "{unlock}: by its recovery key");
        assert!(!opens(&mut vm, "KEY /run/luks/wrong"), "{unlock}: by something else");

        // What opens it is a volume; closed and erased it is nothing.
        vm.run(&format!("cryptsetup open --key-file /run/luks/recovery {part} lab && mkdir -p /run/luks/at && mount -o ro /dev/mapper/lab /run/luks/at"));
        let marker: serde_json::Value = vm.json("cat /run/luks/at/custodian-volume.json");
        assert_eq!((&marker["volume"], &marker["site"]), (&"b1".into(), &"other".into()), "{marker}");
        vm.run("umount /run/luks/at && cryptsetup close lab");
        let erase = token(&mut vm, "erase");
        vm.run(&format!("custodian disk erase virtio-EXTRA --token {erase}"));
        assert!(!opens(&mut vm, "KEY /run/luks/recovery"), "{unlock}: erased");
    }
    vm.cut();
}
