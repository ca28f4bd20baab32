//! When a message can be received, and by whom.

use std::{future::pending, sync::atomic::Ordering, time::Duration};

use aws_sdk_sqs::types::MessageSystemAttributeName as SystemName;
use batch_local::sqs::{Error, NewMessage, Receive, Sqs};
use tokio::{
    sync::oneshot,
    task::yield_now,
    time::{Instant, sleep, timeout},
};

use super::service::{START_MS, Service, bodies, handle, named, settings};

#[tokio::test]
async fn a_received_message_stays_hidden_until_its_timeout() {
    let service = Service::in_memory().await;
    service.send("first").await;
    service.send("second").await;
    let messages = service.received(&service.work).await;
    assert_eq!(bodies(&messages), ["first", "second"]);
    service.delete(&messages[0]).await;
    service.clock.fetch_add(29_999, Ordering::SeqCst);
    assert_eq!(bodies(&service.received(&service.work).await), [""; 0]);
    service.clock.fetch_add(1, Ordering::SeqCst);
    let again = service.only(&service.work).await;
    assert_eq!(again.message_id, messages[1].message_id);
    assert_ne!(again.receipt_handle, messages[1].receipt_handle);
    assert_eq!(again.attributes().unwrap()[&SystemName::ApproximateReceiveCount], "2");
    assert_eq!(again.attributes().unwrap()[&SystemName::ApproximateFirstReceiveTimestamp], START_MS.to_string());
}

#[tokio::test]
async fn a_receive_takes_as_many_as_it_asks_for_and_hides_them_as_long_as_it_says() {
    let service = Service::in_memory().await;
    for body in ["a", "b", "c"] {
        service.send(body).await;
    }
    let two = service.receive(&service.work).max_number_of_messages(2).visibility_timeout(5).send().await.unwrap();
    assert_eq!(bodies(two.messages()), ["a", "b"]);
    let rest = service.client.receive_message().queue_url(&service.work).send().await.unwrap();
    assert_eq!(bodies(rest.messages()), ["c"]);
    service.pass_s(5);
    assert_eq!(bodies(&service.received(&service.work).await), ["a", "b"]);
}

#[tokio::test]
async fn visibility_changes_only_while_in_flight() {
    let service = Service::in_memory().await;
    let not_in_flight = named("AWS.SimpleQueueService.MessageNotInflight", "com.amazonaws.sqs#MessageNotInflight");
    service.send("body").await;
    let first = service.only(&service.work).await;
    service.change(&first, 60).await.unwrap();
    service.pass_s(59);
    assert_eq!(service.counts("work"), [0, 1, 0]);
    service.change(&first, 0).await.unwrap();
    assert_eq!(service.counts("work"), [1, 0, 0]);
    assert_eq!(service.change(&first, 5).await, Err(not_in_flight.clone()));

    let second = service.only(&service.work).await;
    assert_eq!(service.change(&first, 5).await, Err(not_in_flight));
    service.change(&second, 43_200).await.unwrap();
    service.delete(&second).await;
    assert_eq!(service.change(&second, 5).await.unwrap_err().0, "InvalidParameterValue");
}

#[tokio::test]
async fn a_superseded_handle_deletes_nothing_and_an_expired_one_still_does() {
    let service = Service::in_memory().await;
    service.send("body").await;
    let first = service.only(&service.work).await;
    service.pass_s(30);
    let second = service.only(&service.work).await;
    service.delete(&first).await;
    assert_eq!(service.counts("work"), [0, 1, 0]);
    service.pass_s(30);
    service.delete(&second).await;
    assert_eq!(service.counts("work"), [0, 0, 0]);
    service.delete(&second).await;
}

#[tokio::test]
async fn a_delayed_message_appears_when_it_is_due() {
    let service = Service::in_memory().await;
    let send = service.message(&service.work, "later").delay_seconds(900);
    send.send().await.unwrap();
    service.pass_s(899);
    assert_eq!(service.counts("work"), [0, 0, 1]);
    assert!(service.received(&service.work).await.is_empty());
    service.pass_s(1);
    assert_eq!(service.only(&service.work).await.body(), Some("later"));
}

