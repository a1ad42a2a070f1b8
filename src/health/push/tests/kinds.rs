//! What each kind of service is sent, to the byte.

use super::{mock::*, *};

const OK: &str = "ok: 2 of 2 cameras recorded, 19 s missing in 24 h, 30.0 days kept, 2 of 2 volumes healthy";
const OK_QUERY: &str =
    "ok%3A+2+of+2+cameras+recorded%2C+19+s+missing+in+24+h%2C+30.0+days+kept%2C+2+of+2+volumes+healthy";
const WARN_QUERY: &str = "warn%3A+2+of+2+cameras+recorded%2C+19+s+missing+in+24+h%2C+30.0+days+kept%2C+2+of+2+volumes+healthy\
    %3B+warn+disk.hot+%281%29";
const FAIL_QUERY: &str = "fail%3A+0+of+2+cameras+recorded%2C+19+s+missing+in+24+h%2C+30.0+days+kept%2C+1+of+2+volumes+healthy\
    %3B+fail+footage.late+%282%29%3B+fail+gaps.many+%282%29%3B+fail+units.failed+%281%29%3B+warn+disk.hot+%281%29";
const LEDGER_QUERY: &str = "%3B+ledger+record+1234+AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8%3D+ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1\
    %2Bf4CBgoOEhYaHiImKi4yNjo%2BQkZKTlJWWl5iZmpucnZ6foKGio6Slpqc%3D";

fn agent() -> String {
    format!("accept: */*\r\nuser-agent: custodian/{}\r\n", env!("CARGO_PKG_VERSION"))
}

const TAKEN: Verdict = Verdict::Taken { witnessed: true };
const SEEN: Verdict = Verdict::Taken { witnessed: false };

/// What comes at the server when `pusher` tells a report of `level`, and what it makes of `answer`.
async fn told(mock: &Mock, pusher: &Pusher, level: Level, answer: &str) -> (String, Verdict) {
    tokio::join!(mock.answers(answer), pusher.tell(level))
}

#[tokio::test]
async fn uptime_kuma() {
    let mock = Mock::new().await;
    let host = mock.address();
    // As its page shows it.
    let pusher = pusher(PushKind::UptimeKuma, &format!("http://{host}/api/push/tokenTOKEN0?status=up&msg=OK&ping="));
    for (level, status, message) in
        [(Level::Ok, "up", OK_QUERY), (Level::Warn, "up", WARN_QUERY), (Level::Fail, "down", FAIL_QUERY)]
    {
        let (asked, verdict) = told(&mock, &pusher, level, &ok("{\"ok\":true}")).await;
        let expected = format!(
            "GET /api/push/tokenTOKEN0?status={status}&msg={message}{LEDGER_QUERY}&ping=12 HTTP/1.1\r\n{}host: {host}\r\n\r\n",
            agent()
        );
        assert_eq!((asked, verdict), (expected, TAKEN));
    }
}

#[tokio::test]
async fn healthchecks() {
    let mock = Mock::new().await;
    let host = mock.address();
    let pusher = pusher(PushKind::Healthchecks, &format!("http://{host}/ping/5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278/"));
    let ledger = format!("ledger record 1234 {ROOT} {SIGNATURE}\n");
    let warn = OK.replacen("ok", "warn", 1);
    let fail = OK.replacen("ok: 2", "fail: 0", 1).replace("2 of 2 vol", "1 of 2 vol");
    for (level, path, page) in [
        (Level::Ok, "", format!("{OK}\n{ledger}")),
        (Level::Warn, "", format!("{warn}\n{ledger}warn disk.hot (1)\n")),
        (
            Level::Fail,
            "/fail",
            format!(
                "{fail}\n{ledger}fail footage.late (2)\nfail gaps.many (2)\nfail units.failed (1)\nwarn disk.hot (1)\n"
            ),
        ),
    ] {
        let (asked, verdict) = told(&mock, &pusher, level, &ok("OK")).await;
        let expected = format!(
            "POST /ping/5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278{path} HTTP/1.1\r\ncontent-type: text/plain; charset=utf-8\r\n\
             {}host: {host}\r\ncontent-length: {}\r\n\r\n{page}",
            agent(),
            page.len()
        );
        assert_eq!((asked, verdict), (expected, TAKEN));
    }
}

#[tokio::test]
async fn healthchecks_by_name_keeps_its_own_query() {
    let mock = Mock::new().await;
    let pusher = pusher(PushKind::Healthchecks, &format!("http://{}/ping/key/attic?create=1", mock.address()));
    let (asked, verdict) = told(&mock, &pusher, Level::Fail, &status(201, "", "Created")).await;
    assert_eq!((asked.lines().next(), verdict), (Some("POST /ping/key/attic/fail?create=1 HTTP/1.1"), TAKEN));
}

/// What it does not keep is with nobody.
#[tokio::test]
async fn a_checkpoint_that_is_cut_off_has_no_witness() {
    let mock = Mock::new().await;
    let pusher = pusher(PushKind::Healthchecks, &format!("http://{}/ping/key/attic", mock.address()));
    let end = OK.len() + 1 + format!("ledger record 1234 {ROOT} {SIGNATURE}").len();
    for (limit, witnessed) in [(0, false), (end - 1, false), (end, true), (10_000, true)] {
        let answer = status(200, &format!("Ping-Body-Limit: {limit}\r\n"), "OK");
        assert_eq!(told(&mock, &pusher, Level::Ok, &answer).await.1, Verdict::Taken { witnessed }, "{limit}");
    }
}

