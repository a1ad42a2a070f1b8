//! What each answer leads to.

use futures::FutureExt as _;

use super::{super::client::Trouble, mock::*, *};

const KUMA: &str = "/api/push/tokenTOKEN0";
const CHECK: &str = "/ping/5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278";
const GATUS: &str = "/api/v1/endpoints/core_attic/external";

async fn verdict(kind: PushKind, path: &str, answer: &str) -> Verdict {
    let mock = Mock::new().await;
    let pusher = pusher(kind, &format!("http://{}{path}", mock.address()));
    tokio::join!(mock.answers(answer), pusher.tell(Level::Ok)).1
}

fn later(text: &str, seconds: Option<u64>) -> Verdict {
    Verdict::Later(text.into(), seconds.map(Duration::from_secs))
}

fn is_wrong(verdict: &Verdict, expected: &str) -> bool {
    matches!(verdict, Verdict::Wrong(text) if text.contains(expected))
}

#[tokio::test]
async fn later_and_when() {
    for (code, headers, seconds) in [
        (408, "", None),
        (429, "", None),
        (429, "Retry-After: 17\r\n", Some(17)),
        (429, "Retry-After: Thu, 26 Nov 2026 00:02:00 GMT\r\n", Some(120)),
        (429, "Retry-After: Wed, 25 Nov 2026 00:02:00 GMT\r\n", Some(0)),
        (429, "Retry-After: soon\r\n", None),
        (500, "", None),
        (503, "Retry-After: 5\r\n", Some(5)),
        (599, "", None),
    ] {
        for (kind, path) in [
            (PushKind::UptimeKuma, KUMA),
            (PushKind::Healthchecks, CHECK),
            (PushKind::Gatus, GATUS),
            (PushKind::Http, "/"),
        ] {
            let expected = later(&format!("it answers {code}"), seconds);
            assert_eq!(verdict(kind, path, &status(code, headers, "")).await, expected, "{headers}");
        }
    }
}

#[tokio::test]
async fn what_only_a_person_mends() {
    for code in [400, 401, 403, 404, 405, 409, 410, 422, 304] {
        for (kind, path) in [
            (PushKind::UptimeKuma, KUMA),
            (PushKind::Healthchecks, CHECK),
            (PushKind::Gatus, GATUS),
            (PushKind::Http, "/"),
        ] {
            let got = verdict(kind, path, &status(code, "", "")).await;
            assert!(is_wrong(&got, &format!("it answers {code}")), "{got:?}");
        }
    }
}

/// Uptime Kuma says 404 for everything, a broken database too.
#[tokio::test]
async fn a_404_of_uptime_kuma_is_looked_into() {
    let answer = |msg: &str| status(404, "", &format!("{{\"ok\":false,\"msg\":\"{msg}\"}}"));
    let got = verdict(PushKind::UptimeKuma, KUMA, &answer("Monitor not found or not active.")).await;
    assert!(is_wrong(&got, "no such monitor, or it is paused"), "{got:?}");
    let got = verdict(PushKind::UptimeKuma, KUMA, &answer("SQLITE_BUSY: database is locked")).await;
    assert_eq!(got, later("it answers 404", None));
}

/// A login page is no monitor.
#[tokio::test]
async fn a_200_of_somebody_else_is_not_taken() {
    let page = "<html>OK</html>";
    for (kind, path, body) in [
        (PushKind::UptimeKuma, KUMA, page),
        (PushKind::UptimeKuma, KUMA, "{\"ok\":false}"),
        (PushKind::Healthchecks, CHECK, page),
        (PushKind::Gatus, GATUS, page),
    ] {
        let got = verdict(kind, path, &ok(body)).await;
        assert!(is_wrong(&got, "not answer as such a service"), "{got:?}");
    }
    let got = verdict(PushKind::Healthchecks, CHECK, &ok("OK (not found)")).await;
    assert!(is_wrong(&got, "no such check"), "{got:?}");
    let got = verdict(PushKind::Healthchecks, CHECK, &ok("OK (rate limited)")).await;
    assert_eq!(got, later("it is asked too often", None));
}

