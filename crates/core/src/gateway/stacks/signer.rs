//! A key and what it signs.

use std::fmt;

use k256::ecdsa::SigningKey;

use super::address::Address;
use super::transaction::{Network, Payload, Transaction, txid};
use crate::runtime::hex;

/// A text that is no private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadKey;

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not a private key: 64 hex digits, or 66 that end with 01")
    }
}

impl std::error::Error for BadKey {}

/// Signs the transactions of one account.
#[derive(Clone)]
pub struct Signer {
    key: SigningKey,
    network: Network,
    address: Address,
}

/// Shows whose it is, never the key.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

/// A transaction that can be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Signed {
    /// As they go over the wire. Whoever has them can send them.
    pub bytes: Vec<u8>,
    /// Lower-case hex, without `0x`.
    pub txid: String,
}

/// Shows which it is, not its bytes.
impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed").field("txid", &self.txid).finish_non_exhaustive()
    }
}

impl Signer {
    /// Reads a private key in hex; `01` at its end says that its public key is compressed, which it always is here.
    pub fn parse(network: Network, text: &str) -> Result<Self, BadKey> {
        let digits = match text.len() {
            64 => text,
            66 => text.strip_suffix("01").ok_or(BadKey)?,
            _ => return Err(BadKey),
        };
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()));
            *byte = u8::from_str_radix(pair.ok_or(BadKey)?, 16).map_err(|_| BadKey)?;
        }
        let key = SigningKey::from_slice(&bytes).map_err(|_| BadKey)?;
        let public = key.verifying_key().to_encoded_point(true);
        let address = Address::of_key(network.address_version(), public.as_bytes());
        Ok(Self { key, network, address })
    }

    /// Whose transactions these are.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Signs. The same arguments give the same bytes (RFC 6979), so a lost one can be made again.
    pub fn sign(&self, nonce: u64, fee: u64, payload: Payload) -> Result<Signed, BadKey> {
        let transaction = Transaction { network: self.network, signer: self.address, nonce, fee, payload };
        // Of the two values of s it gives the low one, which is the only one that nodes take.
        let (signature, recovery) = self.key.sign_prehash_recoverable(&transaction.digest()).map_err(|_| BadKey)?;
        let mut recoverable = [0; 65];
        recoverable[0] = recovery.to_byte();
        recoverable[1..].copy_from_slice(&signature.to_bytes());
        let bytes = transaction.encode(&recoverable);
        let txid = hex(&txid(&bytes));
        Ok(Signed { bytes, txid })
    }
}
