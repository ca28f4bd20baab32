use std::{path::Path, time::Duration};

use rusqlite::{Connection, OptionalExtension, Row, named_params, types::Type};

use super::{Error, Message, NewMessage, Redrive, receipt::Receipt, wire};

/// Bump it with every change of the table; a file of an older version is brought up to it, a newer one is refused.
const VERSION: i64 = 2;
/// What has changed since version 1, in whose files messages have no trace.
const SINCE_1: &str = "ALTER TABLE message ADD COLUMN trace_header TEXT";

/// `visible_at` is when the message can next be received: a message of the future is delayed while it was never
/// received, and in flight otherwise. Times are milliseconds since the Unix epoch.
const SCHEMA: &str = "
    CREATE TABLE message (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        queue TEXT NOT NULL,
        body TEXT NOT NULL,
        attributes TEXT NOT NULL,
        group_id TEXT,
        dead_letter_source TEXT,
        sent_at INTEGER NOT NULL,
        visible_at INTEGER NOT NULL,
        receive_count INTEGER NOT NULL DEFAULT 0,
        first_received_at INTEGER,
        trace_header TEXT
    ) STRICT;
    CREATE INDEX message_by_visibility ON message (queue, visible_at, seq);
";

/// How many messages a queue holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Can be received now.
    pub visible: u32,
    /// Received, not deleted, and still hidden.
    pub in_flight: u32,
    /// Sent with a delay that is not over.
    pub delayed: u32,
}

/// What decides whether a receipt still holds.
pub(super) struct State {
    pub receive_count: u32,
    pub visible_at: i64,
}

pub(super) struct Store {
    connection: Connection,
}

impl Store {
    /// Keeps the file to this process alone: what is in flight here must not become visible because another one starts.
    pub fn open(path: Option<&Path>, now: i64) -> Result<Self, Error> {
        let connection = match path {
            Some(path) => Connection::open(path)?,
            None => Connection::open_in_memory()?,
        };
        connection.busy_timeout(Duration::ZERO)?;
        connection.execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; BEGIN EXCLUSIVE;",
        )?;
        let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        match version {
            0 => connection.execute_batch(SCHEMA)?,
            1 => connection.execute_batch(SINCE_1)?,
            VERSION => {}
            _ => {
                let text = format!("The queue's database has version {version}, this service reads version {VERSION}.");
                return Err(Error::UnsupportedOperation(text));
            }
        }
        connection.pragma_update(None, "user_version", VERSION)?;
        connection.execute(
            "UPDATE message SET visible_at = :now WHERE receive_count > 0 AND visible_at > :now",
            named_params! { ":now": now },
        )?;
        connection.execute_batch("COMMIT")?;
        Ok(Self { connection })
    }

    /// Answers the new message's id.
    pub fn insert(&self, queue: &str, message: &NewMessage, now: i64) -> Result<String, Error> {
        let attributes = serde_json::to_string(&wire::attributes_to_wire(&message.attributes))?;
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO message (id, queue, body, attributes, group_id, trace_header, sent_at, visible_at)
             VALUES (:id, :queue, :body, :attributes, :group_id, :trace_header, :now, :visible_at)",
        )?;
        let id = self.new_id()?;
        insert.execute(named_params! {
            ":id": id,
            ":queue": queue,
            ":body": message.body,
            ":attributes": attributes,
            ":group_id": message.group_id,
            ":trace_header": message.trace_header,
            ":now": now,
            ":visible_at": now + super::ms(message.delay_s),
        })?;
        Ok(id)
    }

    /// Moves the visible messages that were received often enough; answers how many.
    pub fn redrive(&self, queue: &str, redrive: &Redrive, now: i64) -> Result<usize, Error> {
        let mut update = self.connection.prepare_cached(
            "UPDATE message SET queue = :target, dead_letter_source = :queue, visible_at = :now
             WHERE queue = :queue AND visible_at <= :now AND receive_count >= :max",
        )?;
        Ok(update.execute(named_params! {
            ":target": redrive.queue,
            ":queue": queue,
            ":now": now,
            ":max": redrive.max_receive_count,
        })?)
    }

    /// Receives up to `max` visible messages and hides them until `hidden_until`.
    pub fn take(&self, queue: &str, max: u32, now: i64, hidden_until: i64) -> Result<Vec<Message>, Error> {
        let mut update = self.connection.prepare_cached(
            "UPDATE message
             SET receive_count = receive_count + 1,
                 first_received_at = coalesce(first_received_at, :now),
                 visible_at = :hidden_until
             WHERE seq IN (
                 SELECT seq FROM message WHERE queue = :queue AND visible_at <= :now ORDER BY visible_at, seq LIMIT :max
             )
             RETURNING seq, id, queue, body, attributes, group_id, trace_header, dead_letter_source, sent_at,
                 first_received_at, receive_count",
        )?;
        let parameters = named_params! { ":queue": queue, ":max": max, ":now": now, ":hidden_until": hidden_until };
        let mut taken = update
            .query_map(parameters, |row| Ok((row.get::<_, i64>("seq")?, message(row)?)))?
            .collect::<Result<Vec<_>, _>>()?;
        // The order of RETURNING is not defined.
        taken.sort_by_key(|(seq, _)| *seq);
        Ok(taken.into_iter().map(|(_, message)| message).collect())
    }

    /// When the next hidden message appears.
    pub fn next_due(&self, queue: &str, now: i64) -> Result<Option<i64>, Error> {
        let mut select = self
            .connection
            .prepare_cached("SELECT min(visible_at) FROM message WHERE queue = :queue AND visible_at > :now")?;
        Ok(select.query_row(named_params! { ":queue": queue, ":now": now }, |row| row.get(0))?)
    }

    /// None when the message is gone from the receipt's queue.
    pub fn state(&self, receipt: &Receipt) -> Result<Option<State>, Error> {
        let mut select = self
            .connection
            .prepare_cached("SELECT receive_count, visible_at FROM message WHERE id = :id AND queue = :queue")?;
        let parameters = named_params! { ":id": receipt.message_id, ":queue": receipt.queue };
        let state = select
            .query_row(parameters, |row| Ok(State { receive_count: row.get(0)?, visible_at: row.get(1)? }))
            .optional()?;
        Ok(state)
    }

    pub fn set_visible_at(&self, receipt: &Receipt, at: i64) -> Result<(), Error> {
        let mut update = self.connection.prepare_cached("UPDATE message SET visible_at = :at WHERE id = :id")?;
        update.execute(named_params! { ":id": receipt.message_id, ":at": at })?;
        Ok(())
    }

    /// Deletes nothing when the receipt is not the message's last.
    pub fn delete(&self, receipt: &Receipt) -> Result<(), Error> {
        let mut delete = self
            .connection
            .prepare_cached("DELETE FROM message WHERE id = :id AND queue = :queue AND receive_count = :count")?;
        delete.execute(named_params! {
            ":id": receipt.message_id,
            ":queue": receipt.queue,
            ":count": receipt.receive_count,
        })?;
        Ok(())
    }

    pub fn counts(&self, queue: &str, now: i64) -> Result<Counts, Error> {
        let mut select = self.connection.prepare_cached(
            "SELECT count(*) FILTER (WHERE visible_at <= :now),
                    count(*) FILTER (WHERE visible_at > :now AND receive_count > 0),
                    count(*) FILTER (WHERE visible_at > :now AND receive_count = 0)
             FROM message WHERE queue = :queue",
        )?;
        Ok(select.query_row(named_params! { ":queue": queue, ":now": now }, |row| {
            Ok(Counts { visible: row.get(0)?, in_flight: row.get(1)?, delayed: row.get(2)? })
        })?)
    }

    pub fn purge(&self, queue: &str) -> Result<(), Error> {
        self.connection.execute("DELETE FROM message WHERE queue = :queue", named_params! { ":queue": queue })?;
        Ok(())
    }

    /// A random UUID; the database's generator is the only source of chance here.
    fn new_id(&self) -> Result<String, Error> {
        let mut select = self.connection.prepare_cached("SELECT randomblob(16)")?;
        let bytes: [u8; 16] = select.query_row([], |row| row.get(0))?;
        Ok(uuid::Builder::from_random_bytes(bytes).into_uuid().hyphenated().to_string())
    }
}

fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let attributes: String = row.get("attributes")?;
    let attributes = serde_json::from_str(&attributes)
        .map_err(Error::from)
        .and_then(wire::attributes_from_wire)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error)))?;
    let receipt =
        Receipt { queue: row.get("queue")?, message_id: row.get("id")?, receive_count: row.get("receive_count")? };
    Ok(Message {
        receipt_handle: receipt.handle(),
        id: receipt.message_id,
        body: row.get("body")?,
        attributes,
        group_id: row.get("group_id")?,
        trace_header: row.get("trace_header")?,
        sent_at_ms: row.get("sent_at")?,
        first_received_at_ms: row.get("first_received_at")?,
        receive_count: receipt.receive_count,
        dead_letter_source: row.get("dead_letter_source")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_first_version_keeps_its_messages_and_takes_traces() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sqs.sqlite");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(&SCHEMA.replace(",\n        trace_header TEXT", "")).unwrap();
        old.execute_batch(
            "INSERT INTO message (id, queue, body, attributes, sent_at, visible_at) VALUES ('i', 'q', 'b', '{}', 1, 1);
             PRAGMA user_version = 1",
        )
        .unwrap();
        drop(old);
        for _ in 0..2 {
            let store = Store::open(Some(&path), 2).unwrap();
            let [message] = store.take("q", 10, 2, 2).unwrap().try_into().unwrap();
            assert_eq!((message.body.as_str(), message.trace_header), ("b", None));
            drop(store);
        }
        let store = Store::open(Some(&path), 3).unwrap();
        let traced = NewMessage { body: "c".into(), trace_header: Some("t".into()), ..NewMessage::default() };
        store.insert("r", &traced, 3).unwrap();
        assert_eq!(store.take("r", 1, 3, 4).unwrap()[0].trace_header.as_deref(), Some("t"));
    }
}
