//! What secrets.toml holds for endpoints: addresses that are told how the recorder is, and bearer tokens.

use url::Url;

/// Why a text is no address of an endpoint. Says nothing of the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadWebAddress {
    /// No URL with a host.
    #[error("it is no address")]
    NoUrl,
    /// Neither https nor http.
    #[error("it begins with neither https:// nor http://")]
    Scheme,
    /// What follows a `#` is never sent.
    #[error("a '#' stands in it: nothing after it would be sent")]
    Fragment,
}

impl BadWebAddress {
    /// Its word, for catalogs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoUrl => "url_no_url",
            Self::Scheme => "url_scheme",
            Self::Fragment => "url_fragment",
        }
    }
}

/// The address of an endpoint: `https://` or `http://`, with a host. All of it is secret.
pub fn web_address(text: &str) -> Result<Url, BadWebAddress> {
    let url = Url::parse(text.trim()).map_err(|_| BadWebAddress::NoUrl)?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(BadWebAddress::Scheme);
    }
    if url.host_str().is_none_or(str::is_empty) || url.port() == Some(0) {
        return Err(BadWebAddress::NoUrl);
    }
    if url.fragment().is_some() { Err(BadWebAddress::Fragment) } else { Ok(url) }
}

/// Why a text is no bearer token. Says nothing of the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// Empty, or it cannot be sent in a header.
    #[error("it is empty, or holds a space or something else than ASCII")]
    Form,
    /// Could be guessed.
    #[error("it is shorter than {} characters", BadToken::SHORTEST)]
    Short,
}

impl BadToken {
    /// A door's token is at least this long.
    pub const SHORTEST: usize = 16;

    /// Its word, for catalogs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Form => "token_form",
            Self::Short => "token_short",
        }
    }
}

/// A bearer token as it goes into a header (RFC 6750 section 2.1; services that take more than its characters are spoken to all the same).
/// `door`: whether it lets somebody in here, and so must not be guessed.
pub fn bearer(text: &str, door: bool) -> Result<&str, BadToken> {
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_graphic()) {
        Err(BadToken::Form)
    } else if door && text.len() < BadToken::SHORTEST {
        Err(BadToken::Short)
    } else {
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_and_a_host() {
        for ok in ["https://up.example.vn/api/push/abc?status=up", " http://[fd00::1]:3001/x\n", "https://u:p@h/"] {
            assert!(web_address(ok).is_ok(), "{ok}");
        }
        for (bad, why) in [
            ("up.example.vn/api", BadWebAddress::NoUrl),
            ("https://", BadWebAddress::NoUrl),
            ("https://h:0/", BadWebAddress::NoUrl),
            ("ftp://h/x", BadWebAddress::Scheme),
            ("file:///etc/passwd", BadWebAddress::Scheme),
            ("https://h/x#y", BadWebAddress::Fragment),
        ] {
            assert_eq!(web_address(bad), Err(why), "{bad}");
        }
    }

    #[test]
    fn a_token_goes_into_a_header_and_is_not_guessed() {
        assert_eq!(bearer("abc", false), Ok("abc"));
        assert_eq!(bearer("abc", true), Err(BadToken::Short));
        assert_eq!(bearer("0123456789abcdef", true), Ok("0123456789abcdef"));
        for bad in ["", "a b", "a\nb", "mật-khẩu"] {
            assert_eq!(bearer(bad, false), Err(BadToken::Form), "{bad:?}");
        }
    }
}
