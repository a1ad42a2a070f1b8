use super::*;
use crate::{
    inventory::{Content, Disk, OurVolume},
    site,
    types::{BitRate, ByteSize, CameraId},
};

const SCHOOL_A: &str = include_str!("../../image/site.example.toml");

fn site(text: &str) -> Site {
    site::parse(text, "site.toml").unwrap_or_else(|e| panic!("{e}"))
}

fn at_rate(rate: &str) -> Site {
    site(&SCHOOL_A.replace("2 Mbit/s", rate))
}

fn recorder(name: &str) -> RecorderId {
    name.parse().unwrap()
}

fn plan(site: &Site, before: Option<(&Site, &Layout)>) -> Result<Plan, Refused> {
    let units = BTreeMap::new();
    let side = before.map(|(site, layout)| Side { site, layout, secrets: None });
    let here = recorder("a");
    make(&Input {
        site,
        secrets: None,
        recorder: &here,
        before: side.map(|side| Before { generation: 7, recorder: &here, side, units: &units }),
        inventory: None,
        fingerprint: None,
        measured: &Measured::new(),
        held: &Held::default(),
        recover: &[],
    })
}

fn refused(result: Result<Plan, Refused>) -> (Short, Capacity) {
    match result {
        Err(Refused::Short { short, capacity }) => (*short, *capacity),
        other => panic!("{other:?}"),
    }
}

#[test]
fn school_a_keeps_20_days_at_2_mbit_and_not_at_2_2() {
    let plan = plan(&at_rate("2 Mbit/s"), None).unwrap();
    let room = &plan.capacity;
    assert!(room.fits && room.needs.len() == 64 && room.needs.iter().all(|n| n.min_days == Some(20)));
    // 64 cameras x 2 Mbit/s x 20 days are 27.65 TB; boxes and the last segment come on top.
    assert!((27_648_000_000_000..27_800_000_000_000).contains(&room.needed()), "{}", room.needed());
    assert!(room.volumes.iter().all(|v| v.margin() > 0), "{:?}", room.volumes);

    let (short, room) = refused(super::tests::plan(&at_rate("2.2 Mbit/s"), None));
    assert!(!room.fits && short.missing().0 > 500_000_000_000, "{short:?}");
    assert_eq!(short.days, Some(19));
    let rate = short.rate.unwrap();
    assert!(rate > BitRate(2_000_000) && rate < BitRate(2_200_000), "{rate:?}");
    // The remedies are what they say: the stated rate fits, the next step does not.
    assert!(capacity_at(rate.0) && !capacity_at(rate.0 + 10_000));
    assert!(short.moves.is_none() && short.more.is_some());
}

fn capacity_at(bits: u64) -> bool {
    let site = at_rate(&format!("{bits} bit/s"));
    let (measured, before) = (Measured::new(), Layout::new());
    capacity(&Given { site: &site, measured: &measured, before: &before, inventory: None, held: &Held::default() }).fits
}

#[test]
fn a_recorder_that_is_short_while_another_has_room_says_which_cameras_to_move() {
    // Five cameras of b are written to c, which is full then.
    let mut text = SCHOOL_A.to_owned();
    for _ in 0..5 {
        text = text.replacen("recorder = \"b\"", "recorder = \"c\"", 1);
    }
    let (short, _) = refused(plan(&site(&text), None));
    assert_eq!(short.smallest, Some(Remedy::Moves));
    let moves = short.moves.unwrap();
    assert!(!moves.is_empty() && moves.len() <= 5, "{moves:?}");
    assert!(short.recorders.iter().map(|(r, _)| r.as_str()).eq(["c"]));
}

#[test]
fn measured_rates_count_where_there_are_some() {
    let site = at_rate("2 Mbit/s");
    let measured: Measured =
        site.cameras().iter().map(|c| ((c.id.clone(), crate::types::StreamKind::Main), BitRate(2_300_000))).collect();
    let before = Layout::new();
    let room =
        capacity(&Given { site: &site, measured: &measured, before: &before, inventory: None, held: &Held::default() });
    assert!(!room.fits && room.needs.iter().all(|n| n.measured));
}

