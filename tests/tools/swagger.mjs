// Uses the Swagger UI as a person would: authorizes, fills in a request that starts a task, executes it, reads the answer.
//
//   BASE_URL=.. TOKEN=.. PROJECT_ID=.. TASK_ID=.. BODY='{"operation":"start",..}' SHOT=page.png node swagger.mjs
//
// Prints one JSON line, {"status":200,"operations":N,"authorized":true,"console_errors":[],"shown":{..}}, and exits 0 when
// the answer was 200 to a request that carried the token and the body. Otherwise says what went wrong and exits 1. With
// READ=1 the page is read first, as a person would, and `shown` is what it looks like. SHOT is a screenshot of the page as it
// was at the end, whichever way it ended; SHOT_READ, where it is set, one of the page while it is read.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

function env(name) {
  const value = process.env[name];
  if (value === undefined) {
    console.error(`swagger.mjs: ${name} is not set`);
    process.exit(1);
  }
  return value;
}

const base = env("BASE_URL").replace(/\/$/, "");
const [token, projectId, taskId, body, shot] = ["TOKEN", "PROJECT_ID", "TASK_ID", "BODY", "SHOT"].map(env);

// The tools are installed outside of this folder, where an import would not look.
const { chromium } = createRequire(join(env("OMS_TEST_TOOLS"), "npm", "package.json"))("playwright-core");

const PATH = "/v1/{project_id}/objectstorage/task/{task_id}";
// For one step, on a machine that is busy with other things.
const WAIT = 60_000;

const executablePath = execFileSync("which", [process.env.CHROMIUM || "chromium"], { encoding: "utf8" }).trim();
const profile = mkdtempSync(join(tmpdir(), "oms-chromium-"));
const consoleErrors = [];
let context, page, failure;

/** Names the step that fails: a bare time-out does not tell what was waited for. */
async function step(what, action) {
  try {
    return await action();
  } catch (error) {
    throw new Error(`${what}: ${error.message.split("\n")[0]}`);
  }
}

/** Unfolds an operation and the schema of its request body, and returns the text of the schema. */
async function schemaOf(operation) {
  await step("showing an operation", () => operation.locator(".opblock-summary-control").click());
  const body = operation.locator(".opblock-section-request-body");
  await step("showing the schema of its body", () => body.getByRole("tab", { name: "Schema" }).click());
  await step("unfolding the schema", async () => {
    // A button unfolds what is below it, and is then named otherwise: one that was there may be gone by now, so this waits
    // for none.
    const folded = body.getByRole("button", { name: "Expand all" });
    while ((await folded.evaluateAll((buttons) => (buttons[0]?.click(), buttons.length))) > 0);
  });
  return body.innerText();
}

/** What a reader sees before anything is tried out. */
async function read(of) {
  const title = await page.title();
  const models_open = await page.locator("section.models .model-container").count();
  const operation = of("put", PATH);
  const text = await schemaOf(operation);
  const table = await operation.locator(".opblock-description table tr").count();
  const branches = ["StartTask", "StopTask", "ChangeBandwidthPolicy"].filter((name) => text.includes(name));
  const limits = text.includes("[1, 100] characters");
  // The order of the fields is that of the reference.
  const fields = ["source_ak", "source_sk", "target_ak", "target_sk", "migration_failed_object"];
  const places = fields.map((name) => text.indexOf(name));
  const in_order = places.every((place, index) => place >= 0 && (index === 0 || place > places[index - 1]));
  const codes = await page.locator("#operations-tag-codes").getByText("TRF.0151").count();
  if (process.env.SHOT_READ) await page.screenshot({ path: process.env.SHOT_READ, fullPage: true });
  await step("folding the update operation", () => operation.locator(".opblock-summary-control").click());

  // What is ours is marked, both an operation and a field.
  const failures = of("get", `${PATH}/failures`);
  await step("showing the list of failures", () => failures.locator(".opblock-summary-control").click());
  const own_operation = await failures.getByText("x-oms-extension").count();
  await step("folding the list of failures", () => failures.locator(".opblock-summary-control").click());
  const create = of("post", PATH.replace("/{task_id}", ""));
  const own_fields = (await schemaOf(create)).includes("x-oms-extension");
  await step("folding the creation", () => create.locator(".opblock-summary-control").click());
  return { title, models_open, table, branches, limits, in_order, codes, own_operation, own_fields };
}

