//! Rights: each role allows what its function was seen to call, and what Lambda does in its name, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use batch_core::config::Function;
use batch_tests::seam::Call;
use serde_json::{Value, json};

use super::calls::life;
use super::files::{FUNCTIONS, TEMPLATE, name_of, resource};
use super::tables::indexes;

/// Action and resource, with the operations it must be part of; none where it may be called by itself.
type Rights = BTreeMap<(String, String), BTreeSet<String>>;

/// The rights that a call needs: (action, resource, transaction it is part of).
///
/// The parts of a transaction are authorised one by one, as the action of the same name
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html>).
fn needs(call: &Call) -> Vec<(String, String, Option<&str>)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (operation, body) = (call.operation.as_str(), &call.body);
    match operation {
        name @ ("SendMessage" | "ChangeMessageVisibility") => {
            vec![(format!("sqs:{name}"), text(&body["QueueUrl"]).rsplit('/').next().unwrap().into(), None)]
        }
        "BatchGetItem" => {
            let tables = body["RequestItems"].as_object().unwrap().keys();
            tables.map(|table| ("dynamodb:BatchGetItem".into(), table.clone(), None)).collect()
        }
        "TransactWriteItems" | "TransactGetItems" => body["TransactItems"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|item| item.as_object().unwrap())
            .map(|(part, item)| {
                let action =
                    if part == "ConditionCheck" { "ConditionCheckItem".to_owned() } else { format!("{part}Item") };
                (format!("dynamodb:{action}"), text(&item["TableName"]), Some(operation))
            })
            .collect(),
        _ => {
            let mut place = text(&body["TableName"]);
            if let Some(index) = body["IndexName"].as_str() {
                place = format!("{place}/index/{index}");
            }
            vec![(format!("dynamodb:{operation}"), place, None)]
        }
    }
}

fn called(function: Function) -> Rights {
    let mut contexts: BTreeMap<(String, String), BTreeSet<Option<&str>>> = BTreeMap::new();
    for (_, call) in life().iter().filter(|(caller, _)| *caller == function) {
        for (action, place, within) in needs(call) {
            contexts.entry((action, place)).or_default().insert(within);
        }
    }
    // What is also called by itself can't be bound to a transaction.
    let bound = |contexts: BTreeSet<Option<&str>>| {
        let all: Option<BTreeSet<String>> = contexts.into_iter().map(|within| within.map(str::to_owned)).collect();
        all.unwrap_or_default()
    };
    contexts.into_iter().map(|(right, contexts)| (right, bound(contexts))).collect()
}

/// What Lambda itself does with the role of a function: it writes the log, and takes messages from the queues.
fn done_by_lambda(function: Function) -> Rights {
    let log = format!("{}LogGroup", name_of(function));
    let mut rights = vec![("logs:CreateLogStream", log.clone()), ("logs:PutLogEvents", log)];
    if function == Function::Executor {
        for action in ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"] {
            rights.extend(["BatchQueue", "BatchDeadLetterQueue"].map(|queue| (action, queue.to_owned())));
        }
    }
    rights.into_iter().map(|(action, place)| ((action.to_owned(), place), BTreeSet::new())).collect()
}

fn list(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |items| items.iter().collect())
}

/// The resources that an ARN of the template stands for, by their names in it.
fn places(arn: &Value) -> Vec<String> {
    if let Some(attribute) = arn["GetAtt"].as_str() {
        return vec![attribute.strip_suffix(".Arn").expect("an ARN").to_owned()];
    }
    let text = arn["Sub"].as_str().expect("an ARN of this stack");
    let (table, index) = text.strip_prefix("${").and_then(|rest| rest.split_once(".Arn}/index/")).expect("an index");
    let indexes = if index == "*" { indexes(table) } else { vec![index] };
    assert!(indexes.iter().all(|name| self::indexes(table).contains(name)), "{text}");
    indexes.into_iter().map(|index| format!("{table}/index/{index}")).collect()
}

fn statements(function: &str) -> Vec<&'static Value> {
    let properties = &resource(&format!("{function}Role"))["Properties"];
    assert_eq!(properties.get("ManagedPolicyArns"), None, "{function}");
    // What stands under a condition is for a service that is asked for (`operations.rs`).
    let policies = properties["Policies"].as_array().unwrap().iter().filter(|policy| policy.get("If").is_none());
    policies.flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().unwrap()).collect()
}

