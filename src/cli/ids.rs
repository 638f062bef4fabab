//! Ids as people type them: the whole of one, or the beginning of it that no other has.

use super::failure::{Failure, Kind};

/// Which of `ids` is meant. `what` names their kind, `list` is the command that shows them.
///
/// # Errors
/// If none of them begins so, or several do.
pub(crate) fn find<'a>(
    what: &str,
    typed: &str,
    ids: impl IntoIterator<Item = &'a str>,
    list: &str,
) -> Result<&'a str, Failure> {
    let mut found: Vec<&str> = ids.into_iter().filter(|id| !typed.is_empty() && id.starts_with(typed)).collect();
    found.sort_unstable();
    found.dedup();
    let hint = format!("`{list}` shows what there is");
    match found.as_slice() {
        [id] => Ok(id),
        [] => Err(Failure::new(Kind::Usage, format!("there is no {what} {}", named(typed))).hint(hint)),
        // The whole id is no beginning of another one.
        [first, ..] if *first == typed => Ok(first),
        [first, second, ..] => {
            let message = format!("{} {what}s begin with {typed}: {first}, {second}, ...", found.len());
            Err(Failure::new(Kind::Usage, message).hint("write more of the id").hint(hint))
        }
    }
}

fn named(typed: &str) -> &str {
    if typed.is_empty() { "without an id" } else { typed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_one_id_is_enough_and_of_two_is_not() {
        let find = |typed: &str| find("run", typed, ["run_a", "run_ab", "run_b", "run_b"], "agentctl runs list");
        assert_eq!(find("run_b").unwrap(), "run_b");
        assert_eq!(find("run_a").unwrap(), "run_a", "the whole id is not a beginning");
        assert_eq!(find("run_ab").unwrap(), "run_ab");
        let message = |typed: &str| find(typed).unwrap_err().message;
        assert_eq!(message("run_"), "3 runs begin with run_: run_a, run_ab, ...");
        assert_eq!(message("run_c"), "there is no run run_c");
        assert_eq!(message(""), "there is no run without an id");
    }
}
