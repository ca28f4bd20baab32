//! Reads a transaction as a node does, byte by byte, and finds out who signed it.

use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use ripemd::Ripemd160;
use sha2::{Digest, Sha256, Sha512_256};

/// What a transaction says, once its signature is known to be its sender's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// Lower-case hex, without `0x`.
    pub txid: String,
    /// Whether it is for the main network.
    pub mainnet: bool,
    /// Who signed it and pays.
    pub sender: String,
    /// How many the sender has sent before.
    pub nonce: u64,
    /// Millionths of an STX.
    pub fee: u64,
    /// Its length in bytes.
    pub length: usize,
    /// What it does.
    pub does: Does,
}

/// What a transaction does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Does {
    /// It calls a function.
    Call {
        /// `address.name`
        contract: String,
        /// Its name.
        function: String,
        /// Each a `uint`.
        arguments: Vec<u128>,
    },
    /// It pays a contract.
    Pay {
        /// `address.name`
        contract: String,
        /// Millionths of an STX.
        amount: u64,
    },
}

/// Why bytes are not taken, in a node's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bad {
    /// They are no transaction of a kind known here.
    Deserialization,
    /// They are not signed by whom they name.
    SignatureValidation,
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Bad> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Bad::Deserialization)?;
        self.0 = rest;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Bad> {
        self.take(N)?.try_into().map_err(|_| Bad::Deserialization)
    }

    fn expect(&mut self, wanted: &[u8]) -> Result<(), Bad> {
        if self.take(wanted.len())? == wanted { Ok(()) } else { Err(Bad::Deserialization) }
    }

    fn name(&mut self) -> Result<String, Bad> {
        let [length] = self.fixed()?;
        let text = std::str::from_utf8(self.take(usize::from(length))?).map_err(|_| Bad::Deserialization)?;
        let good = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_!?+<>=/*".contains(&byte));
        if good && !text.is_empty() { Ok(text.to_owned()) } else { Err(Bad::Deserialization) }
    }

    fn contract(&mut self) -> Result<String, Bad> {
        let [version] = self.fixed()?;
        let hash = self.fixed()?;
        let name = self.name()?;
        if name.len() > 40 {
            return Err(Bad::Deserialization);
        }
        Ok(format!("{}.{name}", c32_address(version, &hash)))
    }
}

/// Reads one transaction, to its last byte.
pub fn decode(bytes: &[u8]) -> Result<Decoded, Bad> {
    let mut rest = Bytes(bytes);
    let [version] = rest.fixed()?;
    let chain = u32::from_be_bytes(rest.fixed()?);
    let mainnet = match (version, chain) {
        (0x00, 1) => true,
        (0x80, 0x8000_0000) => false,
        _ => return Err(Bad::Deserialization),
    };
    rest.expect(&[0x04, 0x00])?;
    let hash: [u8; 20] = rest.fixed()?;
    let nonce = u64::from_be_bytes(rest.fixed()?);
    let fee = u64::from_be_bytes(rest.fixed()?);
    rest.expect(&[0x00])?;
    let signature: [u8; 65] = rest.fixed()?;
    let [anchor] = rest.fixed()?;
    if !(1..=3).contains(&anchor) {
        return Err(Bad::Deserialization);
    }
    // Deny, of nothing.
    rest.expect(&[0x02, 0, 0, 0, 0])?;
    let does = payload(&mut rest)?;
    if !rest.0.is_empty() {
        return Err(Bad::Deserialization);
    }
    if signer_of(bytes, nonce, fee, &signature)? != hash {
        return Err(Bad::SignatureValidation);
    }
    let sender = c32_address(if mainnet { 22 } else { 26 }, &hash);
    let txid = batch_core::runtime::hex(&Sha512_256::digest(bytes));
    Ok(Decoded { txid, mainnet, sender, nonce, fee, length: bytes.len(), does })
}

fn payload(rest: &mut Bytes<'_>) -> Result<Does, Bad> {
    let [kind] = rest.fixed()?;
    match kind {
        0x00 => {
            rest.expect(&[0x06])?;
            let contract = rest.contract()?;
            let amount = u64::from_be_bytes(rest.fixed()?);
            rest.take(34)?;
            Ok(Does::Pay { contract, amount })
        }
        0x02 => {
            let contract = rest.contract()?;
            let function = rest.name()?;
            let count = u32::from_be_bytes(rest.fixed()?);
            let mut arguments = Vec::new();
            for _ in 0..count {
                rest.expect(&[0x01])?;
                arguments.push(u128::from_be_bytes(rest.fixed()?));
            }
            Ok(Does::Call { contract, function, arguments })
        }
        _ => Err(Bad::Deserialization),
    }
}

/// The hash of the key that signed: nonce, fee and signature are at fixed places, and are hashed as zeros first.
fn signer_of(bytes: &[u8], nonce: u64, fee: u64, signature: &[u8; 65]) -> Result<[u8; 20], Bad> {
    let bad = Bad::SignatureValidation;
    let mut cleared = bytes.to_vec();
    for at in (27..43).chain(44..109) {
        *cleared.get_mut(at).ok_or(bad)? = 0;
    }
    let mut presign = Sha512_256::digest(&cleared).to_vec();
    presign.push(0x04);
    presign.extend(fee.to_be_bytes());
    presign.extend(nonce.to_be_bytes());
    let digest = Sha512_256::digest(&presign);
    let recovery = RecoveryId::from_byte(signature[0]).ok_or(bad)?;
    let signature = Signature::from_slice(&signature[1..]).map_err(|_| bad)?;
    if signature.normalize_s().is_some() {
        return Err(bad);
    }
    let key = VerifyingKey::recover_from_prehash(&digest, &signature, recovery).map_err(|_| bad)?;
    let sha = Sha256::digest(key.to_encoded_point(true).as_bytes());
    Ok({
        use ripemd::Digest as _;
        Ripemd160::digest(sha).into()
    })
}

/// An address as text, by long division.
pub fn c32_address(version: u8, hash: &[u8; 20]) -> String {
    const DIGITS: [char; 32] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'J', 'K', 'M', 'N',
        'P', 'Q', 'R', 'S', 'T', 'V', 'W', 'X', 'Y', 'Z',
    ];
    let mut checked = vec![version];
    checked.extend(hash);
    let sum = Sha256::digest(Sha256::digest(&checked));
    let mut number: Vec<u8> = hash.iter().chain(sum.iter().take(4)).copied().collect();
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let mut digits = Vec::new();
    while number.iter().any(|byte| *byte != 0) {
        let mut left = 0_u32;
        for byte in &mut number {
            let value = left << 8 | u32::from(*byte);
            left = value & 31;
            *byte = u8::try_from(value >> 5).unwrap_or(u8::MAX);
        }
        digits.extend(usize::try_from(left).ok().and_then(|digit| DIGITS.get(digit)));
    }
    digits.extend(std::iter::repeat_n('0', zeros));
    let text: String = digits.into_iter().rev().collect();
    format!("S{}{text}", DIGITS[usize::from(version & 31)])
}
