//! The server is aiosmtpd; what it took is read by Python's own parser of mail.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
};

use serde_json::{Value as Json, json};
use tokio::net::TcpSocket;

use super::{super::super::push::tests::mock::Authority, *};

struct Server {
    child: Child,
    port: u64,
    lines: BufReader<ChildStdout>,
}

impl Server {
    fn start(told: &Json) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/smtp_server.py");
        let mut command = Command::new("/usr/bin/python3");
        command.arg(script).arg(told.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut server = Self { child, port: 0, lines };
        server.port = server.next()["port"].as_u64().expect("python3-aiosmtpd is installed");
        server
    }

    /// What it tells next.
    fn next(&mut self) -> Json {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_default()
    }

    /// All that it has taken besides; it ends.
    fn rest(mut self) -> Vec<Json> {
        drop(self.child.stdin.take());
        (&mut self.lines).lines().map(|l| serde_json::from_str(&l.unwrap()).unwrap()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().ok();
    }
}

fn header<'a>(mail: &'a Json, name: &str) -> Option<&'a str> {
    let all = mail["headers"].as_array().unwrap().iter();
    all.filter(|h| h[0].as_str().unwrap().eq_ignore_ascii_case(name)).map(|h| h[1].as_str().unwrap()).next()
}

/// A receiver by mail at that port.
fn office(port: u64, more: &str, ca: Option<&str>) -> Office {
    let alarm = format!(
        "[[health.alarm]]\nkind = \"email\"\nto = [\"office@school.test\", \"head@school.test\"]\n\
         from = \"recorder@school.test\"\nserver = \"127.0.0.1:{port}\"\n{more}\n"
    );
    Office::new(&alarm, "mail = \"pässwörd\"", ca)
}

const PLAIN: &str = "security = \"none\"\nlanguage = \"en\"";

use Level::{Fail, Ok as Fine, Warn};

/// Certificate and key in files, and the authority.
struct Papers {
    _dir: tempfile::TempDir,
    cert: String,
    key: String,
    authority: Authority,
}

fn papers() -> Papers {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let (cert, key) = authority.pem("127.0.0.1");
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (cert, key) = (file("cert.pem", &cert), file("key.pem", &key));
    Papers { _dir: dir, cert, key, authority }
}

#[tokio::test]
async fn python_reads_what_was_meant_over_starttls_with_a_password() {
    let papers = papers();
    let told = json!({
        "security": "starttls", "cert": papers.cert, "key": papers.key, "user": "rec", "password": "pässwörd",
    });
    let mut server = Server::start(&told);
    let login = "security = \"starttls\"\nlanguage = \"vi\"\nusername = \"rec\"\npassword_secret = \"mail\"";
    let mut office = office(server.port, login, Some(&papers.authority.pem));
    office.look(&[(1, Fine, Fail)]);
    assert_eq!(office.once(0).await, Tried::Told);
    let mail = server.next();
    assert_eq!((mail["tls"].as_bool(), mail["user"].as_str()), (Some(true), Some("rec")));
    assert_eq!(mail["from"], "recorder@school.test");
    assert_eq!(mail["to"], json!(["head@school.test", "office@school.test"]));
    assert_eq!((&mail["type"], &mail["charset"], &mail["parts"]), (&json!("text/plain"), &json!("utf-8"), &json!(1)));
    assert_eq!(mail["defects"], json!([]));
    assert!(mail["longest"].as_u64() < Some(999), "RFC 5322, 2.1.1");
    let subject = header(&mail, "subject").unwrap();
    assert!(subject.starts_with("rec1, sự cố: Cổng chính 1 không được ghi"), "{subject}");
    assert_eq!(header(&mail, "from"), Some("recorder@school.test"));
    assert_eq!(header(&mail, "to"), Some("head@school.test, office@school.test"));
    assert_eq!(header(&mail, "auto-submitted"), Some("auto-generated"));
    // The date is that of the look's making into a mail, in any zone.
    assert_eq!(header(&mail, "date"), Some("Sun, 22 Nov 2026 08:01:00 +0000"));
    let number = header(&mail, "message-id").unwrap().to_owned();
    assert!(number.starts_with('<') && number.ends_with("@school.test>"), "{number}");
    assert_eq!((header(&mail, "in-reply-to"), header(&mail, "references")), (None, None));
    let body = mail["body"].as_str().unwrap();
    assert!(body.contains("Máy ghi hình rec1, 2026-11-22 15:01:00 (Asia/Ho_Chi_Minh)"), "{body}");
    assert!(body.contains("[sự cố] Cổng chính 1 không được ghi") && body.contains("Cần làm: "), "{body}");
    // Its end answers to it, though another process tells it.
    office.restart();
    office.look(&[(1, Fail, Fine)]);
    assert_eq!(office.once(0).await, Tried::Told);
    let end = server.next();
    assert_ne!(header(&end, "message-id"), Some(&*number));
    assert_eq!((header(&end, "in-reply-to"), header(&end, "references")), (Some(&*number), Some(&*number)));
    assert!(header(&end, "subject").unwrap().starts_with("rec1, đã hết: "), "{end}");
    assert!(end["body"].as_str().unwrap().contains("Từ 2026-11-22 15:01:00 đến 2026-11-22 15:02:00."), "{end}");
    assert_eq!(office.once(0).await, Tried::Idle);
    let state = office.state("alarm-1-email");
    assert_eq!((state.taken, state.failing_since, state.problem), (Some(office.clock.wall()), None, None));
}

