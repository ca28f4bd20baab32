//! What a client wants: a request's operations, each one checked by itself.

use std::collections::BTreeSet;

use alloy_primitives::U256;
use serde_json::Value;

use super::tokens::{Chain, Token, Tokens};
use super::{Address, amount};
use crate::json::{Object, clip, type_name};
use crate::limits::{MAX_INTENTS, MAX_SHOWN};
use crate::operation::{Code, OperationId, Problem};

/// The slippage of a client that names none, in hundredths of a percent.
const DEFAULT_SLIPPAGE_BPS: u16 = 50;
/// The most slippage: beyond half of what is given it is a mistake.
const MOST_SLIPPAGE_BPS: u64 = 5_000;

/// The latest deadline, seconds from now. One beyond is given in another unit.
const MOST_DEADLINE_S: u64 = 366 * 24 * 3_600;

/// So much of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// Of what.
    pub token: Token,
    /// How much, in its smallest unit.
    pub units: U256,
}

/// How much a spender may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    /// In the token's smallest unit.
    Units(U256),
    /// As much as there is.
    Unlimited,
}

/// One thing that a client wants to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent {
    /// Pay.
    Transfer {
        /// What is paid.
        from: Sum,
        /// Whom.
        to: Address,
        /// On which chain it arrives.
        to_chain: u64,
    },
    /// Give one token for another.
    Swap {
        /// What is given.
        from: Sum,
        /// What is wanted.
        to: Token,
    },
    /// Let a contract take a token.
    Approve {
        /// Which token.
        token: Token,
        /// Which contract.
        spender: Address,
        /// How much of it.
        allowance: Allowance,
    },
    /// Put two tokens into a pool.
    AddLiquidity {
        /// Both, on one chain.
        pair: [Sum; 2],
        /// The contract that does it.
        router: Address,
        /// How much less of each may go in, in hundredths of a percent.
        slippage_bps: u16,
        /// Until when, in seconds of Unix time; `None` for an hour from its building.
        deadline: Option<u64>,
    },
}

impl Intent {
    /// The chain it happens on, or begins on.
    pub fn chain(&self) -> u64 {
        match self {
            Self::Transfer { from, .. } | Self::Swap { from, .. } => from.token.chain,
            Self::Approve { token, .. } => token.chain,
            Self::AddLiquidity { pair: [one, _], .. } => one.token.chain,
        }
    }

    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Transfer { .. } => "transfer",
            Self::Swap { .. } => "swap",
            Self::Approve { .. } => "approve",
            Self::AddLiquidity { .. } => "addLiquidity",
        }
    }

    /// What it takes from the account.
    pub fn takes(&self) -> &[Sum] {
        match self {
            Self::Transfer { from, .. } | Self::Swap { from, .. } => std::slice::from_ref(from),
            Self::Approve { .. } => &[],
            Self::AddLiquidity { pair, .. } => pair,
        }
    }
}

/// A request as far as it could be read.
#[derive(Debug, Clone, Default)]
pub struct Read {
    /// Its operations, in its order; those that could not be read are left out, and told among the problems.
    pub intents: Vec<Intent>,
    /// Whether to stop at the first failure.
    pub atomic: bool,
    /// All that is wrong with it.
    pub problems: Vec<Problem>,
}

/// Takes a request apart. An operation that names no chain is on the only one that the request names, or on
/// `default_chain`.
pub fn read(body: &Value, tokens: &Tokens, default_chain: u64) -> Read {
    let mut read = Read::default();
    let Some(body) = body.as_object() else {
        let message = format!("the body must be an object, not {}", type_name(body));
        read.problems.push(Problem::new("", Code::WrongType, message));
        return read;
    };
    match body.get("atomicExecution") {
        None | Some(Value::Null) => {}
        Some(Value::Bool(atomic)) => read.atomic = *atomic,
        Some(other) => {
            let message = format!("atomicExecution must be a boolean, not {}", type_name(other));
            read.problems.push(Problem::new("/atomicExecution", Code::WrongType, message));
        }
    }
    let operations = match body.get("operations") {
        Some(Value::Array(operations)) => operations,
        None | Some(Value::Null) => {
            read.problems.push(Problem::new("/operations", Code::Required, "operations is missing"));
            return read;
        }
        Some(other) => {
            let message = format!("operations must be a list, not {}", type_name(other));
            read.problems.push(Problem::new("/operations", Code::WrongType, message));
            return read;
        }
    };
    if operations.is_empty() {
        read.problems.push(Problem::new("/operations", Code::EmptyBatch, "a batch has at least one operation"));
    }
    if operations.len() > MAX_INTENTS {
        let message = format!("a batch has at most {MAX_INTENTS} operations, this one has {}", operations.len());
        read.problems.push(Problem::new("/operations", Code::TooManyOperations, message));
        return read;
    }
    let chain = only_chain(operations).unwrap_or(default_chain);
    for (index, operation) in operations.iter().enumerate() {
        let mut reader = Reader { index, tokens, chain, problems: &mut read.problems };
        read.intents.extend(reader.intent(operation));
    }
    read
}

