import { createRequire } from 'node:module';

/** Loads a stock peer from npm: these are CommonJS, and have no types. */
export const stock = createRequire(import.meta.url) as <Module>(name: string) => Module;

/** `count` calls at once; throws the first failure. */
export async function together<Answer>(count: number, call: (index: number) => Promise<Answer>): Promise<Answer[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => call(index)));
}

/** What an asynchronous call waits for. Throws after `ms`. */
export async function within<Value>(ms: number, what: string, value: Promise<Value>): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing in ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([value, late]);
  } finally {
    clearTimeout(timer);
  }
}
