//! Tables: what the template declares, against the keys of what the service wrote and the indexes it asked.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::calls::life;
use super::files::{TEMPLATE, resource};

/// The tables of the template by name.
pub fn tables() -> BTreeMap<&'static str, &'static Value> {
    let resources = TEMPLATE["Resources"].as_object().unwrap().iter();
    let tables = resources.filter(|(_, resource)| resource["Type"] == "AWS::DynamoDB::Table");
    tables.map(|(name, resource)| (name.as_str(), &resource["Properties"])).collect()
}

/// The names of a table's indexes.
pub fn indexes(table: &str) -> Vec<&'static str> {
    let indexes = resource(table)["Properties"]["GlobalSecondaryIndexes"].as_array();
    indexes.into_iter().flatten().map(|index| index["IndexName"].as_str().unwrap()).collect()
}

fn key(schema: &Value) -> Vec<(&str, &str)> {
    let parts = schema.as_array().unwrap().iter();
    parts.map(|part| (part["AttributeName"].as_str().unwrap(), part["KeyType"].as_str().unwrap())).collect()
}

#[test]
fn tables_are_kept_encrypted_restorable_and_paid_for_by_use() {
    for (name, properties) in tables() {
        assert_eq!(properties["BillingMode"], "PAY_PER_REQUEST", "{name}");
        assert_eq!(properties["DeletionProtectionEnabled"], true, "{name}");
        assert_eq!(properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true, "{name}");
        assert_eq!(properties["SSESpecification"]["SSEEnabled"], true, "{name}");
        // Search rows go with their memories.
        let ttl = (name != "SearchTable").then(|| json!({ "AttributeName": "ttl", "Enabled": true }));
        assert_eq!(properties.get("TimeToLiveSpecification"), ttl.as_ref(), "{name}");
        assert_eq!(resource(name)["DeletionPolicy"], "Retain", "{name}");
        assert_eq!(resource(name)["UpdateReplacePolicy"], "Retain", "{name}");
    }
}

#[test]
fn key_attributes_are_defined_once_and_all_are_texts() {
    for (name, properties) in tables() {
        let defined: Vec<&str> = properties["AttributeDefinitions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|attribute| {
                assert_eq!(attribute["AttributeType"], "S", "{name}");
                attribute["AttributeName"].as_str().unwrap()
            })
            .collect();
        let indexes = properties["GlobalSecondaryIndexes"].as_array().cloned().unwrap_or_default();
        let keys = indexes.iter().map(|index| &index["KeySchema"]).chain([&properties["KeySchema"]]);
        let used: BTreeSet<&str> = keys.flat_map(key).map(|(attribute, _)| attribute).collect();
        assert_eq!(defined.iter().copied().collect::<BTreeSet<_>>(), used, "{name}");
        assert_eq!(defined.len(), used.len(), "{name}");
        for index in &indexes {
            assert_eq!(index["Projection"], json!({ "ProjectionType": "KEYS_ONLY" }), "{name}");
        }
    }
}

#[test]
fn the_tests_run_on_the_tables_of_the_template() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let world = runtime.block_on(batch_tests::World::new());
    for (name, properties) in tables() {
        let request = serde_json::from_value(json!({ "TableName": name })).unwrap();
        let described = world.seam.database().describe_table(request).unwrap();
        let described = serde_json::to_value(described).unwrap();
        let table = &described["Table"];
        assert_eq!(key(&table["KeySchema"]), key(&properties["KeySchema"]), "{name}");
        let of = |indexes: &Value| -> BTreeMap<String, Value> {
            let indexes = indexes.as_array().cloned().unwrap_or_default();
            indexes
                .into_iter()
                .map(|index| {
                    let keys: Vec<String> =
                        key(&index["KeySchema"]).iter().map(|(name, kind)| format!("{name} {kind}")).collect();
                    (
                        index["IndexName"].as_str().unwrap().to_owned(),
                        json!([keys, index["Projection"]["ProjectionType"]]),
                    )
                })
                .collect()
        };
        assert_eq!(of(&table["GlobalSecondaryIndexes"]), of(&properties["GlobalSecondaryIndexes"]), "{name}");
    }
}

/// Names in an expression stand for attributes.
fn attribute(call: &Value, name: &str) -> String {
    call["ExpressionAttributeNames"][name].as_str().unwrap_or(name).to_owned()
}

#[test]
fn every_query_is_by_the_key_of_its_table_or_index() {
    let mut asked = BTreeSet::new();
    for (_, call) in life().iter().filter(|(_, call)| call.operation == "Query") {
        let table = call.body["TableName"].as_str().unwrap();
        let properties = tables()[table];
        let schema = match call.body["IndexName"].as_str() {
            None => key(&properties["KeySchema"]),
            Some(name) => {
                asked.insert((table, name));
                let indexes = properties["GlobalSecondaryIndexes"].as_array().unwrap();
                key(&indexes.iter().find(|index| index["IndexName"] == name).expect(name)["KeySchema"])
            }
        };
        let condition = call.body["KeyConditionExpression"].as_str().unwrap();
        let hash = condition.split(['=', ' ']).next().unwrap();
        assert_eq!(attribute(&call.body, hash), schema[0].0, "{condition}");
        if let Some((_, range)) = condition.split_once("begins_with(") {
            assert_eq!(attribute(&call.body, range.split(',').next().unwrap()), schema[1].0, "{condition}");
        }
    }
    let declared: BTreeSet<(&str, &str)> =
        tables().keys().flat_map(|table| indexes(table).into_iter().map(|index| (*table, index))).collect();
    assert_eq!(asked, declared);
}

#[test]
fn every_index_is_filled() {
    let mut written: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (_, call) in life() {
        let items = call.body["TransactItems"].as_array().into_iter().flatten().map(|item| &item["Put"]);
        for put in items.chain([&call.body]).filter(|put| put["Item"].is_object()) {
            let names = put["Item"].as_object().unwrap().keys().map(String::as_str);
            written.entry(put["TableName"].as_str().unwrap()).or_default().extend(names);
        }
    }
    for (name, properties) in tables() {
        let Some(indexes) = properties["GlobalSecondaryIndexes"].as_array() else { continue };
        for (attribute, _) in indexes.iter().flat_map(|index| key(&index["KeySchema"])) {
            assert!(written[name].contains(attribute), "{name} {attribute}");
        }
        assert!(written[name].contains("ttl"), "{name}");
    }
}
