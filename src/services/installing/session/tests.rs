use std::{
    cell::RefCell,
    collections::VecDeque,
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    os::unix::fs::symlink,
    path::Path,
};

use super::*;
use crate::{
    install::{SheetCode, Step},
    inventory::{self, PARTITION_TYPE, Roots, SEAL},
    services::installing::{Done, Told, make_plan},
    sys::{FakeCommands, Output},
};

const SITE: &str = r#"[site]
name = "Trường mầm non Hoa Hướng Dương"
id = "hoa"
timezone = "Asia/Ho_Chi_Minh"
language = "vi"
[area.yard]
name = "Sân"
kind = "public"
[recorder.a]
unlock = "none"
[[recorder.a.volume]]
name = "a1"
disk = "ata-NEW"
size = "12 TB"
[[recorder.a.volume]]
name = "a2"
disk = "ata-OLD"
size = "12 TB"
[recorder.b]
unlock = "passphrase"
[[recorder.b.volume]]
name = "b1"
disk = "ata-ELSEWHERE"
size = "12 TB"
[camera.gate]
name = "Cổng"
area = "yard"
recorder = "a"
main = "rtsp://192.0.2.1/1"
credentials = "all"
"#;
const SECRETS: &str = "[credentials.all]\nusername = \"u\"\npassword = \"hush hush\"\n";

/// A machine with an empty SSD, an empty disk, one with footage, a teacher's, and the stick.
const LSBLK: &str = r#"{"blockdevices":[
 {"name":"nvme0n1","kname":"nvme0n1","type":"disk","size":256060514304,"serial":"S4EV","model":"Samsung SSD 970","tran":"nvme"},
 {"name":"sda","kname":"sda","type":"disk","size":12000138625024,"serial":"5QJ0A1CD","model":"WDC WD120EFBX","tran":"sata"},
 {"name":"sdb","kname":"sdb","type":"disk","size":12000138625024,"serial":"5QJ0B2EF","model":"WDC WD120EFBX","tran":"sata",
  "children":[{"name":"sdb1","kname":"sdb1","type":"part","size":12000000000000}]},
 {"name":"sdc","kname":"sdc","type":"disk","size":500107862016,"serial":"Z1D5","model":"ST500DM002","tran":"sata"},
 {"name":"sdd","kname":"sdd","type":"disk","size":8000000000,"serial":"0001","model":"Flash","tran":"usb","rm":true,
  "children":[{"name":"sdd1","kname":"sdd1","type":"part","size":7000000000,"mountpoints":["/"]}]}]}"#;

