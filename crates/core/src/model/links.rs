//! What one entity says of another, checked once all are known.

use super::entity::{Entity, Kind};
use super::error::{Problems, hint};
use super::load::Draft;

/// A claim about another entity, where the file makes it.
pub(super) struct Link {
    pub(super) line: usize,
    pub(super) path: String,
    /// The entity it is about.
    pub(super) entity: String,
    pub(super) claim: Claim,
}

pub(super) enum Claim {
    /// A field of the kind holds the primary key `field` of the entity.
    References { field: String, kind: Kind },
    /// `local_field` of the owner holds the entity's primary key.
    Parent { local_field: String },
    /// `child_field` of the entity holds the owner's primary key and is indexed.
    Child { child_field: String },
}

/// Checks every link and marks the entities that are referenced.
pub(super) fn check(drafts: &mut [Draft], problems: &mut Problems) {
    let mut referenced = Vec::new();
    for draft in drafts.iter() {
        for link in &draft.links {
            let target = drafts.iter().map(|draft| &draft.entity).find(|entity| entity.name == link.entity);
            let names = drafts.iter().map(|draft| draft.entity.name.as_str());
            let outcome = target
                .ok_or_else(|| format!("there is no entity {:?}{}", link.entity, hint(&link.entity, names)))
                .and_then(|target| check_claim(&draft.entity, target, &link.claim));
            match outcome {
                Ok(()) if matches!(link.claim, Claim::References { .. }) => referenced.push(link.entity.clone()),
                Ok(()) => {}
                Err(reason) => problems.add(link.line, &link.path, reason),
            }
        }
    }
    for draft in drafts {
        draft.entity.is_referenced = referenced.contains(&draft.entity.name);
    }
}

fn check_claim(owner: &Entity, target: &Entity, claim: &Claim) -> Result<(), String> {
    match claim {
        Claim::References { field, kind } => {
            if *field != target.primary_key.field {
                return Err(format!(
                    "x-references must name the primary key, {}.{}",
                    target.name, target.primary_key.field
                ));
            }
            agree(*kind, key_kind(target), &target.name)
        }
        Claim::Parent { local_field } => {
            let field = owner.field(local_field).ok_or_else(|| no_field(owner, local_field))?;
            agree(field.kind, key_kind(target), &target.name)
        }
        Claim::Child { child_field } => {
            let field = target.field(child_field).ok_or_else(|| no_field(target, child_field))?;
            if field.index.is_none() {
                return Err(format!(
                    "{}.{child_field} needs x-index: true, or its rows could not be found",
                    target.name
                ));
            }
            agree(field.kind, key_kind(owner), &owner.name)
        }
    }
}

fn key_kind(entity: &Entity) -> Kind {
    if entity.primary_key.integer { Kind::Integer } else { Kind::String }
}

fn agree(kind: Kind, key: Kind, entity: &str) -> Result<(), String> {
    if kind == key {
        return Ok(());
    }
    Err(format!("the types differ: {} here, {} is the key of {entity}", kind.as_str(), key.as_str()))
}

fn no_field(entity: &Entity, name: &str) -> String {
    let hint = hint(name, entity.fields().iter().map(|field| field.name.as_str()));
    format!("{} has no field {name:?}{hint}", entity.name)
}
