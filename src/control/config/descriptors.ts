import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Scalar types of protobuf. */
export type ScalarType =
  | 'double'
  | 'float'
  | 'int32'
  | 'uint32'
  | 'sint32'
  | 'fixed32'
  | 'sfixed32'
  | 'int64'
  | 'uint64'
  | 'sint64'
  | 'fixed64'
  | 'sfixed64'
  | 'bool'
  | 'string'
  | 'bytes';
/** Messages of `google.protobuf` whose JSON is not an object of their fields. `wrapper`: `BoolValue`, `UInt32Value`, ... */
export type WellKnown = 'any' | 'duration' | 'timestamp' | 'struct' | 'value' | 'list' | 'empty' | 'fieldMask' | 'wrapper';
/** Rules of protoc-gen-validate as its proto spells them, e.g. `{ string: { min_len: 1 } }`. */
export type Rules = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** One field of a message. `message` and `enumeration` are looked up when somebody asks, so that only the packages in use are read. */
export class FieldType {
  readonly jsonName: string;
  readonly #descriptors: Descriptors;
  readonly #typeName: string;
  #scalar: ScalarType | undefined;
  #message: MessageType | undefined;
  #enumeration: EnumType | undefined;
  #resolved = false;

  constructor(
    descriptors: Descriptors,
    /** As in the .proto file: snake_case. */
    readonly name: string,
    json: FieldJson,
    /** The oneof it belongs to; undefined also for the synthetic one of `optional`. */
    readonly oneof: OneofType | undefined,
  ) {
    this.#descriptors = descriptors;
    this.#typeName = json.type;
    this.jsonName = lowerCamel(name);
    this.repeated = json.rule === 'repeated';
    this.keyType = json.keyType;
    this.rules = json.options?.['(validate.rules)'];
    this.deprecated = json.options?.deprecated === true;
    this.sensitive = json.options?.['(udpa.annotations.sensitive)'] === true;
    this.hasPresence = oneof !== undefined || json.options?.proto3_optional === true;
    if (SCALARS.has(json.type)) {
      this.#scalar = json.type as ScalarType;
      this.#resolved = true;
    }
  }
  readonly repeated: boolean;
  /** Of a map field the type of its keys. */
  readonly keyType: ScalarType | undefined;
  readonly rules: Rules | undefined;
  readonly deprecated: boolean;
  /** Marked `udpa.annotations.sensitive`: private keys, passwords. */
  readonly sensitive: boolean;
  /** Member of a oneof or `optional`: unset differs from the default value. */
  readonly hasPresence: boolean;

