//! Four cameras outside of the machine are recorded; live and playback pages answer where they are allowed to; health is pushed to a
//! server outside. Then the network between them becomes bad.

use std::fs;

use super::{SECOND, gaps, segments, wait_until_recording};
use crate::{
    installed::installed,
    probe,
    school::{CAMERAS, CAMERAS_CARD, PULL_PORT, SCHOOL_CARD, School, answers},
    vm::{Vm, free_port},
};

/// What a page answers in the machine.
fn page(vm: &mut Vm, path: &str) -> String {
    vm.ask_port(8080, &format!("GET {path} HTTP/1.0\nHost: localhost\n\n"), 20_000)
}

#[test]
fn cameras_outside_are_recorded_pages_answer_inside_health_is_told_and_a_bad_network_is_survived() {
    let school = School::open();
    let (pc, folder) = installed("recording");
    let (web, pull, stray) = (free_port(), free_port(), free_port());
    let mut how = school.power_on();
    how.inwards = vec![(web, 8080), (pull, PULL_PORT), (stray, STRAY_PORT)];
    let mut vm = pc.start(&how);
    vm.wait_for_boot();
    wait_until_recording(&mut vm, &CAMERAS);

    // Health says so outside, and names nothing that the school has named.
    vm.wait("the monitor to hear of four cameras", 120, |_| {
        let told = school.monitor.told();
        let all = |told: &serde_json::Value| {
            assert!(!told.to_string().contains("Camera 0"), "{told}");
            told["counts"]["cameras_recorded"] == 4 && told["counts"]["volumes_healthy"] == 2
        };
        told.iter().any(all).then_some(())
    });

    // Every camera's footage, read by somebody else. A file of it that is being written is whole as far as it goes.
    for camera in CAMERAS {
        let found = vm.wait("ten seconds of footage", 60, |vm| {
            segments(vm, camera).into_iter().find(|s| s.end - s.start > 10 * SECOND)
        });
        let bytes = vm.fetch(&format!("cat '/var/lib/custodian/volumes/{}/{}'", found.volume, found.path));
        let file = folder.path().join(format!("{camera}.mp4"));
        fs::write(&file, bytes).unwrap();
        let [video, _] = probe::packets(&[file]);
        // 20 pictures a second.
        assert!(video.pts.len() >= 200, "{camera}: {} pictures", video.pts.len());
    }

    // Pages in the machine: the wall, a live picture's stream, playback.
    assert!(page(&mut vm, "/").starts_with("HTTP/1.0 200"), "the wall");
    assert!(page(&mut vm, "/playback").starts_with("HTTP/1.0 200"), "playback");
    let socket = "GET /live/cam00/main HTTP/1.1\nHost: 127.0.0.1:8080\nConnection: Upgrade\nUpgrade: websocket\n\
                  Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n\n";
    let live = vm.ask_port(8080, socket, 100_000);
    assert!(live.starts_with("HTTP/1.1 101") && live.len() > 50_000, "{} bytes of live pictures", live.len());
    // Not from the school's network, where the address that monitoring may ask does answer.
    let get = "GET / HTTP/1.0\r\nHost: recorder\r\n\r\n";
    assert!(!answers(pull, get).is_empty(), "monitoring's port is open");
    assert_eq!(String::from_utf8_lossy(&answers(web, get)), "", "the pages are not");

    // The wires are as the site says, and the packet filter keeps away what somebody has left open at all addresses.
    assert_eq!(group(&mut vm, SCHOOL_CARD), "551", "the school's side");
    assert_eq!(group(&mut vm, CAMERAS_CARD), "552", "the cameras' side");
    listen_everywhere(&mut vm);
    assert!(vm.ask_port(STRAY_PORT, "hello\n", 100).starts_with(STRAY), "it answers in the machine");
    assert_eq!(String::from_utf8_lossy(&answers(stray, "hello\n")), "", "from the school's network it is not there");
    vm.run("nft delete table inet custodian");
    let said = answers(stray, "hello\n");
    assert!(String::from_utf8_lossy(&said).starts_with(STRAY), "without the packet filter it is: {said:?}");
    a_slow_and_lossy_network_costs_nothing_that_is_not_explained(&mut vm);
    vm.cut();
}

