//! What contracts are called with: a selector, and arguments of 32 bytes each (the Solidity ABI; all of ours are static).

use alloy_primitives::U256;

use super::{Address, Allowance, Intent, Sum};
use crate::runtime::hex;

/// A call of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The contract.
    pub to: Address,
    /// The chain's own coin that goes with it, in its smallest unit.
    pub value: U256,
    /// Selector and arguments, as 0x and hex digits.
    pub data: String,
}

/// `approve(address,uint256)` of ERC-20.
const APPROVE: [u8; 4] = [0x09, 0x5e, 0xa7, 0xb3];
/// `addLiquidity(address,address,uint256,uint256,uint256,uint256,address,uint256)` of Uniswap's V2 router.
const ADD_LIQUIDITY: [u8; 4] = [0xe8, 0xe3, 0x37, 0x00];
/// `addLiquidityETH(address,uint256,uint256,uint256,address,uint256)` of the same.
const ADD_LIQUIDITY_ETH: [u8; 4] = [0xf3, 0x05, 0xd7, 0x19];

/// One hundred percent.
const ALL_BPS: u16 = 10_000;

/// The call that `intent` is, for the account `owner`; `None` where Orby finds the way itself. `deadline` is for an intent
/// that names none, in seconds of Unix time.
pub fn of(intent: &Intent, owner: Address, deadline: u64) -> Option<Call> {
    match intent {
        Intent::Transfer { .. } | Intent::Swap { .. } => None,
        Intent::Approve { token, spender, allowance } => Some(approve(token.address_or_zero(), *spender, *allowance)),
        Intent::AddLiquidity { pair, router, slippage_bps, deadline: own } => {
            Some(add_liquidity(pair, *router, *slippage_bps, owner, own.unwrap_or(deadline)))
        }
    }
}

/// Lets `spender` take a token of the contract `token`.
pub fn approve(token: Address, spender: Address, allowance: Allowance) -> Call {
    let units = match allowance {
        Allowance::Units(units) => units,
        Allowance::Unlimited => U256::MAX,
    };
    Call { to: token, value: U256::ZERO, data: encode(APPROVE, &[word(spender), units]) }
}

/// Puts a pair into the pool behind `router`, for `owner`, before `deadline` (seconds of Unix time). The chain's own coin
/// goes with the call.
pub fn add_liquidity(pair: &[Sum; 2], router: Address, slippage_bps: u16, owner: Address, deadline: u64) -> Call {
    let least = |sum: &Sum| after_slippage(sum.units, slippage_bps);
    let [one, other] = pair;
    let (coin, token) = if one.token.is_native() { (one, other) } else { (other, one) };
    if coin.token.is_native() {
        let arguments = [
            word(token.token.address_or_zero()),
            token.units,
            least(token),
            least(coin),
            word(owner),
            U256::from(deadline),
        ];
        return Call { to: router, value: coin.units, data: encode(ADD_LIQUIDITY_ETH, &arguments) };
    }
    let arguments = [
        word(one.token.address_or_zero()),
        word(other.token.address_or_zero()),
        one.units,
        other.units,
        least(one),
        least(other),
        word(owner),
        U256::from(deadline),
    ];
    Call { to: router, value: U256::ZERO, data: encode(ADD_LIQUIDITY, &arguments) }
}

/// What is left of `units`, rounded up: a client never gets less than it allowed.
fn after_slippage(units: U256, bps: u16) -> U256 {
    let (part, whole) = (U256::from(ALL_BPS.saturating_sub(bps)), U256::from(ALL_BPS));
    // units = q * whole + r, so that nothing overflows.
    let (quotient, rest) = (units / whole, units % whole);
    quotient * part + (rest * part).div_ceil(whole)
}

fn word(address: Address) -> U256 {
    U256::from_be_bytes(address.inner().into_word().0)
}

fn encode(selector: [u8; 4], arguments: &[U256]) -> String {
    let mut out = format!("0x{}", hex(&selector));
    for argument in arguments {
        out.push_str(&hex(&argument.to_be_bytes::<32>()));
    }
    out
}

#[cfg(test)]
mod tests {
    use alloy_primitives::keccak256;

    use super::*;

    #[test]
    fn selectors_are_the_hashes_of_their_signatures() {
        for (selector, signature) in [
            (APPROVE, "approve(address,uint256)"),
            (ADD_LIQUIDITY, "addLiquidity(address,address,uint256,uint256,uint256,uint256,address,uint256)"),
            (ADD_LIQUIDITY_ETH, "addLiquidityETH(address,uint256,uint256,uint256,address,uint256)"),
        ] {
            assert_eq!(keccak256(signature)[..4], selector, "{signature}");
        }
    }

    #[test]
    fn slippage_is_exact_and_never_overflows() {
        assert_eq!(after_slippage(U256::from(500_000_000), 50), U256::from(497_500_000));
        assert_eq!(after_slippage(U256::from(1), 50), U256::from(1));
        assert!(after_slippage(U256::MAX, 1) < U256::MAX);
        assert_eq!(after_slippage(U256::MAX, 0), U256::MAX);
    }
}
