//! An address that answers over TLS to whoever has a token, a certificate, or both: metrics for the school's own monitoring, and the vendor's way in
//! while the school allows it.
//!
//! A client that is hostile gets little: [`CONNECTIONS`] in all, [`PER_ADDRESS`] each, a handshake within [`HANDSHAKE`], headers within
//! [`HEADERS`] and [`HEADER_BYTES`], a connection no longer than [`LIFE`]. Addresses that fail too often are not listened to for a while.

pub mod certificate;
mod guard;

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use axum::{Router, middleware};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{Instant, interval_at, sleep, timeout},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, RootCertStore, ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, pem::PemObject as _},
        server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier},
    },
};

use self::{
    certificate::{CertificateError, Own, Pair, Presented},
    guard::{At, Failures, Guard, TOKENS, Token, VAIN, counted, let_in},
};
use crate::{
    health::lock,
    site::{self, Secret},
    types::story,
};

/// Connections at a time.
pub const CONNECTIONS: usize = 32;
/// Connections of one address at a time.
pub const PER_ADDRESS: usize = 8;
/// How long the TLS handshake may take.
pub const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long the headers of a request may take, and a connection may be idle.
pub const HEADERS: Duration = Duration::from_secs(10);
/// Bytes of a request's headers.
pub const HEADER_BYTES: usize = 16 << 10;
/// How long a connection may last; then the answer that is under way is finished within [`FAREWELL`].
pub const LIFE: Duration = Duration::from_mins(10);
/// See [`LIFE`].
pub const FAREWELL: Duration = Duration::from_secs(10);
/// Pause before an address that cannot be listened at is tried again: a tunnel's comes late.
const RETRY: Duration = Duration::from_secs(2);
/// Pause after the kernel gave no connection: there are too many open files.
const BREATH: Duration = Duration::from_millis(200);
/// How often the certificate's end is looked at.
const LOOK: Duration = Duration::from_hours(1);

