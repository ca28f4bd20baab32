//! Whether a row, or a change of one, fits its entity.

use serde_json::{Map, Value};

use super::entity::{Entity, Field, KeyKind};
use super::error::hint;
use super::rules::{Finding, pointer};
use crate::limits::MAX_VIOLATIONS;

/// A part of a row that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer (RFC 6901) from what was checked; empty for all of it.
    pub pointer: String,
    /// What kind of problem it is.
    pub code: ViolationCode,
    /// For people.
    pub message: String,
}

/// What can be wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViolationCode {
    /// The entity has no such field.
    UnknownField,
    /// A field that must be given is not.
    Required,
    /// The value does not fit the field's schema.
    InvalidValue,
    /// The field is the server's, or cannot be changed.
    ReadOnly,
}

impl ViolationCode {
    /// The code in a response.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownField => "UNKNOWN_FIELD",
            Self::Required => "REQUIRED",
            Self::InvalidValue => "INVALID_VALUE",
            Self::ReadOnly => "READ_ONLY",
        }
    }
}

impl Entity {
    /// What is wrong with one value; pointers begin at the value, not at the row.
    #[must_use]
    pub fn check_field(&self, field: &Field, value: &Value) -> Vec<Violation> {
        field.rules.check(value).iter().map(|finding| invalid("", &field.name, finding)).collect()
    }

    /// What is wrong with a row to be created.
    ///
    /// For a field of which `skip` is true only the name is checked: its value is not known yet.
    pub fn check_new(&self, row: &Map<String, Value>, skip: impl Fn(&str) -> bool) -> Vec<Violation> {
        let mut violations = self.check_given(row, skip, |field| self.forbidden_in_new(field));
        let missing = self.fields.iter().filter(|field| field.required && !row.contains_key(&field.name));
        violations.extend(missing.map(|field| Violation {
            pointer: pointer("", &field.name),
            code: ViolationCode::Required,
            message: format!("{} is required", field.name),
        }));
        violations
    }

    /// What is wrong with an update; the version field may be given, as the version that is expected.
    ///
    /// For a field of which `skip` is true only the name is checked: its value is not known yet.
    pub fn check_change(&self, changes: &Map<String, Value>, skip: impl Fn(&str) -> bool) -> Vec<Violation> {
        self.check_given(changes, skip, |field| self.forbidden_in_change(field))
    }

    fn check_given(
        &self,
        row: &Map<String, Value>,
        skip: impl Fn(&str) -> bool,
        forbidden: impl Fn(&Field) -> Option<&'static str>,
    ) -> Vec<Violation> {
        let mut violations = Vec::new();
        for (name, value) in row {
            if violations.len() >= MAX_VIOLATIONS {
                break;
            }
            let at = pointer("", name);
            let Some(field) = self.field(name) else {
                let message = self.unknown(name);
                violations.push(Violation { pointer: at, code: ViolationCode::UnknownField, message });
                continue;
            };
            if let Some(reason) = forbidden(field) {
                let message = format!("{name} {reason}");
                violations.push(Violation { pointer: at, code: ViolationCode::ReadOnly, message });
            } else if !skip(name) {
                violations.extend(field.rules.check(value).iter().map(|finding| invalid(&at, name, finding)));
            }
        }
        violations
    }

    fn forbidden_in_new(&self, field: &Field) -> Option<&'static str> {
        let auto_key = self.is_key(field) && self.primary_key.kind == KeyKind::Auto;
        (auto_key || self.is_version(field) || field.is_server_set()).then_some("is set by the server")
    }

    fn forbidden_in_change(&self, field: &Field) -> Option<&'static str> {
        if self.is_key(field) {
            return Some("is the primary key and cannot be changed");
        }
        if field.create_only {
            return Some("cannot be changed after creation");
        }
        field.is_server_set().then_some("is set by the server")
    }

    fn unknown(&self, name: &str) -> String {
        if self.relation(name).is_some() {
            return format!("{name} is a relation of {}, which is only read", self.name);
        }
        // A long name is the client's; it is not worth repeating or comparing.
        let shown: String = name.chars().take(64).collect();
        let hint = hint(&shown, self.fields.iter().map(|field| field.name.as_str()));
        format!("{} has no field {shown:?}{hint}", self.name)
    }
}

