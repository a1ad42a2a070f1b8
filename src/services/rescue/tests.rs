use std::{
    cell::{Cell, RefCell},
    io::{self, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    time::Duration,
};

use super::*;
use crate::{
    apply::{Meta, Watch},
    lang,
    sys::{FakeClock, FakeCommands, Output},
    types::{Lang, WallNs},
};

/// A machine that notes what it is told.
#[derive(Default)]
struct Fake {
    done: RefCell<Vec<String>>,
    open: Cell<bool>,
    asked_for: Cell<bool>,
}

const KEY: &str = "cbdefghi-jklnrtuv-cbdefghi-jklnrtuv-cbdefghi-jklnrtuv-cbdefghi-jklnrtuv";
const OTHER: &str = "vbdefghi-jklnrtuv-cbdefghi-jklnrtuv-cbdefghi-jklnrtuv-cbdefghi-jklnrtuv";

fn page() -> Page {
    Page {
        program: "0.1.0".into(),
        system: Some("0.2.0".into()),
        on_probation: true,
        asked_for: false,
        open: false,
        failed: vec!["var.mount".into()],
        disks: vec!["sda: WDC WD120, 12 TB".into()],
    }
}

impl Fake {
    fn note(&self, what: impl Into<String>) {
        self.done.borrow_mut().push(what.into());
    }
}

fn listed(number: u64, current: bool) -> Listed {
    let watch = Watch { recording: [].into(), changed: [].into() };
    let meta = Meta { number, by: "lan".into(), ..meta(watch) };
    Listed { meta, current, confirmed: current, on_trial: false }
}

fn meta(watch: Watch) -> Meta {
    let text = serde_json::json!({
        "format": 1, "number": 1, "at": 0, "by": "lan", "word": null, "version": "0", "from": null, "repeats": null,
        "trial": null, "watch": { "recording": [], "changed": [] },
    });
    Meta { watch, ..serde_json::from_value(text).unwrap() }
}

impl Hands for Fake {
    fn page(&self) -> Page {
        Page { open: self.open.get(), asked_for: self.asked_for.get(), ..page() }
    }
    fn troubles(&self) -> Vec<Trouble> {
        vec![Trouble { unit: "var.mount".into(), lines: vec!["mount: \u{1b}[2Jwrong fs type".into()] }]
    }
    fn is_open(&self) -> bool {
        self.open.get()
    }
    fn open(&self, typed: &str) -> anyhow::Result<()> {
        anyhow::ensure!(typed.parse::<RecoveryKey>()? == KEY.parse()?, "the recovery key does not fit");
        self.open.set(true);
        self.note("open");
        Ok(())
    }
    fn generations(&self) -> anyhow::Result<Vec<Listed>> {
        Ok(vec![listed(3, false), listed(4, true)])
    }
    fn go_back(&self, number: u64, word: &Word) -> anyhow::Result<()> {
        self.note(format!("back {number} {} {}", word.by, word.reason));
        Ok(())
    }
    fn sheet(&self) -> anyhow::Result<resetting::Sheet> {
        let token = Token::of("reset-config", &4);
        Ok(resetting::Sheet { generation: Some(4), moves: vec!["confirmed".into()], token })
    }
    fn reset(&self, token: &Token, word: &Word) -> anyhow::Result<PathBuf> {
        assert_eq!(*token, self.sheet()?.token);
        self.note(format!("reset {} {}", word.by, word.reason));
        Ok("/var/lib/custodian/set-aside/x".into())
    }
    fn start_other(&self) -> anyhow::Result<Version> {
        self.note("other");
        Ok("0.1.0".parse()?)
    }
    fn diagnosis(&self, _: &Path) -> anyhow::Result<()> {
        Ok(())
    }
    fn to_stick(&self) -> anyhow::Result<String> {
        anyhow::bail!("no stick is there")
    }
    fn restart(&self) -> anyhow::Result<()> {
        self.note("restart");
        Ok(())
    }
    fn power_off(&self) -> anyhow::Result<()> {
        self.note("off");
        Ok(())
    }
}

/// Somebody who has made up their mind what to type. A line `…` is five minutes in which nobody types.
struct Typed<'a> {
    input: &'a [u8],
    output: String,
    clock: FakeClock,
    hidden: Vec<String>,
}

impl Talk for Typed<'_> {
    fn write(&mut self, text: &str) -> io::Result<()> {
        self.output.push_str(text);
        Ok(())
    }
    fn line(&mut self, hidden: bool) -> io::Result<Option<String>> {
        let mut line = talk::line_of(&mut self.input)?;
        while line.as_deref() == Some("…") {
            self.clock.advance(Duration::from_mins(5));
            line = talk::line_of(&mut self.input)?;
        }
        self.hidden.extend(line.clone().filter(|_| hidden));
        Ok(line)
    }
}

