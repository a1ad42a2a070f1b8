//! A server that shows what it is asked byte by byte, and answers what the test says.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer},
};

pub(super) struct Mock {
    listener: TcpListener,
}

pub(super) struct Asked<S = TcpStream> {
    /// Head and body as they came.
    pub(super) text: String,
    pub(super) stream: S,
}

impl Mock {
    pub(super) async fn new() -> Self {
        Self::at("127.0.0.1:0").await
    }

    pub(super) async fn at(address: &str) -> Self {
        Self { listener: TcpListener::bind(address).await.unwrap() }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    pub(super) async fn accept(&self) -> TcpStream {
        self.listener.accept().await.unwrap().0
    }

    /// The next request. Each comes on a connection of its own.
    pub(super) async fn asked(&self) -> Asked {
        Asked::read(self.accept().await).await
    }

    /// What is asked next, while it is answered with `answer`.
    pub(super) async fn answers(&self, answer: impl AsRef<str>) -> String {
        let mut asked = self.asked().await;
        asked.say(answer.as_ref()).await;
        asked.text
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Asked<S> {
    pub(super) async fn read(mut stream: S) -> Self {
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&bytes);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length =
                    head.lines().find_map(|l| l.strip_prefix("content-length: ")).map_or(0, |l| l.parse().unwrap());
                if body.len() >= length {
                    break;
                }
            }
            assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "it ends within a request: {bytes:?}");
        }
        Self { text: String::from_utf8(bytes).unwrap(), stream }
    }

    pub(super) async fn say(&mut self, answer: &str) {
        self.stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

/// 200 with a body.
pub(super) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Another status, with more header lines if wanted.
pub(super) fn status(code: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {code} X\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

/// An authority, and what serves with a certificate of it.
pub(super) struct Authority {
    pub(super) pem: String,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = rcgen::CertificateParams::new([]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: rcgen::Issuer::new(params, key) }
    }

    /// For a host, valid until a year.
    pub(super) fn server(&self, host: &str, until: i32) -> TlsAcceptor {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new([host.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}
