//! What a model costs.

use rust_decimal::Decimal;
use serde::Deserialize;

/// `[profiles.NAME.model.prices]`: money for a million tokens. Decimal, never a float.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prices {
    /// For what the model reads.
    prompt: Decimal,
    /// For what it writes.
    completion: Decimal,
    /// In which currency, such as `USD`.
    pub currency: String,
}

/// The table as it is written; numbers are text, because TOML's would be floats.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    prompt: String,
    completion: String,
    currency: String,
}

impl Table {
    /// As it is written.
    pub(super) fn rows(&self) -> [(&'static str, String); 3] {
        let Self { prompt, completion, currency } = self.clone();
        [("prompt", prompt), ("completion", completion), ("currency", currency)]
    }

    /// Reads it.
    pub(super) fn read(&self) -> Result<Prices, String> {
        let price = |name: &str, text: &str| match text.parse::<Decimal>() {
            Ok(price) if !price.is_sign_negative() => Ok(price),
            _ => Err(format!("{name} = {text:?} is no price; give an amount for a million tokens, such as \"0.25\"")),
        };
        let currency = self.currency.trim();
        if currency.len() != 3 || !currency.chars().all(|c| c.is_ascii_uppercase()) {
            return Err(format!("{currency:?} is no currency; give its code, such as \"USD\""));
        }
        Ok(Prices {
            prompt: price("prompt", &self.prompt)?,
            completion: price("completion", &self.completion)?,
            currency: currency.to_owned(),
        })
    }
}

impl Prices {
    /// What a million tokens cost that the model reads.
    #[must_use]
    pub fn prompt(&self) -> String {
        self.prompt.to_string()
    }

    /// What a million tokens cost that it writes.
    #[must_use]
    pub fn completion(&self) -> String {
        self.completion.to_string()
    }

    /// What this many tokens cost. None if it is more than can be counted.
    #[must_use]
    pub fn cost(&self, prompt: u64, completion: u64) -> Option<Decimal> {
        let read = Decimal::from(prompt).checked_mul(self.prompt)?;
        let written = Decimal::from(completion).checked_mul(self.completion)?;
        Some(read.checked_add(written)?.checked_div(Decimal::from(1_000_000))?.normalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(prompt: &str, completion: &str, currency: &str) -> Result<Prices, String> {
        Table { prompt: prompt.into(), completion: completion.into(), currency: currency.into() }.read()
    }

    #[test]
    fn money_is_counted_exactly() {
        let prices = read("0.25", "2", "USD").unwrap();
        assert_eq!(prices.cost(1_000_000, 500_000).unwrap().to_string(), "1.25");
        assert_eq!(prices.cost(1, 0).unwrap().to_string(), "0.00000025");
        assert_eq!(prices.cost(0, 0).unwrap().to_string(), "0");
    }

    #[test]
    fn what_is_no_price_is_none() {
        for (prompt, completion, currency) in [("-1", "1", "USD"), ("x", "1", "USD"), ("1", "", "USD"), ("1", "1", "$")]
        {
            assert!(read(prompt, completion, currency).is_err(), "{prompt} {completion} {currency}");
        }
    }
}
