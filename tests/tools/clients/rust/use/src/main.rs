//! Brings a task to its end with the client that openapi-generator makes for Rust; then uses the one of progenitor.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use openapi::apis::Error;
use openapi::apis::configuration::{ApiKey, Configuration};
use openapi::apis::tasks_api::{self, ShowTaskError};
use openapi::models::{
    CloudName, CreateTask, ErrorReason, ObjectKey, SourceNode, StartTask, StopTask, TargetCloud, TargetNode, Task, TaskStatus,
    UpdateTask, start_task, stop_task,
};

fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

struct Client {
    configuration: Configuration,
    project: String,
    task: i64,
}

impl Client {
    async fn show(&self) -> Task {
        tasks_api::show_task(&self.configuration, &self.project, self.task).await.unwrap()
    }

    async fn wait(&self, what: &str, condition: impl Fn(&Task) -> bool) -> Task {
        let until = Instant::now() + Duration::from_secs(120);
        loop {
            let now = self.show().await;
            if condition(&now) {
                return now;
            }
            assert!(Instant::now() < until, "the task does not {what}: {now:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn update(&self, body: UpdateTask) {
        tasks_api::update_task(&self.configuration, &self.project, self.task, body).await.unwrap();
    }

    async fn start(&self, failed_only: bool) {
        let body = StartTask {
            operation: start_task::Operation::Start,
            source_ak: env("SOURCE_AK"),
            source_sk: env("SOURCE_SK"),
            target_ak: env("TARGET_AK"),
            target_sk: env("TARGET_SK"),
            migration_failed_object: Some(Some(failed_only)),
            ..StartTask::default()
        };
        self.update(UpdateTask::StartTask(Box::new(body))).await;
    }

    async fn count(&self, state: Option<TaskStatus>) -> i64 {
        tasks_api::count_tasks(&self.configuration, &self.project, state).await.unwrap().taskcount
    }

    async fn list(&self) -> Vec<Task> {
        tasks_api::list_tasks(&self.configuration, &self.project, 0, 10, None, None).await.unwrap()
    }
}

fn over(now: &Task) -> bool {
    now.status != TaskStatus::WAITING && now.status != TaskStatus::RUNNING
}

fn order() -> CreateTask {
    let source = SourceNode {
        region: Some(Some("lab".to_owned())),
        cloud_type: Some(Some(CloudName::Aws)),
        endpoint: Some(Some(env("SOURCE_ENDPOINT"))),
        bucket: Some(Some(env("SOURCE_BUCKET"))),
        ak: Some(Some(env("SOURCE_AK"))),
        sk: Some(Some(env("SOURCE_SK"))),
        object_key: Some(Some(Box::new(ObjectKey::String(String::new())))),
        ..SourceNode::default()
    };
    let target = TargetNode {
        region: "lab".to_owned(),
        cloud_type: Some(Some(TargetCloud::TARGET_AWS)),
        endpoint: Some(Some(env("TARGET_ENDPOINT"))),
        bucket: env("TARGET_BUCKET"),
        ak: env("TARGET_AK"),
        sk: env("TARGET_SK"),
        object_key: Some(Some(String::new())),
        ..TargetNode::default()
    };
    CreateTask {
        src_node: Box::new(source),
        dst_node: Box::new(target),
        enable_kms: false,
        thread_num: 8,
        ..CreateTask::default()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let configuration = Configuration {
        base_path: env("BASE_URL"),
        api_key: Some(ApiKey { prefix: None, key: env("TOKEN") }),
        ..Configuration::default()
    };
    let project = env("PROJECT_ID");
    let created = tasks_api::create_task(&configuration, &project, order(), None).await.unwrap();
    let client = Client { configuration, project, task: created.id };

    let listed = client.list().await;
    assert_eq!(listed.iter().map(|one| one.id).collect::<Vec<_>>(), [client.task]);
    assert_eq!(client.count(None).await, 1);
    assert_eq!(*client.show().await.error_reason, ErrorReason::String(String::new()));

    client.wait("begin", |now| now.success_num >= 20).await;
    let stop = StopTask::new(stop_task::Operation::Stop);
    client.update(UpdateTask::StopTask(Box::new(stop))).await;
    client.wait("pause", |now| now.status == TaskStatus::PAUSED).await;

    client.start(false).await;
    let failed = client.wait("fail", over).await;
    assert_eq!((failed.status, failed.fail_num), (TaskStatus::FAILED, 2));
    let ErrorReason::TaskError(reason) = *failed.error_reason else {
        panic!("no reason: {failed:?}");
    };
    assert!(reason.error_code.starts_with("TRF."), "{reason:?}");
    let page = tasks_api::list_failures(&client.configuration, &client.project, client.task, None, None).await.unwrap();
    assert_eq!(page.failures.iter().map(|one| one.key.as_str()).collect::<Vec<_>>(), ["refused/1", "refused/2"]);

    // The target is mended while this runs, so the objects may fail once more.
    let ended = loop {
        client.start(true).await;
        let ended = client.wait("end", over).await;
        if ended.status != TaskStatus::FAILED {
            break ended;
        }
    };
    assert_eq!((ended.status, ended.fail_num), (TaskStatus::SUCCEEDED, 0));
    assert_eq!(client.count(Some(TaskStatus::SUCCEEDED)).await, 1);

    progenitor(&client).await;
    assert!(client.list().await.is_empty());
    let refusal = tasks_api::show_task(&client.configuration, &client.project, client.task).await;
    let Err(Error::ResponseError(refusal)) = refusal else {
        panic!("a deleted task is shown");
    };
    let Some(ShowTaskError::Status400(body)) = refusal.entity else {
        panic!("{refusal:?}");
    };
    assert_eq!(body.error_code, "OMS.0053");
    println!("the generated client did all of it");
}

/// Lists, counts, shows and deletes with the client of progenitor. Its body of a deletion is empty, as it sends one always.
async fn progenitor(client: &Client) {
    use oms_progenitor::types::DeleteTask;

    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert("X-Auth-Token", env("TOKEN").parse().unwrap());
    let http = reqwest::Client::builder().default_headers(headers).build().unwrap();
    let other = oms_progenitor::Client::new_with_client(&env("BASE_URL"), http);
    let task = NonZeroU64::new(client.task.unsigned_abs()).unwrap();
    let project = client.project.as_str();

    let ten = NonZeroU64::new(10).unwrap();
    let listed = other.list_tasks(&project.parse().unwrap(), ten, 0, None, None).await.unwrap();
    assert_eq!(listed.len(), 1);
    let number = other.count_tasks(&project.parse().unwrap(), None).await.unwrap();
    assert_eq!(number.into_inner().taskcount, 1);
    let shown = other.show_task(&project.parse().unwrap(), task).await.unwrap();
    assert_eq!(i32::from(shown.into_inner().status), 5);
    let nothing = DeleteTask { target_ak: None, target_sk: None };
    other.delete_task(&project.parse().unwrap(), task, &nothing).await.unwrap();
}
