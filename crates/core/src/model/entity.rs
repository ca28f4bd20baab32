//! What an entity is: its fields, keys and relations.

use super::permission::Permissions;
use super::rules::Rules;
use crate::operation::Action;

/// A kind of record, with the rules for its rows.
#[derive(Debug)]
pub struct Entity {
    /// As in `entity` of an operation.
    pub name: String,
    /// `x-af-database`: operations of one batch must agree in it.
    pub database: Option<String>,
    /// What identifies a row.
    pub primary_key: PrimaryKey,
    /// The field of `x-af-concurrency-control`: 1 at creation, one more at every write.
    pub version_field: Option<String>,
    /// How a deletion is marked, where rows are kept.
    pub soft_delete: Option<SoftDelete>,
    /// Properties that are loaded from other entities on demand; they are no fields.
    pub relations: Vec<Relation>,
    /// Whether a field of some entity, this one included, references this one.
    pub is_referenced: bool,
    /// What operations of clients may do with its rows; the rest is for the service's own.
    pub actions: Vec<Action>,
    /// Whether its rows are found by full-text search: each has a search row, written with it.
    pub searched: bool,
    /// Who may do what; without rules every caller of the tenant may do everything.
    pub permissions: Option<Permissions>,
    pub(super) fields: Vec<Field>,
}

/// A stored property of an entity.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent annotations, each named as in the file")]
pub struct Field {
    /// As in `store_params`.
    pub name: String,
    /// The JSON type of its values.
    pub kind: Kind,
    /// The JSON types that [`Kind::Mixed`] stands for; otherwise `kind` alone. Empty means any type.
    pub types: Vec<Kind>,
    /// `format`, such as `date-time` (RFC 3339, where the offset may be left out), `date`, `email`, `uuid`.
    pub format: Option<String>,
    /// Whether null is a value of it.
    pub nullable: bool,
    /// Whether a client must give it at creation: what the server sets never is required, a manual key always.
    pub required: bool,
    /// No two rows have the same value; null is not a value here.
    pub unique: bool,
    /// The index slot, 1 to 4.
    pub index: Option<u8>,
    /// The row that must exist.
    pub references: Option<Reference>,
    /// The server sets it, and no one else.
    pub inject: Option<Inject>,
    /// `readOnly`, or the field of a soft deletion: never given by a client.
    pub read_only: bool,
    /// Given at creation, not changed by an update.
    pub create_only: bool,
    pub(super) rules: Rules,
}

/// The JSON type of a field's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    String,
    /// A whole number; `1.0` is one.
    Integer,
    /// An exact decimal.
    Number,
    /// True or false.
    Boolean,
    /// A list.
    Array,
    /// A map.
    Object,
    /// Several of these, or any.
    Mixed,
}

impl Kind {
    /// Whether values can be keys, unique or indexed.
    #[must_use]
    pub fn is_scalar(self) -> bool {
        matches!(self, Self::String | Self::Integer | Self::Number | Self::Boolean)
    }

    /// The name in JSON Schema; `mixed` for several.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Array => "array",
            Self::Object => "object",
            Self::Mixed => "mixed",
        }
    }
}

/// The field that identifies a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrimaryKey {
    /// Its name.
    pub field: String,
    /// Who chooses it.
    pub kind: KeyKind,
    /// An integer; otherwise a string.
    pub integer: bool,
    /// What a key that the server chooses begins with, before 32 hex digits; `None` for a UUID as such.
    pub prefix: Option<String>,
}

/// Who chooses a primary key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// The server; a client may not.
    Auto,
    /// The client, or else the server with a UUID.
    Uuid,
    /// The client.
    Manual,
}

/// How a deleted row is marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoftDelete {
    /// The field that marks it; absent or null in a living row.
    pub field: String,
    /// What is written there.
    pub kind: SoftDeleteKind,
}

/// The mark of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SoftDeleteKind {
    /// The time of the deletion.
    Timestamp,
    /// `true`.
    Boolean,
}

/// Rows of another entity that belong to a row of this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// As in `properties`, before the colon.
    pub name: String,
    /// One row or a list.
    pub kind: RelationKind,
}

/// Which way a relation goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelationKind {
    /// One row: that of `entity` whose primary key is in `local_field` here.
    Parent {
        /// Where the row is.
        entity: String,
        /// The field here that holds its key.
        local_field: String,
    },
    /// A list: the rows of `entity` whose `child_field` holds this row's primary key.
    Child {
        /// Where the rows are.
        entity: String,
        /// The field there that holds this row's key; it is indexed.
        child_field: String,
    },
}

impl RelationKind {
    /// The entity at the other end.
    #[must_use]
    pub fn entity(&self) -> &str {
        match self {
            Self::Parent { entity, .. } | Self::Child { entity, .. } => entity,
        }
    }
}

/// A primary key that a field's value must be found in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The referenced entity.
    pub entity: String,
    /// Its primary key.
    pub field: String,
}

/// A value set by the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inject {
    /// Where it comes from.
    pub source: InjectSource,
    /// Set at every write, not at creation only.
    pub on_write: bool,
}

/// Where an injected value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InjectSource {
    /// The caller's claim of that name.
    Claim(String),
    /// A new UUID.
    Uuid,
    /// The time, RFC 3339 UTC with milliseconds.
    Timestamp,
}

impl Field {
    /// Whether no client may give it, at creation or later. The primary key and the version are told apart
    /// by [`Entity::is_key`] and [`Entity::is_version`].
    #[must_use]
    pub fn is_server_set(&self) -> bool {
        self.read_only || self.inject.is_some()
    }
}

impl Entity {
    /// The fields in the order of the file, the primary key among them.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The field of that name; a relation is none.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The relation of that name.
    #[must_use]
    pub fn relation(&self, name: &str) -> Option<&Relation> {
        self.relations.iter().find(|relation| relation.name == name)
    }

    /// Whether the field is the primary key.
    #[must_use]
    pub fn is_key(&self, field: &Field) -> bool {
        self.primary_key.field == field.name
    }

    /// Whether the field counts the row's versions.
    #[must_use]
    pub fn is_version(&self, field: &Field) -> bool {
        self.version_field.as_deref() == Some(field.name.as_str())
    }
}
