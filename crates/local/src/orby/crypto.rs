//! Signed transactions and flat typed data, read and checked without the service's own code.

use alloy_primitives::keccak256;
use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use serde_json::Value;

use super::rlp::{Item, decode, encode, number};

/// A transaction, and who signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transaction {
    pub(super) signer: [u8; 20],
    pub(super) hash: String,
    pub(super) chain: u128,
    pub(super) nonce: u128,
    pub(super) gas: u128,
    /// The one price; or the most, and the tip.
    pub(super) fee: (u128, Option<u128>),
    pub(super) to: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) data: Vec<u8>,
}

pub(super) fn hex(bytes: &[u8]) -> String {
    format!("0x{}", alloy_primitives::hex::encode(bytes))
}

pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    alloy_primitives::hex::decode(text.strip_prefix("0x")?).ok()
}

/// The account of a key.
pub(super) fn account(key: &VerifyingKey) -> [u8; 20] {
    let point = key.to_encoded_point(false);
    let hash = keccak256(&point.as_bytes()[1..]);
    let mut account = [0; 20];
    account.copy_from_slice(&hash[12..]);
    account
}

fn recover(hash: &[u8], [r, s]: [&[u8]; 2], odd: bool) -> Option<[u8; 20]> {
    let pad = |bytes: &[u8]| {
        <[u8; 32]>::try_from([vec![0; 32_usize.checked_sub(bytes.len())?], bytes.to_vec()].concat()).ok()
    };
    let signature =
        Signature::from_scalars(pad(r)?, pad(s)?).ok().filter(|signature| signature.normalize_s().is_none())?;
    let key = VerifyingKey::recover_from_prehash(hash, &signature, RecoveryId::new(odd, false)).ok()?;
    Some(account(&key))
}

/// Reads a signed transaction of type legacy, EIP-2930 or EIP-1559.
pub(super) fn transaction(bytes: &[u8]) -> Option<Transaction> {
    let kind = *bytes.first()?;
    let (prefix, body): (&[u8], &[u8]) = if kind >= 0xc0 { (&[], bytes) } else { (&bytes[..1], &bytes[1..]) };
    let Item::List(items) = decode(body)? else { return None };
    let at = |place: usize| items.get(place);
    let (number_at, bytes_at) = (|place| at(place)?.number(), |place| at(place)?.bytes());
    let unsigned = items.get(..items.len().checked_sub(3)?)?;
    let (v, r, s) = (number_at(items.len() - 3)?, bytes_at(items.len() - 2)?, bytes_at(items.len() - 1)?);
    // Where nonce stands; legacy ones name their chain in v.
    let (start, chain, odd, signed, fee) = match (kind, items.len()) {
        (0xc0.., 9) => {
            let chain = v.checked_sub(35)? / 2;
            let tail = [number(chain), number(0), number(0)];
            (0, chain, (v - 35) % 2 == 1, [unsigned, &tail].concat(), (number_at(1)?, None))
        }
        (1, 11) => (1, number_at(0)?, v == 1, unsigned.to_vec(), (number_at(2)?, None)),
        (2, 12) => (1, number_at(0)?, v == 1, unsigned.to_vec(), (number_at(3)?, Some(number_at(2)?))),
        _ => return None,
    };
    let rest = start + 1 + if fee.1.is_some() { 2 } else { 1 };
    let digest = keccak256([prefix, &encode(&Item::List(signed))].concat());
    Some(Transaction {
        signer: recover(digest.as_slice(), [r, s], odd)?,
        hash: hex(keccak256(bytes).as_slice()),
        chain,
        nonce: number_at(start)?,
        gas: number_at(rest)?,
        fee,
        to: bytes_at(rest + 1)?.to_vec(),
        value: bytes_at(rest + 2)?.to_vec(),
        data: bytes_at(rest + 3)?.to_vec(),
    })
}

/// The hash that is signed of typed data whose struct holds addresses, numbers and strings alone (EIP-712).
pub(super) fn typed_hash(data: &Value) -> Option<[u8; 32]> {
    let domain = &data["domain"];
    let mut fields =
        vec![("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address")];
    fields.retain(|(name, _)| !domain[*name].is_null());
    let domain = hash_struct("EIP712Domain", &fields, domain)?;
    let primary = data["primaryType"].as_str()?;
    let fields: Option<Vec<(&str, &str)>> = data["types"][primary]
        .as_array()?
        .iter()
        .map(|field| Some((field["name"].as_str()?, field["type"].as_str()?)))
        .collect();
    let message = hash_struct(primary, &fields?, &data["message"])?;
    Some(keccak256([&[0x19, 0x01], domain.as_slice(), message.as_slice()].concat()).0)
}

fn hash_struct(name: &str, fields: &[(&str, &str)], values: &Value) -> Option<[u8; 32]> {
    let listed: Vec<String> = fields.iter().map(|(name, kind)| format!("{kind} {name}")).collect();
    let mut out = keccak256(format!("{name}({})", listed.join(","))).to_vec();
    for (name, kind) in fields {
        let value = &values[*name];
        let word = match *kind {
            "string" => keccak256(value.as_str()?).to_vec(),
            "address" => unhex(value.as_str()?)?,
            "uint256" => {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                alloy_primitives::U256::from_str_radix(&text, 10).ok()?.to_be_bytes_vec()
            }
            _ => return None,
        };
        out.extend(std::iter::repeat_n(0, 32_usize.checked_sub(word.len())?));
        out.extend(word);
    }
    Some(keccak256(out).0)
}

/// Who signed `hash` with the 65 bytes r, s, v.
pub(super) fn typed_signer(hash: &[u8; 32], signature: &[u8]) -> Option<[u8; 20]> {
    let (rs, v) = signature.split_at_checked(64).filter(|(_, v)| matches!(v, [27 | 28]))?;
    recover(hash, [&rs[..32], &rs[32..]], v == [28])
}
