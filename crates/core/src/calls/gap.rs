//! Nonces that were given back while later ones were taken: whatever waits behind them would wait for ever.
//!
//! The next call of the account takes them first. Where the batch has none left, a payment of the least amount to the
//! contract does: it means nothing, and lets the others pass.

use crate::batch::Head;
use crate::gateway::stacks::{Broadcast, Chain, Payload, Signer};
use crate::runtime::Timestamp;
use crate::store::{Entry, Fault, LedgerPlace, Nonces, Sent, Store, TenantKey, Written};

/// Millionths of an STX.
const LEAST: u64 = 1;
/// Nonces filled at the end of one run.
const MOST: usize = 20;

/// Gives the nonce of a refused call back; its bytes are not sent any more.
pub(super) async fn give_back(
    (store, keys, head): (&Store, &TenantKey, &Head),
    chain: &Chain,
    signer: &Signer,
    refused: &Entry,
) -> Result<(), Fault> {
    let Some(sent) = &refused.sent else { return Ok(()) };
    let (network, address) = (chain.network().as_str(), signer.address().to_string());
    let late = || Fault::new("release nonce", "the time of the call is over");
    loop {
        let mut nonces: Nonces = store.nonces(network, &address).await?;
        nonces.give_back(sent.nonce);
        match store.release(keys, head, (network, &address, &nonces), refused).await? {
            Written::Done => return Ok(()),
            Written::Late => return Err(late()),
            Written::Guard => {
                let read = store.batch_and_ledger(keys, &head.id).await?;
                let entries = read.map(|(_, _, entries)| entries).unwrap_or_default();
                // Another run gave it back already.
                if entries.iter().any(|other| other.place == refused.place && other.refused.is_some()) {
                    return Ok(());
                }
                if !store.pause(1).await {
                    return Err(late());
                }
            }
        }
    }
}

/// Fills the nonces of the signer that nothing else took, once, as well as can be: what is left is filled by the next
/// call.
pub(super) async fn close(
    (store, keys, head): (&Store, &TenantKey, &Head),
    chain: &Chain,
    signer: &Signer,
    now: Timestamp,
) -> Result<(), Fault> {
    let (network, address) = (chain.network().as_str(), signer.address().to_string());
    for _ in 0..MOST {
        let mut nonces = store.nonces(network, &address).await?;
        if nonces.free.is_empty() {
            return Ok(());
        }
        let Ok(account) = chain.node.account(signer.address()).await else { return Ok(()) };
        nonces.catch_up(account.nonce);
        let Some(nonce) = nonces.free.first().copied() else { return Ok(()) };
        nonces.take();
        let payload = Payload::Pay { contract: chain.contract().clone(), amount: LEAST };
        let fee = chain.fee(&payload, None);
        let payment = signer.sign(nonce, fee, payload);
        let payment = payment.map_err(|_| Fault::new("sign payment", "the key does not sign"))?;
        let sent = Sent { signer: address.clone(), at: now, nonce, signed: payment.clone() };
        let place = LedgerPlace::Nonce(nonce);
        let entry = Entry { place, intent: None, sent: Some(sent), refused: None, progress: None };
        if store.claim(keys, head, (network, &address, &nonces), (&[entry], &[])).await? != Written::Done {
            return Ok(());
        }
        tracing::warn!(batch.id = %head.id, "a nonce that no call took is filled by a payment");
        // What is not taken now is sent again when the batch is followed.
        if chain.node.broadcast(&payment).await != Broadcast::Taken {
            return Ok(());
        }
    }
    Ok(())
}
