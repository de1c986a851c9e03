import * as nodeModule from 'node:module';
import * as hooks from './typescript-hooks.js';

/** `registerHooks` is there since Node 22.15. */
type Hooking = typeof nodeModule & { readonly registerHooks?: (given: Pick<typeof hooks, 'resolve' | 'load'>) => unknown };

/** Node keeps hooks for as long as the thread lives; this remembers that they are there. */
let areHooked = false;
function hookOnce(): void {
  if (areHooked) return;
  areHooked = true;
  const { register, registerHooks } = nodeModule as Hooking;
  if (registerHooks === undefined) register('./typescript-hooks.js', import.meta.url);
  else registerHooks({ resolve: hooks.resolve, load: hooks.load });
}

/**
 * Imports a module of the user's, JavaScript or TypeScript, without anything built: types are taken out while it loads, its relative imports may end in `.ts` or
 * `.js`, and `sluice/codec` is the running package. Works the same in the main thread and in workers. Throws what the module throws, and SyntaxError.
 */
export async function importUserModule(file: string): Promise<Readonly<Record<string, unknown>>> {
  hookOnce();
  return (await import(hooks.markedUrl(file))) as Readonly<Record<string, unknown>>;
}
