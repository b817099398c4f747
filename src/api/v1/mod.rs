//! Version 1 of the API: the ten operations of the OMS reference, and two of ours.
//!
//! Summaries and descriptions in the document are the comments of the handlers; the rules of single fields stand on
//! the wire types in the modules below.

mod bandwidth;
mod cloud;
mod concurrency;
mod copy_options;
mod create;
mod delete;
mod entries;
mod examples;
mod failures;
#[doc(hidden)]
pub mod fuzz;
mod info;
mod list;
mod list_file;
mod nodes;
mod notification;
mod progress;
mod refusals;
mod rules;
mod status;
mod task;
mod texts;
mod update;
mod warnings;
mod workers;

use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::from_fn;
use actix_web::{HttpRequest, HttpResponse, delete, get, post, put, web};
use utoipa_actix_web::scope::Scope;

pub use self::examples::add as add_examples;
use self::failures::{FailurePage, FailuresParameters};
use self::info::{DomainPath, Quotas, Versions};
use self::list::{CountParameters, ListParameters, ProjectPath, Selection, TaskCount, TaskList};
use self::task::{Task, TaskPath};
use self::update::{Change, UpdateTask};
use super::error::ApiError;
use super::extract::{InDomain, InProject, JsonBody, OfTask, OptionalJsonBody};
use super::idempotency::IdempotencyKey;
use super::query::Query;
use super::state::ApiState;
use super::{auth, fallback, idempotency};
use crate::service::Creation;

/// Schemas that only fields and bodies have which the reference does not have in this version.
pub const OWN_TYPES: [&str; 10] = [
    "ConcurrencyReason",
    "ConsistencyCheck",
    "DeleteTask",
    "MinimumProof",
    "ObjectOverwriteMode",
    "RefusedMetadata",
    "ScopeEntry",
    "StoragePolicy",
    "TaskWarning",
    "TaskWorker",
];

type Answer<T> = Result<web::Json<T>, ApiError>;

/// All routes of this version, behind the token.
pub fn scope() -> Scope<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    utoipa_actix_web::scope("/v1")
        .service(create_task)
        .service(list_tasks)
        .service(count_tasks)
        .service(show_task)
        .service(update_task)
        .service(delete_task)
        .service(list_failures)
        .service(show_quotas)
        .service(show_version)
        .default_service(web::to(fallback::fallback))
        .wrap(from_fn(auth::require_token))
}

/// Create a task.
///
/// The task starts by itself. Keys, permissions and buckets are checked by using them, in the background: what is
/// wrong with them shows in the task's `error_reason`.
#[utoipa::path(
    tag = "tasks",
    params(ProjectPath, IdempotencyKey),
    request_body(content = create::CreateTask, description = "What to copy, from where and to where."),
    responses((status = 200, description = "The task was created.", body = create::CreatedTask), refusals::Create)
)]
#[post("/{project_id}/objectstorage/task")]
async fn create_task(
    state: web::Data<ApiState>,
    request: HttpRequest,
    InProject(project): InProject,
    JsonBody(body): JsonBody,
) -> Answer<create::CreatedTask> {
    Query::parse(request.query_string(), &[])?;
    let key = idempotency::key(request.headers())?;
    let key = key.map(|key| (key, body.canonical()));
    let order = create::read(body)?;
    let service = state.service();
    let created = match key {
        None => service.create(&project, order, state.now()).await?.into(),
        Some((key, body)) => match service
            .create_once(&project, order, key, &body, state.now())
            .await?
        {
            Creation::Done { id, name } => create::CreatedTask::new(id, name),
            Creation::KeyReused => return Err(ApiError::reused_key()),
        },
    };
    Ok(web::Json(created))
}

/// List tasks.
///
/// Answers the tasks from number `start` on, at most `limit`, newest first. `count_tasks` answers their number.
#[utoipa::path(
    tag = "tasks",
    params(ProjectPath, ListParameters),
    responses((status = 200, description = "The tasks.", body = Vec<Task>), refusals::List)
)]
#[get("/{project_id}/objectstorage/task")]
async fn list_tasks(
    state: web::Data<ApiState>,
    request: HttpRequest,
    InProject(project): InProject,
) -> Answer<TaskList> {
    let service = state.service();
    Ok(web::Json(match list::read(request.query_string())? {
        Selection::Tasks { states, start, limit } => {
            let tasks = service.list(&project, states, start, limit).await?;
            TaskList::tasks(tasks, state.now())
        }
        Selection::Count { states } => TaskList::count(service.count(&project, states).await?),
        Selection::NoTasks => TaskList::tasks(Vec::new(), state.now()),
        Selection::CountOfNone => TaskList::count(0),
    }))
}

/// Count tasks.
///
/// An extension: answers the number of tasks, as `list_tasks` does with `totalcount=true`.
#[utoipa::path(
    tag = "tasks",
    params(ProjectPath, CountParameters),
    responses((status = 200, description = "The number of tasks.", body = TaskCount), refusals::Count),
    extensions(("x-oms-extension" = json!(true)))
)]
#[get("/{project_id}/objectstorage/tasks/count")]
async fn count_tasks(
    state: web::Data<ApiState>,
    request: HttpRequest,
    InProject(project): InProject,
) -> Answer<TaskCount> {
    let number = match list::read_count(request.query_string())? {
        Some(states) => state.service().count(&project, states).await?,
        None => 0,
    };
    Ok(web::Json(TaskCount::new(number)))
}

