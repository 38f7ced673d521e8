//! The picture of the tasks as the html report draws it: coordinates as text, titles and
//! labels.

use std::collections::BTreeMap;

use super::human;
use super::picture::{self, Bar};
use super::summary::Summary;
use crate::store::Millis;

pub(super) struct Drawing {
    pub(super) height: String,
    pub(super) left: String,
    pub(super) right: String,
    pub(super) bottom: String,
    pub(super) scale_y: String,
    pub(super) bars: Vec<DrawnBar>,
    /// Place of the line, its label's place and anchor, the label.
    pub(super) ticks: Vec<(String, &'static str, String)>,
    pub(super) caption: String,
}

pub(super) struct DrawnBar {
    pub(super) x: String,
    pub(super) y: String,
    pub(super) width: String,
    pub(super) height: String,
    pub(super) end: &'static str,
    pub(super) title: String,
    /// Height of the text's base line, and the text; where there is room for one.
    pub(super) label: Option<(String, String)>,
}

pub(super) fn drawing(summary: &Summary, sources: &BTreeMap<u32, String>) -> Option<Drawing> {
    let picture = picture::draw(&summary.intervals, summary.started, summary.finished)?;
    let bars = picture.bars.iter().map(|bar| {
        let source = sources.get(&bar.interval.task.0).map_or("", String::as_str);
        drawn_bar(bar, source, summary.started, picture.has_labels)
    });
    let ticks = picture.ticks.iter().map(|tick| {
        let anchor = match tick.at {
            0 => "start",
            _ if tick.x > 960.0 => "end",
            _ => "middle",
        };
        (length(tick.x), anchor, human::duration(tick.at))
    });
    Some(Drawing {
        height: length(picture.height),
        left: length(picture.left),
        right: length(picture.right),
        bottom: length(picture.bottom),
        scale_y: length(picture.bottom + 16.0),
        bars: bars.collect(),
        ticks: ticks.collect(),
        caption: format!(
            "{}, up to {} at once; time since the start of the run",
            human::counted(summary.intervals.len() as u64, "task", "tasks"),
            human::count(picture.at_once as u64)
        ),
    })
}

fn drawn_bar(bar: &Bar, source: &str, run_started: Millis, has_label: bool) -> DrawnBar {
    let interval = &bar.interval;
    DrawnBar {
        x: length(bar.x),
        y: length(bar.y),
        width: length(bar.width),
        height: length(bar.height),
        end: interval.end.name(),
        title: format!(
            "task {} {source}: {}, {} from {}",
            interval.task,
            interval.end.name(),
            human::duration(interval.finished - interval.started),
            human::duration(interval.started - run_started),
        ),
        label: has_label.then(|| {
            let base_line = bar.y + bar.height / 2.0 + 4.0;
            (length(base_line), label(interval.task.0, source))
        }),
    }
}

/// Task and the end of its source, as far as there is room.
fn label(task: u32, source: &str) -> String {
    const ROOM: usize = 24;
    let prefix = format!("{task}  ");
    let room = ROOM.saturating_sub(prefix.len());
    let source = source.trim_end_matches('/');
    let too_many = source.chars().count().saturating_sub(room);
    match too_many {
        0 => format!("{prefix}{source}"),
        n => {
            let end: String = source.chars().skip(n + 1).collect();
            format!("{prefix}…{end}")
        }
    }
}

/// A number of the picture: short, and never in exponents.
pub(super) fn length(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::{label, length};

    #[test]
    fn numbers_and_labels_are_short() {
        assert_eq!(length(12.0), "12");
        assert_eq!(length(12.346), "12.35");
        assert_eq!(length(0.0), "0");
        assert_eq!(label(3, "/mnt/x/"), "3  /mnt/x");
        let long = label(12, "/mnt/csi-data-gfs/lidar/all/samples/camera_1/");
        assert_eq!(long, "12  …ll/samples/camera_1");
        assert!(long.chars().count() <= 25);
    }
}
