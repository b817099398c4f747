// What Node.js gives a program, without the types of a package.

declare const process: { env: Record<string, string>; exit(code: number): void };
declare const setTimeout: (wake: () => void, milliseconds: number) => void;

export const env = process.env;
export const project = env.PROJECT_ID;

export function must(good: boolean, text: string, about?: unknown): asserts good {
  if (!good) throw new Error(`${text}: ${JSON.stringify(about)}`);
}

// Shows a task until it is as `condition` wants it.
export async function wait<T>(what: string, show: () => Promise<T>, condition: (now: T) => boolean): Promise<T> {
  const until = Date.now() + 120_000;
  for (;;) {
    const now = await show();
    if (condition(now)) return now;
    must(Date.now() < until, `the task does not ${what}`, now);
    await new Promise<void>((wake) => setTimeout(wake, 50));
  }
}

export function run(main: () => Promise<void>): void {
  main().catch((error: unknown) => {
    console.error(error);
    process.exit(1);
  });
}
