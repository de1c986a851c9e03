import { milliseconds, type PlainMessage } from './decode.js';
import type { Descriptors, FieldType, MessageType, Rules } from './descriptors.js';
import { nearest, type Problem, type ProblemCode } from './problem.js';
import { fieldPath, itemPath, keyPath, type Origin, placeOf } from './source-map.js';

/**
 * Checks a decoded message and all it contains, `Any` included, against the API's `validate.rules` and required oneofs, as protoc-gen-validate
 * defines them: an unset field without presence has its default value, so `min_len: 1` makes a string required. Returns every violation; throws nothing.
 */
export function validate(message: PlainMessage, type: MessageType, origin: Origin, descriptors: Descriptors): Problem[] {
  const problems: Problem[] = [];
  new Validator(descriptors, problems).message(message, type, '', origin);
  return problems;
}

class Validator {
  readonly #descriptors: Descriptors;
  readonly #problems: Problem[];
  readonly #patterns = new Map<string, RegExp | undefined>();

  constructor(descriptors: Descriptors, problems: Problem[]) {
    this.#descriptors = descriptors;
    this.#problems = problems;
  }

  message(message: PlainMessage, declared: MessageType, path: string, origin: Origin): void {
    let type: MessageType | undefined = declared;
    if (declared.wellKnown === 'any') type = this.#descriptors.messageByUrl(message['@type'] as string);
    if (type === undefined || type.wellKnown !== undefined || type.unvalidated) return;
    for (const oneof of type.oneofs) {
      if (oneof.required && !oneof.members.some((name) => message[(type.field(name) as FieldType).jsonName] !== undefined)) {
        this.#report(origin, path, 'MISSING_FIELD', `one of ${oneof.members.join(', ')} is required`);
      }
    }
    for (const field of type.fields) this.#field(message[field.jsonName], field, fieldPath(path, field.name), origin.part(field.jsonName), origin);
  }

