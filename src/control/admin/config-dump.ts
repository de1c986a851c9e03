/** Selection of parts of a configuration dump: `?mask=`, `?resource=` and `?name_regex=`, with the rules of Envoy's config_dump_handler. */

/** Fields of each dump message: a mask that names another one does not apply to that dump. Source: envoy/admin/v3/config_dump.proto. */
const DUMP_FIELDS: Readonly<Record<string, readonly string[]>> = {
  BootstrapConfigDump: ['bootstrap', 'last_updated'],
  ClustersConfigDump: ['version_info', 'static_clusters', 'dynamic_active_clusters', 'dynamic_warming_clusters'],
  EcdsConfigDump: ['ecds_filters'],
  EndpointsConfigDump: ['static_endpoint_configs', 'dynamic_endpoint_configs'],
  ListenersConfigDump: ['version_info', 'static_listeners', 'dynamic_listeners'],
  RoutesConfigDump: ['static_route_configs', 'dynamic_route_configs'],
  ScopedRoutesConfigDump: ['inline_scoped_route_configs', 'dynamic_scoped_route_configs'],
  SecretsConfigDump: ['static_secrets', 'dynamic_active_secrets', 'dynamic_warming_secrets'],
};
/** `@type` of one element of a repeated field. */
const ELEMENT_TYPES: Readonly<Record<string, string>> = {
  static_clusters: 'ClustersConfigDump.StaticCluster',
  dynamic_active_clusters: 'ClustersConfigDump.DynamicCluster',
  dynamic_warming_clusters: 'ClustersConfigDump.DynamicCluster',
  static_listeners: 'ListenersConfigDump.StaticListener',
  dynamic_listeners: 'ListenersConfigDump.DynamicListener',
  static_route_configs: 'RoutesConfigDump.StaticRouteConfig',
  dynamic_route_configs: 'RoutesConfigDump.DynamicRouteConfig',
  static_endpoint_configs: 'EndpointsConfigDump.StaticEndpointConfig',
  dynamic_endpoint_configs: 'EndpointsConfigDump.DynamicEndpointConfig',
  static_secrets: 'SecretsConfigDump.StaticSecret',
  dynamic_active_secrets: 'SecretsConfigDump.DynamicSecret',
  dynamic_warming_secrets: 'SecretsConfigDump.DynamicSecret',
};

type Json = { readonly [key: string]: unknown };
/** The selection, or the status and text of what is wrong with the request. */
export type DumpAnswer = { readonly configs: readonly object[] } | { readonly status: 400 | 404; readonly text: string };

export interface DumpQuery {
  /** Comma-separated field paths. */
  readonly mask?: string;
  /** Name of a repeated field of one of the dumps. */
  readonly resource?: string;
  /** Only resources whose name matches as a whole. */
  readonly nameRegex?: RegExp;
}

/** Applies a query to the dumps. */
export function selectDump(dumps: readonly object[], { mask, resource, nameRegex }: DumpQuery): DumpAnswer {
  const paths = mask === undefined || mask === '' ? undefined : mask.split(',').map((path) => path.trim().split('.'));
  if (resource !== undefined && resource !== '') return selectResource(dumps as readonly Json[], resource, paths, nameRegex);
  const configs: object[] = [];
  for (const dump of dumps as readonly Json[]) {
    let chosen: Json = dump;
    if (paths !== undefined) {
      const fields = DUMP_FIELDS[shortType(dump)];
      const applies = paths.every(([first]) => fields === undefined || fields.includes(first));
      if (!applies) continue;
      chosen = { '@type': dump['@type'], ...(maskObject(dump, paths) as Json) };
    }
    configs.push(nameRegex === undefined ? chosen : filterNames(chosen, nameRegex));
  }
  if (paths !== undefined && configs.length === 0)
    return { status: 400, text: `FieldMask paths: "${mask}" could not be applied to any of the dumps\n` };
  return { configs };
}

function selectResource(dumps: readonly Json[], resource: string, paths: readonly string[][] | undefined, nameRegex: RegExp | undefined): DumpAnswer {
  const type = Object.keys(DUMP_FIELDS).find((name) => DUMP_FIELDS[name].includes(resource));
  if (type === undefined) return { status: 404, text: `${resource} not found in config dump\n` };
  if (!(resource in ELEMENT_TYPES)) return { status: 400, text: `${resource} is not a repeated field. Use ?mask to get only this field\n` };
  const dump = dumps.find((candidate) => shortType(candidate) === type);
  const elements = (dump?.[resource] ?? []) as readonly Json[];
  const configs = elements
    .filter((element) => nameRegex === undefined || matchesName(element, nameRegex))
    .map((element) => ({
      '@type': `type.googleapis.com/envoy.admin.v3.${ELEMENT_TYPES[resource]}`,
      ...((paths === undefined ? element : maskObject(element, paths)) as Json),
    }));
  return { configs };
}

const shortType = (dump: Json): string => String(dump['@type']).replace(/^.*\./, '');

/** Keeps only the named paths. In a repeated field a path goes on into every element. */
function maskObject(value: unknown, paths: readonly (readonly string[])[]): unknown {
  if (Array.isArray(value)) return value.map((element) => maskObject(element, paths));
  if (value === null || typeof value !== 'object') return value;
  const chosen: Record<string, unknown> = {};
  for (const [key, member] of Object.entries(value)) {
    const inside = paths.filter(([first]) => first === key);
    if (inside.length === 0) continue;
    const deeper = inside.map(([, ...rest]) => rest);
    chosen[key] = deeper.some((path) => path.length === 0) ? member : maskObject(member, deeper);
  }
  return chosen;
}

function filterNames(dump: Json, nameRegex: RegExp): Json {
  return Object.fromEntries(
    Object.entries(dump).map(([key, value]) => [
      key,
      Array.isArray(value) ? value.filter((element) => matchesName(element as Json, nameRegex)) : value,
    ]),
  );
}

/** A resource's name is its own, or that of the message one level inside it. */
function matchesName(element: Json, nameRegex: RegExp): boolean {
  const own = [element, ...Object.values(element).filter((member) => member !== null && typeof member === 'object')] as Json[];
  return own.some((part) => [part.name, part.cluster_name].some((name) => typeof name === 'string' && nameRegex.test(name)));
}
