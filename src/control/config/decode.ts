import { type Alias, type Document, isAlias, isMap, isScalar, isSeq, type Node, type Pair, Scalar, visit, type YAMLMap } from 'yaml';
import { type Descriptors, type FieldType, type MessageType, type ScalarType, typeNameOf } from './descriptors.js';
import { nearest, type Problem, type ProblemCode } from './problem.js';
import { fieldPath, itemPath, keyPath, Origin, placeOf, type Source } from './source-map.js';

/** Messages in messages; protobuf's own bound. */
export const MAX_DEPTH = 100;
/** Values in one configuration, aliases expanded. */
export const MAX_VALUES = 2_000_000;
/** Seconds of a `google.protobuf.Duration`: ± 10,000 years. */
const MAX_DURATION_SECONDS = 315_576_000_000;

/** A decoded message: lowerCamel names, only what is set (types.ts says how values look). */
export type PlainMessage = Record<string, unknown>;

export interface Decoded {
  readonly value: PlainMessage;
  readonly origin: Origin;
}

/**
 * Reads a YAML document as protobuf JSON of one message type. It notes what is wrong in `problems`, leaves that value out and goes on, so that one
 * run finds every error; what is only doubtful (deprecated or, where allowed, unknown fields) goes to `warnings`. Source: protobuf's ProtoJSON format
 * (https://protobuf.dev/programming-guides/json/), and what Envoy's own YAML loader accepts beyond it (yes/no, octal).
 */
export class Decoder {
  readonly #descriptors: Descriptors;
  readonly #source: Source;
  readonly #allowUnknownFields: boolean;
  readonly #problems: Problem[];
  readonly #warnings: Problem[];
  #aliases = new Map<Alias, Node>();
  #values = 0;
  #depth = 0;

  constructor(descriptors: Descriptors, source: Source, problems: Problem[], warnings: Problem[], allowUnknownFields: boolean) {
    this.#descriptors = descriptors;
    this.#source = source;
    this.#problems = problems;
    this.#warnings = warnings;
    this.#allowUnknownFields = allowUnknownFields;
  }

  /** The document as a message of this type; an empty document is an empty message. Throws nothing. */
  decode(document: Document.Parsed, type: MessageType): Decoded {
    this.#aliases = targetsOf(document);
    const root = document.contents as Node | null;
    const origin = new Origin(this.#source, root === null ? 0 : startOf(root, 0));
    const value = root === null || isNull(root) ? {} : this.#message(root, type, '', origin);
    return { value: (value ?? {}) as PlainMessage, origin };
  }

  #problem(offset: number, path: string, code: ProblemCode, message: string, suggestion?: string): undefined {
    this.#problems.push({ ...placeOf(this.#source, offset), path, code, message, ...(suggestion === undefined ? {} : { suggestion }) });
    return undefined;
  }

  // ---- messages -------------------------------------------------------------------------------------------------------------------------

