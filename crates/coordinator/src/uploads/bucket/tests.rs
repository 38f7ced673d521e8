//! What a server is sent, and what is made of its answers and of none.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread::JoinHandle;

use aws_sdk_s3::config::Credentials;
use model::config::Acl;

use super::{Bucket, NoAnswer, Target, UploadError, is_code};
use crate::https::Certificate;
use crate::uploads::destination::Destination;
use crate::uploads::key::Key;

fn answered(status: u16, code: &str) -> UploadError {
    let code = code.to_owned();
    UploadError::Answered { status, code }
}

#[test]
fn what_a_server_answers_is_told_with_its_meaning() {
    for (error, text, is_refusal) in [
        (
            answered(403, "SignatureDoesNotMatch"),
            "HTTP status 403 SignatureDoesNotMatch: the keys of s3_config are not accepted",
            true,
        ),
        (answered(404, "Odd"), "HTTP status 404 Odd", true),
        (answered(503, "SlowDown"), "HTTP status 503 SlowDown", false),
        (answered(429, ""), "HTTP status 429", false),
        (
            answered(507, "QuotaExceeded"),
            "HTTP status 507 QuotaExceeded: it is full",
            false,
        ),
        (
            UploadError::NoAnswer(NoAnswer::Timeout),
            "no answer in time",
            false,
        ),
    ] {
        let found = (error.to_string(), error.is_refusal());
        assert_eq!(found, (text.to_owned(), is_refusal));
        assert!(!error.is_of_object());
    }
    assert!(answered(400, "EntityTooLarge").is_of_object());
    assert!(answered(413, "").is_of_object());
}

#[test]
fn a_server_s_words_are_not_repeated() {
    assert!(is_code("NoSuchBucket"));
    for text in ["see http://x", "<b>", "a\nb", &"x".repeat(65)] {
        assert!(!is_code(text), "{text}");
    }
}

/// One request, in lines without their ends, and its body.
type Request = (Vec<String>, Vec<u8>);

/// Gives one answer, and hands back what it was sent.
fn server(answer: &'static str) -> (String, JoinHandle<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(&stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let length = value(&lines, "content-length").expect("its length is told");
        let mut body = vec![0; length.parse().unwrap()];
        if value(&lines, "expect").is_some() {
            (&stream)
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                .unwrap();
        }
        reader.read_exact(&mut body).unwrap();
        (&stream).write_all(answer.as_bytes()).unwrap();
        (lines, body)
    });
    (endpoint, serving)
}

fn value<'a>(lines: &'a [String], name: &str) -> Option<&'a str> {
    let headers = lines.iter().filter_map(|line| line.split_once(": "));
    let mut found = headers.filter(|(found, _)| found.eq_ignore_ascii_case(name));
    found.next().map(|(_, value)| value)
}

fn put(endpoint: String, acl: Acl, file: &Path) -> Result<(), UploadError> {
    let destination = Destination {
        endpoint,
        bucket: "test".to_owned(),
        region: "eu-1".to_owned(),
        credentials: Credentials::new("AK", "CANARY", None, None, "test"),
        acl,
        certificate: Certificate::Verified,
    };
    let bucket = Bucket::new(&destination).unwrap();
    bucket.put(&Key::report("r.csv"), file)
}

#[test]
fn an_object_of_any_size_is_sent_as_older_servers_take_it() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("file");
    for (acl, header, bytes) in [
        (Acl::Private, None, 0),
        (Acl::Private, None, 5_000_001),
        (Acl::PublicRead, Some("public-read"), 10),
    ] {
        let content: Vec<u8> = (0..bytes).map(|n: usize| (n % 251) as u8).collect();
        std::fs::write(&file, &content).unwrap();
        let (endpoint, serving) = server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        put(endpoint, acl, &file).unwrap();
        let (lines, body) = serving.join().unwrap();
        assert!(body == content, "what arrives is what was put");
        let first = &lines[0];
        assert!(
            first.starts_with("PUT /test/rclone/reports/r.csv"),
            "{first}"
        );
        assert_eq!(value(&lines, "x-amz-acl"), header);
        assert_eq!(
            value(&lines, "content-type"),
            Some("text/csv; charset=utf-8")
        );
        assert_eq!(value(&lines, "transfer-encoding"), None, "{lines:?}");
        for line in &lines {
            assert!(
                !line.contains("checksum") && !line.contains("aws-chunked"),
                "{line}"
            );
            assert!(!line.contains("CANARY"), "{line}");
        }
    }
}

#[test]
fn answers_and_missing_ones_are_told_apart() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("file");
    std::fs::write(&file, "x").unwrap();
    for (answer, expected) in [
        (
            "HTTP/1.1 403 X\r\nContent-Length: 72\r\n\r\n<Error><Code>AccessDenied</Code><Message>http://CANARY</Message></Error>",
            "HTTP status 403 AccessDenied: the keys of s3_config may not write there",
        ),
        (
            "HTTP/1.1 507 X\r\nContent-Length: 9\r\n\r\nno space\n",
            "HTTP status 507",
        ),
        (
            "HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            "HTTP status 307",
        ),
        ("SSH-2.0-x\r\n", "it does not speak HTTP"),
    ] {
        let (endpoint, serving) = server(answer);
        let error = put(endpoint, Acl::Private, &file).unwrap_err();
        serving.join().unwrap();
        assert_eq!(error.to_string(), expected);
    }
    // Nobody listens there any more.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = put(endpoint, Acl::Private, &file).unwrap_err();
    assert_eq!(error.to_string(), "no connection: connection refused");
    let gone = put(
        "http://127.0.0.1:1".to_owned(),
        Acl::Private,
        Path::new("/gone"),
    );
    assert!(matches!(gone, Err(UploadError::File { .. })), "{gone:?}");
}