/// What was shown, and what was typed without being shown.
fn typed(hands: &Fake, typed: &[u8], lang: Lang) -> (String, Vec<String>) {
    let clock = FakeClock::at(WallNs(0));
    let mut talk = Typed { input: typed, output: String::new(), clock: clock.clone(), hidden: Vec::new() };
    run(hands, &mut talk, &clock, lang).unwrap();
    (talk.output, talk.hidden)
}

fn talk(hands: &Fake, text: &str, lang: Lang) -> String {
    typed(hands, text.as_bytes(), lang).0
}

#[test]
fn what_changes_the_configuration_wants_the_recovery_key_even_where_the_state_is_open() {
    let token = Token::of("reset-config", &4);
    let typed = format!("3\n3\nlan\nwhy\n4\n{token}\nlan\nwhy\n");
    for open in [false, true] {
        let hands = Fake::default();
        hands.open.set(open);
        talk(&hands, &typed, Lang::En);
        assert_eq!(*hands.done.borrow(), Vec::<String>::new());
        talk(&hands, &format!("2\n{OTHER}\n{typed}"), Lang::En);
        talk(&hands, &format!("2\nnonsense\n{typed}"), Lang::En);
        assert_eq!(*hands.done.borrow(), Vec::<String>::new(), "another machine's key");
        talk(&hands, &format!("2\n{KEY}\n3\n3\nlan\nwhy\n4\n{token}\nlan\nwhy\n7\n"), Lang::En);
        assert_eq!(*hands.done.borrow(), ["open", "back 3 lan why", "reset lan why", "restart"]);
    }
}

#[test]
fn what_was_not_typed_as_it_must_be_is_not_done() {
    let hands = Fake::default();
    let (token, wrong) = (hands.sheet().unwrap().token, Token::of("reset-config", &5));
    talk(&hands, &format!("2\n{KEY}\n3\n7\n3\n3\n\n\n4\n{wrong}\n4\nyes\n4\n{token}\nlan\n\n"), Lang::En);
    assert_eq!(*hands.done.borrow(), ["open"]);
    // The end of the line, anywhere, is the end.
    for cut in ["2\n", "2\nx", "3", "4\n"] {
        talk(&hands, cut, Lang::En);
    }
    assert_eq!(*hands.done.borrow(), ["open"]);
}

#[test]
fn the_key_is_not_shown_and_whoever_had_it_is_forgotten() {
    let hands = Fake::default();
    let (_, hidden) = typed(&hands, format!("2\n{KEY}\n3\n3\nlan\nwhy\n").as_bytes(), Lang::En);
    assert_eq!((hidden, hands.done.take()), (vec![KEY.to_owned()], vec!["open".into(), "back 3 lan why".into()]));
    let token = Token::of("reset-config", &4);
    for typed in [
        format!("2\n{KEY}\n…\n3\n3\nlan\nwhy\n4\n{token}\nlan\nwhy\n"),
        // A question that was left standing.
        format!("2\n{KEY}\n3\n3\nlan\n…\nwhy\n"),
        format!("2\n{KEY}\n4\n{token}\n…\nlan\nwhy\n"),
    ] {
        talk(&hands, &typed, Lang::En);
        assert_eq!(hands.done.take(), ["open"], "{typed}");
    }
    talk(&hands, &format!("2\n{KEY}\n…\n2\n{KEY}\n3\n3\nlan\nwhy\n"), Lang::En);
    assert_eq!(hands.done.take(), ["open", "open", "back 3 lan why"]);
}

#[test]
fn what_is_no_text_ends_nothing() {
    let hands = Fake::default();
    let said = typed(&hands, b"\xff\xfe\n2\n\xc3\n8\n", Lang::En).0;
    assert_eq!(hands.done.take(), ["off"]);
    assert!(said.contains(lang::raw(Lang::En, "rescue.not_understood").unwrap()), "{said}");
}

#[test]
fn everybody_may_look_and_restart_and_nothing_moves_the_cursor() {
    let hands = Fake::default();
    let said = talk(&hands, "1\n5\n6\nx\n8\n", Lang::En);
    assert_eq!(*hands.done.borrow(), ["other", "off"]);
    assert!(
        said.contains("var.mount") && said.contains("wrong fs type") && said.contains("no stick is there"),
        "{said}"
    );
    assert!(!said.contains('\u{1b}') && said.contains("0.2.0") && said.contains("WDC WD120"), "{said}");
}

#[test]
fn where_nobody_asked_for_rescue_mode_the_screen_says_that_it_is_read_there_only() {
    let hands = Fake::default();
    let only = lang::raw(Lang::En, "rescue.here_only").unwrap();
    assert!(talk(&hands, "", Lang::En).contains(only));
    hands.asked_for.set(true);
    assert!(!talk(&hands, "", Lang::En).contains(only));
}