#[test]
fn what_is_held_counts() {
    let site = at_rate("2 Mbit/s");
    let (measured, before) = (Measured::new(), Layout::new());
    let given = |held: Held| {
        capacity(&Given { site: &site, measured: &measured, before: &before, inventory: None, held: &held })
    };
    let free = given(Held::default());
    let volume = &free.volumes[0];
    let room = u64::try_from(volume.margin()).unwrap();
    let there = |bytes: u64| Held { there: [(volume.volume.clone(), ByteSize(bytes))].into(), ..Held::default() };
    let full = given(there(room));
    assert!(full.fits && full.volumes[0].margin() == 0, "{:?}", full.volumes[0]);
    assert_eq!((full.volumes[0].held, full.held(), full.needed()), (ByteSize(room), room, free.needed() + room));
    assert!(full.volumes[0].days() < volume.days());

    // What is to come goes where its camera goes, both copies of it.
    let camera = free.layout.iter().find(|(_, on)| on.contains(&volume.volume)).map(|(id, _)| id.clone()).unwrap();
    let to_come = Held { to_come: [(camera, ByteSize(1000))].into(), ..there(5) };
    assert_eq!(given(to_come).volumes[0].held, ByteSize(1005));

    // More than that: the plan is refused, and says what is held.
    let units = BTreeMap::new();
    let here = recorder("a");
    let with = |held: &Held| {
        let before = Side { site: &site, layout: &free.layout, secrets: None };
        make(&Input {
            site: &site,
            secrets: None,
            recorder: &here,
            before: Some(Before { generation: 7, recorder: &here, side: before, units: &units }),
            inventory: None,
            fingerprint: None,
            measured: &measured,
            held,
            recover: &[],
        })
    };
    let plan = with(&there(room)).unwrap();
    assert_eq!((plan.capacity.held(), &plan.layout), (room, &free.layout), "no camera moves for it");
    let all: u64 = free.volumes.iter().map(|v| u64::try_from(v.margin()).unwrap()).sum();
    let (short, _) = refused(with(&there(all + 1_000_000_000)));
    assert_eq!(short.held, ByteSize(all + 1_000_000_000));
    let text = text::short(crate::types::Lang::En, &short).join("\n");
    assert!(text.contains(&short.held.to_string()), "{text}");
    let (short, room) = refused(with(&there(volume.usable.0 + 1)));
    assert!(
        !room.fits && short.days.is_none(),
        "no promise is short enough where what is held fills the disk: {short:?}"
    );
}

#[test]
fn everything_that_is_recorded_counts() {
    let one = |extra: &str| {
        let text = format!(
            "[site]\nname = \"A\"\ntimezone = \"Asia/Shanghai\"\n[retention]\nmin_days = 10\n[recorder.a]\n\
             [[recorder.a.volume]]\nname = \"a1\"\ndisk = \"x-1\"\nsize = \"4 TB\"\n[[recorder.a.volume]]\nname = \"a2\"\ndisk = \"x-2\"\nsize = \"4 TB\"\n\
             [area.gate]\nname = \"Gate\"\nkind = \"public\"\n[camera.g]\nname = \"G\"\narea = \"gate\"\nmain = \"rtsp://10.0.0.1/1\"\n\
             sub = \"rtsp://10.0.0.1/2\"\nbitrate = \"2 Mbit/s\"\n{extra}\n"
        );
        let site = site(&text);
        let (measured, before) = (Measured::new(), Layout::new());
        let room = capacity(&Given {
            site: &site,
            measured: &measured,
            before: &before,
            inventory: None,
            held: &Held::default(),
        });
        (room.needed(), room.layout)
    };
    let (plain, layout) = one("");
    assert_eq!(layout[&"g".parse::<CameraId>().unwrap()].len(), 1);
    // 2 Mbit/s for ten days, and 0.3 % for boxes.
    assert!((216_000_000_000..217_500_000_000).contains(&plain), "{plain}");
    let times = |extra: &str| one(extra).0 as f64 / plain as f64;
    assert!((times("record = [\"main\", \"sub\"]\nsub_bitrate = \"500 kbit/s\"") - 1.25).abs() < 0.01);
    assert!((times("audio_bitrate = \"64 kbit/s\"") - 1.032).abs() < 0.001);
    assert!((times("schedule = [\"mon-fri 06:00-18:00\"]") - 60.0 / 168.0).abs() < 0.01);
    assert!((times("copies = 2") - 2.0).abs() < 0.001);
    let volumes = &one("copies = 2").1[&"g".parse::<CameraId>().unwrap()];
    assert_ne!(volumes[0], volumes[1]);
}

