// Uses the types that openapi-typescript makes of the document, as a caller in TypeScript would. Only type-checked, never
// run: each `@ts-expect-error` fails the check when the line below it is accepted.

import type { components, paths } from "./schema";

type Schemas = components["schemas"];
type TaskPath = paths["/v1/{project_id}/objectstorage/task/{task_id}"];
type Update = TaskPath["put"]["requestBody"]["content"]["application/json"];
type Shown = TaskPath["get"]["responses"][200]["content"]["application/json"];

// The three bodies of PUT, by the path and by their own names.
const start: Update = {
  operation: "start",
  source_ak: "a",
  source_sk: "b",
  target_ak: "c",
  target_sk: "d",
  migration_failed_object: true,
};
const stop: Update = { operation: "stop" };
const slower: Update = {
  operation: "change_bandwidthpolicy",
  bandwidth_policy: [{ start: "22:00", end: "05:59", max_bandwidth: 50_000_000 }],
};
export const bodies: [Schemas["StartTask"], Schemas["StopTask"], Schemas["ChangeBandwidthPolicy"]] = [start, stop, slower];

// @ts-expect-error there is no such operation
export const unknown: Update = { operation: "pause" };
// @ts-expect-error a start without keys
export const keyless: Update = { operation: "start" };
// @ts-expect-error one key is missing
export const oneMissing: Update = { operation: "start", source_ak: "a", source_sk: "b", target_ak: "c" };
// @ts-expect-error the windows belong to another operation
export const mixed: Update = { operation: "stop", bandwidth_policy: [] };
// @ts-expect-error a speed is a number
export const spelled: Schemas["BandwidthWindow"] = { start: "22:00", end: "05:59", max_bandwidth: "fast" };
// @ts-expect-error the operation is missing
export const nameless: Update = { source_ak: "a", source_sk: "b", target_ak: "c", target_sk: "d" };

// The operation tells the members apart.
export function describe(body: Update): string {
  switch (body.operation) {
    case "start":
      return body.source_ak;
    case "stop":
      // @ts-expect-error a stop has no keys
      return body.source_ak;
    case "change_bandwidthpolicy":
      return body.bandwidth_policy.map((window) => window.start).join();
    default: {
      const none: never = body;
      return none;
    }
  }
}

// A task as it is answered.
export function read(task: Shown): string {
  const done: number = task.success_num / task.total_num;
  const reason: string = typeof task.error_reason === "string" ? task.error_reason : task.error_reason.error_code;
  const endpoint: string | null = task.src_node.endpoint;
  const windows: Schemas["BandwidthWindow"][] = task.bandwidth_policy;
  // @ts-expect-error keys are never shown
  const key: string = task.src_node.ak;
  return [done, reason, endpoint, windows.length, key, task.failed_object_record.length].join();
}

// The list answers tasks, the count a number of them.
type Listed = paths["/v1/{project_id}/objectstorage/task"]["get"]["responses"][200]["content"]["application/json"];
type Counted = paths["/v1/{project_id}/objectstorage/tasks/count"]["get"]["responses"][200]["content"]["application/json"];
export const names = (listed: Listed): string[] => listed.map((task) => task.name);
export const count = (counted: Counted): number => counted.taskcount;

// A deletion needs no body.
export const deletion: TaskPath["delete"]["requestBody"] = undefined;

// A refusal.
type Refusal = TaskPath["put"]["responses"][400]["content"]["application/json"];
export const refusal = (body: Refusal): [string, string] => [body.error_code, body.error_msg];
