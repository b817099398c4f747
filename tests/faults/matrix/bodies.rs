//! Broken connections, bodies that differ from their headers, and responses that do not come from a store.

use std::time::Duration;

use oms::object::clouds::Side::{Source, Target};
use oms::sandbox::{Fault, Operation as O};

use super::row::{OWN, PARTS, PLAIN, Row, SMALL_PARTS, Times, answer, bytes, run};
use crate::support::rig::SMALL_PART;

const FEW: Times = Times::Some(4);

fn html() -> Fault {
    Fault::OkWithBody {
        content_type: "text/html".to_owned(),
        body: "<html><body>Please log in</body></html>".into(),
    }
}

fn header(name: &'static str, value: Option<&str>) -> Fault {
    Fault::Header {
        name,
        value: value.map(ToOwned::to_owned),
    }
}

#[tokio::test]
async fn reads() {
    let mut rows = Vec::new();
    for (name, fault, code) in [
        ("F4 before", Fault::ResetBefore, "Unavailable"),
        ("F4 within", Fault::TruncateBody { after: 3 }, "Unavailable"),
        ("F5 F6", Fault::EarlyClose { after: 3 }, "Integrity"),
        ("F7", Fault::ExtraBytes(9), "Integrity"),
        ("F8 shorter", Fault::WrongLength(5), "Integrity"),
        ("F9", Fault::Stall { after: 3 }, "Timeout"),
        ("F13", html(), "Integrity"),
        (
            "F14",
            Fault::OkWithError {
                code: "InternalError".to_owned(),
            },
            "Integrity",
        ),
        ("F43 no tag", header("etag", None), "Integrity"),
    ] {
        for key in [PLAIN, PARTS, OWN, SMALL_PARTS] {
            let row = |times| Row::new(name, Source, O::GetObject, fault.clone(), times).of(key);
            rows.push(row(Times::Some(1)));
            rows.push(row(FEW));
            let code = match (name, key) {
                // A part is requested by its range, and the response must name that range.
                ("F5 F6" | "F7" | "F8 shorter" | "F13" | "F14", PARTS | OWN) if code == "Integrity" => {
                    if matches!(name, "F5 F6") {
                        code
                    } else {
                        "RangeIgnored"
                    }
                }
                _ => code,
            };
            if key != OWN {
                rows.push(row(Times::Always).fails(&[key], code));
            }
        }
    }
    for (name, fault) in [
        ("F11", Fault::IgnoreRange),
        ("F12", header("content-range", Some("bytes 1-32768/81920"))),
        ("F12 none", header("content-range", None)),
    ] {
        for key in [PARTS, OWN] {
            let row = |times| Row::new(name, Source, O::GetObject, fault.clone(), times).of(key);
            rows.push(row(Times::Some(1)));
            rows.push(row(Times::Always).fails(&[key], "RangeIgnored"));
        }
    }
    run(rows).await;
}

#[tokio::test]
async fn heads() {
    let mut rows = Vec::new();
    for (name, fault, code) in [
        ("F13", html(), "Integrity"),
        ("F43 no tag", header("etag", None), "Integrity"),
        ("F4", Fault::ResetBefore, "Unavailable"),
    ] {
        for key in [PARTS, OWN] {
            let row = |times| Row::new(name, Source, O::HeadObject, fault.clone(), times).of(key);
            rows.push(row(Times::Some(1)));
            rows.push(row(Times::Always).fails(&[key], code));
        }
    }
    // The response to HEAD has no body that names the error, so another request must find the code.
    for (status, code) in [(400, "ExpiredToken"), (403, "InvalidAccessKeyId")] {
        let row = Row::new("F21 no body", Source, O::Any, answer(status, code), Times::Always);
        // Every request for this object is refused. The credentials work for all others.
        rows.push(row.of(OWN).fails(&[OWN], code));
    }
    run(rows).await;
}