fn granted(function: &str) -> Rights {
    let mut rights = Rights::new();
    for statement in statements(function) {
        assert_eq!(statement["Effect"], "Allow", "{statement}");
        let within: BTreeSet<String> = match statement.get("Condition") {
            None => BTreeSet::new(),
            Some(condition) => {
                let operations = &condition["ForAnyValue:StringEquals"]["dynamodb:EnclosingOperation"];
                assert_eq!(
                    *condition,
                    json!({ "ForAnyValue:StringEquals": { "dynamodb:EnclosingOperation": operations } })
                );
                list(operations).into_iter().map(|operation| operation.as_str().unwrap().to_owned()).collect()
            }
        };
        for action in list(&statement["Action"]) {
            for place in list(&statement["Resource"]).into_iter().flat_map(places) {
                let right = (action.as_str().unwrap().to_owned(), place);
                assert!(
                    rights.insert(right.clone(), within.clone()).is_none(),
                    "{function}: {right:?} is granted twice"
                );
            }
        }
    }
    rights
}

#[test]
fn each_function_may_do_exactly_what_it_does() {
    for (function, name) in FUNCTIONS {
        let mut needed = called(function);
        needed.extend(done_by_lambda(function));
        let granted = granted(name);
        let missing: Vec<_> = needed.iter().filter(|(right, within)| granted.get(*right) != Some(within)).collect();
        let idle: Vec<_> = granted.iter().filter(|(right, within)| needed.get(*right) != Some(within)).collect();
        assert!(missing.is_empty() && idle.is_empty(), "{name}: missing {missing:#?}\nnot needed {idle:#?}");
    }
}

#[test]
fn records_are_written_in_transactions_only() {
    let transaction = BTreeSet::from(["TransactWriteItems".to_owned()]);
    let writes =
        ["PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "PartiQLInsert", "PartiQLUpdate", "PartiQLDelete"];
    for (_, name) in FUNCTIONS {
        let written: Vec<_> = granted(name)
            .into_iter()
            .filter(|((action, place), _)| {
                place == "RecordsTable" && writes.iter().any(|write| action.ends_with(write))
            })
            .collect();
        assert!(written.iter().all(|(_, within)| *within == transaction), "{name}: {written:#?}");
        assert_eq!(written.is_empty(), name == "Status", "{name}");
    }
}

#[test]
fn no_right_has_a_wildcard_but_for_all_indexes_of_a_table() {
    for (_, name) in FUNCTIONS {
        for statement in statements(name) {
            assert!(
                list(&statement["Action"]).iter().all(|action| !action.as_str().unwrap().contains('*')),
                "{statement}"
            );
            for arn in list(&statement["Resource"]) {
                assert!(!arn.to_string().replace(".Arn}/index/*", "").contains('*'), "{statement}");
            }
        }
    }
}

#[test]
fn each_function_has_a_role_of_its_own_and_nobody_else_may_take_it() {
    let mut roles = BTreeSet::new();
    for (_, name) in FUNCTIONS {
        let properties = &resource(&format!("{name}Function"))["Properties"];
        assert_eq!(properties["Role"], json!({ "GetAtt": format!("{name}Role.Arn") }));
        assert_eq!(properties.get("Policies"), None, "a policy beside the role's own");
        let trust = &resource(&format!("{name}Role"))["Properties"]["AssumeRolePolicyDocument"]["Statement"];
        assert_eq!(
            *trust,
            json!([{ "Effect": "Allow", "Principal": { "Service": "lambda.amazonaws.com" }, "Action": "sts:AssumeRole" }])
        );
        roles.insert(name);
    }
    let all =
        TEMPLATE["Resources"].as_object().unwrap().values().filter(|resource| resource["Type"] == "AWS::IAM::Role");
    assert_eq!(all.count(), roles.len());
}

#[test]
fn only_the_minute_rule_may_send_to_the_queue_from_outside() {
    let policies: Vec<&Value> = TEMPLATE["Resources"]
        .as_object()
        .unwrap()
        .values()
        .filter(|resource| resource["Type"] == "AWS::SQS::QueuePolicy")
        .collect();
    let [policy] = policies.as_slice() else { panic!("one queue policy") };
    let [statement] = policy["Properties"]["PolicyDocument"]["Statement"].as_array().unwrap().as_slice() else {
        panic!("one statement")
    };
    assert_eq!(
        (&statement["Action"], &statement["Principal"]),
        (&json!("sqs:SendMessage"), &json!({ "Service": "events.amazonaws.com" }))
    );
    assert_eq!(statement["Condition"], json!({ "ArnEquals": { "aws:SourceArn": { "GetAtt": "MinuteRule.Arn" } } }));
    let rule = &resource("MinuteRule")["Properties"];
    assert_eq!((&rule["ScheduleExpression"], &rule["State"]), (&json!("rate(1 minute)"), &json!("ENABLED")));
    // The event itself is the message, so there is no input that would replace it.
    assert_eq!(rule["Targets"], json!([{ "Id": "batch-queue", "Arn": { "GetAtt": "BatchQueue.Arn" } }]));
}
