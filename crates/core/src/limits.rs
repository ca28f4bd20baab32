//! Every number the service holds itself to, and why it is what it is.

use serde::Serialize;

/// Operations in one batch. The contract's own number.
pub const MAX_OPERATIONS: usize = 100;
/// Operations in one batch of blockchain intents. That contract's own number.
pub const MAX_INTENTS: usize = 10;
/// Bytes of a request body as sent. A Lambda takes 6 MB a call and the gateway hands bodies over as base64 (x 4/3):
/// 6 MB * 3/4 = 4.5 MB.
pub const MAX_BODY_BYTES: usize = 4_500_000;
/// Bytes of an `application/gzip` body once expanded.
pub const MAX_EXPANDED_BYTES: usize = 10_000_000;
/// Bytes of a request's headers, names and values. The gateway lets 10,240 through, with the request line.
pub const MAX_HEADER_BYTES: usize = 16 * 1024;
/// Bytes of a request's query parameters, decoded.
pub const MAX_QUERY_BYTES: usize = 8 * 1024;
/// Entries of an operation's `depends_on`: as many as there are other operations, and itself, to be told so.
pub const MAX_DEPENDENCIES: usize = MAX_OPERATIONS;
/// Nesting of a request body. `DynamoDB` allows 32 levels in an item.
pub const MAX_DEPTH: usize = 32;
/// Bytes of one answer after JSON escaping: Lambda's 6 MB less headers and the event's own envelope.
pub const MAX_RESPONSE_BYTES: usize = 5_000_000;
/// Nesting of a row, itself the first level: `DynamoDB` allows 32 in an item, whose map of fields takes one.
pub const MAX_ROW_DEPTH: usize = 31;
/// Length of an `Idempotency-Key`, in characters.
pub const MAX_IDEMPOTENCY_KEY: usize = 255;
/// Length of `options.reference`, in characters; it becomes part of a key.
pub const MAX_REFERENCE: usize = 255;
/// Bytes of a primary key's text: a `DynamoDB` partition key holds 2,048 with our prefix.
pub const MAX_ID_BYTES: usize = 1_024;
/// Within how long of a memory's creation the same request of the same caller is answered with it, milliseconds: clients
/// send again what was not answered in time, and give up within a minute.
pub const RESENT_MS: i64 = 60_000;
/// Characters of a client's own text that a message repeats.
pub const MAX_SHOWN: usize = 64;
/// Characters of a JSON pointer in an answer; names in it may be as long as the request.
pub const MAX_POINTER: usize = 1_024;
/// Violations told of one row.
pub const MAX_VIOLATIONS: usize = 50;
/// Problems told of one request.
pub const MAX_PROBLEMS: usize = 200;
/// References in one operation.
pub const MAX_REFERENCES_PER_OPERATION: usize = 100;
/// Bytes that references may put into one operation.
pub const MAX_SUBSTITUTED_PER_OPERATION: usize = 64 * 1024;
/// Bytes that references may put into all operations of a batch.
pub const MAX_SUBSTITUTED_PER_BATCH: usize = 1024 * 1024;
/// Bytes of one `DynamoDB` item.
pub const MAX_ITEM_BYTES: usize = 400 * 1024;
/// Bytes of a name in an object: `DynamoDB` takes 1 to 65,535.
pub const MAX_NAME_BYTES: usize = 65_535;
/// Bytes of one operation's result.
pub const MAX_RESULT_BYTES: usize = 1024 * 1024;
/// Bytes of all results of a batch.
pub const MAX_RESULTS_BYTES: usize = 4 * 1024 * 1024;
/// Rows a read returns when it names no `limit`.
pub const DEFAULT_READ_LIMIT: usize = 50;
/// Rows a read returns at most.
pub const MAX_READ_LIMIT: usize = 200;
/// Rows a read may look at when no index serves it, or after an index has.
pub const MAX_SCANNED_ROWS: usize = 1_000;
/// `offset` of a read: what is skipped has been looked at.
pub const MAX_READ_OFFSET: usize = MAX_SCANNED_ROWS;
/// `options.timeout`, milliseconds.
pub const DEFAULT_TIMEOUT_MS: u64 = 30_000;
/// The time of a batch in the background that names no `timeout`, milliseconds: one hour.
pub const BACKGROUND_TIMEOUT_MS: i64 = 3_600_000;
/// The time of a content job, milliseconds: nine minutes, so that a client that polls for ten sees its end.
pub const CONTENT_TIMEOUT_MS: i64 = 540_000;
/// Contract calls of one batch that are under way at the same time.
pub const CONTENT_CONCURRENCY: usize = 10;
/// The most of them that a setting may allow.
pub const MOST_CONTENT_CONCURRENCY: usize = 20;
/// Transactions of one signer that may wait for a block. A node lets 25 wait; the rest is for those of others.
pub const MOST_IN_CHAIN: u64 = 20;
/// Items settled after which a batch's state is written, so that a client sees them.
pub const FOLD_ITEMS: usize = 10;
/// The longest time until it is written all the same, milliseconds.
pub const FOLD_MS: i64 = 1_000;
/// How long a signed contract call is left to the process that signed it, milliseconds: as long as a function runs.
pub const CALL_LEASE_MS: i64 = 60_000;
/// Characters of a content item's id.
pub const MAX_CONTENT_ID: usize = 128;
/// Characters of a creator.
pub const MAX_CREATOR: usize = 128;
/// Characters of `removalReason`.
pub const MAX_REMOVAL_REASON: usize = 500;
/// Bytes of an object `tokenGating` as JSON, which each item of a job holds.
pub const MAX_TOKEN_GATING_BYTES: usize = 64 * 1024;
/// A content job that took longer than this is slow, milliseconds.
pub const SLOW_CONTENT_MS: i64 = 120_000;
/// Retries in a line, each of the one before.
pub const MAX_RETRY_ATTEMPTS: usize = 3;
/// `options.timeout` at most, milliseconds.
pub const MAX_TIMEOUT_MS: u64 = 60_000;
/// `options.max_retries` at most.
pub const MAX_RETRIES: u64 = 3;
/// How long a batch is kept after it was made: 30 days.
pub const RETENTION_MS: i64 = 30 * 24 * 3_600_000;
/// How much longer its state, operations and results live than its head: TTL deletes in no order, and a head whose
/// state is gone would look as if it had not begun.
pub const REMAINS_MS: i64 = 7 * 24 * 3_600_000;
/// How long a deleted row's version is remembered: 30 days.
pub const TOMBSTONE_MS: i64 = 30 * 24 * 3_600_000;
/// Age at which a replay of an unfinished background batch sends its message again, milliseconds.
pub const REPLAY_RESEND_MS: i64 = 5_000;
/// Inline execution of a call ends here at the latest: the gateway cuts at 29 s.
pub const INLINE_BUDGET_MS: i64 = 20_000;
/// An executor call works this long before it hands on: its function ends after 60 s.
pub const EXECUTOR_BUDGET_MS: i64 = 50_000;
/// How long a paused batch waits to be resumed before it ends, milliseconds: a day.
pub const MAX_PAUSE_MS: i64 = 24 * 3_600_000;
/// How often a batch can be paused: each pause makes its deadline later and its log longer.
pub const MAX_PAUSES: usize = 50;
/// Ages, in minutes, at which the sweep looks whether a batch has ended. The first leaves a sync batch its 20 s and a
/// message its ordinary delay; the last outlives a message's visibility of 6 minutes twice.
pub const SWEPT_MINUTES: [i64; 3] = [2, 5, 15];
/// How long after the last of those ages an open batch is looked at next, milliseconds; it doubles each time.
pub const FIRST_WATCH_MS: i64 = 15 * 60_000;
/// The longest such time: 6 hours.
pub const MOST_WATCH_MS: i64 = 6 * 3_600_000;
/// Batches or results on a page.
pub const MAX_PAGE: usize = 100;
/// Batches or results on a page that names no `limit`.
pub const DEFAULT_PAGE: usize = 20;
/// Batches a filtered listing looks at before it answers a short page.
pub const MAX_PAGE_SCANNED: usize = 500;
/// Rounds of planning again after a conflict before an operation fails `CONFLICT`.
pub const MAX_ROUNDS: u32 = 8;
/// How long a call waits for the limiter at most, milliseconds; one attempt is never cut short.
pub const LIMITER_BUDGET_MS: i64 = 1_000;
/// Bytes of operations held in the head, compressed: a poll reads it, so it stays at two read units.
pub const INLINE_OPERATIONS_BYTES: usize = 8 * 1024;
/// Bytes of one stored part of operations or results: under the item limit with its keys.
pub const PART_BYTES: usize = 350 * 1024;
/// Results of a search that names no `limit`.
pub const DEFAULT_SEARCH_LIMIT: usize = 10;
/// Results of a search.
pub const MAX_SEARCH_LIMIT: usize = 100;
/// Characters of a search text that are read: a long question. What follows would find what these do.
pub const MAX_QUERY_CHARS: usize = 2_000;
/// Different words of a search text: each is looked for in every row.
pub const MAX_QUERY_WORDS: usize = 64;
/// Values and lists of values in a search's filters: each is looked for in every match.
pub const MAX_FILTER_VALUES: usize = 100;
/// Filterable values listed in a memory's search row, 8 bytes each: 1 KB. With more of them it is read to be filtered.
pub const MAX_ROW_VALUES: usize = 128;

