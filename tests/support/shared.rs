//! One service for tests that differ only in the caller: each works in a project of its own.

use std::sync::OnceLock;

use tempfile::TempDir;
use tokio::sync::oneshot;

use super::service::Service;

/// More tasks at a time than there are tests.
const PARALLEL_TASKS: u32 = 64;

/// Base address of the service. It is started by the first test that asks, on a thread of its own, as the runtime of a test
/// ends with the test; and it ends with the process.
pub async fn shared_service() -> String {
    static BASE: OnceLock<String> = OnceLock::new();
    static STARTING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _one = STARTING.lock().await;
    if let Some(base) = BASE.get() {
        return base.clone();
    }
    let (tell, told) = oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            // Nothing drops a thread's values at the end of the process, so the folder is one that a build cleans.
            let folder = TempDir::with_prefix_in("shared-", env!("CARGO_TARGET_TMPDIR")).unwrap();
            let service = Service::open(folder, PARALLEL_TASKS).await;
            tell.send(service.caller.base.clone()).unwrap();
            std::future::pending::<()>().await;
        });
    });
    let base = told.await.unwrap();
    BASE.get_or_init(|| base).clone()
}
