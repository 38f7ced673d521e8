//! How entries are compared and copied: what a config or the flags of `copy` ask of the engine.

use serde::{Deserialize, Serialize};

use crate::choice::Choice;
use crate::filter::Filter;

/// Declares an enum whose values are written as words.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$inner:meta])* $word:literal $value:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[$inner])* $value,)* }

        impl Choice for $name {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, $name::$value)),*];
        }
    };
}

choice! {
    /// When a final name may appear.
    Durability {
        /// At once. A power cut may leave files under their final names whose content is lost.
        "none" None,
        /// When the content of a whole batch has been synced.
        #[default]
        "batch" Batch,
        /// When the file's own content has been synced.
        "file" File,
    }
}

choice! {
    /// How it is told that a file at the target has the source's content already.
    Compare {
        /// By size and modification time.
        #[default]
        "mtime" Mtime,
        /// By size alone.
        "size" Size,
        /// By size and a full read of both sides.
        "checksum" Checksum,
        /// Not at all: every file is copied.
        "always" Always,
    }
}

choice! {
    /// What becomes of an entry whose attributes the target can't hold.
    MetadataPolicy {
        /// It is copied, and each loss is counted and named.
        #[default]
        "best" Best,
        /// It fails, and is not published.
        "strict" Strict,
    }
}

choice! {
    /// What becomes of FIFOs, sockets and device nodes.
    Specials {
        #[default]
        "skip" Skip,
        /// They are made anew. Device nodes need a privileged user.
        "copy" Copy,
    }
}

choice! {
    /// What becomes of holes in files.
    Sparse {
        /// They stay holes.
        #[default]
        "auto" Auto,
        /// They are written as zeros.
        "never" Never,
    }
}

choice! {
    /// What is done about a directory at the target where the source has something else, and the reverse.
    Conflicts {
        /// The entry fails, and the target keeps what it has.
        #[default]
        "fail" Fail,
        /// What is in the way is removed, a directory with all that it holds.
        "replace" Replace,
    }
}

choice! {
    /// What is looked at after a file was copied, before it gets its name.
    Verify {
        #[default]
        "none" None,
        /// The target's size.
        "size" Size,
        /// All bytes: both sides are read in full, the target from its storage.
        "checksum" Checksum,
    }
}

/// One thing that is kept of an entry besides its kind and content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// Permissions with setuid, setgid and sticky.
    Mode,
    /// Owner and group, by number.
    Owner,
    /// The modification time.
    Times,
    /// The access time. It is carried over and never compared.
    Atime,
    /// Extended attributes, file capabilities among them.
    Xattrs,
    /// POSIX ACLs, access and default.
    Acls,
    /// That several names are one file.
    Links,
}

impl Choice for Attribute {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("mode", Attribute::Mode),
        ("owner", Attribute::Owner),
        ("times", Attribute::Times),
        ("atime", Attribute::Atime),
        ("xattrs", Attribute::Xattrs),
        ("acls", Attribute::Acls),
        ("links", Attribute::Links),
    ];
}

/// A set of [`Attribute`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Preserve(u8);

impl Preserve {
    pub const ALL: Preserve = Preserve(0x7f);
    pub const NOTHING: Preserve = Preserve(0);

    pub fn of(attributes: impl IntoIterator<Item = Attribute>) -> Self {
        let bits = attributes.into_iter().map(Self::bit);
        Self(bits.fold(0, |all, bit| all | bit))
    }

    fn bit(attribute: Attribute) -> u8 {
        1 << attribute as u8
    }

    pub fn keeps(self, attribute: Attribute) -> bool {
        self.0 & Self::bit(attribute) != 0
    }

    #[must_use]
    pub fn without(self, attribute: Attribute) -> Self {
        Self(self.0 & !Self::bit(attribute))
    }

    /// Those that are in the set, in their own order.
    pub fn attributes(self) -> impl Iterator<Item = Attribute> {
        Attribute::WORDS
            .iter()
            .map(|&(_, attribute)| attribute)
            .filter(move |&attribute| self.keeps(attribute))
    }
}

impl Default for Preserve {
    fn default() -> Self {
        Self::ALL
    }
}

/// What concerns one copy, whoever runs it. The same for all tasks of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CopyOptions {
    pub compare: Compare,
    /// Leave files alone that are newer at the target.
    pub update: bool,
    /// Change nothing; count what would be copied.
    pub dry_run: bool,
    pub preserve: Preserve,
    pub metadata: MetadataPolicy,
    pub specials: Specials,
    pub sparse: Sparse,
    pub conflicts: Conflicts,
    pub verify: Verify,
    pub durability: Durability,
    /// What is left out.
    pub filter: Filter,
}

impl CopyOptions {
    pub fn keeps(&self, attribute: Attribute) -> bool {
        self.preserve.keeps(attribute)
    }
}

#[cfg(test)]
mod tests {
    use super::{Attribute, Choice, Compare, Preserve};

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        let set = Preserve::of([Attribute::Times, Attribute::Mode]);
        let words: Vec<_> = set.attributes().map(Choice::word).collect();
        assert_eq!(words, ["mode", "times"]);
        assert!(!set.without(Attribute::Times).keeps(Attribute::Times));
        assert_eq!(Preserve::of(Preserve::ALL.attributes()), Preserve::ALL);
        assert_eq!(Preserve::of([]), Preserve::NOTHING);
    }

    #[test]
    fn a_word_is_read_in_any_case() {
        assert_eq!(Compare::from_word("MTime"), Some(Compare::Mtime));
        assert_eq!(Compare::from_word("time"), None);
        assert_eq!(Compare::Checksum.word(), "checksum");
        assert_eq!(Compare::expected(), "mtime, size, checksum or always");
    }
}
