//! What is on one side or on both.

use storage::posix::{Error, Side};

use super::Unseen;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sides<T> {
    /// Of the source, of the target.
    Both(T, T),
    Source(T),
    Target(T),
}

impl<T> Sides<T> {
    pub(super) fn as_ref(&self) -> Sides<&T> {
        match self {
            Sides::Both(source, target) => Sides::Both(source, target),
            Sides::Source(source) => Sides::Source(source),
            Sides::Target(target) => Sides::Target(target),
        }
    }

    pub(super) fn map<U>(self, mut change: impl FnMut(T) -> U) -> Sides<U> {
        match self {
            Sides::Both(source, target) => Sides::Both(change(source), change(target)),
            Sides::Source(source) => Sides::Source(change(source)),
            Sides::Target(target) => Sides::Target(change(target)),
        }
    }

    /// The same of each side, or what is wrong with the first that has it not.
    pub(super) fn try_map<U>(
        self,
        mut change: impl FnMut(T) -> Result<U, Error>,
    ) -> Result<Sides<U>, Unseen> {
        let mut on = |side, it| change(it).map_err(|error| Unseen::new(side, &error));
        Ok(match self {
            Sides::Both(source, target) => {
                Sides::Both(on(Side::Source, source)?, on(Side::Target, target)?)
            }
            Sides::Source(source) => Sides::Source(on(Side::Source, source)?),
            Sides::Target(target) => Sides::Target(on(Side::Target, target)?),
        })
    }
}

impl Sides<()> {
    /// The source first.
    pub(super) fn each(self) -> impl Iterator<Item = Side> {
        let sides: &[Side] = match self {
            Sides::Both((), ()) => &[Side::Source, Side::Target],
            Sides::Source(()) => &[Side::Source],
            Sides::Target(()) => &[Side::Target],
        };
        sides.iter().copied()
    }
}
