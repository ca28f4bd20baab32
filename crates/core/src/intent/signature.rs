//! Whether what was signed is what was built, and who signed it.

use std::fmt;

use alloy_consensus::transaction::SignerRecoverable;
use alloy_consensus::{Transaction, TxEnvelope};
use alloy_dyn_abi::TypedData;
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{B256, Signature, TxKind, hex, keccak256};
use serde_json::Value;

use super::{Address, Fee, Format, Unsigned};

/// Hex digits of the longest signed transaction that is read: call data of ours has a few hundred bytes, that of a route
/// through many pools some thousand.
const MOST_DIGITS: usize = 256 * 1024;

/// Why a signature is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadSignature {
    /// Not 0x and pairs of hex digits.
    NotHex,
    /// Not one whole signed transaction of a kind that is known here.
    NotATransaction,
    /// A transaction of another kind than was built: its fees are given in another way.
    OtherKind,
    /// A transaction that any chain would take.
    AnyChain,
    /// A field that differs from what was built.
    Field(&'static str),
    /// Not the 65 bytes r, s, v.
    NotASignature,
    /// Of the two forms of a signature, the one that is not allowed (its s is in the upper half).
    HighS,
    /// Another account signed it, or something else was signed.
    OtherSigner,
}

impl fmt::Display for BadSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHex => f.write_str("the signature is not 0x and hex digits"),
            Self::NotATransaction => f.write_str(
                "the signature is not one whole signed transaction of type legacy, EIP-2930 or EIP-1559, as raw bytes",
            ),
            Self::OtherKind => f.write_str("the signed transaction gives its fees in another way than the built one"),
            Self::AnyChain => f.write_str("the signed transaction names no chain"),
            Self::Field(name) => write!(f, "the signed transaction has another {name} than was built"),
            Self::NotASignature => f.write_str("the signature is not the 65 bytes r, s, v of a typed-data signature"),
            Self::HighS => f.write_str("the signature's s is in the upper half, which is not allowed"),
            Self::OtherSigner => {
                f.write_str("the signature is not by the profile's account, or not over what was built")
            }
        }
    }
}

/// A signature that was checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Signed {
    /// What is submitted: as it came, in lower case, of typed data with a v of 27 or 28, which is what contracts take.
    pub signature: String,
    /// The transaction's hash, or of typed data the hash that was signed: 0x and hex digits.
    pub hash: String,
}

/// Shows nothing.
impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signed")
    }
}

impl Unsigned {
    /// Checks that `signature` is by `account` over this very operation.
    pub fn check(&self, signature: &str, account: Address) -> Result<Signed, BadSignature> {
        let digits = signature.strip_prefix("0x").filter(|digits| digits.len() <= MOST_DIGITS);
        let mut bytes = digits.and_then(|digits| hex::decode(digits).ok()).ok_or(BadSignature::NotHex)?;
        if self.from != account {
            return Err(BadSignature::OtherSigner);
        }
        let hash = match self.format {
            Format::Transaction => self.check_transaction(&bytes, account)?,
            Format::TypedData => self.check_typed_data(&bytes, account)?,
        };
        if let (Format::TypedData, Some(v @ (0 | 1))) = (self.format, bytes.last_mut()) {
            *v += 27;
        }
        // One signature has one form, so that whether it was sent before is told by comparing texts.
        Ok(Signed { signature: format!("0x{}", hex::encode(&bytes)), hash: format!("{hash:#x}") })
    }

    fn check_transaction(&self, bytes: &[u8], account: Address) -> Result<B256, BadSignature> {
        let signed = TxEnvelope::decode_2718_exact(bytes).map_err(|_| BadSignature::NotATransaction)?;
        if matches!(signed, TxEnvelope::Eip4844(_) | TxEnvelope::Eip7702(_)) {
            return Err(BadSignature::NotATransaction);
        }
        self.compare(&signed)?;
        // It refuses a high s too.
        let by = signed.recover_signer().map_err(|_| BadSignature::OtherSigner)?;
        if Address::of(by) != account {
            return Err(BadSignature::OtherSigner);
        }
        Ok(keccak256(bytes))
    }

    fn compare(&self, signed: &TxEnvelope) -> Result<(), BadSignature> {
        let same = |same: bool, name: &'static str| if same { Ok(()) } else { Err(BadSignature::Field(name)) };
        let chain = signed.chain_id().ok_or(BadSignature::AnyChain)?;
        same(chain == self.chain, "chainId")?;
        same(Some(signed.nonce()) == self.nonce, "nonce")?;
        same(signed.kind() == TxKind::Call(self.to.inner()), "to")?;
        same(signed.value() == self.value, "value")?;
        same(Some(signed.input().to_vec()) == self.call_data(), "data")?;
        same(Some(signed.gas_limit()) == self.gas_limit, "gasLimit")?;
        match (signed, self.fee) {
            (TxEnvelope::Eip1559(_), Some(Fee::Most(most, tip))) => {
                same(signed.max_fee_per_gas() == most, "maxFeePerGas")?;
                same(signed.max_priority_fee_per_gas() == Some(tip), "maxPriorityFeePerGas")?;
            }
            (TxEnvelope::Legacy(_) | TxEnvelope::Eip2930(_), Some(Fee::Price(price))) => {
                same(signed.gas_price() == Some(price), "gasPrice")?;
            }
            _ => return Err(BadSignature::OtherKind),
        }
        same(signed.access_list().is_none_or(|list| list.0.is_empty()), "accessList")
    }

    fn check_typed_data(&self, bytes: &[u8], account: Address) -> Result<B256, BadSignature> {
        let [.., v] = bytes else { return Err(BadSignature::NotASignature) };
        if bytes.len() != 65 || !matches!(v, 0 | 1 | 27 | 28) {
            return Err(BadSignature::NotASignature);
        }
        let signature = Signature::from_raw(bytes).map_err(|_| BadSignature::NotASignature)?;
        if signature.normalize_s().is_some() {
            return Err(BadSignature::HighS);
        }
        let hash = typed_data(self).and_then(|data| data.eip712_signing_hash().ok());
        let hash = hash.ok_or(BadSignature::NotASignature)?;
        let signer = signature.recover_address_from_prehash(&hash).map_err(|_| BadSignature::OtherSigner)?;
        if Address::of(signer) == account { Ok(hash) } else { Err(BadSignature::OtherSigner) }
    }
}

/// The typed data of an operation; `None` when it cannot be hashed, or is for another chain.
pub(super) fn typed_data(operation: &Unsigned) -> Option<TypedData> {
    let value: Value = serde_json::from_str(&operation.data).ok()?;
    let data: TypedData = serde_json::from_value(value).ok()?;
    let chain = data.domain.chain_id?;
    data.eip712_signing_hash().ok()?;
    (chain == alloy_primitives::U256::from(operation.chain)).then_some(data)
}
