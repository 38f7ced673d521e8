//! Numbers that are to be reached.

use crate::measure::Series;
use crate::tools::Tool;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Times,
    MebiBytes,
    RequestsPerFile,
    Percent,
}

impl Unit {
    fn show(self, value: f64, decimals: usize) -> String {
        match self {
            Self::Times => format!("{value:.decimals$}×"),
            Self::MebiBytes => format!("{value:.decimals$} MiB"),
            Self::RequestsPerFile => format!("{value:.decimals$} a file"),
            Self::Percent => format!("{value:.decimals$} %"),
        }
    }
}

pub(crate) struct Goal {
    pub(crate) what: String,
    bound: Bound,
    unit: Unit,
    /// None where what it needs was not measured.
    value: Option<f64>,
}

impl Goal {
    pub(crate) fn new(
        what: impl Into<String>,
        bound: Bound,
        unit: Unit,
        value: Option<f64>,
    ) -> Self {
        Self {
            what: what.into(),
            bound,
            unit,
            value,
        }
    }

    /// So many times faster is `ours` than `other`, by medians.
    pub(crate) fn faster(series: &[Series], ours: Tool, other: Tool, wanted: f64) -> Self {
        let what = format!("{} against {}", ours.title(), other.title());
        let value = ratio(median(series, other), median(series, ours));
        Self::new(what, Bound::AtLeast(wanted), Unit::Times, value)
    }

    /// The same against the faster of the two rclones.
    pub(crate) fn faster_than_rclone(series: &[Series], ours: Tool, wanted: f64) -> Self {
        let rclones = series.iter().filter(|one| one.tool.is_rclone());
        let best = rclones
            .filter_map(Series::median_seconds)
            .min_by(f64::total_cmp);
        let what = format!("{} against the best rclone", ours.title());
        let value = ratio(best, median(series, ours));
        Self::new(what, Bound::AtLeast(wanted), Unit::Times, value)
    }

    /// `ours` takes at most so many times as long as `other`.
    pub(crate) fn time(series: &[Series], ours: Tool, other: Tool, wanted: f64) -> Self {
        let what = format!("{} against {}: time", ours.title(), other.title());
        let value = ratio(median(series, ours), median(series, other));
        Self::new(what, Bound::AtMost(wanted), Unit::Times, value)
    }

    /// The most memory that the process had.
    pub(crate) fn peak(what: impl Into<String>, wanted_mib: u64, bytes: Option<u64>) -> Self {
        let value = bytes.map(|bytes| bytes as f64 / 1_048_576.0);
        Self::new(
            what,
            Bound::AtMost(wanted_mib as f64),
            Unit::MebiBytes,
            value,
        )
    }

    pub(crate) fn is_met(&self) -> bool {
        match (self.value, self.bound) {
            (None, _) => false,
            (Some(value), Bound::AtLeast(wanted)) => value >= wanted,
            (Some(value), Bound::AtMost(wanted)) => value <= wanted,
        }
    }

    pub(crate) fn wanted(&self) -> String {
        let (sign, value) = match self.bound {
            Bound::AtLeast(value) => ('≥', value),
            Bound::AtMost(value) => ('≤', value),
        };
        let text = match self.unit {
            Unit::Times => format!("{value}×"),
            Unit::MebiBytes => format!("{value} MiB"),
            Unit::RequestsPerFile => format!("{value} a file"),
            Unit::Percent => format!("{value} %"),
        };
        format!("{sign} {text}")
    }

    pub(crate) fn measured(&self) -> String {
        let Some(value) = self.value else {
            return "–".to_owned();
        };
        let (Bound::AtLeast(wanted) | Bound::AtMost(wanted)) = self.bound;
        let fewest = if self.unit == Unit::MebiBytes { 1 } else { 2 };
        // As many as tell it from the bound, if it missed that.
        let looks_met = |decimals| {
            let [shown, bound] = [value, wanted].map(|n| self.unit.show(n, decimals));
            !self.is_met() && shown == bound
        };
        let decimals = (fewest..fewest + 3).find(|decimals| !looks_met(*decimals));
        self.unit.show(value, decimals.unwrap_or(fewest + 3))
    }

    pub(crate) fn verdict(&self) -> &'static str {
        match (self.value, self.is_met()) {
            (None, _) => "not measured",
            (_, true) => "met",
            (_, false) => "**missed**",
        }
    }
}

pub(crate) fn median(series: &[Series], tool: Tool) -> Option<f64> {
    find(series, tool)?.median_seconds()
}

pub(crate) fn find(series: &[Series], tool: Tool) -> Option<&Series> {
    series.iter().find(|one| one.tool == tool)
}

fn ratio(over: Option<f64>, under: Option<f64>) -> Option<f64> {
    Some(over? / under?)
}

#[cfg(test)]
mod tests {
    use super::{Bound, Goal, Unit};

    #[test]
    fn a_bound_itself_is_met_and_what_was_not_measured_is_not() {
        let goal = |bound, value| Goal::new("x", bound, Unit::Times, value);
        for (bound, value, is_met) in [
            (Bound::AtLeast(1.5), Some(1.5), true),
            (Bound::AtLeast(1.5), Some(1.49), false),
            (Bound::AtMost(1.1), Some(1.1), true),
            (Bound::AtMost(1.1), Some(1.2), false),
            (Bound::AtMost(1.1), None, false),
        ] {
            assert_eq!(goal(bound, value).is_met(), is_met, "{bound:?} {value:?}");
        }
        assert_eq!(goal(Bound::AtLeast(5.8), None).wanted(), "≥ 5.8×");
        assert_eq!(goal(Bound::AtLeast(5.8), Some(6.0)).measured(), "6.00×");
        assert_eq!(goal(Bound::AtLeast(5.8), Some(5.8)).measured(), "5.80×");
        assert_eq!(goal(Bound::AtLeast(5.8), Some(5.7979)).measured(), "5.798×");
    }
}
