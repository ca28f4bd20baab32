//! The calls.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use alloy_primitives::U256;
use serde_json::{Value, json};

use super::answer::{self, Built, Looked, Sent};
use super::transport::{Call, Transport};
use crate::auth::Redacted;
use crate::gateway::Lost;
use crate::gateway::web::safe_url;
use crate::intent::calldata;
use crate::intent::{Address, Reason, Sum, Token, Unsigned};
use crate::json::sha256_hex;

/// Virtual nodes that are remembered; beyond that all are asked for anew.
const MOST_NODES: usize = 1_000;
/// The call that tells how far operations are, where a deployment does not name another.
const STATUS_METHOD: &str = "orby_getOperationStatuses";

/// How Orby is found.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its URL without the key.
    pub url: String,
    /// The key.
    pub key: Redacted<String>,
    /// The call that tells how far operations are.
    pub status_method: Option<String>,
}

/// Why a call came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// There is no answer.
    Lost(Lost),
    /// Orby refuses, for this reason.
    Refused(Reason),
    /// An answer that makes no sense, with this HTTP status.
    Nonsense(u16),
}

impl Failed {
    /// Whether it is certain that Orby did not do it. An error that says nothing more may come after the deed.
    pub fn is_certain(self) -> bool {
        match self {
            Self::Refused(reason) => !matches!(reason, Reason::Unknown | Reason::Timeout | Reason::NetworkError),
            Self::Lost(lost) => lost == Lost::NotSent,
            Self::Nonsense(status) => (400..500).contains(&status) && status != 408,
        }
    }

    /// The kind of failure that a client is told of.
    pub fn reason(self) -> Reason {
        match self {
            Self::Refused(reason) => reason,
            Self::Lost(Lost::TimedOut) => Reason::Timeout,
            Self::Lost(_) | Self::Nonsense(_) => Reason::NetworkError,
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(Lost::NotSent) => f.write_str("Orby cannot be reached"),
            Self::Lost(Lost::TimedOut) => f.write_str("Orby did not answer in time"),
            Self::Lost(Lost::Broken) => f.write_str("the connection to Orby broke"),
            Self::Refused(reason) => write!(f, "Orby refuses: {}", reason.as_str()),
            Self::Nonsense(status) => write!(f, "Orby answered {status} in a way that is not known"),
        }
    }
}

/// Where calls about one account on one chain go.
#[derive(Clone)]
pub struct Node {
    url: String,
    /// The account's name at Orby.
    pub cluster: String,
}

/// Shows nothing: the URL holds a key.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Node")
    }
}

/// An operation that was signed.
#[derive(Debug, Clone, Copy)]
pub struct Submission<'a> {
    /// What was built.
    pub operation: &'a Unsigned,
    /// Its signature, or of a transaction the signed bytes: 0x and hex digits.
    pub signature: &'a str,
}

/// Orby.
pub struct Orby {
    transport: Transport,
    url: Redacted<String>,
    /// Tells this Orby from others: a hash of its URL without the key.
    place: String,
    status_method: String,
    nodes: Mutex<BTreeMap<(String, u64), Node>>,
}

impl fmt::Debug for Orby {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Orby")
    }
}

impl Orby {
    /// Orby behind `transport`; `None` when its URL is neither `https` nor on this machine.
    pub fn new(transport: Transport, settings: &Settings) -> Option<Self> {
        let url = settings.url.trim_end_matches('/');
        let method = settings.status_method.clone().unwrap_or_else(|| STATUS_METHOD.to_owned());
        safe_url(url).is_some().then(|| Self {
            transport,
            url: Redacted::new(format!("{url}/{}", settings.key.expose())),
            place: sha256_hex(url.as_bytes())[..16].to_owned(),
            status_method: method,
            nodes: Mutex::default(),
        })
    }

    async fn call(&self, url: &str, method: &str, params: Value) -> Result<Value, Failed> {
        // One call at a time on a connection, so its number says nothing; it must only come back.
        let id = 1;
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": [params] });
        let call = Call { url: url.to_owned(), body: body.to_string().into_bytes() };
        let answer = (self.transport)(call).await.map_err(Failed::Lost)?;
        answer::result(&answer, id)
    }

    /// What tells this Orby from others; its names for accounts are good here alone.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The virtual node on `chain` for `account`, whose cluster is `cluster`; remembered. A cluster that Orby does not know
    /// any more is made again: the node tells which one it is of.
    pub async fn node(&self, cluster: &str, account: Address, chain: u64) -> Result<Node, Failed> {
        let name = (cluster.to_owned(), chain);
        if let Some(node) = self.nodes.lock().unwrap_or_else(PoisonError::into_inner).get(&name) {
            return Ok(node.clone());
        }
        let node = match self.node_of(cluster.to_owned(), account, chain).await {
            Err(Failed::Refused(_)) => self.node_of(self.cluster(account).await?, account, chain).await?,
            other => other?,
        };
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if nodes.len() >= MOST_NODES {
            nodes.clear();
        }
        nodes.insert(name, node.clone());
        Ok(node)
    }

    /// Makes a cluster of `account` alone; Orby's name for it.
    pub async fn cluster(&self, account: Address) -> Result<String, Failed> {
        let accounts = json!([{ "vmType": "EVM", "address": account.to_string(), "accountType": "EOA" }]);
        let result = self.call(self.url.expose(), "orby_createAccountCluster", json!({ "accounts": accounts })).await?;
        let cluster = result["accountClusterId"].as_str().filter(|id| (1..=256).contains(&id.len()));
        cluster.map(str::to_owned).ok_or(Failed::Nonsense(200))
    }