#[test]
fn a_plan_of_what_is_applied_is_empty_and_an_edit_says_what_it_does() {
    let old = at_rate("2 Mbit/s");
    let first = plan(&old, None).unwrap();
    assert!(matches!(first.changes[..], [Change { what: What::FirstSite { cameras: 64 }, .. }]));
    let again = plan(&old, Some((&old, &first.layout))).unwrap();
    assert!(again.changes.is_empty() && again.layout == first.layout);

    // A comment is no change of anything.
    let commented = site(&format!("{SCHOOL_A}\n# nothing\n"));
    let changes = plan(&commented, Some((&old, &first.layout))).unwrap().changes;
    assert!(matches!(changes[..], [Change { what: What::Wording, guarded: false, destructive: false, .. }]));

    // A shorter promise wants leadership's word, and footage goes.
    let shorter = site(&SCHOOL_A.replace("min_days = 20", "min_days = 15"));
    let shorter = plan(&shorter, Some((&old, &first.layout))).unwrap();
    assert!(shorter.is_destructive() && shorter.guarded().count() == 1, "{:?}", shorter.changes);
    let longer = site(&SCHOOL_A.replace("max_days = 30", "max_days = 60"));
    let longer = plan(&longer, Some((&old, &first.layout))).unwrap();
    assert!(!longer.is_destructive() && longer.guarded().count() == 0);

    // A camera that leaves takes nothing with it, and no other moves.
    let start = SCHOOL_A.find("[camera.cong-3]").unwrap();
    let end = start + 1 + SCHOOL_A[start + 1..].find("\n[camera.").unwrap();
    let without = site(&format!("{}{}", &SCHOOL_A[..start], &SCHOOL_A[end..]));
    let without = plan(&without, Some((&old, &first.layout))).unwrap();
    assert!(
        matches!(
            &without.changes[..],
            [Change { what: What::CameraRemoved { .. }, guarded: true, destructive: false, .. }]
        ),
        "{:?}",
        without.changes
    );
}

#[test]
fn three_recorders_come_to_the_same_site_whatever_they_had_before() {
    let (old, new) = (at_rate("1.6 Mbit/s"), at_rate("2 Mbit/s"));
    let applied = plan(&old, None).unwrap();
    let mut who = BTreeMap::new();
    // One had the site before, one another one, one nothing; each keeps the part of the layout that is its own.
    for (name, before) in [("a", Some((&old, &applied.layout))), ("b", None), ("c", Some((&new, &applied.layout)))] {
        let units = BTreeMap::new();
        let side = before.map(|(site, layout)| Side { site, layout, secrets: None });
        let here = recorder(name);
        let plan = make(&Input {
            site: &new,
            secrets: None,
            recorder: &here,
            before: side.map(|side| Before { generation: 7, recorder: &here, side, units: &units }),
            inventory: None,
            fingerprint: None,
            measured: &Measured::new(),
            held: &Held::default(),
            recover: &[],
        })
        .unwrap();
        for camera in new.cameras_of(&here) {
            let volumes = &plan.layout[&camera.id];
            assert!(new.volumes_of(&here).iter().any(|v| v.name == volumes[0]));
            assert!(who.insert(camera.id.clone(), name).is_none(), "{} is recorded twice", camera.id);
        }
    }
    assert_eq!(who.len(), new.cameras().len(), "every camera is recorded somewhere");
}