#[tokio::test]
async fn encrypted_from_the_beginning_in_chinese_and_without_names() {
    let papers = papers();
    let mut server = Server::start(&json!({ "security": "tls", "cert": papers.cert, "key": papers.key }));
    let how = "security = \"tls\"\nlanguage = \"zh\"\nnames = false";
    let office = office(server.port, how, Some(&papers.authority.pem));
    office.look(&[(7, Fine, Warn), (8, Fine, Fail)]);
    assert_eq!(office.once(0).await, Tried::Told);
    let mail = server.next();
    assert!(header(&mail, "subject").unwrap().starts_with("rec1，故障：新增 2，变化 0，结束 0"), "{mail}");
    assert!(mail["body"].as_str().unwrap().contains("摄像机 7"), "{mail}");
    assert!(!mail.to_string().contains("Cổng"), "{mail}");
    let outbox = office.files.read(Path::new("/health/alarms.json")).unwrap().unwrap();
    assert!(!String::from_utf8(outbox).unwrap().contains("gate-7"), "nobody may be told names: none are kept");
}

#[tokio::test]
async fn nothing_is_said_to_a_server_that_is_not_to_be_trusted() {
    let (papers, stranger) = (papers(), Authority::new());
    for (security, ca) in [("tls", Some(&*stranger.pem)), ("starttls", Some(&*stranger.pem)), ("tls", None)] {
        let told = json!({ "security": security, "cert": papers.cert, "key": papers.key });
        let server = Server::start(&told);
        let office = office(server.port, &format!("security = \"{security}\""), ca);
        office.look(&[(1, Fine, Fail)]);
        let Tried::Failed(failure) = office.once(0).await else { panic!("{security}") };
        assert_eq!((&*failure.problem, failure.misconfigured), ("certificate", true), "{security}");
        assert!(office.state("alarm-1-email").misconfigured);
        assert_eq!(server.rest(), Vec::<Json>::new());
    }
}

#[tokio::test]
async fn a_server_that_does_not_encrypt_hears_no_password() {
    let server = Server::start(&json!({}));
    let login = "security = \"starttls\"\nusername = \"rec\"\npassword_secret = \"mail\"";
    let office = office(server.port, login, None);
    office.look(&[(1, Fine, Fail)]);
    let Tried::Failed(failure) = office.once(0).await else { panic!() };
    assert_eq!((&*failure.problem, failure.misconfigured), ("STARTTLS is not supported on this server", true));
    assert_eq!(server.rest(), Vec::<Json>::new());
}

