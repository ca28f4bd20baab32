//! What content jobs leave in the log. By itself, because what is logged is decided once for a process.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without may stop it")]

#[path = "content/scene.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod scene;

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use batch_core::logging;
use batch_local::stacks::{Rule, Treatment};
use batch_tests::{CREATOR, stacks_settings};

use scene::Scene;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn no_key_no_address_and_no_transaction_is_in_a_log_line() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = logging::subscriber(tracing::Level::TRACE, move || writer.clone());
    let _guard = tracing::subscriber::set_default(subscriber);
    let scene = Scene::new(6).await;
    for (content, treatment) in [
        (1000, Treatment::Refuse("NotEnoughFunds")),
        (1001, Treatment::TakeInSilence),
        (1002, Treatment::Break),
        (1003, Treatment::Refuse("BadNonce")),
        (1004, Treatment::Refuse("ServerFailureDatabase")),
    ] {
        scene.world.node.rule(Rule { content: Some(content), times: 1, treatment });
    }
    let id = scene.price(&["c0", "c1", "c2", "c3", "c4", "c5", "missing"], 987_654_321).await.batch_id();
    scene.run(&id).await;
    for _ in 0..3 {
        scene.world.node.mine();
        scene.deliver().await;
    }
    let text = String::from_utf8_lossy(&lines.0.lock().unwrap()).into_owned();
    assert!(text.contains("batch executed") && text.contains("calls are signed"), "{text}");
    let settings = stacks_settings();
    let keys = settings.signers.expose().split('"').filter(|part| part.len() == 64);
    let taken = scene.world.node.pool(|pool| pool.taken().to_vec());
    let secrets = keys.map(str::to_owned).chain(taken.into_iter().map(|taken| taken.txid));
    for secret in secrets.chain([CREATOR.to_owned(), "987654321".to_owned(), "missing\"".to_owned()]) {
        assert!(!text.contains(&secret), "{secret} is in the log");
    }
}
