//! How the tasks ran over time: a bar for each, below a scale of time. Few tasks get a line
//! and a label each; many are packed into lanes, so that the height of the picture is how
//! many ran at once. Only geometry here; the template draws it.

use super::summary::{TaskEnd, TaskInterval};
use crate::store::Millis;

/// All lengths are in units of the picture, which is 1,000 wide.
pub(super) struct Picture {
    pub(super) height: f64,
    /// Where the plot begins, right of the labels.
    pub(super) left: f64,
    pub(super) right: f64,
    /// Where the bars end and the labels of the scale begin.
    pub(super) bottom: f64,
    pub(super) bars: Vec<Bar>,
    pub(super) ticks: Vec<Tick>,
    pub(super) has_labels: bool,
    /// Most tasks at one time.
    pub(super) at_once: usize,
}

pub(super) struct Bar {
    pub(super) interval: TaskInterval,
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

pub(super) struct Tick {
    pub(super) x: f64,
    pub(super) at: Millis,
}

const WIDTH: f64 = 1000.0;
const LABELS: f64 = 190.0;
const MAX_LABELLED: usize = 40;
const MAX_PLOT_HEIGHT: f64 = 420.0;
const TOP: f64 = 8.0;
const SCALE_HEIGHT: f64 = 26.0;
const MAX_TICKS: i64 = 8;

/// `None` where no task ran.
pub(super) fn draw(tasks: &[TaskInterval], from: Millis, to: Millis) -> Option<Picture> {
    let mut tasks = tasks.to_vec();
    tasks.sort_by_key(|t| (t.started, t.finished, t.task));
    let from = tasks.first()?.started.min(from);
    let to = tasks.iter().map(|t| t.finished).fold(to, Millis::max);
    let span = (to - from).max(1);

    let (lanes, at_once) = lanes(&tasks);
    let has_labels = tasks.len() <= MAX_LABELLED;
    let left = if has_labels { LABELS } else { 4.0 };
    let right = WIDTH - 12.0;
    let rows = if has_labels { tasks.len() } else { at_once };
    let largest: f64 = if has_labels { 22.0 } else { 14.0 };
    let pitch = largest.min(MAX_PLOT_HEIGHT / rows as f64);
    let x_of = |at: Millis| left + (at - from) as f64 / span as f64 * (right - left);

    let mut bars: Vec<Bar> = tasks
        .iter()
        .enumerate()
        .map(|(at, &interval)| {
            let row = if has_labels { at } else { lanes[at] };
            let x = x_of(interval.started);
            let width = (x_of(interval.finished) - x).max(2.0);
            Bar {
                interval,
                x: x.min(right - width),
                y: TOP + row as f64 * pitch,
                width,
                // Thin bars without gaps would be one block; thinner ones can't have any.
                height: if pitch >= 4.0 { pitch * 0.75 } else { pitch },
            }
        })
        .collect();
    // What needs attention is drawn last, and never too thin to be seen.
    bars.sort_by_key(|bar| bar.interval.end != TaskEnd::Success);
    for bar in &mut bars {
        if bar.interval.end != TaskEnd::Success {
            bar.height = bar.height.max(2.5);
        }
    }
    let bottom = TOP + rows as f64 * pitch + 4.0;
    let ticks = (0..).map(|n| n * step(span)).take_while(|&at| at <= span);
    Some(Picture {
        height: bottom + SCALE_HEIGHT,
        left,
        right,
        bottom,
        bars,
        ticks: ticks
            .map(|at| Tick {
                x: x_of(from + at),
                at,
            })
            .collect(),
        has_labels,
        at_once,
    })
}

/// The lane of each task (the lowest that is free at its start), and how many there are.
/// `tasks` are in order of their start.
fn lanes(tasks: &[TaskInterval]) -> (Vec<usize>, usize) {
    use std::cmp::Reverse;
    use std::collections::{BTreeSet, BinaryHeap};
    let mut busy: BinaryHeap<Reverse<(Millis, usize)>> = BinaryHeap::new();
    let mut free: BTreeSet<usize> = BTreeSet::new();
    let mut count = 0;
    let lanes = tasks
        .iter()
        .map(|task| {
            while let Some(&Reverse((end, lane))) = busy.peek()
                && end <= task.started
            {
                busy.pop();
                free.insert(lane);
            }
            let lane = free.pop_first().unwrap_or_else(|| {
                count += 1;
                count - 1
            });
            // One that took no time still takes its place.
            busy.push(Reverse((task.finished.max(task.started + 1), lane)));
            lane
        })
        .collect();
    (lanes, count)
}

/// Time between two marks of the scale: round, and at most eight of them.
fn step(span: Millis) -> Millis {
    const SECOND: Millis = 1000;
    const MINUTE: Millis = 60 * SECOND;
    const HOUR: Millis = 60 * MINUTE;
    const DAY: Millis = 24 * HOUR;
    let least = span / MAX_TICKS + 1;
    let decimal = (0..4).flat_map(|e| [1, 2, 5].map(|n| n * 10_i64.pow(e)));
    let seconds = [10, 15, 30].map(|n| n * SECOND);
    let minutes = [1, 2, 5, 10, 15, 30].map(|n| n * MINUTE);
    let hours = [1, 2, 3, 6, 12].map(|n| n * HOUR);
    let days = (0..).map(|e| (1 << e) * DAY);
    decimal
        .chain(seconds)
        .chain(minutes)
        .chain(hours)
        .chain(days)
        .find(|&step| step >= least)
        .expect("days have no end")
}

#[cfg(test)]
mod tests {
    use super::{draw, lanes, step};
    use crate::report::{TaskEnd, TaskInterval};
    use model::TaskId;

    fn interval(task: u32, started: i64, finished: i64) -> TaskInterval {
        TaskInterval {
            task: TaskId(task),
            started,
            finished,
            end: TaskEnd::Success,
        }
    }

    #[test]
    fn lanes_are_as_many_as_ran_at_once() {
        let tasks = [
            interval(1, 0, 10),
            interval(2, 0, 4),
            interval(3, 4, 8),
            interval(4, 9, 12),
            interval(5, 10, 10),
        ];
        assert_eq!(lanes(&tasks), (vec![0, 1, 1, 1, 0], 2));
    }

    #[test]
    fn the_scale_is_round_and_short() {
        for (span, expected) in [
            (1, 1),
            (7_000, 1_000),
            (59_000, 10_000),
            (3_000_000, 600_000),
            (86_400_000, 10_800_000 * 2),
            (30 * 86_400_000, 4 * 86_400_000),
        ] {
            assert_eq!(step(span), expected, "{span}");
            assert!(span / step(span) <= 8);
        }
    }

    #[test]
    fn any_intervals_stay_inside_the_picture() {
        assert!(draw(&[], 0, 10).is_none());
        for n in [1, 40, 41, 5_000] {
            let tasks: Vec<_> = (0..n)
                .map(|i| interval(i, i64::from(i % 7) - 3, i64::from(i % 1000)))
                .collect();
            let picture = draw(&tasks, 0, 10).unwrap();
            assert!(picture.height < 460.0);
            for bar in picture.bars {
                assert!(bar.x >= picture.left && bar.x + bar.width <= picture.right + 0.001);
                assert!(bar.y + bar.height <= picture.bottom);
            }
        }
    }
}
