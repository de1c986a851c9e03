import { loadAddon } from '../../src/base/backend.js';
import type { Engine } from '../../src/network/engine.js';
import { createNativeEngine } from '../../src/network/native-engine.js';
import { createNodeEngine } from '../../src/network/node-engine.js';

export type EngineFactory = readonly [name: 'fallback' | 'native', create: () => Engine];

/**
 * The engines that contract tests run on: the fallback always, the native one where the addon loads. SLUICE_BACKEND=native or fallback asks for that one
 * alone; `native` throws where the addon does not load. Says on standard output why the native one is left out.
 */
export function engines(wanted = process.env.SLUICE_BACKEND ?? 'auto'): EngineFactory[] {
  const fallback: EngineFactory = ['fallback', createNodeEngine];
  if (wanted === 'fallback') return [fallback];
  try {
    const addon = loadAddon();
    const native: EngineFactory = ['native', () => createNativeEngine(addon)];
    return wanted === 'native' ? [native] : [fallback, native];
  } catch (cause) {
    if (wanted === 'native') throw cause;
    console.log(`native engine left out: ${cause instanceof Error ? cause.message.split('\n')[0] : String(cause)}`);
    return [fallback];
  }
}
