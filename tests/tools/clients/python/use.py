"""Brings a task to its end with the client that openapi-generator makes for Python."""

import os
import time

from openapi_client import (
    ApiClient,
    ApiException,
    CloudName,
    Configuration,
    CreatedTask,
    CreateTask,
    ErrorBody,
    ObjectKey,
    SourceNode,
    StartTask,
    StopTask,
    TargetCloud,
    TargetNode,
    Task,
    TaskError,
    TasksApi,
    TaskStatus,
    UpdateTask,
)

env = os.environ
project = env["PROJECT_ID"]
api = TasksApi(ApiClient(Configuration(host=env["BASE_URL"], api_key={"token": env["TOKEN"]})))


def store(side):
    return {name: env[f"{side}_{name.upper()}"] for name in ("endpoint", "bucket", "ak", "sk")}


def wait(what, condition):
    until = time.monotonic() + 120
    while not condition(now := api.show_task(project, task)):
        assert time.monotonic() < until, f"the task does not {what}: {now}"
        time.sleep(0.05)
    return now


def start(failed_only):
    keys = {f"{side.lower()}_{key}": env[f"{side}_{key.upper()}"] for side in ("SOURCE", "TARGET") for key in ("ak", "sk")}
    api.update_task(project, task, UpdateTask(StartTask(operation="start", migration_failed_object=failed_only, **keys)))


created = api.create_task(
    project,
    CreateTask(
        src_node=SourceNode(region="lab", cloud_type=CloudName.AWS, object_key=ObjectKey(""), **store("SOURCE")),
        dst_node=TargetNode(region="lab", cloud_type=TargetCloud.TARGET_AWS, object_key="", **store("TARGET")),
        enableKMS=False,
        thread_num=8,
        description="a generated client",
    ),
)
assert isinstance(created, CreatedTask), created
task = created.id

listed = api.list_tasks(project, 0, 10)
assert [one.id for one in listed] == [task] and isinstance(listed[0], Task), listed
assert api.count_tasks(project).taskcount == 1
shown = api.show_task(project, task)
assert (shown.id, shown.description, shown.error_reason.actual_instance) == (task, "a generated client", ""), shown

wait("begin", lambda now: now.success_num >= 20)
api.update_task(project, task, UpdateTask(StopTask(operation="stop")))
wait("pause", lambda now: now.status == TaskStatus.PAUSED)

start(failed_only=False)
failed = wait("fail", lambda now: now.status not in (TaskStatus.WAITING, TaskStatus.RUNNING))
assert (failed.status, failed.fail_num) == (TaskStatus.FAILED, 2), failed
assert isinstance(failed.error_reason.actual_instance, TaskError), failed.error_reason
assert failed.error_reason.actual_instance.error_code.startswith("TRF."), failed.error_reason
page = api.list_failures(project, task)
assert [one.key for one in page.failures] == ["refused/1", "refused/2"] and page.next is None, page

# The target is mended while this runs, so the objects may fail once more.
while True:
    start(failed_only=True)
    ended = wait("end", lambda now: now.status not in (TaskStatus.WAITING, TaskStatus.RUNNING))
    if ended.status != TaskStatus.FAILED:
        break
assert (ended.status, ended.fail_num, ended.progress) == (TaskStatus.SUCCEEDED, 0, 1), ended
assert ended.error_reason.actual_instance == "", ended
assert api.count_tasks(project, state=TaskStatus.SUCCEEDED).taskcount == 1

api.delete_task(project, task)
assert api.list_tasks(project, 0, 10) == []
try:
    api.show_task(project, task)
    raise SystemExit("a deleted task is shown")
except ApiException as error:
    assert error.status == 400 and isinstance(error.data, ErrorBody) and error.data.error_code == "OMS.0053", error
print("the generated client did all of it")
