//! Addresses of accounts and contracts.

use std::fmt;

/// An account or a contract, the same on every chain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(alloy_primitives::Address);

/// Why a text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadAddress {
    /// Not 0x and 40 hex digits.
    Shape,
    /// The mixture of its cases says that a digit is wrong (EIP-55).
    Checksum,
}

impl fmt::Display for BadAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape => f.write_str("must be 0x and 40 hex digits"),
            Self::Checksum => f.write_str("has a wrong checksum (EIP-55): a digit or the case of a letter is wrong"),
        }
    }
}

impl Address {
    /// Where a chain's own coin is named by an address, it is this one.
    pub const ZERO: Self = Self(alloy_primitives::Address::ZERO);

    /// Reads an address. One of a single case carries no checksum; in one of mixed case it must be right.
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        let digits = text.strip_prefix("0x").ok_or(BadAddress::Shape)?;
        if digits.len() != 40 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(BadAddress::Shape);
        }
        let mixed = digits.bytes().any(|byte| byte.is_ascii_lowercase())
            && digits.bytes().any(|byte| byte.is_ascii_uppercase());
        let read: alloy_primitives::Address = text.parse().map_err(|_| BadAddress::Shape)?;
        if mixed && read.to_checksum(None) != text {
            return Err(BadAddress::Checksum);
        }
        Ok(Self(read))
    }

    pub(super) fn of(inner: alloy_primitives::Address) -> Self {
        Self(inner)
    }

    pub(super) fn inner(self) -> alloy_primitives::Address {
        self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_checksum(None))
    }
}

/// Not shown: who pays whom is nobody's business who reads a log.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of EIP-55.
    const EXAMPLES: [&str; 8] = [
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
        "0xde709f2102306220921060314715629080e2fb77",
        "0x27b1fdb04752bbc536007a920d24acb045561c26",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ];

    #[test]
    fn checksums_are_those_of_the_standard() {
        for text in EXAMPLES {
            assert_eq!(Address::parse(text).map(|address| address.to_string()).as_deref(), Ok(text));
            let lower = text.to_lowercase();
            assert_eq!(Address::parse(&lower), Address::parse(text));
        }
        assert_eq!(Address::parse("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1Beaed"), Err(BadAddress::Checksum));
        for text in [
            "",
            "0x",
            "0xDEX...",
            "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAedff",
        ] {
            assert_eq!(Address::parse(text), Err(BadAddress::Shape), "{text}");
        }
    }
}
