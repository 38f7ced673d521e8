//! The worker's own `rclone.conf`, and the private part of it that one rclone process gets.
//!
//! A process gets the sections of the remotes it works on and those that they refer to, each
//! line as it was written, so that no other credential lies in a second place. Values are shown
//! nowhere: not in an error, not by `Debug`.
//!
//! Three things of rclone's format reach beyond a section, and are followed: a section `a.b`
//! takes from `a` what it does not set, `%(key)s` takes from `DEFAULT`, and settings before the
//! first section belong to `DEFAULT` (`conf.go` of `goconfig`; tried with rclone 1.60.1, 1.75.2).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use super::config_line::ConfigLine;
use super::remote_name::{remote_name, split_list};

/// What an encrypted file begins with, after comments; the number of its format follows.
const ENCRYPTED: &str = "RCLONE_ENCRYPT_V";
const DEFAULT: &str = "DEFAULT";

#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    #[error(
        "a remote needs rclone's config file, and there is none: expected it where RCLONE_CONFIG says, or in \
         ~/.config/rclone/rclone.conf"
    )]
    NoFile,
    #[error(
        "{}: the remote {remote} sets {key}, which would change what rclone does in general: take it out",
        path.display()
    )]
    General {
        path: PathBuf,
        remote: String,
        key: String,
    },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "{} is encrypted and nobody is there to type its password: take the password off with \
         `rclone config` (s, then u), or name a copy without one in RCLONE_CONFIG",
        path.display()
    )]
    Encrypted { path: PathBuf },
    #[error("{}, line {line}: bytes that are no UTF-8", path.display())]
    NotText { path: PathBuf, line: usize },
    #[error("{}, line {line}: neither [remote] nor key = value", path.display())]
    Malformed { path: PathBuf, line: usize },
    #[error("{} has no remote {}", path.display(), names.join(", "))]
    Missing { path: PathBuf, names: Vec<String> },
}

/// What a config file says, in memory only.
pub(crate) struct ConfigFile {
    path: PathBuf,
    /// In the order of the file; a section that is opened twice has two.
    parts: Vec<Part>,
}

struct Part {
    section: String,
    settings: Vec<Setting>,
}

struct Setting {
    key: String,
    value: String,
    /// The whole line, as it was.
    line: String,
}

impl ConfigFile {
    pub(crate) fn read(path: &Path) -> Result<ConfigFile, ConfigFileError> {
        let bytes = fs::read(path).map_err(|source| ConfigFileError::Read {
            path: path.to_owned(),
            source,
        })?;
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        match std::str::from_utf8(bytes) {
            Ok(text) => ConfigFile::parse(path, text),
            Err(error) => {
                let before = &bytes[..error.valid_up_to()];
                Err(ConfigFileError::NotText {
                    path: path.to_owned(),
                    line: 1 + before.iter().filter(|&&byte| byte == b'\n').count(),
                })
            }
        }
    }

    fn parse(path: &Path, text: &str) -> Result<ConfigFile, ConfigFileError> {
        let path = path.to_owned();
        let mut parts = vec![Part::new(DEFAULT)];
        let mut is_first = true;
        for (index, line) in text.split('\n').enumerate() {
            if is_first && line.trim().starts_with(ENCRYPTED) {
                return Err(ConfigFileError::Encrypted { path });
            }
            match ConfigLine::parse(line) {
                Some(ConfigLine::Nothing) => continue,
                Some(ConfigLine::Section(name)) => parts.push(Part::new(name)),
                Some(ConfigLine::Setting { key, value }) => {
                    let setting = Setting {
                        key: key.to_owned(),
                        value: value.to_owned(),
                        line: line.to_owned(),
                    };
                    let last = parts.last_mut().expect("begins with a part");
                    last.settings.push(setting);
                }
                None => {
                    let line = index + 1;
                    return Err(ConfigFileError::Malformed { path, line });
                }
            }
            is_first = false;
        }
        if parts[0].settings.is_empty() {
            parts.remove(0);
        }
        Ok(ConfigFile { path, parts })
    }

    /// The type of a remote's backend, such as `s3`. `None`: no such remote, or it says none.
    pub(crate) fn backend(&self, remote: &str) -> Option<&str> {
        self.value(remote, "type")
    }