#[tokio::test]
async fn corruption() {
    let mut rows = Vec::new();
    for key in [PLAIN, PARTS] {
        let row = |times| {
            let fault = Fault::CorruptBody { at: 7 };
            // Other objects are copied before, so the worker knows that the source's ETags are hashes.
            Row::new("corrupt", Source, O::GetObject, fault, times).of(key)
        };
        rows.push(row(Times::Some(1)));
        rows.push(row(Times::Some(2)));
        // If an object in parts is damaged in the same way each time, it looks like an object whose ETag is not a hash.
        if key == PLAIN {
            rows.push(row(Times::Always).fails(&[key], "BadDigest"));
        }
    }
    run(rows).await;
}

#[tokio::test]
async fn writes() {
    let mut rows = Vec::new();
    let error = Fault::OkWithError {
        code: "InternalError".to_owned(),
    };
    for (operation, key) in [
        (O::PutObject, PLAIN),
        (O::CreateUpload, OWN),
        (O::UploadPart, PARTS),
        (O::UploadPart, OWN),
        (O::Complete, PARTS),
        (O::Complete, OWN),
    ] {
        for (name, fault, code) in [
            ("F4", Fault::ResetBefore, "Unavailable"),
            ("F14", error.clone(), "InternalError"),
            ("F13", html(), "Integrity"),
            ("F9", Fault::Delay(Duration::from_secs(30)), "Timeout"),
        ] {
            let row = |times| Row::new(name, Target, operation, fault.clone(), times).of(key);
            rows.push(row(Times::Some(1)));
            let slow = name == "F9";
            if !slow {
                rows.push(row(FEW));
            }
            if !slow && key != OWN {
                rows.push(row(Times::Always).fails(&[key], code));
            }
        }
        let lost = |times| Row::new("F15", Target, operation, Fault::ResetAfterEffect, times).of(key);
        rows.push(lost(Times::Some(1)));
        rows.push(lost(FEW));
    }
    // The object is complete even if the response is always lost.
    for key in [PARTS, OWN] {
        rows.push(Row::new("F15", Target, O::Complete, Fault::ResetAfterEffect, Times::Always).of(key));
    }
    for tag in [
        None,
        Some("unquoted"),
        Some("W/\"0cc175b9c0f1b6a831c399e269772661\""),
        Some("\"0CC175B9C0F1B6A831C399E269772661\""),
        Some("\"0cc175b9c0f1b6a831c399e269772661-7\""),
    ] {
        for operation in [O::PutObject, O::Complete] {
            let fault = header("etag", tag);
            rows.push(Row::new(
                &format!("F43 {tag:?}"),
                Target,
                operation,
                fault,
                Times::Always,
            ));
        }
    }
    run(rows).await;
}

#[tokio::test]
async fn changes() {
    let mut rows = Vec::new();
    for (key, length) in [(PLAIN, 97), (OWN, 5 * SMALL_PART + 7), (PARTS, 5 * SMALL_PART)] {
        for length in [length, 20, 7 * SMALL_PART] {
            let fault = || Fault::ChangeObject {
                data: bytes(99, length).into(),
            };
            let of = |operation, skip| {
                let row = Row::new(
                    &format!("F38 {length}"),
                    Source,
                    operation,
                    fault(),
                    Times::Some(1),
                );
                row.of(key).after(skip)
            };
            rows.push(of(O::GetObject, 0));
            if key != PLAIN {
                rows.push(of(O::GetObject, 1));
                rows.push(of(O::HeadObject, 0));
                let ignored = of(O::GetObject, 1).with(Source, O::GetObject, Fault::IgnoreCondition);
                rows.push(ignored);
            }
        }
        let gone = answer(404, "NoSuchKey");
        let row = |operation, skip| {
            Row::new("F39", Source, operation, gone.clone(), Times::Always)
                .of(key)
                .after(skip)
        };
        // The listing still has the object, so no error code makes it missing.
        rows.push(row(O::GetObject, 0).fails(&[key], "ListedButMissing"));
        if key != PLAIN {
            rows.push(row(O::GetObject, 1).fails(&[key], "ListedButMissing"));
            let head = row(O::HeadObject, 0);
            rows.push(head.fails(&[key], "ListedButMissing"));
        }
        for times in [Times::Some(1), FEW] {
            let foreign = Row::new(
                "F39 foreign",
                Source,
                O::GetObject,
                answer(404, "NotFound"),
                times,
            );
            rows.push(foreign.of(key));
        }
    }
    run(rows).await;
}