/// What bounds one commit. Values, not constants, so that tests can make them tiny.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Limits {
    /// Actions in one transaction, the guard included. `DynamoDB` takes 100.
    pub actions: usize,
    /// Bytes of the items in one transaction. `DynamoDB` takes 4 MB; the rest is for what a row grows by when written.
    pub bytes: usize,
    /// Operations in one chunk.
    pub chunk_operations: usize,
    /// Bytes of results kept in the state item, compressed.
    pub inline_results: usize,
    /// Actions of an all-or-nothing batch that takes more than one transaction: ten transactions' worth of locks, which
    /// others wait for.
    pub wide_actions: usize,
    /// How long others leave the locks of such a batch alone, milliseconds: longer than a function runs (60 s), shorter
    /// than a message is away (360 s).
    #[serde(skip)]
    pub lease_ms: i64,
    /// Transactions of one signer that may wait for a block.
    #[serde(skip)]
    pub in_chain: u64,
    /// Between two look-ups of a signed operation set, milliseconds: the contract's own 30 s.
    #[serde(skip)]
    pub look_ms: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            actions: 100,
            bytes: 3_500_000,
            chunk_operations: 50,
            inline_results: 8 * 1024,
            wide_actions: 1_000,
            lease_ms: 90_000,
            in_chain: MOST_IN_CHAIN,
            look_ms: 30_000,
        }
    }
}
