//! What a node remembers: accounts, a pool of waiting transactions, and what became of each.

use std::collections::BTreeMap;

use super::decode::{Bad, Decoded, Does, decode};

/// Transactions of one account that may wait, counted from the account's own nonce.
pub const MOST_CHAINED: u64 = 25;
/// Millionths of an STX that an account has before it has spent any.
const BALANCE: u64 = 1_000_000_000_000;

/// Where a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It waits.
    Pending,
    /// It is in a block, and did what it should.
    Success,
    /// It is in a block, and the contract refused.
    Aborted,
    /// It will not be in a block.
    Dropped,
    /// Another one of the same nonce took its place.
    Replaced,
}

impl Fate {
    /// The node's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Success => "success",
            Self::Aborted => "abort_by_response",
            Self::Dropped => "dropped_stale_garbage_collect",
            Self::Replaced => "dropped_replace_by_fee",
        }
    }
}

/// A refusal, in the node's word, and what stands beside it.
pub type Refusal = (&'static str, &'static str);

/// The memory of a node.
#[derive(Debug)]
pub struct Pool {
    /// `address.name` of the one contract there is.
    contract: String,
    mainnet: bool,
    nonces: BTreeMap<String, u64>,
    balances: BTreeMap<String, u64>,
    waiting: BTreeMap<(String, u64), Decoded>,
    fates: BTreeMap<String, Fate>,
    /// All that was ever taken, in order.
    taken: Vec<Decoded>,
    /// Content by its number, and who may change it.
    owners: BTreeMap<u128, String>,
    /// Content that the contract does not know.
    unknown: Vec<u128>,
    /// Whether 25 is the most that waits.
    pub limits_chains: bool,
}

impl Pool {
    /// Of a network with this contract.
    pub fn new(contract: String) -> Self {
        Self {
            mainnet: contract.starts_with("SP") || contract.starts_with("SM"),
            contract,
            nonces: BTreeMap::new(),
            balances: BTreeMap::new(),
            waiting: BTreeMap::new(),
            fates: BTreeMap::new(),
            taken: Vec::new(),
            owners: BTreeMap::new(),
            unknown: Vec::new(),
            limits_chains: true,
        }
    }

