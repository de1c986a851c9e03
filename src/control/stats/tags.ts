/**
 * Tag extraction: a statistic's flat name (`cluster.web.upstream_rq_200`) becomes a family (`cluster.upstream_rq`) with tags. Envoy's well-known tags
 * (source/common/config/well_known_names.cc) and those of `stats_config.stats_tags`.
 */
import { ConfigError } from '../../base/errors.js';

export interface Tag {
  readonly name: string;
  readonly value: string;
}
export interface TaggedName {
  /** The name without the parts that became tags. */
  readonly family: string;
  readonly tags: readonly Tag[];
}

/**
 * Either a pattern, whose first group is cut out of the name and whose second (or first) is the value, or a fixed value.
 */
export type TagRule = { readonly name: string; readonly pattern: RegExp } | { readonly name: string; readonly fixed: string };

/** The most names whose tags are remembered; beyond it they are extracted each time. */
const MAX_REMEMBERED = 100_000;

/** In Envoy's order: where two rules give the same tag, the first that matches wins. */
export const DEFAULT_TAG_RULES: readonly TagRule[] = [
  { name: 'envoy.response_code', pattern: /_rq(_(\d{3}))$/ },
  { name: 'envoy.response_code_class', pattern: /_rq_((\d))xx$/ },
  { name: 'envoy.http_user_agent', pattern: /^http\..*?\.user_agent\.((.+?)\.)\w+$/ },
  { name: 'envoy.virtual_cluster', pattern: /^vhost\.[^.]+\.vcluster\.((.+?)\.)/ },
  { name: 'envoy.route', pattern: /^vhost\.[^.]+\.route\.((.+?)\.)/ },
  { name: 'envoy.fault_downstream_cluster', pattern: /^http\..*?\.fault\.((.+?)\.)(?:delays|aborts)_injected$/ },
  { name: 'envoy.ssl_cipher', pattern: /^listener\..*?\.ssl\.ciphers(\.(.+?))$/ },
  { name: 'envoy.ssl_cipher', pattern: /^cluster\..*?\.ssl\.ciphers(\.(.+?))$/ },
  { name: 'envoy.ssl_version', pattern: /^(?:listener|cluster)\..*?\.ssl\.versions(\.(.+?))$/ },
  { name: 'envoy.ssl_sigalg', pattern: /^(?:listener|cluster)\..*?\.ssl\.sigalgs(\.(.+?))$/ },
  { name: 'envoy.ssl_curve', pattern: /^(?:listener|cluster)\..*?\.ssl\.curves(\.(.+?))$/ },
  { name: 'envoy.grpc_bridge_method', pattern: /^cluster\..*?\.grpc\.[^.]+\.((.+)\.)\w+$/ },
  { name: 'envoy.grpc_bridge_service', pattern: /^cluster\..*?\.grpc\.(([^.]+)\.)/ },
  { name: 'envoy.cluster_name', pattern: /^cluster\.(([^.]+)\.)/ },
  { name: 'envoy.rds_route_config', pattern: /^http\.[^.]+\.rds\.((.+?)\.)\w+$/ },
  { name: 'envoy.scoped_rds_config', pattern: /^http\.[^.]+\.scoped_rds\.((.+?)\.)\w+$/ },
  { name: 'envoy.http_conn_manager_prefix', pattern: /^http\.(([^.]+)\.)/ },
  { name: 'envoy.http_conn_manager_prefix', pattern: /^listener\..*?\.http\.((.+?)\.)/ },
  { name: 'envoy.listener_address', pattern: /^listener\.(((?:[_.0-9]*|[_[\]a-fA-F0-9]*))\.)/ },
  { name: 'envoy.listener_address', pattern: /^listener\.((?!admin\.)([^.]+)\.)/ },
  { name: 'envoy.tcp_prefix', pattern: /^tcp\.(([^.]+)\.)/ },
  { name: 'sluice.rpc_prefix', pattern: /^rpc\.(([^.]+)\.)/ },
  { name: 'envoy.virtual_host', pattern: /^vhost\.(([^.]+)\.)/ },
  { name: 'envoy.ratelimit_prefix', pattern: /^ratelimit\.(([^.]+)\.)/ },
  { name: 'envoy.connection_limit_prefix', pattern: /^connection_limit\.(([^.]+)\.)/ },
  { name: 'envoy.local_http_ratelimit_prefix', pattern: /^(([^.]+)\.)http_local_rate_limit\./ },
  { name: 'envoy.local_network_ratelimit_prefix', pattern: /^local_rate_limit\.(([^.]+)\.)/ },
  { name: 'envoy.ext_authz_prefix', pattern: /^ext_authz\.(([^.]+)\.)/ },
  { name: 'envoy.mongo_prefix', pattern: /^mongo\.(([^.]+)\.)/ },
  { name: 'envoy.redis_prefix', pattern: /^redis\.(([^.]+)\.)/ },
  { name: 'envoy.thrift_prefix', pattern: /^thrift\.(([^.]+)\.)/ },
  { name: 'envoy.worker_id', pattern: /^(?:listener\..*?\.|server\.|listener_manager\.)worker_((\d+)\.)/ },
];

