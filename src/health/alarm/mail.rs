//! Alarms as mail: RFC 5321 by lettre, a message as RFC 5322 wants it, text and nothing else.

use std::{
    collections::BTreeSet,
    error::Error as StdError,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use lettre::{
    Address, Message as Letter,
    message::{
        Mailbox, SinglePart,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp::{
        Error,
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, Certificate, TlsParameters},
        commands::{Data, Mail as MailFrom, Rcpt},
        extension::ClientId,
    },
};
use tokio_rustls::rustls;
use uuid::Uuid;

use super::{Failure, outbox::Message, text::Said};
use crate::site::{Secret, SmtpSecurity};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// So many earlier messages are named as those that one answers to.
const THREADS: usize = 20;

/// A receiver by mail.
#[derive(Debug)]
pub(super) struct Mail {
    pub(super) from: Mailbox,
    /// One at least, in the order that the outbox knows them by.
    pub(super) to: Vec<Address>,
    pub(super) server: String,
    pub(super) port: u16,
    pub(super) security: SmtpSecurity,
    pub(super) login: Option<(String, Secret)>,
    /// Authorities besides those of the system, PEM.
    pub(super) ca: Option<String>,
    /// How long a server may take in all.
    pub(super) limit: Duration,
}

impl Mail {
    /// The number of a message, as RFC 5322, 3.6.4 wants it.
    fn number(&self, id: Uuid) -> String {
        format!("<{id}@{}>", self.from.email.domain())
    }

    /// The letter, byte for byte the same however often it is made.
    pub(super) fn compose(&self, said: &Said, message: &Message) -> Result<Vec<u8>, lettre::error::Error> {
        let mut letter = Letter::builder()
            .from(self.from.clone())
            .date(message.at.timestamp().into())
            .message_id(Some(self.number(message.id)))
            .subject(&said.subject)
            // RFC 3834: nobody's holiday notice answers to it.
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".into()));
        for address in &self.to {
            letter = letter.to(Mailbox::new(None, address.clone()));
        }
        let mut earlier: Vec<_> = message.events.iter().filter_map(|e| e.raised_by).collect();
        earlier.sort_unstable();
        earlier.dedup();
        if !earlier.is_empty() {
            let all = earlier.iter().rev().take(THREADS).map(|id| self.number(*id)).collect::<Vec<_>>().join(" ");
            letter = letter.in_reply_to(all.clone()).references(all);
        }
        Ok(letter.singlepart(SinglePart::plain(said.body.clone()))?.formatted())
    }

    /// Hands a letter over for all addresses that have not taken it yet: those that took it now, and why not the others.
    pub(super) async fn deliver(&self, letter: &[u8], taken: &BTreeSet<usize>) -> (BTreeSet<usize>, Option<Failure>) {
        let at_its_end = AtomicBool::new(false);
        match tokio::time::timeout(self.limit, self.hand_over(letter, taken, &at_its_end)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(failure)) => (BTreeSet::new(), Some(failure)),
            Err(_) => {
                let untouched = !at_its_end.load(Ordering::Relaxed);
                (BTreeSet::new(), Some(Failure { untouched, ..Failure::of("timeout") }))
            }
        }
    }

    async fn hand_over(
        &self,
        letter: &[u8],
        taken: &BTreeSet<usize>,
        at_its_end: &AtomicBool,
    ) -> Result<(BTreeSet<usize>, Option<Failure>), Failure> {
        let mut connection = self.connect().await.map_err(|e| why(&e))?;
        let from = MailFrom::new(Some(self.from.email.clone()), Vec::new());
        if let Err(e) = connection.command(from).await {
            connection.abort().await;
            return Err(why(&e));
        }
        let (mut accepted, mut refused) = (BTreeSet::new(), Vec::new());
        for (n, address) in self.to.iter().enumerate().filter(|(n, _)| !taken.contains(n)) {
            match connection.command(Rcpt::new(address.clone(), Vec::new())).await {
                Ok(_) => {
                    accepted.insert(n);
                }
                Err(e) => {
                    let failure = why(&e);
                    // There is nobody to speak to any more.
                    if e.status().is_none() {
                        connection.abort().await;
                        return Err(failure);
                    }
                    let problem = format!("{} for address {}", failure.problem, n + 1);
                    refused.push(Failure { problem, only_addresses: failure.misconfigured, ..failure });
                }
            }
        }
        // One that may be accepted later counts: it is tried again.
        let failure = refused.into_iter().min_by_key(|f| f.misconfigured);
        if accepted.is_empty() {
            connection.abort().await;
            return Ok((accepted, failure));
        }
        let sent = async {
            connection.command(Data).await?;
            at_its_end.store(true, Ordering::Relaxed);
            connection.message(letter).await
        };
        match sent.await {
            Ok(_) => {
                let _ = connection.quit().await;
                Ok((accepted, failure))
            }
            Err(e) => {
                connection.abort().await;
                // A refusal is an answer; silence may be an answer that was lost on its way.
                let untouched = e.status().is_some() || !at_its_end.load(Ordering::Relaxed);
                Err(Failure { untouched, ..why(&e) })
            }
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let tls = match self.security {
            SmtpSecurity::None => None,
            _ => Some(self.tls()?),
        };
        let (at, hello) = ((self.server.as_str(), self.port), ClientId::default());
        let from_the_start = tls.clone().filter(|_| self.security == SmtpSecurity::Tls);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(at, Some(CONNECT), &hello, from_the_start, None).await?;
        if let Some(tls) = tls.filter(|_| self.security == SmtpSecurity::Starttls) {
            connection.starttls(tls, &hello).await?;
        }
        if let Some((user, password)) = &self.login {
            let login = Credentials::new(user.clone(), password.reveal().to_owned());
            connection.auth(&[Mechanism::Plain, Mechanism::Login], &login).await?;
        }
        Ok(connection)
    }

    fn tls(&self) -> Result<TlsParameters, Error> {
        let mut tls = TlsParameters::builder(self.server.clone());
        if let Some(ca) = &self.ca {
            tls = tls.add_root_certificate(Certificate::from_pem(ca.as_bytes())?);
        }
        tls.build()
    }
}

/// A kind of error, without anything that the server said: that may name people.
fn why(e: &Error) -> Failure {
    if let Some(status) = e.status() {
        return Failure { misconfigured: e.is_permanent(), ..Failure::of(&format!("SMTP {status}")) };
    }
    let mut cause = e.source();
    while let Some(inner) = cause {
        if is_certificate(inner) {
            return Failure::wrong("certificate");
        }
        cause = inner.source();
    }
    match e {
        e if e.is_timeout() => Failure::of("timeout"),
        // It offers no encryption, or no way to log in that we know. The words are lettre's own.
        e if e.is_client() => {
            let words = e.source().map(ToString::to_string).unwrap_or_default();
            Failure::wrong(&words)
        }
        e if e.is_response() => Failure::of("no SMTP"),
        _ => Failure::of("no connection"),
    }
}

fn is_certificate(e: &(dyn StdError + 'static)) -> bool {
    let inside = e.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    let tls = inside.and_then(|e| e.downcast_ref::<rustls::Error>()).or_else(|| e.downcast_ref());
    matches!(tls, Some(rustls::Error::InvalidCertificate(_)))
}