fn looked() -> Looked {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("by-id")).unwrap();
    for (name, id, size) in [
        ("nvme0n1", "nvme-SSD", 256_060_514_304),
        ("sda", "ata-NEW", 12_000_138_625_024),
        ("sdb", "ata-OLD", 12_000_138_625_024),
        ("sdc", "ata-TEACHER", 500_107_862_016),
        ("sdd", "usb-STICK", 8_000_000_000),
    ] {
        let mut file = File::create(at(name)).unwrap();
        file.set_len(size).unwrap();
        if name == "sdc" {
            file.write_all(b"NTFS").unwrap();
        }
        symlink(at(name), at("by-id").join(id)).unwrap();
    }
    let commands = FakeCommands::new(|program, args| {
        let ok = |text: String| Ok(Output { code: Some(0), stdout: text.into(), stderr: String::new() });
        match program {
            "lsblk" => ok(LSBLK.to_owned()),
            "blkid" => match Path::new(args[3]).file_name().unwrap().to_str().unwrap() {
                "sdb" | "sdd" => ok("ID_PART_TABLE_TYPE=gpt\n".to_owned()),
                "sdb1" => ok(format!(
                    "ID_FS_TYPE=xfs\nID_FS_LABEL={SEAL}\nID_PART_ENTRY_TYPE={PARTITION_TYPE}\nID_PART_ENTRY_NAME=a2@hoa\n"
                )),
                "sdc" => ok("ID_FS_TYPE=ntfs\nID_FS_LABEL=Windows\n".to_owned()),
                _ => Ok(Output { code: Some(2), ..Output::default() }),
            },
            "ip" => ok(r#"[{"ifname":"enp1s0","addr_info":[{"local":"192.0.2.7","prefixlen":24}]}]"#.to_owned()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    });
    let sys = at("sys");
    for dir in ["", "class", "class/net", "class/net/enp1s0"] {
        fs::create_dir(sys.join(dir)).unwrap();
    }
    for (name, text) in [("address", "02:00:00:00:00:01"), ("operstate", "up"), ("carrier", "1")] {
        fs::write(sys.join("class/net/enp1s0").join(name), text).unwrap();
    }
    let state = Path::new("/var/lib/custodian");
    let roots = Roots { dev: dir.path().into(), by_id: at("by-id"), sys, ..Roots::new(state, &state.join("volumes")) };
    let parted = inventory::parted(&commands, dir.path()).unwrap();
    Looked { survey: inventory::survey(&commands, &roots), parted }
}

/// The recovery key of everything.
const KEY: &str = "cccjbcbj-dcdjecej-fcfjgcgj-hchjicij-jcjjkckj-lcljncnj-rcrjtctj-ucujvcvj";

/// Does nothing, and says that it has.
struct Fake {
    fails_at: usize,
    stick: bool,
    /// secrets.toml, where an installation that was cut short has left it.
    left: Option<&'static str>,
    /// What started before already.
    before: bool,
    /// Volumes whose recovery keys are wanted.
    wants: Vec<Recover>,
    ordered: RefCell<Vec<Order>>,
    /// Why nothing is begun.
    refuses: Option<fn() -> Refusal>,
    /// Whether the secrets were to go.
    wiped: RefCell<Vec<bool>>,
}

impl Fake {
    fn new() -> Self {
        let wiped = RefCell::default();
        Self {
            fails_at: usize::MAX,
            stick: true,
            left: None,
            before: false,
            wants: Vec::new(),
            refuses: None,
            ordered: RefCell::default(),
            wiped,
        }
    }
}

impl Hands for Fake {
    fn version(&self) -> &'static str {
        "1.2.3"
    }
    fn look(&self) -> anyhow::Result<Looked> {
        Ok(looked())
    }
    fn days(&self, by_id: &str) -> Option<usize> {
        (by_id == "ata-OLD").then_some(31)
    }
    fn check(&self, looked: &Looked, wanted: &Wanted, recorder: &Recorder, view: &View) -> anyhow::Result<Plan> {
        let inventory = install::seen_as(&looked.survey.inventory, view);
        Ok(make_plan(wanted, recorder, &inventory).map_err(|e| Refusal::Plan(Box::new(e)))?)
    }
    fn wanted_keys(&self, _: &Wanted, _: &Recorder, _: &Order) -> anyhow::Result<Vec<Recover>> {
        Ok(self.wants.clone())
    }
    fn fits(&self, _: &Looked, _: &Site, _: &Recover, key: &RecoveryKey) -> anyhow::Result<bool> {
        Ok(key.reveal() == KEY)
    }
    fn carry_out(
        &self,
        _: &Wanted,
        order: &Order,
        keys: &[(Recover, RecoveryKey)],
        tell: &mut dyn Tell,
    ) -> anyhow::Result<Done> {
        assert_eq!(keys.iter().map(|(of, _)| of.clone()).collect::<Vec<_>>(), self.wants);
        self.ordered.borrow_mut().push(order.clone());
        let steps = install::steps(order);
        anyhow::ensure!(self.fails_at > 0, "/dev/nvme0n1 is in use");
        self.refuses.map_or(Ok(()), |why| Err(why()))?;
        let code = SheetCode::read("7k3q-0xv9-hm2c-4tda").unwrap();
        for (n, step) in steps.iter().enumerate() {
            if *step == Step::Start {
                let keys = [("ledger".to_owned(), "custodian/hoa/a/record+00000000+AAAA".to_owned())];
                let wipe =
                    tell.told(&Told { code: &code, sheet: "recovery-a.html", receipt: "receipt-a.txt", keys: &keys })?;
                self.wiped.borrow_mut().push(wipe);
            }
            tell.begins(step, n + 1, steps.len());
            anyhow::ensure!(n < self.fails_at, "/dev/nvme0n1: Input/output error");
            tell.copied(1, 2);
            tell.ended(step, n != 1);
        }
        Ok(Done { before: self.before })
    }
    fn left_secrets(&self, _: &Site, _: &str, _: Option<&Secret>) -> Option<String> {
        self.left.map(str::to_owned)
    }
    fn stick_is_in(&self) -> bool {
        self.stick
    }
}

/// Says what was written down for them, and remembers what they saw.
#[derive(Default)]
struct Person {
    says: VecDeque<String>,
    saw: String,
    asked: usize,
}

impl Person {
    fn who_says(lines: &[&str]) -> Self {
        Self { says: lines.iter().map(|&l| l.to_owned()).collect(), ..Self::default() }
    }
}

impl Desk for Person {
    fn say(&mut self, text: &str) {
        self.saw += text;
        self.saw += "\n";
    }
    fn ask(&mut self, prompt: &str) -> io::Result<Option<String>> {
        self.asked += 1;
        let line = self.says.pop_front();
        writeln!(self.saw, "\n{prompt}{}", line.as_deref().unwrap_or("<nobody>")).unwrap();
        Ok(line)
    }
    fn copied(&mut self, done: u64, all: u64) {
        writeln!(self.saw, "      [{done}/{all}]").unwrap();
    }
    fn wait(&mut self, how_long: Duration) {
        writeln!(self.saw, "<{} s>", how_long.as_secs()).unwrap();
    }
}

fn papers() -> Papers {
    Papers { site: Some(SITE.into()), secrets: Some(SECRETS.into()), install: None }
}

/// The codes of the SSD and of the new disk.
fn codes() -> (String, String) {
    let Ok(site) = site::parse(SITE, "site.toml") else { panic!("the site is wrong") };
    let looked = looked();
    let view = install::look(&looked.survey, &looked.parted, &site, site.recorder(&"a".parse().unwrap()).unwrap());
    let system = view.systems.iter().find(|c| c.disk.name == "nvme0n1").unwrap().token.clone().unwrap();
    let FootageState::New(footage) = &view.footage[0].state else { panic!("{:?}", view.footage) };
    (system.to_string(), footage.to_string())
}

const LANGS: [(Lang, &str); 3] = [(Lang::Vi, "1"), (Lang::Zh, "2"), (Lang::En, "3")];

#[test]
fn from_the_stick_to_recording_in_six_answers() {
    let (system, footage) = codes();
    for (lang, number) in LANGS {
        let mut person = Person::who_says(&[number, "1", &system, &footage, "294173", "1"]);
        let hands = Fake::new();
        let ended = Session::run(&mut person, &hands, &papers(), None);
        assert_eq!(ended, Ended::Done { then: Then::Reboot, wait: Duration::MAX }, "{}", person.saw);
        assert_eq!(person.asked, 6);
        insta::assert_snapshot!(format!("whole_{lang}"), person.saw);
        let ordered = hands.ordered.borrow();
        assert!(ordered[0].system == "nvme-SSD" && ordered[0].lang == lang);
        assert_eq!(*hands.wiped.borrow(), [true]);
    }
}

#[test]
fn what_is_typed_wrongly_is_asked_again() {
    let (system, footage) = codes();
    for (lang, number) in LANGS {
        // The code of a disk for footage is not one of a system disk, and one that is cut off is none.
        let lines = [
            "x",
            number,
            "7",
            "1",
            &footage,
            &system[..9],
            &system.to_uppercase(),
            &system,
            &footage,
            "123456",
            "29417",
            "294173",
        ];
        let mut person = Person::who_says(&lines);
        let hands = Fake { fails_at: 5, ..Fake::new() };
        assert_eq!(Session::run(&mut person, &hands, &papers(), None), Ended::Failed, "{}", person.saw);
        insta::assert_snapshot!(format!("mistakes_{lang}"), person.saw);
        assert!(hands.wiped.borrow().is_empty());
    }
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_asked_for_it() {
    for (lang, _) in LANGS {
        let mut all = String::new();
        let mut refused = |what: &str, papers: Papers, says: &[&str]| {
            let (hands, mut person) = (Fake::new(), Person::who_says(says));
            assert_eq!(
                Session::run(&mut person, &hands, &papers, Some(lang)),
                Ended::Refused,
                "{what}: {}",
                person.saw
            );
            assert!(hands.ordered.borrow().is_empty(), "{what}");
            write!(all, "=== {what}\n{}", person.saw).unwrap();
        };
        refused("no site", Papers::default(), &[]);
        let with = |from: &str, to: &str| Papers { site: Some(SITE.replace(from, to).into()), ..papers() };
        refused("a wrong site", with("kind = \"public\"", "kind = \"pubic\""), &[]);
        refused("no password", Papers { secrets: None, ..papers() }, &[]);
        refused("not UTF-8", Papers { site: Some(vec![0xff, 0xfe]), ..papers() }, &[]);
        refused("a disk that is not here", papers(), &["2"]);
        refused("a disk that holds something", with("ata-NEW", "ata-TEACHER"), &["1"]);
        refused("another volume", with("name = \"a2\"", "name = \"a3\""), &["1"]);
        let wires = "unlock = \"none\"\nnetwork.school = { link = \"enp1so\" }\n";
        refused("a network card that is not here", with("unlock = \"none\"\n", wires), &["1"]);
        refused("nobody", papers(), &["1"]);
        let install = |text: &str| Papers { install: Some(text.into()), ..papers() };
        refused("a wrong install.toml", install("recorder = 1\n"), &[]);
        let text = "recorder = \"a\"\npin = \"294173\"\n[system]\nserial = \"5QJ0B2EF\"\ntoken = \"7k3q-0xv9-hm2c-4tda\"\n\
                    [[footage]]\nserial = \"5QJ0A1CD\"\ntoken = \"7k3q-0xv9-hm2c-4tda\"\n[[footage]]\nserial = \"9\"\n\
                    token = \"7k3q-0xv9-hm2c-4tda\"\n";
        refused("an install.toml for another machine", install(&format!("language = \"{lang}\"\n{text}")), &[]);
        insta::assert_snapshot!(format!("refused_{lang}"), all);
        assert!(!all.contains("hush hush") && !all.contains("294173"));
    }
}

#[test]
fn who_pulls_the_stick_is_told_so() {
    let (system, footage) = codes();
    let mut person = Person::who_says(&["1", &system, &footage, "294173"]);
    let hands = Fake { fails_at: 1, stick: false, ..Fake::new() };
    assert_eq!(Session::run(&mut person, &hands, &papers(), Some(Lang::En)), Ended::Failed);
    assert!(person.saw.ends_with("the installation goes on where it was.\n"), "{}", person.saw);
    assert!(person.saw.contains("The stick was pulled."), "{}", person.saw);
    // Where English is all that can be shown, what is written is in the school's language all the same.
    assert_eq!(hands.ordered.borrow()[0].lang, Lang::Vi);
    // Before the first step there is nothing to go on with.
    let mut person = Person::who_says(&["1", &system, &footage, "294173"]);
    let hands = Fake { fails_at: 0, ..Fake::new() };
    assert_eq!(Session::run(&mut person, &hands, &papers(), Some(Lang::En)), Ended::Refused);
    assert!(person.saw.ends_with("Nothing was changed.\n"), "{}", person.saw);
}

#[test]
fn a_disk_for_backups_is_not_the_systems() {
    let to = "[backup]\nrecipients = [\"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"]\nat = \"02:30\"\n\
              to = [{ kind = \"disk\", disk = \"ata-TEACHER\" }]\n[recorder.a]";
    let papers = Papers { site: Some(SITE.replace("[recorder.a]", to).into()), ..papers() };
    for (lang, _) in LANGS {
        let mut person = Person::who_says(&["1", "t6yk-yz10-hjzk-gs8r"]);
        assert_eq!(Session::run(&mut person, &Fake::new(), &papers, Some(lang)), Ended::Refused, "{}", person.saw);
        assert!(!person.saw.contains("t6yk-yz10-hjzk-gs8r  sdc"), "{}", person.saw);
        let why = t(lang, "install.for_backups", &[]);
        assert!(why != "install.for_backups" && person.saw.contains(&why), "{}", person.saw);
    }
}

#[test]
fn a_volume_that_is_kept_wants_its_recovery_key_and_a_file_has_none() {
    let (system, footage) = codes();
    let wants = || vec![Recover { volume: "a2".parse().unwrap(), disk: "ata-OLD".into() }];
    let mut person = Person::who_says(&["1", &system, &footage, "294173", "x", &KEY.replace('c', "v"), KEY, "2"]);
    let hands = Fake { wants: wants(), ..Fake::new() };
    let ended = Session::run(&mut person, &hands, &papers(), Some(Lang::En));
    assert_eq!(ended, Ended::Done { then: Then::Reboot, wait: Duration::MAX }, "{}", person.saw);
    assert_eq!(person.saw.matches("That key does not open it").count(), 2, "{}", person.saw);

    let install = format!(
        "recorder = \"a\"\npin = \"294173\"\n[system]\nserial = \"S4EV\"\ntoken = \"{system}\"\n\
         [[footage]]\nserial = \"5QJ0A1CD\"\ntoken = \"{footage}\"\n"
    );
    let papers = Papers { install: Some(install.into()), ..papers() };
    let (mut person, hands) = (Person::default(), Fake { wants: wants(), ..Fake::new() });
    assert_eq!(Session::run(&mut person, &hands, &papers, Some(Lang::En)), Ended::Refused, "{}", person.saw);
    assert!(person.saw.contains("install without it, with the recovery key at hand"), "{}", person.saw);
    assert!(hands.ordered.borrow().is_empty());
}

/// Where the code of the sheet is shown, nothing starts and no password goes before somebody has said that it is written down.
#[test]
fn the_code_is_written_down_before_the_disk_starts() {
    let (system, footage) = codes();
    let said = |answers: &[&str], secrets: bool| {
        let mut person = Person::who_says(&[&["1", &*system, &footage, "294173"], answers].concat());
        let papers = Papers { secrets: Some(SECRETS.into()).filter(|_| secrets), ..papers() };
        let hands = Fake { left: Some(SECRETS), ..Fake::new() };
        let ended = Session::run(&mut person, &hands, &papers, Some(Lang::En));
        (ended, hands.wiped.take(), person.saw)
    };
    let done = Ended::Done { then: Then::Reboot, wait: Duration::MAX };
    assert_eq!(said(&["", "3", "yes", "2"], true).0, done);
    assert_eq!(said(&["2"], true).1, [false]);
    assert_eq!(said(&["1"], true).1, [true]);
    // Nobody answers: what was begun is gone on with next time, with another code.
    let (ended, wiped, saw) = said(&[], true);
    assert_eq!((ended, wiped), (Ended::Failed, vec![]), "{saw}");
    assert!(!saw.contains("make the machine start from its disk"), "{saw}");
    // They have gone from the stick already, and are where the first attempt has left them.
    let (ended, wiped, saw) = said(&["2", "1"], false);
    assert_eq!((ended, wiped), (done, vec![false]), "{saw}");
    assert!(saw.contains("type 1"), "{saw}");
}

#[test]
fn where_nobody_is_asked_the_code_is_shown_before_the_disk_starts_and_a_stick_that_stays_in_installs_once() {
    let (system, footage) = codes();
    let run = |more: &str, before: bool| {
        let install = format!(
            "recorder = \"a\"\npin = \"294173\"\n{more}\n[system]\nserial = \"S4EV\"\ntoken = \"{system}\"\n\
             [[footage]]\nserial = \"5QJ0A1CD\"\ntoken = \"{footage}\"\n"
        );
        let papers = Papers { install: Some(install.into()), ..papers() };
        let (mut person, hands) = (Person::default(), Fake { before, ..Fake::new() });
        let ended = Session::run(&mut person, &hands, &papers, Some(Lang::En));
        (ended, hands.wiped.take(), person.saw)
    };
    let ended = |then, wait| Ended::Done { then, wait };
    let (how, _, saw) = run("", false);
    assert_eq!(how, ended(Then::Reboot, Duration::ZERO), "{saw}");
    let at = |what: &str| saw.find(what).unwrap_or_else(|| panic!("{what}: {saw}"));
    assert!(at("7k3q-0xv9") < at("<120 s>") && at("<120 s>") < at("make the machine start from its disk"), "{saw}");
    let chosen = "sheet_code = \"etjx-5zwc-n8fr-6g4d\"\nwipe_secrets = true";
    let (how, wiped, saw) = run(chosen, false);
    assert_eq!((how, wiped), (ended(Then::Reboot, Duration::ZERO), vec![true]), "{saw}");
    assert!(!saw.contains("<120 s>") && !saw.contains("7k3q"), "{saw}");
    // All was done before: started again it would only be done once more.
    assert_eq!(run(chosen, true).0, ended(Then::Reboot, Duration::MAX));
    assert_eq!(run("then = \"poweroff\"", true).0, ended(Then::Poweroff, Duration::ZERO));
}

#[test]
fn who_has_no_recovery_key_can_leave() {
    let (system, footage) = codes();
    for (lang, _) in LANGS {
        let mut person = Person::who_says(&["1", &system, &footage, "294173", "x", ""]);
        let wants = vec![Recover { volume: "a2".parse().unwrap(), disk: "ata-OLD".into() }];
        let hands = Fake { wants, ..Fake::new() };
        assert_eq!(Session::run(&mut person, &hands, &papers(), Some(lang)), Ended::Refused, "{}", person.saw);
        assert!(person.saw.contains("custodian disk erase") && hands.ordered.borrow().is_empty(), "{}", person.saw);
    }
}

#[test]
fn who_has_half_a_key_on_the_stick_is_told_what_it_is_and_what_to_do() {
    let (system, footage) = codes();
    for (lang, _) in LANGS {
        let mut person = Person::who_says(&["1", &system, &footage, "294173"]);
        let hands = Fake { refuses: Some(|| Refusal::ShortKey), ..Fake::new() };
        assert_eq!(Session::run(&mut person, &hands, &papers(), Some(lang)), Ended::Refused, "{}", person.saw);
        let (why, nothing) = (t(lang, "install.short_key", &[]), t(lang, "install.refused", &[]));
        assert!(
            why.contains("custodian.key") && person.saw.ends_with(&format!("{why}\n{nothing}\n")),
            "{}",
            person.saw
        );
    }
}