#[tokio::test]
async fn a_password_that_is_refused_is_ours_to_put_right() {
    let papers = papers();
    let told = json!({
        "security": "starttls", "cert": papers.cert, "key": papers.key, "user": "rec", "password": "another",
    });
    let server = Server::start(&told);
    let login = "security = \"starttls\"\nusername = \"rec\"\npassword_secret = \"mail\"";
    let office = office(server.port, login, Some(&papers.authority.pem));
    office.look(&[(1, Fine, Fail)]);
    let Tried::Failed(failure) = office.once(0).await else { panic!() };
    assert_eq!((&*failure.problem, failure.misconfigured), ("SMTP 535", true));
    assert_eq!(server.rest(), Vec::<Json>::new());
}

#[tokio::test]
async fn what_began_and_ended_while_the_server_was_away_is_one_mail() {
    // Does not listen, and keeps the port from everybody who does not ask for it by its number.
    let away = TcpSocket::new_v4().unwrap();
    away.set_reuseaddr(true).unwrap();
    away.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = away.local_addr().unwrap().port();
    let office = office(port.into(), PLAIN, None);
    office.look(&[(1, Fine, Fail), (2, Fine, Fail)]);
    let Tried::Failed(failure) = office.once(0).await else { panic!() };
    assert_eq!((&*failure.problem, failure.misconfigured, failure.untouched), ("no connection", false, true));
    let state = office.state("alarm-1-email");
    assert_eq!((state.taken, state.failing_since), (None, Some(office.clock.wall())));
    office.look(&[(1, Fail, Fine)]);
    let mut server = Server::start(&json!({ "port": port }));
    assert_eq!(office.once(0).await, Tried::Told);
    let mail = server.next();
    let body = mail["body"].as_str().unwrap();
    assert_eq!(header(&mail, "subject"), Some("rec1, failure: 1 new, 0 changed, 1 over"));
    assert!(body.contains("From 2026-11-22 15:01:00 to 2026-11-22 15:02:00."), "{body}");
    assert!(body.contains("That it began could not be told"), "{body}");
    assert_eq!(office.once(0).await, Tried::Idle);
    assert_eq!(server.rest(), Vec::<Json>::new());
    assert_eq!(office.state("alarm-1-email").failing_since, None);
}

#[tokio::test]
async fn an_address_that_is_taken_later_gets_it_later_and_the_other_one_not_again() {
    let mut server = Server::start(&json!({ "refuse": { "office@school.test": [451, 0] } }));
    let mut office = office(server.port, PLAIN, None);
    office.look(&[(1, Fine, Fail)]);
    let Tried::Failed(failure) = office.once(0).await else { panic!() };
    assert_eq!((&*failure.problem, failure.misconfigured), ("SMTP 451 for address 2", false));
    let first = server.next();
    assert_eq!(first["to"], json!(["head@school.test"]));
    office.restart();
    // It is over meanwhile; who has not heard that it began hears it first.
    office.look(&[(1, Fail, Fine)]);
    assert_eq!(office.once(0).await, Tried::Told);
    let second = server.next();
    assert_eq!(second["to"], json!(["office@school.test"]));
    assert_eq!((&second["headers"], &second["body"]), (&first["headers"], &first["body"]));
    assert_eq!(office.once(0).await, Tried::Told);
    let end = server.next();
    assert_eq!(end["to"], json!(["head@school.test", "office@school.test"]));
    assert_eq!(header(&end, "in-reply-to"), header(&first, "message-id"));
}

