//! The reasons for which a task ends as failed: the `TRF.*` codes of the OMS reference.
//!
//! The table stands here and not with the `OMS.*` codes in `api`, because the engine finds these reasons and the ledger
//! keeps them. `api` reads it for the catalogue of codes in the document.

/// A code, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The code, for example `TRF.0151`.
    pub code: &'static str,
    /// What it means: a sentence.
    pub meaning: &'static str,
    /// What the caller or the operator can do about it: a sentence.
    pub action: &'static str,
}

/// Makes a constant of each code, and `ALL`, the table of all of them.
macro_rules! codes {
    ($($name:ident = $code:literal, $meaning:literal, $action:literal;)*) => {
        $(
            #[doc = concat!("`", $code, "`: ", $meaning)]
            pub const $name: &str = $code;
        )*
        /// Every code of this table, in ascending order.
        pub const ALL: &[$crate::task::reasons::Entry] = &[
            $($crate::task::reasons::Entry { code: $code, meaning: $meaning, action: $action },)*
        ];
    };
}
pub(crate) use codes;

codes! {
    SYSTEM_ERROR = "TRF.0001",
        "The service cannot continue the task: its stored credentials cannot be opened, its counters do not balance, or a bug was found.",
        "Start the task again. If it fails again, search the log for the task's number.";
    OBJECTS_FAILED = "TRF.0004",
        "The pass came to its end, and some objects could not be copied.",
        "Read the failures of the task, remove their causes, and start it with migration_failed_object true.";
    NO_SOURCE_OBJECTS = "TRF.0011",
        "None of the objects that the task names exists at the source, and none begins with one of its prefixes.",
        "Check src_node.object_key and the bucket, and create a new task, or start it when the objects are there.";
    LIST_FILE_UNREADABLE = "TRF.0013",
        "The list file does not exist, cannot be read, or was changed while it was read.",
        "Check src_node.list_file and the permissions of the target's credentials, then start the task.";
    LIST_FILE_FORM = "TRF.0014",
        "The name of the list file does not end with .txt, or the file is larger than 1024 MiB.",
        "Store the list under another name, or split it, and create a new task.";
    URL_LIST_LINE = "TRF.0016",
        "A line of the list of URLs is not a URL, a TAB and an object name, or repeats the name of an earlier line.",
        "Correct the line that the message names, then start the task.";
    LIST_FILE_EMPTY = "TRF.0017",
        "The list file is empty.",
        "Fill the list file, then start the task.";
    LIST_LINE_TOO_LONG = "TRF.0018",
        "A line of the list file is longer than 65535 bytes.",
        "Shorten the line that the message names, then start the task.";
    LIST_FILE_TYPE = "TRF.0019",
        "The list file has a Content-Type other than text/plain, or a Content-Encoding.",
        "Store the list file again with the Content-Type text/plain and without a Content-Encoding, then start the task.";
    TARGET_PERMISSION = "TRF.0051",
        "The target's credentials may not do what the task needs.",
        "Allow listing, reading and writing in the target bucket, or start the task with other credentials.";
    TARGET_FULL = "TRF.0055",
        "The target has no space left.",
        "Make space at the target, then start the task.";
    TARGET_CREDENTIALS = "TRF.0057",
        "The target does not accept the credentials.",
        "Start the task with the right access key and secret key of the target.";
    TARGET_BUCKET = "TRF.0058",
        "The target bucket does not exist.",
        "Create the bucket, then start the task.";
    TARGET_UNAVAILABLE = "TRF.0061",
        "The target does not answer, or answers with errors.",
        "Check the target's address and state, then start the task.";
    SOURCE_CREDENTIALS = "TRF.0151",
        "The source does not accept the credentials.",
        "Start the task with the right access key and secret key of the source.";
    SOURCE_PERMISSION = "TRF.0152",
        "The source's credentials may not do what the task needs.",
        "Allow listing and reading in the source bucket, or start the task with other credentials.";
    SOURCE_BUCKET = "TRF.0155",
        "The source bucket does not exist.",
        "Check the name and the region of the source bucket.";
    SOURCE_OBJECT = "TRF.0156",
        "An object of the source that the task needs does not exist.",
        "Check the names that the task was created with.";
    SOURCE_UNAVAILABLE = "TRF.0157",
        "The source does not answer, or answers with errors.",
        "Check the source's address and state, then start the task.";
    TARGET_ENCRYPTION = "TRF.0158",
        "The target does not encrypt as the task asks.",
        "Enable the key management service at the target, or create the task with enableKMS false.";
    SOURCE_THROTTLED = "TRF.0159",
        "The source limits the rate of requests, and did not stop doing so.",
        "Start the task later, or create it with a smaller thread_num.";
    SOURCE_ARCHIVED = "TRF.0160",
        "The data at the source is archived and cannot be read.",
        "Restore the data at the source, then start the task.";
    LIST_FILE_ARCHIVED = "TRF.0301",
        "The list file is archived and cannot be read.",
        "Restore the list file, then start the task.";
}
