//! What every ledger must do, as test functions for the trait. Each implementation runs all of them.
//!
//! Every function creates its own tasks in its own project, so they can run one after another with the same ledger.

mod crashes;
mod faults;
mod lifecycle;
mod lists;
pub mod model;
mod once;
mod orphans;
mod ranges;
mod records;
mod scope;
mod sharing;
pub mod subject;
mod warnings;
mod work;

use super::Ledger;

/// Runs the whole suite on one ledger.
pub async fn all(store: &dyn Ledger) {
    Box::pin(records::all(store)).await;
    Box::pin(lifecycle::all(store)).await;
    Box::pin(work::all(store)).await;
    Box::pin(ranges::all(store)).await;
    Box::pin(faults::all(store)).await;
    Box::pin(crashes::all(store)).await;
    Box::pin(orphans::all(store)).await;
    Box::pin(lists::all(store)).await;
    Box::pin(once::all(store)).await;
    Box::pin(warnings::all(store)).await;
    Box::pin(scope::all(store)).await;
    Box::pin(sharing::all(store)).await;
}
