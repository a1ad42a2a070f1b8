//! What the server answers, without a browser.

use std::time::Duration;

use custodian::types::Lang;
use reqwest::{Client, StatusCode, header};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    Served,
    fake::{FakeCamera, HOUR, SECOND, now},
};

async fn served() -> Served {
    Served::start(vec![FakeCamera::new("gate-1", "Cổng 1", now().offset(-HOUR))]).await
}

/// Sends a request as it stands and reads the answer's head.
async fn head(served: &Served, request: &str) -> String {
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    while !answer.windows(4).any(|w| w == b"\r\n\r\n") {
        let n = stream.read(&mut buffer).await.unwrap();
        assert!(n > 0, "the answer ended early: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&buffer[..n]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn upgrade(host: &str, more: &str) -> String {
    format!(
        "GET /live/gate-1/sub HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

#[tokio::test]
async fn rebinding_and_foreign_sockets_are_refused() {
    let served = served().await;
    let own = served.address.to_string();
    for path in ["/", "/api/cameras", "/assets/wall.js", "/site.json"] {
        let answer =
            head(&served, &format!("GET {path} HTTP/1.1\r\nHost: evil.example:{}\r\n\r\n", served.address.port()))
                .await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{path}: {answer}");
    }
    let foreign = head(&served, &upgrade(&own, "Origin: http://evil.example\r\n")).await;
    assert!(foreign.starts_with("HTTP/1.1 403"), "{foreign}");
    let rebound = head(&served, &upgrade("evil.example", "Origin: http://evil.example\r\n")).await;
    assert!(rebound.starts_with("HTTP/1.1 403"), "{rebound}");
    let ours = head(&served, &upgrade(&own, &format!("Origin: http://{own}\r\n"))).await;
    assert!(ours.starts_with("HTTP/1.1 101"), "{ours}");
}

#[tokio::test]
async fn every_answer_carries_the_policy_and_no_cookie() {
    let served = served().await;
    for path in ["/", "/camera/gate-1", "/playback", "/assets/live.js", "/lang/vi.json", "/api/cameras", "/nothing"] {
        let answer = Client::new().get(served.url(path)).send().await.unwrap();
        let headers = answer.headers();
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert!(!headers.contains_key(header::SET_COOKIE), "{path}");
    }
}

#[tokio::test]
async fn files_are_asked_for_again_by_their_tag_only() {
    let served = served().await;
    for path in ["/assets/live.js", "/assets/style.css", "/lang/zh.json"] {
        let first = Client::new().get(served.url(path)).send().await.unwrap();
        assert_eq!(first.status(), StatusCode::OK, "{path}");
        let tag = first.headers()[header::ETAG].clone();
        let again = Client::new().get(served.url(path)).header(header::IF_NONE_MATCH, tag).send().await.unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path}");
    }
}

#[tokio::test]
async fn the_page_speaks_the_sites_language_else_the_browsers() {
    let page = async |language, wish: &str| {
        let served = Served::in_language(Vec::new(), language).await;
        let ask = Client::new().get(served.url("/")).header(header::ACCEPT_LANGUAGE, wish);
        ask.send().await.unwrap().text().await.unwrap()
    };
    assert!(page(Some(Lang::Vi), "en").await.contains("<html lang=\"vi\">"));
    assert!(page(None, "zh-CN,zh;q=0.9").await.contains("<html lang=\"zh\">"));
    assert!(page(None, "fr").await.contains("<html lang=\"en\">"));
}

#[tokio::test]
async fn ranges_pass_through_and_other_paths_do_not() {
    let mut served = served().await;
    let (to, from) = (now().offset(-60 * SECOND).0, now().offset(-90 * SECOND).0);
    let list = Client::new()
        .get(served.url(&format!("/api/fragments?camera=gate-1&from={from}&to={to}")))
        .send()
        .await
        .unwrap();
    let list: serde_json::Value = list.json().await.unwrap();
    let part = &list["segments"][0];
    let path =
        format!("/api/segments/{}/{}/{}", part["stream"].as_str().unwrap(), part["run"].as_str().unwrap(), part["seq"]);
    let ask = Client::new().get(served.url(&path)).header(header::RANGE, "bytes=4-7");
    let answer = ask.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
    assert!(answer.headers()[header::CONTENT_RANGE].to_str().unwrap().starts_with("bytes 4-7/"));
    assert_eq!(answer.bytes().await.unwrap().as_ref(), b"ftyp");

    for path in ["/api/clip/gate-1/main.mp4", "/api/live/gate-1/sub", "/api/status", "/api/segments/..%2f..%2fx"] {
        let answer = Client::new().get(served.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let write = Client::new().post(served.url("/api/cameras")).send().await.unwrap();
    assert_eq!(write.status(), StatusCode::METHOD_NOT_ALLOWED);
    served.fake.down();
    let answer = Client::new().get(served.url("/api/cameras")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_reads_nothing_holds_nothing_up_and_fills_no_memory() {
    let served = served().await;
    served.fake.fault(|f| f.flood = true);
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(upgrade(&served.address.to_string(), "").as_bytes()).await.unwrap();
    // From here on nothing is read: what the recorder can hand over is what sockets hold, and then no more.
    let mut before = 0;
    let standstill = async {
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let bytes = served.fake.live_bytes();
            if bytes > 0 && bytes == before {
                break bytes;
            }
            before = bytes;
        }
    };
    let bytes = tokio::time::timeout(super::PATIENCE, standstill).await.expect("the flow comes to a standstill");
    assert!(bytes < 24 << 20, "{bytes} bytes were taken for a browser that reads nothing");
    // After a while it is let go: the tap is free again.
    let let_go = async {
        while served.fake.taps() > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(super::PATIENCE, let_go).await.expect("the tap is let go");
}
