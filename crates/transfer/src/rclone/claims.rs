//! What rclone says of each name of a list.

use model::RelPath;
use model::found_files::FoundFile;

/// What rclone says of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    Copied,
    /// It was there already and equal.
    Unchanged,
    /// In a dry run.
    WouldCopy,
    /// With `update`: the target is newer.
    Newer,
    /// It was found, and is gone from the source.
    Vanished,
    /// With rclone's message.
    Failed(Box<str>),
}

/// The names of one list with what is said of them so far.
#[derive(Debug, Default)]
pub struct Claims {
    /// Sorted by path, each once.
    files: Vec<FoundFile>,
    claims: Vec<Option<Claim>>,
}

impl Claims {
    pub fn new(mut files: Vec<FoundFile>) -> Self {
        files.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
        files.dedup_by(|a, b| a.path == b.path);
        let claims = vec![None; files.len()];
        Self { files, claims }
    }

    pub fn files(&self) -> &[FoundFile] {
        &self.files
    }

    pub fn of(&self, path: &RelPath) -> Option<&Claim> {
        self.at(self.position(path.as_bytes())?)
    }

    pub(crate) fn at(&self, n: usize) -> Option<&Claim> {
        self.claims.get(n)?.as_ref()
    }

    /// The place of a name in [`Claims::files`].
    pub(crate) fn position(&self, path: &[u8]) -> Option<usize> {
        let at = self
            .files
            .binary_search_by(|file| file.path.as_bytes().cmp(path));
        at.ok()
    }

    /// What is said of the name at this place in [`Claims::files`].
    ///
    /// # Panics
    /// Where there are fewer.
    pub fn set(&mut self, n: usize, claim: Claim) {
        self.claims[n] = Some(claim);
    }

    pub(crate) fn forget(&mut self, n: usize) {
        self.claims[n] = None;
    }

    /// Those of `these` for which `is` holds.
    pub(crate) fn filter(
        &self,
        these: &[usize],
        is: impl Fn(Option<&Claim>) -> bool,
    ) -> Vec<usize> {
        let these = these.iter().copied();
        these.filter(|&n| is(self.at(n))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Claim, Claims};
    use model::RelPath;
    use model::found_files::FoundFile;

    #[test]
    fn each_name_has_one_claim_and_others_have_none() {
        let file = |path: &str| FoundFile {
            path: RelPath::new(path).unwrap(),
            size: Some(1),
        };
        let mut claims = Claims::new(["b", "a/x", "b", "a b"].map(file).to_vec());
        assert_eq!(claims.files().len(), 3);
        let at = claims.position(b"b").unwrap();
        claims.set(at, Claim::Copied);
        let of = |path: &str| claims.of(&RelPath::new(path).unwrap()).cloned();
        assert_eq!(of("b"), Some(Claim::Copied));
        assert_eq!(of("a/x"), None);
        assert_eq!(of("elsewhere"), None);
        assert_eq!(claims.filter(&[0, 1, 2], |claim| claim.is_none()), [0, 1]);
    }
}
