//! The chain as a deployment has it: a node, a contract, and the signers of its creators.

use std::collections::BTreeMap;
use std::fmt;

use super::address::Contract;
use super::node::Node;
use super::signer::Signer;
use super::transaction::{Network, Payload, Transaction};
use super::transport::{Transport, over_http};
use crate::auth::Redacted;

/// Least fee of a byte, millionths of an STX.
const FEE_PER_BYTE: u64 = 1;

/// What the settings say of the chain.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the node is.
    pub node_url: String,
    /// Where its extended interface is, below it.
    pub extended_path: String,
    /// Of which network it is.
    pub network: Network,
    /// The contract that content is registered with, `address.name`.
    pub contract: String,
    /// A JSON object of creators' addresses and their private keys.
    pub signers: Redacted<String>,
    /// The fee where the node has no estimate, millionths of an STX.
    pub fee: u64,
    /// The highest fee that is paid, millionths of an STX.
    pub most_fee: u64,
}

/// A setting that cannot be meant, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadSetting {
    /// Which.
    pub name: &'static str,
    /// What is wrong with it; no value is repeated.
    pub reason: &'static str,
}

/// The chain.
pub struct Chain {
    /// The node.
    pub node: Node,
    network: Network,
    contract: Contract,
    signers: BTreeMap<String, Signer>,
    fee: u64,
    most_fee: u64,
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chain")
    }
}

impl Chain {
    /// Reads the settings; `transport` stands in the place of HTTP.
    pub fn new(settings: &Settings, transport: Option<Transport>) -> Result<Self, BadSetting> {
        let bad = |name, reason| BadSetting { name, reason };
        let url = || bad("STACKS_NODE_URL", "must be https, or http on a loopback address");
        let transport = transport.or_else(|| over_http(&settings.node_url)).ok_or_else(url)?;
        let contract = Contract::parse(&settings.contract);
        let contract = contract.map_err(|_| bad("STACKS_CONTRACT", "is not address.name of a contract"))?;
        Ok(Self {
            node: Node::new(transport, &settings.extended_path),
            network: settings.network,
            contract,
            signers: signers(settings.network, settings.signers.expose())?,
            fee: settings.fee,
            most_fee: settings.most_fee,
        })
    }

    /// Of which network it is.
    pub fn network(&self) -> Network {
        self.network
    }

    /// The contract that content is registered with.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// Who signs for a creator.
    pub fn signer(&self, creator: &str) -> Option<&Signer> {
        self.signers.get(creator)
    }

    /// A call of the contract.
    pub fn call(&self, function: &str, arguments: Vec<u128>) -> Payload {
        Payload::Call { contract: self.contract.clone(), function: function.to_owned(), arguments }
    }

    /// What is offered for `payload`: the node's estimate, else the setting, never below what a node takes and never
    /// above the cap.
    pub fn fee(&self, payload: &Payload, estimate: Option<u64>) -> u64 {
        let least = FEE_PER_BYTE * u64::try_from(Transaction::len_with(payload)).unwrap_or(u64::MAX);
        estimate.unwrap_or(self.fee).max(least).min(self.most_fee)
    }
}

fn signers(network: Network, text: &str) -> Result<BTreeMap<String, Signer>, BadSetting> {
    let bad = |reason| BadSetting { name: "STACKS_SIGNERS", reason };
    if text.trim().is_empty() {
        return Ok(BTreeMap::new());
    }
    let keys: BTreeMap<String, String> =
        serde_json::from_str(text).map_err(|_| bad("is not a JSON object of addresses and private keys"))?;
    let read = |(address, key): (String, String)| {
        let signer = Signer::parse(network, &key).map_err(|_| bad("holds a text that is no private key"))?;
        if signer.address().to_string() != address {
            return Err(bad("holds a private key under an address that is not its own"));
        }
        Ok((address, signer))
    };
    keys.into_iter().map(read).collect()
}
