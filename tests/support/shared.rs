//! One service for tests that differ only in the caller. Each test uses its own project.

use std::sync::OnceLock;

use tempfile::TempDir;
use tokio::sync::oneshot;

use super::service::Service;

/// More than there are tests, so that no task waits.
const PARALLEL_TASKS: u32 = 64;

/// Base address of the service. The first test that asks starts the service on its own thread, because the runtime of a
/// test ends with that test. The service ends with the process.
pub async fn shared_service() -> String {
    static BASE: OnceLock<String> = OnceLock::new();
    static STARTING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _one = STARTING.lock().await;
    if let Some(base) = BASE.get() {
        return base.clone();
    }
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            // The values of a thread are not dropped when the process ends. `cargo clean` removes this folder.
            let folder = TempDir::with_prefix_in("shared-", env!("CARGO_TARGET_TMPDIR")).unwrap();
            let service = Service::open(folder, PARALLEL_TASKS).await;
            sender.send(service.caller.base.clone()).unwrap();
            std::future::pending::<()>().await;
        });
    });
    let base = receiver.await.unwrap();
    BASE.get_or_init(|| base).clone()
}
