//! Orby: what the client asks and what it makes of the answers, against the sandbox, and over HTTP.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without may stop it")]

use std::sync::{Arc, Mutex};

use batch_core::gateway::orby::{
    Answer, Built, Failed, Lost, Node, Orby, Progress, Settings, Submission, Transport, over_http,
};
use batch_core::intent::{Address, Format, Intent, Reason, Tokens, calldata, read};
use batch_local::orby::{OrbySandbox, Rule, Treatment, Wallet};
use serde_json::{Value, json};

const BASE: &str = "https://orby.invalid";
const KEY: &str = "the-key-of-orby";

fn wallet() -> Wallet {
    Wallet::new([7; 32]).unwrap()
}

fn account() -> Address {
    Address::parse(&wallet().address()).unwrap()
}

fn client(transport: Transport, url: &str) -> Orby {
    let settings = Settings { url: url.to_owned(), key: KEY.to_owned().into(), status_method: None };
    Orby::new(transport, &settings).unwrap()
}

fn both() -> (OrbySandbox, Orby) {
    let sandbox = OrbySandbox::new(KEY, BASE);
    let orby = client(sandbox.transport(), BASE);
    (sandbox, orby)
}

/// The virtual node on a chain, of a cluster made for it.
async fn node_on(orby: &Orby, chain: u64) -> Result<Node, Failed> {
    let cluster = orby.cluster(account()).await?;
    orby.node(&cluster, account(), chain).await
}

fn intents(operations: &Value) -> Vec<Intent> {
    let read = read(&json!({ "operations": operations }), &Tokens::shipped().unwrap(), 1);
    assert_eq!(read.problems, []);
    read.intents
}

fn examples() -> Vec<Intent> {
    let to = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    intents(&json!([
        { "type": "transfer", "from": { "token": "eth", "amount": "0.1" }, "to": { "address": to } },
        { "type": "transfer", "from": { "token": "usdc", "amount": "5" }, "to": { "address": to, "chainId": 8453 } },
        { "type": "swap", "from": { "token": "usdc", "amount": "100" }, "to": { "token": "dai" } },
        { "type": "swap", "from": { "token": "dai", "amount": "100" }, "to": { "token": "eth" } },
        { "type": "approve", "token": "usdc", "spender": to, "amount": "unlimited" },
        { "type": "addLiquidity", "tokens": ["usdc", "weth"], "amounts": ["500", "0.2"] },
    ]))
}

async fn build(orby: &Orby, node: &Node, intent: &Intent) -> Result<Built, Failed> {
    match intent {
        Intent::Transfer { from, to, to_chain } => orby.transfer(node, from, (*to, *to_chain)).await,
        Intent::Swap { from, to } => orby.swap(node, from, to).await,
        other => orby.contract_call(node, &calldata::of(other, account(), 1_900_000_000).unwrap()).await,
    }
}

fn sign(built: &Built) -> Vec<String> {
    built.operations.iter().map(|operation| wallet().sign(&operation.to_json()).unwrap()).collect()
}

async fn send(orby: &Orby, node: &Node, built: &Built, signatures: &[String]) -> Result<Vec<String>, Failed> {
    let signed: Vec<Submission<'_>> = built
        .operations
        .iter()
        .zip(signatures)
        .map(|(operation, signature)| Submission { operation, signature })
        .collect();
    orby.send(node, &signed).await.map(|sent| sent.ids)
}

