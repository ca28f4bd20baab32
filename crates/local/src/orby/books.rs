//! What the sandbox remembers: accounts, what it built, what it took, and what became of that.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use serde_json::{Value, json};

use super::Treatment;
use super::crypto::{Transaction, hex, transaction, typed_hash, typed_signer, unhex};

/// Where an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It waits for the one before it.
    Waiting,
    /// It waits for its chain.
    Pending,
    /// It is on its chain.
    Successful,
    /// It is not, for this reason.
    Failed(&'static str),
    /// It was forgotten.
    Lost,
}

#[derive(Debug, Clone)]
struct Operation {
    hash: String,
    fate: Fate,
    /// What becomes of it in the end.
    end: Fate,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Books {
    clusters: BTreeMap<String, String>,
    built: Vec<Value>,
    nonces: BTreeMap<(String, u64), u64>,
    permits: u64,
    operations: BTreeMap<String, Operation>,
    balances: BTreeMap<(String, String), U256>,
    /// How often each signed thing was sent, whether it was taken or not.
    sent: BTreeMap<String, usize>,
    held: bool,
}

impl Books {
    pub(super) fn cluster(&mut self, address: &str) -> Result<String, String> {
        let parsed: alloy_primitives::Address = address.parse().map_err(|_| "an address is wrong".to_owned())?;
        let id = format!("cluster-{}", &hex(parsed.as_slice())[2..]);
        self.clusters.insert(id.clone(), parsed.to_checksum(None));
        Ok(id)
    }

    /// The account of a cluster, which must be `expected` where that is given.
    pub(super) fn owner(&self, cluster: &str, expected: Option<&str>) -> Result<String, String> {
        let owner = self.clusters.get(cluster).ok_or("unknown account cluster")?;
        if expected.is_some_and(|expected| expected != owner) {
            return Err("the account is not in the cluster".into());
        }
        Ok(owner.clone())
    }

    pub(super) fn next_nonce(&self, account: &str, chain: u64) -> u64 {
        self.nonces.get(&(account.to_owned(), chain)).copied().unwrap_or(0)
    }

    pub(super) fn next_permit(&mut self) -> u64 {
        self.permits += 1;
        self.permits
    }

    pub(super) fn built<'a>(&mut self, operations: impl Iterator<Item = &'a Value>) {
        self.built.extend(operations.cloned());
    }

    /// Gives an account so much of a token, called by its symbol; without it an account has more than enough.
    pub fn set_balance(&mut self, account: &str, symbol: &str, units: u128) {
        self.balances.insert((account.to_owned(), format!("std-{symbol}")), U256::from(units));
    }

    /// What an account has of a token; `None` for more than enough.
    pub(super) fn balance(&self, cluster: &str, id: &str) -> Option<U256> {
        let owner = self.clusters.get(cluster)?;
        self.balances.get(&(owner.clone(), id.to_owned())).copied()
    }

    pub(super) fn portfolio(&self, cluster: &str) -> Result<Value, String> {
        let owner = self.owner(cluster, None)?;
        let balances: Vec<Value> = self
            .balances
            .iter()
            .filter(|((account, _), _)| *account == owner)
            .map(|((_, id), units)| json!({ "standardizedTokenId": id, "total": { "amount": units.to_string() } }))
            .collect();
        Ok(json!({ "fungibleTokenBalances": balances }))
    }

    /// Takes signed operations, all or none.
    pub(super) fn take(
        &mut self,
        (cluster, chain): (&str, u64),
        params: &Value,
        treatment: Option<Treatment>,
    ) -> Result<Value, String> {
        let owner = self.owner(cluster, None)?;
        let signed = params["signedOperations"].as_array().filter(|signed| !signed.is_empty());
        let signed = signed.ok_or("signedOperations is missing")?;
        let mut nonce = self.next_nonce(&owner, chain);
        let mut hashes: Vec<(String, bool)> = Vec::new();
        for operation in signed {
            let (hash, is_transaction) = self.check(&owner, chain, operation, &mut nonce)?;
            let times = self.sent.entry(hash.clone()).or_default();
            *times += 1;
            if self.operations.values().any(|known| known.hash == hash) {
                return Err("already known".into());
            }
            hashes.push((hash, is_transaction));
        }
        self.nonces.insert((owner, chain), nonce);
        let end = match treatment {
            Some(Treatment::FailLater(message)) => Fate::Failed(message),
            _ => Fate::Successful,
        };
        let mut responses = Vec::new();
        for (place, (hash, is_transaction)) in hashes.into_iter().enumerate() {
            let id = format!("op-{}", &hash[2..34]);
            let hash_told = if is_transaction { Value::from(hash.as_str()) } else { Value::Null };
            responses.push(json!({
                "id": id, "status": "PENDING", "chainId": format!("EIP155-{chain}"), "hash": hash_told,
            }));
            let fate = match (treatment, place) {
                (Some(Treatment::Forget), _) => Fate::Lost,
                (_, 0) => Fate::Pending,
                _ => Fate::Waiting,
            };
            self.operations.insert(id, Operation { hash, fate, end });
        }
        Ok(json!({ "operationResponses": responses }))
    }

