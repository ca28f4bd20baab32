//! Nonces that were given back while later ones were taken: whatever waits behind them would wait for ever.
//!
//! The next call of the account takes them first. Where the batch has none left, a payment of the least amount to the
//! contract does: it means nothing, and lets the others pass.

use super::sender::Sender;
use crate::gateway::stacks::{Broadcast, Chain, Payload, Signer};
use crate::store::{Claimed, Entry, Fault, LedgerPlace, Sent};

/// Millionths of an STX.
const LEAST: u64 = 1;
/// Nonces filled at the end of one run.
const MOST: usize = 20;

/// Fills the nonces of the signer that nothing else took, once, as well as can be: what is left is filled by the next call.
pub(super) async fn close(sender: &mut Sender<'_>, chain: &Chain, signer: &Signer) -> Result<(), Fault> {
    let (network, address) = (chain.network().as_str(), signer.address().to_string());
    for _ in 0..MOST {
        let mut nonces = sender.store.nonces(network, &address).await?;
        if nonces.free.is_empty() || !sender.look_at(chain, signer).await {
            return Ok(());
        }
        nonces.catch_up(sender.account_nonce());
        let Some(nonce) = nonces.free.first().copied() else { return Ok(()) };
        nonces.take();
        let payload = Payload::Pay { contract: chain.contract().clone(), amount: LEAST };
        let fee = chain.fee(&payload, None);
        let transaction =
            signer.sign(nonce, fee, payload).map_err(|_| Fault::new("sign payment", "the key does not sign"))?;
        let sent = Sent { signer: address.clone(), nonce, signed: transaction.clone() };
        let place = LedgerPlace::Nonce(nonce);
        let entry = Entry { place, intent: None, sent: Some(sent), refused: None, progress: None };
        let claimed = sender.store.claim(&sender.keys, sender.head, (network, &address, &nonces), &[entry]).await?;
        if claimed != Claimed::Done {
            return Ok(());
        }
        tracing::warn!(batch.id = %sender.head.id, "a nonce that no call took is filled by a payment");
        // What is not taken now is sent again when the batch is followed.
        if chain.node.broadcast(&transaction).await != Broadcast::Taken {
            return Ok(());
        }
    }
    Ok(())
}
