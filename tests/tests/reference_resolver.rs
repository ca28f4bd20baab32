//! References: how they are read, what they are replaced by, and what a client is told when they can't be.

#![expect(clippy::expect_used, reason = "a helper that meets the unexpected ends its test")]

use batch_core::limits::MAX_REFERENCES_PER_OPERATION;
use batch_core::plan::reference::{
    Budget, Found, Kind, Lookup, Malformed, Origin, Outcome, Problem, Resolved, Segment, Template, Unresolved, collect,
    contains_reference, resolve, resolve_text,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Results by operation; `None` is one that failed.
#[derive(Debug)]
struct Results(Vec<(&'static str, Option<Value>)>);

impl Lookup for Results {
    fn outcome(&self, operation: &str) -> Outcome<'_> {
        match self.0.iter().find(|(name, _)| *name == operation) {
            Some((_, Some(data))) => Outcome::Data(data),
            Some((_, None)) => Outcome::Failed,
            None => Outcome::Unknown,
        }
    }

    fn operations(&self) -> Vec<&str> {
        self.0.iter().filter(|(_, data)| data.is_some()).map(|(name, _)| *name).collect()
    }
}

fn results() -> Results {
    let op1 = json!([{
        "id": 7, "id2": 8, "customer_id": 42, "name": "Zoë", "active": true, "middle": null, "empty": "",
        "address": {"street": "Main St", "geo": {"lat": 1}},
        "items": [{"id": 10, "sku": "x"}, {"id": 11, "sku": "y"}],
        "tags": ["a", "b"],
        "operator": "gt::5", "template": "$ref:op1.id",
    }]);
    let mut op1 = op1;
    op1[0]["price"] = number("12345678901234567890.123456789012345678");
    Results(vec![
        ("op1", Some(op1)),
        ("two", Some(json!([{"id": 1}, {"id": 2}]))),
        ("none", Some(json!([]))),
        ("broken", None),
    ])
}

fn number(text: &str) -> Value {
    serde_json::from_str(text).expect("a number")
}

fn plenty() -> Budget {
    Budget::new(usize::MAX, usize::MAX)
}

fn run(value: &Value) -> Result<Value, Unresolved> {
    resolve(value, &results(), &mut plenty())
}

#[track_caller]
fn check(text: &str, expected: Value) {
    assert_eq!(run(&json!(text)), Ok(expected), "{text}");
}

#[track_caller]
fn check_error(text: &str, kind: Kind, available: &[&str]) -> Unresolved {
    let error = run(&json!(text)).expect_err(text);
    assert_eq!(error.kind, kind, "{text}");
    assert_eq!(error.available, available, "{text}");
    error
}

#[track_caller]
fn check_malformed(text: &str, position: usize, problem: Problem) {
    let expected = Malformed { pointer: String::new(), position, problem };
    assert_eq!(Template::parse(text), Err(expected), "{text}");
}

// What the resolver is for.

#[test]
fn simple_scalar_references() {
    check("$ref:op1.id", json!(7));
    check("$ref:op1.customer_id", json!(42));
    check("${ref:op1.name}", json!("Zoë"));
    check("$ref:op1.middle", json!(null));
}

#[test]
fn nested_property_references() {
    check("$ref:op1.address.street", json!("Main St"));
    check("$ref:op1.address.geo.lat", json!(1));
    check("$ref:op1.address", json!({"street": "Main St", "geo": {"lat": 1}}));
}

#[test]
fn multiple_references() {
    let params =
        json!({"customer": "$ref:op1.customer_id", "street": "$ref:op1.address.street", "other": "$ref:two.1.id"});
    assert_eq!(run(&params), Ok(json!({"customer": 42, "street": "Main St", "other": 2})));
}

#[test]
fn string_interpolation() {
    check("prefix_$ref:op1.id_suffix", json!("prefix_7_suffix"));
    check("Hello $ref:op1.name.", json!("Hello Zoë."));
    check("Hello ${ref:op1.name}_x", json!("Hello Zoë_x"));
}

#[test]
fn nested_dictionaries() {
    let params = json!({"order": {"customer": {"id": "$ref:op1.customer_id"}, "note": "for $ref:op1.name"}, "n": 1});
    assert_eq!(run(&params), Ok(json!({"order": {"customer": {"id": 42}, "note": "for Zoë"}, "n": 1})));
}

#[test]
fn array_values() {
    let params = json!(["$ref:op1.id", "text", 3, ["$ref:op1.tags.1"], null, {"a": "$ref:op1.active"}]);
    assert_eq!(run(&params), Ok(json!([7, "text", 3, ["b"], null, {"a": true}])));
}

#[test]
fn unknown_operation_errors() {
    let error = check_error("$ref:op9.id", Kind::UnknownOperation, &["op1", "two", "none"]);
    assert_eq!((error.operation.as_str(), error.path.as_str()), ("op9", "id"));
    assert_eq!(error.to_string(), "there is no result of an operation `op9`; there is: op1, two, none");
}

#[test]
fn failed_operation_errors() {
    let error = check_error("$ref:broken.id", Kind::OperationFailed, &[]);
    assert_eq!(error.to_string(), "operation `broken` did not succeed, so it has no result");
}

#[test]
fn missing_property_errors() {
    let error = check_error("$ref:op1.address.town", Kind::Missing, &["address.street", "address.geo"]);
    assert_eq!(error.to_string(), "the result of `op1` has no `address.town`; there is: address.street, address.geo");
    check_error("$ref:two.id", Kind::Missing, &["0", "1"]);
    check_error("$ref:op1.items.id", Kind::Missing, &["items.0", "items.1"]);
    let error = check_error("${ref:op1.id.x}", Kind::Missing, &[]);
    assert_eq!(error.to_string(), "the result of `op1` has no `id.x`; there is nothing to refer to there");
    check_error("$ref:none.id", Kind::Missing, &[]);
}

#[test]
fn validate_references_extraction() {
    let params = json!({
        "a": "$ref:op1.id and ${ref:two.0.id}",
        "b": {"c/d": ["x", "$ref:op1.name"], "e~f": "$$ref:no.reference"},
        "$ref:key.id": 1,
    });
    let found = |pointer: &str, operation: &str| Found { pointer: pointer.into(), operation: operation.into() };
    let expected = vec![found("/a", "op1"), found("/a", "two"), found("/b/c~1d/1", "op1")];
    assert_eq!(collect(&params), Ok(expected));
}

#[test]
fn type_preservation() {
    check("$ref:op1.id", json!(7));
    check("$ref:op1.active", json!(true));
    check("$ref:op1.price", number("12345678901234567890.123456789012345678"));
    check("$ref:op1.tags", json!(["a", "b"]));
    // Only a reference that is the whole string keeps its type.
    check(" $ref:op1.id", json!(" 7"));
    check("$ref:op1.id.", json!("7."));
}

#[test]
fn array_indexing() {
    check("$ref:op1.items.0.id", json!(10));
    check("$ref:op1.items.1.sku", json!("y"));
    check("$ref:two.0.id", json!(1));
    check_error("$ref:op1.items.2.id", Kind::Missing, &["items.0", "items.1"]);
}

#[test]
fn multiple_refs_in_single_string() {
    check("$ref:op1.id $ref:op1.id2", json!("7 8"));
    check("$ref:op1.id2$ref:op1.id", json!("87"));
    check("${ref:op1.id}${ref:op1.name}-$ref:two.1.id", json!("7Zoë-2"));
}

// Bare references: where the path ends.

#[test]
fn the_longest_path_that_exists_wins() {
    let data = json!([{"id": 1, "id_suffix": 2, "id_suffix_": 3, "_": 4, "a": {"b": 5, "b_c": 6}}]);
    let results = Results(vec![("op", Some(data))]);
    let cases = [
        ("$ref:op.id_suffix", json!(2)),
        ("$ref:op.id_suffix_", json!(3)),
        ("$ref:op.id_suffix_x", json!("2_x")),
        ("$ref:op.id_suffi", json!("1_suffi")),
        ("$ref:op.id__x", json!("1__x")),
        ("$ref:op.a.b_c", json!(6)),
        ("$ref:op.a.b_d.e", json!("5_d.e")),
        ("$ref:op.id.org", json!("1.org")),
        ("$ref:op.id_suffix.org_x", json!("2.org_x")),
        ("$ref:op.__", json!("4_")),
        ("$ref:op._", json!(4)),
    ];
    for (text, expected) in cases {
        assert_eq!(resolve(&json!(text), &results, &mut plenty()), Ok(expected), "{text}");
    }
}

#[test]
fn what_backing_off_reaches_is_a_scalar() {
    // A misspelt name in an object or a list is an error, not its JSON with text behind it.
    check_error("$ref:op1.address.stret", Kind::Missing, &["address.street", "address.geo"]);
    let error = run(&json!("$ref:op1.items_count")).expect_err("a list is not a scalar");
    assert_eq!(error.kind, Kind::Missing);
    check_error("$ref:two.0.idd", Kind::Missing, &["0.id"]);
    check("$ref:op1.tags.0_x", json!("a_x"));
    check("$ref:op1.middle_x", json!("null_x"));
}

#[test]
fn a_braced_path_is_exact() {
    check("${ref:op1.id}_suffix", json!("7_suffix"));
    check("${ref:op1.address}.", json!(r#"{"street":"Main St","geo":{"lat":1}}."#));
    let error = run(&json!("${ref:op1.id_suffix}")).expect_err("not there");
    assert_eq!(error.kind, Kind::Missing);
}

#[test]
fn dots_that_end_a_bare_path_are_text() {
    check("$ref:op1.name...", json!("Zoë..."));
    check("$ref:op1.name. Then", json!("Zoë. Then"));
    check("($ref:op1.id), \"$ref:op1.id\"", json!("(7), \"7\""));
}

#[test]
fn text_around_references_may_be_any_unicode() {
    check("→$ref:op1.name←", json!("→Zoë←"));
    check("日本$ref:op1.idé", json!("日本7é"));
    check("🦀${ref:op1.name}🦀$ref:op1.id2🦀", json!("🦀Zoë🦀8🦀"));
    check("$é$", json!("$é$"));
}

#[test]
fn a_long_text_of_underscores_is_read_in_no_time() {
    let tail = "_x".repeat(500_000);
    let text = format!("$ref:op1.id{tail}");
    check_error_kind(&text.replace("id_x", "zz_x"), Kind::Missing);
    check(&text, json!(format!("7{tail}")));
}

#[track_caller]
fn check_error_kind(text: &str, kind: Kind) {
    let error = run(&json!(text)).expect_err("unresolved");
    assert_eq!(error.kind, kind);
    assert!(error.to_string().len() < 5_000, "a message stays short");
}

// Paths.

#[test]
fn the_index_may_be_left_out_on_a_one_record_result_only() {
    check("$ref:op1.id", json!(7));
    check("$ref:op1.0.id", json!(7));
    check_error("$ref:two.id", Kind::Missing, &["0", "1"]);
    check_error("$ref:op1.0.items.sku", Kind::Missing, &["0.items.0", "0.items.1"]);
    // A list inside a record is not a result, however short.
    let results = Results(vec![("op", Some(json!([{"items": [{"id": 1}], "2024": "x"}])))]);
    let error = resolve(&json!("$ref:op.items.id"), &results, &mut plenty()).expect_err("needs its index");
    assert_eq!(error.available, ["items.0"]);
    // A field whose name is a number is found where there is no such index.
    assert_eq!(resolve(&json!("$ref:op.2024"), &results, &mut plenty()), Ok(json!("x")));
}

#[test]
fn an_index_that_no_list_has_is_missing() {
    for index in ["99999999999999999999", "18446744073709551615", "2", "00", "01", "1e0", "x"] {
        check_error(&format!("${{ref:op1.items.{index}}}"), Kind::Missing, &["items.0", "items.1"]);
        check_error(&format!("$ref:op1.items.{index}.id"), Kind::Missing, &["items.0", "items.1"]);
    }
    check_error("$ref:two.99999999999999999999", Kind::Missing, &["0", "1"]);
}

#[test]
fn an_index_cannot_be_negative() {
    check_malformed("$ref:op1.items.-1", 15, Problem::Character('-'));
    check_malformed("$ref:op1.-1", 9, Problem::Character('-'));
    check_malformed("${ref:op1.items.-1}", 16, Problem::EmptyName);
    check("${ref:op1.id}.-1", json!("7.-1"));
    check("$ref:op1.id.- or", json!("7.- or"));
}

#[test]
fn a_result_that_is_one_object_is_its_own_record() {
    let results = Results(vec![("op", Some(json!({"id": 1, "sub": {"x": [5]}}))), ("n", Some(json!(3)))]);
    assert_eq!(resolve(&json!("$ref:op.sub.x.0"), &results, &mut plenty()), Ok(json!(5)));
    assert!(resolve(&json!("$ref:n.x"), &results, &mut plenty()).is_err());
}

#[test]
fn what_there_is_is_told_briefly() {
    let record: Value = (0..30).map(|i| (format!("f{i}"), json!(i))).collect::<serde_json::Map<_, _>>().into();
    let results = Results(vec![("op", Some(json!([record]))), ("long", Some(json!([{"k".repeat(5_000): 1}])))]);
    let error = resolve(&json!("$ref:op.x"), &results, &mut plenty()).expect_err("not there");
    assert_eq!(error.available.len(), 21);
    assert_eq!(error.available.last().map(String::as_str), Some("…"));
    let error = resolve(&json!("$ref:long.x"), &results, &mut plenty()).expect_err("not there");
    assert!(error.to_string().len() < 300);
}

// Values in text.

#[test]
fn values_inside_text_become_json_text() {
    check("<$ref:op1.active>", json!("<true>"));
    check("<$ref:op1.middle>", json!("<null>"));
    check("<$ref:op1.name>", json!("<Zoë>"));
    check("<$ref:op1.empty>", json!("<>"));
    check("<$ref:op1.tags>", json!(r#"<["a","b"]>"#));
    check("<$ref:op1.address>", json!(r#"<{"street":"Main St","geo":{"lat":1}}>"#));
    check("<$ref:op1.price>", json!("<12345678901234567890.123456789012345678>"));
}

#[test]
fn substituted_text_is_never_scanned_again() {
    check("$ref:op1.template", json!("$ref:op1.id"));
    check("<${ref:op1.template}>", json!("<$ref:op1.id>"));
    // Nor does it join with the text around it.
    let results = Results(vec![("op", Some(json!([{"d": "$", "r": "ref:op.x", "b": "{ref:op.x}"}])))]);
    for (text, expected) in [
        ("${ref:op.d}ref:op.x", "$ref:op.x"),
        ("$${ref:op.d}", "${ref:op.d}"),
        ("$ $ref:op.r", "$ ref:op.x"),
        ("$$$ref:op.r", "$ref:op.x"),
        ("$$${ref:op.b}", "${ref:op.x}"),
    ] {
        assert_eq!(resolve(&json!(text), &results, &mut plenty()), Ok(json!(expected)), "{text}");
    }
}

#[test]
fn a_doubled_dollar_is_a_literal_one() {
    check("$$ref:op1.id", json!("$ref:op1.id"));
    check("$${ref:op1.id}", json!("${ref:op1.id}"));
    check("a $$ref:op1.id $ref:op1.id", json!("a $ref:op1.id 7"));
    check("$$ref: nothing", json!("$ref: nothing"));
    check("$$$ref:op1.id", json!("$7"));
    check("$$$$ref:op1.id", json!("$$ref:op1.id"));
    check("$$$$${ref:op1.id}", json!("$$7"));
}

#[test]
fn dollars_before_anything_else_are_text() {
    for text in
        ["$", "$$", "$5", "$$5", "$ref", "$Ref:op1.id", "${ref}", "$ {ref:op1.id}", "$re$", "ref:op1.id", "{ref:x}", ""]
    {
        check(text, json!(text));
        assert!(!contains_reference(&json!(text)), "{text}");
    }
}

#[test]
fn keys_and_other_values_stay_as_they_are() {
    let value = json!({"$ref:op1.id": "$ref:op1.id", "$$ref:x": [1.5, null, false]});
    assert_eq!(run(&value), Ok(json!({"$ref:op1.id": 7, "$$ref:x": [1.5, null, false]})));
}

#[test]
fn an_error_points_at_its_string() {
    let value = json!({"a": [0, {"b/c": "$ref:op1.nope"}]});
    let error = run(&value).expect_err("not there");
    assert_eq!(error.pointer, "/a/1/b~1c");
}

// What the client wrote and what came from results.

fn resolved(text: &str) -> Resolved {
    resolve_text(text, &results(), &mut plenty()).expect(text)
}

#[test]
fn a_substituted_value_is_never_an_operator() {
    let whole = resolved("$ref:op1.operator");
    assert_eq!((&whole.value, &whole.origin, whole.written()), (&json!("gt::5"), &Origin::Whole, ""));

    let operand = resolved("lt::$ref:op1.operator");
    assert_eq!((&operand.value, operand.written()), (&json!("lt::gt::5"), "lt::"));

    // An operator that is only completed by a value is none.
    let results = Results(vec![("op", Some(json!([{"rest": "t::5", "colons": "::5", "empty": ""}])))]);
    for (text, value, written) in
        [("g$ref:op.rest", "gt::5", "g"), ("gt$ref:op.colons", "gt::5", "gt"), ("gt${ref:op.empty}::5", "gt::5", "gt")]
    {
        let resolved = resolve_text(text, &results, &mut plenty()).expect(text);
        assert_eq!((resolved.value.as_str(), resolved.written()), (Some(value), written), "{text}");
    }
}

#[test]
fn what_was_written_is_known_to_the_byte() {
    let plain = resolved("gt::5");
    assert_eq!((&plain.origin, plain.written()), (&Origin::Written, "gt::5"));
    assert_eq!(resolved("$$ref:x").origin, Origin::Written);
    let list = resolved("in::é$ref:op1.name,$ref:op1.id_x,${ref:op1.empty}");
    assert_eq!(list.value, json!("in::éZoë,7_x,"));
    assert_eq!(list.origin, Origin::Within(vec![6..10, 11..12, 15..15]));
    assert_eq!(list.written(), "in::é");
    // Backed off, the string is no longer one reference.
    assert_eq!(resolved("$ref:op1.id_x").origin, Origin::Within(std::iter::once(0..1).collect()));
}

// Limits.

#[test]
fn the_bytes_put_into_an_operation_are_bounded() {
    let results = Results(vec![("op", Some(json!([{"s": "x".repeat(10), "o": {"a": "é"}}])))]);
    let text = json!("$ref:op.s");
    for (value, bytes) in
        [(&text, 10), (&json!("<$ref:op.s>"), 10), (&json!("$ref:op.o"), 10), (&json!("-$ref:op.o"), 10)]
    {
        assert!(resolve(value, &results, &mut Budget::new(bytes, 100)).is_ok(), "{value}");
        let error = resolve(value, &results, &mut Budget::new(bytes - 1, 100)).expect_err("too large");
        assert_eq!(error.kind, Kind::OperationLimit(bytes - 1), "{value}");
    }
    // All strings of an operation together, and each operation anew.
    let mut budget = Budget::new(20, 100);
    assert!(resolve(&json!([text, text]), &results, &mut budget).is_ok());
    assert!(resolve(&text, &results, &mut budget).is_err());
    budget.start_operation();
    assert!(resolve(&text, &results, &mut budget).is_ok());
}

#[test]
fn the_bytes_put_into_a_batch_are_bounded() {
    let results = Results(vec![("op", Some(json!([{"s": "x".repeat(10)}])))]);
    let mut budget = Budget::new(20, 35);
    for _ in 0..3 {
        budget.start_operation();
        assert!(resolve(&json!("$ref:op.s"), &results, &mut budget).is_ok());
    }
    budget.start_operation();
    let error = resolve(&json!("$ref:op.s"), &results, &mut budget).expect_err("35 bytes are less than 40");
    assert_eq!(error.kind, Kind::BatchLimit(35));
    assert_eq!(error.to_string(), "references may put 35 bytes into one batch");
}

#[test]
fn what_exceeds_the_budget_is_never_built() {
    // Ten thousand times one megabyte, were it built first.
    let results = Results(vec![("op", Some(json!([{"s": vec!["x".repeat(1_000); 1_000]}])))]);
    let text = json!("-${ref:op.s}".repeat(10_000));
    let error = resolve(&text, &results, &mut Budget::new(2_500_000, usize::MAX)).expect_err("too large");
    assert_eq!(error.kind, Kind::OperationLimit(2_500_000));
}

#[test]
fn references_in_one_operation_are_bounded() {
    let references = |n: usize| json!({"a": vec!["$ref:op.x"; n]});
    let most = MAX_REFERENCES_PER_OPERATION;
    assert_eq!(collect(&references(most)).map(|found| found.len()), Ok(most));
    let errors = collect(&references(most + 50)).expect_err("too many");
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].problem, Problem::TooMany);
    assert_eq!(errors[0].pointer, format!("/a/{most}"));

    let broken = json!({"k".repeat(100_000): vec!["$ref:"; 100_000]});
    let errors = collect(&broken).expect_err("malformed");
    assert!(errors.len() <= most + 1);
    assert!(errors.iter().all(|error| error.pointer.len() < 2_000));
}

// Malformed references.

#[test]
fn a_malformed_reference_is_told_with_its_place() {
    let long = "x".repeat(65);
    let cases = [
        ("$ref:", 5, Problem::NoOperation),
        ("é $ref: x", 7, Problem::NoOperation),
        ("$ref:.id", 5, Problem::NoOperation),
        ("${ref:}", 6, Problem::NoOperation),
        ("$ref:-op.id", 5, Problem::Character('-')),
        ("$ref:é.id", 5, Problem::Character('é')),
        ("$ref:op-1.id", 7, Problem::Character('-')),
        ("$ref:$ref:op.id", 5, Problem::Character('$')),
        (&format!("$ref:{long}.id"), 5, Problem::OperationTooLong),
        (&format!("${{ref:{long}.id}}"), 6, Problem::OperationTooLong),
        ("$ref:op", 7, Problem::NoPath),
        ("$ref:op and", 7, Problem::NoPath),
        ("$ref:op.", 8, Problem::NoPath),
        ("$ref:op. Then", 8, Problem::NoPath),
        ("${ref:op}", 8, Problem::NoPath),
        ("${ref:op.}", 9, Problem::NoPath),
        ("$ref:op.[0]", 8, Problem::Character('[')),
        ("$ref:op..id", 8, Problem::EmptyName),
        ("$ref:op..", 8, Problem::EmptyName),
        ("$ref:op.a..b", 10, Problem::EmptyName),
        ("${ref:op.a..b}", 11, Problem::EmptyName),
        ("${ref:op.a.}", 11, Problem::EmptyName),
        ("${ref:op.a", 10, Problem::Unclosed),
        ("${ref:op.", 9, Problem::Unclosed),
        ("${ref:op", 8, Problem::Unclosed),
        ("${ref:", 6, Problem::Unclosed),
        ("${ref:op.a b}", 10, Problem::Unclosed),
        ("${ref:op.a-b}", 10, Problem::Character('-')),
        ("${ref:op.a${ref:op.b}}", 10, Problem::Character('$')),
        ("ok $ref:op.id then $ref:", 24, Problem::NoOperation),
        ("$$$ref:", 7, Problem::NoOperation),
    ];
    for (text, position, problem) in cases {
        check_malformed(text, position, problem);
        assert!(contains_reference(&json!(text)), "{text}");
        let error = run(&json!([text])).expect_err(text);
        assert_eq!((error.kind, error.pointer.as_str()), (Kind::Malformed(problem), "/0"), "{text}");
    }
    assert!(Template::parse(&format!("$ref:{}.id", &long[1..])).is_ok());
}

#[test]
fn every_malformed_string_is_told_at_once() {
    let value = json!({"a": "$ref:", "b": ["fine", "$ref:op1.id", "${ref:op1.id"]});
    let errors = collect(&value).expect_err("two problems");
    let told: Vec<_> = errors.iter().map(|error| (error.pointer.as_str(), error.position, error.problem)).collect();
    assert_eq!(told, [("/a", 5, Problem::NoOperation), ("/b/2", 12, Problem::Unclosed)]);
}

#[test]
fn a_message_says_how_to_mend_it() {
    let error = Template::parse("x $ref:op").expect_err("no path");
    assert_eq!(
        error.to_string(),
        "at character 9: a reference names a field of the operation's result: write `$ref:operation.field`, \
         or `${ref:operation.field}` before more text; for the characters themselves double the `$`"
    );
    let error = Template::parse("$ref:op-1.id").expect_err("a hyphen");
    assert!(error.to_string().starts_with("at character 7: `-` cannot stand here; names have letters"), "{error}");
}

#[test]
fn templates_tell_their_parts() {
    let template = Template::parse("a $ref:op1.b_c. ${ref:op2.d}").expect("well formed");
    assert!(!template.is_literal());
    let parts: Vec<_> = template.references().map(|r| (r.operation, r.path, r.braced)).collect();
    assert_eq!(parts, [("op1", "b_c", false), ("op2", "d", true)]);
    assert_eq!(Template::parse("plain").expect("text").segments, [Segment::Text("plain")]);
    assert!(Template::parse("$$ref:op1.id").expect("text").is_literal());
}

// For any text.

/// Text that is likely to be, or almost to be, a reference.
fn tricky_text() -> impl Strategy<Value = String> {
    let pieces = [
        "$ref:one.",
        "${ref:one.",
        "$ref:many.",
        "$ref:",
        "${ref:",
        "$$ref:",
        "$",
        "ref:",
        "{",
        "}",
        "one",
        "many",
        "bad",
        "nobody",
        ".",
        "..",
        "_",
        "a",
        "b",
        "a_b",
        "id",
        "id_x",
        "0",
        "1",
        "01",
        "-1",
        " ",
        "é",
        "::",
        ",",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..10).prop_map(|parts| parts.concat())
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        tricky_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((name(), inner), 0..4).prop_map(object),
        ]
    })
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "a_b", "id", "id_x", "_", "a_"])
}

fn object(fields: Vec<(&str, Value)>) -> Value {
    Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn any_results() -> impl Strategy<Value = Results> {
    let record = || prop::collection::vec((name(), any_value()), 0..5).prop_map(object);
    (record(), prop::collection::vec(record(), 2..4))
        .prop_map(|(one, many)| Results(vec![("one", Some(json!([one]))), ("many", Some(json!(many))), ("bad", None)]))
}

/// The rules once more, character by character and without care for speed; nothing on any error.
fn naive(value: &Value, results: &Results) -> Option<Value> {
    match value {
        Value::String(text) => naive_text(&text.chars().collect::<Vec<_>>(), results),
        Value::Array(items) => {
            items.iter().map(|item| naive(item, results)).collect::<Option<Vec<_>>>().map(Value::from)
        }
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, field)| Some((name.clone(), naive(field, results)?)));
            fields.collect::<Option<serde_json::Map<_, _>>>().map(Value::from)
        }
        other => Some(other.clone()),
    }
}