    async fn node_of(&self, cluster: String, account: Address, chain: u64) -> Result<Node, Failed> {
        let params = json!({
            "accountClusterId": cluster, "chainId": name_of(chain), "entrypointAccountAddress": account.to_string(),
        });
        let result = self.call(self.url.expose(), "orby_getVirtualNodeRpcUrl", params).await?;
        let url =
            result["virtualNodeRpcUrl"].as_str().filter(|url| safe_url(url).is_some()).ok_or(Failed::Nonsense(200))?;
        Ok(Node { url: url.to_owned(), cluster })
    }

    /// Orby's names for tokens, the same on every chain; in their order.
    pub async fn token_ids(&self, node: &Node, tokens: &[&Token]) -> Result<Vec<String>, Failed> {
        let asked: Vec<Value> = tokens
            .iter()
            .map(
                |token| json!({ "chainId": name_of(token.chain), "tokenAddress": token.address_or_zero().to_string() }),
            )
            .collect();
        let result = self.call(&node.url, "orby_getStandardizedTokenIds", json!({ "tokens": asked })).await?;
        let ids = result["standardizedTokenIds"].as_array().ok_or(Failed::Nonsense(200))?;
        let ids: Option<Vec<String>> = ids.iter().map(|id| id.as_str().map(str::to_owned)).collect();
        ids.filter(|ids| ids.len() == tokens.len()).ok_or(Failed::Nonsense(200))
    }

    /// How much of a token the account has, on all chains together; 0 where Orby does not list it.
    pub async fn balance(&self, node: &Node, token_id: &str) -> Result<U256, Failed> {
        let params = json!({ "accountClusterId": node.cluster });
        let result = self.call(&node.url, "orby_getFungibleTokenPortfolio", params).await?;
        let balances = result["fungibleTokenBalances"].as_array().ok_or(Failed::Nonsense(200))?;
        let Some(balance) = balances.iter().find(|balance| balance["standardizedTokenId"] == token_id) else {
            return Ok(U256::ZERO);
        };
        let units = balance["total"]["amount"].as_str().and_then(|units| U256::from_str_radix(units, 10).ok());
        units.ok_or(Failed::Nonsense(200))
    }

    /// Builds a payment of `from` to `to` on `chain`.
    pub async fn transfer(&self, node: &Node, from: &Sum, (to, chain): (Address, u64)) -> Result<Built, Failed> {
        let ids = self.token_ids(node, &[&from.token]).await?;
        let params = json!({
            "accountClusterId": node.cluster,
            "standardizedTokenId": ids.first(),
            "amount": from.units.to_string(),
            "recipient": { "address": to.to_string(), "chainId": name_of(chain) },
        });
        answer::built(&self.call(&node.url, "orby_getOperationsToTransferToken", params).await?)
    }

    /// Builds a swap of all of `from`.
    pub async fn swap(&self, node: &Node, from: &Sum, to: &Token) -> Result<Built, Failed> {
        let ids = self.token_ids(node, &[&from.token, to]).await?;
        let side = |place: usize, token: &Token| {
            json!({
                "standardizedTokenId": ids.get(place),
                "tokenSources": [{ "chainId": name_of(token.chain), "address": token.address_or_zero().to_string() }],
            })
        };
        let mut input = side(0, &from.token);
        if let Some(input) = input.as_object_mut() {
            input.insert("amount".to_owned(), from.units.to_string().into());
        }
        let mut output = side(1, to);
        if let Some(output) = output.as_object_mut() {
            output.remove("tokenSources");
            let wanted = json!({ "chainId": name_of(to.chain), "address": to.address_or_zero().to_string() });
            output.insert("tokenDestination".to_owned(), wanted);
        }
        let params =
            json!({ "accountClusterId": node.cluster, "swapType": "EXACT_INPUT", "input": input, "output": output });
        answer::built(&self.call(&node.url, "orby_getOperationsToSwap", params).await?)
    }

    /// Builds a call of a contract.
    pub async fn contract_call(&self, node: &Node, call: &calldata::Call) -> Result<Built, Failed> {
        let params = json!({
            "accountClusterId": node.cluster,
            "to": call.to.to_string(),
            "data": call.data,
            "value": call.value.to_string(),
        });
        answer::built(&self.call(&node.url, "orby_getOperationsToExecuteTransaction", params).await?)
    }

    /// Sends signed operations. It must never be called twice for the same ones: ask [`Orby::look_up`] instead.
    pub async fn send(&self, node: &Node, signed: &[Submission<'_>]) -> Result<Sent, Failed> {
        let operations: Vec<Value> = signed
            .iter()
            .map(|Submission { operation, signature }| {
                json!({
                    "type": operation.kind,
                    "signature": signature,
                    "data": operation.data,
                    "chainId": name_of(operation.chain),
                    "from": operation.from.to_string(),
                })
            })
            .collect();
        let params = json!({ "accountClusterId": node.cluster, "signedOperations": operations });
        let result = self.call(&node.url, "orby_sendSignedOperations", params).await?;
        answer::sent(&result, signed.len())
    }

    /// How far operations are; each by Orby's name for it or by the hash that was computed before it was sent.
    pub async fn look_up(&self, node: &Node, ids: &[String]) -> Result<Vec<Looked>, Failed> {
        let params = json!({ "accountClusterId": node.cluster, "operationIds": ids });
        answer::looked(&self.call(&node.url, &self.status_method, params).await?, ids)
    }
}

fn name_of(chain: u64) -> String {
    format!("EIP155-{chain}")
}
