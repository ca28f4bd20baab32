//! Rules that are none are told with their line, and stop the start.

use batch_core::auth::Snapshot;
use batch_core::model::Model;
use batch_core::model::permission::Access;
use serde_json::{Value, json};

/// A model whose `x-af-permissions` begin on line 6.
fn model(permissions: &str) -> String {
    format!(
        "components:\n  schemas:\n    thing:\n      type: object\n      x-af-permissions:\n{permissions}\n      properties:\n        \
         thing_id: {{type: integer, x-af-primary-key: auto}}\n        name: {{type: string}}\n        done: {{type: boolean}}\n        \
         total: {{type: number}}\n        tags: {{type: array}}\n        gate: {{type: [boolean, object]}}\n"
    )
}

fn check(permissions: &str, line: usize, part: &str) {
    let problems = Model::from_yaml(&model(permissions)).map(|_| ()).unwrap_err();
    let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 1, "{permissions}\n{found:#?}");
    assert!(found[0].starts_with(&format!("model.yaml:{line}: thing: x-af-permissions")), "{permissions}\n{found:#?}");
    assert!(found[0].contains(part), "{permissions}\n{found:#?}\nwanted {part}");
}

fn check_where(text: &str, part: &str) {
    check(
        &format!(
            "        default:\n          read:\n            '*':\n              properties: '.*'\n              where: \"{text}\""
        ),
        10,
        part,
    );
}

#[test]
fn a_wrong_form_is_told() {
    let read = |rule: &str| format!("        default:\n          read:\n            boss: {rule}");
    let delete = |rule: &str| format!("        default:\n          delete:\n            boss: {rule}");
    for (permissions, line, part) in [
        ("        {}".to_owned(), 5, "there is no default"),
        (
            "        defualt: {read: {boss: '.*'}}".to_owned(),
            6,
            "unknown provider \"defualt\", there is default only; did you mean \"default\"?",
        ),
        ("        default: all".to_owned(), 6, "default must be a map of actions"),
        (
            "        default:\n          raed: {boss: '.*'}".to_owned(),
            7,
            "unknown action \"raed\", there are read, write, delete",
        ),
        ("        default:\n          read: all".to_owned(), 7, "read must be a map of roles"),
        ("        default:\n          read:\n            '': '.*'".to_owned(), 8, "a role has a name"),
        (read("true"), 8, "a pattern of property names or {properties, where}"),
        (read("'na(me'"), 8, "\"na(me\" is not a regular expression"),
        (read("'a)|(b'"), 8, "is not a regular expression"),
        (read("'nam'"), 8, "\"nam\" matches no field"),
        (read("''"), 8, "matches no field"),
        (read("{where: \"name = 'x'\"}"), 8, "a rule has properties"),
        (read("{properties: 7}"), 8, "a rule has properties"),
        (
            read("{properties: name, when: x}"),
            8,
            "a rule has properties and where, not \"when\"; did you mean \"where\"?",
        ),
        (read("{properties: name, where: 7}"), 8, "where must be a text"),
        (delete("'.*'"), 8, "a rule of delete is true, false or {allow, where}"),
        (delete("{allow: yes please}"), 8, "a rule of delete has allow: true or false"),
        (delete("{where: \"name = 'x'\"}"), 8, "a rule of delete has allow"),
    ] {
        check(&permissions, line, part);
    }
    let huge = read(&format!("'{}'", "(?:n{1000}){1000}"));
    check(&huge, 8, "is not a regular expression");
}

#[test]
fn a_wrong_condition_is_told() {
    let deep = format!("{}name = 'x'{}", "(".repeat(30), ")".repeat(30));
    for (text, part) in [
        ("", "needs a field where it has its end"),
        ("nam = 'x'", "names \\\"nam\\\", which is no field; did you mean \\\"name\\\"?"),
        ("name", "needs = != < <= > >= or in after name, not its end"),
        ("name == 'x'", "compares name with =; wanted is a literal or a claim"),
        ("name = ", "compares name with its end"),
        ("name = total", "compares name with \\\"total\\\"; wanted is a literal or a claim"),
        ("name = 5", "compares name, which is of type string, with a number"),
        ("total = '5'", "compares total, which is of type number, with a text"),
        ("name = null", "compares name with null, of which nothing holds"),
        ("done < true", "which have no order"),
        ("tags = 'x'", "compares tags, which is of type array"),
        ("gate = 'x'", "compares gate, which is of type mixed, with a text"),
        ("name in 'x'", "needs a list in parentheses or a claim after in"),
        ("name in ()", "needs a literal in the list, not )"),
        ("name in ('x'", "needs a comma or ) in the list, not its end"),
        ("name in ('x', 5)", "with a number"),
        ("(name = 'x'", "needs ) where it has its end"),
        ("name = 'x')", "ends before )"),
        ("name = 'x' name = 'y'", "ends before"),
        ("name = 'x' and", "needs a field where it has its end"),
        ("name = 'x' AND done = true", "ends before"),
        ("name = 'x", "has a quote that does not end"),
        ("name = ${claims.}", "knows only ${claims.<name>}"),
        ("name = ${sub}", "knows only ${claims.<name>}"),
        ("name = ${claims.sub", "has ${ without its }"),
        ("total > 1e", "which is no number"),
        ("name = 'x' ; done = true", "means nothing here"),
        (deep.as_str(), "is nested more than 20 levels deep"),
    ] {
        check_where(text, &part.replace("\\\"", "\""));
    }
    check_where(&"not ".repeat(400), "is nested more than");
    check_where(&format!("name = '{}'", "x".repeat(3_000)), "is longer than 2000 bytes");
}