/// Where nothing of ours listens.
const STRAY_PORT: u16 = 8099;
const STRAY: &str = "a stray service";

/// The group of the link with that address, by which the packet filter knows its side.
fn group(vm: &mut Vm, mac: &str) -> String {
    let script = format!(
        "nic=$(grep --files-with-matches {mac} /sys/class/net/*/address | cut -d/ -f5)\ncat /sys/class/net/$nic/netdev_group"
    );
    vm.run(&script).trim().to_owned()
}

/// A service that answers at all of the machine's addresses.
fn listen_everywhere(vm: &mut Vm) {
    let units = "/run/systemd/system/custodian-stray";
    vm.put(&format!("{units}.socket"), format!("[Socket]\nListenStream=0.0.0.0:{STRAY_PORT}\nAccept=yes\n").as_bytes());
    // It reads the line first: what ends with something unread takes its answer back.
    let answer = format!("[Service]\nStandardInput=socket\nExecStart=/bin/sh -c 'read -r line; echo {STRAY}'\n");
    vm.put(&format!("{units}@.service"), answer.as_bytes());
    vm.run("systemctl daemon-reload && systemctl start custodian-stray.socket");
}

/// Puts what comes from the cameras through netem, which the kernel has for what leaves only: it is sent round by another device.
fn cameras_network(vm: &mut Vm, how: &str) {
    vm.run(&format!(
        "nic=$(grep --files-with-matches 52:54:00:c0:57:02 /sys/class/net/*/address | cut -d/ -f5)
         modprobe --all ifb sch_netem act_mirred cls_matchall sch_ingress &&
         if ! [ -e /sys/class/net/ifb0 ]; then ip link add ifb0 type ifb; fi &&
         ip link set ifb0 up && tc qdisc replace dev ifb0 root netem {how} && tc qdisc replace dev $nic root netem {how} &&
         {{ tc qdisc show dev $nic | grep --quiet ingress ||
           {{ tc qdisc add dev $nic handle ffff: ingress &&
              tc filter add dev $nic parent ffff: matchall action mirred egress redirect dev ifb0; }}; }}"
    ));
}

fn a_slow_and_lossy_network_costs_nothing_that_is_not_explained(vm: &mut Vm) {
    // 200 ms there and back, more or less: not a picture is lost.
    let before = CAMERAS.map(|camera| gaps(vm, camera).len());
    cameras_network(vm, "delay 100ms 10ms limit 10000");
    let from = wait_until_recording(vm, &CAMERAS).now.0;
    vm.wait("footage over the slow network", 120, |vm| {
        CAMERAS
            .iter()
            .all(|camera| segments(vm, camera).last().is_some_and(|s| s.end - from > 20 * SECOND))
            .then_some(())
    });
    assert_eq!(CAMERAS.map(|camera| gaps(vm, camera).len()), before, "new gaps over a slow network");

    // So lossy that it carries less than the cameras send.
    cameras_network(vm, "delay 100ms 10ms loss 10% limit 10000");
    vm.wait("the recorder to suffer from it", 180, |vm| {
        let status = super::status(vm)?;
        status.streams.iter().any(|s| s.newest_committed.is_none_or(|n| status.now.since(n) > 8 * SECOND)).then_some(())
    });
    // Well again, it goes on by itself, and each gap is closed and has its cause.
    cameras_network(vm, "delay 0ms");
    wait_until_recording(vm, &CAMERAS);
    let all: Vec<_> = CAMERAS.iter().flat_map(|camera| gaps(vm, camera)).collect();
    assert!(all.iter().all(|g| g.end.is_some_and(|end| end > g.start) && g.cause["kind"].is_string()), "{all:?}");
}
