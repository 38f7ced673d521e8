//! What may be waiting of one task, so that who idles asks the store for nothing in vain.
//!
//! It errs on one side alone: what was put may be gone, but what waits in the store is known to. A look that finds
//! nothing takes back what was known before it, not what was put while the store was at work.

use crate::store::{Kinds, Millis};
use model::WorkKind;

/// When something happened to any task's stock: each later one has a larger number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Mark(u64);

impl Mark {
    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Stock {
    put: Mark,
    /// Of which kinds some may be there.
    kinds: Vec<WorkKind>,
    /// Of which kinds suspects may be there.
    suspects: Vec<WorkKind>,
    /// When the first of those that wait for their time may be granted.
    due: Option<Millis>,
}

impl Stock {
    /// Nobody has looked yet.
    pub(super) fn unknown(put: Mark) -> Self {
        Self {
            put,
            kinds: Kinds::All.in_order().to_vec(),
            suspects: Kinds::All.in_order().to_vec(),
            due: None,
        }
    }

    /// Some of any kind may have come.
    pub(super) fn put(&mut self, put: Mark) {
        *self = Self {
            due: self.due,
            ..Self::unknown(put)
        };
    }

    /// Suspects, too.
    pub(super) fn may_have_anything(&self, now: Millis) -> bool {
        self.may_have(Kinds::All, now) || !self.suspects.is_empty()
    }

    pub(super) fn may_have(&self, kinds: Kinds, now: Millis) -> bool {
        let mut kinds = kinds.in_order().iter();
        self.is_due(now) || kinds.any(|kind| self.kinds.contains(kind))
    }

    pub(super) fn may_have_suspects(&self, kinds: Kinds, now: Millis) -> bool {
        let mut kinds = kinds.in_order().iter();
        self.is_due(now) || kinds.any(|kind| self.suspects.contains(kind))
    }

    /// Whether time has brought some.
    pub(super) fn is_due(&self, now: Millis) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// A look that began at `since` found fewer than it had room for. `due`: when the first comes whose time has not come.
    pub(super) fn is_out_of(&mut self, kinds: Kinds, since: Mark, due: Option<Millis>) {
        if self.put <= since {
            if self.due != due {
                // What came due is of any kind, and may be suspects.
                self.kinds = Kinds::All.in_order().to_vec();
                self.suspects = Kinds::All.in_order().to_vec();
            }
            self.due = due;
            self.kinds.retain(|kind| !kinds.in_order().contains(kind));
        }
    }

    /// A look that began at `since` found no suspects.
    pub(super) fn is_out_of_suspects(&mut self, kinds: Kinds, since: Mark) {
        if self.put <= since {
            self.suspects
                .retain(|kind| !kinds.in_order().contains(kind));
        }
    }
}

#[cfg(test)]
mod tests {
    use model::WorkKind;

    use super::{Mark, Stock};
    use crate::store::Kinds;

    #[test]
    fn a_look_in_vain_ends_looking_until_something_is_put() {
        let first = Mark::default();
        let mut stock = Stock::unknown(first);
        assert!(stock.may_have(Kinds::All, 0));
        stock.is_out_of(Kinds::All, first, None);
        assert!(!stock.may_have(Kinds::All, i64::MAX));
        stock.put(first.next());
        assert!(stock.may_have(Kinds::Only(WorkKind::Files), 0));
    }

    #[test]
    fn what_is_put_during_a_look_is_not_taken_back_by_it() {
        let began = Mark::default();
        let mut stock = Stock::unknown(began);
        stock.put(began.next());
        stock.is_out_of(Kinds::All, began, None);
        assert!(stock.may_have(Kinds::All, 0));
    }

    #[test]
    fn a_look_for_one_kind_says_nothing_of_the_other() {
        let mut stock = Stock::unknown(Mark::default());
        stock.is_out_of(Kinds::Only(WorkKind::Files), Mark::default(), None);
        assert!(!stock.may_have(Kinds::Only(WorkKind::Files), 0));
        assert!(stock.may_have(Kinds::All, 0));
    }

    #[test]
    fn what_waits_for_its_time_is_there_from_then_on() {
        let mut stock = Stock::unknown(Mark::default());
        stock.is_out_of(Kinds::All, Mark::default(), Some(5));
        assert!(!stock.may_have(Kinds::All, 4));
        assert!(stock.may_have(Kinds::All, 5) && stock.is_due(5));
    }

    #[test]
    fn what_came_due_of_one_kind_is_not_forgotten_by_a_look_for_another() {
        let mut stock = Stock::unknown(Mark::default());
        let [walks, files] = [WorkKind::Walk, WorkKind::Files].map(Kinds::Only);
        stock.is_out_of(walks, Mark::default(), Some(5));
        stock.is_out_of(files, Mark::default(), Some(5));
        assert!(!stock.may_have(walks, 4) && !stock.may_have(files, 4));
        // It made a walk ready.
        stock.is_out_of(files, Mark::default(), None);
        assert!(stock.may_have(walks, 6) && !stock.may_have(files, 6));
    }

    #[test]
    fn a_look_in_vain_for_suspects_ends_looking_until_something_is_put_or_due() {
        let first = Mark::default();
        let mut stock = Stock::unknown(first);
        stock.is_out_of(Kinds::All, first, Some(5));
        stock.is_out_of_suspects(Kinds::All, first);
        assert!(!stock.may_have_suspects(Kinds::All, 4) && stock.may_have_suspects(Kinds::All, 5));
        // Who may have none looked meanwhile.
        stock.is_out_of(Kinds::All, first, None);
        assert!(stock.may_have_suspects(Kinds::All, 6));
        stock.is_out_of_suspects(Kinds::All, first);
        assert!(!stock.may_have_suspects(Kinds::All, 6));
        stock.put(first.next());
        stock.is_out_of_suspects(Kinds::All, first);
        assert!(stock.may_have_suspects(Kinds::All, 6));
    }

    #[test]
    fn a_look_for_suspects_of_one_kind_says_nothing_of_the_other() {
        let mut stock = Stock::unknown(Mark::default());
        let walks = Kinds::Only(WorkKind::Walk);
        stock.is_out_of(Kinds::All, Mark::default(), None);
        stock.is_out_of_suspects(walks, Mark::default());
        assert!(!stock.may_have_suspects(walks, 0));
        assert!(stock.may_have_suspects(Kinds::Only(WorkKind::Files), 0));
    }
}
