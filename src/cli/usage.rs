//! What a run has used up, in tokens and in money.

use std::fmt;

use serde_json::{Value, json};

use crate::config::Prices;

/// Tokens, and what they cost as far as the profile has prices.
#[derive(Debug)]
pub(crate) struct Used {
    prompt: u64,
    completion: u64,
    /// Amount and currency. A model without a price costs an unknown amount, which is not nothing.
    cost: Option<(String, String)>,
}

impl Used {
    /// This many tokens read and written.
    pub(crate) fn new(prompt: u64, completion: u64, prices: Option<&Prices>) -> Self {
        let cost =
            prices.and_then(|prices| Some((prices.cost(prompt, completion)?.to_string(), prices.currency.clone())));
        Self { prompt, completion, cost }
    }

    /// As the terminal event has it.
    pub(crate) fn to_json(&self) -> Value {
        let cost = self
            .cost
            .as_ref()
            .map_or_else(|| json!("unpriced"), |(amount, currency)| json!({ "amount": amount, "currency": currency }));
        json!({ "prompt_tokens": self.prompt, "completion_tokens": self.completion, "cost": cost })
    }
}

impl fmt::Display for Used {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens read, {} written; ", self.prompt, self.completion)?;
        match &self.cost {
            Some((amount, currency)) => write!(f, "{amount} {currency}"),
            None => f.write_str("unpriced (model.prices in the profile)"),
        }
    }
}
