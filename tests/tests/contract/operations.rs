//! What operators are given: alarms and the dashboard look at metrics that there are, each alarm is told to the topic and
//! has a runbook, and each parameter is used and listed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use batch_core::batch::Dialect;
use batch_core::config::Config;
use batch_core::metrics::METRICS;
use serde_json::{Value, json};

use super::files::{FUNCTIONS, OPERATIONS, TEMPLATE, resource, walk};
use super::settings::value_of;

/// The namespace of our own metrics, as the template has it.
const OURS: &str = "BatchOperations/${AWS::StackName}";

/// The metrics of AWS that are looked at, with the dimensions that it gives them.
const OF_AWS: &[(&str, &[&str], &[&str])] = &[
    (
        "AWS/SQS",
        &[
            "ApproximateAgeOfOldestMessage",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesVisible",
            "NumberOfMessagesReceived",
        ],
        &["QueueName"],
    ),
    ("AWS/Lambda", &["ConcurrentExecutions", "Duration", "Errors", "Throttles"], &["FunctionName"]),
    ("AWS/ApiGateway", &["5XXError"], &["ApiName", "Stage"]),
    (
        "AWS/DynamoDB",
        &["ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits", "ReadThrottleEvents", "WriteThrottleEvents"],
        &["TableName"],
    ),
    ("AWS/DynamoDB", &["WriteThrottleEvents"], &["TableName", "GlobalSecondaryIndexName"]),
];

/// A metric that somebody looks at: namespace, name, and dimensions with what they stand for.
type Metric = (String, String, BTreeMap<String, String>);

fn of_type(kind: &str) -> BTreeMap<&'static str, &'static Value> {
    let resources = TEMPLATE["Resources"].as_object().unwrap().iter();
    resources.filter(|(_, it)| it["Type"] == kind).map(|(name, it)| (name.as_str(), &it["Properties"])).collect()
}

fn alarms() -> BTreeMap<&'static str, &'static Value> {
    let alarms = of_type("AWS::CloudWatch::Alarm");
    assert!(alarms.len() >= 8, "{alarms:?}");
    alarms
}

/// What a value of the template stands for: a text, or the resource or parameter it names.
fn stands_for(value: &Value) -> String {
    let named = ["Ref", "Sub"].iter().find_map(|key| value[*key].as_str());
    let attribute = value["GetAtt"].as_str().and_then(|text| text.split('.').next());
    named.or(attribute).or(value.as_str()).unwrap_or_else(|| panic!("{value}")).to_owned()
}

fn metric(value: &Value) -> Metric {
    let dimensions = value["Dimensions"].as_array().into_iter().flatten();
    let dimensions = dimensions.map(|it| (stands_for(&it["Name"]), stands_for(&it["Value"]))).collect();
    (stands_for(&value["Namespace"]), stands_for(&value["MetricName"]), dimensions)
}

/// The metrics of an alarm, and whether its expression uses just those.
fn metrics_of(name: &str, alarm: &Value) -> Vec<Metric> {
    let Some(queries) = alarm["Metrics"].as_array() else { return vec![metric(alarm)] };
    let (told, read): (Vec<&Value>, Vec<&Value>) = queries.iter().partition(|query| query["ReturnData"] == true);
    let [told] = told.as_slice() else { panic!("{name} looks at one value") };
    let expression = told["Expression"].as_str().unwrap();
    let words: BTreeSet<&str> = expression
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
        .collect();
    let ids: BTreeSet<&str> = read.iter().map(|query| query["Id"].as_str().unwrap()).collect();
    assert_eq!(words, ids, "{name}");
    // As many as CloudWatch takes.
    assert!(read.len() <= 10, "{name}");
    read.iter().map(|query| metric(&query["MetricStat"]["Metric"])).collect()
}

fn dashboard() -> Value {
    let text = resource("Dashboard")["Properties"]["DashboardBody"]["Sub"].as_str().unwrap();
    serde_json::from_str(text).expect("the dashboard is JSON")
}

fn metrics_of_the_dashboard() -> Vec<Metric> {
    let dashboard = dashboard();
    let widgets = dashboard["widgets"].as_array().unwrap().iter();
    let rows = widgets.flat_map(|widget| widget["properties"]["metrics"].as_array().into_iter().flatten());
    let row = |row: &Value| {
        let texts: Vec<String> = row.as_array().unwrap().iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let [namespace, name, dimensions @ ..] = texts.as_slice() else { panic!("{row}") };
        let plain = |text: &String| text.trim_start_matches("${").split(['}', '.']).next().unwrap().to_owned();
        let dimensions = dimensions.chunks(2).map(|pair| (pair[0].clone(), plain(&pair[1]))).collect();
        (namespace.clone(), name.clone(), dimensions)
    };
    rows.map(row).collect()
}

