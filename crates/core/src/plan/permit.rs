//! What is certain of an operation's permission before any row is read.

use serde_json::Value;

use super::check::unescaped;
use super::read::ReadOptions;
use super::reference::contains_reference;
use crate::auth::Caller;
use crate::json::{Object, child, clip, number};
use crate::limits::MAX_SHOWN;
use crate::model::permission::{Access, Mask, Right};
use crate::model::sort::Sort;
use crate::model::{Entity, Field, InjectSource, Model, RelationKind};
use crate::operation::{Action, Code, Draft, Failure};

/// Whether the callers may do an operation, as far as its text tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// They may, whatever the rows are.
    Allowed,
    /// They may not, whatever the rows are.
    Denied(Failure),
    /// The rows decide.
    ByRow,
}

impl Verdict {
    /// The word on the wire.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied(_) => "denied",
            Self::ByRow => "by_row",
        }
    }
}

/// A field that an operation looks at, and where it names it.
#[derive(Debug, Clone)]
pub struct Named<'a> {
    /// Whose field.
    pub entity: &'a Entity,
    /// Its name.
    pub field: String,
    /// JSON pointer into the operation.
    pub at: String,
}

/// The failure of whoever asks for more than the rules grant.
pub fn forbidden(message: impl Into<String>) -> Failure {
    Failure::new(Code::Forbidden, message)
}

/// The callers of an operation: the batch's, and where the operation narrows its claims that one too, as the last.
pub fn narrowed(caller: &Caller, claims: &Object) -> Result<Option<Caller>, Failure> {
    if claims.is_empty() {
        return Ok(None);
    }
    let narrowed = caller.narrowed(claims).map(Some);
    narrowed.map_err(|widening| forbidden(widening.to_string()).at(child("/claims", &widening.claim)))
}

/// The fields that `names` of `query_params` look at. In a change the primary key only says which row.
pub fn named_by_conditions<'a, 'n>(
    entity: &'a Entity,
    names: impl Iterator<Item = &'n str>,
    addresses: bool,
) -> Vec<Named<'a>> {
    let key = entity.primary_key.field.as_str();
    let looked_at = names.filter(|name| entity.field(name).is_some() && !(addresses && *name == key));
    looked_at.map(|name| Named { entity, field: name.to_owned(), at: child("/query_params", name) }).collect()
}

/// The fields that `options` name: to sort by, to return, and both ends of each relation.
pub fn named_by_options<'a>(model: &'a Model, entity: &'a Entity, options: &ReadOptions) -> Vec<Named<'a>> {
    let mut named = Vec::new();
    let mut add = |entity: &'a Entity, field: &str, option: &str| {
        named.push(Named { entity, field: field.to_owned(), at: child("/metadata_params", option) });
    };
    for key in options.sort.iter().flat_map(Sort::keys) {
        add(entity, &key.field, "sort");
    }
    let Some(projection) = &options.projection else { return named };
    for field in projection.names() {
        add(entity, &field, "properties");
    }
    for expansion in projection.relations() {
        let Some(kind) = entity.relation(&expansion.relation).map(|relation| &relation.kind) else { continue };
        let Some(other) = model.entity(kind.entity()) else { continue };
        let (near, far) = match kind {
            RelationKind::Parent { local_field, .. } => (local_field, &other.primary_key.field),
            RelationKind::Child { child_field, .. } => (&entity.primary_key.field, child_field),
        };
        add(entity, near, "properties");
        add(other, far, "properties");
        for field in expansion.projection.names() {
            add(other, &field, "properties");
        }
    }
    named
}