#[tokio::test(start_paused = true)]
async fn everything_is_built_signed_taken_and_followed_to_its_end() {
    let (sandbox, orby) = both();
    let node = node_on(&orby, 1).await.unwrap();
    for intent in examples() {
        let built = build(&orby, &node, &intent).await.unwrap();
        let signatures = sign(&built);
        for (operation, signature) in built.operations.iter().zip(&signatures) {
            assert!(operation.check(signature, account()).is_ok(), "{intent:?}");
        }
        let ids = send(&orby, &node, &built, &signatures).await.unwrap();
        assert_eq!(ids.len(), built.operations.len());
        let end = |looked: Vec<batch_core::gateway::orby::Looked>| {
            looked.iter().all(|one| one.progress == Progress::Successful)
        };
        assert!(!end(orby.look_up(&node, &ids).await.unwrap()));
        orby.look_up(&node, &ids).await.unwrap();
        assert!(end(orby.look_up(&node, &ids).await.unwrap()), "{intent:?}");
        // What nobody answered for can be looked up by the hash that was known before it was sent.
        let hashes: Vec<String> =
            built.operations.iter().zip(&signatures).map(|(op, sig)| op.check(sig, account()).unwrap().hash).collect();
        assert!(end(orby.look_up(&node, &hashes).await.unwrap()));
    }
    let formats = |intent: &Intent| matches!(intent, Intent::Swap { .. });
    let swap = examples().into_iter().find(formats).unwrap();
    let built = build(&orby, &node, &swap).await.unwrap();
    assert_eq!(
        built.operations.iter().map(|op| op.format).collect::<Vec<_>>(),
        [Format::TypedData, Format::Transaction]
    );
    assert!(sandbox.books(|books| books.times_sent()).iter().all(|times| *times == 1));
}

