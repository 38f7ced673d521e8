//! Where notices go. Whoever knows such a URL can post with it: it is a secret, and what is shown of it is
//! its [`WebUrl::origin`].

use std::fmt;

use super::scalar::{FromScalar, Scalar};
use super::value::Secret;
use crate::choice::Choice;

/// What a notice tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoticeKind {
    /// A task has ended.
    Task,
    /// The run is over.
    Run,
    /// A target is full.
    Paused,
    /// There is room again.
    Resumed,
}

impl NoticeKind {
    pub const ALL: [Self; 4] = [Self::Task, Self::Run, Self::Paused, Self::Resumed];

    pub fn name(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Run => "run",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
        }
    }
}

impl Choice for NoticeKind {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("task", NoticeKind::Task),
        ("run", NoticeKind::Run),
        ("paused", NoticeKind::Paused),
        ("resumed", NoticeKind::Resumed),
    ];
}

/// A receiver of notices as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    pub url: WebUrl,
    pub on: Vec<NoticeKind>,
}

/// An `http://` or `https://` URL that holds a token. Printed, it is its origin.
#[derive(Clone, PartialEq, Eq)]
pub struct WebUrl {
    whole: Secret,
    origin: String,
}

impl WebUrl {
    /// None: it is no such URL.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "http" && scheme != "https" {
            return None;
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return None;
        }
        let authority = rest.split(['/', '?', '#']).next()?;
        // What comes before the @ may be a password.
        let host = authority.rsplit('@').next()?;
        is_host_and_port(host).then(|| Self {
            whole: Secret::new(text),
            origin: format!("{scheme}://{}", host.to_ascii_lowercase()),
        })
    }

    /// The URL itself, for the one who posts to it.
    pub fn expose(&self) -> &str {
        self.whole.expose()
    }

    /// Scheme, host and port: all that may be shown.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

/// A name, an IPv4 address or an IPv6 address in brackets, and perhaps a port.
fn is_host_and_port(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_name = |name: &str| {
        name.bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
    };
    let is_host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && is_name(host),
    };
    is_host && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

impl fmt::Debug for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

impl FromScalar for WebUrl {
    const IS_TEXT: bool = true;

    fn expected() -> String {
        "a URL http://HOST… or https://HOST…".into()
    }

    fn from_scalar(scalar: Scalar) -> Result<Self, Scalar> {
        match &scalar {
            Scalar::Text(text) => Self::parse(text.trim()).ok_or(scalar),
            _ => Err(scalar),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{NoticeKind, WebUrl};
    use crate::config::{Parsed, parse};
    use std::path::Path;

    const LEAST: &str =
        "global_config: {source_fs_types: [any], target_fs_types: [any], tasks_file: t}\n";

    fn read(more: &str) -> Result<Parsed, String> {
        parse(format!("{LEAST}{more}").as_bytes(), Path::new("c.yaml")).map_err(|e| e.to_string())
    }

    #[test]
    fn of_a_url_only_scheme_and_host_are_shown() {
        for (text, shown) in [
            (
                "https://open.feishu.cn/hook/CANARY",
                "https://open.feishu.cn",
            ),
            ("HTTP://Host:8080?token=CANARY", "http://host:8080"),
            ("https://user:CANARY@host/x", "https://host"),
            ("http://[::1]:80/CANARY", "http://[::1]:80"),
            ("http://10.0.0.1#CANARY", "http://10.0.0.1"),
        ] {
            let url = WebUrl::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(url.expose(), text);
            assert_eq!(
                (format!("{url}"), format!("{url:?}")),
                (shown.into(), shown.into())
            );
        }
    }

    #[test]
    fn what_is_no_url_is_none() {
        for text in [
            "",
            "feishu_url",
            "http://",
            "https:///x",
            "ftp://h/x",
            "http://h h/",
            "http://h:x/",
            "http://h:70000",
            "http://[::g]/",
            "http://ü/",
            "http://a@/x",
        ] {
            assert_eq!(WebUrl::parse(text), None, "{text}");
        }
    }

    #[test]
    fn webhooks_are_told_of_everything_or_of_what_they_name() {
        let config = read(
            "notify:\n  - webhook: https://a/CANARY\n  - webhook: http://b/x\n    on: [Run, paused]\n",
        )
        .unwrap()
        .config;
        assert_eq!(config.notify[0].on, NoticeKind::ALL);
        assert_eq!(config.notify[1].on, [NoticeKind::Run, NoticeKind::Paused]);
        assert!(!format!("{config:?}").contains("CANARY"));
        assert_eq!(read("notify: []").unwrap().config.notify, []);
    }

    #[test]
    fn mistakes_in_webhooks_are_told_with_their_line_and_without_the_url() {
        for (text, expected) in [
            (
                "notify:\n  - webhook: CANARY\n",
                "c.yaml:3:14: notify.webhook is text, expected a URL http://HOST… or https://HOST…",
            ),
            (
                "notify:\n  - webhook: http://h/CANARY\n    on: [task, end]\n",
                "c.yaml:4:16: notify.on is 'end', expected task, run, paused or resumed",
            ),
            (
                "notify:\n  - webhook: http://h/CANARY\n    on: task\n",
                "c.yaml:4:9: notify.on is text, expected a list of words",
            ),
            (
                "notify:\n  - url: http://h/CANARY\n",
                "c.yaml:3:5: unknown key 'url' in notify, expected one of webhook, on",
            ),
            (
                "notify: http://h/CANARY\n",
                "c.yaml:2:9: notify is text, expected a list, each entry after a '-'",
            ),
            (
                "notify:\n  - on: [task]\n",
                "notify.webhook is missing, expected the URL that notices are posted to",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{error}\ninstead of\n{expected}");
            assert!(!error.contains("CANARY"), "{error}");
        }
    }
}
