// Brings a task to its end with the client that hey-api makes.

import { client } from "./client/client.gen";
import { countTasks, createTask, deleteTask, listFailures, listTasks, showTask, updateTask } from "./client/index";
import type { StartTask, Task, UpdateTask } from "./client/index";
import { env, must, project, run, wait } from "./environment";

client.setConfig({ baseUrl: env.BASE_URL, auth: () => env.TOKEN });
const [PAUSED, FAILED, SUCCEEDED] = [3, 4, 5] as const;
const over = (now: Task) => now.status !== 1 && now.status !== 2;
const ofProject = { path: { project_id: project }, throwOnError: true as const };

async function main() {
  const created = await createTask({
    ...ofProject,
    body: {
      src_node: {
        region: "lab", cloud_type: "AWS", object_key: "", endpoint: env.SOURCE_ENDPOINT, bucket: env.SOURCE_BUCKET,
        ak: env.SOURCE_AK, sk: env.SOURCE_SK,
      },
      dst_node: {
        region: "lab", cloud_type: "AWS", object_key: "", endpoint: env.TARGET_ENDPOINT, bucket: env.TARGET_BUCKET,
        ak: env.TARGET_AK, sk: env.TARGET_SK,
      },
      enableKMS: false,
      thread_num: 8,
    },
  });
  const ofTask = { path: { project_id: project, task_id: created.data.id }, throwOnError: true as const };
  const show = async () => (await showTask(ofTask)).data;
  const update = (body: UpdateTask) => updateTask({ ...ofTask, body });
  const start = (migration_failed_object: boolean) => {
    const body: StartTask = {
      operation: "start", migration_failed_object,
      source_ak: env.SOURCE_AK, source_sk: env.SOURCE_SK, target_ak: env.TARGET_AK, target_sk: env.TARGET_SK,
    };
    return update(body);
  };
  const list = async () => (await listTasks({ ...ofProject, query: { start: 0, limit: 10 } })).data;
  const count = async (state?: 5) => (await countTasks({ ...ofProject, query: { state } })).data.taskcount;

  const listed = await list();
  must(listed.length === 1 && listed[0].id === created.data.id, "list", listed);
  must((await count()) === 1, "count");
  must((await show()).error_reason === "", "an empty reason");

  await wait("begin", show, (now) => now.success_num >= 20);
  await update({ operation: "stop" });
  await wait("pause", show, (now) => now.status === PAUSED);

  await start(false);
  const failed = await wait("fail", show, over);
  must(failed.status === FAILED && failed.fail_num === 2, "failed", failed);
  const reason = failed.error_reason;
  must(typeof reason !== "string" && reason.error_code.startsWith("TRF."), "a reason", failed);
  const page = (await listFailures(ofTask)).data;
  must(page.failures.map((one) => one.key).join() === "refused/1,refused/2" && page.next === null, "failures", page);

  // The target is mended while this runs, so the objects may fail once more.
  let ended: Task = failed;
  while (ended.status === FAILED) {
    await start(true);
    ended = await wait("end", show, over);
  }
  must(ended.status === SUCCEEDED && ended.fail_num === 0 && ended.progress === 1, "succeeded", ended);
  must((await count(5)) === 1, "count of the succeeded");

  await deleteTask(ofTask);
  must((await list()).length === 0, "an empty list");
  const refusal = await showTask({ path: ofTask.path });
  must(refusal.response?.status === 400 && refusal.error?.error_code === "OMS.0053", "a refusal", refusal.error);
  console.log("the generated client did all of it");
}

run(main);