/// Show a task.
///
/// Answers what the task shall do and how far it is. Keys are never shown.
#[utoipa::path(
    tag = "tasks",
    params(TaskPath),
    responses((status = 200, description = "The task.", body = Task), refusals::Show)
)]
#[get("/{project_id}/objectstorage/task/{task_id}")]
async fn show_task(state: web::Data<ApiState>, request: HttpRequest, of: OfTask) -> Answer<Task> {
    Query::parse(request.query_string(), &[])?;
    let detail = state.service().detail(&of.project, of.id).await?;
    Ok(web::Json(Task::detailed(detail, state.now())))
}

/// Start or stop a task, or change its bandwidth.
///
/// `operation` says which: `start` starts a paused or failed task with fresh credentials, `stop` pauses a running one,
/// `change_bandwidthpolicy` replaces the bandwidth windows of a task that has not succeeded.
///
/// | start of a task that … | `migration_failed_object` false, null or absent | true |
/// |---|---|---|
/// | was paused, or could not continue | resumes from its checkpoints | `OMS.0308`, because the list of failures is incomplete; a failed-only run resumes |
/// | ended with failures | a new pass over everything; what is identical at the target is skipped | only the failed objects |
/// | waits, runs or is about to pause | `OMS.0065` | `OMS.0065` |
/// | succeeded | `OMS.0070` | `OMS.0070` |
///
/// A start that is refused changes nothing.
#[utoipa::path(
    tag = "tasks",
    params(TaskPath),
    request_body(
        content = UpdateTask,
        description = "One of three operations.",
        examples(
            ("1-start" = (summary = "Start a paused or failed task", value = json!(update::start_example()))),
            ("2-stop" = (summary = "Pause a running task", value = json!({"operation": "stop"}))),
            ("3-change_bandwidthpolicy" = (
                summary = "Change the bandwidth windows",
                value = json!(update::bandwidth_example())
            ))
        )
    ),
    responses((status = 200, description = "Done, or begun: the task shows the progress. No body."), refusals::Update)
)]
#[put("/{project_id}/objectstorage/task/{task_id}")]
async fn update_task(
    state: web::Data<ApiState>,
    request: HttpRequest,
    of: OfTask,
    JsonBody(body): JsonBody,
) -> Result<HttpResponse, ApiError> {
    Query::parse(request.query_string(), &[])?;
    let (service, now) = (state.service(), state.now());
    match update::read(body)? {
        Change::Start(mode, credentials) => service.start(&of.project, of.id, mode, credentials, now).await?,
        Change::Stop => service.stop(&of.project, of.id, now).await.map(drop)?,
        Change::Bandwidth(policy) => service.set_bandwidth(&of.project, of.id, policy).await?,
    }
    Ok(HttpResponse::new(StatusCode::OK))
}

/// Delete a task.
///
/// Deletes a task that does not run, with its records. Objects stay where they are. Without a body, uploads that the task
/// left open at its target are aborted by the next task for the same bucket; with credentials, at once and in the background.
#[utoipa::path(
    tag = "tasks",
    params(TaskPath),
    request_body(
        content = Option<delete::DeleteTask>,
        description = "An extension, and optional: credentials of the target, to abort unfinished multipart uploads of the task.",
        examples(
            ("1-none" = (summary = "No keys: the same as no body", value = json!({}))),
            ("2-keys" = (summary = "Keys of the target", value = json!(delete::example())))
        )
    ),
    responses((status = 200, description = "The task was deleted. No body."), refusals::Delete)
)]
#[delete("/{project_id}/objectstorage/task/{task_id}")]
async fn delete_task(
    state: web::Data<ApiState>,
    request: HttpRequest,
    of: OfTask,
    OptionalJsonBody(body): OptionalJsonBody,
) -> Result<HttpResponse, ApiError> {
    Query::parse(request.query_string(), &[])?;
    let keys = delete::read(body)?;
    state
        .service()
        .delete(&of.project, of.id, keys, state.now())
        .await?;
    // Not 204: the original's official Go client takes nothing but 200.
    Ok(HttpResponse::new(StatusCode::OK))
}

/// List the failed objects of a task.
///
/// An extension: the objects that could not be copied, in the order of their keys, with the reason of each. A start
/// with `migration_failed_object` repeats exactly these.
#[utoipa::path(
    tag = "tasks",
    params(TaskPath, FailuresParameters),
    responses((status = 200, description = "A page of failed objects.", body = FailurePage), refusals::Failures),
    extensions(("x-oms-extension" = json!(true)))
)]
#[get("/{project_id}/objectstorage/task/{task_id}/failures")]
async fn list_failures(state: web::Data<ApiState>, request: HttpRequest, of: OfTask) -> Answer<FailurePage> {
    let (after, limit) = failures::read(request.query_string())?;
    // One more than asked for tells whether there is a next page.
    let found = state
        .service()
        .failures(&of.project, of.id, after.as_ref(), limit + 1)
        .await?;
    Ok(web::Json(FailurePage::new(found, limit)))
}

/// Show the quotas.
///
/// Answers how many tasks run at the same time; more of them wait.
#[utoipa::path(
    tag = "service",
    params(DomainPath),
    responses((status = 200, description = "The quotas.", body = Quotas), refusals::Quotas)
)]
#[get("/{domain_id}/objectstorage/quotas")]
async fn show_quotas(state: web::Data<ApiState>, request: HttpRequest, _: InDomain) -> Answer<Quotas> {
    Query::parse(request.query_string(), &[])?;
    Ok(web::Json(Quotas::new(state.service().parallel_tasks())))
}

/// Show the versions of the API.
///
/// Answers which versions this service speaks.
#[utoipa::path(
    tag = "service",
    params(ProjectPath),
    responses((status = 200, description = "The versions.", body = Versions), refusals::Version)
)]
#[get("/{project_id}/objectstorage/version")]
async fn show_version(request: HttpRequest, _: InProject) -> Answer<Versions> {
    Query::parse(request.query_string(), &[])?;
    Ok(web::Json(Versions::of_this_service()))
}
