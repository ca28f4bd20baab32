//! One operation that changes nothing, evaluated by itself: no batch, no commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::evaluate::{Job, Progress, evaluate};
use super::snapshot::{Need, Snapshot};
use crate::auth::Caller;
use crate::batch::{Options, Work};
use crate::model::Model;
use crate::operation::{Operation, Outcome};
use crate::plan::Plan;
use crate::runtime::Timestamp;
use crate::store::{Fault, Store, TenantKey};

/// How `operation`, a read or a search, ends for `caller` now. It is evaluated as in a batch, so it sees and answers the
/// same.
pub async fn look(
    store: &Store,
    model: &Model,
    caller: &Caller,
    now: Timestamp,
    operation: Operation,
) -> Result<Outcome, Fault> {
    let keys = TenantKey::new(caller.tenant());
    let plan = Plan::ordered(Work { operations: vec![operation], ..Work::default() }, vec![0]);
    let (options, decided) = (Options { atomic: false, ..Options::default() }, BTreeMap::new());
    let job = Job { model, plan: &plan, caller, options: &options, seed: "", now, decided: &decided };
    let mut snapshot = Snapshot::default();
    loop {
        let needs = match evaluate(&job, &snapshot, &[]) {
            Progress::Ready(steps) => {
                let outcome = steps.into_iter().next().map(|step| step.outcome);
                return outcome.ok_or_else(|| Fault::new("look", "an operation without an outcome"));
            }
            Progress::Needs(needs) => needs,
            Progress::Unreadable(unreadable) => return Err(Fault::new("search", unreadable.to_string())),
        };
        let mut rows = Vec::new();
        for need in needs {
            match need {
                Need::Row(key) => rows.push(key),
                Need::Postings => snapshot.postings = Some(Arc::new(store.postings(&keys).await?)),
                Need::Search(search) => {
                    let found = store.search(&keys, &search).await?;
                    rows.extend(found.iter().filter(|key| !snapshot.rows.contains_key(key)).cloned());
                    snapshot.found.insert(search, found);
                }
                Need::Integer(..) => return Err(Fault::new("look", "an operation that changes something")),
            }
        }
        snapshot.rows.extend(store.rows(&keys, &rows).await?);
    }
}
