//! The one catalogue of error codes: what each means over HTTP, whether sending again can help, and what to do.

use serde::{Deserialize, Serialize};

macro_rules! catalogue {
    ($($(#[$doc:meta])* $variant:ident, $word:literal, $status:literal, $retryable:literal, $suggestion:literal;)*) => {
        /// An error code, of a request, of one of its problems, or of one operation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Code { $($(#[$doc])* #[serde(rename = $word)] $variant,)* }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The HTTP status it answers with, or would have for one operation alone.
            pub fn http_status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// Whether the same request may succeed later without being changed.
            pub fn retryable(self) -> bool {
                match self { $(Self::$variant => $retryable,)* }
            }

            /// What the client can do about it.
            pub fn suggestion(self) -> &'static str {
                match self { $(Self::$variant => $suggestion,)* }
            }
        }
    };
}

catalogue! {
    /// One or more problems found before anything ran.
    BatchValidation, "BATCH_VALIDATION_ERROR", 400, false, "Mend every problem listed under errors and send the batch again.";
    /// The same of a batch of memories.
    InvalidBatchRequest, "INVALID_BATCH_REQUEST", 400, false, "Mend what details name and send the batch again.";
    /// Parameters of one operation on a memory, or of one memory.
    ValidationError, "VALIDATION_ERROR", 400, false, "Mend the field that details name.";
    /// The body is not JSON.
    InvalidJson, "INVALID_JSON", 400, false, "Send one JSON object in UTF-8.";
    /// A header, path or query parameter cannot be read.
    InvalidParameter, "INVALID_PARAMETER", 400, false, "Correct the named parameter.";
    /// Two credentials that differ.
    ConflictingCredentials, "CONFLICTING_CREDENTIALS", 400, false, "Send one credential, in Authorization or in X-API-Key.";
    /// An all-or-nothing batch that one transaction cannot hold.
    AtomicTooLarge, "ATOMIC_TOO_LARGE", 400, false, "Send fewer operations, or set atomic to false.";
    /// A feature that does not exist yet.
    NotSupported, "NOT_SUPPORTED", 400, false, "Leave the named feature out.";
    /// No credential, or one that is not valid.
    Unauthenticated, "UNAUTHENTICATED", 401, false, "Send a valid token or API key.";
    /// Known, but not allowed.
    Forbidden, "FORBIDDEN", 403, false, "Ask for the right to do this.";
    /// Nothing there, or nothing the caller may see.
    NotFound, "NOT_FOUND", 404, false, "Check the id.";
    /// Nothing of a batch of intents could be built; or, in the answer to an execution, an operation of it failed.
    BatchExecutionFailed, "BATCH_EXECUTION_FAILED", 400, false, "Do what the suggestion says, and build the batch again.";
    /// The same for an atomic one: an operation of it failed.
    AtomicExecutionFailed, "ATOMIC_EXECUTION_FAILED", 400, false, "Do what the suggestion says, and build the batch again.";
    /// No such route.
    RouteNotFound, "ROUTE_NOT_FOUND", 404, false, "See the API description for the routes there are.";
    /// The batch has ended, so there is nothing to stop.
    BatchEnded, "BATCH_ENDED", 409, false, "Read the batch: it has ended.";
    /// The batch has not ended, so there is nothing to send again.
    BatchNotEnded, "BATCH_NOT_ENDED", 409, true, "Wait until the batch has ended, or cancel it.";
    /// The batch is not paused.
    NotPaused, "NOT_PAUSED", 409, false, "Only a paused batch can be resumed.";
    /// The batch was paused as often as it may be.
    PauseLimit, "PAUSE_LIMIT", 409, false, "Let the batch run, or cancel it.";
    /// Every operation succeeded.
    NothingToRetry, "NOTHING_TO_RETRY", 409, false, "Every operation succeeded; there is nothing to send again.";
    /// The batch was executed before, with other signatures.
    AlreadyExecuted, "ALREADY_EXECUTED", 409, false, "Read the status of the batch: it was executed.";
    /// The batch is the last of its line.
    RetryLimit, "RETRY_LIMIT", 409, false, "Find out why it keeps failing, and send a new batch.";
    /// More operations than a batch of memories holds.
    BatchTooLarge, "BATCH_TOO_LARGE", 413, false, "Split the batch.";
    /// The body is larger than the service takes.
    PayloadTooLarge, "PAYLOAD_TOO_LARGE", 413, false, "Split the batch, or send it as application/gzip.";
    /// A content type other than JSON or gzip of JSON.
    UnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE", 415, false, "Send Content-Type: application/json, or application/gzip with JSON inside.";
    /// The key was used for another body.
    IdempotencyKeyReused, "IDEMPOTENCY_KEY_REUSED", 422, false, "Use a new Idempotency-Key for a new request.";
    /// More than the caller's quota.
    RateLimited, "RATE_LIMITED", 429, true, "Wait as long as Retry-After says, then send the same request again.";
    /// Ours: nothing ran.
    NotStarted, "NOT_STARTED", 503, true, "Send the same request again in a moment; nothing ran.";
    /// Ours: it may have run.
    OutcomeUnknown, "OUTCOME_UNKNOWN", 500, true, "Send the same request with the same Idempotency-Key to learn what became of it.";
    /// Ours: a read that failed.
    Internal, "INTERNAL_ERROR", 500, true, "Send the same request again; give the request id when you report it.";

    /// No operations.
    EmptyBatch, "EMPTY_BATCH", 400, false, "Send at least one operation.";
    /// More operations than a batch holds.
    TooManyOperations, "TOO_MANY_OPERATIONS", 400, false, "Split the batch.";
    /// Two operations of one name.
    DuplicateId, "DUPLICATE_ID", 400, false, "Give each operation its own id.";
    /// Something required is missing.
    Required, "REQUIRED", 400, false, "Add the named field.";
    /// A value of the wrong JSON type.
    WrongType, "WRONG_TYPE", 400, false, "Send the type the message names.";
    /// A value the schema or the contract does not allow.
    InvalidValue, "INVALID_VALUE", 400, false, "Send a value the message allows.";
    /// A field the entity does not have.
    UnknownField, "UNKNOWN_FIELD", 400, false, "Remove the field or correct its name.";
    /// A field only the server sets.
    ReadOnly, "READ_ONLY", 400, false, "Leave the field out: the server sets it.";
    /// An action that does not exist.
    UnknownAction, "UNKNOWN_ACTION", 400, false, "Use create, read, update or delete.";
    /// An entity the model does not have.
    UnknownEntity, "UNKNOWN_ENTITY", 400, false, "Use an entity of the model.";
    /// A batch inside a batch.
    NestedBatch, "NESTED_BATCH", 400, false, "Put the inner operations into this batch.";
    /// Entities of two databases in one batch.
    CrossDatabase, "CROSS_DATABASE", 400, false, "Send one batch for each database.";
    /// A dependency that is not in the batch.
    UnknownDependency, "UNKNOWN_DEPENDENCY", 400, false, "Name an operation of this batch.";
    /// An operation that waits for itself.
    SelfDependency, "SELF_DEPENDENCY", 400, false, "Remove the dependency on itself.";
    /// Operations that wait for each other.
    CircularDependency, "CIRCULAR_DEPENDENCY", 400, false, "Break the cycle the message shows.";
    /// A reference to an operation that is not in the batch.
    UnknownReference, "UNKNOWN_REFERENCE", 400, false, "Refer to an operation of this batch.";
    /// A reference that cannot be read.
    MalformedReference, "MALFORMED_REFERENCE", 400, false, "Write $ref:operation.field, or $$ref: for the text itself.";
    /// update and delete without a primary key.
    PrimaryKeyRequired, "PRIMARY_KEY_REQUIRED", 400, false, "Name the primary key in query_params.";
    /// A read that no key, index or limit bounds.
    LimitRequired, "LIMIT_REQUIRED", 400, false, "Add limit to metadata_params, or query by the primary key or an indexed field.";

    /// A reference that points to nothing.
    ReferenceUnresolved, "REFERENCE_UNRESOLVED", 400, false, "Refer to a field the named operation returns.";
    /// References that put in more than they may.
    ReferenceTooLarge, "REFERENCE_TOO_LARGE", 400, false, "Refer to smaller values.";
    /// A row with this key is there already.
    AlreadyExists, "ALREADY_EXISTS", 409, false, "Use another key, or update the row.";
    /// A unique value another row has.
    UniqueViolation, "UNIQUE_VIOLATION", 409, false, "Use another value.";
    /// A parent that is not there, or one that still has children.
    ForeignKeyViolation, "FOREIGN_KEY_VIOLATION", 409, false, "Create the parent first; delete the children first.";
    /// The row has another version than the client expected.
    VersionConflict, "VERSION_CONFLICT", 409, false, "Read the row again and decide anew.";
    /// A condition of an update or delete does not hold.
    ConditionFailed, "CONDITION_FAILED", 409, false, "Read the row again and decide anew.";
    /// Others kept changing the same rows.
    Conflict, "CONFLICT", 409, true, "Send it again in a moment.";
    /// The time of the batch was over before the operation.
    Timeout, "TIMEOUT", 408, true, "Send it again, with fewer operations or more time.";
    /// The batch stopped before the operation.
    NotExecuted, "NOT_EXECUTED", 409, false, "Mend what stopped the batch, or set continue_on_error.";
    /// An operation that this one depends on failed.
    DependencyFailed, "DEPENDENCY_FAILED", 424, false, "Mend the operation that it depends on.";
    /// The batch was cancelled before the operation.
    Cancelled, "CANCELLED", 409, false, "Send it again, if it is still wanted.";
    /// The batch was given up after its message had failed too often.
    Poison, "POISON", 500, true, "Retry the batch; if it fails again, report its id.";
    /// A row larger than the store holds.
    ItemTooLarge, "ITEM_TOO_LARGE", 413, false, "Keep a row under 400 KB.";
    /// A result larger than a batch may keep.
    ResultTooLarge, "RESULT_TOO_LARGE", 413, false, "Ask for fewer rows or properties.";
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