fn invalid(at: &str, name: &str, finding: &Finding) -> Violation {
    Violation {
        pointer: format!("{at}{}", finding.pointer),
        code: ViolationCode::InvalidValue,
        message: format!("{name}{} {}", finding.pointer, finding.message),
    }
}

#[cfg(test)]
mod tests {
    use crate::model::Model;

    /// What is wrong with a value of a property of that schema, as `pointer message`.
    fn wrong(schema: &str, value: &str) -> Vec<String> {
        let yaml = format!(
            "components:\n  schemas:\n    thing:\n      type: object\n      properties:\n        id: {{type: integer, x-af-primary-key: auto}}\n        a: {schema}\n"
        );
        let model = Model::from_yaml(&yaml).unwrap_or_else(|problems| panic!("{schema}: {problems:?}"));
        let entity = model.entity("thing").unwrap();
        let value = serde_json::from_str(value).unwrap();
        let found = entity.check_field(entity.field("a").unwrap(), &value);
        found.into_iter().map(|violation| format!("{} {}", violation.pointer, violation.message)).collect()
    }

    #[test]
    fn numbers_are_checked_exactly() {
        let table = [
            ("{type: integer}", "1.0", true),
            ("{type: integer}", "1e2", true),
            ("{type: integer}", "-0", true),
            ("{type: integer}", "9223372036854775808", true),
            ("{type: integer}", "99999999999999999999999999999999999999", true),
            ("{type: integer}", "1.5", false),
            ("{type: integer}", "1.00000000000000000001", false),
            ("{type: integer}", "9007199254740993.5", false),
            ("{type: integer}", "\"1\"", false),
            ("{type: integer}", "null", false),
            ("{type: integer, nullable: true}", "null", true),
            ("{type: integer, maximum: 9223372036854775807}", "9223372036854775807", true),
            ("{type: integer, maximum: 9223372036854775807}", "9223372036854775808", false),
            (
                "{type: integer, maximum: 99999999999999999999999999999999999998}",
                "99999999999999999999999999999999999999",
                false,
            ),
            ("{type: integer, minimum: -9007199254740992}", "-9007199254740993", false),
            ("{type: integer, format: int32}", "2147483648", false),
            ("{type: integer, format: int64}", "9223372036854775808", false),
            ("{type: number, minimum: 0.1}", "0.1", true),
            ("{type: number, minimum: 0.1}", "0.09999999999999999999", false),
            ("{type: number, exclusiveMinimum: 0}", "1e-30", true),
            ("{type: number, exclusiveMinimum: 0}", "0.0", false),
            ("{type: number, minimum: 0, exclusiveMinimum: true}", "0", false),
            ("{type: number, maximum: 1, exclusiveMaximum: true}", "1", false),
            ("{type: number, exclusiveMaximum: 1}", "0.99999999999999999999", true),
            ("{type: number, multipleOf: 0.01}", "0.07", true),
            ("{type: number, multipleOf: 0.01}", "4.35", true),
            ("{type: number, multipleOf: 0.01}", "0.075", false),
            ("{type: number, multipleOf: 0.01}", "99999999999999999999.99", true),
            ("{enum: [1, 2.5, x]}", "2.50", true),
            ("{enum: [1, 2.5, x]}", "2.50000000000000000001", false),
            ("{enum: [1, 2.5, x]}", "\"x\"", true),
            ("{const: 18446744073709551616}", "18446744073709551617", false),
            ("{oneOf: [{type: integer}, {type: boolean}]}", "7", true),
            ("{oneOf: [{type: integer}, {type: boolean}]}", "7.00000000000000000001", false),
            ("{anyOf: [{type: number, minimum: 0.1}, {type: string}]}", "0.09999999999999999999", false),
            ("{oneOf: [{maximum: 9007199254740992}, {minimum: 9007199254740992}]}", "9007199254740993", true),
            ("{oneOf: [{maximum: 9007199254740992}, {minimum: 9007199254740992}]}", "9007199254740992", false),
            ("{not: {const: 0.3}}", "0.30000000000000000001", true),
            ("{not: {const: 0.3}}", "0.30", false),
        ];
        for (schema, value, fits) in table {
            let found = wrong(schema, value);
            assert_eq!(found.is_empty(), fits, "{schema} {value}: {found:?}");
        }
    }