  get scalar(): ScalarType | undefined {
    return this.#scalar;
  }
  get message(): MessageType | undefined {
    if (!this.#resolved) this.#resolve();
    return this.#message;
  }
  get enumeration(): EnumType | undefined {
    if (!this.#resolved) this.#resolve();
    return this.#enumeration;
  }
  #resolve(): void {
    const name = this.#typeName.slice(1);
    this.#message = this.#descriptors.message(name);
    if (this.#message === undefined) this.#enumeration = this.#descriptors.enumeration(name);
    this.#resolved = true;
  }
}

/** Fields of which at most one is set. */
export interface OneofType {
  readonly name: string;
  readonly required: boolean;
  /** Names as in the .proto file. */
  readonly members: readonly string[];
}

/** One message type. */
export class MessageType {
  readonly fields: readonly FieldType[];
  readonly oneofs: readonly OneofType[];
  readonly wellKnown: WellKnown | undefined;
  /** `validate.disabled`: its rules are not applied. */
  readonly unvalidated: boolean;
  readonly #byName = new Map<string, FieldType>();

  constructor(
    descriptors: Descriptors,
    /** Full name without a leading dot. */
    readonly name: string,
    json: MessageJson,
  ) {
    const oneofOf = new Map<string, OneofType>();
    const oneofs: OneofType[] = [];
    for (const [oneofName, oneof] of Object.entries(json.oneofs ?? {})) {
      if (json.fields[oneof.oneof[0]]?.options?.proto3_optional === true) continue;
      const type = { name: oneofName, required: oneof.options?.['(validate.required)'] === true, members: oneof.oneof };
      oneofs.push(type);
      for (const member of oneof.oneof) oneofOf.set(member, type);
    }
    this.oneofs = oneofs;
    this.fields = Object.entries(json.fields).map(([fieldName, field]) => new FieldType(descriptors, fieldName, field, oneofOf.get(fieldName)));
    for (const field of this.fields) {
      this.#byName.set(field.name, field);
      this.#byName.set(field.jsonName, field);
    }
    this.wellKnown = WELL_KNOWN[name];
    this.unvalidated = json.options?.['(validate.disabled)'] === true || json.options?.['(validate.ignored)'] === true;
  }
  /** The field with this name, in snake_case or lowerCamelCase. */
  field(name: string): FieldType | undefined {
    return this.#byName.get(name);
  }
}

/** One enum type. */
export class EnumType {
  readonly #numbers = new Map<number, string>();
  constructor(
    readonly name: string,
    readonly values: Readonly<Record<string, number>>,
  ) {
    for (const [value, number] of Object.entries(values)) if (!this.#numbers.has(number)) this.#numbers.set(number, value);
  }
  has(value: string): boolean {
    return Object.hasOwn(this.values, value);
  }
  nameOf(number: number): string | undefined {
    return this.#numbers.get(number);
  }
}

interface FieldJson {
  readonly rule?: string;
  readonly keyType?: ScalarType;
  readonly type: string;
  readonly id: number;
  readonly options?: Readonly<Record<string, unknown>> & { readonly '(validate.rules)'?: Rules };
}
interface MessageJson {
  readonly fields: Readonly<Record<string, FieldJson>>;
  readonly oneofs?: Readonly<Record<string, { readonly oneof: readonly string[]; readonly options?: Readonly<Record<string, unknown>> }>>;
  readonly options?: Readonly<Record<string, unknown>>;
  readonly nested?: Readonly<Record<string, ObjectJson>>;
}
interface EnumJson {
  readonly values: Readonly<Record<string, number>>;
}
type ObjectJson = MessageJson | EnumJson | NamespaceJson;
interface NamespaceJson {
  readonly nested: Readonly<Record<string, ObjectJson>>;
}

const SCALARS: ReadonlySet<string> = new Set([
  ...[
    'double',
    'float',
    'int32',
    'uint32',
    'sint32',
    'fixed32',
    'sfixed32',
    'int64',
    'uint64',
    'sint64',
    'fixed64',
    'sfixed64',
    'bool',
    'string',
    'bytes',
  ],
]);
const WELL_KNOWN: Readonly<Record<string, WellKnown>> = {
  'google.protobuf.Any': 'any',
  'google.protobuf.Duration': 'duration',
  'google.protobuf.Timestamp': 'timestamp',
  'google.protobuf.Struct': 'struct',
  'google.protobuf.Value': 'value',
  'google.protobuf.ListValue': 'list',
  'google.protobuf.Empty': 'empty',
  'google.protobuf.FieldMask': 'fieldMask',
  ...Object.fromEntries(
    ['Bool', 'Bytes', 'Double', 'Float', 'Int32', 'Int64', 'String', 'UInt32', 'UInt64'].map((name) => [
      `google.protobuf.${name}Value`,
      'wrapper' as const,
    ]),
  ),
};

/**
 * The message types of Envoy's v3 API and of `proto/overlay`, read from the generated `proto/descriptors` package by package, when a type of it is first
 * asked for. `directory` is that folder; unset, the one of this installation. Throws where the folder is missing.
 */
export class Descriptors {
  readonly #directory: string;
  readonly #packages: ReadonlySet<string>;
  readonly #loaded = new Map<string, Readonly<Record<string, ObjectJson>>>();
  readonly #messages = new Map<string, MessageType | undefined>();
  readonly #enums = new Map<string, EnumType | undefined>();

  constructor(directory: string = findDescriptors()) {
    this.#directory = directory;
    this.#packages = new Set(readdirSync(directory).map((file) => file.slice(0, -'.json'.length)));
  }
  /** The message with this full name (no leading dot). */
  message(name: string): MessageType | undefined {
    if (this.#messages.has(name)) return this.#messages.get(name);
    const json = this.#find(name);
    const type = json !== undefined && 'fields' in json ? new MessageType(this, name, json) : undefined;
    this.#messages.set(name, type);
    return type;
  }
  /** The enum with this full name (no leading dot). */
  enumeration(name: string): EnumType | undefined {
    if (this.#enums.has(name)) return this.#enums.get(name);
    const json = this.#find(name);
    const type = json !== undefined && 'values' in json ? new EnumType(name, json.values) : undefined;
    this.#enums.set(name, type);
    return type;
  }
  /** The message that a type URL names: what follows its last slash. */
  messageByUrl(url: string): MessageType | undefined {
    return this.message(typeNameOf(url));
  }
  /** Every message name, sorted. Reads a list that nothing else needs: for error texts. */
  names(): readonly string[] {
    return JSON.parse(readFileSync(join(this.#directory, 'names.json'), 'utf8')) as string[];
  }
  /** How many packages have been read. */
  get loadedPackages(): number {
    return this.#loaded.size;
  }

  #find(name: string): ObjectJson | undefined {
    // The package is the longest prefix that is one: `a.b.Outer.Inner` may be a message in a message.
    const parts = name.split('.');
    for (let count = parts.length - 1; count > 0; count--) {
      const packageName = parts.slice(0, count).join('.');
      if (!this.#packages.has(packageName)) continue;
      let members: Readonly<Record<string, ObjectJson>> | undefined = this.#load(packageName);
      let found: ObjectJson | undefined;
      for (const part of parts.slice(count)) {
        found = members !== undefined && Object.hasOwn(members, part) ? members[part] : undefined;
        members = (found as NamespaceJson | undefined)?.nested;
      }
      return found;
    }
    return undefined;
  }
  #load(packageName: string): Readonly<Record<string, ObjectJson>> {
    let members = this.#loaded.get(packageName);
    if (members === undefined) {
      let json = JSON.parse(readFileSync(join(this.#directory, `${packageName}.json`), 'utf8')) as NamespaceJson;
      for (const part of packageName.split('.')) json = json.nested[part] as NamespaceJson;
      members = json.nested;
      this.#loaded.set(packageName, members);
    }
    return members;
  }
}

/** Full message name of a type URL (`type.googleapis.com/a.b.C`) or of a decoded `Any`. */
export const typeNameOf = (any: string | { readonly '@type': string }): string => {
  const url = typeof any === 'string' ? any : any['@type'];
  return url.slice(url.lastIndexOf('/') + 1);
};

/** protobuf's JSON name of a field: `http2_max_requests` is `http2MaxRequests`. */
export const lowerCamel = (name: string): string => name.replace(/_+([A-Za-z0-9]?)/g, (_, letter: string) => letter.toUpperCase());

/** `proto/descriptors` of this installation: beside the nearest folder above this file that has one (sources and `dist/` lie at different depths). */
function findDescriptors(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  for (let folder = here; ; folder = dirname(folder)) {
    const candidate = join(folder, 'proto', 'descriptors');
    if (existsSync(join(candidate, 'names.json'))) return candidate;
    if (folder === dirname(folder)) throw new Error(`proto/descriptors is not above ${here}: run \`node proto/build.mjs\``);
  }
}