/// Why a door cannot be made, or not be opened for now.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// Nobody would be kept out.
    #[error("neither a token nor an authority for clients' certificates: the door stays shut")]
    Unguarded,
    /// What site.toml names is not in secrets.toml.
    #[error("its token is not in secrets.toml, or is empty")]
    NoToken,
    /// The authorities of clients cannot be read.
    #[error("client_ca has no certificate that can be read")]
    ClientCa,
    /// The authorities of clients cannot be used.
    #[error("client_ca cannot be used")]
    Verifier(#[from] VerifierBuilderError),
    /// No certificate of its own.
    #[error("no certificate")]
    Certificate(#[from] CertificateError),
    /// TLS refuses what it is given.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// The address cannot be listened at.
    #[error("it cannot listen")]
    Listen(#[from] io::Error),
}

/// A door.
pub struct Door {
    listen: SocketAddr,
    clients: Option<Arc<RootCertStore>>,
    own: Own,
    guard: Arc<Guard>,
    vain: Failures,
    presented: watch::Sender<Option<Presented>>,
}

/// Places that are taken, by address.
#[derive(Clone, Default)]
struct Places(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Full {
    /// The address has all that it gets.
    Address,
    /// Others have them all: no fault of the address.
    All,
}

/// A place; it is given back when this goes.
struct Place(Places, IpAddr);

impl Places {
    fn take(&self, ip: IpAddr) -> Result<Place, Full> {
        let ip = counted(ip);
        let mut taken = lock(&self.0);
        if taken.get(&ip).is_some_and(|n| *n >= PER_ADDRESS) {
            return Err(Full::Address);
        }
        if taken.values().sum::<usize>() >= CONNECTIONS {
            return Err(Full::All);
        }
        *taken.entry(ip).or_default() += 1;
        Ok(Place(self.clone(), ip))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.0.0);
        if let Some(n) = taken.get_mut(&self.1) {
            *n -= 1;
            if *n == 0 {
                taken.remove(&self.1);
            }
        }
    }
}

impl Door {
    /// A door as site.toml describes it. `token` is what secrets.toml has under its name.
    pub fn new(site: &site::Door, token: Option<&Secret>, own: Own) -> Result<Self, DoorError> {
        let token = token.map(Secret::reveal).filter(|text| !text.is_empty()).map(Token::new);
        let clients = site.client_ca.as_deref().map(authorities).transpose()?;
        match (&token, &clients) {
            (None, _) if site.token_secret.is_some() => return Err(DoorError::NoToken),
            (None, None) => return Err(DoorError::Unguarded),
            _ => {}
        }
        let failures = |most| Failures::new(most, own.clock.clone());
        let guard = Guard { door: own.name, token, failures: failures(TOKENS) };
        let (vain, presented) = (failures(VAIN), watch::Sender::new(None));
        Ok(Self { listen: site.listen, clients, own, guard: Arc::new(guard), vain, presented })
    }

    /// The certificate that it shows; none before it was opened.
    pub fn presented(&self) -> watch::Receiver<Option<Presented>> {
        self.presented.subscribe()
    }

    /// Serves `router` while `open` says so; connections end when it no longer does. Returns when nobody can say so any more. Trouble with address and
    /// certificate is logged and tried again.
    pub async fn run(self, router: Router, mut open: watch::Receiver<bool>) {
        let door = Arc::new(self);
        while open.wait_for(|open| *open).await.is_ok() {
            let Some((listener, acceptor)) = door.opened(&mut open).await else { continue };
            log::info!("the door {} is open at {}", door.own.name, door.listen);
            door.serve(listener, acceptor, &router, &mut open).await;
            log::info!("the door {} at {} is shut", door.own.name, door.listen);
        }
    }

    /// Certificate and listener, as soon as both can be had; none: it is to be shut again.
    async fn opened(self: &Arc<Self>, open: &mut watch::Receiver<bool>) -> Option<(TcpListener, TlsAcceptor)> {
        let mut said = None;
        loop {
            let acceptor = tokio::select! {
                () = shut(open) => return None,
                acceptor = self.clone().acceptor() => acceptor,
            };
            let problem = match acceptor {
                Ok(acceptor) => match TcpListener::bind(self.listen).await {
                    Ok(listener) => return Some((listener, acceptor)),
                    Err(e) => story(&DoorError::Listen(e)),
                },
                Err(e) => story(&e),
            };
            if said.as_ref() != Some(&problem) {
                log::warn!("the door {} at {} does not open yet: {problem}", self.own.name, self.listen);
                said = Some(problem);
            }
            tokio::select! {
                () = shut(open) => return None,
                () = sleep(RETRY) => {}
            }
        }
    }

    async fn serve(
        self: &Arc<Self>,
        listener: TcpListener,
        mut acceptor: TlsAcceptor,
        router: &Router,
        open: &mut watch::Receiver<bool>,
    ) {
        let places = Places::default();
        // All of them end with it.
        let mut connections = JoinSet::new();
        let (mut look, mut looks) = (interval_at(Instant::now() + LOOK, LOOK), JoinSet::new());
        loop {
            tokio::select! {
                () = shut(open) => return,
                _ = look.tick(), if looks.is_empty() => { looks.spawn(self.clone().acceptor()); }
                Some(Ok(new)) = looks.join_next() => match new {
                    Ok(new) => acceptor = new,
                    Err(e) => log::warn!("the door {} goes on with the certificate it has: {}", self.own.name, story(&e)),
                },
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        if self.vain.barred(peer.ip()).is_some() {
                            continue;
                        }
                        let place = match places.take(peer.ip()) {
                            Ok(place) => place,
                            Err(full) => {
                                if full == Full::Address {
                                    self.vain.note(self.own.name, peer.ip(), "too many connections");
                                }
                                continue;
                            }
                        };
                        let (door, acceptor, router) = (self.clone(), acceptor.clone(), router.clone());
                        connections.spawn(async move {
                            door.converse(acceptor, stream, peer, router).await;
                            drop(place);
                        });
                    }
                    // The peer went away, or files are short; either passes.
                    Err(e) => {
                        log::debug!("the door {} took no connection: {e}", self.own.name);
                        sleep(BREATH).await;
                    }
                }
            }
        }
    }

    /// One connection, to its end.
    async fn converse(&self, acceptor: TlsAcceptor, stream: TcpStream, peer: SocketAddr, router: Router) {
        let stream = match timeout(HANDSHAKE, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(e)) => return self.vain.note(self.own.name, peer.ip(), &e.to_string()),
            Err(_) => return self.vain.note(self.own.name, peer.ip(), "the TLS handshake took too long"),
        };
        let at = At { guard: self.guard.clone(), peer, any: Arc::default() };
        let router = router.layer(middleware::from_fn_with_state(at.clone(), let_in));
        let mut http = auto::Builder::new(TokioExecutor::new()).http1_only();
        http.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(HEADER_BYTES);
        let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = sleep(LIFE) => {
                connection.as_mut().graceful_shutdown();
                timeout(FAREWELL, connection).await.unwrap_or(Ok(()))
            }
        };
        if !at.any.load(Ordering::Relaxed) {
            self.vain.note(self.own.name, peer.ip(), "it has asked for nothing that it may have");
        }
        if let Err(e) = ended {
            log::debug!("a connection of {peer} to the door {} broke: {e}", self.own.name);
        }
    }

    /// TLS with the certificate as it is now. Whoever serves others does not wait for the disk.
    async fn acceptor(self: Arc<Self>) -> Result<TlsAcceptor, DoorError> {
        tokio::task::spawn_blocking(move || self.made()).await.map_err(|e| DoorError::Listen(e.into()))?
    }

    fn made(&self) -> Result<TlsAcceptor, DoorError> {
        let Pair { certificate, key, presented, new } = self.own.pair(self.listen)?;
        // Not the process's default one: what others choose is their own matter.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
        let config = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&versions)?;
        let config = match &self.clients {
            Some(roots) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider).build()?;
                config.with_client_cert_verifier(verifier)
            }
            None => config.with_no_client_auth(),
        };
        let mut config = config.with_single_cert(vec![certificate], key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A session that is taken up again would not be asked for a certificate again.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        if new || self.presented.borrow().as_ref() != Some(&presented) {
            log::info!(
                "the door {} shows the certificate {} (SHA-256 {}), until {}",
                self.own.name,
                presented.file.display(),
                presented.fingerprint,
                presented.not_after
            );
        }
        self.presented.send_replace(Some(presented));
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// Ready when the door is to be shut, or nobody can say any more.
async fn shut(open: &mut watch::Receiver<bool>) {
    let _ = open.wait_for(|open| !*open).await;
}

fn authorities(pem: &str) -> Result<Arc<RootCertStore>, DoorError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|_| DoorError::ClientCa)?;
        roots.add(certificate).map_err(|_| DoorError::ClientCa)?;
    }
    if roots.is_empty() { Err(DoorError::ClientCa) } else { Ok(Arc::new(roots)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_takes_all_places_and_all_come_back() {
        let places = Places::default();
        let ip = |n: usize| IpAddr::from([10, 0, 0, u8::try_from(n).unwrap()]);
        let taken: Vec<_> = (0..CONNECTIONS).map(|n| places.take(ip(n / PER_ADDRESS)).ok().unwrap()).collect();
        assert_eq!(places.take(ip(0)).err(), Some(Full::Address));
        assert_eq!(places.take(ip(200)).err(), Some(Full::All));
        drop(taken);
        assert!(lock(&places.0).is_empty() && places.take(ip(200)).is_ok());
    }

    #[test]
    fn a_door_that_keeps_nobody_out_is_not_made() {
        let made = |token_secret: bool, token: Option<&str>, client_ca: Option<&str>| {
            let own = Own {
                folder: "/s".into(),
                name: "pull",
                warn: Duration::ZERO,
                files: Arc::new(crate::sys::FakeFiles::default()),
                clock: Arc::new(crate::sys::RealClock),
            };
            let site = site::Door {
                listen: "127.0.0.1:1".parse().unwrap(),
                token_secret: token_secret.then(|| "door".parse().unwrap()),
                client_ca: client_ca.map(str::to_owned),
                tunnel: None,
            };
            Door::new(&site, token.map(Secret::new).as_ref(), own).err()
        };
        assert!(matches!(made(false, None, None), Some(DoorError::Unguarded)));
        assert!(matches!(made(false, Some(""), None), Some(DoorError::Unguarded)));
        let ca = rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap().cert.pem();
        for token in [None, Some("")] {
            assert!(matches!(made(true, token, None), Some(DoorError::NoToken)));
            assert!(matches!(made(true, token, Some(&ca)), Some(DoorError::NoToken)), "both are wanted");
        }
        let spoilt = format!("{ca}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        for bad in ["", "no certificate", &spoilt] {
            assert!(matches!(made(true, Some("t"), Some(bad)), Some(DoorError::ClientCa)), "{bad}");
        }
        assert!(made(false, None, Some(&ca)).is_none() && made(true, Some("t"), None).is_none());
    }
}
