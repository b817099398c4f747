//! Links from the answer of one operation to the operations that take it on.

use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::{OpenApi, RefOr};

/// Operations that take the number of a created task, and what they do with it.
const FROM_CREATE: [(&str, &str); 3] = [
    ("show_task", "Show the created task."),
    (
        "update_task",
        "Stop the created task, start it again, or change its bandwidth.",
    ),
    ("delete_task", "Delete the created task."),
];

/// Leads from the answer of `create_task` to what can be done with the task.
pub(super) fn add(document: &mut OpenApi) {
    let operations = document
        .paths
        .paths
        .values_mut()
        .filter_map(|item| item.post.as_mut());
    let create = operations.filter(|operation| operation.operation_id.as_deref() == Some("create_task"));
    for operation in create {
        if let Some(RefOr::T(answer)) = operation.responses.responses.get_mut("200") {
            for (target, text) in FROM_CREATE {
                let link = LinkBuilder::new()
                    .operation_id(target)
                    .parameter("project_id", "$request.path.project_id")
                    .parameter("task_id", "$response.body#/id")
                    .description(text)
                    .build();
                answer.links.insert(target.to_owned(), RefOr::T(link));
            }
        }
    }
}
