//! Stacks transactions: the same bytes as another implementation makes, read by a third; and what a node says to them.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without may stop it")]
#![expect(clippy::similar_names, reason = "a signer and what is signed")]

use std::time::Duration;

use batch_core::gateway::stacks::{
    Address, Broadcast, Contract, Lost, Network, Node, Payload, Progress, Reason, Signed, Signer,
};
use batch_core::runtime::hex;
use batch_local::stacks::{Bad, Does, Rule, StacksNode, Treatment, decode};
use serde_json::{Value, json};

const CONTRACT: &str = "ST2ZRX0K27GW0SP3GJCEMHD95TQGJMKB7G9Y0X1MH.content";
const KEY: &str = "7287ba251d44a4d3fd9276c88ce34c5c52a038955511cccaf77e61068649c178";

fn made_elsewhere() -> Vec<Value> {
    serde_json::from_str(include_str!("../fixtures/stacks/transactions.json")).unwrap()
}

fn text<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().unwrap()
}

fn payload(case: &Value) -> Payload {
    let contract = Contract::parse(text(case, "contract")).unwrap();
    match case["pay"].as_str() {
        Some(amount) => Payload::Pay { contract, amount: amount.parse().unwrap() },
        None => Payload::Call {
            contract,
            function: text(case, "function").to_owned(),
            arguments: case["arguments"]
                .as_array()
                .unwrap()
                .iter()
                .map(|number| number.as_str().unwrap().parse().unwrap())
                .collect(),
        },
    }
}

#[test]
fn transactions_have_the_bytes_that_another_implementation_gives_them() {
    let cases = made_elsewhere();
    assert_eq!(cases.len(), 48);
    for case in &cases {
        let signer = Signer::parse(Network::parse(text(case, "network")).unwrap(), text(case, "key")).unwrap();
        assert_eq!(signer.address().to_string(), text(case, "address"));
        let (nonce, fee) = (text(case, "nonce").parse().unwrap(), text(case, "fee").parse().unwrap());
        let signed = signer.sign(nonce, fee, payload(case)).unwrap();
        assert_eq!((hex(&signed.bytes).as_str(), signed.txid.as_str()), (text(case, "bytes"), text(case, "txid")));
    }
}

#[test]
fn the_sandbox_reads_what_was_signed_and_whose_it_is() {
    for case in &made_elsewhere() {
        let signer = Signer::parse(Network::parse(text(case, "network")).unwrap(), text(case, "key")).unwrap();
        let signed = signer.sign(7, 900, payload(case)).unwrap();
        let read = decode(&signed.bytes).unwrap();
        assert_eq!((read.sender.as_str(), read.nonce, read.fee), (text(case, "address"), 7, 900));
        assert_eq!(read.txid, signed.txid);
        match (read.does, payload(case)) {
            (Does::Pay { contract, amount }, Payload::Pay { contract: wanted, amount: pays }) => {
                assert_eq!((contract, amount), (wanted.to_string(), pays));
            }
            (
                Does::Call { contract, function, arguments },
                Payload::Call { contract: wanted, function: name, arguments: given },
            ) => {
                assert_eq!((contract, function, arguments), (wanted.to_string(), name, given));
            }
            (read, wanted) => panic!("{read:?} is not {wanted:?}"),
        }
    }
}

#[test]
fn no_bit_of_a_transaction_can_be_changed() {
    let signer = Signer::parse(Network::Testnet, KEY).unwrap();
    let signed = signer.sign(3, 500, call(9)).unwrap();
    for at in 0..signed.bytes.len() {
        for bit in 0..8 {
            let mut bytes = signed.bytes.clone();
            bytes[at] ^= 1 << bit;
            // The word for any kind of block is the only part whose neighbours mean the same; it is signed too.
            let read = decode(&bytes);
            assert!(
                matches!(read, Err(Bad::Deserialization | Bad::SignatureValidation)),
                "byte {at} bit {bit}: {read:?}"
            );
        }
    }
    for length in 0..signed.bytes.len() {
        assert!(decode(&signed.bytes[..length]).is_err(), "{length} bytes");
    }
    let longer = [signed.bytes.as_slice(), &[0]].concat();
    assert_eq!(decode(&longer), Err(Bad::Deserialization));
}

