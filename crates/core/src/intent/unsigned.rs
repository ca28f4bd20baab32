//! What is to be signed: an operation as Orby built it.

use std::fmt;

use alloy_primitives::U256;
use serde_json::{Value, json};

use super::Address;
use crate::json::Object;

/// How an operation is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As a raw transaction.
    Transaction,
    /// As typed data (EIP-712).
    TypedData,
}

/// What a transaction offers for its gas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fee {
    /// One price (legacy, EIP-2930).
    Price(u128),
    /// At most so much, and so much of it to whoever makes the block (EIP-1559).
    Most(u128, u128),
}

/// An operation to be signed. Everything in it is fixed by what Orby built: the client signs this or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    /// Orby's word for what it does.
    pub kind: String,
    /// How it is signed.
    pub format: Format,
    /// EIP-155 number of its chain.
    pub chain: u64,
    /// The account that signs.
    pub from: Address,
    /// What is called or paid.
    pub to: Address,
    /// The chain's own coin that goes with it.
    pub value: U256,
    /// Call data as 0x and hex digits; or the JSON text of the typed data.
    pub data: String,
    /// Position among the account's transactions; absent for typed data, like all that follows.
    pub nonce: Option<u64>,
    /// Most gas it may use.
    pub gas_limit: Option<u64>,
    /// What is offered for it.
    pub fee: Option<Fee>,
}

/// Why what Orby built cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadOperation(pub &'static str);

impl fmt::Display for BadOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "its field {} is missing or wrong", self.0)
    }
}

impl Unsigned {
    /// Reads an operation of Orby's, or one stored by [`Self::to_json`].
    pub fn read(value: &Value) -> Result<Self, BadOperation> {
        let fields = value.as_object().ok_or(BadOperation("operation"))?;
        let format = match fields.get("format").and_then(Value::as_str) {
            Some("TRANSACTION") => Format::Transaction,
            Some("TYPED_DATA") => Format::TypedData,
            _ => return Err(BadOperation("format")),
        };
        let number = |name: &'static str| match fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => quantity(value).map(Some).ok_or(BadOperation(name)),
        };
        let small = |name: &'static str| match number(name)? {
            None => Ok(None),
            Some(units) => u128::try_from(units).map(Some).map_err(|_| BadOperation(name)),
        };
        let smaller = |name: &'static str| match number(name)? {
            None => Ok(None),
            Some(units) => u64::try_from(units).map(Some).map_err(|_| BadOperation(name)),
        };
        let fee = match (small("maxFeePerGas")?, small("maxPriorityFeePerGas")?, small("gasPrice")?) {
            (Some(most), tip, _) => Some(Fee::Most(most, tip.ok_or(BadOperation("maxPriorityFeePerGas"))?)),
            (None, _, price) => price.map(Fee::Price),
        };
        let unsigned = Self {
            kind: text(fields, "type")?.to_owned(),
            format,
            chain: chain(fields.get("chainId")).ok_or(BadOperation("chainId"))?,
            from: address(fields, "from")?,
            to: address(fields, "to")?,
            value: number("value")?.unwrap_or(U256::ZERO),
            data: fields.get("data").and_then(Value::as_str).unwrap_or("0x").to_owned(),
            nonce: smaller("nonce")?,
            gas_limit: smaller("gasLimit")?,
            fee,
        };
        unsigned.whole()
    }

    /// Only what is fixed in every field can be compared with what was signed.
    fn whole(self) -> Result<Self, BadOperation> {
        match self.format {
            Format::TypedData => super::signature::typed_data(&self).map(|_| ()).ok_or(BadOperation("data"))?,
            Format::Transaction => {
                self.nonce.ok_or(BadOperation("nonce"))?;
                self.gas_limit.ok_or(BadOperation("gasLimit"))?;
                self.fee.ok_or(BadOperation("maxFeePerGas"))?;
                self.call_data().ok_or(BadOperation("data"))?;
            }
        }
        Ok(self)
    }

    /// The bytes of a transaction's call data.
    pub(super) fn call_data(&self) -> Option<Vec<u8>> {
        alloy_primitives::hex::decode(self.data.strip_prefix("0x")?).ok()
    }

    /// As clients are told of it, and as it is stored. `value` and all prices are decimal strings, since they are larger
    /// than a JSON number in many languages holds.
    pub fn to_json(&self) -> Value {
        let mut out = json!({
            "type": self.kind,
            "format": match self.format {
                Format::Transaction => "TRANSACTION",
                Format::TypedData => "TYPED_DATA",
            },
            "chainId": self.chain,
            "from": self.from.to_string(),
            "to": self.to.to_string(),
            "value": self.value.to_string(),
            "data": self.data,
        });
        let mut set = |name: &str, value: Option<Value>| {
            if let (Some(out), Some(value)) = (out.as_object_mut(), value) {
                out.insert(name.to_owned(), value);
            }
        };
        set("nonce", self.nonce.map(Value::from));
        set("gasLimit", self.gas_limit.map(|gas| gas.to_string().into()));
        match self.fee {
            None => {}
            Some(Fee::Price(price)) => set("gasPrice", Some(price.to_string().into())),
            Some(Fee::Most(most, tip)) => {
                set("maxFeePerGas", Some(most.to_string().into()));
                set("maxPriorityFeePerGas", Some(tip.to_string().into()));
            }
        }
        out
    }

    /// The most that its gas can cost, in the chain's own coin.
    pub fn most_fee(&self) -> U256 {
        let price = match self.fee {
            None => 0,
            Some(Fee::Price(price) | Fee::Most(price, _)) => price,
        };
        U256::from(self.gas_limit.unwrap_or(0)).saturating_mul(U256::from(price))
    }
}

fn text<'a>(fields: &'a Object, name: &'static str) -> Result<&'a str, BadOperation> {
    fields.get(name).and_then(Value::as_str).ok_or(BadOperation(name))
}

fn address(fields: &Object, name: &'static str) -> Result<Address, BadOperation> {
    Address::parse(text(fields, name)?).map_err(|_| BadOperation(name))
}

/// `EIP155-1`, or the number itself.
fn chain(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::String(text) => text.strip_prefix("EIP155-").unwrap_or(text).parse().ok(),
        other => other.as_u64(),
    }
}

/// A whole number: a JSON number, or a text of decimal digits, or of 0x and hex digits.
fn quantity(value: &Value) -> Option<U256> {
    match value {
        Value::Number(number) => number.as_u64().map(U256::from),
        Value::String(text) => match text.strip_prefix("0x") {
            Some(digits) if !digits.is_empty() && digits.len() <= 64 => U256::from_str_radix(digits, 16).ok(),
            Some(_) => None,
            None if !text.is_empty() && text.len() <= 78 && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                U256::from_str_radix(text, 10).ok()
            }
            None => None,
        },
        _ => None,
    }
}
