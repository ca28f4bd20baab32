//! Whether a batch makes sense, as far as its text tells: every problem at once.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::graph::Graph;
use super::reference::{Template, collect, contains_reference, has_dollar};
use super::{ReadOptions, SearchOptions, route};
use crate::json::{Object, child, clip};
use crate::limits::{MAX_POINTER, MAX_REFERENCES_PER_OPERATION, MAX_SHOWN, MAX_VIOLATIONS};
use crate::model::query::Condition;
use crate::model::{Entity, Model, ViolationCode};
use crate::operation::{Action, Code, Draft, Failure, Problem};

/// Checks `drafts` against each other and against `model`.
pub fn check(drafts: &[Draft], model: &Model) -> Vec<Problem> {
    let plain: Vec<bool> = drafts.iter().map(is_plain).collect();
    let mut problems = shape(drafts, &plain);
    let circle = problems.iter().position(|problem| problem.code == Code::CircularDependency);
    let circle = circle.map(|at| problems.remove(at));
    for (index, (draft, plain)) in drafts.iter().zip(plain).enumerate() {
        parameters(index, draft, plain, model, &mut problems);
    }
    problems.extend(circle);
    databases(drafts, model, &mut problems);
    problems
}

/// Checks what one operation asks for, apart from the others.
pub fn check_parameters(index: usize, draft: &Draft, model: &Model) -> Vec<Problem> {
    let mut problems = Vec::new();
    parameters(index, draft, is_plain(draft), model, &mut problems);
    problems
}

/// Checks `drafts` against each other: their ids, and what they wait for and refer to.
pub fn check_shape(drafts: &[Draft]) -> Vec<Problem> {
    shape(drafts, &drafts.iter().map(is_plain).collect::<Vec<bool>>())
}

/// Whether no text of its parameters can hold a reference or stand for another: most have no dollar sign, and many values
/// are looked at once rather than for each question.
fn is_plain(draft: &Draft) -> bool {
    let parameters = [&draft.store, &draft.query, &draft.metadata];
    !parameters.into_iter().flat_map(Object::values).any(has_dollar)
}

fn shape(drafts: &[Draft], plain: &[bool]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut by_id: HashMap<&str, usize> = HashMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        if let Some(first) = by_id.get(draft.id.as_str()) {
            let message =
                format!("{} is the id of operation {first} too; an operation without an id gets op_<index>", draft.id);
            problems.push(draft.problem(index, "/id", Code::DuplicateId, message));
        } else {
            by_id.insert(draft.id.as_str(), index);
        }
    }
    let mut edges = Vec::new();
    for (index, (draft, plain)) in drafts.iter().zip(plain).enumerate() {
        dependencies(index, draft, &by_id, &mut edges, &mut problems);
        if !plain {
            references(index, draft, &by_id, &mut edges, &mut problems);
        }
    }
    if let Err(cycle) = Graph::new(drafts.len(), edges).order() {
        let first = cycle.path.first().copied().unwrap_or(0);
        let path: Vec<&str> = cycle.path.iter().filter_map(|index| Some(drafts.get(*index)?.id.as_str())).collect();
        if let Some(draft) = drafts.get(first) {
            let message = format!("operations wait for each other in a circle: {}", path.join(" -> "));
            problems.push(draft.problem(first, "/depends_on", Code::CircularDependency, message));
        }
    }
    problems
}

fn dependencies(
    index: usize,
    draft: &Draft,
    by_id: &HashMap<&str, usize>,
    edges: &mut Vec<(usize, usize)>,
    problems: &mut Vec<Problem>,
) {
    for (place, id) in &draft.depends_on {
        let pointer = format!("/depends_on/{place}");
        match by_id.get(id.as_str()) {
            None => {
                let message = format!("depends on {:?}, which is no operation of this batch", shorten(id));
                problems.push(draft.problem(index, &pointer, Code::UnknownDependency, message));
            }
            Some(other) if *other == index => {
                problems.push(draft.problem(index, &pointer, Code::SelfDependency, format!("{id} depends on itself")));
            }
            Some(other) => edges.push((*other, index)),
        }
    }
}

fn references(
    index: usize,
    draft: &Draft,
    by_id: &HashMap<&str, usize>,
    edges: &mut Vec<(usize, usize)>,
    problems: &mut Vec<Problem>,
) {
    let mut count = 0;
    for (name, fields) in
        [("store_params", &draft.store), ("query_params", &draft.query), ("metadata_params", &draft.metadata)]
    {
        for (field, value) in fields {
            // As much as is told: a name may be as long as a body, and have many references below it.
            let at = clip(&child(&format!("/{name}"), field), MAX_POINTER);
            let found = match collect(value) {
                Ok(found) => found,
                Err(malformed) => {
                    problems.extend(malformed.into_iter().map(|malformed| {
                        let pointer = format!("{at}{}", malformed.pointer);
                        draft.problem(index, &pointer, Code::MalformedReference, malformed.to_string())
                    }));
                    continue;
                }
            };
            count += found.len();
            for reference in found {
                let pointer = format!("{at}{}", reference.pointer);
                match by_id.get(reference.operation.as_str()) {
                    None => {
                        let message =
                            format!("refers to {:?}, which is no operation of this batch", reference.operation);
                        problems.push(draft.problem(index, &pointer, Code::UnknownReference, message));
                    }
                    Some(other) if *other == index => {
                        let message = format!("{} refers to its own result", draft.id);
                        problems.push(draft.problem(index, &pointer, Code::SelfDependency, message));
                    }
                    Some(other) => edges.push((*other, index)),
                }
            }
        }
    }
    if count > MAX_REFERENCES_PER_OPERATION {
        let message = format!("holds {count} references; {MAX_REFERENCES_PER_OPERATION} is the most for one operation");
        problems.push(draft.problem(index, "", Code::MalformedReference, message));
    }
}