    /// The text of a config file that holds `remotes` and what they refer to, and no other
    /// section. It holds their secrets. References of inline remotes (`:backend,option:`) are
    /// not followed.
    pub(crate) fn sections_of(&self, remotes: &[&str]) -> Result<String, ConfigFileError> {
        let mut waiting: Vec<String> = remotes.iter().map(|name| (*name).to_owned()).collect();
        let mut wanted = BTreeSet::new();
        while let Some(name) = waiting.pop() {
            if !wanted.contains(&name) {
                waiting.extend(self.needs(&name));
                wanted.insert(name);
            }
        }
        let missing = wanted.iter().filter(|name| !self.has(name));
        let names: Vec<String> = missing.cloned().collect();
        if !names.is_empty() {
            let path = self.path.clone();
            return Err(ConfigFileError::Missing { path, names });
        }
        for name in &wanted {
            self.refuse_general_settings(name)?;
        }
        let mut text = String::new();
        for part in &self.parts {
            if wanted.contains(&part.section) {
                text.extend(["[", &part.section, "]\n"]);
                let lines = part.settings.iter().map(|setting| &setting.line);
                text.extend(lines.flat_map(|line| [line, "\n"]));
            }
        }
        Ok(text)
    }

    /// Newer versions take `override.dry_run = true` in a section for a flag of the command line.
    fn refuse_general_settings(&self, section: &str) -> Result<(), ConfigFileError> {
        let is_general = |key: &str| key.starts_with("override.") || key.starts_with("global.");
        match self
            .settings(section)
            .find(|setting| is_general(&setting.key))
        {
            None => Ok(()),
            Some(setting) => Err(ConfigFileError::General {
                path: self.path.clone(),
                remote: section.to_owned(),
                key: setting.key.clone(),
            }),
        }
    }

    /// Sections without which `section` would not mean the same.
    fn needs(&self, section: &str) -> Vec<String> {
        let mut names: Vec<String> = self.references(section).collect();
        if let Some(parent) = parent(section).filter(|parent| self.has(parent)) {
            names.push(parent.to_owned());
        }
        let uses_default = |setting: &Setting| setting.value.contains("%(");
        if self.settings(section).any(uses_default) && self.has(DEFAULT) {
            names.push(DEFAULT.to_owned());
        }
        names
    }

    /// Remotes that `section` is made of: `remote` of alias, cache, chunker, compress, crypt,
    /// hasher and archive, `upstreams` of union and combine.
    fn references(&self, section: &str) -> impl Iterator<Item = String> {
        let mut locations = Vec::new();
        locations.extend(self.value(section, "remote").map(str::to_owned));
        let upstreams = self.value(section, "upstreams").unwrap_or_default();
        let is_combine = self.backend(section) == Some("combine");
        locations.extend(split_list(upstreams).into_iter().map(|upstream| {
            match upstream.split_once('=') {
                // Of `directory=remote:path`.
                Some((_, location)) if is_combine => location.to_owned(),
                _ => upstream,
            }
        }));
        let name = |location: String| remote_name(&location).map(str::to_owned);
        locations.into_iter().filter_map(name)
    }

    /// The last word on `key`: of the section, else of its parent.
    fn value(&self, section: &str, key: &str) -> Option<&str> {
        if !self.has(section) {
            return None;
        }
        let of_key = self.settings(section).filter(|setting| setting.key == key);
        match of_key.last() {
            Some(setting) => Some(&setting.value),
            None => self.value(parent(section)?, key),
        }
    }

    fn has(&self, section: &str) -> bool {
        self.parts.iter().any(|part| part.section == section)
    }

    fn settings(&self, section: &str) -> impl Iterator<Item = &Setting> {
        let parts = self
            .parts
            .iter()
            .filter(move |part| part.section == section);
        parts.flat_map(|part| &part.settings)
    }
}

/// Shows no value.
impl fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sections: Vec<_> = self.parts.iter().map(|part| &part.section).collect();
        f.debug_struct("ConfigFile")
            .field("path", &self.path)
            .field("sections", &sections)
            .finish_non_exhaustive()
    }
}

impl Part {
    fn new(section: &str) -> Part {
        Part {
            section: section.to_owned(),
            settings: Vec::new(),
        }
    }
}