  #message(node: Node, type: MessageType, path: string, origin: Origin): unknown {
    if (!this.#enter(origin.offset, path)) return undefined;
    try {
      return this.#messageBody(node, type, path, origin);
    } finally {
      this.#depth--;
    }
  }
  /** Counts a level and a value; false past the bounds. */
  #enter(offset: number, path: string): boolean {
    if (++this.#values > MAX_VALUES) {
      if (this.#values === MAX_VALUES + 1) this.#problem(offset, path, 'TOO_LARGE', `more than ${MAX_VALUES} values`);
      return false;
    }
    if (this.#depth >= MAX_DEPTH) {
      this.#problem(offset, path, 'TOO_DEEP', `nested deeper than ${MAX_DEPTH} levels`);
      return false;
    }
    this.#depth++;
    return true;
  }
  #messageBody(node: Node, type: MessageType, path: string, origin: Origin): unknown {
    switch (type.wellKnown) {
      case undefined:
      case 'empty':
        return this.#fields(node, type, path, origin);
      case 'any':
        return this.#any(node, path, origin);
      case 'duration':
        return this.#duration(node, path, origin);
      case 'timestamp':
        return this.#timestamp(node, path, origin);
      case 'fieldMask':
        return this.#scalar(node, 'string', path, origin);
      case 'wrapper':
        return this.#scalar(node, type.fields[0].scalar as ScalarType, path, origin);
      case 'struct':
        if (!isMap(node)) return this.#wrongType(node, path, origin, 'a map');
        return this.#json(node, path, origin.offset);
      case 'list':
        if (!isSeq(node)) return this.#wrongType(node, path, origin, 'a list');
        return this.#json(node, path, origin.offset);
      case 'value':
        return this.#json(node, path, origin.offset);
    }
  }

  /** An object of the message's fields. `skip`: keys that were read already (`@type`). */
  #fields(node: Node, type: MessageType, path: string, origin: Origin, skip?: string): unknown {
    if (!isMap(node)) return this.#wrongType(node, path, origin, `a map of the fields of ${type.name}`);
    const value: PlainMessage = {};
    const seen = new Map<string, string>();
    const oneofs = new Map<string, string>();
    for (const pair of node.items) {
      const { name, offset } = this.#key(pair, path, origin.offset);
      if (name === undefined || name === skip) continue;
      const field = type.field(name);
      if (field === undefined) {
        this.#unknownField(name, type, path, offset);
        continue;
      }
      const here = fieldPath(path, field.name);
      const known = seen.get(field.name);
      if (known !== undefined) {
        this.#problem(
          offset,
          here,
          'DUPLICATE_FIELD',
          known === name ? `${name} is given twice` : `${name} is given a second time, first as ${known}`,
        );
        continue;
      }
      seen.set(field.name, name);
      const target = this.#resolve(pair.value as Node | null);
      // JSON null: unset, except for google.protobuf.Value, where it is a value.
      if (target === null || (isNull(target) && (field.message?.wellKnown !== 'value' || field.repeated || field.keyType !== undefined))) continue;
      if (field.oneof !== undefined) {
        const other = oneofs.get(field.oneof.name);
        if (other !== undefined) {
          this.#problem(
            offset,
            here,
            'ONEOF_CONFLICT',
            `${field.name} and ${other} exclude each other: of ${field.oneof.members.join(', ')} one may be set`,
          );
          continue;
        }
        oneofs.set(field.oneof.name, field.name);
      }
      if (field.deprecated)
        this.#warnings.push({ ...placeOf(this.#source, offset), path: here, code: 'DEPRECATED_FIELD', message: `${field.name} is deprecated` });
      const part = new Origin(this.#source, startOf(target, offset), offset);
      const decoded = this.#field(target, field, here, part);
      if (decoded === undefined) continue;
      value[field.jsonName] = decoded;
      origin.set(field.jsonName, part);
    }
    return value;
  }
  #unknownField(name: string, type: MessageType, path: string, offset: number): void {
    const camel = /[A-Z]/.test(name);
    const suggestion = nearest(
      name,
      type.fields.map((field) => (camel ? field.jsonName : field.name)),
    );
    const problem = {
      ...placeOf(this.#source, offset),
      path: fieldPath(path, name),
      code: 'UNKNOWN_FIELD',
      message: `${type.name} has no field ${JSON.stringify(name)}`,
      ...(suggestion === undefined ? {} : { suggestion }),
    };
    (this.#allowUnknownFields ? this.#warnings : this.#problems).push(problem);
  }

  #field(node: Node, field: FieldType, path: string, origin: Origin): unknown {
    if (field.keyType !== undefined) return this.#map(node, field, path, origin);
    if (!field.repeated) return this.#single(node, field, path, origin);
    if (!isSeq(node)) return this.#wrongType(node, path, origin, 'a list');
    const list: unknown[] = [];
    for (const [index, item] of node.items.entries()) {
      const here = itemPath(path, index);
      const target = this.#resolve(item as Node | null);
      const part = new Origin(this.#source, startOf(target, origin.offset));
      if (target === null || (isNull(target) && field.message?.wellKnown !== 'value')) {
        this.#problem(part.offset, here, 'WRONG_TYPE', 'a list may not hold null');
        continue;
      }
      const decoded = this.#single(target, field, here, part);
      if (decoded === undefined) continue;
      // By its place in the list that comes out: the two differ only where there is a problem.
      origin.set(String(list.length), part);
      list.push(decoded);
    }
    return list;
  }
  #map(node: Node, field: FieldType, path: string, origin: Origin): unknown {
    if (!isMap(node)) return this.#wrongType(node, path, origin, 'a map');
    const value: PlainMessage = {};
    for (const pair of node.items) {
      const { name, offset } = this.#key(pair, path, origin.offset);
      if (name === undefined) continue;
      const here = keyPath(path, name);
      if (origin.part(name) !== undefined) {
        this.#problem(offset, here, 'DUPLICATE_FIELD', `${JSON.stringify(name)} is given twice`);
        continue;
      }
      if (field.keyType !== 'string' && !/^(-?\d+|true|false)$/.test(name)) {
        this.#problem(offset, here, 'WRONG_TYPE', `a key of this map is ${field.keyType}, found ${JSON.stringify(name)}`);
        continue;
      }
      const target = this.#resolve(pair.value as Node | null);
      const part = new Origin(this.#source, startOf(target, offset), offset);
      if (target === null || (isNull(target) && field.message?.wellKnown !== 'value')) {
        this.#problem(part.offset, here, 'WRONG_TYPE', 'a map may not hold null');
        continue;
      }
      const decoded = this.#single(target, field, here, part);
      if (decoded === undefined) continue;
      put(value, name, decoded);
      origin.set(name, part);
    }
    return value;
  }
  #single(node: Node, field: FieldType, path: string, origin: Origin): unknown {
    if (field.scalar !== undefined) return this.#scalar(node, field.scalar, path, origin);
    const message = field.message;
    if (message !== undefined) return this.#message(node, message, path, origin);
    const enumeration = field.enumeration;
    if (enumeration === undefined) throw new Error(`descriptor of ${path} names a type that is missing`);
    const raw = isScalar(node) ? node.value : undefined;
    if (enumeration.name === 'google.protobuf.NullValue') return null;
    if (typeof raw === 'number' || typeof raw === 'string') {
      if (typeof raw === 'string' && enumeration.has(raw)) return raw;
      // Envoy reads enum values without regard to case.
      const name =
        typeof raw === 'number'
          ? enumeration.nameOf(raw)
          : Object.keys(enumeration.values).find((value) => value.toLowerCase() === raw.toLowerCase());
      if (name !== undefined) return name;
      const values = Object.keys(enumeration.values);
      const expected = values.length <= 12 ? `: one of ${values.join(', ')}` : '';
      const message = `${JSON.stringify(raw)} is no value of ${enumeration.name}${expected}`;
      return this.#problem(origin.offset, path, 'UNKNOWN_ENUM_VALUE', message, typeof raw === 'string' ? nearest(raw, values) : undefined);
    }
    return this.#wrongType(node, path, origin, `a value of ${enumeration.name}`);
  }

  // ---- Any and TypedStruct --------------------------------------------------------------------------------------------------------------

  #any(node: Node, path: string, origin: Origin): unknown {
    if (!isMap(node)) return this.#wrongType(node, path, origin, 'a map with @type');
    if (node.items.length === 0) return undefined;
    const found = this.#member(node, '@type', path, origin);
    if (found === undefined)
      return this.#problem(origin.offset, path, 'MISSING_TYPE', 'a typed configuration needs "@type": type.googleapis.com/<message>');
    const type = this.#typeOf(found, fieldPath(path, '@type'));
    if (type === undefined) return undefined;
    if (TYPED_STRUCTS.has(type.name)) return this.#typedStruct(node, type, path, origin);
    origin.set('@type', new Origin(this.#source, found.offset));
    const value: PlainMessage = { '@type': found.text };
    if (type.wellKnown === undefined || type.wellKnown === 'empty') {
      const fields = this.#fields(node, type, path, origin, '@type');
      return fields === undefined ? undefined : Object.assign(value, fields);
    }
    return this.#wellKnownInAny(node, type, path, origin, value);
  }
  /** A well-known type has no object form of its own: it stands under `value`. */
  #wellKnownInAny(node: YAMLMap, type: MessageType, path: string, origin: Origin, value: PlainMessage): unknown {
    for (const pair of node.items) {
      const { name, offset } = this.#key(pair, path, origin.offset);
      if (name === undefined || name === '@type') continue;
      const target = this.#resolve(pair.value as Node | null);
      if (name !== 'value') this.#problem(offset, fieldPath(path, name), 'UNKNOWN_FIELD', `in an Any, ${type.name} has only "value"`, 'value');
      else if (target !== null) {
        const part = new Origin(this.#source, startOf(target, offset), offset);
        value.value = this.#message(target, type, fieldPath(path, 'value'), part);
        origin.set('value', part);
      }
    }
    return value;
  }
  /** `TypedStruct { type_url, value }`: `value` is the message of that type in JSON, and that message is what comes out. */
  #typedStruct(node: YAMLMap, struct: MessageType, path: string, origin: Origin): unknown {
    let found: Text | undefined;
    let inner: { readonly node: Node; readonly offset: number } | undefined;
    for (const pair of node.items) {
      const { name, offset } = this.#key(pair, path, origin.offset);
      if (name === undefined || name === '@type') continue;
      const field = struct.field(name);
      const target = this.#resolve(pair.value as Node | null);
      if (field === undefined) this.#unknownField(name, struct, path, offset);
      else if (target === null || isNull(target)) continue;
      else if (field.name === 'type_url') {
        const text = this.#scalar(target, 'string', fieldPath(path, name), new Origin(this.#source, startOf(target, offset)));
        if (typeof text === 'string') found = { text, offset: startOf(target, offset) };
        else return undefined;
      } else inner = { node: target, offset: startOf(target, offset) };
    }
    if (found === undefined) return this.#problem(origin.offset, path, 'MISSING_TYPE', `${struct.name} needs "type_url": the type of its value`);
    const type = this.#typeOf(found, fieldPath(path, 'type_url'));
    if (type === undefined) return undefined;
    origin.set('@type', new Origin(this.#source, found.offset));
    const value: PlainMessage = { '@type': found.text };
    if (inner === undefined) return value;
    const here = fieldPath(path, 'value');
    const part = new Origin(this.#source, inner.offset);
    if (type.wellKnown !== undefined && type.wellKnown !== 'empty') {
      value.value = this.#message(inner.node, type, here, part);
      origin.set('value', part);
      return value;
    }
    const fields = this.#message(inner.node, type, here, part);
    if (fields === undefined) return undefined;
    // The decoded object has no `value` level, the text has: both paths lead to the same place.
    for (const [key, child] of part.parts) origin.set(key, child);
    if (origin.part('value') === undefined) origin.set('value', part);
    return Object.assign(value, fields);
  }
  #typeOf(url: Text, path: string): MessageType | undefined {
    if (!url.text.includes('/')) {
      const known = this.#descriptors.message(url.text) !== undefined;
      const suggestion = known ? `type.googleapis.com/${url.text}` : undefined;
      return this.#problem(url.offset, path, 'UNKNOWN_TYPE', `${JSON.stringify(url.text)} is no type URL: type.googleapis.com/<message>`, suggestion);
    }
    const type = this.#descriptors.messageByUrl(url.text);
    if (type !== undefined) return type;
    const wanted = typeNameOf(url.text);
    const names = this.#descriptors.names();
    const simple = wanted.slice(wanted.lastIndexOf('.') + 1);
    const close = nearest(
      wanted,
      names.filter((name) => name.endsWith(`.${simple}`)),
    );
    const suggestion = close ?? nearest(wanted, names) ?? names.find((name) => name.endsWith(`.${simple}`));
    const message = `no message type ${JSON.stringify(wanted)} is known`;
    return this.#problem(url.offset, path, 'UNKNOWN_TYPE', message, suggestion === undefined ? undefined : `type.googleapis.com/${suggestion}`);
  }
  #member(node: YAMLMap, wanted: string, path: string, origin: Origin): Text | undefined {
    for (const pair of node.items) {
      const { name, offset } = this.#key(pair, path, origin.offset);
      if (name !== wanted) continue;
      const target = this.#resolve(pair.value as Node | null);
      if (target === null || !isScalar(target) || typeof target.value !== 'string') return undefined;
      return { text: target.value, offset: startOf(target, offset) };
    }
    return undefined;
  }

  // ---- scalars --------------------------------------------------------------------------------------------------------------------------

  #scalar(node: Node, type: ScalarType, path: string, origin: Origin): unknown {
    if (++this.#values > MAX_VALUES) {
      if (this.#values === MAX_VALUES + 1) this.#problem(origin.offset, path, 'TOO_LARGE', `more than ${MAX_VALUES} values`);
      return undefined;
    }
    if (!isScalar(node)) return this.#wrongType(node, path, origin, EXPECTED[type]);
    const raw: unknown = node.value;
    switch (type) {
      case 'string':
        if (typeof raw === 'string') return raw;
        return this.#problem(origin.offset, path, 'WRONG_TYPE', `expected a string, found ${describe(node)}`, JSON.stringify(textOf(node)));
      case 'bytes':
        return this.#bytes(node, path, origin);
      case 'bool': {
        if (typeof raw === 'boolean') return raw;
        // Envoy reads YAML 1.1's words too; in quotes they are strings.
        const word = node.type === Scalar.PLAIN ? BOOLEANS.get(String(raw).toLowerCase()) : undefined;
        return word ?? this.#wrongType(node, path, origin, EXPECTED.bool, typeof raw === 'string' ? nearest(raw, ['true', 'false']) : undefined);
      }
      case 'double':
      case 'float':
        return this.#float(node, type, path, origin);
      default:
        return this.#integer(node, type, path, origin);
    }
  }
  #integer(node: Scalar, type: ScalarType, path: string, origin: Origin): unknown {
    const text = textOf(node).trim();
    const plain = node.type === Scalar.PLAIN;
    let value: bigint;
    if (/^-?\d+$/.test(text)) {
      // As Envoy's YAML loader: an unquoted leading zero is octal (`mode: 0644`).
      if (plain && /^-?0[0-7]+$/.test(text)) value = text.startsWith('-') ? -BigInt(`0o${text.slice(1)}`) : BigInt(`0o${text}`);
      else value = text.length > 25 ? 10n ** 30n : BigInt(text);
    } else {
      const number = plain && typeof node.value === 'number' ? node.value : /^-?\d+(\.\d+)?([eE][-+]?\d+)?$/.test(text) ? Number(text) : Number.NaN;
      if (Number.isNaN(number)) return this.#wrongType(node, path, origin, EXPECTED[type]);
      if (!Number.isInteger(number)) return this.#problem(origin.offset, path, 'WRONG_TYPE', `expected ${EXPECTED[type]}, found ${text}`);
      value = BigInt(number);
    }
    const [least, most] = RANGES[type] as readonly [bigint, bigint];
    if (value < least || value > most) return this.#problem(origin.offset, path, 'OUT_OF_RANGE', `${text} is not in ${least}..${most}`);
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }
  #float(node: Scalar, type: ScalarType, path: string, origin: Origin): unknown {
    const raw: unknown = node.value;
    const text = textOf(node).trim();
    const number =
      typeof raw === 'number'
        ? raw
        : (SPECIAL_FLOATS.get(text) ?? (/^-?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$/.test(text) && typeof raw === 'string' ? Number(text) : undefined));
    if (number === undefined) return this.#wrongType(node, path, origin, EXPECTED[type]);
    if (type === 'float' && Number.isFinite(number) && Math.abs(number) > 3.4028234663852886e38)
      return this.#problem(origin.offset, path, 'OUT_OF_RANGE', `${text} does not fit a float`);
    if (!Number.isFinite(number) && /\d/.test(text)) return this.#problem(origin.offset, path, 'OUT_OF_RANGE', `${text} does not fit a ${type}`);
    return number;
  }
  #bytes(node: Scalar, path: string, origin: Origin): unknown {
    if (node.value instanceof Uint8Array) return node.value; // YAML's !!binary
    if (typeof node.value !== 'string') return this.#wrongType(node, path, origin, EXPECTED.bytes);
    const text = node.value.replace(/\s+/g, '');
    if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(text) || text.replace(/=+$/, '').length % 4 === 1) {
      return this.#problem(origin.offset, path, 'INVALID_BYTES', 'expected base64');
    }
    return new Uint8Array(Buffer.from(text, 'base64'));
  }
  #duration(node: Node, path: string, origin: Origin): unknown {
    if (isMap(node)) return this.#durationParts(node, path, origin);
    const text = isScalar(node) ? textOf(node) : undefined;
    const match = text === undefined ? null : /^(-?)(\d{1,12})(?:\.(\d{1,9}))?s$/.exec(text);
    if (match === null || typeof (node as Scalar).value !== 'string') {
      const message = `expected a duration in seconds such as "1.5s", found ${describe(node)}`;
      return this.#problem(origin.offset, path, 'INVALID_DURATION', message, text === undefined ? undefined : durationMeant(text));
    }
    const [, sign, seconds, fraction = ''] = match;
    if (Number(seconds) > MAX_DURATION_SECONDS)
      return this.#problem(origin.offset, path, 'OUT_OF_RANGE', `${text} is more than ${MAX_DURATION_SECONDS}s`);
    return milliseconds(Number(seconds), Number(fraction.padEnd(9, '0'))) * (sign === '' ? 1 : -1) || 0;
  }
  /** `{ seconds, nanos }`: not ProtoJSON, but what the message itself looks like, and found in old configurations. */
  #durationParts(node: YAMLMap, path: string, origin: Origin): unknown {
    const type = this.#descriptors.message('google.protobuf.Duration') as MessageType;
    const parts = this.#fields(node, type, path, origin) as { seconds?: number | bigint; nanos?: number };
    const seconds = Number(parts.seconds ?? 0);
    if (Math.abs(seconds) > MAX_DURATION_SECONDS)
      return this.#problem(origin.offset, path, 'OUT_OF_RANGE', `${seconds}s is more than ${MAX_DURATION_SECONDS}s`);
    return milliseconds(seconds, parts.nanos ?? 0);
  }
  #timestamp(node: Node, path: string, origin: Origin): unknown {
    const raw = isScalar(node) ? node.value : undefined;
    if (typeof raw === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/.test(raw) && !Number.isNaN(Date.parse(raw)))
      return raw;
    return this.#problem(origin.offset, path, 'INVALID_TIMESTAMP', `expected a time such as "2026-01-02T03:04:05Z", found ${describe(node)}`);
  }

  // ---- free JSON ------------------------------------------------------------------------------------------------------------------------

  /** google.protobuf.Struct, Value, ListValue. */
  #json(input: Node | null, path: string, fallbackOffset: number): unknown {
    const node = this.#resolve(input);
    const offset = startOf(node, fallbackOffset);
    if (!this.#enter(offset, path)) return undefined;
    try {
      if (node === null) return null;
      if (isScalar(node)) return this.#jsonScalar(node, path, offset);
      if (isSeq(node)) return node.items.map((item, index) => this.#json(item as Node | null, itemPath(path, index), offset) ?? null);
      const value: PlainMessage = {};
      for (const pair of (node as YAMLMap).items) {
        const { name, offset: keyOffset } = this.#key(pair, path, offset);
        if (name === undefined) continue;
        if (Object.hasOwn(value, name)) this.#problem(keyOffset, fieldPath(path, name), 'DUPLICATE_FIELD', `${JSON.stringify(name)} is given twice`);
        else put(value, name, this.#json(pair.value as Node | null, fieldPath(path, name), keyOffset) ?? null);
      }
      return value;
    } finally {
      this.#depth--;
    }
  }
  #jsonScalar(node: Scalar, path: string, offset: number): unknown {
    const raw: unknown = node.value;
    if (raw === null || typeof raw === 'string' || typeof raw === 'boolean') return raw;
    if (typeof raw === 'number' && Number.isFinite(raw)) return raw;
    return this.#problem(offset, path, 'WRONG_TYPE', `expected JSON, found ${describe(node)}`);
  }

  // ---- nodes ----------------------------------------------------------------------------------------------------------------------------

  #resolve(node: Node | null): Node | null {
    return isAlias(node) ? (this.#aliases.get(node) ?? null) : node;
  }
  #key(pair: Pair<unknown, unknown>, path: string, fallbackOffset: number): { readonly name: string | undefined; readonly offset: number } {
    const key = this.#resolve(pair.key as Node | null);
    const offset = startOf(pair.key as Node | null, fallbackOffset);
    if (key !== null && isScalar(key)) return { name: textOf(key), offset };
    this.#problem(offset, path, 'WRONG_TYPE', `a field name is a string, found ${key === null ? 'nothing' : describe(key)}`);
    return { name: undefined, offset };
  }
  #wrongType(node: Node, path: string, origin: Origin, expected: string, suggestion?: string): undefined {
    return this.#problem(origin.offset, path, 'WRONG_TYPE', `expected ${expected}, found ${describe(node)}`, suggestion);
  }
}

