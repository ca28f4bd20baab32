//! Why a node refuses a transaction, in its own words.

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident, $word:literal, $meaning:literal;)*) => {
        /// Why a node refused a transaction.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Reason { $($(#[$doc])* $variant,)* }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The node's word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// What a creator is told.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

reasons! {
    /// The bytes are no transaction.
    Serialization, "Serialization", "the node could not read the transaction";
    /// The same, in its other word.
    Deserialization, "Deserialization", "the node could not read the transaction";
    /// The signature is not that of the sender.
    SignatureValidation, "SignatureValidation", "the node did not accept the signature";
    /// The fee is below the node's least.
    FeeTooLow, "FeeTooLow", "the fee was too low for the node";
    /// The nonce is used up, or too far ahead.
    BadNonce, "BadNonce", "the account's nonce was used by another transaction";
    /// The account cannot pay.
    NotEnoughFunds, "NotEnoughFunds", "the account has not enough funds for the fee";
    /// Another transaction of that nonce waits, with a fee as high.
    ConflictingNonceInMempool, "ConflictingNonceInMempool", "another transaction of the account has the same nonce";
    /// As many wait as a node lets wait.
    TooMuchChaining, "TooMuchChaining", "too many transactions of the account are waiting";
    /// The contract is not there.
    NoSuchContract, "NoSuchContract", "the contract does not exist";
    /// The contract has no such function.
    NoSuchPublicFunction, "NoSuchPublicFunction", "the contract has no such function";
    /// The function takes other arguments.
    BadFunctionArgument, "BadFunctionArgument", "the contract does not take these arguments";
    /// Of another network.
    BadTransactionVersion, "BadTransactionVersion", "the node is of another network";
    /// Of another network.
    BadAddressVersionByte, "BadAddressVersionByte", "the node is of another network";
    /// A payment to oneself.
    TransferRecipientCannotEqualSender, "TransferRecipientCannotEqualSender", "an account cannot pay itself";
    /// A payment of nothing.
    TransferAmountMustBePositive, "TransferAmountMustBePositive", "a payment must be of something";
    /// The node cannot estimate.
    EstimatorError, "EstimatorError", "the node could not estimate the cost";
    /// The node does not take this transaction for a while.
    TemporarilyBlacklisted, "TemporarilyBlacklisted", "the node does not take this transaction for now";
    /// The node is in trouble.
    ServerFailure, "ServerFailure", "the node failed";
    /// A word that is none of these.
    Other, "Other", "the node refused the transaction";
}

impl Reason {
    /// Reads the node's word; the versions of `ServerFailure` count as one.
    pub fn parse(word: &str) -> Self {
        let known = Self::ALL.iter().copied().find(|reason| reason.as_str() == word);
        known.unwrap_or(if word.starts_with("ServerFailure") { Self::ServerFailure } else { Self::Other })
    }
}
