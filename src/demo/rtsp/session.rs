//! One client's connection: its requests, and the packets it gets.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    sync::broadcast::{self, error::RecvError},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    message::{self, Incoming, Request, Response},
    rtp::{self, Sender},
};
use crate::demo::cameras::{Fault, Media, Shared, Stream, Unit, count, random};

/// Sessions end when the client has said nothing for so long, a request or a receiver report.
const IDLE: Duration = Duration::from_mins(1);
/// A write that takes longer drops the client.
const WRITE: Duration = Duration::from_secs(5);
/// Between sender reports.
const REPORTS: Duration = Duration::from_secs(5);
/// Packets sent by UDP in one go; more would overflow a usual receive buffer when a key picture comes.
const BURST: usize = 12;

/// How packets go to the client.
enum Via {
    /// On the channel of the RTSP connection, reports on the next one.
    Interleaved(u8),
    /// From two sockets of ours to two of the client's.
    Udp { rtp: UdpSocket, rtcp: UdpSocket, to: SocketAddr, reports_to: SocketAddr },
}

struct Track {
    sound: bool,
    sender: Sender,
    via: Via,
}

struct Session {
    id: String,
    stream: Arc<Stream>,
    tracks: Vec<Track>,
    /// The pictures, once it plays.
    units: Option<broadcast::Receiver<Arc<Unit>>>,
    /// Whether a key picture has come.
    begun: bool,
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.units.is_some() {
            self.stream.counters.playing.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

struct Connection {
    socket: TcpStream,
    shared: Arc<Shared>,
    nonce: String,
    /// The stream that the last request was about: its camera's faults are this connection's.
    stream: Option<Arc<Stream>>,
    session: Option<Session>,
    out: Vec<u8>,
}

enum Event {
    Read(usize),
    Unit(Result<Arc<Unit>, RecvError>),
    Report,
    Fault,
    Idle,
}

/// Serves a client until it goes, or is to go.
pub(crate) async fn serve(socket: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let nonce = format!("{:016x}{:016x}", random(), random());
    let mut connection = Connection { socket, shared, nonce, stream: None, session: None, out: Vec::new() };
    let mut input = BytesMut::with_capacity(4096);
    let mut heard = Instant::now();
    let mut report = heard + REPORTS;
    loop {
        let trouble = connection.stream.as_ref().map(|s| s.trouble.clone());
        let closes = trouble.as_ref().and_then(|t| t.borrow().closes(Instant::now()));
        let idle = heard + IDLE;
        let units = connection.session.as_mut().and_then(|s| s.units.as_mut());
        let playing = units.is_some();
        let event = tokio::select! {
            read = connection.socket.read_buf(&mut input) => Event::Read(read?),
            unit = next(units) => Event::Unit(unit),
            () = sleep_until(report), if playing => Event::Report,
            () = sleep_until(closes.unwrap_or(idle)), if closes.is_some() => return Ok(()),
            () = changed(trouble) => Event::Fault,
            () = sleep_until(idle) => Event::Idle,
        };
        match event {
            Event::Read(0) | Event::Unit(Err(RecvError::Closed)) => return Ok(()),
            Event::Read(_) => {
                heard = Instant::now();
                while let Some((incoming, len)) = message::take(&input).map_err(io::Error::other)? {
                    input.advance(len);
                    if let Incoming::Request(request) = incoming {
                        let over = connection.request(&request).await?;
                        connection.flush().await?;
                        if over {
                            return Ok(());
                        }
                    }
                }
            }
            Event::Unit(Ok(unit)) => connection.unit(&unit).await?,
            Event::Unit(Err(RecvError::Lagged(behind))) => return connection.slow(behind),
            Event::Report => {
                report = Instant::now() + REPORTS;
                connection.report().await?;
            }
            Event::Fault => {}
            Event::Idle => {
                log::debug!("simulated camera's client said nothing for {} s", IDLE.as_secs());
                return Ok(());
            }
        }
    }
}

async fn next(units: Option<&mut broadcast::Receiver<Arc<Unit>>>) -> Result<Arc<Unit>, RecvError> {
    match units {
        Some(units) => units.recv().await,
        None => std::future::pending().await,
    }
}

async fn changed(trouble: Option<tokio::sync::watch::Receiver<crate::demo::cameras::Trouble>>) {
    if let Some(mut trouble) = trouble
        && trouble.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

impl Connection {
    /// Answers a request; says whether the connection is over.
    async fn request(&mut self, request: &Request) -> io::Result<bool> {
        let path = request.path();
        let (base, track) = match path.rsplit_once("/trackID=") {
            Some((base, track)) => (base, track.parse().ok()),
            None => (path, None::<u8>),
        };
        if let Some(stream) = self.shared.stream(base) {
            self.stream = Some(stream.clone());
        }
        let trouble = self.stream.as_ref().map(|s| *s.trouble.borrow());
        if let Some(trouble) = trouble {
            if trouble.is(Fault::Mute) {
                return Ok(false);
            }
            if trouble.gone(Instant::now()) {
                return Ok(true);
            }
        }
        if request.method == "OPTIONS" {
            self.say(
                Response::new(200, request)
                    .with("Public", "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, SET_PARAMETER, TEARDOWN"),
            );
            return Ok(false);
        }
        let refused = trouble.is_some_and(|t| t.is(Fault::RefuseCredentials));
        if refused || !self.shared.gate.admits(request, &self.nonce) {
            let challenge = self.shared.gate.challenge(&self.nonce);
            self.say(Response::new(401, request).with("WWW-Authenticate", challenge));
            return Ok(false);
        }
        let response = match request.method.as_str() {
            "DESCRIBE" => self.describe(request, base),
            "SETUP" => self.setup(request, base, track).await?,
            "PLAY" => self.play(request),
            "GET_PARAMETER" | "SET_PARAMETER" => {
                self.in_session(request).unwrap_or_else(|| Response::new(200, request))
            }
            "PAUSE" => self.pause(request),
            "TEARDOWN" => {
                if let Some(problem) = self.in_session(request) {
                    problem
                } else {
                    self.session = None;
                    self.say(Response::new(200, request));
                    return Ok(true);
                }
            }
            _ => Response::new(501, request),
        };
        self.say(response);
        Ok(false)
    }

    fn say(&mut self, response: Response) {
        self.out.append(&mut response.into_bytes());
    }

    fn describe(&self, request: &Request, base: &str) -> Response {
        let Some(stream) = self.shared.stream(base) else { return Response::new(404, request) };
        let name = format!("{} {}", stream.camera, stream.kind);
        let uri = request.uri.split('?').next().unwrap_or("").trim_end_matches('/');
        Response::new(200, request)
            .with("Content-Base", format!("{uri}/"))
            .body("application/sdp", stream.description().sdp(&name, stream.audio))
    }

    async fn setup(&mut self, request: &Request, base: &str, track: Option<u8>) -> io::Result<Response> {
        let Some(stream) = self.shared.stream(base).cloned() else { return Ok(Response::new(404, request)) };
        let sound = match track {
            None | Some(1) => false,
            Some(2) if stream.audio => true,
            Some(_) => return Ok(Response::new(404, request)),
        };
        if self.session.as_ref().is_some_and(|s| s.units.is_some()) {
            return Ok(Response::new(455, request));
        }
        let asked = request.header("Transport").unwrap_or("");
        let mut chosen = None;
        for offer in asked.split(',') {
            chosen = self.transport(offer.trim()).await?;
            if chosen.is_some() {
                break;
            }
        }
        let Some((via, transport)) = chosen else { return Ok(Response::new(461, request)) };
        let payload_type = if sound { rtp::PCMU } else { rtp::H264 };
        let ssrc = (random() >> 32) as u32;
        let sender = Sender::new(payload_type, ssrc, (random() >> 48) as u16);
        let session = self.session.get_or_insert_with(|| Session {
            id: format!("{:016X}", random()),
            stream,
            tracks: Vec::new(),
            units: None,
            begun: false,
        });
        session.tracks.retain(|t| t.sound != sound);
        session.tracks.push(Track { sound, sender, via });
        let id = format!("{};timeout={}", session.id, IDLE.as_secs());
        let transport = format!("{transport};ssrc={ssrc:08X};mode=\"PLAY\"");
        Ok(Response::new(200, request).with("Transport", transport).with("Session", id))
    }

    /// What one offer of a `Transport` header (RFC 2326 section 12.39) leads to: how, and our words for it.
    async fn transport(&self, offer: &str) -> io::Result<Option<(Via, String)>> {
        let mut parts = offer.split(';').map(str::trim);
        let kind = parts.next().unwrap_or("");
        let numbers = |name: &str| -> Option<(u16, u16)> {
            let value = offer.split(';').find_map(|p| p.trim().strip_prefix(name)?.strip_prefix('='))?;
            let (a, b) = value.split_once('-').unwrap_or((value, ""));
            let a: u16 = a.parse().ok()?;
            Some((a, b.parse().ok().or_else(|| a.checked_add(1))?))
        };
        if offer.split(';').any(|p| p.trim() == "multicast") {
            return Ok(None);
        }
        match kind {
            "RTP/AVP/TCP" => {
                let taken = self.session.as_ref().map_or(0, |s| s.tracks.len() * 2);
                let channel = numbers("interleaved").map_or(taken, |(a, _)| usize::from(a));
                let Some(channel) = u8::try_from(channel).ok().filter(|c| *c < u8::MAX) else { return Ok(None) };
                let words = format!("RTP/AVP/TCP;unicast;interleaved={channel}-{}", channel + 1);
                Ok(Some((Via::Interleaved(channel), words)))
            }
            "RTP/AVP" | "RTP/AVP/UDP" => {
                let Some((port, report_port)) = numbers("client_port") else { return Ok(None) };
                let (ours, peer) = (self.socket.local_addr()?.ip(), self.socket.peer_addr()?.ip());
                let (rtp, rtcp) = pair(ours).await?;
                let (a, b) = (rtp.local_addr()?.port(), rtcp.local_addr()?.port());
                let words =
                    format!("RTP/AVP;unicast;client_port={port}-{report_port};server_port={a}-{b};source={ours}");
                let (to, reports_to) = (SocketAddr::new(peer, port), SocketAddr::new(peer, report_port));
                Ok(Some((Via::Udp { rtp, rtcp, to, reports_to }, words)))
            }
            _ => Ok(None),
        }
    }

    /// The answer if a request does not belong to the session.
    fn in_session(&self, request: &Request) -> Option<Response> {
        let named = request.header("Session").map(|s| s.split(';').next().unwrap_or("").trim());
        let known = match (&self.session, named) {
            (Some(session), Some(named)) => session.id == named,
            // Keep-alives before SETUP carry none.
            (None, None) => request.method != "PLAY" && request.method != "TEARDOWN",
            _ => false,
        };
        (!known).then(|| Response::new(454, request))
    }

    fn play(&mut self, request: &Request) -> Response {
        if let Some(problem) = self.in_session(request) {
            return problem;
        }
        let Some(session) = &mut self.session else { return Response::new(454, request) };
        if session.units.is_none() {
            count(&session.stream.counters.plays, 1);
            count(&session.stream.counters.playing, 1);
            session.units = Some(session.stream.join());
        }
        let uri = request.uri.trim_end_matches('/');
        let info: Vec<String> = session
            .tracks
            .iter()
            .map(|t| {
                let (id, time) = (1 + u8::from(t.sound), session.stream.times(t.sound).1);
                format!("url={uri}/trackID={id};seq={};rtptime={time}", t.sender.sequence)
            })
            .collect();
        Response::new(200, request)
            .with("Session", format!("{};timeout={}", session.id, IDLE.as_secs()))
            .with("Range", "npt=now-")
            .with("RTP-Info", info.join(","))
    }

    fn pause(&mut self, request: &Request) -> Response {
        if let Some(problem) = self.in_session(request) {
            return problem;
        }
        let Some(session) = &mut self.session else { return Response::new(454, request) };
        if session.units.take().is_some() {
            session.stream.counters.playing.fetch_sub(1, Ordering::Relaxed);
        }
        session.begun = false;
        Response::new(200, request).with("Session", &session.id)
    }

    /// Sends a picture or a packet of sound.
    async fn unit(&mut self, unit: &Unit) -> io::Result<()> {
        let Some(session) = &mut self.session else { return Ok(()) };
        let sound = match &unit.media {
            Media::Picture(picture) => {
                session.begun |= picture.key;
                false
            }
            Media::Sound(_) => true,
        };
        let Some(track) = session.tracks.iter_mut().find(|t| t.sound == sound).filter(|_| session.begun) else {
            return Ok(());
        };
        let (mut packets, mut bytes) = (0, 0);
        let mut datagrams = Vec::new();
        let channel = if let Via::Interleaved(channel) = track.via { Some(channel) } else { None };
        let out = &mut self.out;
        let mut put = |parts: &[&[u8]]| {
            let len: usize = parts.iter().map(|p| p.len()).sum();
            (packets, bytes) = (packets + 1, bytes + len as u64);
            match channel {
                Some(channel) => {
                    // No packet is longer than the MTU.
                    let len = u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
                    out.extend_from_slice(&[b'$', channel, len[0], len[1]]);
                    parts.iter().for_each(|p| out.extend_from_slice(p));
                }
                None => datagrams.push(parts.concat()),
            }
        };
        match &unit.media {
            Media::Picture(picture) => track.sender.picture(&picture.nals, unit.timestamp, &mut put),
            Media::Sound(data) => track.sender.sound(data, unit.timestamp, &mut put),
        }
        if let Via::Udp { rtp, to, .. } = &track.via {
            for (i, datagram) in datagrams.iter().enumerate() {
                if i > 0 && i % BURST == 0 {
                    sleep(Duration::from_millis(1)).await;
                }
                if let Err(e) = rtp.send_to(datagram, to).await {
                    // Nobody there any more, says ICMP; the RTSP connection will end, too.
                    log::debug!("simulated camera could not send to {to}: {e}");
                }
            }
        }
        self.flush().await?;
        if let Some(session) = &self.session {
            let counters = &session.stream.counters;
            count(&counters.packets, packets);
            count(&counters.bytes, bytes);
            count(&counters.sent, u64::from(!sound));
        }
        Ok(())
    }

    async fn report(&mut self) -> io::Result<()> {
        let Some(session) = self.session.as_ref().filter(|s| s.begun && !s.stream.trouble.borrow().is(Fault::Mute))
        else {
            return Ok(());
        };
        for track in &session.tracks {
            let (wall, timestamp) = session.stream.times(track.sound);
            let report = track.sender.report(wall, timestamp);
            match &track.via {
                Via::Interleaved(channel) => {
                    let len = u16::try_from(report.len()).unwrap_or(u16::MAX).to_be_bytes();
                    self.out.extend_from_slice(&[b'$', channel + 1, len[0], len[1]]);
                    self.out.extend_from_slice(&report);
                }
                Via::Udp { rtcp, reports_to, .. } => {
                    if let Err(e) = rtcp.send_to(&report, reports_to).await {
                        log::debug!("simulated camera could not send a report to {reports_to}: {e}");
                    }
                }
            }
        }
        self.flush().await
    }

    async fn flush(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let Ok(written) = timeout(WRITE, self.socket.write_all(&self.out)).await else { return self.slow(0) };
        self.out.clear();
        // A key picture's buffer need not be kept.
        self.out.shrink_to(64 * 1024);
        written
    }

    fn slow<T>(&self, behind: u64) -> io::Result<T> {
        if let Some(session) = &self.session {
            count(&session.stream.counters.slow, 1);
        }
        Err(io::Error::other(format!("the client is too slow, {behind} pictures were left out")))
    }
}

/// Two UDP sockets with neighbouring ports, the first one even (RFC 3550 section 11).
async fn pair(ip: std::net::IpAddr) -> io::Result<(UdpSocket, UdpSocket)> {
    for _ in 0..64 {
        let first = UdpSocket::bind((ip, 0)).await?;
        let port = first.local_addr()?.port();
        if port % 2 == 0
            && let Ok(second) = UdpSocket::bind((ip, port + 1)).await
        {
            return Ok((first, second));
        }
    }
    Err(io::Error::other("no two neighbouring UDP ports are free"))
}
