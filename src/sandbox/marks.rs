//! Marks of requests that pass a fault to the S3 implementation.
#![cfg_attr(not(feature = "faults"), expect(dead_code, reason = "only faults set marks"))]

/// Request extension that passes `Fault::IgnoreRange` to the S3 implementation. Removing the header would break the
/// signature.
#[derive(Clone, Copy, Debug)]
pub(super) struct IgnoreRange;

/// Request extension that passes `Fault::IgnoreCondition` to the S3 implementation.
#[derive(Clone, Copy, Debug)]
pub(super) struct IgnoreCondition;

/// Request extension that passes `Fault::IgnoreEncryption` to the S3 implementation.
#[derive(Clone, Copy, Debug)]
pub(super) struct IgnoreEncryption;

/// Request extension that passes `Fault::CopyNothing` to the S3 implementation.
#[derive(Clone, Copy, Debug)]
pub(super) struct CopyNothing;

/// Request extension that passes the faults of listings to the S3 implementation, because only that knows its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListingFault {
    Rewind(usize),
    Empty,
    Reverse,
    Last,
    FromStart,
    RefuseStart,
    NoSizes,
    EmptyIsMissing,
    OnePage,
}