fn check(place: &str, (namespace, name, dimensions): &Metric) {
    let names: BTreeSet<&str> = dimensions.keys().map(String::as_str).collect();
    if namespace == OURS {
        assert!(METRICS.iter().any(|(known, _)| known == name), "{place}: there is no metric {name}");
        // Either the sum over contracts or one of them: these are told, and nothing else.
        let one = dimensions.get("Contract").is_none_or(|contract| Dialect::parse(contract).is_some());
        assert!(one && names.iter().all(|name| *name == "Contract"), "{place}: {name} {dimensions:?}");
        return;
    }
    let known = OF_AWS.iter().any(|(of, metrics, wanted)| {
        of == namespace && metrics.contains(&name.as_str()) && names == wanted.iter().copied().collect()
    });
    assert!(known, "{place}: {namespace} has no metric {name} by {names:?}");
    for (dimension, value) in dimensions {
        let kind = match dimension.as_str() {
            "QueueName" => "AWS::SQS::Queue",
            "FunctionName" => "AWS::Serverless::Function",
            "TableName" => "AWS::DynamoDB::Table",
            "GlobalSecondaryIndexName" => {
                assert!(super::tables::indexes(&dimensions["TableName"]).contains(&value.as_str()), "{place}: {value}");
                continue;
            }
            // As the API and its stage are named.
            "ApiName" => {
                assert_eq!(stands_for(&resource("Api")["Properties"]["Name"]), "AWS::StackName");
                assert!(value == "AWS::StackName" || value.starts_with("AWS::StackName"), "{place}: {value}");
                continue;
            }
            _ => {
                assert_eq!(
                    (value.as_str(), stands_for(&resource("Api")["Properties"]["StageName"]).as_str()),
                    ("StageName", "StageName")
                );
                continue;
            }
        };
        assert_eq!(resource(value)["Type"], kind, "{place}: {value}");
    }
}

#[test]
fn alarms_and_the_dashboard_look_at_metrics_that_there_are() {
    for (_, function) in FUNCTIONS {
        let variables = &resource(&format!("{function}Function"))["Properties"]["Environment"]["Variables"];
        assert_eq!(variables["METRICS_NAMESPACE"], json!({ "Sub": OURS }), "{function}");
    }
    for (name, alarm) in alarms() {
        for metric in metrics_of(name, alarm) {
            check(name, &metric);
        }
    }
    let shown = metrics_of_the_dashboard();
    for metric in &shown {
        check("Dashboard", metric);
    }
    // Whatever is told is shown.
    let shown: BTreeSet<&str> =
        shown.iter().filter(|(namespace, ..)| namespace == OURS).map(|(_, name, _)| name.as_str()).collect();
    let told: BTreeSet<&str> = METRICS.iter().map(|(name, _)| *name).collect();
    assert_eq!(shown, told);
}

#[test]
fn every_index_and_every_table_is_looked_at_for_throttles() {
    let of = |alarm: &str| -> BTreeSet<Vec<String>> {
        let metrics = metrics_of(alarm, alarms()[alarm]);
        metrics
            .into_iter()
            .map(|(_, name, dimensions)| [name].into_iter().chain(dimensions.into_values()).collect())
            .collect()
    };
    let (mut tables, mut indexes) = (BTreeSet::new(), BTreeSet::new());
    for table in of_type("AWS::DynamoDB::Table").into_keys() {
        for kind in ["Read", "Write"] {
            tables.insert(vec![format!("{kind}ThrottleEvents"), table.to_owned()]);
        }
        for index in super::tables::indexes(table) {
            indexes.insert(vec!["WriteThrottleEvents".to_owned(), index.to_owned(), table.to_owned()]);
        }
    }
    assert_eq!((of("TableThrottlesAlarm"), of("IndexThrottlesAlarm")), (tables, indexes));
}

#[test]
fn each_alarm_is_told_to_the_topic_where_there_is_one() {
    let topic = json!({ "If": ["HasAlarmTopic", [{ "Ref": "AlarmTopicArn" }], { "Ref": "AWS::NoValue" }] });
    for (name, alarm) in alarms() {
        assert_eq!((&alarm["AlarmActions"], &alarm["OKActions"]), (&topic, &topic), "{name}");
        // Nothing to look at is nothing wrong: a quiet night is no alarm.
        assert_eq!(alarm["TreatMissingData"], "notBreaching", "{name}");
        assert!(alarm["AlarmDescription"].as_str().is_some_and(|text| text.ends_with('.')), "{name}");
    }
}

