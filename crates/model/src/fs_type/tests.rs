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
        (0x6573_5546, "fuse.xfs", "xfs", false),
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
