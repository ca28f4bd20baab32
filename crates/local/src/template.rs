//! The tables and queues that `template.yaml` declares, so that the local ones cannot differ from the deployed ones.

use serde_json::{Map, Value};

use crate::sqs::{QueueSettings, Redrive};
use crate::{Error, yaml};

/// The deployment's own description.
const TEMPLATE: &str = include_str!("../../../template.yaml");

/// Visibility of a queue that does not say, in seconds: the default of SQS.
const DEFAULT_VISIBILITY_S: u32 = 30;

/// A table of the deployment, named as its resource.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) name: String,
    /// The body of a `CreateTable` request.
    pub(crate) create: Value,
    /// The attribute that holds the time of an item's end, where items end.
    pub(crate) ttl: Option<String>,
}

/// What the deployment stores things in.
#[derive(Debug, Clone)]
pub(crate) struct Resources {
    pub(crate) tables: Vec<Table>,
    pub(crate) queues: Vec<QueueSettings>,
}

impl Resources {
    /// Of the deployment's template.
    pub(crate) fn load() -> Result<Self, Error> {
        let template = yaml::parse("template.yaml", TEMPLATE)?;
        let none = Map::new();
        let resources = template["Resources"].as_object().unwrap_or(&none);
        let of_type = |wanted: &'static str| {
            resources
                .iter()
                .filter(move |(_, resource)| resource["Type"] == wanted)
                .map(|(name, resource)| (name, &resource["Properties"]))
        };
        let tables = of_type("AWS::DynamoDB::Table").map(|(name, properties)| table(name, properties));
        let queues = of_type("AWS::SQS::Queue").map(|(name, properties)| queue(name, properties));
        Ok(Self { tables: tables.collect(), queues: queues.collect::<Result<_, _>>()? })
    }
}

fn table(name: &str, properties: &Value) -> Table {
    let mut create = Map::new();
    create.insert("TableName".to_owned(), name.into());
    for property in ["AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode"] {
        if let Some(value) = properties.get(property) {
            create.insert(property.to_owned(), value.clone());
        }
    }
    let ttl = properties["TimeToLiveSpecification"]["AttributeName"].as_str().map(str::to_owned);
    Table { name: name.to_owned(), create: create.into(), ttl }
}

fn queue(name: &str, properties: &Value) -> Result<QueueSettings, Error> {
    let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
    let policy = &properties["RedrivePolicy"];
    let redrive = if policy.is_null() {
        None
    } else {
        let target = policy["deadLetterTargetArn"]["GetAtt"].as_str().and_then(|text| text.strip_suffix(".Arn"));
        let unreadable = || Error::new(format!("template.yaml: the redrive policy of {name} cannot be read"));
        Some(Redrive {
            queue: target.ok_or_else(unreadable)?.to_owned(),
            max_receive_count: number(&policy["maxReceiveCount"]).ok_or_else(unreadable)?,
        })
    };
    let visibility_s = number(&properties["VisibilityTimeout"]).unwrap_or(DEFAULT_VISIBILITY_S);
    Ok(QueueSettings { name: name.to_owned(), visibility_s, redrive })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_declares_what_the_functions_use() {
        let Resources { tables, queues } = Resources::load().unwrap();
        let names: Vec<_> = tables.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(names, ["BatchesTable", "RecordsTable", "SearchTable", "ControlTable"]);
        let lasting: Vec<_> = tables.iter().filter(|table| table.ttl.as_deref() != Some("ttl")).collect();
        assert_eq!(lasting.iter().map(|table| table.name.as_str()).collect::<Vec<_>>(), ["SearchTable"]);
        let dead = Redrive { queue: "BatchDeadLetterQueue".to_owned(), max_receive_count: 5 };
        assert_eq!((queues[0].name.as_str(), queues[0].visibility_s), ("BatchQueue", 360));
        assert_eq!(queues[0].redrive, Some(dead));
        assert_eq!((queues[1].name.as_str(), queues[1].visibility_s), ("BatchDeadLetterQueue", 360));
        assert_eq!(queues[1].redrive, None);
    }
}