interface Text {
  readonly text: string;
  readonly offset: number;
}

const TYPED_STRUCTS: ReadonlySet<string> = new Set(['udpa.type.v1.TypedStruct', 'xds.type.v3.TypedStruct']);
const INT32 = [-(2n ** 31n), 2n ** 31n - 1n] as const;
const UINT32 = [0n, 2n ** 32n - 1n] as const;
const INT64 = [-(2n ** 63n), 2n ** 63n - 1n] as const;
const UINT64 = [0n, 2n ** 64n - 1n] as const;
const RANGES: Partial<Record<ScalarType, readonly [bigint, bigint]>> = {
  int32: INT32,
  sint32: INT32,
  sfixed32: INT32,
  uint32: UINT32,
  fixed32: UINT32,
  int64: INT64,
  sint64: INT64,
  sfixed64: INT64,
  uint64: UINT64,
  fixed64: UINT64,
};
const INTEGER = 'an integer';
const UNSIGNED = 'an integer of at least 0';
const EXPECTED: Record<ScalarType, string> = {
  double: 'a number',
  float: 'a number',
  int32: INTEGER,
  sint32: INTEGER,
  sfixed32: INTEGER,
  uint32: UNSIGNED,
  fixed32: UNSIGNED,
  int64: INTEGER,
  sint64: INTEGER,
  sfixed64: INTEGER,
  uint64: UNSIGNED,
  fixed64: UNSIGNED,
  bool: 'true or false',
  string: 'a string',
  bytes: 'base64',
};
const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ...['y', 'yes', 'on', 'true'].map((word) => [word, true] as const),
  ...['n', 'no', 'off', 'false'].map((word) => [word, false] as const),
]);
const SPECIAL_FLOATS: ReadonlyMap<string, number> = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
]);

