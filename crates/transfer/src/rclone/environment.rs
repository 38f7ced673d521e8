//! Which variables an rclone process gets: it is started with an empty environment and these.
//!
//! rclone takes every option from `RCLONE_*` variables too, so a variable that somebody set for
//! other work could change which files are copied, what counts as success, or where a remote
//! is. Passed is therefore only what is listed here: what a process needs, and tuning that
//! changes neither files nor results. Any other `RCLONE_*` variable is refused by name, so that
//! its owner learns of it.
//!
//! No secret is passed: no listed name may hold one, and where the value of a listed name can
//! (a proxy's password, a debug setting that prints headers) it is looked at. Values are shown
//! nowhere.

use std::ffi::{OsStr, OsString};
use std::fmt;

/// What any program needs: where its tools, caches and certificates are, how times are local
/// (`RCLONE_BWLIMIT` can be a timetable), and how much memory and how many cores Go may use.
#[rustfmt::skip]
const NEEDED: &[&str] = &[
    "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_CACHE_HOME", "LANG", "LC_ALL", "TZ",
    "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "GOMAXPROCS", "GOGC", "GOMEMLIMIT",
];

/// Passed unless they hold a user and a password.
const PROXIES: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"];

/// Options of rclone itself, without `RCLONE_`.
#[rustfmt::skip]
const TUNING: &[&str] = &[
    "BIND", "BUFFER_SIZE", "BWLIMIT", "BWLIMIT_FILE", "CACHE_DIR", "CA_CERT", "CHECKERS",
    "CONTIMEOUT", "DISABLE_HTTP2", "DISABLE_HTTP_KEEP_ALIVES", "DSCP", "EXPECT_CONTINUE_TIMEOUT",
    "FAST_LIST", "LIST_CUTOFF", "LOW_LEVEL_RETRIES", "MAX_BACKLOG", "MAX_BUFFER_MEMORY",
    "MULTI_THREAD_CHUNK_SIZE", "MULTI_THREAD_CUTOFF", "MULTI_THREAD_STREAMS",
    "MULTI_THREAD_WRITE_BUFFER_SIZE", "NO_CHECK_CERTIFICATE", "STREAMING_UPLOAD_CUTOFF",
    "TEMP_DIR", "TIMEOUT", "TPSLIMIT", "TPSLIMIT_BURST", "TRANSFERS", "USER_AGENT", "USE_MMAP",
];

/// Options of backends, without `RCLONE_`: sizes of parts, how many at a time, and waiting.
/// Limits of connections are left out, for rclone can lock up under them.
#[rustfmt::skip]
const BACKEND_TUNING: &[&str] = &[
    "AZUREBLOB_CHUNK_SIZE", "AZUREBLOB_COPY_CONCURRENCY", "AZUREBLOB_COPY_CUTOFF",
    "AZUREBLOB_LIST_CHUNK", "AZUREBLOB_UPLOAD_CONCURRENCY", "AZUREFILES_CHUNK_SIZE",
    "AZUREFILES_UPLOAD_CONCURRENCY", "B2_CHUNK_SIZE", "B2_COPY_CUTOFF", "B2_UPLOAD_CONCURRENCY",
    "B2_UPLOAD_CUTOFF", "BOX_LIST_CHUNK", "BOX_UPLOAD_CUTOFF", "DRIVE_CHUNK_SIZE",
    "DRIVE_LIST_CHUNK", "DRIVE_PACER_BURST", "DRIVE_PACER_MIN_SLEEP", "DRIVE_UPLOAD_CUTOFF",
    "DROPBOX_CHUNK_SIZE", "DROPBOX_PACER_MIN_SLEEP", "FTP_CLOSE_TIMEOUT", "FTP_IDLE_TIMEOUT",
    "FTP_SHUT_TIMEOUT", "LOCAL_NO_PREALLOCATE", "LOCAL_NO_SPARSE", "ONEDRIVE_CHUNK_SIZE",
    "ONEDRIVE_LIST_CHUNK", "ONEDRIVE_UPLOAD_CUTOFF", "OOS_CHUNK_SIZE", "OOS_COPY_CUTOFF",
    "OOS_UPLOAD_CONCURRENCY", "OOS_UPLOAD_CUTOFF", "QINGSTOR_CHUNK_SIZE",
    "QINGSTOR_UPLOAD_CONCURRENCY", "QINGSTOR_UPLOAD_CUTOFF", "S3_CHUNK_SIZE", "S3_COPY_CUTOFF",
    "S3_LIST_CHUNK", "S3_MAX_UPLOAD_PARTS", "S3_UPLOAD_CONCURRENCY", "S3_UPLOAD_CUTOFF",
    "SFTP_CHUNK_SIZE", "SFTP_CONCURRENCY", "SFTP_DISABLE_CONCURRENT_READS",
    "SFTP_DISABLE_CONCURRENT_WRITES", "SFTP_IDLE_TIMEOUT", "SMB_IDLE_TIMEOUT", "SWIFT_CHUNK_SIZE",
    "WEBDAV_NEXTCLOUD_CHUNK_SIZE", "WEBDAV_PACER_MIN_SLEEP",
];

/// Where the config file is: read by us, not by the process, which is given a file of its own.
const CONFIG: &str = "RCLONE_CONFIG";

/// The whole environment of an rclone process, and what was kept from it.
pub(crate) struct Environment {
    pub(crate) passed: Vec<(OsString, OsString)>,
    /// Names of the variables that were set and would have meant something, in order.
    pub(crate) refused: Vec<String>,
}

