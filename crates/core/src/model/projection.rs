//! `properties` of `metadata_params`: which fields, and which relations, a read returns.

use serde_json::{Map, Value};

use super::Model;
use super::entity::Entity;
use super::error::hint;
use super::glob::Glob;
use crate::json::clip;
use crate::limits::MAX_SHOWN;

/// Most patterns of one read.
const MAX_PATTERNS: usize = 100;

/// The fields to return, and the relations to load.
///
/// Patterns are names, with `*` for any text and `?` for one character. `relation:pattern` loads a relation
/// with the fields that match there. Where only relations are named, all fields of the entity itself stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projection {
    patterns: Vec<Glob>,
    relations: Vec<Expansion>,
}

/// A relation to load with the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expansion {
    /// The relation's name, which is the property the rows get.
    pub relation: String,
    /// The fields of the loaded rows; it has no relations of its own.
    pub projection: Projection,
}

impl Projection {
    /// Reads a list of patterns, or a string of them between commas or spaces.
    ///
    /// # Errors
    /// What is wrong with it: a name without wildcard that is no field, an unknown relation, another form.
    pub fn parse(model: &Model, entity: &Entity, value: &Value) -> Result<Self, String> {
        let mut texts: Vec<&str> = Vec::new();
        match value {
            Value::String(text) => texts.extend(split(text)),
            Value::Array(items) => {
                for item in items {
                    texts.extend(split(item.as_str().ok_or("properties must hold strings")?));
                }
            }
            _ => return Err("properties must be a string or a list of strings".to_owned()),
        }
        if texts.len() > MAX_PATTERNS {
            return Err(format!("properties takes at most {MAX_PATTERNS} patterns"));
        }
        let mut projection = Self { patterns: Vec::new(), relations: Vec::new() };
        for text in texts {
            match text.split_once(':') {
                Some((relation, pattern)) => projection.expand(model, entity, relation, pattern)?,
                None => projection.patterns.push(read_pattern(entity, text)?),
            }
        }
        Ok(projection)
    }

    fn expand(&mut self, model: &Model, entity: &Entity, name: &str, pattern: &str) -> Result<(), String> {
        let Some(relation) = entity.relation(name) else {
            let name = clip(name, MAX_SHOWN);
            let hint = hint(&name, entity.relations.iter().map(|relation| relation.name.as_str()));
            return Err(format!("{} has no relation {name:?}{hint}", entity.name));
        };
        let other = model.entity(relation.kind.entity()).ok_or("the relation leads nowhere")?;
        let pattern = read_pattern(other, pattern)?;
        match self.relations.iter_mut().find(|expansion| expansion.relation == name) {
            Some(expansion) => expansion.projection.patterns.push(pattern),
            None => self.relations.push(Expansion {
                relation: name.to_owned(),
                projection: Self { patterns: vec![pattern], relations: Vec::new() },
            }),
        }
        Ok(())
    }

    /// Whether the field is returned.
    #[must_use]
    pub fn keeps(&self, field: &str) -> bool {
        self.patterns.is_empty() || self.patterns.iter().any(|pattern| pattern.matches(field))
    }

    /// The fields that are named, rather than matched by a pattern.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.patterns.iter().filter(|pattern| !pattern.is_open()).map(Glob::text)
    }

    /// The row with the fields that are returned, in their sequence; relations are not in it yet.
    #[must_use]
    pub fn apply(&self, row: &Map<String, Value>) -> Map<String, Value> {
        let kept = row.iter().filter(|(name, _)| self.keeps(name));
        kept.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// The relations to load, in the sequence they were named.
    #[must_use]
    pub fn relations(&self) -> &[Expansion] {
        &self.relations
    }
}

fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ']).filter(|pattern| !pattern.is_empty())
}

fn read_pattern(entity: &Entity, text: &str) -> Result<Glob, String> {
    if text.contains(':') {
        return Err(format!("{:?}: relations of a relation are not loaded", clip(text, MAX_SHOWN)));
    }
    let pattern = Glob::new(text)?;
    if !pattern.is_open() && entity.field(text).is_none() {
        let text = clip(text, MAX_SHOWN);
        let hint = hint(&text, entity.fields().iter().map(|field| field.name.as_str()));
        return Err(format!("{} has no field {text:?}{hint}", entity.name));
    }
    Ok(pattern)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn model() -> Model {
        let yaml = "
components:
  schemas:
    album:
      type: object
      properties:
        album_id: {type: integer, x-af-primary-key: auto}
        title: {type: string}
        tracks:
          type: array
          items: {$ref: '#/components/schemas/track'}
          x-af-child-property: album_id
    track:
      type: object
      properties:
        track_id: {type: integer, x-af-primary-key: auto}
        album_id: {type: integer, x-index: true}
        name: {type: string}
";
        Model::from_yaml(yaml).unwrap()
    }

    fn parse(value: &Value) -> Result<Projection, String> {
        let model = model();
        Projection::parse(&model, model.entity("album").unwrap(), value)
    }

    fn kept(value: &Value) -> Vec<String> {
        let row = json!({"album_id": 1, "title": "t"});
        parse(value).unwrap().apply(row.as_object().unwrap()).keys().cloned().collect()
    }

    #[test]
    fn patterns_choose_fields() {
        for (value, expected) in [
            (json!("*"), vec!["album_id", "title"]),
            (json!("title"), vec!["title"]),
            (json!("album*, title"), vec!["album_id", "title"]),
            (json!(["titl?"]), vec!["title"]),
            (json!("x*"), vec![]),
            (json!(""), vec!["album_id", "title"]),
            (json!("tracks:*"), vec!["album_id", "title"]),
            (json!(["title", "tracks:name"]), vec!["title"]),
        ] {
            assert_eq!(kept(&value), expected, "{value}");
        }
    }

    #[test]
    fn a_relation_is_loaded_with_its_own_patterns() {
        let projection = parse(&json!("tracks:name tracks:track*")).unwrap();
        let [expansion] = projection.relations() else { panic!("{projection:?}") };
        assert_eq!(expansion.relation, "tracks");
        let kept = ["name", "track_id", "album_id"].map(|field| expansion.projection.keeps(field));
        assert_eq!(kept, [true, true, false]);
    }

    #[test]
    fn what_does_not_exist_is_told() {
        for (value, part) in [
            (json!("titel"), "album has no field \"titel\"; did you mean \"title\"?"),
            (json!("tracks"), "album has no field \"tracks\""),
            (json!("track:*"), "album has no relation \"track\"; did you mean \"tracks\"?"),
            (json!("tracks:title"), "track has no field \"title\""),
            (json!("tracks:album:*"), "relations of a relation are not loaded"),
            (json!(7), "must be a string or a list of strings"),
            (json!([7]), "must hold strings"),
        ] {
            let reason = parse(&value).unwrap_err();
            assert!(reason.contains(part), "{value}: {reason}");
        }
    }
}
