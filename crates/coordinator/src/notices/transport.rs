//! Posting over HTTP and HTTPS.
//!
//! Redirects are not followed: the URL is for its host alone, and a post that is redirected would arrive as
//! something else. Errors name their kind in our words, since the URL stands in the library's. Proxies are taken
//! from the usual variables. Trusted are the roots of the machine, so that those of a company count; where it has
//! none, those of Mozilla.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use model::config::WebUrl;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Error};

/// Of an answer no more is read.
const MAX_ANSWER: u64 = 64 << 10;

/// Where distributions keep the roots that they trust.
const ROOTS: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PostError {
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
    #[error("the post could not be made")]
    Other,
}

/// Posts JSON; everything together takes no longer than `limit`.
pub(super) trait Transport: Send + Sync {
    fn post(&self, url: &WebUrl, body: &[u8], limit: Duration) -> Result<Answer, PostError>;
}

pub(super) struct Https {
    agent: Agent,
}

impl Https {
    pub(super) fn new() -> Self {
        let tls = TlsConfig::builder().root_certs(roots()).build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .max_idle_connections(0)
            .user_agent(concat!("data-migrate/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            agent: config.into(),
        }
    }
}

impl Transport for Https {
    fn post(&self, url: &WebUrl, body: &[u8], limit: Duration) -> Result<Answer, PostError> {
        let request = self.agent.post(url.expose());
        let mut response = request
            .content_type("application/json; charset=utf-8")
            .config()
            .timeout_global(Some(limit))
            .build()
            .send(body)
            .map_err(kind)?;
        let status = response.status().as_u16();
        let answer = response.body_mut().with_config().limit(MAX_ANSWER);
        match answer.read_to_vec() {
            Ok(body) => Ok(Answer { status, body }),
            // Whatever it goes on to say, it has taken the notice or not.
            Err(Error::BodyExceedsLimit(_)) => Ok(Answer {
                status,
                body: Vec::new(),
            }),
            Err(error) => Err(kind(error)),
        }
    }
}

fn kind(error: Error) -> PostError {
    match error {
        Error::Timeout(_) => PostError::Timeout,
        Error::HostNotFound => PostError::UnknownHost,
        Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => PostError::Timeout,
        // What rustls finds wrong, in its words: it knows the host's name, not the URL.
        Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            PostError::Tls(error.to_string())
        }
        Error::Io(error) => PostError::Connection(error.kind()),
        Error::ConnectionFailed => PostError::Connection(io::ErrorKind::NotConnected),
        Error::Tls(what) => PostError::Tls(what.to_owned()),
        Error::Rustls(error) => PostError::Tls(error.to_string()),
        Error::Protocol(_) => PostError::NoHttp,
        _ => PostError::Other,
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