/// Refuses what looks at a field that `callers` can read of no row: what it answers would tell of it.
pub fn check_named(callers: &[&Caller], named: &[Named<'_>]) -> Result<(), Failure> {
    let hidden = named
        .iter()
        .find(|named| !Access::new(named.entity, callers).ever(Right::Read).has(named.entity, &named.field));
    match hidden {
        None => Ok(()),
        Some(Named { entity, field, at }) => Err(may_not_read(entity, field).at(at)),
    }
}

/// What is certain of the operation `draft`; `None` of one that makes no sense.
pub fn verdict(model: &Model, caller: &Caller, draft: &Draft) -> Option<Verdict> {
    let (entity, action) = (model.entity(draft.entity.as_deref()?)?, draft.action?);
    let narrowed = match narrowed(caller, &draft.claims) {
        Ok(narrowed) => narrowed,
        Err(failure) => return Some(Verdict::Denied(failure)),
    };
    let callers: Vec<&Caller> = [caller].into_iter().chain(&narrowed).collect();
    let access = Access::new(entity, &callers);
    let denied = match action {
        Action::Create => return Some(create(&access, &callers, draft)),
        Action::Search if !access.sees_all() => Some(may_not("search all of", entity)),
        Action::Read | Action::Search => None,
        Action::Update => denied_update(&access, draft).err(),
        Action::Delete if access.ever(Right::Delete).is_empty() => Some(may_not("delete", entity)),
        Action::Delete => None,
    };
    let fields = draft.query.keys().map(String::as_str);
    let mut named = named_by_conditions(entity, fields, action != Action::Read);
    let mut certain = true;
    if action == Action::Read {
        let open = draft.metadata.values().any(contains_reference);
        let options = ReadOptions::parse(model, entity, &unescaped(&draft.metadata)).ok().filter(|_| !open);
        certain = options.is_some() || access.is_open();
        named.extend(options.iter().flat_map(|options| named_by_options(model, entity, options)));
    }
    let denied = denied.or_else(|| check_named(&callers, &named).err());
    if let Some(failure) = denied.or_else(|| check_some(&access, Right::Read, "read").err()) {
        return Some(Verdict::Denied(failure));
    }
    let shown =
        |named: &Named<'_>| Access::new(named.entity, &callers).always(Right::Read).has(named.entity, &named.field);
    certain &= named.iter().all(shown) && !access.always(Right::Read).is_empty();
    certain &= match action {
        Action::Update => {
            let always = access.always(Right::Write);
            !always.is_empty() && given(entity, draft).all(|field| always.has(entity, field))
        }
        Action::Delete => !access.always(Right::Delete).is_empty(),
        Action::Create | Action::Read | Action::Search => true,
    };
    Some(if certain { Verdict::Allowed } else { Verdict::ByRow })
}

/// Refuses those who are granted nothing of any row.
pub fn check_some(access: &Access<'_>, right: Right, verb: &str) -> Result<(), Failure> {
    if access.ever(right).is_empty() { Err(may_not(verb, access.entity())) } else { Ok(()) }
}

/// Refuses values for fields that may be written in no row.
pub fn check_given<'n>(access: &Access<'_>, given: impl Iterator<Item = &'n str>) -> Result<(), Failure> {
    check_some(access, Right::Write, "write")?;
    let (entity, ever) = (access.entity(), access.ever(Right::Write));
    match given.into_iter().find(|field| !ever.has(entity, field)) {
        None => Ok(()),
        Some(field) => Err(may_not_write(entity, field)),
    }
}

/// The failure of a value for a field that is not granted.
pub fn may_not_write(entity: &Entity, field: &str) -> Failure {
    let message = format!("you may not write {} of this {}", clip(field, MAX_SHOWN), entity.name);
    forbidden(message).at(child("/store_params", field))
}

fn may_not_read(entity: &Entity, field: &str) -> Failure {
    forbidden(format!("you may not read {field} of {}", entity.name))
}

fn may_not(verb: &str, entity: &Entity) -> Failure {
    forbidden(format!("you may not {verb} any {}", entity.name))
}

/// The fields that must be writable: not the key, which addresses, and in an update not the version that is expected.
fn given<'a>(entity: &'a Entity, draft: &'a Draft) -> impl Iterator<Item = &'a str> {
    let exempt = |name: &&str| entity.field(name).is_none_or(|field| entity.is_key(field) || entity.is_version(field));
    draft.store.keys().map(String::as_str).filter(move |name| !exempt(name))
}

fn denied_update(access: &Access<'_>, draft: &Draft) -> Result<(), Failure> {
    let entity = access.entity();
    check_given(access, given(entity, draft))?;
    let expected = entity.version_field.as_deref().filter(|version| draft.store.contains_key(*version));
    match expected.filter(|version| !access.ever(Right::Read).has(entity, version)) {
        None => Ok(()),
        Some(version) => Err(may_not_read(entity, version).at(child("/store_params", version))),
    }
}

/// A new row is known as far as its values are.
fn create(access: &Access<'_>, callers: &[&Caller], draft: &Draft) -> Verdict {
    let entity = access.entity();
    if let Err(failure) = check_given(access, given(entity, draft)) {
        return Verdict::Denied(failure);
    }
    let mut known = unescaped(&draft.store).into_owned();
    known.retain(|_, value| !contains_reference(value));
    let claims = callers.last().map(|caller| caller.claims());
    for field in entity.fields() {
        if let Some(InjectSource::Claim(name)) = field.inject.as_ref().map(|inject| &inject.source) {
            let value = claims.and_then(|claims| claims.get(name)).cloned().unwrap_or(Value::Null);
            known.insert(field.name.clone(), value);
        }
    }
    known.extend(entity.version_field.iter().map(|version| (version.clone(), number("1"))));
    let open = |name: &str| {
        let server_set = |field: &Field| entity.is_key(field) || field.inject.is_some();
        draft.store.get(name).is_some_and(contains_reference)
            || (!known.contains_key(name) && entity.field(name).is_some_and(server_set))
    };
    let (certain, possible) = access.creatable(&known, open);
    let all = |mask: &Mask| !mask.is_empty() && given(entity, draft).all(|field| mask.has(entity, field));
    if all(&certain) {
        return Verdict::Allowed;
    }
    if all(&possible) {
        return Verdict::ByRow;
    }
    let field = given(entity, draft).find(|field| !possible.has(entity, field));
    Verdict::Denied(match field.filter(|_| !possible.is_empty()) {
        Some(field) => may_not_write(entity, field),
        None => forbidden(format!("you may not create this {}", entity.name)),
    })
}
