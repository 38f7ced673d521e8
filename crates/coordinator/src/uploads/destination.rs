//! Where objects go, as the config says it, and what is missing where it doesn't.
//!
//! Keys come from the config, else from the files that it names, else from the AWS variables of the environment. They
//! are read once, at the start, and held nowhere but here; this type prints nothing of itself.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use aws_sdk_s3::config::Credentials;
use model::config::{Acl, S3Config, Secret, WebUrl};

use crate::https::Certificate;

/// Region where nothing else is said; servers that are not AWS hardly care.
const REGION: &str = "us-east-1";

/// Why an `s3_config` is no destination.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoDestination {
    #[error("s3_config.{0} is not set, or still a placeholder")]
    Missing(&'static str),
    #[error(
        "s3_config has no access_key and secret_key, nor access_key_file and secret_key_file, and the environment has no AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )]
    NoKeys,
    #[error("s3_config.endpoint is no address, expected http://HOST:PORT or https://HOST:PORT")]
    Endpoint,
    #[error("s3_config.bucket is no name of a bucket, expected letters, digits, '.', '-' and '_'")]
    Bucket,
    #[error("cannot read s3_config.{key} {path}")]
    KeyFile {
        key: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("s3_config.{key} {path} is empty, expected a key")]
    EmptyKeyFile { key: &'static str, path: PathBuf },
}

#[derive(Clone)]
pub(super) struct Destination {
    /// With scheme, without a slash at the end.
    pub(super) endpoint: String,
    pub(super) bucket: String,
    pub(super) region: String,
    pub(super) credentials: Credentials,
    pub(super) acl: Acl,
    pub(super) certificate: Certificate,
}

/// Endpoint and bucket, for messages.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.endpoint, self.bucket)
    }
}

