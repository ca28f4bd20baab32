//! Why an operation failed, and what helps.

use serde::{Deserialize, Serialize};

/// The kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    /// The account has too little of a token.
    InsufficientBalance,
    /// It has too little to pay fees.
    InsufficientGas,
    /// The price moved further than allowed.
    SlippageExceeded,
    /// No way leads from here to there.
    NoRoute,
    /// Another transaction of the account took the nonce.
    NonceConflict,
    /// What it would cost could not be told.
    GasEstimationFailed,
    /// A signature was refused.
    InvalidSignature,
    /// The contract refused.
    Reverted,
    /// It was not on the chain in time.
    Timeout,
    /// Orby could not be reached.
    NetworkError,
    /// Something else.
    Unknown,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 11] = [
        Self::InsufficientBalance,
        Self::InsufficientGas,
        Self::SlippageExceeded,
        Self::NoRoute,
        Self::NonceConflict,
        Self::GasEstimationFailed,
        Self::InvalidSignature,
        Self::Reverted,
        Self::Timeout,
        Self::NetworkError,
        Self::Unknown,
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InsufficientBalance => "INSUFFICIENT_BALANCE",
            Self::InsufficientGas => "INSUFFICIENT_GAS",
            Self::SlippageExceeded => "SLIPPAGE_EXCEEDED",
            Self::NoRoute => "NO_ROUTE",
            Self::NonceConflict => "NONCE_CONFLICT",
            Self::GasEstimationFailed => "GAS_ESTIMATION_FAILED",
            Self::InvalidSignature => "INVALID_SIGNATURE",
            Self::Reverted => "REVERTED",
            Self::Timeout => "TIMEOUT",
            Self::NetworkError => "NETWORK_ERROR",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// For people: what it means.
    pub fn message(self) -> &'static str {
        match self {
            Self::InsufficientBalance => "insufficient balance",
            Self::InsufficientGas => "insufficient balance for gas",
            Self::SlippageExceeded => "the price moved further than allowed",
            Self::NoRoute => "no route",
            Self::NonceConflict => "another transaction took the nonce",
            Self::GasEstimationFailed => "Gas estimation failed",
            Self::InvalidSignature => "the signature was refused",
            Self::Reverted => "the contract reverted",
            Self::Timeout => "it was not on the chain in time",
            Self::NetworkError => "Orby could not be reached",
            Self::Unknown => "it failed for a reason that is not known",
        }
    }

    /// What helps, where nothing more is known.
    pub fn suggestion(self) -> &'static str {
        match self {
            Self::InsufficientBalance => "Add funds to the account",
            Self::InsufficientGas => "Add the chain's own coin to the account, to pay fees",
            Self::SlippageExceeded => "Retry: the price is asked for anew; or swap less at once",
            Self::NoRoute => "Choose another token, another chain or a smaller amount",
            Self::NonceConflict => "Retry: the operation is built with the next nonce",
            Self::GasEstimationFailed => "Check that the operation can succeed: balance, approval, amounts; then retry",
            Self::InvalidSignature => "Retry, and sign what is built then with the profile's account",
            Self::Reverted => "Check approvals, amounts and the deadline; then retry with what needs to change",
            Self::Timeout => "Look whether the transaction is on the chain; if not, retry",
            Self::NetworkError => "Retry in a moment",
            Self::Unknown => "Look at the operation on the chain before you retry",
        }
    }

    /// Whether building it again as it is can succeed.
    pub fn retryable(self) -> bool {
        match self {
            Self::NoRoute => false,
            Self::InsufficientBalance
            | Self::InsufficientGas
            | Self::SlippageExceeded
            | Self::NonceConflict
            | Self::GasEstimationFailed
            | Self::InvalidSignature
            | Self::Reverted
            | Self::Timeout
            | Self::NetworkError
            | Self::Unknown => true,
        }
    }

    /// What a text of Orby's or of a chain speaks of. Nothing of the text itself goes any further.
    pub fn of_text(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        match () {
            () if has(&["nonce", "replacement transaction"]) => Self::NonceConflict,
            () if has(&["slippage", "insufficient_output_amount", "too little received", "price impact"]) => {
                Self::SlippageExceeded
            }
            () if has(&["insufficient_funds_for_gas", "funds for gas", "gas required exceeds", "insufficient gas"]) => {
                Self::InsufficientGas
            }
            () if has(&["estimate gas", "gas estimation", "unpredictable_gas", "cannot estimate"]) => {
                Self::GasEstimationFailed
            }
            () if has(&["insufficient", "exceeds balance"]) => Self::InsufficientBalance,
            () if has(&["signature", "signer"]) => Self::InvalidSignature,
            () if has(&["no_execution_path", "no route", "no path", "no_route"]) => Self::NoRoute,
            () if has(&["timeout", "timed out", "expired"]) => Self::Timeout,
            () if has(&["revert"]) => Self::Reverted,
            () => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_chains_are_understood() {
        for (text, reason) in [
            ("nonce too low", Reason::NonceConflict),
            ("execution reverted: UniswapV2Router: INSUFFICIENT_OUTPUT_AMOUNT", Reason::SlippageExceeded),
            ("insufficient funds for gas * price + value", Reason::InsufficientGas),
            ("ERC20: transfer amount exceeds balance", Reason::InsufficientBalance),
            ("execution reverted", Reason::Reverted),
            ("cannot estimate gas", Reason::GasEstimationFailed),
            ("already known", Reason::Unknown),
            ("whatever", Reason::Unknown),
        ] {
            assert_eq!(Reason::of_text(text), reason, "{text}");
        }
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
    }
}