#[tokio::test(start_paused = true)]
async fn the_nodes_of_a_cluster_are_asked_for_once() {
    let (sandbox, orby) = both();
    let cluster = orby.cluster(account()).await.unwrap();
    for chain in [1, 10, 1, 10] {
        orby.node(&cluster, account(), chain).await.unwrap();
    }
    let node = "orby_getVirtualNodeRpcUrl";
    assert_eq!(sandbox.take_calls(), ["orby_createAccountCluster", node, node]);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_not_known_any_more_is_made_again() {
    let (sandbox, orby) = both();
    let node = orby.node("a cluster of another time", account(), 1).await.unwrap();
    assert_eq!(node.cluster, orby.cluster(account()).await.unwrap());
    let asked = "orby_getVirtualNodeRpcUrl";
    assert_eq!(sandbox.take_calls()[..3], [asked, "orby_createAccountCluster", asked]);
    orby.node("a cluster of another time", account(), 1).await.unwrap();
    assert_eq!(sandbox.take_calls(), Vec::<String>::new());
    // The same key and another URL are another Orby, and the key is not what tells.
    let other = client(sandbox.transport(), "https://orby.invalid/v2");
    assert_ne!(other.place(), orby.place());
    assert!(!orby.place().contains(KEY));
}

#[tokio::test(start_paused = true)]
async fn every_refusal_has_its_reason() {
    let (sandbox, orby) = both();
    let node = node_on(&orby, 1).await.unwrap();
    let transfer = &examples()[0];
    let refuse = |treatment| {
        let method = "orby_getOperationsToTransferToken";
        sandbox.rule(Rule { method, chain: None, times: 1, treatment });
    };
    for (treatment, failed) in [
        (Treatment::Unbuilt("INSUFFICIENT_FUNDS"), Failed::Refused(Reason::InsufficientBalance)),
        (Treatment::Unbuilt("INSUFFICIENT_FUNDS_FOR_GAS"), Failed::Refused(Reason::InsufficientGas)),
        (Treatment::Unbuilt("NO_EXECUTION_PATH"), Failed::Refused(Reason::NoRoute)),
        (Treatment::Unbuilt("INTERNAL"), Failed::Refused(Reason::Unknown)),
        (Treatment::Unbuilt("WHATEVER"), Failed::Nonsense(200)),
        (Treatment::Error("cannot estimate gas"), Failed::Refused(Reason::GasEstimationFailed)),
        (Treatment::ErrorInResult("insufficient funds"), Failed::Refused(Reason::InsufficientBalance)),
        (Treatment::Http(502), Failed::Nonsense(502)),
        (Treatment::Ignore, Failed::Lost(Lost::TimedOut)),
    ] {
        refuse(treatment);
        assert_eq!(build(&orby, &node, transfer).await, Err(failed), "{treatment:?}");
    }
    sandbox.books(|books| books.set_balance(&wallet().address(), "eth", 5));
    assert_eq!(build(&orby, &node, transfer).await, Err(Failed::Refused(Reason::InsufficientBalance)));
    assert_eq!(orby.balance(&node, "std-eth").await.map(|units| units.to_string()).as_deref(), Ok("5"));
    let wrong = client(sandbox.transport(), "https://orby.invalid/nobody");
    assert_eq!(wrong.cluster(account()).await, Err(Failed::Nonsense(401)));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_to_be_refused_is_uncertain() {
    let (sandbox, orby) = both();
    let node = node_on(&orby, 1).await.unwrap();
    let method = "orby_sendSignedOperations";
    for (treatment, certain, taken) in [
        (Treatment::Ignore, false, 0),
        (Treatment::DoInSilence, false, 1),
        (Treatment::Http(503), false, 0),
        (Treatment::Http(429), true, 0),
        (Treatment::Error("internal error"), false, 0),
        (Treatment::Error("nonce too low"), true, 0),
    ] {
        let before = sandbox.books(|books| books.taken());
        let built = build(&orby, &node, &examples()[0]).await.unwrap();
        sandbox.rule(Rule { method, chain: None, times: 1, treatment });
        let failed = send(&orby, &node, &built, &sign(&built)).await.unwrap_err();
        assert_eq!(failed.is_certain(), certain, "{treatment:?}");
        assert_eq!(sandbox.books(|books| books.taken()) - before, taken, "{treatment:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_sandbox_refuses_what_was_not_built_or_not_signed_by_the_account() {
    let (sandbox, orby) = both();
    let node = node_on(&orby, 1).await.unwrap();
    let built = build(&orby, &node, &examples()[0]).await.unwrap();
    let stranger = Wallet::new([8; 32]).unwrap();
    let by_another = vec![stranger.sign(&built.operations[0].to_json()).unwrap()];
    let mut changed = built.operations[0].to_json();
    changed["value"] = "1".into();
    let other = vec![wallet().sign(&changed).unwrap()];
    for signatures in [by_another, other] {
        let refused = send(&orby, &node, &built, &signatures).await;
        assert_eq!(refused, Err(Failed::Refused(Reason::InvalidSignature)));
    }
    let signatures = sign(&built);
    send(&orby, &node, &built, &signatures).await.unwrap();
    assert!(!send(&orby, &node, &built, &signatures).await.unwrap_err().is_certain(), "already known");
    assert_eq!(sandbox.books(|books| books.taken()), 1);
}

#[tokio::test(start_paused = true)]
async fn answers_of_any_shape_are_survived() {
    for body in [
        "",
        "null",
        "[]",
        "{}",
        "{\"id\":1}",
        "{\"id\":1,\"result\":null}",
        "{\"id\":2,\"result\":{}}",
        "\u{0}",
        "{\"id\":1,\"result\":{\"accountClusterId\":7}}",
    ] {
        let transport: Transport =
            Box::new(move |_| Box::pin(async move { Ok(Answer { status: 200, body: body.as_bytes().to_vec() }) }));
        let failed = client(transport, BASE).cluster(account()).await.unwrap_err();
        assert_eq!(failed, Failed::Nonsense(200), "{body}");
    }
    for url in ["http://orby.invalid", "ftp://x", "", "orby"] {
        let settings = Settings { url: url.to_owned(), key: KEY.to_owned().into(), status_method: None };
        assert!(Orby::new(over_http(), &settings).is_none(), "{url}");
    }
}

/// The sandbox behind a transport that notes what is said.
fn noted(sandbox: &OrbySandbox) -> (Transport, Arc<Mutex<Vec<Value>>>) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let (inner, note) = (Arc::new(sandbox.transport()), said.clone());
    let transport: Transport = Box::new(move |call| {
        let (inner, note) = (inner.clone(), note.clone());
        Box::pin(async move {
            let (path, sent) = (call.url.replace(BASE, "").replace(KEY, "KEY"), call.body.clone());
            let answer = inner(call).await?;
            let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
            let answered: Value = serde_json::from_str(&json(&answer.body).to_string().replace(KEY, "KEY")).unwrap();
            note.lock().unwrap().push(json!({ "path": path, "sent": json(&sent), "answered": answered }));
            Ok(answer)
        })
    });
    (transport, said)
}

#[tokio::test(start_paused = true)]
async fn the_conversation_is_the_one_on_record() {
    let sandbox = OrbySandbox::new(KEY, BASE);
    let (transport, said) = noted(&sandbox);
    let orby = client(transport, BASE);
    let node = node_on(&orby, 1).await.unwrap();
    for place in [1, 2, 4] {
        let built = build(&orby, &node, &examples()[place]).await.unwrap();
        let ids = send(&orby, &node, &built, &sign(&built)).await.unwrap();
        orby.look_up(&node, &ids).await.unwrap();
    }
    orby.balance(&node, "std-eth").await.unwrap();
    let method = "orby_getOperationsToSwap";
    for treatment in
        [Treatment::Error("execution reverted"), Treatment::ErrorInResult("no route"), Treatment::Unbuilt("INTERNAL")]
    {
        sandbox.rule(Rule { method, chain: None, times: 1, treatment });
        build(&orby, &node, &examples()[2]).await.unwrap_err();
    }
    let said = Value::from(said.lock().unwrap().clone());
    let recorded: Value = serde_json::from_str(include_str!("../fixtures/orby/wire.json")).unwrap();
    assert!(said == recorded, "{said:#}");
}

#[tokio::test]
async fn it_is_reached_over_http() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let sandbox = OrbySandbox::new(KEY, &url);
    let server = sandbox.clone().serve(listener, std::future::pending());
    let calls = async {
        let orby = client(over_http(), &url);
        let node = node_on(&orby, 137).await.unwrap();
        let native = intents(&json!([{ "type": "transfer", "from": { "token": "pol", "chainId": 137, "amount": "10" },
            "to": { "address": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed" } }]));
        let built = build(&orby, &node, &native[0]).await.unwrap();
        assert_eq!(send(&orby, &node, &built, &sign(&built)).await.map(|ids| ids.len()), Ok(1));
        format!("{orby:?} {node:?}")
    };
    let told = tokio::select! {
        () = server => panic!("the server ends"),
        told = calls => told,
    };
    assert!(!told.contains(KEY), "{told}");
}

/// What the client makes of a server that answers with `answer`, after `wait`.
async fn made_of(answer: &[u8], wait: std::time::Duration) -> Failed {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let orby = client(over_http(), &format!("http://{}", listener.local_addr().unwrap()));
    let server = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let _ = socket.read(&mut [0; 4_096]).await;
        tokio::time::sleep(wait).await;
        let _ = socket.write_all(answer).await;
        let _ = socket.shutdown().await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = server => panic!("the server ends"),
        told = orby.cluster(account()) => told.unwrap_err(),
    }
}

#[tokio::test]
async fn what_is_not_an_answer_of_orby_is_not_taken_for_one() {
    let head = |status: &str, length: usize, more: &str| {
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{more}connection: close\r\n\r\n").into_bytes()
    };
    let long = [head("200 OK", 2_000_000, ""), vec![b' '; 2_000_000]].concat();
    let cut = [head("200 OK", 100, ""), b"{\"id\":1".to_vec()].concat();
    let elsewhere = head("307 Temporary Redirect", 0, "location: http://127.0.0.1:9/\r\n");
    for (what, answer, failed, certain) in [
        ("too long", long, Failed::Lost(Lost::Broken), false),
        ("cut off", cut, Failed::Lost(Lost::Broken), false),
        ("another place", elsewhere, Failed::Nonsense(307), false),
        ("a limit of calls", head("429 Too Many Requests", 0, ""), Failed::Nonsense(429), true),
        ("a wrong key", head("403 Forbidden", 0, ""), Failed::Nonsense(403), true),
    ] {
        let told = made_of(&answer, std::time::Duration::ZERO).await;
        assert_eq!((told, told.is_certain()), (failed, certain), "{what}");
    }
    // Nobody listens there, so nobody has seen the call.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let told = client(over_http(), &nobody).cluster(account()).await.unwrap_err();
    assert_eq!((told, told.is_certain()), (Failed::Lost(Lost::NotSent), true));
    // Somebody does, and says nothing for longer than is waited: 5 s.
    let silent = made_of(b"", std::time::Duration::from_secs(30));
    let told = tokio::time::timeout(std::time::Duration::from_secs(20), silent).await.unwrap();
    assert_eq!((told, told.is_certain()), (Failed::Lost(Lost::TimedOut), false));
}
