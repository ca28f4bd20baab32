//! Requests of intents: what is understood, what is refused, and in which order the operations come.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without may stop it")]

use batch_core::intent::{Intent, Layout, Tokens, read};
use serde_json::{Value, json};

const TO: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
const DEX: &str = "0x7a250d5630B4cF539739dF2C5dAcb4c659F2488D";

fn tokens() -> Tokens {
    Tokens::shipped().unwrap()
}

fn transfer(token: &str, chain: u64, amount: &str) -> Value {
    json!({ "type": "transfer", "from": { "token": token, "chainId": chain, "amount": amount }, "to": { "address": TO } })
}

fn swap(token: &str, chain: u64) -> Value {
    json!({ "type": "swap", "from": { "token": token, "chainId": chain, "amount": "1" }, "to": { "token": "dai" } })
}

fn approve(token: &str, amount: &str) -> Value {
    json!({ "type": "approve", "token": token, "spender": DEX, "amount": amount, "chainId": 1 })
}

fn pool() -> Value {
    json!({ "type": "addLiquidity", "tokens": ["usdc", "weth"], "amounts": ["500", "0.2"], "chainId": 1 })
}

/// Pointers and messages of the problems of these operations.
fn problems(operations: &Value) -> Vec<(String, String)> {
    let read = read(&json!({ "operations": operations }), &tokens(), 1);
    read.problems.into_iter().map(|problem| (problem.pointer, problem.message)).collect()
}

/// The one problem of this operation.
fn problem(operation: &Value) -> (String, String) {
    let mut found = problems(&json!([operation]));
    assert_eq!(found.len(), 1, "{operation}: {found:?}");
    found.remove(0)
}

fn with(mut operation: Value, pointer: &str, value: Value) -> Value {
    *operation.pointer_mut(pointer).unwrap() = value;
    operation
}

#[test]
fn every_bad_amount_is_told() {
    for (token, amount, told) in [
        ("usdc", "0", "more than 0"),
        ("usdc", "-1", "decimal string"),
        ("usdc", "1e3", "decimal string"),
        ("usdc", "0.0000001", "6 decimals"),
        ("eth", "0.0000000000000000001", "18 decimals"),
        ("eth", "", "decimal string"),
    ] {
        let (pointer, message) = problem(&transfer(token, 1, amount));
        assert_eq!(pointer, "/operations/0/from/amount");
        assert!(message.contains(told), "{amount}: {message}");
    }
    let number = with(transfer("eth", 1, "1"), "/from/amount", json!(0.1));
    assert_eq!(problem(&number), ("/operations/0/from/amount".into(), "amount must be a string, not a number".into()));
}

#[test]
fn every_bad_name_is_told_where_it_stands() {
    let good = transfer("eth", 1, "1");
    for (operation, pointer, told) in [
        (with(good.clone(), "/type", json!("bridge")), "/type", "\"bridge\" is none of"),
        (with(good.clone(), "/type", json!(7)), "/type", "a string, not a number"),
        (with(good.clone(), "/from/token", json!("doge")), "/from/token", "\"doge\" is not known on chain 1"),
        (with(good.clone(), "/from/token", json!(DEX)), "/from/token", "Invalid token address"),
        (with(good.clone(), "/from/chainId", json!(56)), "/from/chainId", "1, 10, 137, 8453, 42161"),
        (with(good.clone(), "/from/chainId", json!("1")), "/from/chainId", "chainId must be"),
        (with(good.clone(), "/from", json!([])), "/from", "an object, not a list"),
        (with(good.clone(), "/to/address", json!(TO.replace("5aA", "5AA"))), "/to/address", "wrong checksum"),
        (with(good.clone(), "/to/address", json!("0x123")), "/to/address", "40 hex digits"),
        (with(good.clone(), "/to/address", json!(format!("0x{}", "0".repeat(40)))), "/to/address", "zero address"),
        (with(swap("dai", 1), "/to/token", json!("dai")), "/to/token", "another token"),
        (approve("eth", "1"), "/token", "needs no approval"),
        (approve("usdc", "Unlimited"), "/amount", "decimal string"),
        (with(approve("usdc", "1"), "/spender", json!(null)), "/spender", "spender is missing"),
        (with(pool(), "/amounts", json!(["1"])), "/amounts", "two strings"),
        (with(pool(), "/tokens", json!(["usdc", "usdc"])), "/tokens", "two different tokens"),
        (with(pool(), "/amounts/1", json!("0")), "/amounts/1", "more than 0"),
        (json!(7), "", "an object, not a number"),
    ] {
        let (found, message) = problem(&operation);
        assert_eq!(found, format!("/operations/0{pointer}"), "{operation}");
        assert!(message.contains(told), "{operation}: {message}");
    }
}

