import { type PlainMessage, put } from './decode.js';
import { Descriptors, type FieldType, type MessageType, type ScalarType } from './descriptors.js';

export interface ProtoJsonOptions {
  /** Field names as in the .proto files (Envoy's admin prints these); false: lowerCamelCase. */
  readonly snakeCase?: boolean;
  /** Types to print with; unset: new ones are made. */
  readonly descriptors?: Descriptors;
}

/** What stands in place of a secret, as in Envoy. */
export const REDACTED = '[redacted]';

/**
 * Prints a decoded message (types.ts) as protobuf JSON: durations `"1.5s"`, 64-bit integers as strings, bytes as base64. Private keys, passwords and
 * what else the API marks `sensitive` become `[redacted]` (bytes: its base64). Throws where `typeName` is not a message.
 */
export function toProtoJson(message: object, typeName: string, options: ProtoJsonOptions = {}): PlainMessage {
  const descriptors = options.descriptors ?? new Descriptors();
  const type = descriptors.message(typeName);
  if (type === undefined) throw new Error(`no message type ${typeName} is known`);
  return new Printer(descriptors, options.snakeCase === true).message(message, type, false) as PlainMessage;
}

class Printer {
  readonly #descriptors: Descriptors;
  readonly #snakeCase: boolean;
  constructor(descriptors: Descriptors, snakeCase: boolean) {
    this.#descriptors = descriptors;
    this.#snakeCase = snakeCase;
  }

  /** `isSecret`: the message stands in a sensitive field; only texts survive, as `[redacted]`. */
  message(value: unknown, type: MessageType, isSecret: boolean): unknown {
    switch (type.wellKnown) {
      case 'any':
        return this.#any(value as PlainMessage, isSecret);
      case 'duration':
        return isSecret ? undefined : durationText(value as number);
      case 'wrapper':
        return this.#scalar(value, type.fields[0].scalar as ScalarType, isSecret);
      case 'struct':
      case 'value':
      case 'list':
        return isSecret ? redactedJson(value) : value;
      case 'timestamp':
      case 'fieldMask':
        return isSecret ? undefined : value;
      default:
        return this.#fields(value as PlainMessage, type, isSecret);
    }
  }
  #any(value: PlainMessage, isSecret: boolean): PlainMessage {
    const url = value['@type'] as string;
    const type = this.#descriptors.messageByUrl(url);
    if (type === undefined) return value;
    if (type.wellKnown !== undefined && type.wellKnown !== 'empty') return { '@type': url, value: this.message(value.value, type, isSecret) };
    return { '@type': url, ...this.#fields(value, type, isSecret) };
  }
  #fields(message: PlainMessage, type: MessageType, isSecret: boolean): PlainMessage {
    const printed: PlainMessage = {};
    for (const field of type.fields) {
      const value = message[field.jsonName];
      if (value === undefined) continue;
      const text = this.#field(value, field, isSecret || field.sensitive);
      if (text !== undefined) printed[this.#snakeCase ? field.name : field.jsonName] = text;
    }
    return printed;
  }
  #field(value: unknown, field: FieldType, isSecret: boolean): unknown {
    if (field.keyType !== undefined) {
      const printed: PlainMessage = {};
      for (const [key, item] of Object.entries(value as PlainMessage)) {
        const text = this.#single(item, field, isSecret);
        if (text !== undefined) put(printed, key, text);
      }
      return printed;
    }
    if (field.repeated) return (value as unknown[]).map((item) => this.#single(item, field, isSecret)).filter((item) => item !== undefined);
    return this.#single(value, field, isSecret);
  }
  #single(value: unknown, field: FieldType, isSecret: boolean): unknown {
    if (field.scalar !== undefined) return this.#scalar(value, field.scalar, isSecret);
    if (field.message !== undefined) return this.message(value, field.message, isSecret);
    return isSecret ? undefined : value;
  }
  #scalar(value: unknown, type: ScalarType, isSecret: boolean): unknown {
    if (type === 'bytes') return Buffer.from(isSecret ? REDACTED : (value as Uint8Array)).toString('base64');
    if (type === 'string') return isSecret ? REDACTED : value;
    if (isSecret) return undefined;
    if (WIDE.has(type)) return String(value);
    if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
    return value;
  }
}

const WIDE: ReadonlySet<ScalarType> = new Set<ScalarType>(['int64', 'uint64', 'sint64', 'fixed64', 'sfixed64']);

function redactedJson(value: unknown): unknown {
  if (typeof value === 'string') return REDACTED;
  if (Array.isArray(value)) return value.map(redactedJson);
  if (value === null || typeof value !== 'object') return null;
  const printed: PlainMessage = {};
  for (const [key, item] of Object.entries(value)) put(printed, key, redactedJson(item));
  return printed;
}

/** Milliseconds as protobuf prints a duration: seconds with 0, 3, 6 or 9 decimals. */
export function durationText(ms: number): string {
  const sign = ms < 0 ? '-' : '';
  const size = Math.abs(ms);
  let seconds = Math.floor(size / 1000);
  let nanos = Math.round((size - seconds * 1000) * 1e6);
  if (nanos === 1e9) {
    seconds++;
    nanos = 0;
  }
  if (nanos === 0) return `${sign}${seconds}s`;
  const digits = String(nanos)
    .padStart(9, '0')
    .replace(/(000){1,2}$/, '');
  return `${sign}${seconds}.${digits}s`;
}
