//! Operation sets: what has to be signed, so that something comes about.

use std::sync::OnceLock;

use alloy_primitives::{Address, U256};
use batch_core::intent::{Token, Tokens};
use serde_json::{Value, json};

use super::books::Books;

/// The contract that swaps go through.
const EXCHANGE: &str = "0x1111111254EEB25477B68fb85Ed929f73A960582";
/// The contract that bridges between chains.
const BRIDGE: &str = "0x5c7BCd6E7De5423a257D81B442095A1a6ced35C5";

/// The list, read once.
fn tokens() -> Result<&'static Tokens, String> {
    static LIST: OnceLock<Result<Tokens, String>> = OnceLock::new();
    LIST.get_or_init(|| Tokens::shipped().map_err(|error| error.to_string())).as_ref().map_err(String::clone)
}

fn chain_of(value: &Value) -> Result<u64, String> {
    let digits = value.as_str().and_then(|text| text.strip_prefix("EIP155-"));
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| "chainId is of another form".to_owned())
}

/// The same name for a token on every chain.
pub(super) fn token_ids(params: &Value) -> Result<Value, String> {
    let tokens = tokens()?;
    let asked = params["tokens"].as_array().ok_or("tokens is missing")?;
    let ids: Result<Vec<String>, String> = asked
        .iter()
        .map(|asked| {
            let chain = tokens.chain(chain_of(&asked["chainId"])?).ok_or("chain not supported")?;
            let address = asked["tokenAddress"].as_str().ok_or("tokenAddress is missing")?;
            let token = chain.tokens.iter().find(|token| token.address_or_zero().to_string() == address);
            Ok(format!("std-{}", token.ok_or("token not supported")?.symbol))
        })
        .collect();
    Ok(json!({ "standardizedTokenIds": ids? }))
}

fn token(id: &str, chain: u64) -> Result<Token, String> {
    let symbol = id.strip_prefix("std-").ok_or("token not supported")?;
    let tokens = tokens()?;
    let token = tokens.chain(chain).and_then(|chain| chain.token(symbol));
    token.cloned().ok_or_else(|| "token not on this chain".to_owned())
}

fn units(value: &Value) -> Result<U256, String> {
    let text = value.as_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    text.and_then(|text| U256::from_str_radix(text, 10).ok())
        .ok_or_else(|| "an amount must be a decimal string".to_owned())
}

fn address(value: &Value) -> Result<Address, String> {
    let text = value.as_str().ok_or("an address is missing")?;
    Address::parse_checksummed(text, None).map_err(|_| "an address is wrong".to_owned())
}

fn word(address: Address) -> String {
    alloy_primitives::hex::encode(address.into_word())
}

fn hex_units(units: U256) -> String {
    alloy_primitives::hex::encode(units.to_be_bytes::<32>())
}

/// A transaction to be signed.
fn transaction(
    books: &mut Books,
    (cluster, chain): (&str, u64),
    (to, value, data): (&str, U256, String),
    later: u64,
) -> Result<Value, String> {
    let from = books.owner(cluster, None)?;
    let gas = if data == "0x" { 21_000 } else { 21_000 + 16 * data.len() as u64 };
    Ok(json!({
        "type": "FINAL_TRANSACTION",
        "format": "TRANSACTION",
        "from": from,
        "to": to,
        "value": value.to_string(),
        "data": data,
        "chainId": format!("EIP155-{chain}"),
        "nonce": books.next_nonce(&from, chain) + later,
        "gasLimit": gas.to_string(),
        "maxFeePerGas": "30000000000",
        "maxPriorityFeePerGas": "1500000000",
        "txRpcUrl": "https://rpc.invalid",
    }))
}

/// A permit to be signed, of a token for a contract.
fn permit(
    books: &mut Books,
    (cluster, chain): (&str, u64),
    token: &Token,
    (spender, units): (&str, U256),
) -> Result<Value, String> {
    let owner = books.owner(cluster, None)?;
    let contract = token.address_or_zero().to_string();
    let field = |name: &str, kind: &str| json!({ "name": name, "type": kind });
    let data = json!({
        "domain": { "name": token.symbol, "version": "2", "chainId": chain, "verifyingContract": contract },
        "types": { "Permit": [
            field("owner", "address"), field("spender", "address"), field("value", "uint256"),
            field("nonce", "uint256"), field("deadline", "uint256"),
        ] },
        "primaryType": "Permit",
        "message": {
            "owner": owner, "spender": spender, "value": units.to_string(),
            "nonce": books.next_permit().to_string(), "deadline": "4000000000",
        },
    });
    Ok(json!({
        "type": "SUBMIT_INTENT", "format": "TYPED_DATA", "from": owner, "to": contract, "value": "0",
        "data": data.to_string(), "chainId": format!("EIP155-{chain}"), "txRpcUrl": "https://rpc.invalid",
    }))
}