#[test]
fn an_address_is_read_as_it_is_written_and_not_otherwise() {
    for case in &made_elsewhere() {
        let address = text(case, "address");
        assert_eq!(Address::parse(address).unwrap().to_string(), address);
    }
    let zeros = Address { version: 22, hash: [0; 20] };
    assert_eq!(zeros.to_string(), "SP000000000000000000002Q6VF78");
    assert_eq!(Address::parse("SP000000000000000000002Q6VF78"), Ok(zeros));
    let good = text(&made_elsewhere()[0], "address").to_owned();
    let swapped = good.replace("JS", "SJ");
    let longer = format!("{good}0");
    let padded = good.replacen("SP", "SP0", 1);
    for wrong in
        ["", "S", "SP", "X", &good.to_lowercase(), &swapped, &good[1..], &longer, &padded, "SPé", "SP00000000000O", " "]
    {
        assert!(Address::parse(wrong).is_err(), "{wrong}");
    }
    for wrong in ["", ".", "content", &good, &format!("{good}."), &format!("{good}.1a"), &format!("{good}.a b")] {
        assert!(Contract::parse(wrong).is_err(), "{wrong}");
    }
    assert!(Contract::parse(&format!("{good}.{}", "a".repeat(41))).is_err());
}

#[test]
fn a_private_key_is_hex_of_a_number_below_the_order_and_is_never_shown() {
    for wrong in ["", "00", &"0".repeat(64), &"f".repeat(64), &"g".repeat(64), &format!("{KEY}02"), &"é".repeat(32)] {
        assert!(Signer::parse(Network::Testnet, wrong).is_err(), "{wrong}");
    }
    let signer = Signer::parse(Network::Testnet, &format!("{KEY}01")).unwrap();
    let signed = signer.sign(0, 300, call(1)).unwrap();
    let shown = format!("{signer:?} {signed:?}").to_lowercase();
    assert!(!shown.contains(&KEY[..16]) && !shown.contains(&hex(&signed.bytes)[200..240]), "{shown}");
}

fn call(content: u128) -> Payload {
    Payload::Call {
        contract: Contract::parse(CONTRACT).unwrap(),
        function: "update-content-price".to_owned(),
        arguments: vec![content, 1_000_000],
    }
}

/// A sandbox, a client of it, and transactions of one signer.
struct Scene {
    sandbox: StacksNode,
    node: Node,
    signer: Signer,
}

impl Scene {
    fn new() -> Self {
        let sandbox = StacksNode::new(CONTRACT);
        let node = Node::new(sandbox.transport(), "/extended/v1/");
        Self { sandbox, node, signer: Signer::parse(Network::Testnet, KEY).unwrap() }
    }

