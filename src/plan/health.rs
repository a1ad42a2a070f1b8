//! Which changes of `[health]` want leadership's word.

use std::time::Duration;

use crate::site::Health;

/// Whether others are told or may ask, or something that is wrong would be said later than until now. A threshold that is reached later
/// hides a fault as well as an alarm that is gone.
pub(super) fn is_guarded(was: &Health, is: &Health) -> bool {
    let ways = |h: &Health| {
        (h.push.clone(), h.alarms.clone(), h.pull.clone(), h.vendor.clone(), h.proxy.clone(), h.ca.clone())
    };
    ways(was) != ways(is) || says_later(was, is)
}

fn says_later(was: &Health, is: &Health) -> bool {
    let number = |n: u32| Duration::from_secs(n.into());
    // The more it takes, the later it is said.
    let patience = |h: &Health| {
        let (w, f) = (&h.warn, &h.fail);
        [
            h.every,
            w.newest,
            w.gaps,
            number(w.disk_temperature),
            number(w.temperature),
            w.clock,
            w.camera_clock,
            w.backup,
            w.verification,
            w.witness,
            w.latency,
            number(w.system_disk),
            number(w.memory),
            number(w.load),
            f.newest,
            f.gaps,
            number(f.disk_temperature),
            f.clock,
            f.backup,
            number(f.system_disk),
        ]
    };
    let ahead = |h: &Health| [h.warn.forecast, h.warn.certificate, h.fail.forecast, h.fail.certificate];
    patience(was).iter().zip(patience(is)).any(|(was, is)| is > *was)
        || ahead(was).iter().zip(ahead(is)).any(|(was, is)| is < *was)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: &str = "[site]\nname = \"S\"\ntimezone = \"UTC\"\n[recorder.r]\nvolume = [{ name = \"v\", path = \"/v\" }]\n\
                        [area.x]\nname = \"X\"\nkind = \"public\"\n[camera.c]\nname = \"C\"\narea = \"x\"\nmain = \"rtsp://h/1\"\n";
    /// As they are by default, and stronger.
    const WARN: [(&str, &str, &str); 15] = [
        ("newest", "\"30 s\"", "\"20 s\""),
        ("gaps", "\"10 min\"", "\"5 min\""),
        ("forecast", "\"7 d\"", "\"9 d\""),
        ("disk_temperature", "55", "50"),
        ("temperature", "85", "80"),
        ("clock", "\"2 s\"", "\"1 s\""),
        ("camera_clock", "\"60 s\"", "\"30 s\""),
        ("certificate", "\"21 d\"", "\"30 d\""),
        ("backup", "\"2 d\"", "\"1 d\""),
        ("verification", "\"40 d\"", "\"20 d\""),
        ("witness", "\"7 d\"", "\"3 d\""),
        ("latency", "\"2 s\"", "\"1 s\""),
        ("system_disk", "85", "80"),
        ("memory", "90", "80"),
        ("load", "200", "100"),
    ];
    const FAIL: [(&str, &str, &str); 8] = [
        ("newest", "\"2 min\"", "\"1 min\""),
        ("gaps", "\"60 min\"", "\"30 min\""),
        ("forecast", "\"1 d\"", "\"2 d\""),
        ("disk_temperature", "65", "60"),
        ("clock", "\"60 s\"", "\"10 s\""),
        ("certificate", "\"2 d\"", "\"3 d\""),
        ("backup", "\"7 d\"", "\"4 d\""),
        ("system_disk", "95", "90"),
    ];

    fn health(text: &str) -> Health {
        crate::site::parse(&format!("{SITE}{text}"), "site.toml").unwrap_or_else(|e| panic!("{e}")).health().clone()
    }

    #[test]
    fn a_threshold_that_is_reached_later_is_guarded_and_one_that_is_reached_sooner_is_not() {
        let warn = WARN.map(|k| ("warn", k));
        for (table, (key, weak, strong)) in warn.into_iter().chain(FAIL.map(|k| ("fail", k))) {
            let with = |value: &str| health(&format!("[health.{table}]\n{key} = {value}\n"));
            let (weak, strong) = (with(weak), with(strong));
            assert_ne!(weak, strong, "{table}.{key}");
            assert!(is_guarded(&strong, &weak), "{table}.{key}");
            assert!(!is_guarded(&weak, &strong), "{table}.{key}");
        }
        let (often, seldom) = (health("[health]\ninterval = \"10 s\"\n"), health("[health]\ninterval = \"60 s\"\n"));
        assert!(is_guarded(&often, &seldom) && !is_guarded(&seldom, &often));
        // One that is better does not make up for one that is worse.
        let mixed = health("[health.warn]\nnewest = \"20 s\"\nclock = \"5 s\"\n");
        assert!(is_guarded(&health(""), &mixed));
    }

    #[test]
    fn ways_out_are_guarded_in_both_directions() {
        let none = health("");
        let ca = rcgen::generate_simple_self_signed(["school".to_owned()]).unwrap().cert.pem();
        let ca = format!("[health]\nca = \"\"\"\n{ca}\"\"\"\n");
        for text in [
            "[health.push]\nkind = \"http\"\nurl_secret = \"u\"\n",
            "[health.alarm]\nkind = \"webhook\"\nurl_secret = \"u\"\n",
            "[health.pull]\nlisten = \"10.1.2.3:9464\"\ntoken_secret = \"t\"\n",
            "[health.vendor]\nlisten = \"10.1.2.3:9464\"\ntoken_secret = \"t\"\n",
            "[health]\nproxy = \"http://10.1.1.1:3128\"\n",
            &ca,
        ] {
            let some = health(text);
            assert!(is_guarded(&none, &some) && is_guarded(&some, &none), "{text}");
        }
        let named = health("[health.push]\nkind = \"http\"\nurl_secret = \"u\"\nnames = true\n");
        assert!(is_guarded(&health("[health.push]\nkind = \"http\"\nurl_secret = \"u\"\n"), &named), "names go out");
        assert!(!is_guarded(&named, &named.clone()));
    }
}
