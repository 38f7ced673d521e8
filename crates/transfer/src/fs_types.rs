//! What is known of the types of file systems, by their magic numbers as in statfs(2).

use storage::posix::kernel_is_since;

/// ext2 and ext3 too.
const EXT4: u64 = 0xef53;
const XFS: u64 = 0x5846_5342;
const BTRFS: u64 = 0x9123_683e;
const TMPFS: u64 = 0x0102_1994;
const F2FS: u64 = 0xf2f5_2010;
const ZFS: u64 = 0x2fc1_2fc1;
const NFS: u64 = 0x6969;
const LUSTRE: u64 = 0x0bd0_0bd0;
const GPFS: u64 = 0x4750_4653;
const OVERLAYFS: u64 = 0x794c_7630;
const CEPH: u64 = 0x00c3_6400;

/// Whether a call waits for no other machine, and no other process.
pub(crate) fn is_local(fs_magic: u64) -> bool {
    matches!(fs_magic, EXT4 | XFS | BTRFS | TMPFS | F2FS | ZFS)
}

/// Whether each change that follows a look at a file's times gets a time of its own.
pub(crate) fn is_finely_timed(fs_magic: u64) -> bool {
    kernel_is_since(6, 13) && matches!(fs_magic, EXT4 | XFS | BTRFS | TMPFS)
}

/// Whether syncfs on this type of file system reaches the disk, and tells of errors. On
/// FUSE it doesn't reach the daemon, on SMB not the server's disk, of other types we don't know, and
/// kernels before 5.8 don't tell: each file is synced there.
pub(crate) fn is_synced_as_a_whole(fs_magic: u64) -> bool {
    kernel_is_since(5, 8)
        && matches!(
            fs_magic,
            EXT4 | XFS | BTRFS | TMPFS | NFS | LUSTRE | GPFS | F2FS | ZFS | OVERLAYFS | CEPH
        )
}

/// Whether names that differ are two names, whatever the directory. Others may fold upper and lower case together, or
/// different ways to write a letter; ext4 does so in directories that are marked.
pub(crate) fn tells_names_apart(fs_magic: u64) -> bool {
    matches!(fs_magic, XFS | BTRFS | TMPFS | NFS | LUSTRE | GPFS | CEPH)
}

/// Whether it folds names only in directories that are marked.
pub(crate) fn marks_what_it_folds(fs_magic: u64) -> bool {
    matches!(fs_magic, EXT4 | F2FS)
}

/// Whether errors of writing come late, at fsync or close, while an fsync costs no more than the
/// close would: then it is the fsync that is asked, since what close answers gets lost.
pub(crate) fn reports_errors_at_close(fs_magic: u64) -> bool {
    fs_magic == NFS
}
