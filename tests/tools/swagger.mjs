// Uses the Swagger UI as a person would: authorizes, fills in a request that starts a task, executes it, reads the answer.
//
//   BASE_URL=.. TOKEN=.. PROJECT_ID=.. TASK_ID=.. BODY='{"operation":"start",..}' SHOT=page.png node swagger.mjs
//
// Prints one JSON line, {"status":200,"operations":N,"authorized":true,"console_errors":[]}, and exits 0 when the answer
// was 200 to a request that carried the token and the body. Otherwise says what went wrong and exits 1. SHOT is a
// screenshot of the page as it was at the end, whichever way it ended.

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
const WAIT = 15_000;

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

async function use() {
  await step("opening the page", async () => {
    const response = await page.goto(`${base}/swagger-ui/`);
    if (!response.ok()) throw new Error(`HTTP ${response.status()}`);
  });
  await step("waiting for operations to be listed", () => page.locator(".opblock").first().waitFor());
  const operations = await page.locator(".opblock").count();

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

  const operation = page.locator(".opblock-put", { has: page.locator(`[data-path="${PATH}"]`) });
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
  const shown = (await live.locator("tbody .response-col_status").first().innerText()).trim();
  const status = Number.parseInt(shown, 10);
  await live.scrollIntoViewIfNeeded();

  console.log(JSON.stringify({ status, operations, authorized, console_errors: consoleErrors }));
  if (status !== 200) throw new Error(`the page shows "${shown}" as the server's response`);
  if (!authorized) throw new Error("the page does not show that it is authorized");
  if (sent.headers()["x-auth-token"] !== token) throw new Error("the request did not carry the token");
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