/// The section that speaks where `section` does not.
fn parent(section: &str) -> Option<&str> {
    section.rsplit_once('.').map(|(parent, _)| parent)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::ConfigFile;

    /// Every value that is a secret is `canary`.
    const CONFIG: &str = "\
# rclone config
[s3]
type = s3
secret_access_key =   canary = # ;  \r
[files]
type = sftp
pass = canary
[coded]
type = crypt
remote = s3:bucket/dir
; pass = canary
password = `canary`
[both]
type = union
upstreams = coded:a \"files:b c:ro\" /local
[tree]
type = combine
upstreams = x=both: y=:local:/tmp
[files.slow]
chunk_size = 1k
[loop]
type = alias
remote = loop:
[torn]
type = alias
remote = gone:
[s3]
region = eu-1
[named]
type = alias
remote = %(base)s/x
[DEFAULT]
base = files:
";

    fn parse(text: &str) -> Result<ConfigFile, String> {
        ConfigFile::parse(Path::new("rclone.conf"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn the_private_part_is_what_the_remotes_need_and_no_more() {
        let s3 = "[s3]\ntype = s3\nsecret_access_key =   canary = # ;  \r\n";
        let files = "[files]\ntype = sftp\npass = canary\n";
        let coded = "[coded]\ntype = crypt\nremote = s3:bucket/dir\npassword = `canary`\n";
        let both = "[both]\ntype = union\nupstreams = coded:a \"files:b c:ro\" /local\n";
        let tree = "[tree]\ntype = combine\nupstreams = x=both: y=:local:/tmp\n";
        let slow = "[files.slow]\nchunk_size = 1k\n";
        let more = "[s3]\nregion = eu-1\n";
        let named = "[named]\ntype = alias\nremote = %(base)s/x\n";
        let default = "[DEFAULT]\nbase = files:\n";
        let config = parse(CONFIG).unwrap();
        for (remotes, parts) in [
            (&[][..], &[][..]),
            (&["files"], &[files]),
            (&["s3"], &[s3, more]),
            (&["coded", "s3", "coded"], &[s3, coded, more]),
            (&["tree"], &[s3, files, coded, both, tree, more]),
            (&["files.slow"], &[files, slow]),
            (&["loop"], &["[loop]\ntype = alias\nremote = loop:\n"]),
            (&["named"], &[named, default]),
        ] {
            let text = config.sections_of(remotes).unwrap();
            assert_eq!(text, parts.concat(), "{remotes:?}");
            let again = parse(&text).unwrap();
            assert_eq!(again.sections_of(remotes).unwrap(), text);
        }
    }

    #[test]
    fn a_missing_section_is_named() {
        let config = parse(CONFIG).unwrap();
        for (remotes, message) in [
            (&["torn"][..], "rclone.conf has no remote gone"),
            (&["S3", "s3", "a.b"], "rclone.conf has no remote S3, a.b"),
        ] {
            let error = config.sections_of(remotes).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn the_backend_is_the_one_that_rclone_would_use() {
        let config = parse(&format!("{CONFIG}[s3]\ntype: b2\n")).unwrap();
        for (remote, backend) in [
            ("files", Some("sftp")),
            ("files.slow", Some("sftp")),
            ("s3", Some("b2")),
            ("DEFAULT", None),
            ("files.slow.x", None),
            ("gone", None),
        ] {
            assert_eq!(config.backend(remote), backend, "{remote}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_used_says_where_and_shows_no_value() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rclone.conf");
        for (bytes, message) in [
            (
                &b"# Encrypted rclone configuration File\n\nRCLONE_ENCRYPT_V0:\ncanary"[..],
                " is encrypted",
            ),
            (b"[s3]\npass = canary\ncanary\n", ", line 3: neither"),
            (b"[s3]\n\npass = canary\xff\n", ", line 3: bytes"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let error = ConfigFile::read(&path).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(
                shown.contains(message) && !shown.contains("canary"),
                "{shown}"
            );
        }
        std::fs::write(&path, "\u{feff}top = canary\n[s3]\ntype = s3").unwrap();
        let config = ConfigFile::read(&path).unwrap();
        assert_eq!(config.backend("s3"), Some("s3"));
        assert!(!format!("{config:?}").contains("canary"));
        let error = ConfigFile::read(directory.path()).unwrap_err();
        assert!(error.to_string().starts_with("cannot read /"));
    }

    #[test]
    fn settings_that_change_what_rclone_does_in_general_are_refused() {
        for key in ["override.dry_run", "global.log_level"] {
            let text = format!("[a]\ntype = local\n{key} = x\n[b]\ntype = local\n");
            let config = ConfigFile::parse(Path::new("rclone.conf"), &text).unwrap();
            let error = config.sections_of(&["a"]).unwrap_err().to_string();
            assert!(error.contains(key) && error.contains("remote a"), "{error}");
            config.sections_of(&["b"]).unwrap();
        }
    }
}
