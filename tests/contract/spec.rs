//! The checked-in document is the generated one. `UPDATE_EXPECT=1 cargo test --test it contract::spec` refreshes it.

use expect_test::expect_file;

#[test]
fn the_checked_in_document_is_the_generated_one() {
    expect_file!["../../openapi/v1.json"].assert_eq(&oms::api::docs::document_v1_json());
}
