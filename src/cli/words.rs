//! Numbers in sentences.

use std::time::Duration;

/// `1 entry`, `2 entries`.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", pick(number, one, many))
}

/// `15 minutes`, `1 minute`, `45 seconds`, `3 hours`.
pub(crate) fn time(time: Duration) -> String {
    // Rounded: the answer that said 900 seconds took a moment to arrive.
    match u64::try_from(time.as_millis().div_ceil(1000)).unwrap_or(u64::MAX) {
        s if s < 60 => count(s, "second", "seconds"),
        s if s < 2 * 3600 => count((s + 30) / 60, "minute", "minutes"),
        s => count(s.saturating_add(1800) / 3600, "hour", "hours"),
    }
}

/// The word that goes with a number.
pub(crate) fn pick<'a>(number: u64, one: &'a str, many: &'a str) -> &'a str {
    if number == 1 { one } else { many }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_time() {
        assert_eq!(time(Duration::from_millis(899_600)), "15 minutes");
        assert_eq!(time(Duration::from_secs(60)), "1 minute");
        assert_eq!(time(Duration::from_secs(45)), "45 seconds");
        assert_eq!(time(Duration::from_secs(9000)), "3 hours");
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!(count(1, "entry", "entries"), "1 entry");
        assert_eq!(count(0, "entry", "entries"), "0 entries");
    }
}
