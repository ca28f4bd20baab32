//! Building operation sets with Orby.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;

use crate::app::App;
use crate::batch::{Defeat, Intents, Set};
use crate::gateway::orby::{Built, Failed, Node, Orby};
use crate::intent::{Address, Intent, Layout, Reason, Sum, Unsigned, amount, calldata};
use crate::json::sha256_hex;

/// How long liquidity may be added after it was built, where the client names no deadline, seconds.
const DEADLINE_S: i64 = 3_600;

/// For whom it is built.
pub(super) struct For<'a> {
    pub account: Address,
    /// What Orby calls the account.
    pub cluster: &'a str,
    /// The batch's own random text, which names of sets derive from.
    pub seed: &'a str,
}

/// What was built of one intent: operations, or why not.
type Outcome = Result<(Vec<Unsigned>, Option<(String, String)>), Defeat>;

/// Builds everything. An intent that Orby refuses is kept with its defeat; an error is Orby's not answering.
pub(super) async fn build(
    app: &App,
    orby: &Orby,
    owner: &For<'_>,
    (intents, asked): (&[Intent], Vec<serde_json::Value>),
    atomic: bool,
) -> Result<Intents, Failed> {
    let layout = Layout::of(intents, atomic);
    let deadline = app.clock().now().plus_ms(DEADLINE_S * 1_000).seconds();
    let by_chain = nodes(orby, owner, intents).await?;
    let each = intents.iter().enumerate().map(|(index, intent)| {
        let merged = layout.merged_into.get(index).copied().flatten();
        let node = by_chain.get(&intent.chain());
        async move {
            match (merged, node) {
                (None, Some(Ok(node))) => one(orby, owner, node, intent, u64::try_from(deadline).unwrap_or(0)).await,
                (None, Some(Err(reason))) => Ok(Err(Defeat::new(*reason))),
                _ => Ok(Ok((Vec::new(), None))),
            }
        }
    });
    let built = join_all(each).await.into_iter().collect::<Result<Vec<Outcome>, Failed>>()?;
    let mut sets = Vec::new();
    for (index, ((intent, asked), built)) in intents.iter().zip(asked).zip(built).enumerate() {
        let id = format!("opset_{}", &sha256_hex(format!("{}#{index}", owner.seed).as_bytes())[..32]);
        let (operations, fiat, defeat) = match built {
            Ok((operations, fiat)) => (operations, fiat, None),
            Err(defeat) => (Vec::new(), None, Some(defeat)),
        };
        sets.push((
            Set {
                id,
                kind: intent.word().to_owned(),
                chain: intent.chain(),
                asked,
                unsigned: Vec::new(),
                merged_into: layout.merged_into.get(index).copied().flatten(),
                defeat,
                retry_of: None,
                fiat,
            },
            operations,
        ));
    }
    let order: Vec<usize> = layout
        .order
        .into_iter()
        .filter(|index| sets.get(*index).is_some_and(|(set, _)| set.defeat.is_none()))
        .collect();
    number(&order, &mut sets);
    let sets = sets
        .into_iter()
        .map(|(set, operations)| Set { unsigned: operations.iter().map(Unsigned::to_json).collect(), ..set })
        .collect();
    let notes = layout.groups.into_iter().filter(|group| !group.notes.is_empty());
    Ok(Intents { sets, notes: notes.map(|group| (group.chain, group.notes)).collect(), order })
}

/// Gives transactions of one account and chain nonces in a row. Each set was built by itself, from the same next nonce.
fn number(order: &[usize], sets: &mut [(Set, Vec<Unsigned>)]) {
    let mut next: BTreeMap<u64, u64> = BTreeMap::new();
    for index in order {
        let Some((_, operations)) = sets.get_mut(*index) else { continue };
        for operation in operations {
            let Some(nonce) = operation.nonce else { continue };
            let place = next.entry(operation.chain).or_insert(nonce);
            operation.nonce = Some((*place).max(nonce));
            *place = (*place).max(nonce) + 1;
        }
    }
}

/// The virtual node of each chain, asked for once; or why Orby has none there.
async fn nodes(
    orby: &Orby,
    owner: &For<'_>,
    intents: &[Intent],
) -> Result<BTreeMap<u64, Result<Node, Reason>>, Failed> {
    let chains: BTreeSet<u64> = intents.iter().map(Intent::chain).collect();
    let asked = chains.into_iter().map(|chain| async move {
        match orby.node(owner.cluster, owner.account, chain).await {
            Ok(node) => Ok((chain, Ok(node))),
            Err(Failed::Refused(reason)) => Ok((chain, Err(reason))),
            Err(failed) => Err(failed),
        }
    });
    join_all(asked).await.into_iter().collect()
}

async fn one(orby: &Orby, owner: &For<'_>, node: &Node, intent: &Intent, deadline: u64) -> Result<Outcome, Failed> {
    let built = match intent {
        Intent::Transfer { from, to, to_chain } => orby.transfer(node, from, (*to, *to_chain)).await,
        Intent::Swap { from, to } => orby.swap(node, from, to).await,
        Intent::Approve { .. } | Intent::AddLiquidity { .. } => match calldata::of(intent, owner.account, deadline) {
            Some(call) => orby.contract_call(node, &call).await,
            None => Err(Failed::Refused(Reason::Unknown)),
        },
    };
    match built {
        Ok(built) => Ok(of_account(built, owner.account)),
        Err(Failed::Refused(Reason::InsufficientBalance)) => {
            let help = shortfall(orby, node, intent.takes()).await;
            Ok(Err(Defeat { reason: Reason::InsufficientBalance, help }))
        }
        Err(Failed::Refused(reason)) => Ok(Err(Defeat::new(reason))),
        Err(failed) => Err(failed),
    }
}

/// Only what the profile's account signs is given to a client to sign.
fn of_account(built: Built, account: Address) -> Outcome {
    if built.operations.iter().all(|operation| operation.from == account) {
        Ok((built.operations, built.fiat))
    } else {
        Err(Defeat::new(Reason::Unknown))
    }
}

/// `Add 50 USDC`: by how much the account falls short.
async fn shortfall(orby: &Orby, node: &Node, takes: &[Sum]) -> Option<String> {
    for Sum { token, units } in takes {
        let ids = orby.token_ids(node, &[token]).await.ok()?;
        let balance = orby.balance(node, ids.first()?).await.ok()?;
        if balance < *units {
            let missing = amount::format(*units - balance, token.decimals);
            return Some(format!("Add {missing} {}", token.symbol.to_uppercase()));
        }
    }
    None
}