    fn signed(&self, nonce: u64, fee: u64, content: u128) -> Signed {
        self.signer.sign(nonce, fee, call(content)).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_transaction_is_taken_once_mined_in_order_and_looked_up() {
    let scene = Scene::new();
    let (first, second) = (scene.signed(0, 300, 1), scene.signed(1, 300, 2));
    assert_eq!(scene.node.progress(&first.txid).await, Ok(Progress::Missing));
    assert_eq!(scene.node.broadcast(&second).await, Broadcast::Taken);
    scene.sandbox.mine();
    assert_eq!(scene.node.progress(&second.txid).await, Ok(Progress::Pending), "it waits for the one before");
    for _ in 0..2 {
        assert_eq!(scene.node.broadcast(&first).await, Broadcast::Taken, "the same bytes are the same transaction");
    }
    assert_eq!(scene.sandbox.pool(|pool| pool.taken().len()), 2);
    scene.sandbox.pool(|pool| pool.make_unknown(2));
    scene.sandbox.mine();
    assert_eq!(scene.node.progress(&first.txid).await, Ok(Progress::Success));
    assert_eq!(scene.node.progress(&second.txid).await, Ok(Progress::AbortByResponse));
    assert_eq!(scene.node.account(scene.signer.address()).await.unwrap().nonce, 2);
    assert_eq!(scene.node.broadcast(&first).await, Broadcast::Refused(Reason::BadNonce), "it is mined");
    let fee = scene.node.fee(&call(1)).await.unwrap();
    assert_eq!(fee, Some(2 * first.bytes.len() as u64));
}

#[tokio::test(start_paused = true)]
async fn every_refusal_of_a_node_is_told_apart() {
    let scene = Scene::new();
    let elsewhere = Signer::parse(Network::Mainnet, KEY).unwrap().sign(0, 300, call(1)).unwrap();
    let mut forged = scene.signed(0, 300, 1);
    forged.bytes[100] ^= 1;
    let payload = |function: &str, arguments| Payload::Call {
        contract: Contract::parse(CONTRACT).unwrap(),
        function: function.to_owned(),
        arguments,
    };
    let sign = |payload| scene.signer.sign(0, 300, payload).unwrap();
    let other = Contract { name: "other".to_owned(), ..Contract::parse(CONTRACT).unwrap() };
    for (signed, reason) in [
        (elsewhere, Reason::BadTransactionVersion),
        (forged, Reason::SignatureValidation),
        (Signed { bytes: vec![1, 2, 3], txid: String::new() }, Reason::Deserialization),
        (scene.signed(0, 10, 1), Reason::FeeTooLow),
        (scene.signed(0, 2_000_000_000_000, 1), Reason::NotEnoughFunds),
        (sign(payload("burn", vec![1])), Reason::NoSuchPublicFunction),
        (sign(payload("remove-content", vec![1, 2])), Reason::BadFunctionArgument),
        (
            sign(Payload::Call { contract: other, function: "remove-content".into(), arguments: vec![1] }),
            Reason::NoSuchContract,
        ),
    ] {
        assert_eq!(scene.node.broadcast(&signed).await, Broadcast::Refused(reason));
    }
    for nonce in 0..25 {
        assert_eq!(scene.node.broadcast(&scene.signed(nonce, 300, 1)).await, Broadcast::Taken);
    }
    let chained = scene.node.broadcast(&scene.signed(25, 300, 1)).await;
    assert_eq!(chained, Broadcast::Later(Reason::TooMuchChaining));
    let same_nonce = scene.node.broadcast(&scene.signed(24, 300, 2)).await;
    assert_eq!(same_nonce, Broadcast::Refused(Reason::ConflictingNonceInMempool));
    assert_eq!(scene.node.broadcast(&scene.signed(24, 301, 2)).await, Broadcast::Taken, "a higher fee takes its place");
    assert_eq!(scene.node.progress(&scene.signed(24, 300, 1).txid).await, Ok(Progress::Replaced));
    assert_eq!(scene.sandbox.pool(|pool| pool.waiting()), 25);
}

#[tokio::test(start_paused = true)]
async fn silence_is_told_from_a_refusal() {
    let scene = Scene::new();
    for (treatment, wanted, taken) in [
        (Treatment::TakeInSilence, Broadcast::Unknown(Lost::TimedOut), 1),
        (Treatment::Ignore, Broadcast::Unknown(Lost::TimedOut), 1),
        (Treatment::Break, Broadcast::Unknown(Lost::Broken), 1),
        (Treatment::Refuse("ServerFailureDatabase"), Broadcast::Later(Reason::ServerFailure), 1),
        (Treatment::Refuse("SomethingNew"), Broadcast::Refused(Reason::Other), 1),
        (Treatment::Delay(Duration::from_secs(2)), Broadcast::Taken, 1),
        (Treatment::Lose, Broadcast::Taken, 2),
    ] {
        scene.sandbox.rule(Rule { content: None, times: 1, treatment });
        let nonce = u64::from(taken == 2);
        assert_eq!(scene.node.broadcast(&scene.signed(nonce, 300, 1)).await, wanted, "{treatment:?}");
        assert_eq!(scene.sandbox.pool(|pool| pool.taken().len()), taken, "{treatment:?}");
    }
    assert_eq!(scene.node.progress(&scene.signed(1, 300, 1).txid).await, Ok(Progress::Dropped));
}

#[tokio::test]
async fn answers_that_make_no_sense_are_no_results() {
    let answering = |status: u16, body: &'static str| {
        let answer = batch_core::gateway::stacks::Answer { status, body: body.as_bytes().to_vec() };
        Node::new(
            Box::new(move |_| {
                let answer = answer.clone();
                Box::pin(async move { Ok(answer) })
            }),
            "/extended/v1",
        )
    };
    let signer = Signer::parse(Network::Testnet, KEY).unwrap();
    let signed = signer.sign(0, 300, call(1)).unwrap();
    for (status, body) in [(200, ""), (200, "\"0000\""), (200, "{}"), (502, "<html>")] {
        assert_eq!(answering(status, body).broadcast(&signed).await, Broadcast::Unknown(Lost::Broken), "{body}");
    }
    for (status, body) in [(200, ""), (200, "[]"), (200, "{\"nonce\":-1,\"balance\":\"0x0\"}"), (404, "{}"), (500, "x")]
    {
        let node = answering(status, body);
        assert!(node.account(signer.address()).await.is_err(), "{body}");
        assert_eq!(node.progress(&signed.txid).await.is_ok(), status == 404, "{body}");
    }
    for (status, body) in [(400, "\"estimation is off\""), (400, "{\"reason\":\"NoEstimateAvailable\"}")] {
        assert_eq!(answering(status, body).fee(&call(1)).await, Ok(None));
    }
    assert!(answering(200, &json!({"estimations": []}).to_string().leak()[..]).fee(&call(1)).await.is_err());
}
