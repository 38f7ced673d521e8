//! File-system types: by which names a config may mean one, and whether a location's type is
//! among the named.
//!
//! This is the guard that keeps a missing mount from filling the disk beneath it, so a name
//! matches only what it says: the kernel's number, the older tool's name for that number, or the
//! type in the mount table. Unknown names are kept, since the mount table may have them.

/// FUSE, behind which anything may lie.
const FUSE: u64 = 0x6573_5546;
const EXT4: u64 = 0xEF53;

/// statfs's number, the name that the older tool shows or that we do, other names.
/// Sources: the older tool's table; `linux/magic.h`; the headers of Lustre, BeeGFS, GFS2 and ZFS.
const KNOWN: &[(u64, &str, &[&str])] = &[
    (EXT4, "ext4", &[]),
    (0xEF51, "ext2", &[]),
    (0xEF52, "ext3", &[]),
    (0x794C_7630, "overlayfs", &["overlay"]),
    (0x6969, "nfs", &["nfs3", "nfs4"]),
    (0x564C, "nfsd", &[]),
    (0x5346_544E, "ntfs", &["ntfs3"]),
    (0x9FA0, "proc", &[]),
    (0x0102_1994, "tmpfs", &[]),
    (0x6175_6673, "aufs", &[]),
    (0x517B, "smb", &["smbfs"]),
    (0xFF53_4D42, "cifs", &["smb"]),
    (0xFE53_4D42, "smb2", &["cifs", "smb", "smb3"]),
    (0x2FC1_2FC1, "zfs", &[]),
    (0x5846_5342, "xfs", &[]),
    (0x9FA1, "sysfs", &[]),
    (0x6265_6572, "sysfs", &[]),
    (0x31384, "yrfs_ec", &[]),
    (0x4750_4653, "gpfs", &[]),
    (0x0BD0_0BD0, "unionfs", &["lustre"]),
    (0x9123_683E, "btrfs", &[]),
    (0x00C3_6400, "cephfs", &["ceph"]),
    (FUSE, "fuse", &[]),
    (0x1983_0326, "beegfs", &[]),
    (0x8584_58F6, "ramfs", &[]),
    (0x7371_7368, "squashfs", &[]),
    (0x0102_1997, "9p", &["v9fs"]),
    (0x7461_636F, "ocfs2", &[]),
    (0x0116_1970, "gfs2", &[]),
    (0xF2F5_2010, "f2fs", &[]),
    (0xE0F5_E1E2, "erofs", &[]),
    (0x5346_414F, "afs", &[]),
    (0x6B41_4653, "afs", &[]),
    (0x9660, "iso9660", &["isofs"]),
    (0x4D44, "vfat", &["msdos"]),
    (0x2011_BAB0, "exfat", &[]),
    (0x0187, "autofs", &[]),
    (0x9584_58F6, "hugetlbfs", &[]),
    (0x5265_4973, "reiserfs", &[]),
    (0x3434, "nilfs2", &[]),
    (0x6462_6720, "debugfs", &[]),
    (0xCA45_1A4E, "bcachefs", &[]),
];

/// Names without a number of their own: types of the mount table, and backends of rclone remotes.
const KNOWN_WITHOUT_NUMBER: &[&str] = &[
    "cpfs",
    "s3",
    "webdav",
    "sftp",
    "ftp",
    "http",
    "azureblob",
    "b2",
    "swift",
    "hdfs",
    "oss",
    "gcs",
    "google cloud storage",
    "drive",
    "dropbox",
    "local",
];

/// Types of the mount table whose files other machines may hold or change.
const NETWORK: &[&str] = &[
    "nfs",
    "nfs3",
    "nfs4",
    "nfsd",
    "smb",
    "smbfs",
    "cifs",
    "smb2",
    "smb3",
    "gpfs",
    "lustre",
    "unionfs",
    "cephfs",
    "ceph",
    "yrfs",
    "yrfs_ec",
    "beegfs",
    "cpfs",
    "9p",
    "v9fs",
    "virtiofs",
    "ocfs2",
    "gfs2",
    "afs",
    "coda",
    "glusterfs",
    "orangefs",
    "pvfs2",
    "wekafs",
    "autofs",
];

/// Sub-types of FUSE that are known to lie on a local disk.
const LOCAL_FUSE: &[&str] = &[
    "fuseblk",
    "fuse.ntfs-3g",
    "fuse.ntfs",
    "fuse.exfat",
    "fuse.fuse2fs",
    "fuse.ext4",
    "fuse.fuse-overlayfs",
    "fuse.zfs",
    "fuse.encfs",
    "fuse.gocryptfs",
    "fuse.bindfs",
];

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
            // smb and cifs are one family, so are the versions of NFS before 4 and the mount
            // table tells 4 apart.
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
        if let Some(mount_type) = mount_type {
            if let Some(sub_type) = mount_type.strip_prefix("fuse.") {
                names.push(sub_type.to_owned());
            }
            names.push(mount_type);
        }
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

