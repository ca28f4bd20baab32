//! What another library signed and encoded: accepted where it is what was built, refused where it is anything else.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without may stop it")]

use batch_core::intent::{Address, Tokens, Unsigned, calldata, read};
use serde_json::{Value, json};

fn made_elsewhere() -> Value {
    serde_json::from_str(include_str!("../fixtures/intents/signed.json")).unwrap()
}

fn text<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().unwrap()
}

fn account(made: &Value) -> Address {
    Address::parse(text(made, "account")).unwrap()
}

#[test]
fn what_another_library_signed_as_it_was_built_is_accepted() {
    let made = made_elsewhere();
    for case in made["good"].as_array().unwrap() {
        let name = text(case, "name");
        let built = Unsigned::read(&case["operation"]).unwrap();
        let signed = built.check(text(case, "signature"), account(&made));
        assert_eq!(signed.map(|signed| signed.hash).as_deref(), Ok(text(case, "hash")), "{name}");
        let stored = Unsigned::read(&built.to_json()).unwrap();
        assert_eq!(stored, built, "{name} is the same after it was stored");
        let stranger = Address::parse("0x52908400098527886E0F7030069857D2E4169EE7").unwrap();
        assert!(built.check(text(case, "signature"), stranger).is_err(), "{name} for another profile");
    }
}

#[test]
fn one_signature_has_one_form_whatever_its_case_and_its_v() {
    let made = made_elsewhere();
    for case in made["good"].as_array().unwrap() {
        let built = Unsigned::read(&case["operation"]).unwrap();
        let signature = text(case, "signature");
        let mut forms = vec![format!("0x{}", signature[2..].to_uppercase())];
        if case["operation"]["format"] == "TYPED_DATA" {
            let bare = if signature.ends_with("1b") { "00" } else { "01" };
            forms.push(format!("{}{bare}", &signature[..signature.len() - 2]));
        }
        for form in forms {
            let signed = built.check(&form, account(&made)).unwrap();
            assert_eq!(signed.signature, signature, "{}", text(case, "name"));
        }
    }
}

#[test]
fn everything_else_is_refused_and_the_reason_told() {
    let made = made_elsewhere();
    let cases = made["bad"].as_array().unwrap();
    assert!(cases.len() >= 30);
    // Of each form of transaction and of typed data there are some.
    for form in ["EIP-2930", "legacy", "typed", "EIP-4844", "EIP-7702"] {
        assert!(cases.iter().any(|case| text(case, "name").contains(form)), "{form}");
    }
    for case in cases {
        let built = Unsigned::read(&case["operation"]).unwrap();
        let refused = built.check(text(case, "signature"), account(&made)).unwrap_err();
        assert_eq!(format!("{refused:?}"), text(case, "why"), "{}", text(case, "name"));
    }
}

#[test]
fn no_byte_of_a_signature_can_be_changed() {
    let made = made_elsewhere();
    for case in made["good"].as_array().unwrap() {
        let built = Unsigned::read(&case["operation"]).unwrap();
        let signature = text(case, "signature");
        for place in (2..signature.len()).step_by(2) {
            let byte = u8::from_str_radix(&signature[place..place + 2], 16).unwrap() ^ 0x01;
            let changed = format!("{}{byte:02x}{}", &signature[..place], &signature[place + 2..]);
            assert!(built.check(&changed, account(&made)).is_err(), "{} at {place}", text(case, "name"));
            assert!(built.check(&signature[..place], account(&made)).is_err());
        }
    }
}

/// The operation that a case of the fixture asks for.
fn asked(case: &Value) -> Value {
    let asked = &case["asked"];
    if let Some(approve) = asked["approve"].as_array() {
        return json!({ "type": "approve", "token": approve[0], "spender": approve[1], "amount": approve[2] });
    }
    let pool = asked["addLiquidity"].as_array().unwrap();
    let amount = |units: &Value, symbol: &Value| {
        let decimals = if symbol == "usdc" { 6 } else { 18 };
        let digits = format!("{:0>20}", units.as_str().unwrap());
        let (whole, part) = digits.split_at(digits.len() - decimals);
        format!("{}.{part}", whole.trim_start_matches('0').parse::<u64>().unwrap_or(0))
    };
    json!({
        "type": "addLiquidity", "tokens": [pool[0], pool[2]],
        "amounts": [amount(&pool[1], &pool[0]), amount(&pool[3], &pool[2])],
        "slippageBps": pool[4], "deadline": pool[5],
    })
}

#[test]
fn calls_are_encoded_as_another_library_does() {
    let (made, tokens) = (made_elsewhere(), Tokens::shipped().unwrap());
    for case in made["calls"].as_array().unwrap() {
        let read = read(&json!({ "operations": [asked(case)] }), &tokens, 1);
        assert_eq!(read.problems, []);
        let call = calldata::of(&read.intents[0], account(&made), 0).unwrap();
        assert_eq!(call.data, text(case, "data").to_lowercase());
        assert_eq!(
            (call.to.to_string().as_str(), call.value.to_string().as_str()),
            (text(case, "to"), text(case, "value"))
        );
    }
}

#[test]
fn every_token_is_that_of_a_list_others_keep() {
    let lists: Value = serde_json::from_str(include_str!("../fixtures/intents/tokens.json")).unwrap();
    let lists = lists["lists"].as_array().unwrap();
    let listed = || lists.iter().flat_map(|list| list["tokens"].as_array().unwrap());
    let tokens = Tokens::shipped().unwrap();
    assert_eq!(tokens.chains().iter().map(|chain| chain.id).collect::<Vec<_>>(), [1, 10, 137, 8453, 42161]);
    for token in tokens.chains().iter().flat_map(|chain| &chain.tokens) {
        let Some(address) = token.address else { continue };
        let known = listed().find(|known| {
            known["chainId"] == token.chain
                && known["symbol"].as_str().is_some_and(|symbol| {
                    // Tether calls its token USDT0 where it moved it to another bridge.
                    symbol.trim_end_matches('0').eq_ignore_ascii_case(&token.symbol)
                })
                && known["address"] == address.to_string()
        });
        let known = known.unwrap_or_else(|| panic!("{} of chain {}", token.symbol, token.chain));
        assert_eq!(known["decimals"], token.decimals, "{} of chain {}", token.symbol, token.chain);
    }
}

#[test]
fn every_chain_has_the_tokens_that_exist_there() {
    let tokens = Tokens::shipped().unwrap();
    for chain in tokens.chains() {
        let missing: Vec<&str> = ["eth", "weth", "usdc", "usdt", "dai", "matic", "pol"]
            .into_iter()
            .filter(|symbol| chain.token(symbol).is_none())
            .collect();
        // Neither list knows Polygon's coin on Optimism or Base; on Polygon there is ether as weth alone.
        let nowhere: &[&str] = match chain.id {
            10 | 8453 => &["matic", "pol"],
            137 => &["eth"],
            _ => &[],
        };
        assert_eq!(missing, nowhere, "chain {}", chain.id);
    }
}
