//! The keywords that a model file may use, and what is near to a misspelt one.

use std::fmt::Display;

use super::error::{Problems, distance, hint};
use super::yaml::Entry;

pub(super) const DATABASE: &str = "x-af-database";
pub(super) const PRIMARY_KEY: &str = "x-af-primary-key";
pub(super) const VERSION: &str = "x-af-concurrency-control";
pub(super) const SOFT_DELETE: &str = "x-af-soft-delete";
pub(super) const PARENT: &str = "x-af-parent-property";
pub(super) const CHILD: &str = "x-af-child-property";
pub(super) const PERMISSIONS: &str = "x-af-permissions";
pub(super) const ACTIONS: &str = "x-actions";
pub(super) const UNIQUE: &str = "x-unique";
pub(super) const INDEX: &str = "x-index";
pub(super) const REFERENCES: &str = "x-references";
pub(super) const INJECT: &str = "x-inject";
pub(super) const INJECT_ON: &str = "x-inject-on";
pub(super) const CREATE_ONLY: &str = "x-create-only";
pub(super) const SEARCH: &str = "x-search";
pub(super) const KEY_PREFIX: &str = "x-key-prefix";
pub(super) const READ_ONLY: &str = "readOnly";
pub(super) const REF: &str = "$ref";

/// Annotations of an entity.
pub(super) const OF_ENTITY: &[&str] = &[DATABASE, VERSION, PERMISSIONS, ACTIONS, SEARCH];

/// Annotations of a property.
pub(super) const OF_PROPERTY: &[&str] =
    &[PRIMARY_KEY, KEY_PREFIX, SOFT_DELETE, PARENT, CHILD, UNIQUE, INDEX, REFERENCES, INJECT, INJECT_ON, CREATE_ONLY];

/// Keywords that say something to people only.
pub(super) const DESCRIPTIVE: &[&str] = &["title", "description", "example", "examples", "deprecated", "externalDocs"];

/// Keywords of an entity's schema.
pub(super) const ENTITY_SCHEMA: &[&str] = &["type", "properties", "required", "additionalProperties"];

/// Keywords that compare numbers; they are checked exactly, beside the schema library.
pub(super) const NUMERIC: &[&str] = &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];

/// The other keywords of a value's schema.
pub(super) const VALUE_SCHEMA: &[&str] = &[
    REF,
    READ_ONLY,
    "type",
    "nullable",
    "format",
    "enum",
    "const",
    "minLength",
    "maxLength",
    "pattern",
    "items",
    "minItems",
    "maxItems",
    "uniqueItems",
    "properties",
    "required",
    "additionalProperties",
    "minProperties",
    "maxProperties",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
];

/// The JSON types.
pub(super) const TYPES: &[&str] = &["string", "integer", "number", "boolean", "array", "object", "null"];

/// Formats that are hints for clients.
pub(super) const HINTED_FORMATS: &[&str] = &["float", "double", "decimal", "password", "byte", "binary"];

/// Tells keywords that are misspelt, unknown or in a place where they mean nothing.
///
/// Other people's `x-` extensions are let be, unless they are within two edits of one of ours.
pub(super) fn check_keywords(entries: &[Entry], known: &[&[&str]], path: impl Display, problems: &mut Problems) {
    for Entry { key, line, .. } in entries {
        if known.iter().any(|set| set.contains(&key.as_ref())) {
            continue;
        }
        let ours = || OF_ENTITY.iter().chain(OF_PROPERTY).copied();
        if ours().any(|name| name == key) {
            problems.add(*line, &path, format!("{key} does not belong here"));
        } else if key.starts_with("x-af-") {
            let nearest = ours().min_by_key(|name| distance(name, key)).unwrap_or_default();
            problems.add(*line, &path, format!("unknown annotation {key:?}; did you mean {nearest:?}?"));
        } else if let Some(nearest) = ours().find(|name| distance(name, key) <= 2) {
            problems.add(*line, &path, format!("unknown annotation {key:?}; did you mean {nearest:?}?"));
        } else if !key.starts_with("x-") {
            let hint = hint(key, known.iter().flat_map(|set| set.iter().copied()));
            problems.add(*line, &path, format!("keyword {key:?} is not supported here{hint}"));
        }
    }
}
