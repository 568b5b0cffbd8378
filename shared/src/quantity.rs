//! Kubernetes quantities (`250m`, `10Gi`) as exact numbers that can be compared.
//!
//! Answers whether a text parses, which of two amounts is larger, and how Kubernetes would write one: it stores `1024Mi`
//! as `1Gi`, and what means the same has to look the same. The one fact to know: a quantity counts here in
//! thousandths, so `250m` is 250 and `1` is 1000.
//! Grammar: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>.

use std::fmt;
use std::str::FromStr;

/// An amount of CPU, memory or storage, in thousandths of its unit (cores or bytes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(i128);

/// A text that is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a quantity; write a number with an optional suffix, for example 500m, 1.5, 250Mi or 10Gi")]
pub struct NotAQuantity;

/// Suffix, and what one of it is worth in thousandths. One list: parser and error text agree.
const SUFFIXES: &[(&str, i128)] = &[
    ("m", 1),
    ("", 1_000),
    ("k", 1_000_000),
    ("M", 1_000_000_000),
    ("G", 1_000_000_000_000),
    ("T", 1_000_000_000_000_000),
    ("P", 1_000_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000_000),
    ("Ki", 1_000 << 10),
    ("Mi", 1_000 << 20),
    ("Gi", 1_000 << 30),
    ("Ti", 1_000 << 40),
    ("Pi", 1_000 << 50),
    ("Ei", 1_000 << 60),
];

impl Amount {
    /// The amount in thousandths of a unit.
    pub fn thousandths(self) -> i128 {
        self.0
    }

    /// The amount in whole units (bytes, cores), rounded up as Kubernetes rounds.
    pub fn units(self) -> i128 {
        self.0.div_euclid(1_000) + i128::from(self.0.rem_euclid(1_000) != 0)
    }

    /// The amount as a quantity, as short as it can be written: `1Gi` for `1024Mi`, `1` for `1000m`, `500m` for `0.5`.
    /// That is how Kubernetes writes what it stores.
    pub fn to_quantity(self) -> String {
        let whole = SUFFIXES.iter().filter(|(_, worth)| self.0 % worth == 0);
        match whole.min_by_key(|(suffix, worth)| length(self.0 / worth) + suffix.len()) {
            Some((suffix, worth)) => format!("{}{suffix}", self.0 / worth),
            None => self.to_string(),
        }
    }

    /// Whether this is nothing at all.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

/// How many characters a number takes.
fn length(number: i128) -> usize {
    let digits = number.unsigned_abs().checked_ilog10().map_or(1, |tens| tens as usize + 1);
    digits + usize::from(number < 0)
}

/// A quantity as Kubernetes would write it; a text that is none as it is.
pub(crate) fn as_stored(text: &str) -> String {
    text.parse().map_or_else(|_| text.to_owned(), Amount::to_quantity)
}

impl FromStr for Amount {
    type Err = NotAQuantity;

    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        let digits_end = text
            .char_indices()
            .find(|&(at, c)| !(c.is_ascii_digit() || c == '.' || (at == 0 && (c == '-' || c == '+'))))
            .map_or(text.len(), |(at, _)| at);
        let (number, suffix) = text.split_at_checked(digits_end).ok_or(NotAQuantity)?;
        let (mantissa, decimals) = decimal(number)?;
        let thousandths = match exponent(suffix) {
            Some(power) => scale(mantissa, 3 + power - decimals)?,
            None => {
                let (_, worth) = SUFFIXES.iter().find(|(known, _)| *known == suffix).ok_or(NotAQuantity)?;
                scale(mantissa.checked_mul(*worth).ok_or(NotAQuantity)?, -decimals)?
            }
        };
        Ok(Self(thousandths))
    }
}

/// `12.5` as (125, 1): digits without the point, and how many of them stood behind it.
fn decimal(number: &str) -> Result<(i128, i32), NotAQuantity> {
    let ends_in_digit = |digits: &str| digits.ends_with(|c: char| c.is_ascii_digit());
    let Some((whole, fraction)) = number.split_once('.') else {
        let whole = Some(number).filter(|number| ends_in_digit(number));
        return Ok((whole.and_then(|digits| digits.parse().ok()).ok_or(NotAQuantity)?, 0));
    };
    let digits = format!("{whole}{fraction}");
    if !ends_in_digit(&digits) {
        return Err(NotAQuantity);
    }
    let mantissa = digits.parse().map_err(|_| NotAQuantity)?;
    let decimals = i32::try_from(fraction.len()).map_err(|_| NotAQuantity)?;
    Ok((mantissa, decimals))
}

/// The power of ten in `e3` or `E-3`; a lone `E` is the suffix exa, not an exponent.
fn exponent(suffix: &str) -> Option<i32> {
    suffix.strip_prefix(['e', 'E']).filter(|digits| !digits.is_empty()).and_then(|digits| digits.parse().ok())
}

/// `value` × 10^`power`; what falls below a thousandth is rounded up, away from zero, as Kubernetes does.
fn scale(value: i128, power: i32) -> Result<i128, NotAQuantity> {
    let factor = 10_i128.checked_pow(power.unsigned_abs()).ok_or(NotAQuantity)?;
    if power >= 0 {
        return value.checked_mul(factor).ok_or(NotAQuantity);
    }
    Ok(value / factor + i128::from(value % factor != 0) * value.signum())
}

impl fmt::Display for Amount {
    /// Whole units where possible, else thousandths: `2`, `1500m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 % 1_000 == 0 { write!(f, "{}", self.0 / 1_000) } else { write!(f, "{}m", self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_amounts_are_written_alike() {
        for (texts, written) in [
            (["10Gi", "10240Mi", "10737418240"].as_slice(), "10Gi"),
            (&["1", "1000m", "1.0"], "1"),
            (&["0.5", "500m", "500e-3"], "500m"),
            (&["1.5Gi", "1536Mi"], "1536Mi"),
            (&["500M", "5e8", "500000k"], "500M"),
            (&["0", "0Gi", "0m"], "0"),
        ] {
            texts.iter().for_each(|text| assert_eq!(as_stored(text), written, "{text}"));
        }
        assert_eq!(as_stored("plenty"), "plenty");
    }

    fn amount(text: &str) -> Amount {
        text.parse().unwrap_or_else(|_| panic!("{text} should parse"))
    }

    #[test]
    fn every_suffix_counts_as_kubernetes_counts_it() {
        for (text, thousandths) in [
            ("1", 1_000),
            ("0", 0),
            ("250m", 250),
            ("1.5", 1_500),
            (".5", 500),
            ("1k", 1_000_000),
            ("1Ki", 1_024_000),
            ("1.5Gi", 1_610_612_736_000),
            ("1e3", 1_000_000),
            ("1E", 1_000_000_000_000_000_000_000),
            ("12E2", 1_200_000),
            ("0.0001", 1),
        ] {
            assert_eq!(amount(text).thousandths(), thousandths, "{text}");
        }
    }

    #[test]
    fn what_kubernetes_refuses_is_refused() {
        for text in ["", "Gi", "5K", "1 Gi", "ten", "1.2.3", "1GiB", "--1", "1e", "NaN"] {
            assert!(text.parse::<Amount>().is_err(), "{text:?} must not parse");
        }
    }

    #[test]
    fn amounts_compare_by_value_not_by_text() {
        assert!(amount("1Gi") > amount("1G"));
        assert_eq!(amount("1024Mi"), amount("1Gi"));
        assert!(amount("0.5") < amount("501m"));
    }
}
