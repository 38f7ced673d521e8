//! Durations as Go's `time.Duration.String` writes them, which is what users find in reports:
//! `1h0m0s`, `1m2.5s`, `277.877946ms`, `0s`. One difference: microseconds are `us`, as the
//! older tool's reports show them.

use std::time::Duration;

/// The shortest exact form.
pub fn format(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}us", decimal(nanos, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(nanos, 1_000_000)),
        _ => {
            let minutes = duration.as_secs() / 60;
            let rest = nanos % 60_000_000_000;
            let seconds = decimal(rest, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// `amount / unit` without trailing zeros; `unit` is a power of ten.
fn decimal(amount: u128, unit: u128) -> String {
    let (whole, fraction) = (amount / unit, amount % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    let digits = format!("{fraction:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::format;

    #[test]
    fn durations_look_as_go_writes_them() {
        for (nanos, expected) in [
            (0, "0s"),
            (1, "1ns"),
            (999, "999ns"),
            (1_000, "1us"),
            (1_100, "1.1us"),
            (851_373, "851.373us"),
            (1_000_000, "1ms"),
            (2_200_000, "2.2ms"),
            (277_877_946, "277.877946ms"),
            (996_561_620, "996.56162ms"),
            (1_000_000_000, "1s"),
            (3_300_000_000, "3.3s"),
            (10_000_000_001, "10.000000001s"),
            (60_000_000_000, "1m0s"),
            (62_500_000_000, "1m2.5s"),
            (3_600_000_000_000, "1h0m0s"),
            (4 * 60_000_000_000 + 5_001_000_000, "4m5.001s"),
            (u64::MAX / 2, "2562047h47m16.854775807s"),
        ] {
            assert_eq!(format(Duration::from_nanos(nanos)), expected);
        }
        assert_eq!(format(Duration::MAX), "5124095576030431h0m15.999999999s");
    }
}