/// What is wrong with the deadlines of `intents` at the time `now_s`, in seconds of Unix time.
pub fn wrong_deadlines(intents: &[Intent], now_s: u64) -> Vec<Problem> {
    let wrong = |(index, intent): (usize, &Intent)| {
        let Intent::AddLiquidity { deadline: Some(deadline), .. } = intent else { return None };
        if (now_s + 1..=now_s + MOST_DEADLINE_S).contains(deadline) {
            return None;
        }
        let message =
            format!("deadline must be a time to come, in seconds of Unix time, at most a year away: it is {now_s}");
        let problem = Problem::new(format!("/operations/{index}/deadline"), Code::InvalidValue, message);
        Some(Problem { operation: Some((index, OperationId::automatic(index))), ..problem })
    };
    intents.iter().enumerate().filter_map(wrong).collect()
}

/// The only chain that operations name.
fn only_chain(operations: &[Value]) -> Option<u64> {
    let named = operations.iter().flat_map(|operation| [&operation["from"]["chainId"], &operation["chainId"]]);
    let named: BTreeSet<u64> = named.filter_map(Value::as_u64).collect();
    named.first().copied().filter(|_| named.len() == 1)
}

struct Reader<'a, 'p> {
    index: usize,
    tokens: &'a Tokens,
    chain: u64,
    problems: &'p mut Vec<Problem>,
}

