//! Ways to a monitor: TLS, an authority of the school's, proxies, IPv6.

use std::process::Command;

use super::{mock::*, *};

const TAKEN: Verdict = Verdict::Taken { witnessed: true };

fn untrusted() -> Verdict {
    Verdict::Later("its certificate is not to be trusted".into(), None)
}

/// Tells `https://127.0.0.1/` with `ca`, which a server with `tls` answers.
async fn over_tls(tls: tokio_rustls::TlsAcceptor, ca: Option<String>) -> Verdict {
    let mock = Mock::new().await;
    let health = Health { ca, ..health() };
    let pusher =
        pusher_with(PushKind::Http, &format!("https://{}/in", mock.address()), Some("t0ken"), &health).unwrap();
    let serving = async {
        if let Ok(stream) = tls.accept(mock.accept().await).await {
            let mut asked = Asked::read(stream).await;
            assert!(asked.text.starts_with("POST /in HTTP/1.1\r\n"), "{}", asked.text);
            asked.say(&ok("")).await;
            // Whoever reads to the end wants to be told that it is one.
            tokio::io::AsyncWriteExt::shutdown(&mut asked.stream).await.ok();
        }
    };
    tokio::join!(serving, pusher.tell(Level::Ok)).1
}

#[tokio::test]
async fn an_authority_of_the_schools_counts_where_it_is_named() {
    let ours = Authority::new();
    assert_eq!(over_tls(ours.server("127.0.0.1", 2999), Some(ours.pem.clone())).await, TAKEN);
    assert_eq!(over_tls(ours.server("127.0.0.1", 2999), None).await, untrusted());
    assert_eq!(over_tls(Authority::new().server("127.0.0.1", 2999), Some(ours.pem.clone())).await, untrusted());
}

#[tokio::test]
async fn a_certificate_for_another_host_or_another_time_does_not() {
    let ours = Authority::new();
    assert_eq!(over_tls(ours.server("127.0.0.2", 2999), Some(ours.pem.clone())).await, untrusted());
    assert_eq!(over_tls(ours.server("127.0.0.1", 2001), Some(ours.pem.clone())).await, untrusted());
}

#[test]
fn what_is_no_certificate_is_refused() {
    for ca in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let health = Health { ca: Some(ca.into()), ..health() };
        let refused = pusher_with(PushKind::Http, "https://h.example/", None, &health);
        assert!(matches!(refused, Err(PushError::Ca | PushError::Client(_))), "{refused:?}");
    }
}

fn through(mock: &Mock, login: &str) -> Health {
    Health { proxy: Some(format!("http://{login}{}", mock.address()).parse().unwrap()), ..health() }
}

#[tokio::test]
async fn a_proxy_is_asked_for_the_whole_address() {
    let proxy = Mock::new().await;
    let url = "http://monitor.invalid:8080/in";
    let pusher = pusher_with(PushKind::Http, url, None, &through(&proxy, "me:pw@")).unwrap();
    let (asked, verdict) = tokio::join!(proxy.answers(ok("")), pusher.tell(Level::Ok));
    assert_eq!(verdict, TAKEN);
    assert!(asked.starts_with("POST http://monitor.invalid:8080/in HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("\r\nproxy-authorization: Basic bWU6cHc=\r\n"), "{asked}");
    assert!(asked.contains("\r\nhost: monitor.invalid:8080\r\n"), "{asked}");
}

/// The proxy sees where to, and no more.
#[tokio::test]
async fn a_proxy_connects_for_tls() {
    let (proxy, ours) = (Mock::new().await, Authority::new());
    let health = Health { ca: Some(ours.pem.clone()), ..through(&proxy, "") };
    let pusher = pusher_with(PushKind::Http, "https://monitor.invalid/in", Some("t0ken"), &health).unwrap();
    let serving = async {
        let mut asked = proxy.asked().await;
        asked.say("HTTP/1.1 200 OK\r\n\r\n").await;
        let mut inner = Asked::read(ours.server("monitor.invalid", 2999).accept(asked.stream).await.unwrap()).await;
        inner.say(&ok("")).await;
        (asked.text, inner.text)
    };
    let ((outer, inner), verdict) = tokio::join!(serving, pusher.tell(Level::Ok));
    assert_eq!(verdict, TAKEN);
    assert!(outer.starts_with("CONNECT monitor.invalid:443 HTTP/1.1\r\n") && !outer.contains("t0ken"), "{outer}");
    assert!(inner.starts_with("POST /in HTTP/1.1\r\nauthorization: Bearer t0ken\r\n"), "{inner}");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_tried_again() {
    let proxy = Mock::new().await;
    let pusher = pusher_with(PushKind::Http, "https://monitor.invalid/in", None, &through(&proxy, "")).unwrap();
    let (_, verdict) = tokio::join!(proxy.answers(status(407, "", "")), pusher.tell(Level::Ok));
    assert_eq!(verdict, Verdict::Later("it cannot be reached".into(), None));
}

/// Another test once more, in an environment whose proxies lead nowhere.
#[test]
fn the_environment_names_no_proxy() {
    let nowhere = "http://127.0.0.1:1";
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "health::push::tests::kinds::uptime_kuma"]);
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        again.env(name, nowhere);
    }
    let output = again.env_remove("no_proxy").env_remove("NO_PROXY").env_remove("REQUEST_METHOD").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[tokio::test]
async fn ipv6() {
    let mock = Mock::at("[::1]:0").await;
    let pusher = pusher(PushKind::Gatus, &format!("http://{}/api/v1/endpoints/core_attic/external", mock.address()));
    let (asked, verdict) = tokio::join!(mock.answers(ok("")), pusher.tell(Level::Ok));
    assert_eq!(verdict, Verdict::Taken { witnessed: false });
    assert!(asked.contains(&format!("\r\nhost: {}\r\n", mock.address())), "{asked}");
}
