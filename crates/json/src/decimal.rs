//! Exact decimal numbers as JSON writes them: checked, put into one form, compared.
//!
//! Money never passes through a binary float here. The limits are those of `DynamoDB`'s number type:
//! 38 significant digits, magnitudes from 1E-130 up to but not including 1E126.

use std::cmp::Ordering;

/// Significant digits that a stored number can have.
pub const MAX_DIGITS: usize = 38;

/// Exponent of the first digit of the smallest and of the largest magnitude that can be stored.
const MAGNITUDES: std::ops::RangeInclusive<i64> = -130..=125;

/// Digits after the point up to which [`canonical`] writes a number without an exponent.
const MAX_PLAIN_PLACES: i64 = 38;

/// Why a number cannot be stored exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotExact {
    /// The text is not a number as JSON writes one.
    Malformed,
    /// More than [`MAX_DIGITS`] significant digits.
    TooManyDigits,
    /// Nearer to zero than 1E-130, or 1E126 and beyond.
    OutOfRange,
}

impl std::fmt::Display for NotExact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Malformed => "is not a number",
            Self::TooManyDigits => "has more than 38 significant digits",
            Self::OutOfRange => "is outside of 1E-130 to 9.99E125",
        })
    }
}

impl std::error::Error for NotExact {}

/// The one form of a number: equal numbers, and only they, have equal canonical texts.
///
/// No leading or trailing zeros, no `+`, and `0` for every zero. Numbers of up to 38 integer digits and 38
/// decimal places are written without an exponent, others as `1.5E40`. The result is a JSON number.
///
/// # Errors
/// [`NotExact`] when the text is no JSON number or the number cannot be stored exactly.
pub fn canonical(text: &str) -> Result<String, NotExact> {
    let number = Decimal::parse(text).ok_or(NotExact::Malformed)?;
    if number.digits.is_empty() {
        return Ok("0".to_owned());
    }
    if number.digits.len() > MAX_DIGITS {
        return Err(NotExact::TooManyDigits);
    }
    if !MAGNITUDES.contains(&number.magnitude) {
        return Err(NotExact::OutOfRange);
    }
    Ok(number.write())
}

/// Orders two JSON numbers by value, however many digits they have.
///
/// Texts that are not JSON numbers come first, ordered as texts, so that the order is total.
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    match (Decimal::parse(a), Decimal::parse(b)) {
        (Some(a), Some(b)) => a.compare(&b),
        (Some(_), None) => Ordering::Greater,
        (None, Some(_)) => Ordering::Less,
        (None, None) => a.cmp(b),
    }
}

/// Whether the text is a JSON number without a fractional part; `1.0` and `1e2` are such.
#[must_use]
pub fn is_integer(text: &str) -> bool {
    Decimal::parse(text).is_some_and(|number| number.digits.is_empty() || number.exponent() >= 0)
}

/// Whether the first number is an integer multiple of the second.
///
/// The second must be positive and have at most 18 significant digits, or the answer is false.
#[must_use]
pub fn is_multiple_of(text: &str, divisor: &str) -> bool {
    let (Some(number), Some(divisor)) = (Decimal::parse(text), Decimal::parse(divisor)) else {
        return false;
    };
    let Some(unit) = divisor.coefficient() else {
        return false;
    };
    if number.digits.is_empty() {
        return true;
    }
    // The last digit is not zero, so a digit below the divisor's last place cannot be made up for.
    let shift = number.exponent().saturating_sub(divisor.exponent());
    if shift < 0 || shift > 2 * MAGNITUDES.end() {
        return false;
    }
    let zeros = (0..shift).map(|_| 0);
    let digits = number.digits.iter().map(|digit| u64::from(digit - b'0'));
    digits.chain(zeros).fold(0, |rest, digit| (rest * 10 + digit) % unit) == 0
}

/// A parsed number: `0.d1d2d3... * 10^(magnitude + 1)`.
struct Decimal {
    negative: bool,
    /// ASCII digits without leading or trailing zeros; empty for zero.
    digits: Vec<u8>,
    /// Power of ten of the first digit; saturates, which only matters far outside of what can be stored.
    magnitude: i64,
}

impl Decimal {
    /// Reads the number grammar of RFC 8259, section 6.
    fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (rest, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (mantissa, ""),
        };
        let well_formed = !whole.is_empty()
            && (whole == "0" || !whole.starts_with('0'))
            && whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
        if !well_formed {
            return None;
        }
        let all = || whole.bytes().chain(fraction.bytes());
        let leading = all().take_while(|digit| *digit == b'0').count();
        let mut digits: Vec<u8> = all().skip(leading).collect();
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        if digits.is_empty() {
            // Every zero is the same number, whatever its sign and exponent.
            return Some(Self { negative: false, digits, magnitude: 0 });
        }
        let magnitude = length(whole.len()).saturating_sub(1).saturating_sub(length(leading)).saturating_add(exponent);
        Some(Self { negative, digits, magnitude })
    }

    /// Power of ten of the last digit.
    fn exponent(&self) -> i64 {
        self.magnitude.saturating_sub(length(self.digits.len())).saturating_add(1)
    }

    /// The digits as an integer, if positive and of at most 18 digits, so that ten times it fits.
    fn coefficient(&self) -> Option<u64> {
        if self.negative || self.digits.is_empty() || self.digits.len() > 18 {
            return None;
        }
        Some(self.digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
    }

    fn compare(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.digits.is_empty(), number.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        sign(self).cmp(&sign(other)).then_with(|| {
            // Without trailing zeros, digits of one magnitude compare like words.
            let size = self.magnitude.cmp(&other.magnitude).then_with(|| self.digits.cmp(&other.digits));
            if self.negative { size.reverse() } else { size }
        })
    }

    fn write(&self) -> String {
        let digits: String = self.digits.iter().copied().map(char::from).collect();
        let sign = if self.negative { "-" } else { "" };
        let exponent = self.exponent();
        if exponent < -MAX_PLAIN_PLACES || self.magnitude >= length(MAX_DIGITS) {
            let (first, rest) = digits.split_at(1);
            let point = if rest.is_empty() { "" } else { "." };
            return format!("{sign}{first}{point}{rest}E{}", self.magnitude);
        }
        if exponent >= 0 {
            return format!("{sign}{digits}{}", zeros(exponent));
        }
        match usize::try_from(self.magnitude) {
            Ok(magnitude) => {
                let (whole, fraction) = digits.split_at(magnitude + 1);
                format!("{sign}{whole}.{fraction}")
            }
            Err(_) => format!("{sign}0.{}{digits}", zeros(-1 - self.magnitude)),
        }
    }
}

