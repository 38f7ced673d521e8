//! File-system types: by which names a config may mean one, and whether a location's type is
//! among the named.
//!
//! This is the guard that keeps a missing mount from filling the disk beneath it, so a name
//! matches only what it says: the kernel's number, the older tool's name for that number, or the
//! type in the mount table. Unknown names are kept, since the mount table may have them.

mod known;
#[cfg(test)]
mod tests;

use known::{FUSE, KNOWN, KNOWN_WITHOUT_NUMBER, LOCAL_FUSE, NETWORK};

/// What statfs and the mount table say of one location.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FsType {
    /// statfs's `f_type`, in the 32 bits that the kernel means.
    pub magic: u64,
    /// As in mountinfo: `nfs4`, `fuse.sshfs`; none where it could not be found.
    pub mount_type: Option<String>,
}

impl FsType {
    /// Takes `f_type` as statfs gives it, which is sign-extended on some machines.
    pub fn new(magic: u64, mount_type: Option<String>) -> Self {
        Self {
            magic: magic & 0xFFFF_FFFF,
            mount_type,
        }
    }

    /// The older tool's name, ours where it knew none, else `unknown (0x…)`.
    pub fn name(&self) -> String {
        match known(self.magic) {
            Some((_, name, _)) => (*name).to_owned(),
            None => format!("unknown (0x{:x})", self.magic),
        }
    }

    /// Everything that a configured name may say to mean this type, in lower case, best first.
    pub fn names(&self) -> Vec<String> {
        let mut names = vec![self.name()];
        let mount_type = self.mount_type.as_deref().map(str::to_ascii_lowercase);
        if let Some((_, _, others)) = known(self.magic) {
            // All versions of NFS have one number; where the mount table was read, it tells 4.
            let is_told = mount_type.is_some() && self.magic == 0x6969;
            names.extend(
                others
                    .iter()
                    .filter(|_| !is_told)
                    .map(|other| (*other).to_owned()),
            );
        }
        names.push(format!("unknown (0x{:x})", self.magic));
        names.push(format!("0x{:x}", self.magic));
        // The mount table's type of FUSE is `fuse.SUBTYPE`. The sub-type alone means nothing: any
        // user may mount something under the name of a disk's file system.
        names.extend(mount_type);
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names
    }

    /// Whether other machines may hold or change its files; unknown types count as such.
    pub fn is_network(&self) -> bool {
        let mount_type = self.mount_type.as_deref().map(str::to_ascii_lowercase);
        let is_fuse =
            self.magic == FUSE || mount_type.as_deref().is_some_and(|t| t.starts_with("fuse"));
        if is_fuse {
            return !mount_type.is_some_and(|t| LOCAL_FUSE.contains(&t.as_str()));
        }
        let is_listed = |name: &str| NETWORK.contains(&name);
        match known(self.magic) {
            Some((_, name, _)) => is_listed(name) || mount_type.is_some_and(|t| is_listed(&t)),
            None => true,
        }
    }
}

fn known(magic: u64) -> Option<&'static (u64, &'static str, &'static [&'static str])> {
    KNOWN.iter().find(|(number, _, _)| *number == magic)
}

/// The types of file system that one side of a run may lie on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedTypes {
    /// In lower case, numbers as `0x…`; empty: any.
    names: Vec<String>,
}

impl AllowedTypes {
    /// Takes configured names, in any case; warns of names that it does not know. No names at
    /// all allow nothing.
    pub fn parse(names: &[String]) -> (Self, Vec<String>) {
        let mut warnings = Vec::new();
        let mut allowed = Vec::new();
        for written in names {
            let name = plain(written);
            if !is_known(&name) {
                warnings.push(format!(
                    "file-system type '{}' is not known: it matches a mount of just that type",
                    written.trim().escape_debug()
                ));
            }
            allowed.push(name);
        }
        (Self { names: allowed }, warnings)
    }

    /// Whether the guard is off.
    pub fn is_any(&self) -> bool {
        self.names.iter().any(|name| name == "any")
    }

    pub fn allows(&self, actual: &FsType) -> bool {
        self.is_any() || {
            let actual = actual.names();
            self.names.iter().any(|name| actual.contains(name))
        }
    }

    /// Whether a location that is no mount has one of the named types: `s3`, or the backend of
    /// an rclone remote.
    pub fn allows_backend(&self, backend: &str) -> bool {
        self.is_any() || self.names.contains(&plain(backend))
    }

    /// The names, brought into one form.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// Lower case; numbers without `unknown (…)` and leading zeros.
fn plain(written: &str) -> String {
    let name = written.trim().to_ascii_lowercase();
    let number = name
        .strip_prefix("unknown")
        .map(str::trim_start)
        .and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')'))
        .unwrap_or(&name);
    match magic_of(number) {
        Some(magic) => format!("0x{magic:x}"),
        None => name,
    }
}

fn magic_of(number: &str) -> Option<u64> {
    let digits = number.strip_prefix("0x")?;
    let is_number = digits.bytes().all(|b| b.is_ascii_hexdigit());
    is_number.then(|| u64::from_str_radix(digits, 16).ok())?
}

fn is_known(plain: &str) -> bool {
    plain == "any"
        || magic_of(plain).is_some()
        || KNOWN_WITHOUT_NUMBER.contains(&plain)
        || NETWORK.contains(&plain) && plain != "yrfs"
        || plain.starts_with("fuse")
        || KNOWN
            .iter()
            .any(|(_, name, others)| *name == plain || others.contains(&plain))
}
