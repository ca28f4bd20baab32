//! One of the deliberate bugs: attempts at a wide commit are named by the revision they begin at, so that two processes
//! that begin at the same one share a name. What a process calls its attempt is changed on its way to the store and back.

use std::sync::Arc;

use super::oracle::batch_key;
use super::tables::Tables;
use super::wire::{Reply, Request, int, text};

/// Names of attempts: the process, what it calls it, and what the store does.
#[derive(Debug, Default)]
pub(super) struct Counted(Vec<(usize, String, String)>);

impl Counted {
    /// The call as the store is to get it.
    pub fn outgoing(&mut self, node: usize, request: &Request, tables: &Tables) -> Request {
        let item = &request.body["Item"];
        let (pk, sk) = (text(item, "pk", "S"), text(item, "sk", "S"));
        if let Some(nonce) = sk.strip_prefix("REDO#").and_then(|rest| rest.split('#').next()) {
            if !self.0.iter().any(|(_, known, _)| known == nonce) {
                let state = tables.item(&batch_key(pk, "A#STATE"));
                let revision = state.and_then(|state| int(state, "rev")).unwrap_or(0);
                let batch = pk.rsplit('_').next().unwrap_or_default();
                self.0.push((node, nonce.to_owned(), format!("{batch}-{revision}")));
            }
        }
        let mut body = request.body.to_string();
        for (_, nonce, name) in &self.0 {
            body = body.replace(nonce, name);
        }
        let body = serde_json::from_str(&body).unwrap_or_default();
        Request { operation: request.operation.clone(), body: Arc::new(body) }
    }

    /// The answer as the process is to get it.
    pub fn incoming(&self, node: usize, reply: Reply) -> Reply {
        let Reply::Answer(status, mut body) = reply else { return reply };
        for (_, nonce, name) in self.0.iter().rev().filter(|(of, ..)| *of == node) {
            body = body.replace(name, nonce);
        }
        Reply::Answer(status, body)
    }
}
