//! Carries the requests of the S3 library with the HTTP client that this program has anyway, so that there is one set
//! of trusted roots, proxies and errors, and no second TLS library.
//!
//! Each request is made on a thread that may block. Its body is read as it is sent, so that a large file is never
//! in memory as a whole. A request takes no longer than its size allows: a server that hangs is left in time.

use std::io::{self, Read};
use std::time::Duration;

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use tokio::runtime::Handle;
use ureq::{Agent, SendBody, http};

use crate::https::{self, Certificate, NoAnswer};

/// From the first byte to be sent to the last of the answer, for what is small.
const TRY: Duration = Duration::from_secs(60);
/// More time for what is large.
const SLOWEST_BYTES_A_SECOND: u64 = 256 << 10;
const CONNECT: Duration = Duration::from_secs(10);
/// Of an answer no more is read.
const MAX_ANSWER: u64 = 1 << 20;

pub(super) fn client(certificate: Certificate) -> SharedHttpClient {
    let connector = SharedHttpConnector::new(Connector {
        agent: https::agent(certificate),
    });
    http_client_fn(move |_, _| connector.clone())
}

#[derive(Debug)]
struct Connector {
    agent: Agent,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let agent = self.agent.clone();
        let runtime = Handle::current();
        HttpConnectorFuture::new(async move {
            let call = tokio::task::spawn_blocking(move || exchange(&agent, request, runtime));
            let answer = call.await.unwrap_or(Err(NoAnswer::Other));
            answer.map_err(|why| ConnectorError::other(why.into(), None))
        })
    }
}

fn exchange(
    agent: &Agent,
    request: HttpRequest,
    runtime: Handle,
) -> Result<HttpResponse, NoAnswer> {
    let request = request.try_into_http1x().map_err(|_| NoAnswer::Other)?;
    let limit = limit(&request);
    let request = request.map(|body| {
        SendBody::from_owned_reader(Body {
            stream: ByteStream::new(body),
            piece: io::Cursor::default(),
            runtime,
        })
    });
    let configured = agent.configure_request(request);
    let request = configured
        .timeout_global(Some(limit))
        .timeout_connect(Some(CONNECT))
        .build();
    let (parts, mut body) = agent.run(request)?.into_parts();
    let bytes = body.with_config().limit(MAX_ANSWER).read_to_vec()?;
    let answer = http::Response::from_parts(parts, SdkBody::from(bytes));
    HttpResponse::try_from(answer).map_err(|_| NoAnswer::NoHttp)
}

fn limit<B>(request: &http::Request<B>) -> Duration {
    let length = request.headers().get(http::header::CONTENT_LENGTH);
    let bytes: u64 = length
        .and_then(|length| length.to_str().ok()?.parse().ok())
        .unwrap_or(0);
    TRY + Duration::from_secs(bytes / SLOWEST_BYTES_A_SECOND)
}

/// The body of a request for one who reads and waits.
struct Body {
    stream: ByteStream,
    piece: io::Cursor<Vec<u8>>,
    runtime: Handle,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.piece.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            match self.runtime.block_on(self.stream.next()) {
                Some(piece) => {
                    self.piece = io::Cursor::new(piece.map_err(io::Error::other)?.to_vec())
                }
                None => return Ok(0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{http, limit};
    use std::time::Duration;

    #[test]
    fn what_is_large_has_more_time() {
        for (length, secs) in [
            (None, 60),
            (Some("1000"), 60),
            (Some("1073741824"), 60 + 4096),
        ] {
            let mut request = http::Request::put("/");
            if let Some(length) = length {
                request = request.header("content-length", length);
            }
            let request = request.body(()).unwrap();
            assert_eq!(limit(&request), Duration::from_secs(secs));
        }
    }
}
