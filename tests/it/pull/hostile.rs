//! Clients that want to hold the door up. They come from other addresses of loopback than whoever asks rightly.

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use custodian::health::door::{HANDSHAKE, HEADER_BYTES, HEADERS, PER_ADDRESS};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
};

use super::{LIMIT, Running};

/// Time for the machine, on top of what the door grants.
const SLACK: Duration = Duration::from_secs(5);

async fn connect(from: [u8; 4], door: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::from(from), 0).into()).unwrap();
    socket.connect(door).await.unwrap()
}

/// A connection of a client that trusts the door.
async fn tls(from: [u8; 4], door: &Running) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(door.file("pull.crt")).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config =
        config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth();
    let stream = connect(from, door.listen).await;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("custodian").unwrap(), stream).await.unwrap()
}

/// What comes until the other side ends it, and whether it did so within `limit`.
async fn until_closed(stream: &mut (impl tokio::io::AsyncRead + Unpin), limit: Duration) -> Option<Vec<u8>> {
    let mut got = Vec::new();
    match timeout(limit, stream.read_to_end(&mut got)).await {
        Ok(Ok(_)) => Some(got),
        // Cut off without a word.
        Ok(Err(e)) if matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof) => Some(got),
        Ok(Err(e)) => panic!("{e}"),
        Err(_) => None,
    }
}

/// Somebody else asks, and is answered at once.
async fn others_are_answered(door: &Arc<Running>) {
    let begun = Instant::now();
    let asking = door.clone();
    assert_eq!(tokio::task::spawn_blocking(move || asking.status("/healthz")).await.unwrap(), "200");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

async fn door() -> Arc<Running> {
    tokio::task::spawn_blocking(|| Arc::new(Running::start(true, None))).await.unwrap()
}

/// A runtime within a runtime must not end on its threads.
async fn end(door: Arc<Running>) {
    tokio::task::spawn_blocking(move || drop(door)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_do_not_end_are_ended() {
    let door = door().await;
    let begun = Instant::now();
    let mut held = Vec::new();
    for n in 0..PER_ADDRESS {
        let mut stream = connect([127, 0, 0, 9], door.listen).await;
        // Nothing at all, or the beginning of a ClientHello.
        if n % 2 == 0 {
            stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]).await.unwrap();
        }
        held.push(stream);
    }
    // It gets no more than these.
    let mut more = connect([127, 0, 0, 9], door.listen).await;
    assert!(until_closed(&mut more, Duration::from_secs(2)).await.is_some());
    others_are_answered(&door).await;
    assert!(begun.elapsed() < HANDSHAKE, "they were all held meanwhile");
    for mut stream in held {
        assert!(until_closed(&mut stream, HANDSHAKE + SLACK).await.is_some());
    }
    assert!(begun.elapsed() >= HANDSHAKE);
    end(door).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_come_slowly_are_not_waited_for() {
    let door = door().await;
    let begun = Instant::now();
    let mut slow = Vec::new();
    for _ in 0..PER_ADDRESS {
        let mut stream = tls([127, 0, 0, 9], &door).await;
        slow.push(tokio::spawn(async move {
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: custodian\r\n").await.unwrap();
            let (mut from, mut to) = tokio::io::split(stream);
            // A letter now and then keeps it alive, they think.
            let drip = tokio::spawn(async move {
                while to.write_all(b"X-A: a\r\n").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            });
            let closed = until_closed(&mut from, HEADERS + SLACK).await.is_some();
            drip.abort();
            closed
        }));
    }
    others_are_answered(&door).await;
    assert!(begun.elapsed() < HEADERS, "they were all held meanwhile");
    for stream in slow {
        assert!(stream.await.unwrap(), "it is cut off");
    }
    assert!(begun.elapsed() >= HEADERS);
    // One that says nothing after its first request, too.
    let mut idle = tls([127, 0, 0, 8], &door).await;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: custodian\r\n\r\n").await.unwrap();
    let got = until_closed(&mut idle, HEADERS + SLACK).await.expect("it is ended");
    assert!(got.starts_with(b"HTTP/1.1 401 "));
    end(door).await;
}

/// This process's memory, KiB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_take_neither_memory_nor_time() {
    let door = door().await;
    let from = |n: u8| [127, 1, n, 1];
    let flood = vec![b'a'; 1 << 20];
    let (mut before, mut seen) = (0, BTreeSet::new());
    for n in 0..100 {
        // A header without end; a body without end; a path without end.
        let mut stream = tls(from(n), &door).await;
        let head: &[u8] = match n % 3 {
            0 => b"GET /healthz HTTP/1.1\r\nX: ",
            1 => b"POST /healthz HTTP/1.1\r\nHost: custodian\r\nContent-Length: 1000000000\r\n\r\n",
            _ => b"GET /",
        };
        stream.write_all(head).await.unwrap();
        let (mut read, mut write) = tokio::io::split(stream);
        let flood = flood.clone();
        // It is cut off on the way, or was small enough for the buffers of the kernel.
        let writing = tokio::spawn(async move {
            let _ = write.write_all(&flood).await;
            write
        });
        let got = until_closed(&mut read, LIMIT).await.expect("it is ended");
        let answer = String::from_utf8_lossy(&got).into_owned();
        let status = answer.get(9..12).unwrap_or_default();
        let wanted = ["431", "401", "431"][usize::from(n) % 3];
        // A reset may overtake the answer.
        assert!(got.is_empty() || status == wanted, "{n}: {answer}");
        seen.insert(status.to_owned());
        drop(writing.await.unwrap());
        if n == 20 {
            before = memory();
        }
    }
    assert!(seen.contains("431") && seen.contains("401"), "{seen:?}");
    let grown = memory().saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB for 80 MiB of rubbish, {HEADER_BYTES} bytes of which are read at a time");

    // No TLS at all, and no HTTP within it.
    for n in 0..40_u8 {
        let mut stream = connect(from(n), door.listen).await;
        let rubbish: Vec<u8> =
            (0..4096_u32).map(|i| (i.wrapping_mul(u32::from(n) + 7) >> 3).to_le_bytes()[0]).collect();
        let _ = stream.write_all(&rubbish).await;
        let _ = stream.shutdown().await;
        assert!(until_closed(&mut stream, LIMIT).await.is_some());
        let mut stream = tls(from(n), &door).await;
        stream.write_all(&[&rubbish[..256], b"\r\n\r\n"].concat()).await.unwrap();
        let got = until_closed(&mut stream, LIMIT).await.expect("it is ended");
        assert!(got.is_empty() || got.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&got));
    }
    others_are_answered(&door).await;
    end(door).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_for_nothing_are_soon_dropped_unheard() {
    let door = door().await;
    let from = [127, 0, 0, 9];
    for _ in 0..60 {
        let mut stream = tls(from, &door).await;
        let _ = stream.shutdown().await;
        until_closed(&mut stream, LIMIT).await.expect("it is ended");
    }
    // The last one has been counted as soon as its place is free; until then there may be one more.
    let heard = async || {
        let mut stream = connect(from, door.listen).await;
        until_closed(&mut stream, Duration::from_secs(1)).await.is_none()
    };
    if heard().await {
        assert!(!heard().await);
    }
    others_are_answered(&door).await;
    door.clock.advance(Duration::from_mins(1));
    let _ = tls(from, &door).await;
    end(door).await;
}