impl Destination {
    /// `variable` looks into the environment.
    pub(super) fn resolve(
        config: &S3Config,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, NoDestination> {
        let endpoint = config.endpoint.as_deref();
        let bucket = config.bucket.clone();
        let region = config.region.clone();
        Ok(Self {
            endpoint: address(endpoint.ok_or(NoDestination::Missing("endpoint"))?)?,
            bucket: bucket_name(bucket.ok_or(NoDestination::Missing("bucket"))?)?,
            region: region
                .or_else(|| variable("AWS_REGION").filter(|region| !region.is_empty()))
                .unwrap_or_else(|| REGION.to_owned()),
            credentials: credentials(config, variable)?,
            acl: config.acl,
            certificate: match config.skip_ssl_verify {
                true => Certificate::Any,
                false => Certificate::Verified,
            },
        })
    }
}

/// As the tool before this one took it: without a scheme it is https.
fn address(written: &str) -> Result<String, NoDestination> {
    let written = written.trim().trim_end_matches('/');
    let address = match written.contains("://") {
        true => written.to_owned(),
        false => format!("https://{written}"),
    };
    // A password has no place in what stands in reports.
    let is_plain = !address.contains(['@', '?', '#']);
    match WebUrl::parse(&address) {
        Some(_) if is_plain => Ok(address),
        _ => Err(NoDestination::Endpoint),
    }
}

fn bucket_name(written: String) -> Result<String, NoDestination> {
    let name = written.trim().trim_matches('/');
    let is_name = |c: u8| c.is_ascii_alphanumeric() || b".-_".contains(&c);
    match !name.is_empty() && name.bytes().all(is_name) && !matches!(name, "." | "..") {
        true => Ok(name.to_owned()),
        false => Err(NoDestination::Bucket),
    }
}

fn credentials(
    config: &S3Config,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Credentials, NoDestination> {
    let access = given(
        "access_key_file",
        &config.access_key,
        &config.access_key_file,
    )?;
    let secret = given(
        "secret_key_file",
        &config.secret_key,
        &config.secret_key_file,
    )?;
    let (access, secret, token) = match (access, secret) {
        (Some(access), Some(secret)) => (access, secret, None),
        (Some(_), None) => return Err(NoDestination::Missing("secret_key")),
        (None, Some(_)) => return Err(NoDestination::Missing("access_key")),
        (None, None) => {
            let filled = |name| variable(name).filter(|value| !value.is_empty());
            let access = filled("AWS_ACCESS_KEY_ID").ok_or(NoDestination::NoKeys)?;
            let secret = filled("AWS_SECRET_ACCESS_KEY").ok_or(NoDestination::NoKeys)?;
            (access, secret, filled("AWS_SESSION_TOKEN"))
        }
    };
    Ok(Credentials::new(access, secret, token, None, "config"))
}

fn given(
    key: &'static str,
    written: &Option<Secret>,
    file: &Option<PathBuf>,
) -> Result<Option<String>, NoDestination> {
    match (written, file) {
        (Some(secret), _) => Ok(Some(secret.expose().to_owned())),
        (None, Some(path)) => read_key(key, path).map(Some),
        (None, None) => Ok(None),
    }
}

fn read_key(key: &'static str, path: &Path) -> Result<String, NoDestination> {
    let path_buf = path.to_owned();
    let text = std::fs::read_to_string(path).map_err(|source| NoDestination::KeyFile {
        key,
        path: path_buf,
        source,
    })?;
    match text.trim() {
        "" => Err(NoDestination::EmptyKeyFile {
            key,
            path: path.to_owned(),
        }),
        text => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Destination, NoDestination};
    use model::config::{S3Config, Secret};

    fn config() -> S3Config {
        S3Config {
            access_key: Some(Secret::new("AK")),
            secret_key: Some(Secret::new("SK")),
            endpoint: Some("http://10.0.0.1:80/".to_owned()),
            bucket: Some("test".to_owned()),
            ..S3Config::default()
        }
    }

    fn resolved(config: &S3Config, variables: &[(&str, &str)]) -> Result<Destination, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(given, _)| *given == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Destination::resolve(config, variable).map_err(|error| error.to_string())
    }

    #[test]
    fn an_endpoint_without_a_scheme_is_https() {
        for (written, taken) in [
            ("http://10.0.0.1:80/", "http://10.0.0.1:80"),
            ("s3.example.com:9000", "https://s3.example.com:9000"),
            ("HTTPS://h/prefix/", "HTTPS://h/prefix"),
        ] {
            let config = S3Config {
                endpoint: Some(written.to_owned()),
                ..config()
            };
            assert_eq!(resolved(&config, &[]).unwrap().endpoint, taken);
        }
        for written in [
            "ftp://h",
            "http://u:CANARY@h",
            "http://h?x",
            "a b",
            "http://",
        ] {
            let config = S3Config {
                endpoint: Some(written.to_owned()),
                ..config()
            };
            let error = resolved(&config, &[]).err().unwrap();
            assert!(error.contains("s3_config.endpoint"), "{error}");
            assert!(!error.contains("CANARY"), "{error}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let without = |change: fn(&mut S3Config)| {
            let mut config = config();
            change(&mut config);
            resolved(&config, &[]).err().unwrap()
        };
        let error = without(|c| c.endpoint = None);
        assert!(
            error.starts_with("s3_config.endpoint is not set"),
            "{error}"
        );
        let error = without(|c| c.bucket = None);
        assert!(error.starts_with("s3_config.bucket is not set"), "{error}");
        let error = without(|c| c.bucket = Some("a/b".to_owned()));
        assert!(error.starts_with("s3_config.bucket is no name"), "{error}");
        let error = without(|c| (c.access_key, c.secret_key) = (None, None));
        assert!(error.contains("AWS_ACCESS_KEY_ID"), "{error}");
        let error = without(|c| c.secret_key = None);
        assert!(error.starts_with("s3_config.secret_key"), "{error}");
    }

    #[test]
    fn keys_come_from_the_config_or_files_or_the_environment() {
        let variables = [
            ("AWS_ACCESS_KEY_ID", "env-ak"),
            ("AWS_SECRET_ACCESS_KEY", "env-sk"),
            ("AWS_SESSION_TOKEN", "env-token"),
            ("AWS_REGION", "eu-1"),
        ];
        let of_config = resolved(&config(), &variables).unwrap();
        assert_eq!(of_config.credentials.access_key_id(), "AK");
        assert_eq!(of_config.credentials.session_token(), None);
        let mut without = S3Config {
            access_key: None,
            secret_key: None,
            ..config()
        };
        let of_variables = resolved(&without, &variables).unwrap();
        assert_eq!(of_variables.credentials.secret_access_key(), "env-sk");
        assert_eq!(of_variables.credentials.session_token(), Some("env-token"));
        assert_eq!(of_variables.region, "eu-1");

        let scratch = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = scratch.path().join(name);
            std::fs::write(&path, text).unwrap();
            Some(path)
        };
        without.access_key_file = file("access", "file-ak\n");
        without.secret_key_file = file("secret", " file-sk \n");
        let of_files = resolved(&without, &variables).unwrap();
        assert_eq!(of_files.credentials.access_key_id(), "file-ak");
        assert_eq!(of_files.credentials.secret_access_key(), "file-sk");
        without.secret_key_file = file("secret", "\n");
        let empty = Destination::resolve(&without, |_| None);
        assert!(matches!(empty, Err(NoDestination::EmptyKeyFile { .. })));
        without.secret_key_file = Some(scratch.path().join("gone"));
        let error = resolved(&without, &[]).err().unwrap();
        assert!(error.starts_with("cannot read s3_config.secret_key_file"));
    }
}
