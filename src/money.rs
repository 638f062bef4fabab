//! Amounts of money: a decimal number and a currency, never a binary fraction.

use std::{fmt, str::FromStr};

use rust_decimal::Decimal;
use serde_json::Value;

/// An amount in one currency (ISO 4217 code).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Money {
    /// The amount, in whole units of the currency (900.00, not 90000 cents).
    pub amount: Decimal,
    /// Such as `EUR`.
    pub currency: String,
}

impl Money {
    /// Reads an amount as JSON carries it: a number, or a string that holds one. Negative amounts are none.
    #[must_use]
    pub fn from_json(value: &Value, currency: &str) -> Option<Self> {
        // A JSON number is printed with its shortest decimal form, so what was written with up to 15 digits comes back
        // exactly, although serde_json keeps it as a binary fraction in between.
        let text = match value {
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.clone(),
            _ => return None,
        };
        let amount = Decimal::from_str(&text).or_else(|_| Decimal::from_scientific(&text)).ok()?;
        (!amount.is_sign_negative()).then(|| Self { amount, currency: currency.to_owned() })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut amount = self.amount.normalize();
        if amount.scale() < 2 {
            amount.rescale(2);
        }
        write!(f, "{amount} {}", self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn amounts_keep_their_digits() {
        let read = |value| Money::from_json(&value, "EUR").map(|money| money.to_string());
        assert_eq!(read(json!(900)).as_deref(), Some("900.00 EUR"));
        assert_eq!(read(json!(0.1)).as_deref(), Some("0.10 EUR"));
        assert_eq!(read(json!("19.999")).as_deref(), Some("19.999 EUR"));
        assert_eq!(read(json!(-1)), None);
        assert_eq!(read(json!("many")), None);
        let sum =
            Money::from_json(&json!(0.1), "EUR").unwrap().amount + Money::from_json(&json!(0.2), "EUR").unwrap().amount;
        assert_eq!(sum.to_string(), "0.3");
    }
}