/// With method, body and token, which a browser would drop.
#[tokio::test]
async fn a_redirect_on_the_same_host_is_followed() {
    let mock = Mock::new().await;
    let pusher = pusher(PushKind::Http, &format!("http://{}/old", mock.address()));
    for (code, place) in
        [(301, "/new?a=1".to_owned()), (302, format!("http://{}/new?a=1", mock.address())), (308, "new?a=1".into())]
    {
        let answer = status(code, &format!("Location: {place}\r\n"), "");
        let both = async { (mock.answers(&answer).await, mock.answers(ok("")).await) };
        let ((first, second), verdict) = tokio::join!(both, pusher.tell(Level::Fail));
        assert_eq!(verdict, Verdict::Taken { witnessed: true });
        assert!(first.contains("\r\nauthorization: Bearer t0ken\r\n") && first.ends_with('}'), "{first}");
        assert_eq!(second, first.replacen("/old", "/new?a=1", 1));
    }
    let answer = status(303, "Location: /seen\r\n", "");
    let both = async { (mock.answers(&answer).await, mock.answers(ok("")).await) };
    let ((_, second), _) = tokio::join!(both, pusher.tell(Level::Fail));
    assert!(second.starts_with("GET /seen HTTP/1.1\r\n") && second.ends_with("\r\n\r\n"), "{second}");
}

#[tokio::test]
async fn a_redirect_elsewhere_is_not_followed() {
    let (mock, other) = (Mock::new().await, Mock::new().await);
    let pusher = pusher(PushKind::Http, &format!("http://{}/old", mock.address()));
    let port = mock.address().port();
    for place in [
        format!("http://{}/old", other.address()),
        format!("http://localhost:{port}/"),
        format!("https://127.0.0.1:{port}/"),
    ] {
        let answer = status(307, &format!("Location: {place}\r\n"), "");
        let (_, got) = tokio::join!(mock.answers(&answer), pusher.tell(Level::Ok));
        assert!(is_wrong(&got, "redirects to another host"), "{got:?}");
        assert!(other.accept().now_or_never().is_none() && mock.accept().now_or_never().is_none());
    }
}

#[tokio::test]
async fn a_circle_ends() {
    let mock = Mock::new().await;
    let pusher = pusher(PushKind::Http, &format!("http://{}/", mock.address()));
    let round = async {
        for _ in 0..4 {
            mock.answers(status(307, "Location: /\r\n", "")).await;
        }
    };
    let ((), got) = tokio::join!(round, pusher.tell(Level::Ok));
    assert!(is_wrong(&got, Trouble::Circle.text()), "{got:?}");
}

/// The clock is moved once the request is there.
#[tokio::test]
async fn silence_is_waited_for_ten_seconds() {
    for said in ["", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nO"] {
        let mock = Mock::new().await;
        let pusher = pusher(PushKind::Http, &format!("http://{}/", mock.address()));
        let start = Instant::now();
        let silent = async {
            let mut asked = mock.asked().await;
            asked.say(said).await;
            tokio::time::pause();
            asked
        };
        let (_open, got) = tokio::join!(silent, pusher.tell(Level::Ok));
        assert_eq!(got, later("it does not answer within 10 s", None));
        let waited = start.elapsed().as_secs_f64();
        assert!((10.0..12.0).contains(&waited), "{waited}");
        tokio::time::resume();
    }
}

#[tokio::test]
async fn nobody_listens() {
    let mock = Mock::new().await;
    let address = mock.address();
    drop(mock);
    let pusher = pusher(PushKind::Http, &format!("http://{address}/"));
    assert_eq!(pusher.tell(Level::Ok).await, later("nobody listens there", None));
}

#[tokio::test]
async fn an_unknown_name() {
    let pusher = pusher(PushKind::Http, "http://monitor.invalid/");
    assert_eq!(pusher.tell(Level::Ok).await, later("its name is not known to the name service", None));
}

#[tokio::test]
async fn what_is_no_http() {
    for answer in ["SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nO"] {
        assert_eq!(
            verdict(PushKind::Http, "/", answer).await,
            later("what it answers is no HTTP, or breaks off", None)
        );
    }
}

/// It would go on for ever: it is read to 64 KiB, and the connection closed.
#[tokio::test]
async fn an_endless_body_is_left() {
    let mock = Mock::new().await;
    let pusher = pusher(PushKind::Http, &format!("http://{}/", mock.address()));
    let endless = async {
        let mut asked = mock.asked().await;
        asked.say("HTTP/1.1 200 OK\r\n\r\n").await;
        let mut sent = 0_usize;
        while tokio::io::AsyncWriteExt::write_all(&mut asked.stream, &[b'x'; 4096]).await.is_ok() {
            sent += 4096;
        }
        sent
    };
    let (sent, got) = tokio::join!(endless, pusher.tell(Level::Ok));
    assert_eq!(got, Verdict::Taken { witnessed: true });
    assert!(sent >= 60_000, "{sent}");
}
