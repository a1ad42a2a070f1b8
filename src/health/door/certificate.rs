//! A door's own certificate: made at first start, kept, and made anew in time.

use std::{
    fmt::Write as _,
    io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType};
use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use x509_parser::{extensions::GeneralName, prelude::FromDer as _, prelude::X509Certificate};

use crate::{
    sys::{Clock, Files, random},
    types::WallNs,
};

/// The name that every door's certificate has, whatever its address: clients may ask for it.
pub const NAME: &str = "custodian";

const DAY: Duration = Duration::from_hours(24);

/// A certificate holds for so long. Clients are given it by hand, so it ends late.
const VALID: Duration = Duration::from_hours(3650 * 24);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Its folder or files cannot be read or written.
    #[error("{0}")]
    Files(PathBuf, #[source] io::Error),
    /// The kernel gives no random numbers.
    #[error("no random numbers")]
    Random(#[source] io::Error),
    /// It could not be made.
    #[error("a certificate cannot be made")]
    Made(#[from] rcgen::Error),
    /// It was made, and is none.
    #[error("the certificate that was made cannot be read: {0}")]
    Read(&'static str),
}

/// What may be shown of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// SHA-256 of the certificate, as openssl prints it: `3F:0A:…`.
    pub fingerprint: String,
    /// When it ends.
    pub not_after: WallNs,
    /// The file to give to clients (PEM, without the key).
    pub file: PathBuf,
}

/// Where a door's certificate is kept, and what it must be like.
#[derive(Clone)]
pub struct Own {
    /// A folder that the service can write to.
    pub folder: PathBuf,
    /// Name of its files: `<name>.key` (0600: key and certificate) and `<name>.crt` (0644: the certificate, for clients).
    pub name: &'static str,
    /// How long before its end health warns of it; it is made anew earlier than that.
    pub warn: Duration,
    /// Files.
    pub files: Arc<dyn Files>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// A certificate with its key.
pub(super) struct Pair {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) presented: Presented,
    /// Whether it was made just now.
    pub(super) new: bool,
}

/// What a certificate says.
struct Said {
    not_before: WallNs,
    not_after: WallNs,
    addresses: Vec<IpAddr>,
}

fn seconds(t: i64) -> WallNs {
    WallNs(t.saturating_mul(1_000_000_000))
}

fn said(der: &[u8]) -> Option<Said> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    let addresses = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::IPAddress(bytes) => {
            let v4 = || Some(IpAddr::from(<[u8; 4]>::try_from(*bytes).ok()?));
            let v6 = || Some(IpAddr::from(<[u8; 16]>::try_from(*bytes).ok()?));
            v4().or_else(v6)
        }
        _ => None,
    });
    let validity = certificate.validity();
    rest.is_empty().then(|| Said {
        not_before: seconds(validity.not_before.timestamp()),
        not_after: seconds(validity.not_after.timestamp()),
        addresses: addresses.collect(),
    })
}

/// SHA-256 as openssl prints it.
fn fingerprint(der: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(der) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{}{byte:02X}", if text.is_empty() { "" } else { ":" });
    }
    text
}

/// What is shown of the certificate that a door has left in a folder; none: there is none yet.
pub fn presented(files: &dyn Files, folder: &Path, name: &str) -> io::Result<Option<Presented>> {
    let file = folder.join(format!("{name}.crt"));
    let Some(pem) = files.read(&file)? else { return Ok(None) };
    let der = CertificateDer::from_pem_slice(&pem).ok();
    let said = der.as_ref().and_then(|der| said(der));
    Ok(der.zip(said).map(|(der, said)| Presented { fingerprint: fingerprint(&der), not_after: said.not_after, file }))
}