#[cfg(test)]
mod tests {
    use super::{AllowedTypes, FsType};

    fn fs(magic: u64, mount_type: &str) -> FsType {
        let mount_type = (!mount_type.is_empty()).then(|| mount_type.to_owned());
        FsType::new(magic, mount_type)
    }

    fn allowed(name: &str) -> (AllowedTypes, Vec<String>) {
        AllowedTypes::parse(&[name.to_owned()])
    }

    #[test]
    fn a_type_has_the_older_tools_name() {
        for (magic, mount_type, expected) in [
            (0xEF53, "ext3", "ext4"),
            (0x794C_7630, "overlay", "overlayfs"),
            (0x31384, "", "yrfs_ec"),
            (0x0BD0_0BD0, "lustre", "unionfs"),
            (0x6573_5546, "fuse.sshfs", "fuse"),
            (0x1234ABCD, "", "unknown (0x1234abcd)"),
            (0xFFFF_FFFF_FF53_4D42, "cifs", "cifs"),
        ] {
            assert_eq!(fs(magic, mount_type).name(), expected);
        }
    }

    #[test]
    fn the_guard_matches_each_name_of_a_type_and_no_other() {
        for (magic, mount_type, name, matches) in [
            (0xEF53, "ext3", "ext4", true),
            (0xEF53, "ext3", "EXT3", true),
            (0xEF53, "ext4", "ext3", false),
            (0xEF53, "ext4", "xfs", false),
            (0x6969, "nfs4", "nfs", true),
            (0x6969, "nfs4", "nfs4", true),
            (0x6969, "nfs", "nfs4", false),
            (0x6969, "", "nfs4", true),
            (0x0BD0_0BD0, "lustre", "lustre", true),
            (0x0BD0_0BD0, "lustre", "unionfs", true),
            (0x6573_5546, "fuse.sshfs", "fuse", true),
            (0x6573_5546, "fuse.sshfs", "fuse.sshfs", true),
            (0x6573_5546, "fuse.sshfs", "fuse.s3fs", false),
            (0x47504653, "gpfs", "unknown (0x47504653)", true),
            (0x47504653, "gpfs", "0x047504653", true),
            (0x1234, "yrfs", "yrfs", true),
            (0x31384, "", "yrfs", false),
            (0x1234, "", "unknown (0x1234)", true),
            (0x1234, "", "unknown (0x1235)", false),
            (0xFE53_4D42, "cifs", "smb2", true),
            (0xFE53_4D42, "cifs", "cifs", true),
            (0x1234, "", "any", true),
            (0x1234, "", "", false),
        ] {
            let actual = fs(magic, mount_type);
            let (types, _) = allowed(name);
            assert_eq!(types.allows(&actual), matches, "{name} for {actual:?}");
        }
        assert!(!AllowedTypes::parse(&[]).0.allows(&fs(0xEF53, "ext4")));
        assert!(allowed("S3").0.allows_backend("s3"));
        assert!(!allowed("xfs").0.allows_backend("s3"));
    }

    #[test]
    fn an_unknown_name_warns_and_any_says_that_it_is_any() {
        for (name, warns) in [
            ("yrfs", true),
            ("etx4", true),
            ("", true),
            ("0xzz", true),
            ("yrfs_ec", false),
            ("cpfs", false),
            ("S3", false),
            ("fuse.sshfs", false),
            ("unknown (0x12)", false),
            ("lustre", false),
        ] {
            let (types, warnings) = allowed(name);
            assert_eq!(!warnings.is_empty(), warns, "{name}");
            assert!(!types.is_any());
        }
        assert!(allowed("Any").0.is_any());
    }

    #[test]
    fn what_may_be_remote_is_not_taken_for_a_local_disk() {
        for (magic, mount_type, expected) in [
            (0xEF53, "ext4", false),
            (0x5846_5342, "xfs", false),
            (0x0102_1994, "tmpfs", false),
            (0x794C_7630, "overlay", false),
            (0x9123_683E, "btrfs", false),
            (0x6969, "nfs4", true),
            (0xFE53_4D42, "cifs", true),
            (0x4750_4653, "gpfs", true),
            (0x0BD0_0BD0, "lustre", true),
            (0x31384, "", true),
            (0x0102_1997, "9p", true),
            (0x6573_5546, "fuse.sshfs", true),
            (0x6573_5546, "", true),
            (0x6573_5546, "fuse.ntfs-3g", false),
            (0x6573_5546, "virtiofs", true),
            (0x1234, "yrfs", true),
        ] {
            let actual = fs(magic, mount_type);
            assert_eq!(actual.is_network(), expected, "{actual:?}");
        }
    }
}