#[test]
fn what_concerns_another_recorder_is_marked() {
    let old = at_rate("2 Mbit/s");
    let first = plan(&old, None).unwrap();
    let c = SCHOOL_A.find("recorder = \"c\"").unwrap();
    let start = SCHOOL_A[..c].rfind("[camera.").unwrap();
    let edited = format!("{}{}", &SCHOOL_A[..start], SCHOOL_A[start..].replacen("rtsp://10.", "rtsp://11.", 1));
    let edited = plan(&site(&edited), Some((&old, &first.layout))).unwrap();
    let [change] = edited.changes.as_slice() else { panic!("{:?}", edited.changes) };
    assert!(matches!(change.what, What::CameraAddress { .. }));
    assert!(change.concerns(&recorder("c")) && !change.concerns(&recorder("a")));
}

#[test]
fn a_machine_does_not_become_another_recorder_unasked() {
    let old = at_rate("2 Mbit/s");
    let first = plan(&old, None).unwrap();
    let units = BTreeMap::new();
    let as_b = make(&Input {
        site: &old,
        secrets: None,
        recorder: &recorder("b"),
        before: Some(Before {
            generation: 7,
            recorder: &recorder("a"),
            side: Side { site: &old, layout: &first.layout, secrets: None },
            units: &units,
        }),
        inventory: Some(&Inventory::default()),
        fingerprint: None,
        measured: &Measured::new(),
        held: &Held::default(),
        recover: &[],
    });
    assert!(matches!(as_b, Err(Refused::Disks(_))), "disks that are not here are new to this machine: {as_b:?}");
    let change = Change::identity(&recorder("a"), &recorder("b"));
    assert!(change.guarded && change.concerns(&recorder("a")));
}

#[test]
fn what_is_said_of_a_camera_that_is_off_counts_too() {
    let start = SCHOOL_A.find("[camera.cong-3]").unwrap();
    let with = |lines: &str, area: &str| {
        let (head, tail) = SCHOOL_A.split_at(start);
        site(&format!(
            "{head}{}",
            tail.replacen("\nname", &format!("\n{lines}name"), 1).replacen("area = \"cong\"", area, 1)
        ))
    };
    let off = with("enabled = false\n", "area = \"cong\"");
    let first = plan(&off, None).unwrap();
    let moved = with("enabled = false\n", "area = \"san-truong\"");
    let moved_plan = plan(&moved, Some((&off, &first.layout))).unwrap();
    assert!(moved_plan.guarded().any(|c| matches!(c.what, What::CameraArea { .. })), "{:?}", moved_plan.changes);
    let on = with("", "area = \"san-truong\"");
    let on = plan(&on, Some((&off, &first.layout))).unwrap();
    assert!(on.guarded().any(|c| matches!(c.what, What::CameraArea { .. })), "{:?}", on.changes);
}

#[test]
fn a_guarded_change_wants_root_and_a_reason() {
    use super::guard::{Denied, RootWithReason, Word, word};
    let old = at_rate("2 Mbit/s");
    let first = plan(&old, None).unwrap();
    let nobody = RootWithReason { root: false, user: "it".into(), reason: None };
    assert_eq!(word(&first, &nobody), Ok(None), "nothing is taken from anybody");
    let shorter = site(&SCHOOL_A.replace("min_days = 20", "min_days = 15"));
    let shorter = plan(&shorter, Some((&old, &first.layout))).unwrap();
    assert_eq!(word(&shorter, &nobody), Err(Denied::NotRoot));
    let root = RootWithReason { root: true, user: "root".into(), reason: Some("  ".into()) };
    assert_eq!(word(&shorter, &root), Err(Denied::NoReason));
    let root = RootWithReason { reason: Some("BGH 12/2026".into()), ..root };
    assert_eq!(word(&shorter, &root), Ok(Some(Word { who: "root".into(), reason: "BGH 12/2026".into() })));
}

