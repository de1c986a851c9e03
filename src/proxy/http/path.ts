/** What `normalizePath` needs of a manager's configuration. */
export interface PathRules {
  readonly normalizePath: boolean;
  readonly mergeSlashes: boolean;
  readonly escapedSlashes: 'KEEP_UNCHANGED' | 'REJECT_REQUEST' | 'UNESCAPE_AND_REDIRECT' | 'UNESCAPE_AND_FORWARD';
}
/** A path as it is matched and forwarded, or why the request is refused or sent elsewhere. */
export type NormalPath =
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'reject' }
  | { readonly kind: 'redirect'; readonly path: string };

/** True where the rules cannot change `path`: the common request pays one scan. */
export function isPlainPath(path: string): boolean {
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i);
    if (code === 0x3f) return true;
    // `%`, `\`, and after a slash another one or a dot.
    if (code === 0x25 || code === 0x5c) return false;
    if (code === 0x2f && i + 1 < path.length) {
      const next = path.charCodeAt(i + 1);
      if (next === 0x2f || next === 0x2e) return false;
    }
  }
  return true;
}

/**
 * Normalises the path of a request target as Envoy documents for `normalize_path`, `merge_slashes` and `path_with_escaped_slashes_action`: percent-escapes of
 * unreserved characters are decoded (RFC 3986 §6.2.2), `\` is `/`, dot segments are removed (above the root there is nothing to climb to), the query is left
 * alone. An escape that is none is refused.
 */
export function normalizePath(target: string, rules: PathRules): NormalPath {
  const query = target.indexOf('?');
  let path = query < 0 ? target : target.slice(0, query);
  const rest = query < 0 ? '' : target.slice(query);
  if (!path.startsWith('/')) return { kind: 'path', path: target };
  let redirect = false;
  if (rules.escapedSlashes !== 'KEEP_UNCHANGED' && /%(?:2f|5c)/i.test(path)) {
    if (rules.escapedSlashes === 'REJECT_REQUEST') return { kind: 'reject' };
    path = path.replaceAll(/%2f/gi, '/').replaceAll(/%5c/gi, '\\');
    redirect = rules.escapedSlashes === 'UNESCAPE_AND_REDIRECT';
  }
  if (rules.normalizePath) {
    const normal = canonical(path);
    if (normal === undefined) return { kind: 'reject' };
    path = normal;
  }
  if (rules.mergeSlashes) path = path.replaceAll(/\/{2,}/g, '/');
  return { kind: redirect ? 'redirect' : 'path', path: path + rest };
}

function canonical(path: string): string | undefined {
  // %00 is refused as NUL is in a target; an escape without two digits is broken.
  if (/%(?![0-9a-f]{2})|%00/i.test(path)) return undefined;
  const decoded = path
    .replaceAll(/%[0-9a-f]{2}/gi, (escape) => {
      const character = String.fromCharCode(Number.parseInt(escape.slice(1), 16));
      return /[\w.~-]/.test(character) ? character : escape.toUpperCase();
    })
    .replaceAll('\\', '/');
  const segments = decoded.split('/').slice(1);
  const kept: string[] = [];
  for (const [index, segment] of segments.entries()) {
    const isLast = index === segments.length - 1;
    if (segment === '..') {
      kept.pop();
    } else if (segment !== '.') {
      kept.push(segment);
      continue;
    }
    if (isLast) kept.push('');
  }
  return `/${kept.join('/')}`;
}
