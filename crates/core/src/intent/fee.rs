//! What operations cost at most.

use alloy_primitives::U256;

use super::{Chain, Unsigned};

/// The most that gas can cost, in a coin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// The coin's name.
    pub coin: String,
    /// Its digits after the point.
    pub decimals: u8,
    /// In its smallest unit.
    pub units: U256,
}

/// The most that the gas of `operations` can cost on `chain`, in its own coin; what is on another chain is not counted.
pub fn cost_of<'a>(chain: &Chain, operations: impl Iterator<Item = &'a Unsigned>) -> Cost {
    let on = operations.filter(|operation| operation.chain == chain.id);
    let units = on.fold(U256::ZERO, |sum, operation| sum.saturating_add(operation.most_fee()));
    let (coin, decimals) = chain.native().map_or(("", 18), |token| (token.symbol.as_str(), token.decimals));
    Cost { coin: coin.to_owned(), decimals, units }
}

/// The sum of `costs`, coin by coin.
pub fn sum_of(costs: impl Iterator<Item = Cost>) -> Vec<Cost> {
    let mut sums: Vec<Cost> = Vec::new();
    for cost in costs {
        match sums.iter_mut().find(|sum| (&sum.coin, sum.decimals) == (&cost.coin, cost.decimals)) {
            Some(sum) => sum.units = sum.units.saturating_add(cost.units),
            None => sums.push(cost),
        }
    }
    sums
}