/// The exponent's value, held to what fits: `1e99999999999999999999` is a number, if not one to store.
fn parse_exponent(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] | rest => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0_i64, |sum, digit| sum.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    Some(if negative { value.saturating_neg() } else { value })
}

fn length(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn zeros(count: i64) -> String {
    "0".repeat(usize::try_from(count).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equal_numbers_have_one_canonical_form() {
        let table = [
            ("0", "0"),
            ("-0", "0"),
            ("-0.000e12", "0"),
            ("0e99999999999999999999", "0"),
            ("1", "1"),
            ("1.0", "1"),
            ("100", "100"),
            ("1e2", "100"),
            ("1.50", "1.5"),
            ("-12.340", "-12.34"),
            ("0.05", "0.05"),
            ("5e-2", "0.05"),
            ("123e-1", "12.3"),
            ("1E+2", "100"),
            ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
            ("1e37", "10000000000000000000000000000000000000"),
            ("1e38", "1E38"),
            ("15e39", "1.5E40"),
            ("1e-38", "0.00000000000000000000000000000000000001"),
            ("1e-39", "1E-39"),
            ("-2.5e-130", "-2.5E-130"),
            ("9.9999999999999999999999999999999999999e125", "9.9999999999999999999999999999999999999E125"),
        ];
        for (text, expected) in table {
            assert_eq!(canonical(text).as_deref(), Ok(expected), "{text}");
            assert_eq!(canonical(expected).as_deref(), Ok(expected), "{expected} is its own form");
        }
    }

    #[test]
    fn what_cannot_be_stored_exactly_is_refused() {
        let table = [
            ("123456789012345678901234567890123456789", NotExact::TooManyDigits),
            ("1.00000000000000000000000000000000000001", NotExact::TooManyDigits),
            ("1e126", NotExact::OutOfRange),
            ("1e-131", NotExact::OutOfRange),
            ("1e99999999999999999999", NotExact::OutOfRange),
            ("1e-99999999999999999999", NotExact::OutOfRange),
        ];
        for (text, expected) in table {
            assert_eq!(canonical(text), Err(expected), "{text}");
        }
        for text in
            ["", "-", "+1", "01", ".5", "1.", "1e", "1e+", "1.2.3", "0x1", "NaN", " 1", "1 ", "１", "--1", "-.5"]
        {
            assert_eq!(canonical(text), Err(NotExact::Malformed), "{text}");
        }
    }

    #[test]
    fn numbers_compare_by_value_beyond_floats() {
        let ascending = [
            "-1e400",
            "-9007199254740993",
            "-9007199254740992.5",
            "-1",
            "-0.1",
            "-1e-500",
            "0",
            "1e-500",
            "0.09",
            "0.1",
            "0.10000000000000000000000000000000000001",
            "1",
            "1.00000000000000000001",
            "2",
            "10",
            "9007199254740992",
            "9007199254740993",
            "99999999999999999999999999999999999998",
            "99999999999999999999999999999999999999",
            "1e400",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} and {b}");
            }
        }
        assert_eq!(compare("1.0", "1"), Ordering::Equal);
        assert_eq!(compare("-0", "0e5"), Ordering::Equal);
        assert_eq!(compare("abc", "-1e999"), Ordering::Less);
    }

    proptest! {
        #[test]
        fn decimals_compare_and_canonicalise_as_scaled_integers(a: i64, b: i64, places in 0_u32..30) {
            let (x, y) = (format!("{a}e-{places}"), format!("{b}E-{places}"));
            prop_assert_eq!(compare(&x, &y), a.cmp(&b));
            let form = canonical(&x).unwrap();
            prop_assert_eq!(compare(&form, &x), Ordering::Equal);
            prop_assert_eq!(canonical(&format!("{a}0e-{}", places + 1)).unwrap(), form);
            prop_assert_eq!(is_integer(&x), i128::from(a) % 10_i128.pow(places) == 0);
        }
    }

    #[test]
    fn integers_and_multiples_are_exact() {
        for text in ["0", "-0.0", "1.0", "1e2", "1.5e1", "-7", "99999999999999999999999999999999999999"] {
            assert!(is_integer(text), "{text}");
        }
        for text in ["0.5", "1.00000000000000000001", "9007199254740993.5", "1e-1", "x"] {
            assert!(!is_integer(text), "{text}");
        }
        for (text, divisor) in
            [("0.07", "0.01"), ("19.99", "0.01"), ("0", "7"), ("1e30", "5"), ("-9", "3"), ("7.5", "2.5")]
        {
            assert!(is_multiple_of(text, divisor), "{text} of {divisor}");
        }
        for (text, divisor) in
            [("0.075", "0.01"), ("10", "3"), ("1", "0"), ("1e900000000", "3"), ("9007199254740993", "2")]
        {
            assert!(!is_multiple_of(text, divisor), "{text} of {divisor}");
        }
    }
}
