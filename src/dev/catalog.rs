//! What the shop sells, and how a wanted name finds it.

use rust_decimal::Decimal;
use serde_json::{Value, json};

/// One product.
#[derive(Debug)]
pub(super) struct Product {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) category: &'static str,
    /// In cents, so that the list can be a constant.
    cents: i64,
    pub(super) stock: u32,
}

#[rustfmt::skip]
pub(super) static PRODUCTS: [Product; 12] = [
    Product { id: "ph-1", name: "Finch Mini", category: "phones", cents: 19_900, stock: 40 },
    Product { id: "ph-2", name: "Finch 12", category: "phones", cents: 44_900, stock: 25 },
    Product { id: "ph-3", name: "Heron Ultra", category: "phones", cents: 89_900, stock: 5 },
    Product { id: "la-1", name: "Otter Go 11", category: "laptops", cents: 29_900, stock: 12 },
    Product { id: "la-2", name: "Otter Air 13", category: "laptops", cents: 79_900, stock: 15 },
    Product { id: "la-3", name: "Badger Pro 16", category: "laptops", cents: 189_900, stock: 3 },
    Product { id: "he-1", name: "Wren Buds", category: "headphones", cents: 4_950, stock: 80 },
    Product { id: "he-2", name: "Owl Quiet", category: "headphones", cents: 24_900, stock: 20 },
    Product { id: "bo-1", name: "Notes on the Analytical Engine", category: "books", cents: 1_990, stock: 60 },
    Product { id: "bo-2", name: "A Field Guide to Tokens", category: "books", cents: 3_450, stock: 60 },
    Product { id: "wa-1", name: "Plover Watch", category: "watches", cents: 14_900, stock: 2 },
    Product { id: "co-1", name: "Mole Kettle Coffee Maker", category: "kitchen", cents: 6_900, stock: 0 },
];

/// The currency of all prices.
pub(super) const CURRENCY: &str = "EUR";

impl Product {
    pub(super) fn price(&self) -> Decimal {
        Decimal::new(self.cents, 2)
    }

    /// Whether every word of `wanted` is in the name, the category or the id, singular or plural.
    pub(super) fn matches(&self, wanted: &str) -> bool {
        let own = words(&format!("{} {} {}", self.name, self.category, self.id));
        let wanted = words(wanted);
        !wanted.is_empty() && wanted.iter().all(|word| own.contains(word))
    }

    pub(super) fn json(&self, stock: u32) -> Value {
        json!({
            "id": self.id, "name": self.name, "category": self.category, "price": self.price().to_string(),
            "currency": CURRENCY, "stock": stock,
        })
    }
}

fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(singular).collect()
}

/// Good enough for the words of this list: watches, phones, books.
fn singular(word: &str) -> String {
    let stem = match word.strip_suffix("es") {
        Some(stem) if stem.ends_with("ch") || stem.ends_with("sh") || stem.ends_with('x') => stem,
        _ => match word.strip_suffix('s') {
            Some(stem) if stem.len() > 2 && !stem.ends_with('s') => stem,
            _ => word,
        },
    };
    stem.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_singular_and_plural() {
        let found = |wanted: &str| {
            PRODUCTS.iter().filter(|product| product.matches(wanted)).map(|product| product.id).collect::<Vec<_>>()
        };
        assert_eq!(found("phones"), ["ph-1", "ph-2", "ph-3"]);
        assert_eq!(found("Phone"), ["ph-1", "ph-2", "ph-3"]);
        assert_eq!(found("headphones"), ["he-1", "he-2"]);
        assert_eq!(found("watch"), ["wa-1"]);
        assert_eq!(found("finch phone"), ["ph-1", "ph-2"]);
        assert_eq!(found("bo-2"), ["bo-2"]);
        assert_eq!(found(""), Vec::<&str>::new());
        assert_eq!(found("submarine"), Vec::<&str>::new());
    }
}
