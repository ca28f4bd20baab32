//! The answer of `POST /batch/plan`: what a batch would do.

use serde_json::{Value, json};

use super::{Request, native};
use crate::auth::Caller;
use crate::limits::Limits;
use crate::model::Model;
use crate::operation::{Draft, Operation, Problem};
use crate::plan::{Access, Footprint, Id, Plan, Touch, Verdict, verdict};

/// What the batch would do, as far as its text tells; with problems, only those.
pub fn plan(model: &Model, limits: &Limits, caller: &Caller, request: Request, problems: &[Problem]) -> Value {
    let told: Vec<Value> = problems.iter().map(native::problem).collect();
    let verdicts: Vec<Option<Verdict>> = request.drafts.iter().map(|draft| verdict(model, caller, draft)).collect();
    let accepted = if problems.is_empty() { accept(request.drafts) } else { None };
    let Some(plan) = accepted else {
        return json!({ "valid": false, "problems": told });
    };
    let footprint = Footprint::of(&plan, model);
    let atomic = request.options.atomic;
    let graph = plan.graph();
    let waves = graph.waves();
    let id = |index: &usize| plan.operations().get(*index).map_or("", |operation| operation.id.as_str());
    let planned = plan.operations().iter().zip(&verdicts).enumerate();
    let operations: Vec<Value> = planned
        .map(|(index, (operation, verdict))| {
            let mut told = json!({
                "id": operation.id.as_str(),
                "index": index,
                "wave": waves.get(index).copied().unwrap_or(0),
                "independent": graph.dependencies(index).is_empty(),
                "dependents": graph.dependents(index).iter().map(id).collect::<Vec<_>>(),
                "permission": verdict.as_ref().map_or("by_row", Verdict::as_str),
            });
            if let (Value::Object(told), Some(Verdict::Denied(failure))) = (&mut told, verdict) {
                told.insert("reason".into(), failure.message.clone().into());
            }
            told
        })
        .collect();
    let (mut read, mut written) = (Vec::new(), Vec::new());
    for touch in footprint.touches.iter().flatten().chain(&footprint.possible) {
        let list = if matches!(touch, Touch::Row(_, _, Access::Read)) { &mut read } else { &mut written };
        let text = describe(touch, &plan);
        if !list.contains(&text) {
            list.push(text);
        }
    }
    let path = match atomic {
        true if footprint.is_wide(limits) => "wide",
        true => "fast",
        false => "chunk",
    };
    json!({
        "valid": true,
        "executionOrder": plan.order().iter().map(id).collect::<Vec<_>>(),
        "operations": operations,
        "keys": { "read": read, "written": written },
        "commitPath": path,
        "actions": footprint.least_actions(),
        "capacity": capacity(&footprint, atomic, limits),
        "problems": told,
    })
}

fn accept(drafts: Vec<Draft>) -> Option<Plan> {
    let operations: Option<Vec<Operation>> = drafts.into_iter().map(Draft::accept).collect();
    Plan::new(operations?).ok()
}

/// An estimate in `DynamoDB` capacity units. A transactional write of up to 1 KB costs two units, a consistent read of up
/// to 4 KB one; the batch itself costs its head and, for each commit, its state.
fn capacity(footprint: &Footprint, atomic: bool, limits: &Limits) -> Value {
    const HEAD_UNITS: usize = 8;
    const STATE_UNITS: usize = 4;
    let all = footprint.touches.iter().flatten();
    let writes = all.clone().filter(|touch| !matches!(touch, Touch::Row(_, _, Access::Read))).count();
    let reads = all.filter(|touch| matches!(touch, Touch::Row(_, id, _) if !matches!(id, Id::New(_)))).count();
    let commits = if atomic { 1 } else { footprint.touches.len().div_ceil(limits.chunk_operations.max(1)) };
    json!({
        "readUnits": reads + 1,
        "writeUnits": 2 * writes + 2 * footprint.bytes / 1024 + HEAD_UNITS + STATE_UNITS * commits,
    })
}

fn describe(touch: &Touch, plan: &Plan) -> String {
    let id = |id: &Id| match id {
        Id::Known(text) => text.clone(),
        Id::New(index) => {
            let operation = plan.operations().get(*index).map_or("", |operation| operation.id.as_str());
            format!("(new by {operation})")
        }
        Id::Reference(text) => text.clone(),
        Id::Found => "(found by a search)".to_owned(),
    };
    match touch {
        Touch::Row(entity, key, _) => format!("{entity}/{}", id(key)),
        Touch::Unique(entity, field, _) => format!("{entity}.{field} (unique value)"),
        Touch::Posting(entity, key) => format!("{entity}/{} (search row)", id(key)),
        Touch::Children(entity, key) => format!("{entity}/{} (children)", id(key)),
    }
}