fn set(books: &mut Books, intents: &[Value], primary: &Value) -> Value {
    books.built(intents.iter().chain([primary]));
    let fiat = |amount: &str| json!({ "amount": amount, "currency": { "decimals": 2, "asset": { "symbol": "USD" } } });
    json!({
        "status": "SUCCESS",
        "intents": if intents.is_empty() { json!([]) } else { json!([{ "intentOperations": intents }]) },
        "primaryOperation": primary,
        "aggregateEstimatedTimeInMs": 12_000 * (1 + intents.len()),
        "aggregateNetworkFeeInFiatCurrency": fiat("123"),
        "aggregateOperationFeeInFiatCurrency": fiat("10"),
    })
}

fn unbuilt(status: &str) -> Value {
    json!({ "status": status, "intents": [] })
}

/// A payment; to another chain through a bridge, which a permit lets take the token.
pub(super) fn transfer(books: &mut Books, (cluster, chain): (&str, u64), params: &Value) -> Result<Value, String> {
    let id = params["standardizedTokenId"].as_str().ok_or("a token is missing")?;
    let (units, to) = (units(&params["amount"])?, address(&params["recipient"]["address"])?);
    let arrives = chain_of(&params["recipient"]["chainId"])?;
    let Ok(token) = token(id, chain) else { return Ok(unbuilt("NO_EXECUTION_PATH")) };
    if token_missing(books, cluster, id, units) {
        return Ok(unbuilt("INSUFFICIENT_FUNDS"));
    }
    if arrives != chain {
        let spender = BRIDGE;
        let intents = if token.is_native() {
            Vec::new()
        } else {
            vec![permit(books, (cluster, chain), &token, (spender, units))?]
        };
        let value = if token.is_native() { units } else { U256::ZERO };
        let data = format!("0xc0ffee01{}{}{:064x}", word(to), hex_units(units), arrives);
        let primary = transaction(books, (cluster, chain), (spender, value, data), 0)?;
        return Ok(set(books, &intents, &primary));
    }
    let call = match token.address {
        None => (to.to_checksum(None), units, "0x".to_owned()),
        // transfer(address,uint256)
        Some(contract) => (contract.to_string(), U256::ZERO, format!("0xa9059cbb{}{}", word(to), hex_units(units))),
    };
    let primary = transaction(books, (cluster, chain), (&call.0, call.1, call.2), 0)?;
    Ok(set(books, &[], &primary))
}

fn token_missing(books: &Books, cluster: &str, id: &str, units: U256) -> bool {
    books.balance(cluster, id).is_some_and(|balance| balance < units)
}

/// A swap: the exchange is let to take the token, by a permit where the token knows them, else by an approval.
pub(super) fn swap(books: &mut Books, (cluster, chain): (&str, u64), params: &Value) -> Result<Value, String> {
    if params["swapType"] != "EXACT_INPUT" {
        return Err("swapType not supported".into());
    }
    let (input, output) = (&params["input"], &params["output"]);
    let id = input["standardizedTokenId"].as_str().ok_or("a token is missing")?;
    let wanted = output["standardizedTokenId"].as_str().ok_or("a token is missing")?;
    let units = units(&input["amount"])?;
    let destination = chain_of(&output["tokenDestination"]["chainId"])?;
    let (Ok(token), Ok(wanted)) = (token(id, chain), token(wanted, destination)) else {
        return Ok(unbuilt("NO_EXECUTION_PATH"));
    };
    if token_missing(books, cluster, id, units) {
        return Ok(unbuilt("INSUFFICIENT_FUNDS"));
    }
    let spender = EXCHANGE;
    let spender_word = format!("{:0>64}", spender.trim_start_matches("0x").to_lowercase());
    let (intents, value) = match token.address {
        None => (Vec::new(), units),
        Some(_) if token.symbol == "usdc" => {
            (vec![permit(books, (cluster, chain), &token, (spender, units))?], U256::ZERO)
        }
        Some(contract) => {
            let data = format!("0x095ea7b3{spender_word}{}", hex_units(units));
            let approval = transaction(books, (cluster, chain), (&contract.to_string(), U256::ZERO, data), 0)?;
            (vec![approval], U256::ZERO)
        }
    };
    let later = intents.iter().filter(|operation| operation["format"] == "TRANSACTION").count() as u64;
    let target = wanted.address_or_zero().to_string();
    let data = format!("0x12aa3caf{:0>64}{}", target.trim_start_matches("0x").to_lowercase(), hex_units(units));
    let primary = transaction(books, (cluster, chain), (spender, value, data), later)?;
    Ok(set(books, &intents, &primary))
}

/// A call of a contract.
pub(super) fn contract_call(books: &mut Books, (cluster, chain): (&str, u64), params: &Value) -> Result<Value, String> {
    let (to, value) = (address(&params["to"])?, units(&params["value"])?);
    let data = params["data"].as_str().filter(|data| super::crypto::unhex(data).is_some_and(|data| data.len() >= 4));
    let data = data.ok_or("data is missing")?.to_owned();
    let primary = transaction(books, (cluster, chain), (&to.to_checksum(None), value, data), 0)?;
    Ok(set(books, &[], &primary))
}