#[test]
fn right_ones_are_taken() {
    for text in [
        "name = 'it''s' or not (total >= -1.50 and done != true)",
        "name in ('a','b') and name in ${claims.https://example.test/names}",
        "gate = true or total in (1, 2.0, 3e2)",
        "((name < ${claims.sub}))",
    ] {
        let permissions =
            format!("        default:\n          read: {{'*': {{properties: 'n.*', where: \"{text}\"}}}}");
        assert!(Model::from_yaml(&model(&permissions)).is_ok(), "{text}");
    }
    for whole in ["        default: {}", "        default: {read: {}, delete: {boss: false, clerk: {allow: false}}}"] {
        assert!(Model::from_yaml(&model(whole)).is_ok(), "{whole}");
    }
}

#[test]
fn a_condition_is_true_false_or_unknown_and_grants_when_it_is_true() {
    let claims = json!({
        "sub": "ann", "names": ["n", "m", 5], "one": "n", "none": [], "nulls": [null], "five": 5, "yes": true, "map": { "a": 1 },
    });
    let caller = json!({ "tenant": "t", "subject": "ann", "claims": claims });
    let caller = serde_json::from_value::<Snapshot>(caller).unwrap().into_caller();
    let full = r#"{"thing_id": 1, "name": "n", "done": true, "total": 0.10000000000000000001, "gate": false}"#;
    let bare = r#"{"thing_id": 1, "name": null}"#;
    for (text, granted, of_nothing) in [
        ("name = 'n'", true, false),
        ("name != 'n'", false, false),
        ("name != 'm'", true, false),
        ("not (name = 'n')", false, false),
        ("not (name = 'm')", true, false),
        ("total > 0.1", true, false),
        ("total = 1e-1", false, false),
        ("total <= 0.10000000000000000001", true, false),
        ("done = true and gate != true", true, false),
        ("done != ${claims.yes}", false, false),
        ("gate = ${claims.map}", false, false),
        ("not (gate = ${claims.map})", false, false),
        ("name >= 'a' and name < 'nn'", true, false),
        ("name = ${claims.one}", true, false),
        ("name = ${claims.names}", false, false),
        ("name != ${claims.names}", false, false),
        ("name in ${claims.names}", true, false),
        ("name in ${claims.one}", true, false),
        ("name in ${claims.none}", false, false),
        ("not (name in ${claims.none})", true, false),
        ("name in ${claims.nulls}", false, false),
        ("not (name in ${claims.nulls})", false, false),
        ("name in ${claims.map}", false, false),
        ("not (name in ${claims.map})", false, false),
        ("not (name in ('a', 'b'))", true, false),
        ("name = ${claims.gone}", false, false),
        ("name != ${claims.gone}", false, false),
        ("not (name = ${claims.gone})", false, false),
        ("not (name in ${claims.gone})", false, false),
        ("not (not (name = ${claims.gone}))", false, false),
        ("name != ${claims.five}", false, false),
        ("total < ${claims.five}", true, false),
        ("name < ${claims.five} or name > ${claims.five}", false, false),
        ("name = ${claims.gone} or thing_id = 1", true, true),
        ("name = ${claims.gone} and thing_id = 1", false, false),
        ("not (name = ${claims.gone} and thing_id = 2)", true, true),
        ("not (name = ${claims.gone} or thing_id = 2)", false, false),
        ("name = 'x' or name = 'y' and thing_id = 1 or thing_id = 1", true, true),
        ("not name = 'x' and thing_id = 2", false, false),
    ] {
        let rule = format!("        default:\n          read: {{'*': {{properties: '.*', where: \"{text}\"}}}}");
        let model = Model::from_yaml(&model(&rule)).unwrap();
        let access = Access::new(model.entity("thing").unwrap(), &[&caller]);
        for (row, expected) in [(full, granted), (bare, of_nothing)] {
            let row: Value = serde_json::from_str(row).unwrap();
            assert_eq!(access.show(row.as_object().unwrap()).is_some(), expected, "{text} of {row}");
        }
    }
}