fn naive_text(text: &[char], results: &Results) -> Option<Value> {
    let begins = |at: usize, word: &str| word.chars().enumerate().all(|(i, c)| text.get(at + i) == Some(&c));
    let (mut out, mut at) = (String::new(), 0);
    while at < text.len() {
        if text[at] != '$' {
            out.push(text[at]);
            at += 1;
            continue;
        }
        let after = (at..text.len()).find(|&i| text[i] != '$').unwrap_or(text.len());
        let (dollars, braced) = (after - at, begins(after, "{ref:"));
        if !braced && !begins(after, "ref:") {
            out.push_str(&"$".repeat(dollars));
            at = after;
            continue;
        }
        out.push_str(&"$".repeat(dollars / 2));
        at = after;
        if dollars % 2 == 1 {
            let body = after + if braced { 5 } else { 4 };
            let (value, end) = naive_reference(text, body, braced, results)?;
            if out.is_empty() && dollars == 1 && after == 1 && end == text.len() {
                return Some(value);
            }
            out.push_str(&value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            at = end;
        }
    }
    Some(Value::from(out))
}

/// The value of the reference whose operation begins at `at`, and where the text goes on.
fn naive_reference(text: &[char], at: usize, braced: bool, results: &Results) -> Option<(Value, usize)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let stop =
        |at: usize, fits: &dyn Fn(char) -> bool| (at..text.len()).find(|&i| !fits(text[i])).unwrap_or(text.len());
    let dot = stop(at, &is_word);
    if dot == at || dot - at > 64 || text.get(dot) != Some(&'.') {
        return None;
    }
    let operation: String = text[at..dot].iter().collect();
    let start = dot + 1;
    let mut end = stop(start, &|c| is_word(c) || c == '.');
    if braced && text.get(end) != Some(&'}') {
        return None;
    }
    while !braced && end > start && text[end - 1] == '.' {
        end -= 1;
    }
    let path: String = text[start..end].iter().collect();
    if path.split('.').any(str::is_empty) {
        return None;
    }
    let rest: String = text[end..].iter().take(3).collect();
    if !braced && rest.starts_with(".-") && rest.ends_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let Outcome::Data(data) = results.outcome(&operation) else { return None };
    if braced {
        return Some((naive_get(data, &path)?, end + 1));
    }
    let is_end = |&length: &usize| path[length..].is_empty() || path[length..].starts_with(['_', '.']);
    let (length, value) = (1..=path.len())
        .rev()
        .filter(is_end)
        .filter(|&length| !path[..length].ends_with('.'))
        .find_map(|length| Some((length, naive_get(data, &path[..length])?)))?;
    let exists = length == path.len() || !(value.is_array() || value.is_object());
    exists.then_some((value, start + length))
}