#[test]
fn it_speaks_three_languages() {
    let hands = Fake::default();
    let token = hands.sheet().unwrap().token;
    let all = format!("1\n2\nx\n2\n{KEY}\n3\n3\nlan\nwhy\n4\n{token}\nlan\nwhy\n5\n6\n77\n3\nx\n7\n");
    for lang in Lang::ALL {
        let said = talk(&hands, &all, lang);
        assert!(!said.contains("rescue.") && !said.contains('{'), "{lang}: {said}");
        assert!(said.contains(lang::raw(lang, "rescue.menu_restart").unwrap()));
    }
    // Whoever has asked for this mode is not thrown out of it.
    for asked_for in [false, true] {
        hands.asked_for.set(asked_for);
        for lang in Lang::ALL {
            let said = talk(&hands, "1\n", lang);
            for (key, shown) in [("rescue.on_probation", !asked_for), ("rescue.on_probation_asked_for", asked_for)] {
                assert_eq!(said.contains(lang::raw(lang, key).unwrap()), shown, "{lang} {key}: {said}");
            }
        }
    }
    let said = talk(&hands, "9\n9\n9\n", Lang::En);
    for lang in Lang::ALL {
        assert!(said.contains(lang::raw(lang, "rescue.menu_off").unwrap()), "{lang}");
    }
}

/// What is on a stick is looked at in the cage only, where there is a bus and where there is none.
#[test]
fn a_stick_is_written_to_in_the_cage() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("diagnose.txt");
    fs::write(&file, "all of it").unwrap();
    let stick = r#"{"blockdevices":[{"name":"/dev/sdb","tran":"usb","label":null,"partlabel":null,"fstype":null,"children":[
        {"name":"/dev/sdb1","tran":null,"label":"CUSTODIAN","partlabel":null,"fstype":"vfat"}]}]}"#;
    let put = |has_bus: bool, complaint: &str, code| {
        let complaint = complaint.to_owned();
        let commands = FakeCommands::new(move |program, args: &[&str]| match program {
            // It does not run in rescue mode.
            "usbguard" => Err(io::ErrorKind::NotFound.into()),
            "lsblk" => Ok(Output { code: Some(0), stdout: stick.into(), ..Output::default() }),
            "udevadm" => Ok(Output { code: Some(0), ..Output::default() }),
            "systemd-run" => {
                let mut stderr = complaint.clone();
                for cage in [
                    "--property=DynamicUser=yes",
                    "--property=PrivateNetwork=yes",
                    "--property=DevicePolicy=closed",
                    "--property=DeviceAllow=/dev/sdb1 rw",
                    "--setenv=MTOOLS_SKIP_CHECK=1",
                ] {
                    assert!(args.contains(&cage), "{cage}: {args:?}");
                }
                assert!(args.ends_with(&["--", "mcopy", "-o", "-i", "/dev/sdb1", "-", "::diagnose.txt"]), "{args:?}");
                for asks_the_bus in ["--wait", "--pipe"] {
                    assert_eq!(args.contains(&asks_the_bus), has_bus, "{args:?}");
                }
                if !has_bus {
                    assert!(args.contains(&"--property=DefaultDependencies=no"), "{args:?}");
                    let of = |start: &str| args.iter().find_map(|a| a.strip_prefix(start)).unwrap();
                    assert_eq!(fs::read(of("--property=StandardInput=file:")).unwrap(), b"all of it");
                    fs::write(of("--property=StandardError=truncate:"), &complaint).unwrap();
                    stderr = "Job failed.".to_owned();
                }
                Ok(Output { code: Some(code), stdout: Vec::new(), stderr })
            }
            other => panic!("{other}"),
        });
        super::put(&commands, &|_| (), has_bus, "diagnose.txt", &file)
    };
    for has_bus in [true, false] {
        assert_eq!(put(has_bus, "", 0), Ok(()));
        // That a stick is full is no failure to mtools.
        for code in [0, 1] {
            assert_eq!(put(has_bus, "Disk full", code), Err(StickError::Written("Disk full".into())), "{has_bus}");
        }
    }
}

fn ask(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn the_page_can_be_read_and_nothing_else_can_be_done() {
    let port = serve(Box::new(page), 0).unwrap();
    let said = ask(port, "GET /");
    assert!(said.starts_with("HTTP/1.1 200") && said.contains("system: 0.2.0") && said.contains("var.mount"), "{said}");
    assert!(ask(port, "POST /").starts_with("HTTP/1.1 405"));
    for path in ["GET /x", "GET /../etc/passwd", "GET /v1/status"] {
        assert!(ask(port, path).starts_with("HTTP/1.1 404"), "{path}");
    }
    let empty = Page::default().text();
    assert!(empty.contains("system: –") && empty.contains("disks:\n  –"), "{empty}");
}