fn parameters(index: usize, draft: &Draft, plain: bool, model: &Model, problems: &mut Vec<Problem>) {
    let Some(name) = draft.entity.as_deref() else { return };
    if name == "batch" {
        let message = "a batch cannot hold a batch; put its operations into this one";
        problems.push(draft.problem(index, "/entity", Code::NestedBatch, message));
        return;
    }
    let Some(entity) = model.entity(name) else {
        let known: Vec<&str> = model.entities().map(|entity| entity.name.as_str()).collect();
        let message = format!("there is no entity {:?}; there are {}", shorten(name), known.join(", "));
        problems.push(draft.problem(index, "/entity", Code::UnknownEntity, message));
        return;
    };
    let Some(action) = draft.action else { return };
    if action == Action::Search {
        search(index, draft, entity, problems);
        return;
    }
    if !entity.actions.contains(&action) {
        let known: Vec<&str> = entity.actions.iter().map(|action| action.as_str()).collect();
        let message =
            format!("{name} takes no {} in a batch of operations, only {}", action.as_str(), known.join(", "));
        problems.push(draft.problem(index, "/action", Code::NotSupported, message));
    }
    match action {
        Action::Create | Action::Update => {
            if action == Action::Update && draft.store.is_empty() {
                let message = "store_params must hold at least one field to change";
                problems.push(draft.problem(index, "/store_params", Code::Required, message));
            }
            let store = if plain { Cow::Borrowed(&draft.store) } else { unescaped(&draft.store) };
            let open = |field: &str| !plain && is_open(&draft.store, field);
            let violations = if action == Action::Create {
                entity.check_new(&store, open)
            } else {
                entity.check_change(&store, open)
            };
            problems.extend(violations.into_iter().map(|violation| {
                let pointer = format!("/store_params{}", violation.pointer);
                draft.problem(index, &pointer, violation.code.into(), violation.message)
            }));
        }
        Action::Read | Action::Delete | Action::Search => {}
    }
    let conditions = if action == Action::Create { Vec::new() } else { conditions(index, draft, entity, problems) };
    match action {
        Action::Update | Action::Delete => primary_key(index, draft, entity, &conditions, problems),
        Action::Read => read(index, draft, model, entity, &conditions, problems),
        Action::Create | Action::Search => {}
    }
}

fn search(index: usize, draft: &Draft, entity: &Entity, problems: &mut Vec<Problem>) {
    if !entity.searched {
        let message = format!("{} is not searched", entity.name);
        problems.push(draft.problem(index, "/entity", Code::NotSupported, message));
    } else if !draft.metadata.values().any(contains_reference)
        && let Err(failure) = SearchOptions::parse(&unescaped(&draft.metadata))
    {
        let pointer = failure.pointer.unwrap_or_default();
        problems.push(draft.problem(index, &pointer, failure.code, failure.message));
    }
}

/// The conditions whose values are known; the others are checked when they are.
fn conditions(index: usize, draft: &Draft, entity: &Entity, problems: &mut Vec<Problem>) -> Vec<Condition> {
    let mut conditions = Vec::new();
    let query = unescaped(&draft.query);
    for (name, value) in query.iter().take(MAX_VIOLATIONS) {
        let pointer = child("/query_params", name);
        let Some(field) = entity.field(name) else {
            let message = format!("{} has no field {:?}", entity.name, shorten(name));
            problems.push(draft.problem(index, &pointer, Code::UnknownField, message));
            continue;
        };
        if is_open(&draft.query, name) {
            continue;
        }
        match Condition::parse(field, value, false) {
            Ok(condition) => conditions.push(condition),
            Err(reason) => problems.push(draft.problem(index, &pointer, Code::InvalidValue, reason)),
        }
    }
    conditions
}

fn primary_key(index: usize, draft: &Draft, entity: &Entity, conditions: &[Condition], problems: &mut Vec<Problem>) {
    let field = &entity.primary_key.field;
    let named = conditions.iter().any(|condition| condition.field == *field && condition.equal_to().is_some());
    let refused = draft.query.contains_key(field) && !conditions.iter().any(|condition| condition.field == *field);
    if !named && !refused {
        let message = format!("query_params must name {field}, the primary key of {}, by equality", entity.name);
        problems.push(draft.problem(index, "/query_params", Code::PrimaryKeyRequired, message));
    }
}

