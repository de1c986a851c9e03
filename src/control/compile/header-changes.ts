import { compileHeaderChanges, type HeaderChange, type HeaderForm, type HeaderMutation } from '../../proxy/route/header-mutation.js';
import type * as v3 from '../config/types.js';
import type { Fields } from './context.js';

/** A message that changes headers: a table, virtual host, route or weighted cluster. */
interface Changing {
  readonly requestHeadersToAdd?: readonly v3.HeaderValueOption[];
  readonly requestHeadersToRemove?: readonly string[];
  readonly responseHeadersToAdd?: readonly v3.HeaderValueOption[];
  readonly responseHeadersToRemove?: readonly string[];
}
/** Changes of one level, in the order in which they happen: what is removed first. */
export interface LevelChanges {
  readonly request: readonly HeaderChange[];
  readonly response: readonly HeaderChange[];
}

/** Reads the changes of one level. Each is tried on its own, so that a wrong one is reported where it stands, and left out. */
export function compileLevel(fields: Fields<Changing>, form: HeaderForm): LevelChanges {
  return {
    request: [...removals(fields, 'requestHeadersToRemove', form), ...additions(fields, 'requestHeadersToAdd', form)],
    response: [...removals(fields, 'responseHeadersToRemove', form), ...additions(fields, 'responseHeadersToAdd', form)],
  };
}
/** Levels put together in their order; undefined where they change nothing. */
export const mutationOf = (levels: readonly LevelChanges[], of: keyof LevelChanges, form: HeaderForm): HeaderMutation | undefined =>
  compileHeaderChanges(
    levels.flatMap((level) => level[of]),
    form,
  );

function removals(fields: Fields<Changing>, name: 'requestHeadersToRemove' | 'responseHeadersToRemove', form: HeaderForm): HeaderChange[] {
  return (fields.get(name) ?? []).flatMap((header, index) => valid(fields, `${fields.at(name)}[${index}]`, { kind: 'remove', name: header }, form));
}
function additions(fields: Fields<Changing>, name: 'requestHeadersToAdd' | 'responseHeadersToAdd', form: HeaderForm): HeaderChange[] {
  return fields.list(name, 'envoy.config.core.v3.HeaderValueOption').flatMap((option) => {
    const header = option.child('header', 'envoy.config.core.v3.HeaderValue');
    const append = option.get('append');
    // The older field: true appends, false overwrites.
    const kind = option.get('appendAction') ?? (append === false ? 'OVERWRITE_IF_EXISTS_OR_ADD' : 'APPEND_IF_EXISTS_OR_ADD');
    const raw = header?.get('rawValue');
    const value = raw === undefined ? (header?.get('value') ?? '') : Buffer.from(raw).toString('utf8');
    return valid(fields, option.path, { kind, name: header?.get('key') ?? '', value, keepEmptyValue: option.get('keepEmptyValue') === true }, form);
  });
}
function valid(fields: Fields<Changing>, path: string, change: HeaderChange, form: HeaderForm): HeaderChange[] {
  return fields.context.attempt(path, () => compileHeaderChanges([change], form) ?? true) === undefined ? [] : [change];
}
