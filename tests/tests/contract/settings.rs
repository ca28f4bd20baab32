//! Settings: what each function reads, what the template gives it, and what the page says.

use std::cell::RefCell;
use std::collections::BTreeSet;

use batch_core::config::{Config, Function};
use batch_core::rate::{Quotas, Rates};

use super::files::{FUNCTIONS, OPERATIONS, resource};

/// A good value of a setting.
pub fn value_of(name: &str) -> String {
    match name {
        "LOG_LEVEL" => "trace".to_owned(),
        "STACKS_NETWORK" => "testnet".to_owned(),
        "STACKS_FEE" => "300".to_owned(),
        "STACKS_MAX_FEE" => "4000".to_owned(),
        "CONTENT_CONCURRENCY" => "3".to_owned(),
        "METRICS_NAMESPACE" => "Some/Namespace-1".to_owned(),
        "BATCHES_PER_MINUTE" => "7".to_owned(),
        "OPERATIONS_PER_MINUTE" => "701".to_owned(),
        name => format!("value of {name}"),
    }
}

fn given(function: &str) -> BTreeSet<String> {
    let variables = &resource(&format!("{function}Function"))["Properties"]["Environment"]["Variables"];
    variables.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn the_template_gives_each_function_its_settings_and_no_other() {
    for (function, name) in FUNCTIONS {
        let all = function.settings().iter().chain(function.optional_settings());
        let wanted = all.map(|name| (*name).to_owned()).collect();
        assert_eq!(given(name), wanted, "{name}");
    }
}

#[test]
fn a_function_reads_what_it_is_given_and_starts_on_it() {
    for (function, name) in FUNCTIONS {
        let read = RefCell::new(BTreeSet::new());
        let given = given(name);
        let config = Config::read(function, &|name| {
            read.borrow_mut().insert(name.to_owned());
            (given.contains(name) || name.starts_with("AWS_")).then(|| value_of(name))
        });
        let config = config.unwrap();
        assert!(given.is_subset(&read.borrow()), "{name} does not read all that it is given");
        assert_eq!((config.log_level, config.metrics_namespace.as_str()), (tracing::Level::TRACE, "Some/Namespace-1"));
        let quotas = if function == Function::Executor {
            Rates::default().records
        } else {
            Quotas { batches: 7, operations: 701 }
        };
        assert_eq!(config.rates.records, quotas);
        let (executes, concurrency) = (function == Function::Executor, config.content_concurrency);
        assert_eq!((config.stacks.is_some(), concurrency), (executes, if executes { 3 } else { 10 }));
        assert!(config.orby.is_some());
        assert_eq!(config.queue_url.is_some(), function != Function::Status);
        assert_eq!(
            (config.issuer.is_some(), config.cursor_key.is_some()),
            (function != Function::Executor, function != Function::Executor)
        );
    }
}

#[test]
fn a_function_that_lacks_a_setting_names_it() {
    for (function, name) in FUNCTIONS {
        for missing in function.settings() {
            for left in [None, Some(String::new())] {
                let read =
                    Config::read(function, &|name| if name == *missing { left.clone() } else { Some(value_of(name)) });
                let error = read.expect_err(name);
                assert_eq!((error.name, error.to_string()), (*missing, format!("setting {missing} is not set")));
            }
        }
        let optional = function.optional_settings();
        let read = Config::read(function, &|name| (!optional.contains(&name)).then(|| value_of(name))).unwrap();
        assert_eq!((read.log_level, read.rates), (tracing::Level::INFO, Rates::default()));
    }
}

fn stops(function: Function, name: &str, wrong: Vec<&str>) {
    for wrong in wrong {
        let read =
            Config::read(function, &|asked| Some(if asked == name { wrong.to_owned() } else { value_of(asked) }));
        assert_eq!(read.expect_err(wrong).name, name, "{wrong}");
    }
}

#[test]
fn a_setting_that_cannot_be_meant_stops_the_start_by_name() {
    for (name, wrong) in [
        // A filter would have the SDK log what it sends.
        ("LOG_LEVEL", vec!["TRACE", "info,aws_smithy_runtime=trace", "trace ", "5"]),
        ("BATCHES_PER_MINUTE", vec!["0", "-1", "1.5", "60001", "many", "99999999999999999999"]),
        ("ORBY_API_KEY", vec![""]),
        ("OPERATIONS_PER_MINUTE", vec!["0", "699", "60000001", "x"]),
        ("METRICS_NAMESPACE", vec!["AWS/Lambda", "a b", "a\nb", "\u{e9}"]),
    ] {
        stops(Function::Submit, name, wrong);
    }
    for (name, wrong) in [
        ("STACKS_NETWORK", vec!["devnet", "Mainnet"]),
        ("STACKS_CONTRACT", vec![""]),
        ("STACKS_FEE", vec!["0", "x", "1000000001"]),
        ("STACKS_MAX_FEE", vec!["299", "x"]),
        ("CONTENT_CONCURRENCY", vec!["0", "21", "x"]),
    ] {
        stops(Function::Executor, name, wrong);
    }
    // Room for full batches, where nothing is said of operations.
    let read = Config::read(Function::Submit, &|asked| match asked {
        "BATCHES_PER_MINUTE" => Some("90".to_owned()),
        "OPERATIONS_PER_MINUTE" => Some(String::new()),
        asked => Some(value_of(asked)),
    });
    assert_eq!(read.unwrap().rates.records, Quotas { batches: 90, operations: 9_000 });
}

#[test]
fn the_page_on_operations_lists_the_settings_of_each_function() {
    let mut listed: [BTreeSet<String>; 3] = Default::default();
    for line in OPERATIONS.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, names, submit, executor, status, ..] = cells.as_slice() else { continue };
        for (place, mark) in [submit, executor, status].into_iter().enumerate() {
            if *mark == "x" {
                listed[place].extend(names.split(", ").map(|name| name.trim_matches('`').to_owned()));
            }
        }
    }
    for ((_, name), listed) in FUNCTIONS.iter().zip(listed) {
        let ours: BTreeSet<String> = listed.into_iter().filter(|name| !name.starts_with("AWS_")).collect();
        assert_eq!(ours, given(name), "{name}");
    }
}