fn disk(by_id: &str, size: u64, content: Content) -> Disk {
    Disk {
        name: "sdb".into(),
        by_id: vec![by_id.into()],
        serial: None,
        wwn: None,
        model: None,
        size: ByteSize(size),
        transport: Some("sata".into()),
        removable: false,
        read_only: false,
        system: false,
        content,
        smart: None,
    }
}

#[test]
fn disks_that_cannot_be_what_the_site_says_are_refused_when_they_are_new() {
    const NAME: &str = "ata-WDC_WD120EFBX-68B0EN0_5QJ0A1CD";
    let new = at_rate("2 Mbit/s");
    let tb = 1_000_000_000_000;
    let notes = |disks: Vec<Disk>, known: bool| {
        let inventory = Inventory { disks, ..Inventory::default() };
        let known: &[VolumeName] = if known { &["a1".parse().unwrap()] } else { &[] };
        disks::notes(&new, &recorder("a"), &inventory, known)
    };
    let one = |d: Disk| {
        let mut all = notes(vec![d], false);
        assert_eq!(all.len(), 1, "{all:?}");
        let note = all.remove(0);
        (note.note, note.fatal)
    };
    assert_eq!(one(disk(NAME, 12 * tb, Content::Empty)), (Note::Empty, false));
    assert!(
        matches!(one(disk("other", 12 * tb, Content::Empty)), (Note::Gone { similar }, true) if similar == ["other"])
    );
    assert!(matches!(one(disk(NAME, 12 * tb, Content::Unknown { why: "x".into() })), (Note::Unknown { .. }, true)));
    assert!(matches!(
        one(disk(NAME, 12 * tb, Content::Foreign { found: vec!["ntfs".into()] })),
        (Note::Foreign { .. }, true)
    ));
    assert!(matches!(one(Disk { system: true, ..disk(NAME, 12 * tb, Content::Empty) }), (Note::System, true)));
    let ours = |site: &str, volume: &str| {
        Content::Ours(OurVolume {
            site: site.into(),
            volume: volume.parse().unwrap(),
            id: None,
            encrypted: true,
            device: "/dev/sdb1".into(),
            mounted: None,
            newest: None,
        })
    };
    assert!(notes(vec![disk(NAME, 12 * tb, ours("hoa-huong-duong", "a1"))], false).is_empty());
    assert!(matches!(one(disk(NAME, 12 * tb, ours("hoa-huong-duong", "a2"))), (Note::Other { .. }, true)));
    assert!(matches!(one(disk(NAME, 12 * tb, ours("another-school", "a1"))), (Note::Other { .. }, true)));
    let small = notes(vec![disk(NAME, 11 * tb, Content::Empty)], false);
    assert!(small.iter().any(|n| n.fatal && matches!(n.note, Note::TooSmall { .. })));
    let stick = notes(vec![Disk { transport: Some("usb".into()), ..disk(NAME, 12 * tb, Content::Empty) }], false);
    assert!(stick.iter().any(|n| n.fatal && n.note == Note::Removable));
    // A disk that has died must not keep the school from changing anything else.
    assert!(notes(Vec::new(), true).iter().all(|n| !n.fatal));
}