impl<'a> Reader<'a, '_> {
    fn tell(&mut self, pointer: &str, code: Code, message: impl Into<String>) {
        let problem = Problem::new(format!("/operations/{}{pointer}", self.index), code, message);
        let operation = Some((self.index, OperationId::automatic(self.index)));
        self.problems.push(Problem { operation, ..problem });
    }

    fn intent(&mut self, operation: &Value) -> Option<Intent> {
        let Some(fields) = operation.as_object() else {
            self.tell("", Code::WrongType, format!("an operation must be an object, not {}", type_name(operation)));
            return None;
        };
        match self.text(fields, "", "type")? {
            "transfer" => self.transfer(fields),
            "swap" => self.swap(fields),
            "approve" => self.approve(fields),
            "addLiquidity" => self.add_liquidity(fields),
            other => {
                let message =
                    format!("type {:?} is none of transfer, swap, approve, addLiquidity", clip(other, MAX_SHOWN));
                self.tell("/type", Code::InvalidValue, message);
                None
            }
        }
    }

    fn transfer(&mut self, fields: &Object) -> Option<Intent> {
        let from = self.object(fields, "from").and_then(|from| self.from(from));
        let to = self.object(fields, "to")?;
        let address = self.address(to, "/to", "address");
        let from = from?;
        let to_chain = self.chain_of(to, "/to", from.token.chain)?.id;
        Some(Intent::Transfer { from, to: address?, to_chain })
    }

    fn swap(&mut self, fields: &Object) -> Option<Intent> {
        let from = self.object(fields, "from").and_then(|from| self.from(from));
        let to = self.object(fields, "to")?;
        let from = from?;
        let chain = self.chain_of(to, "/to", from.token.chain)?;
        let to = self.token(to, "/to", chain)?;
        if to.is(&from.token) {
            self.tell("/to/token", Code::InvalidValue, "a swap must be into another token");
            return None;
        }
        Some(Intent::Swap { from, to })
    }

    fn approve(&mut self, fields: &Object) -> Option<Intent> {
        let chain = self.chain_of(fields, "", self.chain)?;
        let token = self.token(fields, "", chain);
        let spender = self.address(fields, "", "spender");
        let text = self.text(fields, "", "amount");
        let token = token?;
        if token.is_native() {
            self.tell("/token", Code::InvalidValue, "a chain's own coin needs no approval");
            return None;
        }
        let allowance = match text? {
            "unlimited" => Allowance::Unlimited,
            text => Allowance::Units(self.units(text, &token, "/amount")?),
        };
        Some(Intent::Approve { token, spender: spender?, allowance })
    }

    fn add_liquidity(&mut self, fields: &Object) -> Option<Intent> {
        let chain = self.chain_of(fields, "", self.chain)?;
        let names = self.two(fields, "tokens");
        let amounts = self.two(fields, "amounts");
        let router = match fields.get("router") {
            None | Some(Value::Null) => Some(chain.router),
            Some(_) => self.address(fields, "", "router"),
        };
        let slippage = self.whole(fields, "slippageBps", (0, MOST_SLIPPAGE_BPS));
        let deadline = self.whole(fields, "deadline", (1, u64::MAX >> 1));
        let (names, amounts) = (names?, amounts?);
        let mut sums = Vec::new();
        for (place, (name, text)) in names.into_iter().zip(amounts).enumerate() {
            let token = self.named(name, &format!("/tokens/{place}"), chain);
            let units = token.as_ref().map(|token| self.units(text, token, &format!("/amounts/{place}")));
            sums.push(Sum { token: token?, units: units.flatten()? });
        }
        let pair: [Sum; 2] = sums.try_into().ok()?;
        if pair[0].token.is(&pair[1].token) {
            self.tell("/tokens", Code::InvalidValue, "a pool is of two different tokens");
            return None;
        }
        let slippage_bps = slippage?.map_or(DEFAULT_SLIPPAGE_BPS, |bps| u16::try_from(bps).unwrap_or(u16::MAX));
        Some(Intent::AddLiquidity { pair, router: router?, slippage_bps, deadline: deadline? })
    }

    fn from(&mut self, from: &Object) -> Option<Sum> {
        let text = self.text(from, "/from", "amount");
        let chain = self.chain_of(from, "/from", self.chain)?;
        let token = self.token(from, "/from", chain)?;
        let units = self.units(text?, &token, "/from/amount")?;
        Some(Sum { token, units })
    }

    fn object<'v>(&mut self, fields: &'v Object, name: &str) -> Option<&'v Object> {
        match fields.get(name) {
            Some(Value::Object(object)) => Some(object),
            other => self.not_given(&format!("/{name}"), name, ("an object", other)),
        }
    }

    fn text<'v>(&mut self, fields: &'v Object, at: &str, name: &str) -> Option<&'v str> {
        match fields.get(name) {
            Some(Value::String(text)) => Some(text),
            other => self.not_given(&format!("{at}/{name}"), name, ("a string", other)),
        }
    }

    fn two<'v>(&mut self, fields: &'v Object, name: &str) -> Option<[&'v str; 2]> {
        match fields.get(name) {
            Some(Value::Array(items)) => {
                let texts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
                let two = <[&str; 2]>::try_from(texts).ok().filter(|_| items.len() == 2);
                if two.is_none() {
                    self.tell(&format!("/{name}"), Code::InvalidValue, format!("{name} must be two strings"));
                }
                two
            }
            other => self.not_given(&format!("/{name}"), name, ("a list of two strings", other)),
        }
    }

    fn not_given<T>(&mut self, pointer: &str, name: &str, (wanted, got): (&str, Option<&Value>)) -> Option<T> {
        match got {
            None | Some(Value::Null) => self.tell(pointer, Code::Required, format!("{name} is missing")),
            Some(other) => {
                self.tell(pointer, Code::WrongType, format!("{name} must be {wanted}, not {}", type_name(other)));
            }
        }
        None
    }

    /// A whole number that need not be there; the outer `None` when it is there and wrong.
    #[expect(clippy::option_option, reason = "absent and wrong are two things")]
    fn whole(&mut self, fields: &Object, name: &str, (least, most): (u64, u64)) -> Option<Option<u64>> {
        match fields.get(name) {
            None | Some(Value::Null) => Some(None),
            Some(value) => {
                let number = value.as_u64().filter(|number| (least..=most).contains(number));
                if number.is_none() {
                    let message = format!("{name} must be a whole number from {least} to {most}");
                    self.tell(&format!("/{name}"), Code::InvalidValue, message);
                }
                number.map(Some)
            }
        }
    }

    fn chain_of(&mut self, fields: &Object, at: &str, default: u64) -> Option<&'a Chain> {
        let id = match fields.get("chainId") {
            None | Some(Value::Null) => Some(default),
            Some(value) => value.as_u64(),
        };
        let chain = id.and_then(|id| self.tokens.chain(id));
        if chain.is_none() {
            let known: Vec<String> = self.tokens.chains().iter().map(|chain| chain.id.to_string()).collect();
            let message = format!("chainId must be one of {}", known.join(", "));
            self.tell(&format!("{at}/chainId"), Code::InvalidValue, message);
        }
        chain
    }

    fn token(&mut self, fields: &Object, at: &str, chain: &Chain) -> Option<Token> {
        let name = self.text(fields, at, "token")?;
        self.named(name, &format!("{at}/token"), chain)
    }

    fn named(&mut self, name: &str, pointer: &str, chain: &Chain) -> Option<Token> {
        if let Some(token) = chain.token(name) {
            return Some(token.clone());
        }
        let message = if name.starts_with("0x") {
            match Address::parse(name) {
                Err(error) => format!("Invalid token address: it {error}"),
                Ok(_) => format!("Invalid token address: it is no token of chain {}", chain.id),
            }
        } else {
            let known: Vec<&str> = chain.tokens.iter().map(|token| token.symbol.as_str()).collect();
            let known = known.join(", ");
            format!("token {:?} is not known on chain {}; known are {known}", clip(name, MAX_SHOWN), chain.id)
        };
        self.tell(pointer, Code::InvalidValue, message);
        None
    }

    fn address(&mut self, fields: &Object, at: &str, name: &str) -> Option<Address> {
        let text = self.text(fields, at, name)?;
        let problem = match Address::parse(text) {
            Ok(Address::ZERO) => "must not be the zero address".to_owned(),
            Ok(address) => return Some(address),
            Err(error) => error.to_string(),
        };
        self.tell(&format!("{at}/{name}"), Code::InvalidValue, format!("{name} {problem}"));
        None
    }

    fn units(&mut self, text: &str, token: &Token, pointer: &str) -> Option<U256> {
        match amount::parse(text, token.decimals) {
            Ok(units) => Some(units),
            Err(error) => {
                self.tell(pointer, Code::InvalidValue, format!("amount {error}"));
                None
            }
        }
    }
}
