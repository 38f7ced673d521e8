//! One object put into one bucket, and why it could not be, in words that hold no key, no signature and no URL.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, IdentityCache, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    StalledStreamProtectionConfig,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ObjectCannedAcl;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use model::config::Acl;

use super::connector;
use super::destination::Destination;
use super::key::Key;
use crate::https::NoAnswer;

/// Why an object is not there.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadError {
    #[error("cannot read {path}")]
    File { path: PathBuf, source: io::Error },
    #[error("{0}")]
    NoAnswer(NoAnswer),
    #[error("HTTP status {status}{}", reason(code))]
    Answered { status: u16, code: String },
}

/// S3's code, and what it means for the one who runs this.
fn reason(code: &str) -> String {
    let meaning = match code {
        "" => return String::new(),
        "SignatureDoesNotMatch" | "InvalidAccessKeyId" => {
            ": the keys of s3_config are not accepted"
        }
        "AccessDenied" => ": the keys of s3_config may not write there",
        "NoSuchBucket" => ": there is no such bucket",
        "RequestTimeTooSkewed" => ": this machine's clock differs from the server's",
        "QuotaExceeded" | "XMinioStorageFull" | "InsufficientStorage" => ": it is full",
        "EntityTooLarge" => ": the object is too large",
        "PermanentRedirect" | "AuthorizationHeaderMalformed" => ": the region is another one",
        _ => "",
    };
    format!(" {code}{meaning}")
}

impl UploadError {
    /// Whether this object is at fault, and another may well be taken.
    pub(super) fn is_of_object(&self) -> bool {
        match self {
            UploadError::File { .. } => true,
            UploadError::NoAnswer(_) => false,
            UploadError::Answered { status, code } => {
                *status == 413 || matches!(code.as_str(), "EntityTooLarge" | "KeyTooLongError")
            }
        }
    }

    /// Whether waiting alone hardly mends it.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            UploadError::File { .. } => false,
            UploadError::NoAnswer(why) => matches!(why, NoAnswer::Tls(_)),
            UploadError::Answered { status, .. } => {
                (300..500).contains(status) && !matches!(status, 408 | 425 | 429)
            }
        }
    }
}

/// How an object gets to where it belongs.
pub(super) trait Target: Send {
    /// Puts the file there under the key. Blocks, for a limited time.
    fn put(&self, key: &Key, file: &Path) -> Result<(), UploadError>;
}

pub(super) struct Bucket {
    client: Client,
    name: String,
    acl: Option<ObjectCannedAcl>,
    runtime: tokio::runtime::Runtime,
}

impl Bucket {
    pub(super) fn new(destination: &Destination) -> io::Result<Self> {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&destination.endpoint)
            .region(Region::new(destination.region.clone()))
            .credentials_provider(destination.credentials.clone())
            .identity_cache(IdentityCache::no_cache())
            .force_path_style(true)
            .http_client(connector::client(destination.certificate))
            // Tries and their limits are ours.
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            // Older servers know none of the newer checksums.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build();
        Ok(Self {
            client: Client::from_conf(config),
            name: destination.bucket.clone(),
            acl: (destination.acl == Acl::PublicRead).then_some(ObjectCannedAcl::PublicRead),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()?,
        })
    }
}

impl Target for Bucket {
    fn put(&self, key: &Key, file: &Path) -> Result<(), UploadError> {
        self.runtime.block_on(async {
            let body = ByteStream::from_path(file).await;
            let body = body.map_err(|error| UploadError::File {
                path: file.to_owned(),
                source: io::Error::other(error),
            })?;
            let request = self
                .client
                .put_object()
                .bucket(&self.name)
                .key(key.as_str());
            let request = request
                .content_type(key.content_type())
                .set_acl(self.acl.clone());
            match request.body(body).send().await {
                Ok(_) => Ok(()),
                Err(error) => Err(explained(&error)),
            }
        })
    }
}

fn explained(error: &SdkError<PutObjectError, HttpResponse>) -> UploadError {
    let answered = |answer: &HttpResponse, code: Option<&str>| UploadError::Answered {
        status: answer.status().as_u16(),
        code: code
            .filter(|code| is_code(code))
            .unwrap_or_default()
            .to_owned(),
    };
    match error {
        SdkError::ServiceError(error) => answered(error.raw(), error.err().code()),
        SdkError::ResponseError(error) => answered(error.raw(), None),
        SdkError::DispatchFailure(failure) => {
            let source = failure
                .as_connector_error()
                .and_then(|error| error.source());
            let why = source.and_then(|source| source.downcast_ref::<NoAnswer>());
            UploadError::NoAnswer(why.cloned().unwrap_or(NoAnswer::Other))
        }
        _ => UploadError::NoAnswer(NoAnswer::Other),
    }
}

/// A word, and nothing that a server might have put there to be shown.
fn is_code(text: &str) -> bool {
    text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.')
}

#[cfg(test)]
mod tests;