#[test]
fn the_lint_finds_what_is_wrong() {
    let site = at_rate("2 Mbit/s");
    let good = plan(&site, None).unwrap();
    let wrong = |change: &dyn Fn(&mut Plan)| {
        let mut plan = good.clone();
        change(&mut plan);
        lint(&plan, &site, None)
    };
    let id: CameraId = site.cameras()[0].id.clone();
    assert_eq!(wrong(&|_| ()), []);
    assert_eq!(wrong(&|p| drop(p.layout.remove(&id))), [Lint::NoVolume(id.clone())]);
    let c1: VolumeName = "c1".parse().unwrap();
    assert!(matches!(
        wrong(&|p| drop(p.layout.insert(id.clone(), vec![c1.clone()])))[..],
        [Lint::StrangeVolume { .. }]
    ));
    assert!(matches!(wrong(&|p| p.capacity.volumes[0].needed = ByteSize(u64::MAX))[..], [Lint::OverCapacity(_)]));
    let start = Step::Start { unit: "x.mount".into() };
    let write = Step::WriteUnit { unit: "x.mount".into(), text: String::new() };
    assert_eq!(wrong(&|p| p.steps = vec![start.clone()]), [Lint::NoUnit("x.mount".into())]);
    assert_eq!(wrong(&|p| p.steps = vec![write.clone(), start.clone()]), [Lint::NotReloaded("x.mount".into())]);
    assert_eq!(wrong(&|p| p.steps = vec![write.clone(), Step::ReloadManager, start.clone()]), []);
    let remove = Step::RemoveUnit { unit: "x.mount".into() };
    let both = vec![write, Step::ReloadManager, start, remove];
    assert_eq!(wrong(&|p| p.steps.clone_from(&both)), [Lint::Removed("x.mount".into())]);
    assert_eq!(
        wrong(&|p| p.steps = vec![Step::Stop { unit: "custodian-record.service".into() }]),
        [Lint::RecorderStopped]
    );
}

/// Where steps stop the recorder, the words say that seconds are lost; where they don't, nothing is said.
#[test]
fn a_restart_of_the_recorder_is_not_kept_quiet() {
    let text = |volumes: &str, unlock: &str| {
        format!(
            "[site]\nname = \"x\"\ntimezone = \"UTC\"\n[area.y]\nname = \"y\"\nkind = \"public\"\n[recorder.a]\n\
             unlock = \"{unlock}\"\n{volumes}[camera.c]\nname = \"c\"\narea = \"y\"\nmain = \"rtsp://h/1\"\n\
             bitrate = \"2 Mbit/s\"\n"
        )
    };
    let disk =
        |name: &str, id: &str| format!("[[recorder.a.volume]]\nname = \"{name}\"\ndisk = \"{id}\"\nsize = \"2 TB\"\n");
    let folder = "[[recorder.a.volume]]\nname = \"f\"\npath = \"/f\"\n";
    let before = site(&text(&disk("d1", "one"), "none"));
    let first = plan(&before, None).unwrap();
    let units = units(&before, &recorder("a"));
    for (after, stops) in [
        (text(&(disk("d1", "one") + &disk("d2", "two")), "none"), false),
        (text(&(disk("d1", "one") + folder), "none"), true),
        (text(&disk("d1", "other"), "none"), true),
        (text(&disk("d2", "one"), "none"), true),
        (text(&disk("d1", "one"), "tpm"), true),
        (text(&disk("d1", "one").replace("2 TB", "3 TB"), "none"), false),
    ] {
        let plan = make(&Input {
            site: &site(&after),
            secrets: None,
            recorder: &recorder("a"),
            before: Some(Before {
                generation: 7,
                recorder: &recorder("a"),
                side: Side { site: &before, layout: &first.layout, secrets: None },
                units: &units,
            }),
            inventory: None,
            fingerprint: None,
            measured: &Measured::new(),
            held: &Held::default(),
            recover: &[],
        });
        let plan = plan.unwrap();
        let restarts = |s: &Step| matches!(s, Step::Stop { unit } | Step::Restart { unit } if unit == RECORD);
        assert_eq!(plan.steps.iter().any(restarts), stops, "{after}: {:?}", plan.steps);
        assert_eq!(plan.changes.iter().any(|c| c.lost_seconds > 0), stops, "{after}: {:?}", plan.changes);
    }
}
