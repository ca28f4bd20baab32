//! Reads `x-af-permissions`: provider, action, role, rule.

use regex_lite::{Error as BadPattern, Regex, RegexBuilder};

use super::condition::Condition;
use super::parse::parse;
use super::{Mask, Permissions, Right, Rule};
use crate::model::annotation::PERMISSIONS;
use crate::model::entity::Field;
use crate::model::error::{Problems, hint};
use crate::model::yaml::{Entry, Node};

/// The one provider there is.
const PROVIDER: &str = "default";

/// Bytes of a compiled pattern; one of field names takes a few kilobytes.
const MAX_PATTERN_BYTES: usize = 1 << 18;

/// Something that is told already.
struct Wrong;

pub(in crate::model) struct PermissionReader<'a, 'p> {
    pub(in crate::model) entity: &'a str,
    pub(in crate::model) fields: &'a [Field],
    pub(in crate::model) problems: &'p mut Problems,
}

impl PermissionReader<'_, '_> {
    fn tell(&mut self, line: usize, reason: impl std::fmt::Display) {
        self.problems.add(line, self.entity, format!("{PERMISSIONS}: {reason}"));
    }

    /// The rules of `entry`, as far as they can be read.
    pub(in crate::model) fn read(mut self, entry: &Entry) -> Permissions {
        let mut permissions = Permissions::default();
        let Some(providers) = entry.node.entries() else {
            self.problems.add(entry.line, self.entity, format!("{PERMISSIONS} must be a map"));
            return permissions;
        };
        if providers.is_empty() {
            self.tell(entry.line, format!("there is no {PROVIDER}; leave it out where there are no rules"));
        }
        for provider in providers {
            if provider.key != PROVIDER {
                let hint = hint(&provider.key, [PROVIDER]);
                self.tell(
                    provider.line,
                    format!("unknown provider {:?}, there is {PROVIDER} only{hint}", provider.key),
                );
                continue;
            }
            for action in self.entries(provider, "a map of actions") {
                let right = match action.name() {
                    "read" => Right::Read,
                    "write" => Right::Write,
                    "delete" => Right::Delete,
                    other => {
                        let hint = hint(other, ["read", "write", "delete"]);
                        self.tell(
                            action.line,
                            format!("unknown action {other:?}, there are read, write, delete{hint}"),
                        );
                        continue;
                    }
                };
                let roles = self.entries(action, "a map of roles");
                let granted = roles.iter().filter_map(|role| self.rule(right, role)).collect();
                match right {
                    Right::Read => permissions.read = granted,
                    Right::Write => permissions.write = granted,
                    Right::Delete => permissions.delete = granted,
                }
            }
        }
        permissions
    }

    fn entries<'n>(&mut self, entry: &'n Entry, wanted: &str) -> &'n [Entry] {
        if entry.node.entries().is_none() {
            self.tell(entry.line, format!("{} must be {wanted}", entry.key));
        }
        entry.node.entries().unwrap_or_default()
    }

    /// The rule of a role; `None` for one that grants nothing, or is wrong.
    fn rule(&mut self, right: Right, role: &Entry) -> Option<Rule> {
        if role.key.is_empty() {
            self.tell(role.line, "a role has a name");
        }
        let (fields, condition) = match right {
            Right::Delete => self.deletion(role)?,
            Right::Read | Right::Write => self.grant(role)?,
        };
        Some(Rule { role: role.name().to_owned(), fields, condition })
    }

    fn deletion(&mut self, role: &Entry) -> Option<(Mask, Option<Condition>)> {
        let all = Mask::all(self.fields);
        if let Some(allowed) = role.node.boolean() {
            return allowed.then_some((all, None));
        }
        let Some(parts) = role.node.entries() else {
            self.tell(role.line, "a rule of delete is true, false or {allow, where}");
            return None;
        };
        self.check_parts(parts, "allow");
        let allow = role.node.entry("allow");
        let allowed = allow.and_then(|allow| allow.node.boolean());
        if allowed.is_none() {
            self.tell(allow.map_or(role.line, |allow| allow.line), "a rule of delete has allow: true or false");
        }
        let condition = self.condition(&role.node).ok()?;
        allowed?.then_some((all, condition))
    }

    fn grant(&mut self, role: &Entry) -> Option<(Mask, Option<Condition>)> {
        if let Some(pattern) = role.node.text() {
            return Some((self.pattern(role.line, pattern)?, None));
        }
        let Some(parts) = role.node.entries() else {
            self.tell(role.line, "a rule is a pattern of property names or {properties, where}");
            return None;
        };
        self.check_parts(parts, "properties");
        let pattern = role.node.entry("properties");
        let Some((line, text)) = pattern.and_then(|entry| Some((entry.line, entry.node.text()?))) else {
            let line = pattern.map_or(role.line, |pattern| pattern.line);
            self.tell(line, "a rule has properties, a pattern of their names");
            return None;
        };
        let fields = self.pattern(line, text);
        let condition = self.condition(&role.node).ok()?;
        Some((fields?, condition))
    }

    fn check_parts(&mut self, parts: &[Entry], first: &str) {
        for part in parts.iter().filter(|part| part.key != first && part.key != "where") {
            let hint = hint(&part.key, [first, "where"]);
            self.tell(part.line, format!("a rule has {first} and where, not {:?}{hint}", part.key));
        }
    }

    /// The condition of a rule, if it has one; a rule without the one it has would grant more.
    fn condition(&mut self, rule: &Node) -> Result<Option<Condition>, Wrong> {
        let Some(entry) = rule.entry("where") else { return Ok(None) };
        let text = entry.node.text().ok_or_else(|| "must be a text".to_owned());
        let condition = text.and_then(|text| parse(text, self.fields));
        condition.map(Some).map_err(|reason| {
            self.tell(entry.line, format!("where {reason}"));
            Wrong
        })
    }

    /// The fields whose whole names match.
    fn pattern(&mut self, line: usize, text: &str) -> Option<Mask> {
        // What most rules say, without the tens of microseconds that compiling a pattern takes at every start.
        if text == ".*" {
            return Some(Mask::all(self.fields));
        }
        // By itself first: `a)|(b` is no pattern, and must not become one by what is put around it.
        let compile = |text: &str| RegexBuilder::new(text).size_limit(MAX_PATTERN_BYTES).build();
        let pattern: Result<Regex, BadPattern> = compile(text).and_then(|_| compile(&format!(r"\A(?:{text})\z")));
        let Ok(pattern) = pattern else {
            self.tell(line, format!("{text:?} is not a regular expression"));
            return None;
        };
        let mask = Mask(self.fields.iter().map(|field| pattern.is_match(&field.name)).collect());
        if mask.is_empty() {
            self.tell(line, format!("{text:?} matches no field"));
            return None;
        }
        Some(mask)
    }
}