    #[test]
    fn a_problem_is_pointed_at_and_worded() {
        let table = [
            ("{type: integer, minimum: 0}", "-1", "", "a must be >= 0"),
            ("{type: string, maxLength: 2}", "\"abc\"", "", "a must have at most 2 characters, not 3"),
            ("{type: string, format: email}", "\"x\"", "", "a is not a valid email: it has no @"),
            (
                "{type: string, format: uuid}",
                "\"x\"",
                "",
                "a is not a valid uuid: wanted is a form like 123e4567-e89b-42d3-a456-426614174000",
            ),
            (
                "{type: string, format: date}",
                "\"2023-02-29\"",
                "",
                "a is not a valid date: wanted is a form like 2024-11-11",
            ),
            ("{type: string, pattern: '^[a-z]$'}", "\"A\"", "", "a does not match the pattern ^[a-z]$"),
            ("{type: [boolean, object]}", "\"x\"", "", "a must be boolean or object, not string"),
            ("{type: array, items: {type: number, maximum: 5}}", "[1, 6]", "/1", "a/1 must be <= 5"),
            ("{type: array, uniqueItems: true}", "[1, 2, 1.0]", "/2", "a/2 is equal to item 0"),
            ("{type: object, required: [b/c]}", "{}", "/b~1c", "a/b~1c is required"),
            ("{type: object, properties: {b: {type: integer, minimum: 1}}}", "{\"b\": 0}", "/b", "a/b must be >= 1"),
            (
                "{type: object, additionalProperties: {type: integer, minimum: 1}}",
                "{\"c\": 0}",
                "/c",
                "a/c must be >= 1",
            ),
            (
                "{type: object, additionalProperties: false, properties: {b: {}}}",
                "{\"c\": 0}",
                "/c",
                "a/c is not a known property",
            ),
            ("{allOf: [{type: integer, minimum: 1}, {maximum: 3}]}", "4", "", "a must be <= 3"),
            (
                "{anyOf: [{type: boolean}, {type: object}]}",
                "1",
                "",
                "a fits none of the allowed forms: must be boolean, not number; must be object, not number",
            ),
            ("{not: {type: string}}", "\"x\"", "", "a is of a form that is not allowed"),
            ("{oneOf: [{minimum: 1}, {maximum: 3}]}", "2", "", "a fits 2 forms, of which one is wanted"),
            ("{type: array, minItems: 1}", "[]", "", "a must have at least 1 items, not 0"),
            ("{type: object, maxProperties: 0}", "{\"b\": 1}", "", "a must have at most 0 members, not 1"),
            ("{type: string, nullable: true, enum: [x]}", "\"y\"", "", "a must be one of \"x\", null"),
        ];
        for (schema, value, pointer, message) in table {
            assert_eq!(wrong(schema, value), [format!("{pointer} {message}")], "{schema} {value}");
        }
        assert_eq!(wrong("{type: string, nullable: true, enum: [x]}", "null"), [""; 0]);
        assert_eq!(wrong("{type: array, uniqueItems: true}", "[0.1, 0.10000000000000000001]"), [""; 0]);
    }

    #[test]
    fn problems_of_one_value_are_bounded() {
        let many = format!("[{}1]", "1,".repeat(5000));
        assert_eq!(wrong("{type: array, items: {type: string}}", &many).len(), 20);
        let long = format!("\"{}\"", "x".repeat(100_000));
        for schema in [
            "{type: string, format: email}",
            "{type: string, format: uri}",
            "{enum: [x]}",
            "{type: string, pattern: '^a$'}",
        ] {
            assert!(wrong(schema, &long).iter().all(|message| message.len() < 400), "{schema}");
        }
    }

    #[test]
    fn a_model_can_be_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Model>();
    }
}
