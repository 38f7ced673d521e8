//! The kinds of requests that are told apart, by what the kernel asks for: one request is of one kind.

use std::fmt;

macro_rules! kinds {
    ($($kind:ident $name:literal,)*) => {
        /// A kind of request. FORGET, INIT, DESTROY and INTERRUPT are none.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Op {
            $($kind,)*
        }

        impl Op {
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// As in counts and on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }
        }
    };
}

// SETATTR is told apart by what it sets: a size first, else an owner, else a mode, else times.
kinds! {
    Lookup "lookup",
    Getattr "getattr",
    Readlink "readlink",
    Mkdir "mkdir",
    Mknod "mknod",
    Unlink "unlink",
    Rmdir "rmdir",
    Symlink "symlink",
    Rename "rename",
    Link "link",
    Chmod "chmod",
    Chown "chown",
    Truncate "truncate",
    Utimens "utimens",
    Open "open",
    Create "create",
    Read "read",
    Write "write",
    Flush "flush",
    Release "release",
    Fsync "fsync",
    Opendir "opendir",
    Readdir "readdir",
    Releasedir "releasedir",
    Fsyncdir "fsyncdir",
    Setxattr "setxattr",
    Getxattr "getxattr",
    Listxattr "listxattr",
    Removexattr "removexattr",
    Fallocate "fallocate",
    CopyFileRange "copy_file_range",
    Statfs "statfs",
    Lseek "lseek",
}

/// What a request waits for before it is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delay {
    Metadata,
    Data,
    /// Nobody waits for these answers.
    None,
}

impl Op {
    pub fn delay(self) -> Delay {
        match self {
            Self::Read | Self::Write | Self::CopyFileRange | Self::Fsync => Delay::Data,
            Self::Release | Self::Releasedir => Delay::None,
            _ => Delay::Metadata,
        }
    }

    /// Whether the answer says no more than that it was done.
    pub fn can_be_skipped(self) -> bool {
        matches!(
            self,
            Self::Unlink
                | Self::Rmdir
                | Self::Rename
                | Self::Chmod
                | Self::Chown
                | Self::Truncate
                | Self::Utimens
                | Self::Flush
                | Self::Fsync
                | Self::Fsyncdir
                | Self::Setxattr
                | Self::Removexattr
                | Self::Fallocate
        )
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|op| op.name() == name)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