  #field(value: unknown, field: FieldType, path: string, origin: Origin | undefined, parent: Origin): void {
    const rules = field.rules;
    const place = origin ?? parent;
    if (field.keyType !== undefined) {
      if (rules?.map !== undefined) this.#mapSize(value, rules.map, path, place);
      for (const [key, item] of Object.entries((value ?? {}) as PlainMessage)) {
        const here = keyPath(path, key);
        const part = place.part(key) ?? place;
        if (rules?.map?.keys !== undefined) this.#value(key, field, rules.map.keys as Rules, here, part);
        this.#item(item, field, rules?.map?.values as Rules | undefined, here, part);
      }
    } else if (field.repeated) {
      if (rules?.repeated !== undefined && !(rules.repeated.ignore_empty === true && value === undefined))
        this.#listSize(value, rules.repeated, path, place, origin !== undefined);
      for (const [index, item] of ((value ?? []) as unknown[]).entries()) {
        this.#item(item, field, rules?.repeated?.items as Rules | undefined, itemPath(path, index), place.part(String(index)) ?? place);
      }
    } else if (value === undefined) {
      if (rules !== undefined) this.#unset(field, rules, path, place);
    } else this.#item(value, field, rules, path, place);
  }
  #item(value: unknown, field: FieldType, rules: Rules | undefined, path: string, origin: Origin): void {
    if (rules !== undefined) this.#value(value, field, rules, path, origin);
    const message = field.message;
    if (message !== undefined && rules?.message?.skip !== true && value !== null && typeof value === 'object')
      this.message(value as PlainMessage, message, path, origin);
  }

  /** A field that is not set: required by a rule, or its default breaks one. */
  #unset(field: FieldType, rules: Rules, path: string, parent: Origin): void {
    if (field.oneof !== undefined) return; // its rules hold only while it is the member that is set
    const required =
      rules.message?.required === true || rules.duration?.required === true || rules.any?.required === true || rules.timestamp?.required === true;
    if (required) {
      this.#report(parent, path, 'MISSING_FIELD', `${field.name} is required`);
      return;
    }
    if (field.hasPresence || (field.scalar === undefined && field.enumeration === undefined)) return;
    const enumeration = field.enumeration;
    const value = enumeration !== undefined ? (enumeration.nameOf(0) ?? '') : (DEFAULTS[field.scalar as string] ?? 0);
    const broken = this.#broken(value, field, rules);
    if (broken !== undefined) this.#report(parent, path, 'MISSING_FIELD', `${field.name} is required: ${broken}`);
  }
  #value(value: unknown, field: FieldType, rules: Rules, path: string, origin: Origin): void {
    const broken = this.#broken(value, field, rules);
    if (broken === undefined) return;
    const allowed = rules.string?.in;
    const suggestion = typeof value === 'string' && Array.isArray(allowed) ? nearest(value, allowed as string[]) : undefined;
    this.#report(origin, path, 'INVALID_VALUE', `${shown(value, field)} ${broken}`, suggestion);
  }
  /** What a value must be and is not; undefined where it keeps the rules. */
  #broken(value: unknown, field: FieldType, rules: Rules): string | undefined {
    for (const [kind, rule] of Object.entries(rules)) {
      let broken: string | undefined;
      if (rule.ignore_empty === true && (value === '' || value === 0 || (value instanceof Uint8Array && value.length === 0))) continue;
      if (kind === 'string' && typeof value === 'string') broken = this.#string(value, rule);
      else if (kind === 'bytes' && value instanceof Uint8Array) broken = sizes(value.length, 'byte', rule.len, rule.min_len, rule.max_len);
      else if (kind === 'enum') broken = enumeration(value, rule, field);
      else if (kind === 'bool') broken = rule.const !== undefined && value !== rule.const ? `must be ${String(rule.const)}` : undefined;
      else if (kind === 'duration') broken = typeof value === 'number' ? range(value, rule, durationOf, (limit) => `${limit / 1000}s`) : undefined;
      else if (kind === 'any') broken = anyType(value, rule);
      else if (NUMBERS.has(kind) && (typeof value === 'number' || typeof value === 'bigint')) broken = range(value, rule, Number, String);
      if (broken !== undefined) return broken;
    }
    return undefined;
  }

  #string(value: string, rule: Rule): string | undefined {
    const letters = sizes([...value].length, 'character', rule.len, rule.min_len, rule.max_len);
    if (letters !== undefined) return letters;
    const bytes = rule.min_bytes === undefined && rule.max_bytes === undefined && rule.len_bytes === undefined ? undefined : Buffer.byteLength(value);
    const size = bytes === undefined ? undefined : sizes(bytes, 'byte', rule.len_bytes, rule.min_bytes, rule.max_bytes);
    if (size !== undefined) return size;
    if (rule.const !== undefined && value !== rule.const) return `must be ${JSON.stringify(rule.const)}`;
    if (typeof rule.prefix === 'string' && !value.startsWith(rule.prefix)) return `must begin with ${JSON.stringify(rule.prefix)}`;
    if (typeof rule.suffix === 'string' && !value.endsWith(rule.suffix)) return `must end with ${JSON.stringify(rule.suffix)}`;
    if (typeof rule.contains === 'string' && !value.includes(rule.contains)) return `must contain ${JSON.stringify(rule.contains)}`;
    if (typeof rule.not_contains === 'string' && value.includes(rule.not_contains)) return `must not contain ${JSON.stringify(rule.not_contains)}`;
    if (rule.in !== undefined && !list(rule.in).includes(value)) return `must be one of ${list(rule.in).join(', ')}`;
    if (rule.not_in !== undefined && list(rule.not_in).includes(value)) return `must not be one of ${list(rule.not_in).join(', ')}`;
    if (typeof rule.pattern === 'string' && this.#pattern(rule.pattern)?.test(value) === false) return `must match ${rule.pattern}`;
    if (typeof rule.well_known_regex === 'string') return headerText(value, rule.well_known_regex, rule.strict !== false);
    if (rule.uri === true && !/^[A-Za-z][A-Za-z0-9+.-]*:[^\s]*$/.test(value)) return 'must be an absolute URI';
    if (rule.hostname === true && !HOST_NAME.test(value)) return 'must be a host name';
    return undefined;
  }
  /** The API's patterns are RE2; the few it has mean the same here. One that does not compile is not applied. */
  #pattern(text: string): RegExp | undefined {
    if (!this.#patterns.has(text)) {
      let pattern: RegExp | undefined;
      try {
        pattern = new RegExp(text, 'u');
      } catch {
        pattern = undefined; // the rule is unusable, not the configuration
      }
      this.#patterns.set(text, pattern);
    }
    return this.#patterns.get(text);
  }

  #listSize(value: unknown, rule: Rule, path: string, place: Origin, isSet: boolean): void {
    const items = (value ?? []) as unknown[];
    const broken = sizes(items.length, 'item', undefined, rule.min_items, rule.max_items);
    if (broken !== undefined)
      this.#report(place, path, isSet ? 'INVALID_VALUE' : 'MISSING_FIELD', isSet ? `a list of ${items.length} ${broken}` : `is required: ${broken}`);
    if (rule.unique === true && new Set(items.map((item) => JSON.stringify(item))).size < items.length)
      this.#report(place, path, 'INVALID_VALUE', 'holds a value twice');
  }
  #mapSize(value: unknown, rule: Rule, path: string, place: Origin): void {
    const count = Object.keys((value ?? {}) as object).length;
    const broken = sizes(count, 'entry', undefined, rule.min_pairs, rule.max_pairs);
    if (broken !== undefined) this.#report(place, path, value === undefined ? 'MISSING_FIELD' : 'INVALID_VALUE', `a map of ${count} ${broken}`);
  }
  #report(origin: Origin, path: string, code: ProblemCode, message: string, suggestion?: string): void {
    this.#problems.push({ ...placeOf(origin.source, origin.offset), path, code, message, ...(suggestion === undefined ? {} : { suggestion }) });
  }
}

type Rule = Readonly<Record<string, unknown>>;

