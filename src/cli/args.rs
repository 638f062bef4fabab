//! Values of the command line that several commands share.

use std::time::Duration;

/// Reads a length of time: `90`, `90s`, `5m`, `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match text.char_indices().find(|(_, c)| !c.is_ascii_digit()) {
        Some((at, _)) => text.split_at(at),
        None => (text, "s"),
    };
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("give seconds, or a number with s, m or h, such as 90s or 5m".to_owned()),
    };
    let number: u64 = digits.parse().map_err(|_| "give a number of seconds, such as 90s or 5m".to_owned())?;
    number.checked_mul(factor).map(Duration::from_secs).ok_or_else(|| "that is too long".to_owned())
}

/// Whether `--json` is asked for, found without the parser: so a usage error is JSON as well.
pub(crate) fn wants_json(args: &[std::ffi::OsString]) -> bool {
    args.iter().skip(1).take_while(|arg| *arg != "--").any(|arg| arg == "--json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        for bad in ["", "m", "5d", "-3", "1.5h", "99999999999999999999h", "18446744073709551615h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn json_is_seen_anywhere_before_the_double_dash() {
        let wants = |words: &[&str]| wants_json(&words.iter().map(Into::into).collect::<Vec<_>>());
        assert!(wants(&["agentctl", "run", "--wrong", "--json"]));
        assert!(!wants(&["agentctl", "run", "--", "--json"]));
        assert!(!wants(&["agentctl", "run", "--jsonx"]));
    }
}