/** A configured tag: `regex` or `fixedValue`, or the name of a default tag alone. */
export interface TagSpecifier {
  readonly tagName: string;
  readonly regex?: string;
  readonly fixedValue?: string;
}

/** Puts the configured tags before the default ones. Throws ConfigError on a pattern that does not compile or a name that no default tag has. */
export function tagRules(specifiers: readonly TagSpecifier[] = [], useDefaults = true): TagRule[] {
  const rules = specifiers.flatMap((specifier) => rulesOf(specifier, useDefaults));
  return useDefaults ? [...rules, ...DEFAULT_TAG_RULES] : rules;
}

/** The rules of one configured tag; a default tag has none of its own where all default tags follow anyway. Throws as `tagRules`. */
export function rulesOf({ tagName: name, regex, fixedValue }: TagSpecifier, useDefaults: boolean): TagRule[] {
  if (regex !== undefined && regex !== '') {
    try {
      return [{ name, pattern: new RegExp(regex) }];
    } catch (cause) {
      throw new ConfigError(`stats tag ${name}: ${(cause as Error).message}`, { cause });
    }
  }
  if (fixedValue !== undefined && fixedValue !== '') return [{ name, fixed: fixedValue }];
  const known = DEFAULT_TAG_RULES.filter((rule) => rule.name === name);
  if (known.length === 0) throw new ConfigError(`stats tag ${name}: no regex, no fixed value, and not one of the default tags`);
  return useDefaults ? [] : known;
}

/** Extracts tags and remembers the result. */
export class TagExtractor {
  readonly #rules: readonly TagRule[];
  readonly #known = new Map<string, TaggedName>();

  constructor(rules: readonly TagRule[] = DEFAULT_TAG_RULES) {
    this.#rules = rules;
  }

  /** Family and tags of a name. Every rule looks at the whole name; the parts that they found are cut out together at the end. */
  extract(name: string): TaggedName {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const tags: Tag[] = [];
    const cuts: [from: number, to: number][] = [];
    for (const rule of this.#rules) {
      if (tags.some((tag) => tag.name === rule.name)) continue;
      if ('fixed' in rule) {
        tags.push({ name: rule.name, value: rule.fixed });
        continue;
      }
      const found = rule.pattern.exec(name);
      if (found === null || found[1] === undefined) continue;
      tags.push({ name: rule.name, value: found[2] ?? found[1] });
      const from = found.index + found[0].indexOf(found[1]);
      cuts.push([from, from + found[1].length]);
    }
    cuts.sort((a, b) => a[0] - b[0]);
    let family = '';
    let end = 0;
    for (const [from, to] of cuts) {
      if (from > end) family += name.slice(end, from);
      end = Math.max(end, to);
    }
    const result = { family: family + name.slice(end), tags };
    if (this.#known.size < MAX_REMEMBERED) this.#known.set(name, result);
    return result;
  }
}