const NUMBERS: ReadonlySet<string> = new Set([
  ...['float', 'double', 'int32', 'int64', 'uint32', 'uint64', 'sint32', 'sint64', 'fixed32', 'fixed64', 'sfixed32', 'sfixed64'],
]);
const DEFAULTS: Readonly<Record<string, unknown>> = { string: '', bytes: new Uint8Array(0), bool: false };
const HOST_NAME = /^(?=.{1,253}\.?$)([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*\.?$/;

const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [value]);
const durationOf = (value: unknown): number => {
  const { seconds = 0, nanos = 0 } = value as { seconds?: number; nanos?: number };
  return milliseconds(Number(seconds), Number(nanos));
};

function sizes(count: number, unit: string, exact: unknown, least: unknown, most: unknown): string | undefined {
  const plural = (limit: unknown): string =>
    `${String(limit)} ${unit === 'entry' ? (limit === 1 ? 'entry' : 'entries') : `${unit}${limit === 1 ? '' : 's'}`}`;
  if (exact !== undefined && count !== Number(exact)) return `must have ${plural(exact)}`;
  if (least !== undefined && count < Number(least)) return `must have at least ${plural(least)}`;
  if (most !== undefined && count > Number(most)) return `must have at most ${plural(most)}`;
  return undefined;
}
/** `gt`, `gte`, `lt`, `lte`, `const`, `in`, `not_in` on numbers; with the lower bound above the upper one the rule means "outside". */
function range(value: number | bigint, rule: Rule, read: (limit: unknown) => number, show: (limit: number) => string): string | undefined {
  if (rule.const !== undefined && Number(value) !== read(rule.const)) return `must be ${show(read(rule.const))}`;
  if (rule.in !== undefined && !list(rule.in).some((item) => read(item) === Number(value)))
    return `must be one of ${list(rule.in).map(String).join(', ')}`;
  if (rule.not_in !== undefined && list(rule.not_in).some((item) => read(item) === Number(value)))
    return `must not be ${list(rule.not_in).map(String).join(' or ')}`;
  const low = rule.gt ?? rule.gte;
  const high = rule.lt ?? rule.lte;
  const isAbove = low === undefined || (rule.gt !== undefined ? value > read(low) : value >= read(low));
  const isBelow = high === undefined || (rule.lt !== undefined ? value < read(high) : value <= read(high));
  const lowText = low === undefined ? '' : `${rule.gt !== undefined ? 'greater than' : 'at least'} ${show(read(low))}`;
  const highText = high === undefined ? '' : `${rule.lt !== undefined ? 'less than' : 'at most'} ${show(read(high))}`;
  if (low !== undefined && high !== undefined && read(low) > read(high)) return isAbove || isBelow ? undefined : `must be ${lowText} or ${highText}`;
  if (!isAbove) return `must be ${lowText}`;
  return isBelow ? undefined : `must be ${highText}`;
}
function enumeration(value: unknown, rule: Rule, field: FieldType): string | undefined {
  const number = field.enumeration?.values[value as string];
  if (number === undefined) return undefined; // an unknown name was reported when it was read
  if (rule.const !== undefined && number !== rule.const) return `must be ${field.enumeration?.nameOf(rule.const as number)}`;
  if (rule.in !== undefined && !list(rule.in).includes(number))
    return `must be one of ${list(rule.in)
      .map((item) => field.enumeration?.nameOf(item as number))
      .join(', ')}`;
  if (rule.not_in !== undefined && list(rule.not_in).includes(number)) return 'is not allowed here';
  return undefined;
}
function anyType(value: unknown, rule: Rule): string | undefined {
  const url = (value as { '@type'?: string })?.['@type'];
  if (rule.in !== undefined && !list(rule.in).includes(url)) return `must be of type ${list(rule.in).join(' or ')}`;
  if (rule.not_in !== undefined && list(rule.not_in).includes(url)) return `must not be of type ${url}`;
  return undefined;
}
/** protoc-gen-validate's HTTP_HEADER_NAME and HTTP_HEADER_VALUE. */
function headerText(value: string, kind: string, isStrict: boolean): string | undefined {
  // Code units, not a regular expression: the rules are about control characters.
  const codes = Array.from(value, (letter) => letter.charCodeAt(0));
  if (!isStrict) return codes.some((code) => code === 0 || code === 10 || code === 13) ? 'must not contain NUL, CR or LF' : undefined;
  if (kind === 'HTTP_HEADER_NAME') return /^:?[0-9a-zA-Z!#$%&'*+\-.^_|~`]+$/.test(value) ? undefined : 'must be a header name';
  return codes.some((code) => code <= 8 || (code >= 10 && code <= 31) || code === 127) ? 'must not contain control characters' : undefined;
}
function shown(value: unknown, field: FieldType): string {
  if (field.message?.wellKnown === 'duration' && typeof value === 'number') return `${value / 1000}s`;
  if (value instanceof Uint8Array) return `a value of ${value.length} bytes`;
  if (value !== null && typeof value === 'object') return field.name;
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}
