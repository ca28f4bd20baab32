//! What an answer of the node means for a call.

use crate::batch::Settled;
use crate::gateway::stacks::{Broadcast, Progress, Reason};
use crate::store::Sent;

/// Attempts at a node that cannot be reached, or is out of order, before a call is given up.
pub(super) const MOST_ATTEMPTS: u32 = 5;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// It is settled.
    Settle(Settled),
    /// It is refused for good, and its nonce is free again.
    Release(Reason),
    /// It is sent again, unchanged, after a while.
    Again,
}

/// `attempt` counts from 1; `seen` is where the node has seen a transaction that may have been sent before.
pub(super) fn next(sent: &Sent, broadcast: Broadcast, attempt: u32, seen: Option<Progress>) -> Next {
    let taken = || Next::Settle(Settled::Taken { txid: sent.signed.txid.clone() });
    match (broadcast, seen) {
        (Broadcast::Taken, _) => taken(),
        (_, Some(seen)) if seen != Progress::Missing => taken(),
        (Broadcast::Unknown(_), _) => Next::Settle(Settled::Unknown),
        (Broadcast::Later(Reason::TooMuchChaining), _) => Next::Again,
        (Broadcast::Later(_), _) if attempt < MOST_ATTEMPTS => Next::Again,
        // Another transaction has the nonce: it is not free. This one may have been mined where the look-up lags.
        (Broadcast::Refused(Reason::BadNonce), Some(_)) => Next::Settle(Settled::Unknown),
        (Broadcast::Refused(reason @ (Reason::BadNonce | Reason::ConflictingNonceInMempool)), _) => {
            Next::Settle(Settled::refused(reason.as_str()))
        }
        (Broadcast::Refused(reason) | Broadcast::Later(reason), _) => Next::Release(reason),
    }
}

/// Of a call that was not sent, but asked for: where the node knows it, it was sent by whoever signed it.
pub(super) fn asked(sent: &Sent, seen: Option<Progress>) -> Next {
    match seen {
        None | Some(Progress::Missing) => Next::Again,
        Some(_) => Next::Settle(Settled::Taken { txid: sent.signed.txid.clone() }),
    }
}
