//! What Orby calls the account of a profile: asked for once, kept for every process, and in the head of each batch.

use crate::app::App;
use crate::batch::Profile;
use crate::gateway::orby::{Failed, Node, Orby};
use crate::intent::Address;
use crate::store::{Cluster, Fault, Store, TenantKey};

/// The name of the profile's account: as it is kept, or asked for now.
pub(super) async fn of_profile(
    app: &App,
    orby: &Orby,
    (store, keys): (&Store, &TenantKey),
    (profile, account): (&str, Address),
) -> Result<String, Fault> {
    let address = account.to_string();
    let kept = store.cluster(keys, profile).await?;
    if let Some(kept) = kept.filter(|kept| kept.account == address && kept.place == orby.place()) {
        return Ok(kept.id);
    }
    let id = orby.cluster(account).await.map_err(|failed| Fault::new("make cluster", failed.to_string()))?;
    let store = app.store().until(app.clock().now().plus_ms(KEEP_MS));
    let cluster = Cluster { account: address, place: orby.place().to_owned(), id };
    Ok(store.keep_cluster(keys, profile, cluster).await?.id)
}

/// Time to keep a name, milliseconds.
const KEEP_MS: i64 = 3_000;

/// The virtual node for what a batch of `profile` has on `chain`. A head of an older version names no cluster.
pub(super) async fn node(orby: &Orby, profile: &Profile, account: Address, chain: u64) -> Result<Node, Failed> {
    match &profile.cluster {
        Some(cluster) => orby.node(cluster, account, chain).await,
        None => orby.node(&orby.cluster(account).await?, account, chain).await,
    }
}