/** What "Try it out" puts into the body of an operation. */
async function suggested(operation) {
  await operation.locator(".opblock-summary-control").click();
  await operation.getByRole("button", { name: "Try it out" }).click();
  const value = await operation.locator("textarea.body-param__text").inputValue();
  await operation.locator(".opblock-summary-control").click();
  return value;
}

async function use() {
  await step("opening the page", async () => {
    const response = await page.goto(`${base}/swagger-ui/`);
    if (!response.ok()) throw new Error(`HTTP ${response.status()}`);
  });
  await step("waiting for operations to be listed", () => page.locator(".opblock").first().waitFor());
  const operations = await page.locator(".opblock").count();

  const of = (method, path) => page.locator(`.opblock-${method}`, { has: page.locator(`[data-path="${path}"]`) });
  const shown = process.env.READ ? await read(of) : {};
  if (process.env.READ) shown.delete_body = await step("trying DELETE out", () => suggested(of("delete", PATH)));

  const dialog = page.locator(".dialog-ux .modal-ux");
  // Other schemes may mention the header in what they say of themselves; this one is named so.
  const named = page.locator("p", { hasText: /^Name:\s*X-Auth-Token$/ });
  const scheme = dialog.locator(".auth-container", { has: named });
  await step("authorizing with the X-Auth-Token scheme", async () => {
    await page.locator(".auth-wrapper .btn.authorize").first().click();
    await scheme.locator("input").fill(token);
    await scheme.getByRole("button", { name: "Apply credentials" }).or(scheme.locator("button.authorize")).first().click();
    // The form turns into a "Logout" button once the token is kept.
    await scheme.getByRole("button", { name: /logout|remove authorization/i }).waitFor();
    await dialog.locator("button.btn-done").click();
    await dialog.waitFor({ state: "hidden" });
  });
  const authorized = await page.locator(".auth-wrapper .btn.authorize.locked").first().isVisible();

  // Nothing of the token may outlive the page.
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
  shown.token_kept = kept.includes(token);

  const operation = of("put", PATH);
  await step(`expanding PUT ${PATH}`, async () => {
    await operation.locator(".opblock-summary-control").click();
    await operation.getByRole("button", { name: "Try it out" }).click();
  });
  for (const [name, value] of [["project_id", projectId], ["task_id", taskId]])
    await step(`filling ${name}`, () => operation.locator(`tr[data-param-name="${name}"] input`).fill(value));
  await step("filling the request body", () => operation.locator("textarea.body-param__text").fill(body));

  const sent = await step("executing", async () => {
    const request = page.waitForRequest((request) => request.method() === "PUT");
    await operation.locator("button.execute").click();
    return request;
  });
  const live = operation.locator(".live-responses-table");
  await step("waiting for the server's response", () => live.locator(".response-col_status").nth(1).waitFor());
  const answer = (await live.locator("tbody .response-col_status").first().innerText()).trim();
  const status = Number.parseInt(answer, 10);
  await live.scrollIntoViewIfNeeded();

  console.log(JSON.stringify({ status, operations, authorized, console_errors: consoleErrors, shown }));
  if (status !== 200) throw new Error(`the page shows "${answer}" as the server's response`);
  if (!authorized) throw new Error("the page does not show that it is authorized");
  if (sent.headers()["x-auth-token"] !== token) throw new Error("the request did not carry the token");
  if (!sent.url().startsWith(`${base}/`)) throw new Error(`the request went to ${sent.url()}`);
  if (sent.postData() !== body) throw new Error(`the request's body was ${sent.postData()}`);
  if (consoleErrors.length) throw new Error("the page logged errors");
}

try {
  context = await step("starting Chromium", () => chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    // Nothing that the browser does on its own may reach for a network.
    args: [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ],
    viewport: { width: 1280, height: 1600 },
  }));
  page = context.pages()[0] ?? (await context.newPage());
  page.setDefaultTimeout(WAIT);
  page.on("console", (message) => message.type() === "error" && consoleErrors.push(message.text()));
  page.on("pageerror", (error) => consoleErrors.push(String(error)));
  await use();
} catch (error) {
  failure = error;
} finally {
  await page?.screenshot({ path: shot }).catch((error) => (failure ??= error));
  await context?.close();
  rmSync(profile, { recursive: true, force: true, maxRetries: 3 });
}

if (failure) {
  console.error(`swagger.mjs: ${failure.message}`);
  if (consoleErrors.length) console.error(`the browser's console: ${consoleErrors.join(" | ")}`);
  process.exit(1);
}