/// Every way to read `path` turned into a JSON pointer.
fn naive_get(data: &Value, path: &str) -> Option<Value> {
    let pointer = format!("/{}", path.replace('.', "/"));
    let records = data.as_array()?;
    let implied = if records.len() == 1 { records[0].pointer(&pointer) } else { None };
    data.pointer(&pointer).or(implied).cloned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn resolving_follows_the_rules(results in any_results(), value in any_value()) {
        prop_assert_eq!(resolve(&value, &results, &mut plenty()).ok(), naive(&value, &results));
    }

    #[test]
    fn resolving_a_text_follows_the_rules(results in any_results(), text in tricky_text()) {
        let resolved = resolve_text(&text, &results, &mut plenty()).ok();
        prop_assert_eq!(resolved.map(|resolved| resolved.value), naive(&Value::from(text), &results));
    }

    #[test]
    fn no_text_panics(results in any_results(), text in prop_oneof![tricky_text(), any::<String>()]) {
        let value = json!([text]);
        let outcome = resolve(&value, &results, &mut Budget::new(50, 80));
        if let Err(error) = &outcome {
            prop_assert!(!error.to_string().is_empty());
        }
        prop_assert_eq!(collect(&value).is_err(), Template::parse(&text).is_err());
        let holds = collect(&value).map_or(true, |found| !found.is_empty());
        prop_assert_eq!(contains_reference(&value), holds);
    }

    #[test]
    fn any_text_can_be_written_literally(text in prop_oneof![tricky_text(), any::<String>()]) {
        let chars: Vec<char> = text.chars().collect();
        let mut escaped = String::new();
        for (at, c) in chars.iter().enumerate() {
            let rest: String = chars[at..].iter().collect();
            let rest = rest.trim_start_matches('$');
            let doubled = *c == '$' && (rest.starts_with("ref:") || rest.starts_with("{ref:"));
            escaped.push(*c);
            if doubled {
                escaped.push('$');
            }
        }
        prop_assert!(!contains_reference(&Value::from(escaped.clone())));
        prop_assert_eq!(run(&Value::from(escaped)), Ok(Value::from(text)));
    }

    #[test]
    fn what_came_from_results_is_exactly_what_is_marked(results in any_results(), text in tricky_text()) {
        // An escape is written differently from what it stands for.
        prop_assume!(!text.contains("$$"));
        let Ok(resolved) = resolve_text(&text, &results, &mut plenty()) else { return Ok(()) };
        let references = Template::parse(&text).map_or(0, |template| template.references().count());
        match &resolved.origin {
            Origin::Written => prop_assert_eq!(references, 0),
            Origin::Whole => prop_assert_eq!(references, 1),
            Origin::Within(ranges) => {
                prop_assert_eq!(ranges.len(), references);
                let value = resolved.value.as_str().unwrap_or_default();
                let mut end = 0;
                for range in ranges {
                    // What lies between is the client's: it stands in the text as it was sent.
                    prop_assert!(text.contains(&value[end..range.start]));
                    end = range.end;
                }
                prop_assert!(text.ends_with(&value[end..]));
            }
        }
    }
}
