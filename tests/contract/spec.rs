//! The checked-in documents are the generated ones. `UPDATE_EXPECT=1 cargo test --test it contract::spec` refreshes them.

use expect_test::expect_file;
use oms::api::docs::{Rendering, document_v1_json};

#[test]
fn the_checked_in_document_is_the_generated_one() {
    expect_file!["../../openapi/v1.json"].assert_eq(&document_v1_json(Rendering::V31));
}

#[test]
fn the_checked_in_document_for_older_tools_is_the_generated_one() {
    expect_file!["../../openapi/v1-3.0.json"].assert_eq(&document_v1_json(Rendering::V30));
}
