import type { RuntimeConfig } from '../../proxy/runtime.js';
import type * as v3 from '../config/types.js';
import { compileClusters } from './clusters.js';
import { CompileContext, type CompileOptions, type CompileProblem, type Fields } from './context.js';
import { compileListeners } from './listeners.js';
import { compileMaxConnections, compileServerPart, type ServerConfig } from './server-part.js';

export type { CompileCode, CompileOptions, CompileProblem } from './context.js';
export { compileAdminLogs, type ServerConfig } from './server-part.js';

/**
 * Compiles a bootstrap, as the loader gives it, into the runtime model. Every field is read, accepted on purpose (accepted.ts) or a problem. What has a
 * problem is left out of `config`: run it only where there is none. Sets V8's flags for safe regular expressions; throws ConfigError where V8 has none.
 */
export function compileConfig(
  bootstrap: v3.Bootstrap,
  options: CompileOptions = {},
): { readonly config: RuntimeConfig; readonly server: ServerConfig; readonly problems: readonly CompileProblem[] } {
  const context = new CompileContext(options);
  const root = context.fields(bootstrap, '', 'envoy.config.bootstrap.v3.Bootstrap');
  context.runtime = compileRuntime(root);
  const statics = root.child('staticResources', 'envoy.config.bootstrap.v3.Bootstrap.StaticResources');
  const manager = root.child('clusterManager', 'envoy.config.bootstrap.v3.ClusterManager');
  const clusters = compileClusters(
    statics?.list('clusters', 'envoy.config.cluster.v3.Cluster') ?? [],
    manager?.child('upstreamBindConfig', 'envoy.config.core.v3.BindConfig'),
  );
  context.clusterNames = new Set(clusters.keys());
  const listeners = compileListeners(statics?.list('listeners', 'envoy.config.listener.v3.Listener') ?? []);
  const maxConnections = compileMaxConnections(root);
  const server = compileServerPart(root);
  context.reportUnread();
  return { config: { listeners, clusters, maxConnections }, server, problems: context.problems };
}

/** Values of static layers by dotted key; a later layer goes before an earlier one. The admin layer is empty at the start, and stays so. */
function compileRuntime(root: Fields<v3.Bootstrap>): ReadonlyMap<string, unknown> {
  const values = new Map<string, unknown>();
  const add = (prefix: string, value: unknown): void => {
    if (typeof value === 'object' && value !== null && !Array.isArray(value) && !('numerator' in value)) {
      for (const [key, item] of Object.entries(value)) add(prefix === '' ? key : `${prefix}.${key}`, item);
    } else values.set(prefix, value);
  };
  for (const layer of root
    .child('layeredRuntime', 'envoy.config.bootstrap.v3.LayeredRuntime')
    ?.list('layers', 'envoy.config.bootstrap.v3.RuntimeLayer') ?? []) {
    layer.ignore('name', 'adminLayer');
    add('', layer.get('staticLayer') ?? {});
  }
  return values;
}
