//! A caller with fewer claims than the credential gives: never with others, never with more.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};

use super::Caller;
use super::caller::{ROLES_CLAIM, SUBJECT_CLAIM, TENANT_CLAIM};
use crate::json::{canonical, clip};
use crate::limits::MAX_SHOWN;

/// Claims that say who it is: they can be repeated, not narrowed.
const FIXED: [&str; 6] = [SUBJECT_CLAIM, TENANT_CLAIM, "iss", "aud", "azp", "client_id"];

/// A claim that is not the caller's to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Widening {
    /// Its name.
    pub claim: String,
    reason: &'static str,
}

impl fmt::Display for Widening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "claims may only narrow those of the credential: {} {}", clip(&self.claim, MAX_SHOWN), self.reason)
    }
}

impl std::error::Error for Widening {}

impl Caller {
    /// The caller as `given` narrows it: a list to some of its items, one item standing for a list of it; whatever else
    /// is given must be equal, and what is not given stays. By `roles` the roles go with the claim.
    ///
    /// A condition may turn on what a claim does *not* hold, so fewer claims are not by themselves fewer rights: whoever
    /// narrows a caller has to ask for the rights of both.
    ///
    /// # Errors
    /// The first claim that the caller does not have, or has otherwise.
    pub fn narrowed(&self, given: &Map<String, Value>) -> Result<Self, Widening> {
        let mut claims = self.claims().clone();
        for (name, value) in given {
            let widening = |reason| Widening { claim: name.clone(), reason };
            let own = self.claims().get(name).ok_or_else(|| widening("is no claim of it"))?;
            let kept = match own {
                Value::Array(items) if !FIXED.contains(&name.as_str()) => {
                    some_of(items, value).ok_or_else(|| widening("has what it does not"))?
                }
                own if canonical(own) == canonical(value) => own.clone(),
                _ => return Err(widening("is another one")),
            };
            claims.insert(name.clone(), kept);
        }
        let roles: BTreeSet<&str> = match claims.get(ROLES_CLAIM) {
            Some(Value::Array(roles)) => roles.iter().filter_map(Value::as_str).collect(),
            _ => BTreeSet::new(),
        };
        let roles = self.roles().iter().filter(|role| roles.contains(role.as_str())).cloned().collect();
        Ok(self.with(roles, claims))
    }
}

/// Those of `items` that `given` names, if all it names are there.
fn some_of(items: &[Value], given: &Value) -> Option<Value> {
    let given = given.as_array().map_or(std::slice::from_ref(given), Vec::as_slice);
    // A text of each, because a list may be as long as the request.
    let wanted: BTreeSet<String> = given.iter().map(canonical).collect();
    let own: BTreeSet<String> = items.iter().map(canonical).collect();
    let kept = items.iter().filter(|item| wanted.contains(&canonical(item))).cloned().collect();
    wanted.is_subset(&own).then_some(Value::Array(kept))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::Snapshot;

    fn caller() -> Caller {
        let stored = json!({
            "tenant": "acme", "subject": "ann", "roles": ["admin", "editor"],
            "claims": { "creators": ["c1", "c2", 3], "plan": "gold", "scope": { "a": 1, "b": [2] }, "limit": 5, "none": null },
        });
        serde_json::from_value::<Snapshot>(stored).unwrap().into_caller()
    }

    fn narrow(given: &Value) -> Result<Caller, String> {
        caller().narrowed(given.as_object().unwrap()).map_err(|widening| widening.claim)
    }

    #[test]
    fn what_is_equal_or_less_is_taken() {
        for (given, claim, kept) in [
            (json!({}), "creators", json!(["c1", "c2", 3])),
            (json!({ "creators": ["c2"] }), "creators", json!(["c2"])),
            (json!({ "creators": [3, "c1", "c1"] }), "creators", json!(["c1", 3])),
            (json!({ "creators": "c1" }), "creators", json!(["c1"])),
            (json!({ "creators": [] }), "creators", json!([])),
            (json!({ "plan": "gold", "sub": "ann", "tenant": "acme" }), "plan", json!("gold")),
            (json!({ "scope": { "b": [2], "a": 1 }, "limit": 5, "none": null }), "limit", json!(5)),
            (json!({ "roles": "editor" }), "roles", json!(["editor"])),
        ] {
            assert_eq!(narrow(&given).unwrap().claims()[claim], kept, "{given}");
        }
    }

    #[test]
    fn what_is_more_or_other_is_refused() {
        for (given, claim) in [
            (json!({ "creators": ["c1", "c3"] }), "creators"),
            (json!({ "creators": ["3"] }), "creators"),
            (json!({ "creators": "c3" }), "creators"),
            (json!({ "creators": null }), "creators"),
            (json!({ "creators": [["c1"]] }), "creators"),
            (json!({ "plan": "lead" }), "plan"),
            (json!({ "plan": ["gold"] }), "plan"),
            (json!({ "scope": { "a": 1 } }), "scope"),
            (json!({ "limit": 4 }), "limit"),
            (json!({ "none": [] }), "none"),
            (json!({ "sub": "bob" }), "sub"),
            (json!({ "sub": ["ann"] }), "sub"),
            (json!({ "tenant": "other" }), "tenant"),
            (json!({ "roles": ["owner"] }), "roles"),
            (json!({ "creators": ["c1"], "admin": true }), "admin"),
        ] {
            assert_eq!(narrow(&given).unwrap_err(), claim, "{given}");
        }
    }

    #[test]
    fn roles_go_with_their_claim() {
        let roles = |given: Value| narrow(&given).unwrap().roles().iter().cloned().collect::<Vec<_>>();
        assert_eq!(roles(json!({})), ["admin", "editor"]);
        assert_eq!(roles(json!({ "roles": ["editor"] })), ["editor"]);
        assert!(roles(json!({ "roles": [] })).is_empty());
        assert!(!narrow(&json!({ "roles": ["editor"] })).unwrap().is_admin());
    }
}
