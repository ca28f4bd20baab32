//! What must hold of every call: whose items it names, and when a commit is sent.

use std::collections::BTreeSet;

use batch_core::batch::Options;
use batch_core::limits::{BACKGROUND_TIMEOUT_MS, CONTENT_TIMEOUT_MS, DEFAULT_TIMEOUT_MS};
use serde_json::Value;

use super::process::BEGIN_MS;
use super::schedule::Schedule;
use super::seam::Parked;
use super::wire::{Request, int, text};

impl Schedule {
    /// I13: whether a call names nothing of a tenant its process does not work for. The sweep serves all, and so may
    /// look at heads and states and send messages, and change what is its own.
    pub(super) fn check_tenant(&mut self, parked: &Parked) {
        let Some(busy) = self.nodes[parked.node].busy.as_ref().filter(|_| parked.is_awaited()) else { return };
        let mut named = BTreeSet::new();
        tenants_in(&parked.request.body, &mut named);
        if named.is_subset(&busy.on.tenants) || (busy.on.sweeps && is_of_sweep(&parked.request)) {
            return;
        }
        let told = format!("I13: a call for {:?} names {named:?}: {:?}", busy.on, parked.request);
        self.wrong.push(told);
    }

    /// I16: whether a commit was sent before its batch's deadline, by the clock of who sent it.
    pub(super) fn check_deadline(&mut self, parked: &Parked) {
        let Some(state) = committed(&parked.request).filter(|_| parked.is_awaited()) else { return };
        let key = |sk: &str| ("BatchesTable".to_owned(), text(state, "pk", "S").to_owned(), sk.to_owned());
        let Some(head) = self.tables.item(&key("A#HEAD")) else { return };
        // What moves nothing is no commit: a resumption, or an attempt that is given up.
        let before = self.tables.item(&key("A#STATE")).filter(|before| before["seed"] == state["seed"]);
        if int(state, "cursor") <= Some(before.and_then(|before| int(before, "cursor")).unwrap_or(0)) {
            return;
        }
        let options = serde_json::from_str::<Options>(text(head, "options", "S")).unwrap_or_default();
        let (from, ms) = match (options.timeout_ms, head["background"]["BOOL"] == true) {
            // What was signed in time is told when it is known.
            _ if head.get("profile").is_some() => return,
            _ if head.get("job").is_some() => (int(head, "created"), CONTENT_TIMEOUT_MS),
            (Some(ms), _) => (int(state, "started"), ms.cast_signed()),
            (None, false) => (int(state, "started"), DEFAULT_TIMEOUT_MS.cast_signed()),
            (None, true) => (int(head, "created"), BACKGROUND_TIMEOUT_MS),
        };
        let deadline = from.unwrap_or(0) + ms + int(state, "paused_ms").unwrap_or(0);
        let sent = BEGIN_MS + parked.at + self.nodes[parked.node].skew;
        if sent > deadline {
            let told = format!("I16: sent {} ms after the deadline: {:?}", sent - deadline, parked.request);
            self.wrong.push(told);
        }
    }
}

/// The state that a call commits, if it is no cut.
fn committed(request: &Request) -> Option<&Value> {
    let state = match request.operation.as_str() {
        "TransactWriteItems" => &request.actions().first()?.1["Item"],
        "PutItem" => &request.body["Item"],
        _ => return None,
    };
    let moves = !matches!(text(state, "status", "S"), "paused" | "preparing");
    (text(state, "sk", "S") == "A#STATE" && moves && state.get("cut").is_none()).then_some(state)
}

/// Whether the sweep may do this on behalf of nobody.
fn is_of_sweep(request: &Request) -> bool {
    match request.operation.as_str() {
        "SendMessage" => true,
        "Query" => {
            let values = &request.body["ExpressionAttributeValues"];
            // Beside the index it reads a content job with its calls.
            text(values, ":g", "S").starts_with("W#") || text(values, ":pk", "S").contains("#B#")
        }
        "BatchGetItem" => {
            let tables = request.body["RequestItems"].as_object().into_iter().flatten();
            let mut keys = tables.flat_map(|(_, wanted)| wanted["Keys"].as_array().into_iter().flatten());
            keys.all(|key| matches!(text(key, "sk", "S"), "A#HEAD" | "A#STATE" | "WATCH"))
        }
        "PutItem" => text(&request.body["Item"], "sk", "S") == "WATCH",
        "UpdateItem" | "DeleteItem" => text(&request.body["Key"], "sk", "S") == "WATCH",
        _ => false,
    }
}

/// The batch of a message; none for one of the sweep.
pub(super) fn batch_of(body: &str) -> Option<String> {
    let body: Value = serde_json::from_str(body).ok()?;
    body["batch_id"].as_str().map(str::to_owned)
}

/// The tenant of a message; none for one of the sweep.
pub(super) fn tenant_of(body: &str) -> Option<String> {
    let body: Value = serde_json::from_str(body).ok()?;
    body["tenant"].as_str().map(str::to_owned)
}

fn tenants_in(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            let tenant = text.strip_prefix("T#").and_then(|rest| rest.split('#').next()).map(str::to_owned);
            let message = || tenant_of(Some(text).filter(|text| text.starts_with('{'))?);
            found.extend(tenant.or_else(message));
        }
        Value::Array(items) => items.iter().for_each(|item| tenants_in(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| tenants_in(field, found)),
        _ => {}
    }
}
