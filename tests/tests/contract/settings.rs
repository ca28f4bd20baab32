//! Settings: what each function reads, what the template gives it, and what the page says.

use std::cell::RefCell;
use std::collections::BTreeSet;

use batch_core::config::{Config, Function};

use super::files::{FUNCTIONS, OPERATIONS, resource};

/// What a function reads and can do without; the rest of what it reads is in `Function::settings`, or AWS sets it.
const OPTIONAL: [&str; 1] = ["LOG_LEVEL"];

fn given(function: &str) -> BTreeSet<String> {
    let variables = &resource(&format!("{function}Function"))["Properties"]["Environment"]["Variables"];
    variables.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn the_template_gives_each_function_its_settings_and_no_other() {
    for (function, name) in FUNCTIONS {
        let wanted = function.settings().iter().chain(&OPTIONAL).map(|name| (*name).to_owned()).collect();
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
            (given.contains(name) || name.starts_with("AWS_")).then(|| format!("value of {name}"))
        });
        let config = config.unwrap();
        assert!(given.is_subset(&read.borrow()), "{name} does not read all that it is given");
        assert_eq!(config.log_level, "value of LOG_LEVEL");
        assert_eq!(config.queue_url.is_some(), function != Function::Status);
        assert_eq!(
            (config.issuer.is_some(), config.cursor_key.is_some()),
            (function != Function::Executor, function != Function::Executor)
        );
        assert_eq!(config.tables.records.is_empty(), function == Function::Status);
    }
}

#[test]
fn a_function_that_lacks_a_setting_names_it() {
    for (function, name) in FUNCTIONS {
        for missing in function.settings() {
            for left in [None, Some(String::new())] {
                let read =
                    Config::read(function, &|name| if name == *missing { left.clone() } else { Some("x".to_owned()) });
                let error = read.expect_err(name);
                assert_eq!((error.name, error.to_string()), (*missing, format!("setting {missing} is not set")));
            }
        }
        let read = Config::read(function, &|name| (!OPTIONAL.contains(&name)).then(|| "x".to_owned()));
        assert_eq!(read.unwrap().log_level, "info");
    }
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