#[test]
fn each_alarm_has_a_runbook_and_a_place_on_the_dashboard() {
    let known: BTreeSet<&str> = alarms().into_keys().collect();
    let headings: BTreeSet<&str> = OPERATIONS
        .lines()
        .filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'))
        .filter(|name| name.ends_with("Alarm"))
        .collect();
    assert_eq!(headings, known);
    for name in &known {
        let (_, runbook) = OPERATIONS.split_once(&format!("### `{name}`\n")).unwrap();
        let runbook = runbook.split("\n### ").next().unwrap().split("\n## ").next().unwrap();
        for part in ["**Means.**", "**Look.**", "**Do.**", "**Ends**"] {
            assert!(runbook.contains(part), "the runbook of {name} has no {part}");
        }
    }
    let dashboard = dashboard();
    let widget = dashboard["widgets"].as_array().unwrap().iter().find(|widget| widget["type"] == "alarm").unwrap();
    let shown: BTreeSet<String> =
        widget["properties"]["alarms"].as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect();
    assert_eq!(shown, known.iter().map(|name| format!("${{{name}.Arn}}")).collect());
}

/// Names that `text` of a substitution takes from elsewhere.
fn substituted(text: &str) -> impl Iterator<Item = &str> {
    text.split("${").skip(1).filter_map(|rest| rest.split(['}', '.']).next())
}

#[test]
fn each_parameter_is_used_and_listed_with_its_default() {
    let mut used = BTreeSet::new();
    for part in ["Globals", "Conditions", "Resources"] {
        walk(&TEMPLATE[part], &mut Vec::new(), &mut |_, value| {
            used.extend(value["Ref"].as_str().map(str::to_owned));
            used.extend(value["Sub"].as_str().into_iter().flat_map(substituted).map(str::to_owned));
        });
    }
    let (_, section) = OPERATIONS.split_once("| parameter | default | |\n").unwrap();
    let rows = section.lines().skip(1).take_while(|line| line.starts_with('|'));
    let listed: BTreeMap<&str, &str> = rows
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
            (cells[1], cells[2])
        })
        .collect();
    let mut known = BTreeSet::new();
    for (name, parameter) in TEMPLATE["Parameters"].as_object().unwrap() {
        assert!(used.contains(name), "{name} is not used");
        let default = match &parameter["Default"] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        assert_eq!(listed.get(name.as_str()), Some(&default.as_str()), "{name}");
        known.insert(name.as_str());
    }
    assert_eq!(listed.into_keys().collect::<BTreeSet<_>>(), known);
}

/// Set by Lambda itself.
const BY_LAMBDA: [&str; 4] = ["AWS_ACCESS_KEY_ID", "AWS_REGION", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

#[test]
fn each_setting_that_the_code_reads_is_in_the_template_or_listed_as_one_of_a_single_machine() {
    let read = RefCell::new(BTreeSet::new());
    let mut given = BTreeSet::new();
    for (function, name) in FUNCTIONS {
        let config = Config::read(function, &|name| {
            read.borrow_mut().insert(name.to_owned());
            Some(value_of(name))
        });
        config.unwrap();
        let variables = &resource(&format!("{name}Function"))["Properties"]["Environment"]["Variables"];
        given.extend(variables.as_object().unwrap().keys().cloned());
    }
    let read = read.into_inner();
    let elsewhere: BTreeSet<&str> = read.iter().map(String::as_str).filter(|name| !given.contains(*name)).collect();
    let line = OPERATIONS.lines().find(|line| line.ends_with("not in the template |")).unwrap();
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let local = cells[1].split(", ").map(|name| name.trim_matches('`'));
    assert_eq!(elsewhere, local.chain(BY_LAMBDA).collect());
    let unread: Vec<_> = given.iter().filter(|name| !read.contains(*name)).collect();
    assert!(unread.is_empty(), "{unread:?}");
}

#[test]
fn tracing_is_off_unless_asked_for_and_takes_two_rights_then() {
    assert_eq!(TEMPLATE["Parameters"]["Tracing"]["Default"], "off");
    assert_eq!(TEMPLATE["Globals"]["Function"]["Tracing"], json!({ "If": ["HasTracing", "Active", "PassThrough"] }));
    assert_eq!(resource("Api")["Properties"]["TracingEnabled"], json!({ "If": ["HasTracing", true, false] }));
    for (_, name) in FUNCTIONS {
        let policies = resource(&format!("{name}Role"))["Properties"]["Policies"].as_array().unwrap();
        let conditional: Vec<&Value> = policies.iter().filter_map(|policy| policy.get("If")).collect();
        let [policy] = conditional.as_slice() else { panic!("{name} has one more policy under a condition") };
        assert_eq!((&policy[0], &policy[2]), (&json!("HasTracing"), &json!({ "Ref": "AWS::NoValue" })), "{name}");
        let statements = policy[1]["PolicyDocument"]["Statement"].as_array().unwrap();
        let actions: Vec<&Value> = statements.iter().flat_map(|it| it["Action"].as_array().unwrap()).collect();
        assert_eq!(actions, ["xray:PutTelemetryRecords", "xray:PutTraceSegments"], "{name}");
    }
}