fn read(index: usize, draft: &Draft, model: &Model, entity: &Entity, known: &[Condition], problems: &mut Vec<Problem>) {
    let place = |failure: Failure| {
        let pointer = failure.pointer.unwrap_or_default();
        draft.problem(index, &pointer, failure.code, failure.message)
    };
    if draft.metadata.values().any(contains_reference) {
        return;
    }
    match ReadOptions::parse(model, entity, &unescaped(&draft.metadata)) {
        Err(failure) => problems.push(place(failure)),
        // With a condition still open the read may be by key or index after all.
        Ok(options) if known.len() == draft.query.len() => {
            if let Err(failure) = route(entity, known, options.limit.is_some()) {
                problems.push(place(failure));
            }
        }
        Ok(_) => {}
    }
}

/// All entities of a batch must live in one database, or there could be no all-or-nothing.
fn databases(drafts: &[Draft], model: &Model, problems: &mut Vec<Problem>) {
    let mut first: BTreeMap<Option<&str>, (usize, &Draft)> = BTreeMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        if let Some(entity) = draft.entity.as_deref().and_then(|name| model.entity(name)) {
            first.entry(entity.database.as_deref()).or_insert((index, draft));
        }
    }
    if first.len() > 1 {
        let names: Vec<&str> = first.keys().map(|name| name.unwrap_or("the default one")).collect();
        let message = format!("the batch spans several databases: {}", names.join(", "));
        if let Some((index, draft)) = first.values().max_by_key(|(index, _)| *index) {
            problems.push(draft.problem(*index, "/entity", Code::CrossDatabase, message));
        }
    }
}

/// Whether the value of `field` is known only when the batch runs.
fn is_open(fields: &Object, field: &str) -> bool {
    fields.get(field).is_some_and(contains_reference)
}

/// `fields` with `$$ref:` read as the text it stands for, where a value holds no reference.
pub(super) fn unescaped(fields: &Object) -> Cow<'_, Object> {
    if fields.values().any(is_escaped) { Cow::Owned(fields_unescaped(fields)) } else { Cow::Borrowed(fields) }
}

/// Whether some text may not stand for itself.
fn is_escaped(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("ref:"),
        Value::Array(items) => items.iter().any(is_escaped),
        Value::Object(fields) => fields.values().any(is_escaped),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn fields_unescaped(fields: &Object) -> Object {
    fields.iter().map(|(name, value)| (name.clone(), unescape(value))).collect()
}

fn unescape(value: &Value) -> Value {
    match value {
        Value::String(text) if is_escaped(value) => match Template::parse(text) {
            Ok(template) if template.is_literal() => Value::String(template.text()),
            _ => value.clone(),
        },
        Value::Array(items) => Value::Array(items.iter().map(unescape).collect()),
        Value::Object(fields) => Value::Object(fields_unescaped(fields)),
        _ => value.clone(),
    }
}

/// Enough of a client's text for a message.
fn shorten(text: &str) -> String {
    clip(text, MAX_SHOWN)
}

impl From<ViolationCode> for Code {
    fn from(code: ViolationCode) -> Self {
        match code {
            ViolationCode::UnknownField => Self::UnknownField,
            ViolationCode::Required => Self::Required,
            ViolationCode::InvalidValue => Self::InvalidValue,
            ViolationCode::ReadOnly => Self::ReadOnly,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::dialect::records;
    use crate::model::Model;
    use crate::operation::Code;

    #[test]
    fn a_reference_is_seen_wherever_it_stands() {
        for parameters in ["store_params", "query_params", "metadata_params"] {
            for value in
                [json!("$ref:none.id"), json!([1, ["${ref:none.id}!"]]), json!({ "a": [{ "b": "$ref:none.id" }] })]
            {
                let operation = json!({ "entity": "thing", "action": "read", parameters: { "x": 1, "y": value } });
                let request = records::parse(json!({ "operations": [operation] }));
                let problems = super::check_shape(&request.drafts);
                let codes: Vec<Code> = problems.iter().map(|problem| problem.code).collect();
                assert_eq!(codes, [Code::UnknownReference], "{parameters} {value}");
            }
        }
    }

    #[test]
    fn a_text_is_checked_as_it_will_stand() {
        let schema = "properties: {id: {type: integer, x-af-primary-key: auto}, a: {type: string, maxLength: 6}}";
        let yaml = format!("components: {{schemas: {{thing: {{type: object, {schema}}}}}}}");
        let model = Model::from_yaml(&yaml).unwrap_or_else(|problems| panic!("{problems:?}"));
        for (text, problems) in [("$$ref:x", 0), ("$$ref:xy", 1), ("1234567", 1), ("$$123", 0)] {
            let operation = json!({ "entity": "thing", "action": "create", "store_params": { "a": text } });
            let request = records::parse(json!({ "operations": [operation] }));
            assert_eq!(super::check(&request.drafts, &model).len(), problems, "{text}");
        }
    }
}
