//! Amounts: decimal strings of a token, and whole numbers of its smallest unit. Nothing is ever rounded.

use std::fmt;

use alloy_primitives::U256;

/// Digits of the largest amount that 256 bits hold.
const MOST_DIGITS: usize = 78;

/// Why a text is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadAmount {
    /// Not digits with at most one point between them.
    NotDecimal,
    /// Nothing is to move.
    Zero,
    /// More digits after the point than the token has.
    TooFine(u8),
    /// More than 256 bits hold.
    TooLarge,
}

impl fmt::Display for BadAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDecimal => f.write_str("must be a decimal string such as \"0.1\", without a sign or an exponent"),
            Self::Zero => f.write_str("must be more than 0"),
            Self::TooFine(decimals) => write!(f, "has more than the {decimals} decimals of the token"),
            Self::TooLarge => f.write_str("is larger than any amount on a chain"),
        }
    }
}

/// The smallest units in `text`, of a token with so many decimals.
pub fn parse(text: &str, decimals: u8) -> Result<U256, BadAmount> {
    let (whole, part) = text.split_once('.').map_or((text, None), |(whole, part)| (whole, Some(part)));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    if !digits(whole) || leading_zero || part.is_some_and(|part| !digits(part)) {
        return Err(BadAmount::NotDecimal);
    }
    let part = part.unwrap_or_default();
    if part.len() > usize::from(decimals) {
        return Err(BadAmount::TooFine(decimals));
    }
    if whole.len() + usize::from(decimals) > MOST_DIGITS + 1 {
        return Err(BadAmount::TooLarge);
    }
    let units = format!("{whole}{part:0<width$}", width = usize::from(decimals));
    match U256::from_str_radix(&units, 10) {
        Ok(U256::ZERO) => Err(BadAmount::Zero),
        Ok(units) => Ok(units),
        Err(_) => Err(BadAmount::TooLarge),
    }
}

/// The decimal string of so many smallest units, without zeros at its end.
pub fn format(units: U256, decimals: u8) -> String {
    let width = usize::from(decimals) + 1;
    let digits = format!("{:0>width$}", units.to_string());
    let (whole, part) = digits.split_at(digits.len() - usize::from(decimals));
    match part.trim_end_matches('0') {
        "" => whole.to_owned(),
        part => format!("{whole}.{part}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_exact() {
        let units = |text: &str, decimals| parse(text, decimals).map(|units| units.to_string());
        assert_eq!(units("0.1", 18).as_deref(), Ok("100000000000000000"));
        assert_eq!(units("100", 6).as_deref(), Ok("100000000"));
        assert_eq!(units("0.000001", 6).as_deref(), Ok("1"));
        assert_eq!(units("123456789.123456789123456789", 18).as_deref(), Ok("123456789123456789123456789"));
    }

    #[test]
    fn what_is_no_amount_is_told() {
        for text in ["", "-1", "+1", "1e3", ".5", "5.", "1.2.3", "0x10", "01", "1,5", " 1", "1 ", "NaN", "١"] {
            assert_eq!(parse(text, 18), Err(BadAmount::NotDecimal), "{text}");
        }
        for text in ["0", "0.0", "0.000000"] {
            assert_eq!(parse(text, 6), Err(BadAmount::Zero), "{text}");
        }
        assert_eq!(parse("0.0000001", 6), Err(BadAmount::TooFine(6)));
        assert_eq!(parse(&"9".repeat(79), 0), Err(BadAmount::TooLarge));
        assert_eq!(parse(&"9".repeat(10_000), 18), Err(BadAmount::TooLarge));
    }

    proptest! {
        #[test]
        fn what_is_formatted_reads_back(units in 1_u128.., decimals in 0_u8..=30) {
            let units = U256::from(units);
            prop_assert_eq!(parse(&format(units, decimals), decimals), Ok(units));
        }

        #[test]
        fn no_text_stops_it(text in ".{0,100}", decimals in 0_u8..) {
            let _ = parse(&text, decimals);
        }
    }
}
