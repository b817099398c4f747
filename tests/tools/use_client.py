"""Takes a task from creation to deletion with nothing but the client that was generated from the document.

BASE_URL, TOKEN, PROJECT_ID, {SOURCE,TARGET}_{ENDPOINT,BUCKET,AK,SK} name the service and the stores; the package
`oms_client` must be importable. Fails where an answer is not of the type that the client promises.
"""

import os
import time

from oms_client import AuthenticatedClient
from oms_client.api.service import show_quotas, show_version
from oms_client.api.tasks import count_tasks, create_task, delete_task, list_failures, list_tasks, show_task, update_task
from oms_client.models import (
    BandwidthWindow,
    ChangeBandwidthPolicy,
    ChangeBandwidthPolicyOperation,
    CloudName,
    CreatedTask,
    CreateTask,
    DeleteTask,
    ErrorBody,
    FailurePage,
    Quotas,
    SourceNode,
    StartTask,
    StartTaskOperation,
    StopTask,
    StopTaskOperation,
    TargetCloud,
    TargetNode,
    Task,
    TaskCount,
    TaskStatus,
    TaskType,
    Versions,
)

env = os.environ
project = env["PROJECT_ID"]
client = AuthenticatedClient(
    base_url=env["BASE_URL"], token=env["TOKEN"], prefix="", auth_header_name="X-Auth-Token",
    raise_on_unexpected_status=True, httpx_args={"trust_env": False},
)


def typed(value, kind):
    assert isinstance(value, kind), f"{kind.__name__} wanted, got {value!r}"
    return value


def store(side):
    return {name: env[f"{side}_{name.upper()}"] for name in ("endpoint", "bucket", "ak", "sk")}


def show(task):
    return typed(show_task.sync(project, task, client=client), Task)


def wait(task, what, condition):
    until = time.monotonic() + 60
    while not condition(now := show(task)):
        assert time.monotonic() < until, f"the task does not {what}: {now}"
        time.sleep(0.02)
    return now


def update(task, body):
    answer = update_task.sync_detailed(project, task, client=client, body=body)
    assert (answer.status_code, answer.content) == (200, b""), answer


def refused(answer, code):
    assert answer.status_code == 400 and typed(answer.parsed, ErrorBody).error_code == code, answer


created = typed(
    create_task.sync(
        project,
        client=client,
        body=CreateTask(
            src_node=SourceNode(region="lab", cloud_type=CloudName.AWS, object_key="", **store("SOURCE")),
            dst_node=TargetNode(region="lab", cloud_type=TargetCloud.TARGET_AWS, object_key="", **store("TARGET")),
            enable_kms=False,
            thread_num=8,
            description="a generated client",
            task_type=TaskType.OBJECT,
        ),
    ),
    CreatedTask,
)
task = typed(created.id, int)
assert env["SOURCE_BUCKET"] in created.task_name

now = show(task)
assert (now.id, now.name, now.description) == (task, created.task_name, "a generated client")
assert now.task_type is TaskType.OBJECT and now.src_node.cloud_type is CloudName.AWS
assert now.src_node.endpoint == env["SOURCE_ENDPOINT"] and now.dst_node.bucket == env["TARGET_BUCKET"]
assert (now.error_reason, now.source_cdn, now.additional_properties) == ("", None, {})
assert isinstance(now.progress, float) and 0 <= now.progress < 1

wait(task, "begin", lambda now: now.success_num >= 20)
update(task, StopTask(operation=StopTaskOperation.STOP))
paused = wait(task, "pause", lambda now: now.status is TaskStatus.PAUSED)
assert (paused.left_time, paused.migrate_speed) == (0, 0), paused
assert 20 <= paused.success_num <= 300, paused

window = BandwidthWindow(start="22:00", end="05:59", max_bandwidth=500_000_000)
change = ChangeBandwidthPolicyOperation.CHANGE_BANDWIDTHPOLICY
update(task, ChangeBandwidthPolicy(operation=change, bandwidth_policy=[window]))
assert show(task).bandwidth_policy == [window]

keys = {f"{side.lower()}_{key}": env[f"{side}_{key.upper()}"] for side in ("SOURCE", "TARGET") for key in ("ak", "sk")}
start = StartTask(operation=StartTaskOperation.START, migration_failed_object=False, **keys)
update(task, start)
refused(update_task.sync_detailed(project, task, client=client, body=start), "OMS.0065")
ended = wait(task, "succeed", lambda now: now.status not in (TaskStatus.WAITING, TaskStatus.RUNNING))
assert ended.status is TaskStatus.SUCCEEDED and ended.progress == 1, ended
assert ended.success_num == ended.total_num > 300 and ended.fail_num == 0, ended
assert ended.proved.etag + ended.proved.checksum + ended.proved.size + ended.skipped_num == ended.success_num, ended

tasks = typed(list_tasks.sync(project, client=client, start=0, limit=10, state=TaskStatus.SUCCEEDED), list)
assert [typed(one, Task).id for one in tasks] == [task]
assert typed(count_tasks.sync(project, client=client), TaskCount).taskcount == 1
page = typed(list_failures.sync(project, task, client=client, limit=10), FailurePage)
assert (page.failures, page.next_) == ([], None)
assert typed(show_quotas.sync(project, client=client), Quotas).quotas.resource.quota == 5
assert [version.id for version in typed(show_version.sync(project, client=client), Versions).versions] == ["v1"]

refused(update_task.sync_detailed(project, task, client=client, body=start), "OMS.0070")
keys = DeleteTask(target_ak=env["TARGET_AK"], target_sk="")
refused(delete_task.sync_detailed(project, task, client=client, body=keys), "OMS.0064")
assert delete_task.sync_detailed(project, task, client=client).status_code == 200
refused(show_task.sync_detailed(project, task, client=client), "OMS.0053")
assert typed(count_tasks.sync(project, client=client), TaskCount).taskcount == 0
print("all went as the types say")
