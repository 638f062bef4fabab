//! For tests: any JSON value, and its canonical form computed in another way than the program does.

use proptest::prelude::*;
use serde_json::Value;

/// The canonical form (RFC 8785), computed in another way than the program does: members by their UTF-16 code units,
/// numbers from Rust's shortest digits by the rules of ECMAScript's Number::toString.
pub(crate) fn canonical(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number_text(number.as_f64().unwrap()),
        Value::String(text) => string_text(text),
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| name.encode_utf16().collect::<Vec<_>>());
            let members = members.iter().map(|(name, value)| format!("{}:{}", string_text(name), canonical(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
    }
}

fn number_text(number: f64) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    let sign = if number < 0.0 { "-" } else { "" };
    // As few digits as tell it from every other number. Of two that are as near, ECMAScript takes the even one, as
    // rounding to so many digits does; that may lose the number only where the gap below it is smaller than the one above.
    let fewest = format!("{:e}", number.abs());
    let count = fewest.split('e').next().unwrap().replace('.', "").len();
    let rounded = format!("{:.*e}", count - 1, number.abs());
    let shortest = if rounded.parse() == Ok(number.abs()) { rounded } else { fewest };
    let (digits, exponent) = shortest.split_once('e').unwrap();
    let digits = digits.replace('.', "");
    // The value is 0.DIGITS times ten to the power of `point`.
    let (count, point) = (i32::try_from(digits.len()).unwrap(), exponent.parse::<i32>().unwrap() + 1);
    let zeros = |n: i32| "0".repeat(usize::try_from(n).unwrap());
    let split = |at: i32| digits.split_at(usize::try_from(at).unwrap());
    let text = if count <= point && point <= 21 {
        format!("{digits}{}", zeros(point - count))
    } else if 0 < point && point <= 21 {
        format!("{}.{}", split(point).0, split(point).1)
    } else if -6 < point && point <= 0 {
        format!("0.{}{digits}", zeros(-point))
    } else {
        let fraction = if count == 1 { String::new() } else { format!(".{}", split(1).1) };
        format!("{}{fraction}e{:+}", split(1).0, point - 1)
    };
    format!("{sign}{text}")
}

fn string_text(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[test]
fn the_second_way_knows_the_examples_of_the_specification() {
    // RFC 8785, appendix B.
    for (bits, text) in [
        (0x0000_0000_0000_0001, "5e-324"),
        (0x8000_0000_0000_0001, "-5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x41b3_de43_5555_5553, "333333333.3333332"),
        // In the middle between ...340.2 and ...340.3: ECMA-262 wants the even digit.
        (0x4312_029d_91d4_5831, "1267356340131340.2"),
        (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
    ] {
        assert_eq!(number_text(f64::from_bits(bits)), text);
    }
    assert_eq!(number_text(-0.0), "0");
}

pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(Value::from),
        proptest::num::f64::ANY.prop_filter_map("JSON has no such number", |number| {
            serde_json::Number::from_f64(number).map(Value::Number)
        }),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn the_canonical_form_is_the_same_by_another_way(value in any_json()) {
        let one = serde_json_canonicalizer::to_string(&value).unwrap();
        prop_assert_eq!(&one, &canonical(&value));
        // What is read back has the same form.
        let again = super::strict(&one).unwrap();
        prop_assert_eq!(canonical(&again), one);
    }
}
