//! The address of an S3-compatible store, with its access key: a secret as a whole.

use std::str::FromStr;

use url::Url;

use super::Secret;

/// An S3-compatible store. Text form: `https://KEY:SECRET@host:port/bucket/folder?region=…&style=virtual`.
///
/// `folder`, `region` and `style` may be left out. `style=virtual` puts the bucket into the host name, as some stores want; otherwise it stands in
/// the path. What has a meaning in an address is written by its code in key and secret (`/` as `%2F`, `+` as `%2B`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Address {
    /// `https://host:port`.
    pub endpoint: String,
    /// The bucket.
    pub bucket: String,
    /// The folder within it, without slashes at its ends; may be empty.
    pub folder: String,
    /// The region, `us-east-1` where none is given, which stores without regions accept.
    pub region: String,
    /// Whether the bucket is a part of the host name.
    pub virtual_host: bool,
    /// Name of the access key.
    pub key: Secret,
    /// The access key's secret.
    pub secret: Secret,
}

/// Why a text is no such address. Says nothing of the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadS3Address {
    /// No URL.
    #[error("it is no address; are '/' and '+' of the key written as %2F and %2B?")]
    NoUrl,
    /// Neither https nor http.
    #[error("it begins with neither https:// nor http://")]
    Scheme,
    /// No key, or no secret.
    #[error("it has no KEY:SECRET@ before the host")]
    NoKey,
    /// No bucket.
    #[error("it names no bucket after the host")]
    NoBucket,
    /// Something else than region and style.
    #[error("after the '?' only region=… and style=path or style=virtual may stand")]
    Query,
}

impl BadS3Address {
    /// Its word, for catalogs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoUrl => "no_url",
            Self::Scheme => "scheme",
            Self::NoKey => "no_key",
            Self::NoBucket => "no_bucket",
            Self::Query => "query",
        }
    }
}

impl FromStr for S3Address {
    type Err = BadS3Address;

    fn from_str(text: &str) -> Result<Self, BadS3Address> {
        let url = Url::parse(text.trim()).map_err(|_| BadS3Address::NoUrl)?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(BadS3Address::Scheme);
        }
        let key = decoded(url.username()).filter(|k| !k.is_empty()).ok_or(BadS3Address::NoKey)?;
        let secret = url.password().and_then(decoded).filter(|s| !s.is_empty()).ok_or(BadS3Address::NoKey)?;
        let host = url.host_str().ok_or(BadS3Address::NoUrl)?;
        let port = url.port().map_or_else(String::new, |p| format!(":{p}"));
        let path = decoded(url.path()).ok_or(BadS3Address::NoUrl)?;
        let mut parts = path.split('/').filter(|p| !p.is_empty());
        let bucket = parts.next().ok_or(BadS3Address::NoBucket)?.to_owned();
        let folder = parts.collect::<Vec<_>>().join("/");
        if url.fragment().is_some() {
            return Err(BadS3Address::NoUrl);
        }
        let (mut region, mut virtual_host) = ("us-east-1".to_owned(), false);
        for (name, value) in url.query_pairs() {
            match (&*name, &*value) {
                ("region", value) if !value.is_empty() => value.clone_into(&mut region),
                ("style", "path") => virtual_host = false,
                ("style", "virtual") => virtual_host = true,
                _ => return Err(BadS3Address::Query),
            }
        }
        Ok(Self {
            endpoint: format!("{}://{host}{port}", url.scheme()),
            bucket,
            folder,
            region,
            virtual_host,
            key: Secret::new(key),
            secret: Secret::new(secret),
        })
    }
}

/// A part of an address without its codes (RFC 3986 section 2.1).
fn decoded(text: &str) -> Option<String> {
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, after @ ..] = rest {
        rest = after;
        if *first == b'%' {
            let code = after.get(..2).and_then(|c| std::str::from_utf8(c).ok())?;
            out.push(u8::from_str_radix(code, 16).ok()?);
            rest = &after[2..];
        } else {
            out.push(*first);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_all_that_a_store_wants() {
        let plain: S3Address = "https://AK:s%2Fe%2Bc@s3.example.org/school".parse().unwrap();
        assert_eq!((&*plain.endpoint, &*plain.bucket, &*plain.folder), ("https://s3.example.org", "school", ""));
        assert_eq!((&*plain.region, plain.virtual_host), ("us-east-1", false));
        assert_eq!((plain.key.reveal(), plain.secret.reveal()), ("AK", "s/e+c"));
        let full: S3Address =
            "http://k:s@127.0.0.1:9000/b/hoa%20h%C6%B0%E1%BB%9Bng/a/?region=vn-1&style=virtual".parse().unwrap();
        assert_eq!((&*full.endpoint, &*full.folder), ("http://127.0.0.1:9000", "hoa hướng/a"));
        assert_eq!((&*full.region, full.virtual_host), ("vn-1", true));
        assert!(!format!("{plain:?}").contains("AK"), "{plain:?}");
    }

    #[test]
    fn what_is_wrong_is_told_without_the_text() {
        for (text, wrong) in [
            ("s3.example.org/school", BadS3Address::NoUrl),
            ("https://AK:a/b@host/school", BadS3Address::NoUrl),
            ("https://AK:%@host/school", BadS3Address::NoKey),
            ("s3://k:s@host/b", BadS3Address::Scheme),
            ("https://host/b", BadS3Address::NoKey),
            ("https://k@host/b", BadS3Address::NoKey),
            ("https://k:s@host/", BadS3Address::NoBucket),
            ("https://k:s@host/b?regio=x", BadS3Address::Query),
            ("https://k:s@host/b#c", BadS3Address::NoUrl),
        ] {
            assert_eq!(text.parse::<S3Address>(), Err(wrong), "{text}");
        }
    }
}
