//! The test's model, twice: as the service reads it, and as the interpreter knows it.

/// For the service.
pub const YAML: &str = "
components:
  schemas:
    node:
      type: object
      x-af-concurrency-control: version
      properties:
        node_id: {type: string, minLength: 1, maxLength: 40, x-af-primary-key: manual}
        label: {type: string, maxLength: 120, nullable: true, x-unique: true}
        rank: {type: integer, nullable: true, x-index: true}
        parent_id: {type: string, maxLength: 40, nullable: true, x-references: node.node_id, x-index: true}
        origin: {type: string, maxLength: 120, x-create-only: true}
        made_at: {type: string, format: date-time, x-inject: timestamp}
        touched_at: {type: string, format: date-time, x-inject: timestamp, x-inject-on: write}
        owner: {type: string, x-inject: 'claim:sub'}
        version: {type: integer}
        above:
          $ref: '#/components/schemas/node'
          x-af-parent-property: parent_id
        below:
          type: array
          items: {$ref: '#/components/schemas/node'}
          x-af-child-property: parent_id
    item:
      type: object
      required: [node_id]
      properties:
        item_id: {type: integer, x-af-primary-key: auto}
        node_id: {type: string, maxLength: 40, x-references: node.node_id, x-index: true}
        code: {type: integer, nullable: true, x-unique: true}
        amount: {type: number, nullable: true}
        note: {type: string, maxLength: 120, nullable: true}
        token: {type: string, x-inject: uuid}
    page:
      type: object
      x-af-concurrency-control: version
      properties:
        page_id: {type: string, minLength: 1, maxLength: 64, x-af-primary-key: uuid}
        slug: {type: string, maxLength: 120, nullable: true, x-unique: true}
        node_id: {type: string, maxLength: 40, nullable: true, x-references: node.node_id, x-index: true}
        item_id: {type: integer, nullable: true, x-references: item.item_id}
        removed_at: {type: string, format: date-time, readOnly: true, x-af-soft-delete: timestamp}
        version: {type: integer}
    flag:
      type: object
      properties:
        flag_id: {type: integer, x-af-primary-key: manual}
        name: {type: string, maxLength: 120, nullable: true, x-unique: true, x-index: true}
        of_flag: {type: integer, nullable: true, x-references: flag.flag_id}
        gone: {type: boolean, readOnly: true, x-af-soft-delete: boolean}
";

/// The JSON type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Integer,
    Number,
    Flag,
}

/// What the server puts into a field by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// The time of creation.
    Time,
    /// The time of each write.
    WriteTime,
    /// Something new.
    Uuid,
    /// Who created it.
    Subject,
    /// 1, and one more at each write.
    Version,
    /// The time of deletion; the row stays.
    RemovedAt,
    /// That it was deleted; the row stays.
    Removed,
}

/// A field.
#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    pub nullable: bool,
    pub unique: bool,
    /// Its index slot.
    pub slot: Option<u8>,
    /// The entity it refers to.
    pub parent: Option<&'static str>,
    pub create_only: bool,
    pub server: Option<Server>,
    pub max: usize,
}

/// Who chooses the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    Auto,
    Uuid,
    Manual,
}

/// An entity.
#[derive(Debug)]
pub struct Entity {
    pub name: &'static str,
    pub key: &'static str,
    pub key_kind: KeyKind,
    /// Whether another row may refer to its rows.
    pub is_parent: bool,
    /// What a client must give at creation.
    pub required: &'static [&'static str],
    /// The key among them.
    pub fields: &'static [Field],
}

impl Entity {
    pub fn field(&self, name: &str) -> &'static Field {
        self.fields.iter().find(|field| field.name == name).expect("a field of the entity")
    }

    pub fn of_server(&self, server: Server) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.server == Some(server))
    }
}

const fn field(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        nullable: false,
        unique: false,
        slot: None,
        parent: None,
        create_only: false,
        server: None,
        max: 120,
    }
}

const fn server(name: &'static str, kind: Kind, server: Server) -> Field {
    Field { server: Some(server), ..field(name, kind) }
}

const fn nullable(name: &'static str, kind: Kind) -> Field {
    Field { nullable: true, ..field(name, kind) }
}

/// For the interpreter.
pub static ENTITIES: [Entity; 4] = [
    Entity {
        name: "node",
        key: "node_id",
        key_kind: KeyKind::Manual,
        is_parent: true,
        required: &["node_id"],
        fields: &[
            Field { max: 40, ..field("node_id", Kind::Text) },
            Field { unique: true, ..nullable("label", Kind::Text) },
            Field { slot: Some(1), ..nullable("rank", Kind::Integer) },
            Field { parent: Some("node"), slot: Some(2), max: 40, ..nullable("parent_id", Kind::Text) },
            Field { create_only: true, ..field("origin", Kind::Text) },
            server("made_at", Kind::Text, Server::Time),
            server("touched_at", Kind::Text, Server::WriteTime),
            server("owner", Kind::Text, Server::Subject),
            server("version", Kind::Integer, Server::Version),
        ],
    },
    Entity {
        name: "item",
        key: "item_id",
        key_kind: KeyKind::Auto,
        is_parent: true,
        required: &["node_id"],
        fields: &[
            field("item_id", Kind::Integer),
            Field { parent: Some("node"), slot: Some(1), max: 40, ..field("node_id", Kind::Text) },
            Field { unique: true, ..nullable("code", Kind::Integer) },
            nullable("amount", Kind::Number),
            nullable("note", Kind::Text),
            server("token", Kind::Text, Server::Uuid),
        ],
    },
    Entity {
        name: "page",
        key: "page_id",
        key_kind: KeyKind::Uuid,
        is_parent: false,
        required: &[],
        fields: &[
            Field { max: 64, ..field("page_id", Kind::Text) },
            Field { unique: true, ..nullable("slug", Kind::Text) },
            Field { parent: Some("node"), slot: Some(1), max: 40, ..nullable("node_id", Kind::Text) },
            Field { parent: Some("item"), ..nullable("item_id", Kind::Integer) },
            server("removed_at", Kind::Text, Server::RemovedAt),
            server("version", Kind::Integer, Server::Version),
        ],
    },
    Entity {
        name: "flag",
        key: "flag_id",
        key_kind: KeyKind::Manual,
        is_parent: true,
        required: &["flag_id"],
        fields: &[
            field("flag_id", Kind::Integer),
            Field { unique: true, slot: Some(1), ..nullable("name", Kind::Text) },
            Field { parent: Some("flag"), ..nullable("of_flag", Kind::Integer) },
            server("gone", Kind::Flag, Server::Removed),
        ],
    },
];

/// The entity of that name.
pub fn entity(name: &str) -> &'static Entity {
    ENTITIES.iter().find(|entity| entity.name == name).expect("an entity of the model")
}
