//! The entities that records belong to, read from `model.yaml`.
//!
//! - [`Model::from_yaml`] reads the file; a wrong one is told with all its problems. [`Model::shipped`] reads what the build
//!   script made of it.
//! - [`entity`]: what an entity is: fields, keys, relations.
//! - [`check`]: whether a row or a change of one fits its entity.
//! - [`permission`]: who may do what with which rows and fields.
//! - [`query`], [`projection`], [`sort`]: `query_params` and `metadata_params` against rows.
//!
//! Values are checked by the rules of their JSON Schema, numbers exactly ([`rules`]).
//! Everything here is pure; text that holds a reference is told apart by the caller.

mod annotation;
pub mod check;
pub mod entity;
pub(crate) mod error;
mod formats;
mod glob;
mod links;
mod load;
pub mod permission;
pub mod projection;
mod property;
pub mod query;
mod rules;
mod shape;
pub mod sort;
pub(crate) mod yaml;

use std::borrow::Cow;

pub use check::{Violation, ViolationCode};
pub use entity::{
    Entity, Field, Inject, InjectSource, KeyKind, Kind, PrimaryKey, Reference, Relation, RelationKind, SoftDelete,
    SoftDeleteKind,
};
pub use error::ModelError;

/// All entities, in the order of the file.
#[derive(Debug)]
pub struct Model {
    entities: Vec<Entity>,
}

impl Model {
    /// Reads the `components.schemas` of an `OpenAPI` document.
    ///
    /// A schema is an entity unless it is not of type `object`, or a property uses it as the form of its
    /// value (`$ref` without `x-af-parent-property` or `x-af-child-property`).
    ///
    /// # Errors
    /// Every problem of the file with its line, in the order of lines.
    pub fn from_yaml(text: &str) -> Result<Self, Vec<ModelError>> {
        load::load(text).map(|entities| Self { entities })
    }

    /// The entity of that name.
    #[must_use]
    pub fn entity(&self, name: &str) -> Option<&Entity> {
        self.entities.iter().find(|entity| entity.name == name)
    }

    /// The entity whose rows are found by full-text search, if one is.
    #[must_use]
    pub fn searched(&self) -> Option<&Entity> {
        self.entities.iter().find(|entity| entity.searched)
    }

    /// The entities in the order of the file.
    pub fn entities(&self) -> impl Iterator<Item = &Entity> {
        self.entities.iter()
    }
}

/// `model.yaml` at the root of the workspace.
static SHIPPED: yaml::Node = include!(concat!(env!("OUT_DIR"), "/model.rs"));

/// Every problem of a model, one a line.
#[derive(Debug)]
pub struct ModelErrors(pub Vec<ModelError>);

impl std::fmt::Display for ModelErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ModelErrors {}

impl Model {
    /// The model in `model.yaml` at the root of the workspace, compiled in.
    ///
    /// # Errors
    /// Every problem of the file, which stops the start.
    pub fn shipped() -> Result<Self, ModelErrors> {
        let entities = load::load_root(&SHIPPED, error::Problems::default());
        entities.map(|entities| Self { entities }).map_err(ModelErrors)
    }
}