#[tokio::test]
async fn an_address_that_is_refused_for_good_takes_nothing_from_the_others() {
    let mut server = Server::start(&json!({ "refuse": { "office@school.test": [550] } }));
    let office = office(server.port, PLAIN, None);
    office.look(&[(1, Fine, Fail)]);
    assert_eq!(office.once(0).await, Tried::Told);
    assert_eq!(server.next()["to"], json!(["head@school.test"]));
    let state = office.state("alarm-1-email");
    assert_eq!((state.taken.is_some(), state.misconfigured), (true, true));
    assert_eq!(state.problem.as_deref(), Some("SMTP 550 for address 2"), "no address of anybody");
    assert_eq!(office.once(0).await, Tried::Idle);
    drop(server);
    // Where all are refused nobody has it, and it stays.
    let all = json!({ "refuse": { "office@school.test": [550], "head@school.test": [550] } });
    let server = Server::start(&all);
    let office = self::office(server.port, PLAIN, None);
    office.look(&[(1, Fine, Fail)]);
    assert!(matches!(office.once(0).await, Tried::Failed(f) if f.misconfigured && f.untouched));
    assert_eq!(server.rest(), Vec::<Json>::new());
}

#[tokio::test]
async fn what_is_refused_at_its_end_is_told_later() {
    for (code, misconfigured) in [(451, false), (554, true)] {
        let mut server = Server::start(&json!({ "data": [code, 0] }));
        let office = office(server.port, PLAIN, None);
        office.look(&[(1, Fine, Fail)]);
        let Tried::Failed(failure) = office.once(0).await else { panic!() };
        assert_eq!((failure.problem, failure.misconfigured), (format!("SMTP {code}"), misconfigured));
        let refused = server.next();
        assert_eq!(office.once(0).await, Tried::Told);
        let taken = server.next();
        assert_eq!((&taken["code"], &taken["body"]), (&json!(0), &refused["body"]));
        assert_eq!(office.once(0).await, Tried::Idle);
    }
}

#[tokio::test]
async fn what_a_server_may_have_taken_is_sent_again_under_its_number() {
    let mut server = Server::start(&json!({ "data": ["hang", 0] }));
    let mut office = office(server.port, PLAIN, None);
    let receiver = &mut Arc::get_mut(&mut office.alarms).unwrap().receivers[0];
    let Ok(Way::Mail(mail)) = &mut receiver.way else { panic!() };
    mail.limit = Duration::from_secs(1);
    office.look(&[(1, Fine, Fail)]);
    let Tried::Failed(failure) = office.once(0).await else { panic!() };
    assert_eq!((&*failure.problem, failure.untouched), ("timeout", false));
    let first = server.next();
    office.restart();
    assert_eq!(office.once(0).await, Tried::Told);
    let second = server.next();
    assert_eq!((&second["headers"], &second["body"]), (&first["headers"], &first["body"]));
}

#[tokio::test]
async fn a_dead_recorder_is_one_mail_and_one_at_its_end() {
    let mut server = Server::start(&json!({}));
    let office = office(server.port, PLAIN, None);
    let running = tokio::spawn(office.alarms.clone().run());
    let all = |from, to| (1..=64).map(|n| (n, from, to)).collect::<Vec<_>>();
    office.look(&all(Fine, Fail));
    let mut server = tokio::task::spawn_blocking(move || (server.next(), server)).await.unwrap();
    assert_eq!(header(&server.0, "subject"), Some("rec1, failure: 64 new, 0 changed, 0 over"));
    assert_eq!(server.0["body"].as_str().unwrap().matches("[failure] Cổng chính").count(), 64);
    office.look(&all(Fail, Fine));
    server = tokio::task::spawn_blocking(move || (server.1.next(), server.1)).await.unwrap();
    assert_eq!(header(&server.0, "subject"), Some("rec1, in order: 0 new, 0 changed, 64 over"));
    running.abort();
    assert_eq!(server.1.rest(), Vec::<Json>::new());
}

#[tokio::test]
async fn a_very_long_mail_says_how_much_is_left_out() {
    let mut server = Server::start(&json!({}));
    let office = office(server.port, PLAIN, None);
    office.look(&(1..=140).map(|n| (n, Fine, Fail)).collect::<Vec<_>>());
    assert_eq!(office.once(0).await, Tried::Told);
    let mail = server.next();
    let body = mail["body"].as_str().unwrap();
    assert_eq!((body.matches("[failure]").count(), body.contains("and 40 more")), (100, true), "{body}");
}
