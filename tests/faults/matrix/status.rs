//! Error responses of every operation: server errors, throttling, credentials, permissions, redirects.

use oms::object::clouds::Side::{self, Source, Target};
use oms::sandbox::{Fault, Operation as O};
use oms::task::ReasonKind;

use super::row::{OWN, PARTS, PLAIN, Row, TAGGED, Times, answer, run};

/// The operations of a pass, and the key for which they fail in rows with permanent errors. Without a key the error hits
/// every request, and the task ends.
const USED: &[(Side, O, Option<&str>)] = &[
    (Source, O::ListObjects, None),
    (Source, O::HeadObject, Some(OWN)),
    (Source, O::GetObject, Some(PLAIN)),
    (Source, O::GetObject, Some(PARTS)),
    (Source, O::GetTagging, Some(TAGGED)),
    (Target, O::ListObjects, None),
    (Target, O::PutObject, Some(PLAIN)),
    (Target, O::CreateUpload, Some(OWN)),
    (Target, O::UploadPart, Some(PARTS)),
    (Target, O::Complete, Some(OWN)),
];

fn lasting(row: Row, side: Side, key: Option<&'static str>, code: &'static str) -> Row {
    let code = match (row.operation, code) {
        // The response to HEAD has no body that names the error.
        (O::HeadObject, "SlowDown" | "ServiceUnavailable") => "RateLimited",
        (O::HeadObject, _) => "Unavailable",
        _ => code,
    };
    match key {
        Some(key) => row.of(key).fails(&[key], code),
        None => row.ends(match side {
            Source => ReasonKind::SourceUnavailable,
            Target => ReasonKind::TargetUnavailable,
        }),
    }
}

#[tokio::test]
async fn server_errors() {
    let mut rows = Vec::new();
    for (n, (side, operation, key)) in USED.iter().enumerate() {
        let errors = [
            (500, "InternalError"),
            (502, "BadGateway"),
            (503, "ServiceUnavailable"),
            (504, "GatewayTimeout"),
        ];
        for (at, (status, code)) in errors.into_iter().enumerate() {
            let row = |times| {
                Row::new(
                    &format!("F1 {status}"),
                    *side,
                    *operation,
                    answer(status, code),
                    times,
                )
            };
            rows.push(row(Times::Some(1)));
            rows.push(row(Times::Some(4)));
            // A permanent error takes all attempts, so one status for each operation is enough.
            if at == n % errors.len() {
                rows.push(lasting(row(Times::Always), *side, *key, code));
            }
        }
    }
    let row = |operation, times| {
        Row::new(
            "F1 500 probe",
            Target,
            operation,
            answer(500, "InternalError"),
            times,
        )
    };
    rows.push(row(O::DeleteObject, Times::Some(3)));
    run(rows).await;
}

#[tokio::test]
async fn throttling() {
    let mut rows = Vec::new();
    for (side, operation, key) in USED {
        for (name, status, retry_after) in [
            ("F2", 503, None),
            ("F2", 503, Some("0")),
            ("F2", 503, Some("Mon, 01 Jan 2024 00:00:00 GMT")),
            ("F3", 429, None),
        ] {
            let fault = Fault::Status {
                status,
                code: "SlowDown".to_owned(),
                retry_after: retry_after.map(ToOwned::to_owned),
            };
            rows.push(Row::new(name, *side, *operation, fault.clone(), Times::Some(3)));
            if retry_after.is_none() && status == 503 && key.is_some() {
                rows.push(lasting(
                    Row::new(name, *side, *operation, fault, Times::Always),
                    *side,
                    *key,
                    "SlowDown",
                ));
            }
        }
    }
    run(rows).await;
}

#[tokio::test]
async fn credentials() {
    let mut rows = Vec::new();
    for (side, operation, key) in USED {
        let reason = match side {
            Source => ReasonKind::SourceCredentials,
            Target => ReasonKind::TargetCredentials,
        };
        for (name, status, code) in [
            ("F21", 400, "ExpiredToken"),
            ("F22", 403, "InvalidAccessKeyId"),
            ("F22", 403, "SignatureDoesNotMatch"),
            ("F23", 403, "RequestTimeTooSkewed"),
        ] {
            // F25: the credentials of one side fail after the preflight, in the middle of the work.
            let skip = if (*side, *operation) == (Source, O::ListObjects) {
                2
            } else {
                1
            };
            // The response to HEAD has no body that names the error, see `bodies::heads`.
            if *operation == O::HeadObject {
                continue;
            }
            let fault = answer(status, code);
            // An error of one object does not stop the others. The object fails with the code of the store.
            if let Some(key) = *key {
                let name = format!("{name} one object {code}");
                let row = Row::new(&name, *side, *operation, fault.clone(), Times::Always);
                rows.push(row.of(key).fails(&[key], code));
            }
            // An operation that only few objects need does not end the task either.
            let general = matches!(operation, O::ListObjects | O::GetObject | O::PutObject);
            if !general || *key == Some(PARTS) {
                continue;
            }
            let row = Row::new(
                &format!("{name} F25 {code}"),
                *side,
                *operation,
                fault,
                Times::Always,
            );
            rows.push(row.after(skip).ends(reason));
        }
    }
    // If one key may not be read or written, only that key fails.
    for (side, operation, key) in USED {
        let Some(key) = key else { continue };
        if *operation == O::GetTagging || *operation == O::HeadObject {
            continue;
        }
        let row = Row::new(
            "F22",
            *side,
            *operation,
            answer(403, "AccessDenied"),
            Times::Always,
        );
        rows.push(row.of(key).fails(&[key], "AccessDenied"));
    }
    run(rows).await;
}

#[tokio::test]
async fn places() {
    let mut rows = Vec::new();
    for (status, code) in [
        (301, "PermanentRedirect"),
        (307, "TemporaryRedirect"),
        (400, "AuthorizationHeaderMalformed"),
    ] {
        for side in [Source, Target] {
            let reason = match (side, status) {
                (Source, 400) => ReasonKind::SourceCredentials,
                (Source, _) => ReasonKind::SourceUnavailable,
                (Target, 400) => ReasonKind::TargetCredentials,
                (Target, _) => ReasonKind::TargetUnavailable,
            };
            let fault = answer(status, code);
            rows.push(Row::new("F26", side, O::Any, fault, Times::Always).ends(reason));
        }
    }
    for (side, reason) in [
        (Source, ReasonKind::SourceBucket),
        (Target, ReasonKind::TargetBucket),
    ] {
        let operation = match side {
            Source => O::GetObject,
            Target => O::PutObject,
        };
        let gone = answer(404, "NoSuchBucket");
        rows.push(
            Row::new("bucket gone", side, operation, gone, Times::Always)
                .after(5)
                .ends(reason),
        );
    }
    let full = answer(507, "InsufficientStorage");
    rows.push(
        Row::new("full", Target, O::PutObject, full, Times::Always)
            .after(9)
            .ends(ReasonKind::TargetFull),
    );
    let archived = answer(403, "InvalidObjectState");
    rows.push(
        Row::new("F41", Source, O::GetObject, archived, Times::Always)
            .of(PLAIN)
            .fails(&[PLAIN], "InvalidObjectState"),
    );
    run(rows).await;
}