impl Environment {
    pub(crate) fn from_vars(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Environment {
        let mut passed = Vec::new();
        let mut refused = Vec::new();
        for (name, value) in vars {
            match decide(&name.to_string_lossy(), &value) {
                Decision::Pass => passed.push((name, value)),
                Decision::Refuse => refused.push(name.to_string_lossy().into_owned()),
                Decision::Ignore => {}
            }
        }
        refused.sort_unstable();
        Environment { passed, refused }
    }
}

/// Shows no value.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passed: Vec<_> = self.passed.iter().map(|(name, _)| name).collect();
        f.debug_struct("Environment")
            .field("passed", &passed)
            .field("refused", &self.refused)
            .finish()
    }
}

enum Decision {
    Pass,
    Refuse,
    /// It means nothing to rclone, or would be a credential that nobody asked to hand on.
    Ignore,
}

fn decide(name: &str, value: &OsStr) -> Decision {
    let holds = |part: &str| value.to_string_lossy().contains(part);
    let pass_unless = |is_unsafe: bool| match is_unsafe {
        true => Decision::Refuse,
        false => Decision::Pass,
    };
    if PROXIES.contains(&name) {
        return pass_unless(holds("@"));
    }
    match name.strip_prefix("RCLONE_") {
        Some(option) => match TUNING.contains(&option) || BACKEND_TUNING.contains(&option) {
            true => Decision::Pass,
            false if name == CONFIG => Decision::Ignore,
            false => Decision::Refuse,
        },
        // It makes Go print the headers of requests, and the tokens in them.
        None if name == "GODEBUG" => pass_unless(holds("http2debug")),
        None if NEEDED.contains(&name) => Decision::Pass,
        None => Decision::Ignore,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    use super::{BACKEND_TUNING, Environment, NEEDED, PROXIES, TUNING};

    fn environment(vars: &[(&str, &str)]) -> Environment {
        let owned = |text: &str| OsString::from(text);
        Environment::from_vars(vars.iter().map(|(name, value)| (owned(name), owned(value))))
    }

    #[test]
    fn only_needs_and_tuning_are_passed() {
        let [pass, refuse, ignore] = ["pass", "refuse", "ignore"];
        for (name, value, decided) in [
            ("PATH", "/usr/bin", pass),
            ("HTTPS_PROXY", "http://proxy:3128", pass),
            ("https_proxy", "http://me:canary@proxy:3128", refuse),
            ("GODEBUG", "netdns=go", pass),
            ("GODEBUG", "netdns=go,http2debug=2", refuse),
            ("RCLONE_BUFFER_SIZE", "64M", pass),
            ("RCLONE_S3_UPLOAD_CONCURRENCY", "8", pass),
            ("RCLONE_CONFIG", "/etc/rclone.conf", ignore),
            ("RCLONE_CONFIG_S3_TYPE", "s3", refuse),
            ("RCLONE_CONFIG_PASS", "canary", refuse),
            ("RCLONE_PASSWORD_COMMAND", "cat canary", refuse),
            ("RCLONE_LOG_LEVEL", "DEBUG", refuse),
            ("RCLONE_DUMP", "auth", refuse),
            ("RCLONE_EXCLUDE", "*.tmp", refuse),
            ("RCLONE_MAX_SIZE", "1G", refuse),
            ("RCLONE_DRY_RUN", "true", refuse),
            ("RCLONE_RETRIES", "1", refuse),
            ("RCLONE_DISABLE", "move", refuse),
            ("RCLONE_HEADER", "Authorization: canary", refuse),
            ("RCLONE_LOCAL_ENCODING", "None", refuse),
            ("RCLONE_LOCAL_NO_CHECK_UPDATED", "true", refuse),
            ("RCLONE_S3_SECRET_ACCESS_KEY", "canary", refuse),
            ("RCLONE_CHUNK_SIZE", "5M", refuse),
            ("RCLONE_", "", refuse),
            ("AWS_SECRET_ACCESS_KEY", "canary", ignore),
            ("SSH_AUTH_SOCK", "/run/agent", ignore),
            ("LD_PRELOAD", "canary.so", ignore),
            ("rclone_dry_run", "true", ignore),
        ] {
            let environment = environment(&[(name, value)]);
            let is = match (&environment.passed[..], &environment.refused[..]) {
                ([(passed, kept)], []) if passed == name && kept == value => pass,
                ([], [refused]) if refused == name => refuse,
                ([], []) => ignore,
                _ => panic!("{environment:?}"),
            };
            assert_eq!(is, decided, "{name}");
        }
    }

    #[test]
    fn no_name_that_is_passed_can_hold_a_secret() {
        let lists = [NEEDED, PROXIES, TUNING, BACKEND_TUNING];
        for name in lists.into_iter().flatten() {
            for secret in ["KEY", "SECRET", "PASS", "TOKEN", "AUTH", "CREDENTIAL"] {
                assert!(!name.contains(secret), "{name}");
            }
        }
    }

    #[test]
    fn refused_names_are_in_order_and_no_value_is_shown() {
        let environment = environment(&[
            ("RCLONE_VERBOSE", "canary"),
            ("TZ", "canary"),
            ("RCLONE_DRY_RUN", "canary"),
        ]);
        assert_eq!(environment.refused, ["RCLONE_DRY_RUN", "RCLONE_VERBOSE"]);
        assert!(!format!("{environment:?}").contains("canary"));
    }

    #[test]
    fn a_name_that_is_no_text_is_refused_too() {
        let name = OsString::from_vec(b"RCLONE_\xff".to_vec());
        let environment = Environment::from_vars([(name, OsString::new())]);
        assert_eq!(environment.refused, ["RCLONE_\u{fffd}"]);
    }
}