impl Own {
    /// Sees to it, as the door does at its start, that there is a certificate for an address.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn ready(&self, listen: SocketAddr) -> Result<(), CertificateError> {
        self.pair(listen).map(|_| ())
    }

    /// The certificate for an address: the one that is kept or, where that is none, ends soon or is for another address, a new one.
    pub(super) fn pair(&self, listen: SocketAddr) -> Result<Pair, CertificateError> {
        let file = self.folder.join(format!("{}.key", self.name));
        let of = |path: &Path| {
            let path = path.to_owned();
            move |e| CertificateError::Files(path, e)
        };
        let kept = self.files.read(&file).map_err(of(&file))?;
        if let Some(pem) = &kept {
            match self.kept(pem, listen.ip()) {
                Ok(pair) => {
                    let public = &pair.presented.file;
                    if self.files.read(public).map_err(of(public))?.is_none() {
                        self.publish(&pair)?;
                    }
                    return Ok(pair);
                }
                Err(why) => log::warn!(
                    "the certificate of the door {} {why}: a new one is made, which clients must be given",
                    self.name
                ),
            }
        }
        self.files.make_dir(&self.folder).map_err(of(&self.folder))?;
        let pem = self.make(listen.ip())?;
        self.files.write(&file, pem.as_bytes(), 0o600, None).map_err(of(&file))?;
        let mut pair = self.kept(pem.as_bytes(), listen.ip()).map_err(CertificateError::Read)?;
        self.publish(&pair)?;
        pair.new = true;
        Ok(pair)
    }

    fn publish(&self, pair: &Pair) -> Result<(), CertificateError> {
        let path = &pair.presented.file;
        let body = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &pair.certificate);
        let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
        // Lines of 64, RFC 7468; base64 is ASCII.
        for at in (0..body.len()).step_by(64) {
            pem.push_str(&body[at..body.len().min(at + 64)]);
            pem.push('\n');
        }
        pem.push_str("-----END CERTIFICATE-----\n");
        self.files.write(path, pem.as_bytes(), 0o644, None).map_err(|e| CertificateError::Files(path.clone(), e))
    }

    /// So long before its end it is made anew: twice the time of the warning, so that the warning is seen only where that did not work.
    fn ahead(&self) -> Duration {
        (self.warn * 2).clamp(DAY, VALID / 2)
    }

    /// The pair in a file, or why it will not do.
    fn kept(&self, pem: &[u8], address: IpAddr) -> Result<Pair, &'static str> {
        let none = "cannot be read";
        let certificate = CertificateDer::from_pem_slice(pem).map_err(|_| none)?;
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| none)?;
        let said = said(&certificate).ok_or(none)?;
        let now = self.clock.wall();
        if now + self.ahead() >= said.not_after {
            return Err("ends soon, or has ended");
        }
        if now < said.not_before {
            return Err("is of a time to come: the clock was wrong when it was made");
        }
        if !address.is_unspecified() && !said.addresses.contains(&address) {
            return Err("is for another address");
        }
        let file = self.folder.join(format!("{}.crt", self.name));
        let presented = Presented { fingerprint: fingerprint(&certificate), not_after: said.not_after, file };
        Ok(Pair { certificate, key, presented, new: false })
    }

    /// Key and certificate, PEM.
    fn make(&self, address: IpAddr) -> Result<String, CertificateError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([NAME.to_owned()])?;
        if !address.is_unspecified() {
            params.subject_alt_names.push(SanType::IpAddress(address));
        }
        // Clients may be given those of many recorders in one file: their names differ.
        let serial = u64::from_be_bytes(random().map_err(CertificateError::Random)?) >> 1;
        params.serial_number = Some(serial.into());
        params.distinguished_name.push(DnType::CommonName, format!("{NAME} {} {serial:016x}", self.name));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let now = u64::try_from(self.clock.wall().0 / 1_000_000_000).unwrap_or(0);
        let at = |time: Duration| SystemTime::UNIX_EPOCH.checked_add(time).unwrap_or(SystemTime::UNIX_EPOCH).into();
        // A client's clock may be a little behind.
        params.not_before = at(Duration::from_secs(now).saturating_sub(DAY));
        params.not_after = at(Duration::from_secs(now) + VALID);
        let certificate = params.self_signed(&key)?;
        Ok(key.serialize_pem() + &certificate.pem())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{FakeClock, FakeFiles};

    const LISTEN: &str = "10.7.0.2:9443";

    fn own() -> (Own, FakeClock) {
        let clock = FakeClock::at("2026-11-26T02:00:00Z".parse::<jiff::Timestamp>().unwrap().into());
        let files = FakeFiles::default();
        files.make_dir(Path::new("/s")).unwrap();
        let (folder, warn) = (PathBuf::from("/s/doors"), 21 * DAY);
        (Own { folder, name: "pull", warn, files: Arc::new(files), clock: Arc::new(clock.clone()) }, clock)
    }

    #[test]
    fn it_is_made_once_and_kept() {
        let (own, _) = own();
        let first = own.pair(LISTEN.parse().unwrap()).unwrap();
        assert!(first.new && first.presented.fingerprint.len() == 95);
        assert_eq!(first.presented.not_after, own.clock.wall() + VALID);
        let again = own.pair(LISTEN.parse().unwrap()).unwrap();
        assert!(!again.new && again.presented == first.presented);
        assert_eq!(presented(&*own.files, &own.folder, "pull").unwrap(), Some(first.presented.clone()));
        assert_eq!(presented(&*own.files, &own.folder, "vendor").unwrap(), None);
        let public = own.files.read(&first.presented.file).unwrap().unwrap();
        assert!(!String::from_utf8(public.clone()).unwrap().contains("PRIVATE"));
        // The public half comes back.
        own.files.remove(&first.presented.file).unwrap();
        own.pair(LISTEN.parse().unwrap()).unwrap();
        assert_eq!(own.files.read(&first.presented.file).unwrap().unwrap(), public);
    }

    #[test]
    fn it_is_made_anew_in_time_and_before_anybody_warns() {
        let (own, clock) = own();
        let first = own.pair(LISTEN.parse().unwrap()).unwrap().presented;
        clock.advance(VALID.saturating_sub(43 * DAY));
        assert_eq!(own.pair(LISTEN.parse().unwrap()).unwrap().presented, first);
        clock.advance(DAY);
        let second = own.pair(LISTEN.parse().unwrap()).unwrap();
        assert!(second.new && second.presented.fingerprint != first.fingerprint);
        assert_eq!(second.presented.not_after, own.clock.wall() + VALID);
        // Made by a clock that was ahead.
        clock.step(-(400 * 86_400 * 1_000_000_000));
        assert!(own.pair(LISTEN.parse().unwrap()).unwrap().new);
        // A threshold beyond all reason does not make one at each look.
        let own = Own { warn: VALID * 2, ..own };
        assert!(!own.pair(LISTEN.parse().unwrap()).unwrap().new);
    }

    #[test]
    fn one_for_another_address_or_a_spoilt_one_is_replaced() {
        let (own, _) = own();
        let new = |listen: &str| own.pair(listen.parse().unwrap()).unwrap().new;
        assert!(new(LISTEN) && new("10.7.0.3:9443") && new("[fd00::7]:9443"));
        assert!(!new("[fd00::7]:9443") && !new("0.0.0.0:9443"), "by its name it is for every address");
        own.files.write(Path::new("/s/doors/pull.key"), b"-----BEGIN PRIVATE KEY-----\nAAAA", 0o600, None).unwrap();
        assert!(new("[fd00::7]:9443") && !new("[fd00::7]:9443"));
    }
}