#[tokio::test]
async fn a_message_received_too_often_moves_to_the_dead_letter_queue() {
    let service = Service::in_memory().await;
    let id = service.send("poison").await;
    service.only(&service.work).await;
    service.pass_s(30);
    let last = service.only(&service.work).await;
    service.pass_s(30);
    service.send("next").await;
    assert_eq!(bodies(&service.received(&service.work).await), ["next"]);

    let dead = service.only(&service.dead).await;
    assert_eq!(dead.message_id(), Some(id.as_str()));
    let system = dead.attributes().unwrap();
    assert_eq!(system[&SystemName::ApproximateReceiveCount], "3");
    assert_eq!(system[&SystemName::SentTimestamp], START_MS.to_string());
    assert_eq!(system[&SystemName::DeadLetterQueueSourceArn], "arn:aws:sqs:us-east-1:000000000000:work");
    service.delete(&last).await;
    assert_eq!(service.counts("dead"), [0, 1, 0]);
    service.client.delete_message().queue_url(&service.dead).receipt_handle(handle(&dead)).send().await.unwrap();
    assert_eq!(service.counts("dead"), [0, 0, 0]);
}

#[tokio::test]
async fn messages_survive_a_restart_and_those_in_flight_are_visible_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("queue.sqlite");
    let (stop, stopped) = oneshot::channel::<()>();
    let service = Service::start(Some(&file), async { drop(stopped.await) }).await;
    let id = service.send("in flight").await;
    let before = service.only(&service.work).await;
    let delayed = service.message(&service.work, "delayed").delay_seconds(60);
    delayed.send().await.unwrap();
    assert!(matches!(Sqs::open(Some(&file), &settings(), || START_MS), Err(Error::Storage(_))));
    drop(stop);
    let Service { server, sqs, client, .. } = service;
    drop((sqs, client));
    server.await.unwrap().unwrap();

    let service = Service::start(Some(&file), pending()).await;
    assert_eq!(service.counts("work"), [1, 0, 1]);
    let again = service.only(&service.work).await;
    assert_eq!(again.message_id(), Some(id.as_str()));
    assert_eq!(again.attributes().unwrap()[&SystemName::ApproximateReceiveCount], "2");
    assert_ne!(again.receipt_handle, before.receipt_handle);
    service.pass_s(60);
    assert!(bodies(&service.received(&service.work).await).contains(&"delayed"));
}

/// In process and on the paused clock of the runtime, so that waiting takes no time.
#[tokio::test(start_paused = true)]
async fn a_long_poll_ends_with_the_first_message() {
    let start = Instant::now();
    let clock = move || START_MS + i64::try_from(start.elapsed().as_millis()).unwrap();
    let sqs = Sqs::open(None, &settings(), clock).unwrap();
    let poll = || sqs.receive("work", Receive { wait_s: 20, visibility_s: Some(8), max_messages: 10 });
    let send =
        |delay_s| sqs.send("work", &NewMessage { body: "body".into(), delay_s, ..NewMessage::default() }).unwrap();
    let elapsed = async |what: &str, expected_s: u64, count: usize| {
        let start = Instant::now();
        assert_eq!(poll().await.unwrap().len(), count, "{what}");
        assert_eq!(start.elapsed().as_millis(), u128::from(expected_s) * 1000, "{what}");
    };

    elapsed("nothing", 20, 0).await;
    send(0);
    elapsed("already there", 0, 1).await;
    elapsed("visible again", 8, 1).await;
    sqs.purge("work").unwrap();
    send(11);
    elapsed("delayed", 11, 1).await;
    sqs.purge("work").unwrap();
    let later = async {
        sleep(Duration::from_secs(3)).await;
        send(2);
    };
    tokio::join!(elapsed("sent meanwhile", 5, 1), later);
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_on_the_dead_letter_queue_ends_with_a_moved_message() {
    let sqs = Sqs::open(None, &settings(), || START_MS).unwrap();
    sqs.send("work", &NewMessage { body: "poison".into(), ..NewMessage::default() }).unwrap();
    let at_once = Receive { visibility_s: Some(0), ..Receive::default() };
    let dead = sqs.receive("dead", Receive { wait_s: 20, ..Receive::default() });
    let receives = async {
        for _ in 0..3 {
            sqs.receive("work", at_once).await.unwrap();
        }
    };
    let start = Instant::now();
    let (dead, ()) = tokio::join!(dead, receives);
    assert_eq!(dead.unwrap()[0].dead_letter_source.as_deref(), Some("work"));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn a_shutdown_ends_long_polls() {
    let (stop, stopped) = oneshot::channel::<()>();
    let service = Service::start(None, async { drop(stopped.await) }).await;
    let reads = service.clock_reads.load(Ordering::SeqCst);
    let poll = tokio::spawn(service.receive(&service.work).wait_time_seconds(20).send());
    // One look for messages and one for the next to come: then the poll is waiting.
    while service.clock_reads.load(Ordering::SeqCst) < reads + 2 {
        yield_now().await;
    }
    drop(stop);
    let both = async {
        assert_eq!(poll.await.unwrap().unwrap().messages(), []);
        service.server.await.unwrap().unwrap();
    };
    timeout(Duration::from_secs(10), both).await.unwrap();
}
