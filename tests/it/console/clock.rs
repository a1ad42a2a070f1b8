//! The page on the clock. Neither the clock nor a service of this machine is touched: timedatectl and systemctl are played.

use std::fs;

use custodian::{
    sys::{Clock as _, RealClock},
    types::{Lang, WallNs},
};

use super::{Machine, PIN};

#[test]
fn the_clock_is_set_with_the_pin_and_not_beside_a_time_server() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let zone = jiff::tz::TimeZone::get("Asia/Ho_Chi_Minh").unwrap();
    let written = |t: WallNs| t.timestamp().to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
    for lang in Lang::ALL {
        let machine = Machine::new();
        fs::write(machine.at("serves"), "").unwrap();
        fs::write(machine.at("synchronised"), "no\n").unwrap();
        let mut person = machine.console(lang);
        person.sees(&person.t("key_t"));
        person.sees("first");
        person.types("t");
        let page = person.sees(&person.first_words("clock_unanswered"));
        assert!(
            page.contains("Asia/Ho_Chi_Minh") && page.contains(&person.first_words("clock_servers_none")),
            "{page}"
        );
        let set_it = format!("s {}", person.t("clock_set"));
        assert!(page.contains(&set_it), "{page}");
        // Nobody answers for the recorder, so the word may be needed.
        assert!(
            page.contains(&person.first_words("clock_not_known")) && page.contains(&person.t("clock_right")),
            "{page}"
        );

        // What is no time is asked for again.
        person.types("s");
        person.sees("> _");
        for bad in ["tomorrow", "2026-02-30 12:00", "0026-11-22 15:30"] {
            person.types(&format!("{bad}\r"));
            person.sees(&person.first_words("clock_bad"));
        }
        // A small step wants the PIN alone.
        person.types(&format!("{}\r", written(RealClock.wall())));
        person.sees(&person.t("pin_title"));
        person.types("\x1b");
        person.sees(&person.t("key_a"));

        // A large one is asked about first.
        let wanted = RealClock.wall().offset(2 * 3600 * 1_000_000_000);
        person.types("t");
        person.sees(&person.first_words("clock_unanswered"));
        person.types("s");
        person.sees("> _");
        person.types(&format!("{}\r", written(wanted)));
        let page = person.sees(&person.first_words("clock_far"));
        assert!(page.contains("2:00:00") || page.contains("1:59:5"), "{page}");
        person.types("s");
        person.sees(&person.t("pin_title"));
        person.types("294174\r");
        person.sees(&person.t("factor_wrong_now"));
        assert_eq!(machine.log("clock.log"), "", "nothing before the PIN");
        person.types(&format!("{PIN}\r"));
        person.sees(&person.first_words("clock_set_done"));
        let log = machine.log("clock.log");
        let lines: Vec<&str> = log.lines().collect();
        let [stop, set, start] = lines[..] else { panic!("{log}") };
        assert_eq!((stop, start), ("stop chronyd.service", "start chronyd.service"));
        let set: f64 = set.strip_prefix("set-time @").unwrap().parse().unwrap();
        let late = set - (wanted.0 / 1_000_000_000) as f64;
        assert!((0.0..120.0).contains(&late), "the time that went by since is added: {late}");

        // The word is asked for at once, without the PIN again, and goes to the recorder: there is none.
        person.types("c");
        person.sees(&person.first_words("clock_by"));
        person.types("\r \rHoa\r");
        person.sees(&person.first_words("clock_reason"));
        person.types("my phone\r");
        let page = person.sees(&person.first_words("clock_right_failed"));
        assert!(page.contains("no recorder answers"), "{page}");
        person.types("\x1b");
        person.sees(&person.t("key_a"));

        // Where a server's word keeps it, it cannot be set.
        fs::write(machine.at("synchronised"), "yes\n").unwrap();
        person.types("t");
        let page = person.sees(&person.first_words("clock_steps_kept"));
        assert!(page.contains(&person.first_words("clock_kept")) && !page.contains(&set_it), "{page}");
        person.types("s\x1b");
        person.sees(&person.t("key_a"));
        assert_eq!(machine.log("clock.log"), log);
    }
}
