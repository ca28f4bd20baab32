//! What operations cost at most.

use alloy_primitives::U256;
use serde_json::{Value, json};

use super::{Chain, Unsigned, amount};

/// The most that the gas of `operations` can cost on `chain`, in its own coin; what is on another chain is not counted.
pub fn fee_of<'a>(chain: &Chain, operations: impl Iterator<Item = &'a Unsigned>) -> Value {
    let on = operations.filter(|operation| operation.chain == chain.id);
    let units = on.fold(U256::ZERO, |sum, operation| sum.saturating_add(operation.most_fee()));
    let (symbol, decimals) = chain.native().map_or(("", 18), |token| (token.symbol.as_str(), token.decimals));
    json!({ "token": symbol, "amount": amount::format(units, decimals) })
}