    /// Reads, checks and takes a transaction.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<String, (Option<Decoded>, Refusal)> {
        let decoded = decode(bytes).map_err(|bad| match bad {
            Bad::Deserialization => (None, ("Deserialization", "the bytes are no transaction")),
            Bad::SignatureValidation => (None, ("SignatureValidation", "the signer is another one")),
        })?;
        match self.check(&decoded) {
            Ok(true) => Ok(decoded.txid),
            Ok(false) => {
                let txid = decoded.txid.clone();
                self.take(decoded);
                Ok(txid)
            }
            Err(refusal) => Err((Some(decoded), refusal)),
        }
    }

    /// Whether it waits already; an error when it is not to wait.
    fn check(&self, given: &Decoded) -> Result<bool, Refusal> {
        let place = (given.sender.clone(), given.nonce);
        let waits = self.waiting.get(&place);
        if waits.is_some_and(|waits| waits.txid == given.txid) {
            return Ok(true);
        }
        if given.mainnet != self.mainnet {
            return Err(("BadTransactionVersion", "the transaction is for another network"));
        }
        if given.fee < u64::try_from(given.length).unwrap_or(u64::MAX) {
            return Err(("FeeTooLow", "less than one for each byte"));
        }
        let next = self.nonce(&given.sender);
        if given.nonce < next {
            return Err(("BadNonce", "the nonce is used"));
        }
        if self.limits_chains && given.nonce >= next + MOST_CHAINED {
            return Err(("TooMuchChaining", "too many wait"));
        }
        if waits.is_some_and(|waits| waits.fee >= given.fee) {
            return Err(("ConflictingNonceInMempool", "another one waits"));
        }
        let promised: u64 =
            self.waiting.iter().filter(|((sender, _), _)| *sender == given.sender).map(|(_, other)| cost(other)).sum();
        if promised.saturating_add(cost(given)) > self.balance(&given.sender) {
            return Err(("NotEnoughFunds", "the account cannot pay"));
        }
        match &given.does {
            Does::Pay { amount: 0, .. } => Err(("TransferAmountMustBePositive", "nothing is paid")),
            Does::Pay { .. } => Ok(false),
            Does::Call { contract, .. } if *contract != self.contract => {
                Err(("NoSuchContract", "the contract is not there"))
            }
            Does::Call { function, arguments, .. } => match (function.as_str(), arguments.len()) {
                ("update-content-price", 2) | ("remove-content", 1) => Ok(false),
                ("update-content-price" | "remove-content", _) => Err(("BadFunctionArgument", "wrong arguments")),
                _ => Err(("NoSuchPublicFunction", "the contract has no such function")),
            },
        }
    }

    fn take(&mut self, given: Decoded) {
        self.fates.insert(given.txid.clone(), Fate::Pending);
        self.taken.push(given.clone());
        if let Some(replaced) = self.waiting.insert((given.sender.clone(), given.nonce), given) {
            self.fates.insert(replaced.txid, Fate::Replaced);
        }
    }

    /// Makes a block of what can be in one: of each account, what follows its nonce without a gap.
    pub fn mine(&mut self) {
        let senders: Vec<String> = self.waiting.keys().map(|(sender, _)| sender.clone()).collect();
        for sender in senders {
            while let Some(mined) = self.waiting.remove(&(sender.clone(), self.nonce(&sender))) {
                let fate = self.run(&mined);
                self.nonces.insert(sender.clone(), mined.nonce + 1);
                let left = self.balance(&sender).saturating_sub(cost(&mined));
                self.balances.insert(sender.clone(), left);
                self.fates.insert(mined.txid, fate);
            }
        }
    }

    /// The contract: only the creator of content may change it, and content belongs to who first changes it, unless it
    /// was made unknown.
    fn run(&mut self, mined: &Decoded) -> Fate {
        let Does::Call { arguments, .. } = &mined.does else { return Fate::Success };
        let Some(id) = arguments.first() else { return Fate::Aborted };
        let owner = self.owners.entry(*id).or_insert_with(|| mined.sender.clone());
        if *owner == mined.sender && !self.unknown.contains(id) { Fate::Success } else { Fate::Aborted }
    }

    /// Forgets a waiting transaction, as a pool that is full does.
    pub fn drop_waiting(&mut self, txid: &str) {
        self.waiting.retain(|_, waiting| waiting.txid != txid);
        self.fates.insert(txid.to_owned(), Fate::Dropped);
    }

    /// Has the contract refuse calls for this content.
    pub fn make_unknown(&mut self, content: u128) {
        self.unknown.push(content);
    }

    /// Has so many transactions of an account in blocks.
    pub fn set_nonce(&mut self, address: &str, nonce: u64) {
        self.nonces.insert(address.to_owned(), nonce);
    }

    /// Gives an account so much.
    pub fn set_balance(&mut self, address: &str, balance: u64) {
        self.balances.insert(address.to_owned(), balance);
    }

    /// How many transactions of an account are in blocks.
    pub fn nonce(&self, address: &str) -> u64 {
        self.nonces.get(address).copied().unwrap_or(0)
    }

    /// What an account has.
    pub fn balance(&self, address: &str) -> u64 {
        self.balances.get(address).copied().unwrap_or(BALANCE)
    }

    /// Where a transaction is; `None` for one that never came.
    pub fn fate(&self, txid: &str) -> Option<Fate> {
        self.fates.get(txid).copied()
    }

    /// All that was ever taken, in order.
    pub fn taken(&self) -> &[Decoded] {
        &self.taken
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The ids of those that wait.
    pub fn waiting_ids(&self) -> Vec<String> {
        self.waiting.values().map(|waiting| waiting.txid.clone()).collect()
    }
}

fn cost(transaction: &Decoded) -> u64 {
    let paid = match transaction.does {
        Does::Call { .. } => 0,
        Does::Pay { amount, .. } => amount,
    };
    transaction.fee.saturating_add(paid)
}
