//! What a run was told to keep to when it began, beside what the settings say.
//!
//! It is kept with the run, because a model can make a run break off: one that goes on without its bounds is one that the
//! model got rid of them in.

use serde::{Deserialize, Serialize};

/// What a run keeps to, in the words of its flags. What nobody said is none. A name that is not known here is an error: it
/// may have been written by a later agentctl that narrows a run in another way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// The only tools that are offered; if it is empty, none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
    /// What the calls of the run may spend in total, as `--max-spend` reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_spend: Option<String>,
    /// The only model that may read the conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<NamedModel>,
    /// How often the model is asked for one task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_turns: Option<u32>,
    /// How many tokens it may read and write for one task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens_total: Option<u64>,
    /// Whether calls that need an approval are refused without asking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deny_approvals: Option<bool>,
}

/// A model as a person named it, and what that name stood for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedModel {
    /// The name that was said.
    pub asked: String,
    /// The name by which its server knows it.
    pub name: String,
    /// The server.
    pub base_url: String,
}

impl Bounds {
    /// The same with what is said anew in the place of what was said before.
    #[must_use]
    pub fn with(self, said: Self) -> Self {
        Self {
            tools: said.tools.or(self.tools),
            max_spend: said.max_spend.or(self.max_spend),
            model: said.model.or(self.model),
            max_turns: said.max_turns.or(self.max_turns),
            max_tokens_total: said.max_tokens_total.or(self.max_tokens_total),
            deny_approvals: said.deny_approvals.or(self.deny_approvals),
        }
    }

    /// Whether that puts something else in the place of a bound that is there.
    #[must_use]
    pub fn give_way_to(&self, said: &Self) -> bool {
        fn other<T: PartialEq>(here: Option<&T>, said: Option<&T>) -> bool {
            here.zip(said).is_some_and(|(here, said)| here != said)
        }
        other(self.tools.as_ref(), said.tools.as_ref())
            || other(self.max_spend.as_ref(), said.max_spend.as_ref())
            || other(self.model.as_ref(), said.model.as_ref())
            || other(self.max_turns.as_ref(), said.max_turns.as_ref())
            || other(self.max_tokens_total.as_ref(), said.max_tokens_total.as_ref())
            || other(self.deny_approvals.as_ref(), said.deny_approvals.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_anew_takes_the_place_of_what_was_said() {
        let some = |text: &str| Some(text.to_owned());
        let before = Bounds { tools: Some(Vec::new()), max_spend: some("10"), max_turns: Some(3), ..Bounds::default() };
        assert_eq!(before.clone().with(Bounds::default()), before);
        let said = Bounds { max_spend: some("20"), max_tokens_total: Some(9), ..Bounds::default() };
        let after = Bounds { max_spend: some("20"), max_tokens_total: Some(9), ..before.clone() };
        assert_eq!(before.clone().with(said.clone()), after);

        assert!(before.give_way_to(&said));
        assert!(!before.give_way_to(&Bounds::default()) && !before.give_way_to(&before));
        let more = Bounds { max_tokens_total: Some(9), deny_approvals: Some(true), ..Bounds::default() };
        assert!(!before.give_way_to(&more), "one more bound takes none away");
        let asked = Bounds { deny_approvals: Some(true), ..Bounds::default() };
        assert!(asked.give_way_to(&Bounds { deny_approvals: Some(false), ..Bounds::default() }));
    }
}
