//! Addresses: a version and 20 bytes of hash, written in c32check (SIP-005, "Transaction Authorization"; the encoding is
//! that of <https://github.com/stacks-network/c32check>).

use std::fmt;

use ripemd::Ripemd160;
use sha2::{Digest, Sha256};

/// Crockford's base 32.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A standard principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// 22 and 26 for one key on the main and the test network, 20 and 21 for several.
    pub version: u8,
    /// RIPEMD-160 of SHA-256 of the compressed public key, or of a script.
    pub hash: [u8; 20],
}

/// A text that is no address, or no contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadAddress;

impl fmt::Display for BadAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not a Stacks address, or its checksum is wrong")
    }
}

impl std::error::Error for BadAddress {}

impl Address {
    /// The address of one key.
    pub fn of_key(version: u8, compressed_key: &[u8]) -> Self {
        Self { version, hash: Ripemd160Of(&Sha256::digest(compressed_key)).hash() }
    }

    /// Reads an address as it is written: upper case, its checksum right.
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        let digits = text.strip_prefix('S').ok_or(BadAddress)?.as_bytes();
        let (version, rest) = digits.split_first().ok_or(BadAddress)?;
        let version = digit(*version)?;
        // 24 bytes are at most 39 digits.
        if rest.len() > 39 {
            return Err(BadAddress);
        }
        let bytes = decode(rest)?;
        let address = Self { version, hash: bytes[..20].try_into().map_err(|_| BadAddress)? };
        // One address has one text.
        if address.to_string() == text { Ok(address) } else { Err(BadAddress) }
    }

    fn checksum(&self) -> [u8; 4] {
        let once = Sha256::new().chain_update([self.version]).chain_update(self.hash).finalize();
        let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(once));
        [a, b, c, d]
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 24];
        bytes[..20].copy_from_slice(&self.hash);
        bytes[20..].copy_from_slice(&self.checksum());
        let version = char::from(ALPHABET[usize::from(self.version & 31)]);
        write!(f, "S{version}{}", encode(&bytes))
    }
}

/// The library has its own trait for hashes, of another version than the one of SHA-2.
struct Ripemd160Of<'a>(&'a [u8]);

impl Ripemd160Of<'_> {
    fn hash(&self) -> [u8; 20] {
        use ripemd::Digest as _;
        Ripemd160::digest(self.0).into()
    }
}

fn digit(char: u8) -> Result<u8, BadAddress> {
    let place = ALPHABET.iter().position(|known| *known == char).ok_or(BadAddress)?;
    u8::try_from(place).map_err(|_| BadAddress)
}

/// The bytes as one number in base 32, a `0` for each leading zero byte.
fn encode(bytes: &[u8; 24]) -> String {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let bit = |place: usize| bytes[23 - place / 8] >> (place % 8) & 1;
    let digits = (0..39)
        .map(|at| (0..5).filter(|shift| at * 5 + shift < 192).map(|shift| bit(at * 5 + shift) << shift).sum::<u8>());
    let mut digits: Vec<u8> = digits.collect();
    while digits.last() == Some(&0) {
        digits.pop();
    }
    digits.extend(std::iter::repeat_n(0, zeros));
    digits.iter().rev().map(|digit| char::from(ALPHABET[usize::from(*digit)])).collect()
}

fn decode(digits: &[u8]) -> Result<[u8; 24], BadAddress> {
    let mut bytes = [0_u8; 24];
    for (at, char) in digits.iter().rev().enumerate() {
        let value = digit(*char)?;
        for shift in 0..5 {
            let place = at * 5 + shift;
            if value >> shift & 1 == 1 {
                let byte = bytes.get_mut(23_usize.checked_sub(place / 8).ok_or(BadAddress)?).ok_or(BadAddress)?;
                *byte |= 1 << (place % 8);
            }
        }
    }
    Ok(bytes)
}

/// A contract: the address it was deployed from, and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// Who deployed it.
    pub address: Address,
    /// 1 to 40 characters.
    pub name: String,
}

impl Contract {
    /// The longest name.
    const MAX_NAME: usize = 40;

    /// Reads `address.name`.
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        let (address, name) = text.split_once('.').ok_or(BadAddress)?;
        let first = name.bytes().next().is_some_and(|first| first.is_ascii_alphabetic());
        let rest = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if !first || !rest || name.len() > Self::MAX_NAME {
            return Err(BadAddress);
        }
        Ok(Self { address: Address::parse(address)?, name: name.to_owned() })
    }
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.address, self.name)
    }
}
