//! A throwaway key that signs what was built, for the demonstration and for tests.

use alloy_primitives::keccak256;
use k256::ecdsa::SigningKey;
use k256::ecdsa::hazmat::SignPrimitive;
use k256::elliptic_curve::ops::Reduce;
use k256::{FieldBytes, Scalar, U256};
use serde_json::{Value, json};

use super::crypto::{account, hex, typed_hash, unhex};
use super::rlp::{Item, encode, number, trimmed};

/// A key.
#[derive(Clone)]
pub struct Wallet {
    key: SigningKey,
    salt: Option<u8>,
}

/// Shows nothing.
impl std::fmt::Debug for Wallet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wallet")
    }
}

impl Wallet {
    /// The key of these bytes; `None` for the few that are none.
    pub fn new(secret: [u8; 32]) -> Option<Self> {
        SigningKey::from_slice(&secret).ok().map(|key| Self { key, salt: None })
    }

    /// The same key, with signatures unlike those of any other salt: many wallets draw their nonces, and never sign alike
    /// twice.
    #[must_use]
    pub fn salted(&self, salt: u8) -> Self {
        Self { salt: Some(salt), ..self.clone() }
    }

    /// Its account, with a checksum.
    pub fn address(&self) -> String {
        alloy_primitives::Address::from(account(self.key.verifying_key())).to_checksum(None)
    }

    /// Signs an entry of `unsignedOps`: the raw transaction, or the signature of the typed data.
    pub fn sign(&self, operation: &Value) -> Option<String> {
        if operation["format"] == "TYPED_DATA" {
            let data: Value = serde_json::from_str(operation["data"].as_str()?).ok()?;
            let (rs, odd) = self.sign_hash(&typed_hash(&data)?)?;
            return Some(hex(&[rs.as_slice(), &[27 + u8::from(odd)]].concat()));
        }
        let chain = number(operation["chainId"].as_u64()?.into());
        let of = |name: &str| match &operation[name] {
            Value::String(text) => text.parse().ok().map(number),
            value => value.as_u64().map(|small| number(small.into())),
        };
        let target = [
            Item::Bytes(unhex(operation["to"].as_str()?)?),
            of("value")?,
            Item::Bytes(unhex(operation["data"].as_str()?)?),
        ];
        if operation["gasPrice"].is_string() {
            let fields = [vec![of("nonce")?, of("gasPrice")?, of("gasLimit")?], target.to_vec()].concat();
            let tail = [chain, number(0), number(0)];
            let digest = keccak256(encode(&Item::List([fields.clone(), tail.to_vec()].concat())));
            let (rs, odd) = self.sign_hash(&digest.0)?;
            let v = 35 + 2 * u128::from(operation["chainId"].as_u64()?) + u128::from(odd);
            return Some(hex(&encode(&Item::List([fields, signed(v, &rs)].concat()))));
        }
        let fees = vec![chain, of("nonce")?, of("maxPriorityFeePerGas")?, of("maxFeePerGas")?, of("gasLimit")?];
        let fields = [fees, target.to_vec(), vec![Item::List(Vec::new())]].concat();
        let digest = keccak256([vec![2], encode(&Item::List(fields.clone()))].concat());
        let (rs, odd) = self.sign_hash(&digest.0)?;
        Some(hex(&[vec![2], encode(&Item::List([fields, signed(odd.into(), &rs)].concat()))].concat()))
    }

    /// The body of an execute call for what a create call answered: everything in it signed.
    pub fn sign_all(&self, created: &Value) -> Value {
        let sets = created["operations"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|set| set["unsignedOps"].as_array().is_some_and(|operations| !operations.is_empty()));
        let sets: Vec<Value> = sets
            .map(|set| {
                let signatures: Vec<Value> = set["unsignedOps"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .enumerate()
                    .map(|(index, operation)| json!({ "index": index, "signature": self.sign(operation) }))
                    .collect();
                json!({ "operationSetId": set["operationSetId"], "signatures": signatures })
            })
            .collect();
        json!({ "signatures": sets })
    }

    fn sign_hash(&self, hash: &[u8; 32]) -> Option<(Vec<u8>, bool)> {
        let Some(salt) = self.salt else {
            let (signature, id) = self.key.sign_prehash_recoverable(hash).ok()?;
            return Some((signature.to_bytes().to_vec(), id.is_y_odd()));
        };
        let drawn = keccak256([&self.key.to_bytes()[..], hash, &[salt]].concat());
        let nonce = <Scalar as Reduce<U256>>::reduce_bytes(&FieldBytes::from(drawn.0));
        let signed = self.key.as_nonzero_scalar().as_ref().try_sign_prehashed(nonce, &FieldBytes::from(*hash));
        let (signature, id) = signed.ok()?;
        Some((signature.to_bytes().to_vec(), id?.is_y_odd()))
    }
}

fn signed(v: u128, rs: &[u8]) -> Vec<Item> {
    vec![number(v), Item::Bytes(trimmed(&rs[..32])), Item::Bytes(trimmed(&rs[32..]))]
}
