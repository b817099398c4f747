// Brings a task to its end with the client that openapi-generator makes for TypeScript (typescript-fetch).

import { CloudName, Configuration, ResponseError, TargetCloud, TaskStatus, TasksApi } from "./client/index";
import type { Task, UpdateTask } from "./client/index";
import { env, must, project, run, wait } from "./environment";

const api = new TasksApi(new Configuration({ basePath: env.BASE_URL, apiKey: env.TOKEN }));
const over = (now: Task) => now.status !== TaskStatus.WAITING && now.status !== TaskStatus.RUNNING;

async function main() {
  const created = await api.createTask({
    projectId: project,
    createTask: {
      srcNode: {
        region: "lab", cloudType: CloudName.Aws, objectKey: "", endpoint: env.SOURCE_ENDPOINT, bucket: env.SOURCE_BUCKET,
        ak: env.SOURCE_AK, sk: env.SOURCE_SK,
      },
      dstNode: {
        region: "lab", cloudType: TargetCloud.TARGET_AWS, objectKey: "", endpoint: env.TARGET_ENDPOINT,
        bucket: env.TARGET_BUCKET, ak: env.TARGET_AK, sk: env.TARGET_SK,
      },
      enableKMS: false,
      threadNum: 8,
    },
  });
  const taskId = created.id;
  const show = () => api.showTask({ projectId: project, taskId });
  const update = (updateTask: UpdateTask) => api.updateTask({ projectId: project, taskId, updateTask });
  const start = (migrationFailedObject: boolean) =>
    update({
      operation: "start", migrationFailedObject,
      sourceAk: env.SOURCE_AK, sourceSk: env.SOURCE_SK, targetAk: env.TARGET_AK, targetSk: env.TARGET_SK,
    });
  const list = () => api.listTasks({ projectId: project, start: 0, limit: 10 });

  const listed = await list();
  must(listed.length === 1 && listed[0].id === taskId, "list", listed);
  must((await api.countTasks({ projectId: project })).taskcount === 1, "count");
  must((await show()).errorReason === "", "an empty reason");

  await wait("begin", show, (now) => now.successNum >= 20);
  await update({ operation: "stop" });
  await wait("pause", show, (now) => now.status === TaskStatus.PAUSED);

  await start(false);
  const failed = await wait("fail", show, over);
  must(failed.status === TaskStatus.FAILED && failed.failNum === 2, "failed", failed);
  const reason = failed.errorReason;
  must(typeof reason !== "string" && reason.errorCode.startsWith("TRF."), "a reason", failed);
  const page = await api.listFailures({ projectId: project, taskId });
  must(page.failures.map((one) => one.key).join() === "refused/1,refused/2" && page.next === null, "failures", page);

  // The target is mended while this runs, so the objects may fail once more.
  let ended: Task = failed;
  while (ended.status === TaskStatus.FAILED) {
    await start(true);
    ended = await wait("end", show, over);
  }
  must(ended.status === TaskStatus.SUCCEEDED && ended.failNum === 0 && ended.progress === 1, "succeeded", ended);
  must((await api.countTasks({ projectId: project, state: TaskStatus.SUCCEEDED })).taskcount === 1, "count");

  await api.deleteTask({ projectId: project, taskId });
  must((await list()).length === 0, "an empty list");
  const refusal = await show().then(() => undefined, (error: unknown) => error);
  must(refusal instanceof ResponseError && refusal.response.status === 400, "a refusal", refusal);
  must((await refusal.response.json()).error_code === "OMS.0053", "a refusal with a body");
  console.log("the generated client did all of it");
}

run(main);