/** Milliseconds of protobuf's seconds and nanoseconds. */
export const milliseconds = (seconds: number, nanos: number): number => seconds * 1000 + nanos / 1e6;

/** What somebody who wrote `5`, `250ms`, `2m` or `5 s` probably meant. */
function durationMeant(text: string): string | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*(|ms|us|s|sec|seconds?|m|min|minutes?|h|hours?)$/.exec(text.trim());
  if (match === null) return undefined;
  const unit = match[2] === 'ms' ? 0.001 : match[2] === 'us' ? 0.000001 : match[2].startsWith('m') ? 60 : match[2].startsWith('h') ? 3600 : 1;
  return `${Number((Number(match[1]) * unit).toFixed(9))}s`;
}

/** The node each alias stands for: the last anchor of its name before it. One pass, where `Alias.resolve` is one per alias. */
function targetsOf(document: Document.Parsed): Map<Alias, Node> {
  const anchors = new Map<string, Node>();
  const targets = new Map<Alias, Node>();
  visit(document, (_key, node) => {
    if (isAlias(node)) {
      const target = anchors.get(node.source);
      if (target !== undefined) targets.set(node, target);
    } else if ((isMap(node) || isSeq(node) || isScalar(node)) && node.anchor !== undefined) anchors.set(node.anchor, node);
  });
  return targets;
}

const isNull = (node: Node): boolean => isScalar(node) && node.value === null;
const startOf = (node: Node | null, fallback: number): number => node?.range?.[0] ?? fallback;

/** A scalar as written, without its quotes. */
function textOf(scalar: Scalar): string {
  if (typeof scalar.value === 'string') return scalar.value;
  return scalar.source ?? String(scalar.value);
}
function describe(node: Node): string {
  if (isMap(node)) return 'a map';
  if (isSeq(node)) return 'a list';
  if (!isScalar(node)) return 'an alias';
  if (node.value === null) return 'null';
  if (node.value instanceof Uint8Array) return 'binary data';
  const text = textOf(node);
  const shown = text.length > 60 ? `${text.slice(0, 60)}...` : text;
  return typeof node.value === 'string'
    ? `the string ${JSON.stringify(shown)}`
    : `${typeof node.value === 'boolean' ? 'the boolean' : 'the number'} ${shown}`;
}
/** Sets a key that came from outside: `__proto__` too is a key like any other. */
export function put(target: PlainMessage, key: string, value: unknown): void {
  if (key === '__proto__') Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
  else target[key] = value;
}