#[tokio::test]
async fn gatus() {
    let mock = Mock::new().await;
    let host = mock.address();
    let path = "/api/v1/endpoints/core_attic/external";
    let pusher = pusher(PushKind::Gatus, &format!("http://{host}{path}?success=true&error=&duration="));
    for (level, query) in [
        (Level::Ok, "success=true&duration=12ms".to_owned()),
        (Level::Warn, "success=true&duration=12ms".to_owned()),
        (Level::Fail, format!("success=false&error={FAIL_QUERY}&duration=12ms")),
    ] {
        let (asked, verdict) = told(&mock, &pusher, level, &ok("")).await;
        let expected = format!(
            "POST {path}?{query} HTTP/1.1\r\nauthorization: Bearer t0ken\r\ncontent-length: 0\r\n{}host: {host}\r\n\r\n",
            agent()
        );
        assert_eq!((asked, verdict), (expected, SEEN));
    }
}

#[tokio::test]
async fn http() {
    let mock = Mock::new().await;
    let host = mock.address();
    let pusher = pusher(PushKind::Http, &format!("http://{host}/in?room=1"));
    let version = env!("CARGO_PKG_VERSION");
    for (level, up, recorded, healthy, troubles) in [
        ("ok", true, 2, 2, ""),
        ("warn", true, 2, 2, r#"{"level":"warn","probe":"disk","code":"hot","count":1}"#),
        (
            "fail",
            false,
            0,
            1,
            r#"{"level":"fail","probe":"footage","code":"late","count":2},{"level":"fail","probe":"gaps","code":"many","count":2},{"level":"fail","probe":"units","code":"failed","count":1},{"level":"warn","probe":"disk","code":"hot","count":1}"#,
        ),
    ] {
        let told_level = [Level::Ok, Level::Warn, Level::Fail].into_iter().find(|l| l.as_str() == level).unwrap();
        let (asked, verdict) = told(&mock, &pusher, told_level, &status(204, "", "")).await;
        let json = format!(
            r#"{{"format":1,"at":"2026-11-26T00:00:00Z","level":"{level}","up":{up},"looking":true,"version":"{version}","counts":{{"cameras_required":2,"cameras_recorded":{recorded},"gap_seconds_day":19.2,"kept_days_min":30.0,"volumes":2,"volumes_healthy":{healthy}}},"troubles":[{troubles}],"checkpoints":[{{"ledger":"record","entries":1234,"at":"2026-11-26T00:00:00Z","root":"{ROOT}","signature":"{SIGNATURE}"}}],"cost_ms":12}}"#
        );
        let expected = format!(
            "POST /in?room=1 HTTP/1.1\r\nauthorization: Bearer t0ken\r\ncontent-type: application/json\r\n\
             {}host: {host}\r\ncontent-length: {}\r\n\r\n{json}",
            agent(),
            json.len()
        );
        assert_eq!((asked, verdict), (expected, TAKEN));
    }
}

/// What was true once is no evidence.
#[tokio::test]
async fn a_hung_look_is_told_as_a_failure() {
    let mock = Mock::new().await;
    let pusher = pusher(PushKind::UptimeKuma, &format!("http://{}/api/push/t", mock.address()));
    let old = Instant::now() - Duration::from_secs(91);
    for (report, message) in [
        (
            Some(Arc::new(report(Level::Ok, &Names::ours()))),
            "health+does+not+look+any+more%2C+last+at+2026-11-26T00%3A00%3A00Z",
        ),
        (None, "health+has+not+looked+since+it+started"),
    ] {
        let (asked, (verdict, _)) = tokio::join!(mock.answers(ok("{\"ok\":true}")), pusher.once((report, old)));
        let line = format!("GET /api/push/t?status=down&msg=fail%3A+{message}&ping=0 HTTP/1.1");
        assert_eq!((asked.lines().next().unwrap(), verdict), (&*line, SEEN));
    }
}

#[test]
fn what_is_no_such_address_is_refused_without_showing_it() {
    let uuid = "https://hc.example/5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278";
    for (kind, url, token, expected) in [
        (PushKind::Http, "hidden", None, "none: expected http://"),
        (PushKind::Http, "ftp://hidden/x", None, "none: expected http://"),
        (PushKind::UptimeKuma, "https://k.example/hidden", None, "none of uptime-kuma: expected …/api/push/TOKEN"),
        (PushKind::UptimeKuma, "https://k.example/api/push/", None, "none of uptime-kuma"),
        (PushKind::Healthchecks, "https://hc.example/", None, "none of healthchecks"),
        (PushKind::Healthchecks, &format!("{uuid}/fail"), None, "without /fail"),
        (PushKind::Healthchecks, &format!("{uuid}/0/"), None, "without /fail"),
        (PushKind::Gatus, "https://g.example/api/v1/endpoints/a_hidden", Some("t"), "none of gatus"),
        (PushKind::Gatus, "https://g.example/api/v1/endpoints/a_b/external", None, "gatus wants a token"),
        (PushKind::Gatus, "https://g.example/api/v1/endpoints/a_b/external", Some("hid\nden"), "no token has"),
        (PushKind::Http, "https://me:hidden@h.example/", Some("t"), "only one of them"),
    ] {
        let e = pusher_with(kind, url, token, &health()).unwrap_err();
        let text = format!("{} {e:?}", crate::types::story(&e));
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains("hid") && !text.contains("5bf66975"), "{text}");
    }
    assert!(pusher_with(PushKind::Healthchecks, uuid, None, &health()).is_ok());
}

/// SHA-256 of the address, by sha256sum.
#[test]
fn only_host_and_fingerprint_are_shown() {
    let pusher = pusher(PushKind::UptimeKuma, "https://kuma.example:3001/api/push/sesame");
    assert_eq!(format!("{pusher:?}"), "Pusher(uptime-kuma kuma.example (6286edd3))");
    assert_eq!(pusher.shown(), "uptime-kuma kuma.example (6286edd3)");
}
