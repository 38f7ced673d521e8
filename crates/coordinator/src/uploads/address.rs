//! How an object is found again: its plain address, and the link that opens it.
//!
//! What is private opens with a link that is signed for seven days, the most that S3 allows; it is made here, without
//! asking the server. Whoever has such a [`Link`] can read: it goes into reports and notices and nowhere else.

use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningError,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::identity::Identity;
use model::config::Acl;

use super::destination::Destination;
use super::key::Key;
use crate::report::Link;

/// How long a signed link opens.
const SIGNED_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

impl Destination {
    /// `endpoint/bucket/key`, as results have always named it.
    pub(super) fn address_of(&self, key: &Key) -> String {
        format!("{self}/{key}")
    }

    /// What opens the object from `now` on; none where it can't be made, which is told.
    pub(super) fn link_to(&self, key: &Key, now: SystemTime) -> Option<Link> {
        let address = format!(
            "{}/{}/{}",
            self.endpoint,
            self.bucket,
            encoded(key.as_str())
        );
        match self.acl {
            Acl::PublicRead => Some(Link::new(address)),
            Acl::Private => match self.signed(&address, now) {
                Ok(link) => Some(link),
                Err(error) => {
                    tracing::warn!("no link to {key} can be signed: {error}");
                    None
                }
            },
        }
    }

    fn signed(&self, address: &str, now: SystemTime) -> Result<Link, SigningError> {
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(SIGNED_FOR);
        let identity = Identity::from(self.credentials.clone());
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(now)
            .settings(settings)
            .build()
            .expect("all that signing needs is given")
            .into();
        let unsigned = SignableBody::UnsignedPayload;
        let request = SignableRequest::new("GET", address, std::iter::empty(), unsigned)?;
        let (instructions, _signature) = sign(request, &params)?.into_parts();
        let query: Vec<String> = instructions
            .params()
            .iter()
            .map(|(name, value)| format!("{name}={}", escaped(value, b"")))
            .collect();
        Ok(Link::new(format!("{address}?{}", query.join("&"))))
    }
}

/// A key as the path of a URL.
fn encoded(key: &str) -> String {
    escaped(key, b"/")
}

/// All but the characters that S3 signs as they are, and those of `also`.
fn escaped(text: &str, also: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also.contains(&byte) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use aws_sdk_s3::config::Credentials;
    use model::config::Acl;

    use super::Destination;
    use crate::https::Certificate;
    use crate::uploads::key::Key;

    /// The example of Amazon's documentation of signatures in the query, but for path style and the time.
    fn destination(acl: Acl) -> Destination {
        Destination {
            endpoint: "http://10.0.0.1:80".to_owned(),
            bucket: "test".to_owned(),
            region: "us-east-1".to_owned(),
            credentials: Credentials::new("AKIAIOSFODNN7EXAMPLE", "CANARY", None, None, "test"),
            acl,
            certificate: Certificate::Verified,
        }
    }

    #[test]
    fn a_private_object_opens_for_seven_days_and_a_public_one_by_its_address() {
        let key = Key::report("data_migrate_results_7.csv");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        let plain = "http://10.0.0.1:80/test/rclone/reports/data_migrate_results_7.csv";
        let public = destination(Acl::PublicRead);
        assert_eq!(public.address_of(&key), plain);
        assert_eq!(public.link_to(&key, now).unwrap().expose(), plain);
        let link = destination(Acl::Private).link_to(&key, now).unwrap();
        let (address, query) = link.expose().split_once('?').unwrap();
        assert_eq!(address, plain);
        for expected in [
            "X-Amz-Algorithm=AWS4-HMAC-SHA256",
            "X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request",
            "X-Amz-Date=20130524T000000Z",
            "X-Amz-Expires=604800",
            "X-Amz-SignedHeaders=host",
            "X-Amz-Signature=",
        ] {
            assert!(query.contains(expected), "{expected}: {query}");
        }
        assert!(!link.expose().contains("CANARY"));
    }
}
