//! HTTP and HTTPS from here to others: which certificates count, and what went wrong in our words.
//!
//! Trusted are the roots of the machine, so that those of a company count; where it has none, those of Mozilla. No
//! redirect is followed. Errors never hold a URL, which may be a secret, though the library's do. Proxies are taken from
//! the usual variables.

use std::io;
use std::sync::Arc;

use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Error};

/// Where distributions keep the roots that they trust.
const ROOTS: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
];

/// Whether the other side must prove who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Certificate {
    Verified,
    /// Any is taken: whoever is in between can read along.
    Any,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAnswer {
    #[error("no answer in time")]
    Timeout,
    #[error("its host is not known")]
    UnknownHost,
    #[error("no connection: {0}")]
    Connection(io::ErrorKind),
    #[error("no secure connection: {0}")]
    Tls(String),
    #[error("it does not speak HTTP")]
    NoHttp,
    #[error("the request could not be made")]
    Other,
}

/// A client that hands back every answer, whatever its status.
pub(crate) fn agent(certificate: Certificate) -> Agent {
    let tls = TlsConfig::builder()
        .root_certs(roots())
        .disable_verification(certificate == Certificate::Any)
        .build();
    Agent::config_builder()
        .tls_config(tls)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .max_idle_connections(0)
        .user_agent(concat!("data-migrate/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}

impl From<Error> for NoAnswer {
    fn from(error: Error) -> Self {
        match error {
            Error::Timeout(_) => NoAnswer::Timeout,
            Error::HostNotFound => NoAnswer::UnknownHost,
            Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => NoAnswer::Timeout,
            // What rustls finds wrong, in its words: it knows the host's name, not the URL.
            Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                NoAnswer::Tls(error.to_string())
            }
            Error::Io(error) => NoAnswer::Connection(error.kind()),
            Error::ConnectionFailed => NoAnswer::Connection(io::ErrorKind::NotConnected),
            Error::Tls(what) => NoAnswer::Tls(what.to_owned()),
            Error::Rustls(error) => NoAnswer::Tls(error.to_string()),
            Error::Protocol(_) => NoAnswer::NoHttp,
            _ => NoAnswer::Other,
        }
    }
}

fn roots() -> RootCerts {
    let named = std::env::var_os("SSL_CERT_FILE").map(std::path::PathBuf::from);
    let mut files = named.into_iter().chain(ROOTS.map(std::path::PathBuf::from));
    let certificates = files.find_map(|file| {
        let text = std::fs::read(file).ok()?;
        let certificates: Vec<_> = parse_pem(&text)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        (!certificates.is_empty()).then_some(certificates)
    });
    match certificates {
        Some(certificates) => RootCerts::Specific(Arc::new(certificates)),
        None => RootCerts::WebPki,
    }
}
