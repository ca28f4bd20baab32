//! The chains and tokens there are, from `tokens.yaml`.

use std::fmt;

use serde_json::Value;

use super::Address;
use crate::model::error::Problems;
use crate::model::yaml::Node;

/// A token on one chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its name, in lower case.
    pub symbol: String,
    /// The chain.
    pub chain: u64,
    /// Its contract; `None` for the chain's own coin.
    pub address: Option<Address>,
    /// Digits after the point.
    pub decimals: u8,
}

impl Token {
    /// Whether it is the chain's own coin.
    pub fn is_native(&self) -> bool {
        self.address.is_none()
    }

    /// Its contract, or the address that stands for the chain's own coin.
    pub fn address_or_zero(&self) -> Address {
        self.address.unwrap_or(Address::ZERO)
    }

    /// Whether both are one token: the chain's own coin may have two names.
    pub fn is(&self, other: &Self) -> bool {
        self.chain == other.chain && self.address == other.address
    }
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// EIP-155 number.
    pub id: u64,
    /// For people.
    pub name: String,
    /// Where liquidity is added when a client names no other contract.
    pub router: Address,
    /// Its tokens; the first is its own coin.
    pub tokens: Vec<Token>,
}

impl Chain {
    /// The token of that name, whatever its case, or at that address.
    pub fn token(&self, name: &str) -> Option<&Token> {
        if let Ok(address) = Address::parse(name) {
            return self.tokens.iter().find(|token| token.address == Some(address));
        }
        self.tokens.iter().find(|token| token.symbol.eq_ignore_ascii_case(name))
    }

    /// Its own coin, in which fees are paid.
    pub fn native(&self) -> Option<&Token> {
        self.tokens.iter().find(|token| token.is_native())
    }
}

/// All chains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens(Vec<Chain>);

/// What is wrong with the list; the service does not start with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadTokens(String);

impl fmt::Display for BadTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tokens.yaml: {}", self.0)
    }
}

impl std::error::Error for BadTokens {}

/// `tokens.yaml` at the root of the workspace, as JSON.
const SHIPPED: &str = include_str!(concat!(env!("OUT_DIR"), "/tokens.json"));

impl Tokens {
    /// The list in `tokens.yaml` at the root of the workspace, compiled in.
    pub fn shipped() -> Result<Self, BadTokens> {
        Self::read(&serde_json::from_str(SHIPPED).map_err(|error| BadTokens(error.to_string()))?)
    }

    /// Reads a list.
    pub fn from_yaml(text: &str) -> Result<Self, BadTokens> {
        let mut problems = Problems::default();
        let root = Node::parse(text, &mut problems);
        let root = problems.or(root).map_err(|problems| {
            let problems = problems.iter().map(|problem| format!("line {}: {}", problem.line, problem.reason));
            BadTokens(problems.collect::<Vec<_>>().join("; "))
        })?;
        Self::read(&root.map(|root| root.to_json()).unwrap_or_default())
    }

    fn read(root: &Value) -> Result<Self, BadTokens> {
        let bad = |what: String| BadTokens(what);
        let chains = root.get("chains").and_then(Value::as_array);
        let chains = chains.ok_or_else(|| bad("a list named chains is wanted".into()))?;
        let chains: Vec<Chain> = chains.iter().map(chain).collect::<Result<_, _>>()?;
        for (place, one) in chains.iter().enumerate() {
            if one.native().is_none() {
                return Err(bad(format!("chain {} has no coin of its own", one.id)));
            }
            if chains.iter().skip(place + 1).any(|other| other.id == one.id) {
                return Err(bad(format!("chain {} is there twice", one.id)));
            }
        }
        Ok(Self(chains))
    }

    /// The chain of that number.
    pub fn chain(&self, id: u64) -> Option<&Chain> {
        self.0.iter().find(|chain| chain.id == id)
    }

    /// Every chain.
    pub fn chains(&self) -> &[Chain] {
        &self.0
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

fn chain(value: &Value) -> Result<Chain, BadTokens> {
    let bad = |what: &str| BadTokens(format!("a chain without {what}"));
    let id = value.get("id").and_then(Value::as_u64);
    let id = id.ok_or_else(|| bad("a number as its id"))?;
    let router = text(value, "router").ok_or_else(|| bad("a router"))?;
    let tokens = value.get("tokens").and_then(Value::as_array).ok_or_else(|| bad("tokens"))?;
    let mut found: Vec<Token> = Vec::new();
    for value in tokens {
        let token = token(value, id)?;
        if found.iter().any(|other| other.symbol == token.symbol) {
            return Err(BadTokens(format!("{} is twice on chain {id}", token.symbol)));
        }
        found.push(token);
    }
    Ok(Chain {
        id,
        name: text(value, "name").ok_or_else(|| bad("a name"))?.to_owned(),
        router: Address::parse(router).map_err(|error| BadTokens(format!("the router of chain {id} {error}")))?,
        tokens: found,
    })
}

fn token(value: &Value, chain: u64) -> Result<Token, BadTokens> {
    let bad = |what: &str| BadTokens(format!("a token of chain {chain} without {what}"));
    let symbol = text(value, "symbol").ok_or_else(|| bad("a symbol"))?;
    let decimals = value.get("decimals").and_then(Value::as_u64);
    let decimals = decimals.and_then(|decimals| u8::try_from(decimals).ok()).filter(|decimals| *decimals <= 36);
    let address = text(value, "address").map(Address::parse).transpose();
    Ok(Token {
        symbol: symbol.to_ascii_lowercase(),
        chain,
        address: address.map_err(|error| BadTokens(format!("the address of {symbol} on chain {chain} {error}")))?,
        decimals: decimals.ok_or_else(|| bad("decimals up to 36"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_by_its_name_or_its_address() {
        let tokens = Tokens::shipped().unwrap();
        let chain = tokens.chain(1).unwrap();
        let usdc = chain.token("USDC").unwrap();
        assert_eq!(chain.token("0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"), Some(usdc));
        assert_eq!((usdc.decimals, usdc.is_native()), (6, false));
        assert_eq!(chain.token("0x52908400098527886E0F7030069857D2E4169EE7"), None);
        assert_eq!(chain.token("doge"), None);
        assert_eq!(tokens.chain(137).unwrap().native().unwrap().symbol, "pol");
        assert!(tokens.chain(137).unwrap().token("matic").unwrap().is_native());
    }

    #[test]
    fn the_shipped_list_is_that_of_the_file_and_its_checksums_are_right() {
        assert_eq!(Tokens::from_yaml(include_str!("../../../../tokens.yaml")), Tokens::shipped());
    }

    #[test]
    fn a_wrong_list_is_told() {
        let good = "chains:\n  - id: 1\n    name: x\n    router: \"0x7a250d5630B4cF539739dF2C5dAcb4c659F2488D\"\n    tokens:\n      - { symbol: eth, decimals: 18 }\n";
        assert!(Tokens::from_yaml(good).is_ok());
        for (part, other, told) in [
            ("0x7a250d", "0x7A250d", "checksum"),
            ("id: 1", "id: one", "number"),
            ("decimals: 18", "decimals: 99", "decimals"),
            (
                "{ symbol: eth, decimals: 18 }",
                "{ symbol: weth, decimals: 18, address: \"0x4200000000000000000000000000000000000006\" }",
                "coin",
            ),
            ("chains", "chain", "chains"),
        ] {
            let error = Tokens::from_yaml(&good.replace(part, other)).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
