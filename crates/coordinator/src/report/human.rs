//! Numbers as people read them: IEC units, thousands apart, times in UTC.

use crate::store::Millis;

const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// `0 B`, `1023 B`, `1.5 KiB`, `12.3 GiB`, `123 TiB`.
pub fn bytes(bytes: u64) -> String {
    scaled(bytes as f64)
}

/// `12.3 MiB/s`; `–` when no time has passed.
pub fn byte_rate(bytes: u64, duration_ms: Millis) -> String {
    match per_second(bytes, duration_ms) {
        Some(rate) => format!("{}/s", scaled(rate)),
        None => "–".to_owned(),
    }
}

/// `1,234 /s` without its unit: `1,234`, `12.3`, `0.25`; `–` when no time has passed.
pub fn rate(n: u64, duration_ms: Millis) -> String {
    match per_second(n, duration_ms) {
        Some(rate) if rate >= 100.0 => count(rate.round() as u64),
        Some(rate) if rate >= 10.0 || rate == 0.0 => format!("{rate:.0}"),
        Some(rate) if rate >= 1.0 => format!("{rate:.1}"),
        Some(rate) => format!("{rate:.2}"),
        None => "–".to_owned(),
    }
}

fn per_second(n: u64, duration_ms: Millis) -> Option<f64> {
    (duration_ms > 0).then(|| n as f64 * 1000.0 / duration_ms as f64)
}

fn scaled(bytes: f64) -> String {
    let mut value = bytes;
    let mut unit = 0;
    // 1023.95 would print as 1024.0: such values belong to the next unit.
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 || value >= 99.95 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// `1,234,567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 file`, `2,000 files`.
pub fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// Two units at most: `0 s`, `850 ms`, `12.3 s`, `2 m 5 s`, `1 h 2 m`, `3 d 4 h`, `1 h`.
pub fn duration(ms: Millis) -> String {
    let ms = ms.max(0);
    let seconds = ms / 1000;
    let (big, small) = match seconds {
        0 if ms == 0 => return "0 s".to_owned(),
        0 => return format!("{ms} ms"),
        1..60 if ms % 1000 < 50 => return format!("{seconds} s"),
        1..60 => return format!("{:.1} s", (ms / 100) as f64 / 10.0),
        60..3_600 => ((seconds / 60, "m"), (seconds % 60, "s")),
        3_600..86_400 => ((seconds / 3_600, "h"), (seconds % 3_600 / 60, "m")),
        _ => ((seconds / 86_400, "d"), (seconds % 86_400 / 3_600, "h")),
    };
    match small.0 {
        0 => format!("{} {}", big.0, big.1),
        _ => format!("{} {} {} {}", big.0, big.1, small.0, small.1),
    }
}

/// `2026-01-31 23:59:59 UTC`.
pub fn utc(at: Millis) -> String {
    let seconds = at.div_euclid(1000);
    let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
    let second = seconds.rem_euclid(86_400);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// Year, month and day of a day counted from 1970-01-01. From H. Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms", `civil_from_days`.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::{byte_rate, bytes, count, duration, rate, utc};

    #[test]
    fn numbers_read_well() {
        for (n, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (102_297, "99.9 KiB"),
            (102_400, "100 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (5 << 40, "5.0 TiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(n), expected);
        }
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(byte_rate(3 << 20, 2000), "1.5 MiB/s");
        assert_eq!(byte_rate(1, 0), "–");
        assert_eq!(rate(1, 4000), "0.25");
        assert_eq!(rate(123_456, 1000), "123,456");
        assert_eq!(rate(0, 1000), "0");
    }

    #[test]
    fn times_read_well() {
        for (ms, expected) in [
            (-5, "0 s"),
            (0, "0 s"),
            (850, "850 ms"),
            (12_000, "12 s"),
            (12_340, "12.3 s"),
            (125_000, "2 m 5 s"),
            (3_600_000, "1 h"),
            (3_720_000, "1 h 2 m"),
            (273_600_000, "3 d 4 h"),
        ] {
            assert_eq!(duration(ms), expected);
        }
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_782_399_999), "2000-02-28 23:59:59 UTC");
        assert_eq!(utc(951_782_400_000), "2000-02-29 00:00:00 UTC");
        assert_eq!(utc(1_764_920_244_408), "2025-12-05 07:37:24 UTC");
        assert_eq!(utc(-1), "1969-12-31 23:59:59 UTC");
    }
}