    /// The hash of a signed operation that was built for this account and is signed by it.
    fn check(&self, owner: &str, chain: u64, signed: &Value, nonce: &mut u64) -> Result<(String, bool), String> {
        let signature = signed["signature"].as_str().and_then(unhex).ok_or("a signature is missing")?;
        if signed["chainId"] != format!("EIP155-{chain}") || signed["from"] != owner {
            return Err("an operation of another account or chain".into());
        }
        let built =
            |fits: &dyn Fn(&Value) -> bool| self.built.iter().any(|built| built["from"] == owner && fits(built));
        if let Some(tx) = transaction(&signature) {
            if alloy_primitives::Address::from(tx.signer).to_checksum(None) != owner {
                return Err("invalid signature: another signer".into());
            }
            if !built(&|built| same(&tx, built)) {
                return Err("invalid signature: this was not built".into());
            }
            if self.operations.values().any(|known| known.hash == tx.hash) {
                return Err("already known".into());
            }
            if tx.nonce < u128::from(*nonce) {
                return Err("nonce too low".into());
            }
            *nonce = u64::try_from(tx.nonce).map_err(|_| "nonce too high")? + 1;
            return Ok((tx.hash, true));
        }
        let data: Value = signed["data"].as_str().and_then(|data| serde_json::from_str(data).ok()).unwrap_or_default();
        let hash = typed_hash(&data).ok_or("invalid signature: no transaction and no typed data")?;
        let by = typed_signer(&hash, &signature).ok_or("invalid signature")?;
        if alloy_primitives::Address::from(by).to_checksum(None) != owner {
            return Err("invalid signature: another signer".into());
        }
        if !built(&|built| built["data"] == signed["data"]) {
            return Err("invalid signature: this was not built".into());
        }
        Ok((hex(&hash), false))
    }

    /// How far operations are, by Orby's name or by hash. Whoever asks helps them on, unless they are held.
    pub(super) fn statuses(&mut self, params: &Value) -> Result<Value, String> {
        let ids = params["operationIds"].as_array().ok_or("operationIds is missing")?;
        let told: Vec<Value> = ids.iter().filter_map(Value::as_str).map(|id| self.status(id)).collect();
        if !self.held {
            self.advance();
        }
        Ok(json!({ "operationStatuses": told }))
    }

    fn status(&self, id: &str) -> Value {
        let found = self.operations.get(id).or_else(|| self.operations.values().find(|known| known.hash == id));
        let Some(operation) = found.filter(|found| found.fate != Fate::Lost) else {
            return json!({ "id": id, "status": "NOT_FOUND" });
        };
        let mut told = json!({ "id": id, "hash": operation.hash });
        let (status, message) = match operation.fate {
            Fate::Waiting => ("WAITING_PRECONDITION", None),
            Fate::Pending => ("PENDING", None),
            Fate::Successful => ("SUCCESSFUL", None),
            Fate::Failed(message) => ("FAILED", Some(message)),
            Fate::Lost => ("NOT_FOUND", None),
        };
        told["status"] = status.into();
        if let Some(message) = message {
            told["message"] = message.into();
        }
        told
    }

    /// Moves every operation one state on.
    pub fn advance(&mut self) {
        for operation in self.operations.values_mut() {
            operation.fate = match operation.fate {
                Fate::Waiting => Fate::Pending,
                Fate::Pending => operation.end,
                end => end,
            };
        }
    }

    /// Whether operations stay where they are until [`Self::advance`] is called.
    pub fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// How often each signed thing was sent.
    pub fn times_sent(&self) -> Vec<usize> {
        self.sent.values().copied().collect()
    }

    /// Where an operation is, by Orby's name or by hash; `None` for one that was never taken.
    pub fn fate(&self, id: &str) -> Option<Fate> {
        let found = self.operations.get(id).or_else(|| self.operations.values().find(|known| known.hash == id));
        found.map(|operation| operation.fate)
    }

    /// How many operations it took.
    pub fn taken(&self) -> usize {
        self.operations.len()
    }
}

/// Whether a transaction is the one that was built, but for its place among the account's.
fn same(tx: &Transaction, built: &Value) -> bool {
    let number = |name: &str| built[name].as_str().and_then(|text| text.parse::<u128>().ok());
    let value = built["value"].as_str().and_then(|value| U256::from_str_radix(value, 10).ok());
    built["chainId"] == format!("EIP155-{}", tx.chain)
        && number("gasLimit") == Some(tx.gas)
        && number("maxFeePerGas") == Some(tx.fee.0)
        && number("maxPriorityFeePerGas") == tx.fee.1
        && built["to"].as_str().is_some_and(|to| to.eq_ignore_ascii_case(&hex(&tx.to)))
        && value == Some(U256::from_be_slice(&tx.value))
        && built["data"].as_str().is_some_and(|data| data.eq_ignore_ascii_case(&hex(&tx.data)))
}