#[test]
fn a_batch_has_one_to_ten_operations() {
    assert_eq!(problems(&json!([])), [("/operations".into(), "a batch has at least one operation".into())]);
    let eleven = vec![transfer("eth", 1, "1"); 11];
    let told = "a batch has at most 10 operations, this one has 11";
    assert_eq!(problems(&json!(eleven)), [("/operations".into(), told.into())]);
    assert_eq!(problems(&json!(vec![transfer("eth", 1, "1"); 10])), []);
    for body in [json!(null), json!([]), json!({}), json!({ "operations": {} })] {
        assert_eq!(read(&body, &tokens(), 1).problems.len(), 1, "{body}");
    }
    let body = json!({ "operations": [transfer("eth", 1, "1")], "atomicExecution": "yes" });
    assert_eq!(read(&body, &tokens(), 1).problems[0].pointer, "/atomicExecution");
}

#[test]
fn an_operation_without_a_chain_is_on_the_only_one_named_or_the_profiles() {
    let chains = |operations: Value, default| -> Vec<u64> {
        let read = read(&json!({ "operations": operations }), &tokens(), default);
        assert_eq!(read.problems, []);
        read.intents.iter().map(Intent::chain).collect()
    };
    let bare = json!({ "type": "approve", "token": "usdc", "spender": DEX, "amount": "unlimited" });
    assert_eq!(chains(json!([bare]), 10), [10]);
    assert_eq!(chains(json!([bare, transfer("usdc", 8453, "1")]), 10), [8453, 8453]);
    assert_eq!(chains(json!([transfer("usdc", 1, "1"), bare, transfer("usdc", 8453, "1")]), 10), [1, 10, 8453]);
}

fn layout(operations: &Value, atomic: bool) -> Layout {
    let read = read(&json!({ "operations": operations }), &tokens(), 1);
    assert_eq!(read.problems, []);
    Layout::of(&read.intents, atomic)
}

#[test]
fn operations_are_grouped_and_sorted_by_chain() {
    let operations =
        json!([transfer("pol", 137, "10"), transfer("eth", 1, "1"), transfer("usdc", 137, "1"), swap("eth", 1)]);
    let laid = layout(&operations, false);
    let groups: Vec<(u64, &[usize])> = laid.groups.iter().map(|group| (group.chain, &*group.members)).collect();
    assert_eq!(groups, [(1, &[1, 3][..]), (137, &[0, 2][..])]);
    assert_eq!(laid.order, [1, 3, 0, 2]);
    // An atomic batch keeps the order of the request across chains.
    assert_eq!(layout(&operations, true).order, [0, 1, 2, 3]);
}

#[test]
fn an_approval_comes_before_what_needs_it() {
    let laid = layout(&json!([transfer("eth", 1, "1"), pool(), approve("usdc", "unlimited")]), true);
    assert_eq!(laid.order, [0, 2, 1]);
    assert_eq!(laid.groups[0].notes, ["op_2 was moved ahead of op_1, which needs it"]);
    // What needs none of it stays where it is.
    assert_eq!(layout(&json!([pool(), approve("dai", "1")]), true).order, [0, 1]);
    assert_eq!(layout(&json!([transfer("usdc", 1, "1"), approve("usdc", "1")]), true).order, [0, 1]);
}

#[test]
fn an_approval_is_given_once_unless_it_may_be_used_up_in_between() {
    let laid = layout(&json!([approve("usdc", "5"), approve("usdc", "5"), pool()]), false);
    assert_eq!((laid.order, laid.merged_into), (vec![0, 2], vec![None, Some(0), None]));
    assert_eq!(laid.groups[0].notes, ["op_1 is the same approval as op_0"]);
    let spent = json!([approve("usdc", "5"), pool(), approve("usdc", "5"), pool()]);
    assert_eq!(layout(&spent, false).order, [0, 1, 2, 3]);
    let unlimited = json!([approve("usdc", "unlimited"), pool(), approve("usdc", "unlimited"), pool()]);
    assert_eq!(layout(&unlimited, false).merged_into, [None, None, Some(0), None]);
    // Another amount is another approval, and replaces the first.
    assert_eq!(layout(&json!([approve("usdc", "5"), approve("usdc", "6")]), false).order, [0, 1]);
    // So an approval after it is given again, whatever there was before.
    let back = json!([approve("usdc", "unlimited"), approve("usdc", "5"), approve("usdc", "unlimited"), pool()]);
    assert_eq!(layout(&back, false).order, [0, 1, 2, 3]);
}

#[test]
fn the_strategy_of_the_contract_is_understood() {
    let operations = json!([
        { "type": "approve", "token": "usdc", "spender": DEX, "amount": "unlimited" },
        { "type": "swap", "from": { "token": "usdc", "amount": "1000" }, "to": { "token": "weth" } },
        { "type": "addLiquidity", "tokens": ["usdc", "weth"], "amounts": ["500", "0.2"] },
    ]);
    let laid = layout(&operations, true);
    assert_eq!((laid.order, laid.groups.len(), laid.groups[0].chain), (vec![0, 1, 2], 1, 1));
}
